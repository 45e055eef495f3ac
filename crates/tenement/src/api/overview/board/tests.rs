use std::collections::{BTreeMap, HashSet};

use super::*;
use crate::store::Binding;

/// Somebody who keeps what it is told, as the dashboard does.
struct Reader {
    id: ReaderId,
    rows: BTreeMap<InstanceName, u64>,
    /// Pages of a snapshot that has not ended.
    pages: BTreeMap<InstanceName, u64>,
    snapshots: usize,
    part: Part,
}

impl Reader {
    fn new(board: &mut Board<u64>, part: Part) -> Self {
        Self { id: board.join(), rows: BTreeMap::new(), pages: BTreeMap::new(), snapshots: 0, part }
    }

    /// Whether it was told something.
    fn read(&mut self, board: &mut Board<u64>) -> bool {
        fn owned(rows: Vec<(&InstanceName, &u64)>) -> Vec<(InstanceName, u64)> {
            rows.into_iter().map(|(name, row)| (name.clone(), *row)).collect()
        }
        match board.turn(self.id, &self.part) {
            None => return false,
            Some(Turn::Snapshot { rows, more }) => {
                assert!(rows.len() <= PAGE);
                self.pages.extend(owned(rows));
                if !more {
                    self.rows = std::mem::take(&mut self.pages);
                    self.snapshots += 1;
                }
            }
            Some(Turn::Changes { rows, gone }) => {
                assert!(rows.len() + gone.len() < 2 * PAGE);
                let names: HashSet<_> =
                    rows.iter().map(|(name, _)| *name).chain(gone.iter().copied()).collect();
                assert_eq!(names.len(), rows.len() + gone.len(), "each once");
                for name in gone {
                    self.rows.remove(name);
                }
                self.rows.extend(owned(rows));
            }
        }
        true
    }

    fn read_all(&mut self, board: &mut Board<u64>) {
        while self.read(board) {}
        let all = board.rows(&Part::ALL);
        let seen = all.filter(|(name, _)| self.part.has(name));
        assert!(seen.eq(&self.rows), "it has what the board has");
    }
}

fn name(number: usize) -> InstanceName {
    let service = if number.is_multiple_of(3) { "other" } else { "api" };
    InstanceName::new(service, &format!("i{number}")).unwrap()
}

/// All, one service of two, one instance, or nothing.
fn part(kind: u8) -> Part {
    Part::new(match kind {
        0 => Some(Binding::Nothing),
        1 => Some(Binding::Service("other".parse().unwrap())),
        2 => Some(Binding::Instance(name(1))),
        _ => None,
    })
}

/// One of the things that happen to a board.
fn happen(board: &mut Board<u64>, dice: &mut fastrand::Rng, names: usize) {
    let name = name(dice.usize(..names));
    match dice.u8(..10) {
        0..5 => board.put(name, dice.u64(..)),
        5..8 => board.remove(&name),
        _ => {
            let mut edited = 0;
            board.edit(Some(&name), |_, row| {
                edited += 1;
                let edits = edited <= 3 && dice.bool();
                if edits {
                    *row = dice.u64(..);
                }
                edits
            });
        }
    }
}

#[test]
fn whatever_happens_every_reader_ends_with_what_the_board_has() {
    for seed in 0..30 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let names = [3, 50, 3000][dice.usize(..3)];
        let (mut board, mut readers) = (Board::default(), Vec::new());
        for step in 0..6000 {
            match dice.u8(..100) {
                0..2 if readers.len() < 6 => {
                    readers.push(Reader::new(&mut board, part(dice.u8(..4))));
                }
                2 if !readers.is_empty() => {
                    let gone: Reader = readers.swap_remove(dice.usize(..readers.len()));
                    board.leave(gone.id);
                }
                3..20 if !readers.is_empty() => {
                    let at = dice.usize(..readers.len());
                    readers[at].read(&mut board);
                }
                _ => happen(&mut board, &mut dice, names),
            }
            assert!(board.graves.len() <= GONE, "step {step} of {seed}");
        }
        for reader in &mut readers {
            reader.read_all(&mut board);
        }
        assert_eq!(board.changes.len(), board.rows.len() + board.gone.len(), "seed {seed}");
        assert_eq!(board.graves.len(), board.gone.len(), "seed {seed}");
        for reader in readers {
            board.leave(reader.id);
        }
        assert!(board.gone.is_empty(), "nobody needs them any more");
    }
}

#[test]
fn what_changes_often_is_told_once_and_as_it_is_then() {
    let mut board = Board::default();
    (0..3).for_each(|number| board.put(name(number), 0));
    let mut reader = Reader::new(&mut board, Part::ALL);
    reader.read_all(&mut board);
    for value in 1..=1000 {
        board.put(name(1), value);
    }
    let Some(Turn::Changes { rows, gone }) = board.turn(reader.id, &Part::ALL) else { panic!() };
    assert_eq!((rows, gone.len()), (vec![(&name(1), &1000)], 0));
    assert_eq!(board.turn(reader.id, &Part::ALL), None);
}

#[test]
fn who_comes_before_the_rows_is_told_of_each_once() {
    let mut board = Board::default();
    let mut reader = Reader::new(&mut board, Part::ALL);
    (0..2 * PAGE).for_each(|number| board.put(name(number), 0));
    assert!(reader.read(&mut board));
    board.put(name(0), 1);
    assert!(reader.read(&mut board));
    assert_eq!((reader.rows.len(), reader.snapshots), (2 * PAGE, 1));
    let Some(Turn::Changes { rows, gone }) = board.turn(reader.id, &Part::ALL) else { panic!() };
    assert_eq!((rows, gone.len()), (vec![(&name(0), &1)], 0), "what changed while it was told");
}

#[test]
fn an_edit_that_makes_no_difference_is_told_to_nobody() {
    let mut board = Board::default();
    (0..PAGE + 1).for_each(|number| board.put(name(number), 0));
    let mut reader = Reader::new(&mut board, Part::ALL);
    reader.read_all(&mut board);
    let last = board.edit(None, |_, _| false).expect("there is another page");
    assert_eq!(board.edit(Some(&last), |_, _| false), None);
    assert_eq!(board.turn(reader.id, &Part::ALL), None);
    board.edit(Some(&last), |_, row| {
        *row += 1;
        true
    });
    assert!(reader.read(&mut board) && !reader.read(&mut board));
    assert_eq!(reader.rows.values().sum::<u64>(), 1);
}

#[test]
fn who_missed_too_many_that_went_is_told_everything_anew() {
    let mut board = Board::default();
    (0..GONE + 2).for_each(|number| board.put(name(number), 0));
    let (mut slow, mut quick) = (Reader::new(&mut board, Part::ALL), Reader::new(&mut board, Part::ALL));
    slow.read_all(&mut board);
    for number in 0..=GONE {
        board.remove(&name(number));
        quick.read_all(&mut board);
    }
    assert_eq!((quick.snapshots, board.gone.len()), (1, GONE), "for the one who did not read yet");
    slow.read_all(&mut board);
    assert_eq!((slow.snapshots, slow.rows.len()), (2, 1));
    board.put(name(1), 1);
    slow.read_all(&mut board);
    quick.read_all(&mut board);
    assert_eq!((slow.snapshots, quick.snapshots), (2, 1));
    assert!(board.gone.is_empty());
}

#[test]
fn nothing_is_remembered_of_what_went_while_nobody_reads() {
    let mut board = Board::default();
    board.put(name(1), 0);
    board.remove(&name(1));
    board.remove(&name(2));
    assert!(board.gone.is_empty() && board.changes.is_empty());
    let mut reader = Reader::new(&mut board, Part::ALL);
    assert!(reader.read(&mut board), "an empty snapshot is told too");
    assert_eq!(reader.snapshots, 1);
}

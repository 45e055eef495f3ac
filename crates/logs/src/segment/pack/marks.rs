//! Marks as numbers that are mostly small, for compression.

use tenement_core::time::WallMillis;

use super::super::mark::Mark;
use crate::index::code::{Numbers, put, put_signed};

/// What the numbers of a mark are told from.
#[derive(Default)]
struct Before {
    done: u32,
    lines: u32,
    next_seq: u64,
    wall: u64,
}

impl Before {
    fn after(self, mark: &Mark) -> Self {
        let next_seq = mark.seq + u64::from(mark.lines - self.lines);
        Self { done: mark.done, lines: mark.lines, next_seq, wall: mark.wall.0 }
    }
}

pub(super) fn encode(marks: &[Mark]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut before = Before::default();
    for mark in marks {
        put(&mut bytes, u64::from(mark.done - before.done));
        put(&mut bytes, u64::from(mark.lines - before.lines));
        put_signed(&mut bytes, mark.seq.wrapping_sub(before.next_seq) as i64);
        put_signed(&mut bytes, mark.wall.0.wrapping_sub(before.wall) as i64);
        put(&mut bytes, u64::from(mark.bits()));
        before = before.after(mark);
    }
    bytes
}

/// `None` when these are not so many marks, one after the other.
pub(super) fn decode(bytes: &[u8], count: u32) -> Option<Vec<Mark>> {
    let mut numbers = Numbers::new(bytes);
    let mut before = Before::default();
    let mut marks = Vec::with_capacity((count as usize).min(bytes.len()));
    for _ in 0..count {
        let mark = Mark {
            done: before.done.checked_add(numbers.get_u32()?)?,
            lines: before.lines.checked_add(numbers.get_u32()?)?,
            seq: before.next_seq.wrapping_add(numbers.get_signed()? as u64),
            wall: WallMillis(before.wall.wrapping_add(numbers.get_signed()? as u64)),
            ..Mark::of_bits(numbers.get_u32()?)
        };
        before = before.after(&mark);
        marks.push(mark);
    }
    numbers.is_at_end().then_some(marks)
}

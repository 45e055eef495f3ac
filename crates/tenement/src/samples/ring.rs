//! Where records stand in a file. Pure.
//!
//! ```text
//!   │ magic, version, … │ 360 records of 10 s: an hour │ 2016 records of 5 min: a week │     57,056 bytes
//!   0                  32                           8,672                          57,056
//! ```
//!
//! A record's place follows from its time, so nobody has to remember where a ring begins, and whoever goes on after a kill
//! or a pause writes where its predecessor would have. What stands there counts only if it is of the very interval that is
//! asked for: a gap is a gap, whatever is left in it of an hour, or a week, before.

use std::collections::BTreeSet;

use super::{
    record::{self, SIZE},
    sample::Sample,
};

const HEADER_SIZE: usize = 32;
/// What a file begins with.
pub(super) const HEADER: [u8; HEADER_SIZE] = {
    let mut header = *b"tenement samples\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    // The version of what follows, and what it is made of.
    header[16] = 1;
    header[18] = SIZE as u8;
    [header[20], header[21]] = (FINE.count as u16).to_le_bytes();
    [header[22], header[23]] = (COARSE.count as u16).to_le_bytes();
    header
};

/// Records of intervals of one length, each in the place of the one that is a whole ring older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ring {
    /// The length of an interval, in seconds.
    pub(super) step: u32,
    /// How many there are.
    pub(super) count: u32,
    /// Where they begin in the file.
    begin: u32,
}

/// An hour.
pub(super) const FINE: Ring = Ring { step: 10, count: 360, begin: HEADER_SIZE as u32 };
/// A week.
pub(super) const COARSE: Ring = Ring { step: 300, count: 2016, begin: FINE.begin + FINE.count * SIZE as u32 };
/// Fine intervals in a coarse one.
pub(super) const PARTS: u32 = COARSE.step / FINE.step;
/// Where the fine ones end in the file.
pub(super) const FINE_END: u64 = COARSE.begin as u64;
/// The length of a file with all there can be.
pub(super) const FILE_SIZE: u64 = (COARSE.begin + COARSE.count * SIZE as u32) as u64;

const _: () = assert!(FILE_SIZE <= 64 << 10);
// The parts of a coarse interval stand in one piece.
const _: () = assert!(COARSE.step.is_multiple_of(FINE.step) && FINE.count.is_multiple_of(PARTS));

impl Ring {
    /// When the interval began that a moment is in. Both in seconds since the Unix epoch.
    pub(super) fn start_of(&self, second: u32) -> u32 {
        second - second % self.step
    }

    /// Where the record of the interval is that begins at `at`.
    pub(super) fn place(&self, at: u32) -> u64 {
        u64::from(self.begin) + u64::from(at / self.step % self.count) * SIZE as u64
    }

    /// The beginnings of as many intervals as `count`, in order; the last is the one that `second` is in.
    pub(super) fn last(&self, count: u32, second: u32) -> impl DoubleEndedIterator<Item = u32> {
        let (step, last) = (self.step, self.start_of(second));
        (0..count).rev().filter_map(move |back| last.checked_sub(back * step))
    }
}

/// A file, as far as it was read.
#[derive(Clone, Debug)]
pub(super) struct Image(Vec<u8>);

impl Image {
    /// One with a header that is not ours has no records.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self(if bytes.starts_with(&HEADER) { bytes } else { Vec::new() })
    }

    /// Whether it is one to go on with.
    pub(super) fn is_sound(&self) -> bool {
        !self.0.is_empty()
    }

    fn get(&self, ring: Ring, at: u32) -> Option<Sample> {
        let place = ring.place(at) as usize;
        let sample = record::decode(self.0.get(place..place + SIZE)?)?;
        (sample.at == at).then_some(sample)
    }

    /// What was measured in the 10 s that begin at `at`.
    pub(super) fn fine(&self, at: u32) -> Option<Sample> {
        self.get(FINE, at)
    }

    /// What was measured in the 5 min that begin at `at`. As long as the interval was not brought to its end that is what
    /// its parts say. `now`: the second that it is.
    pub(super) fn coarse(&self, at: u32, now: u32) -> Option<Sample> {
        let goes_on = COARSE.start_of(now) == at;
        let done = if goes_on { None } else { self.get(COARSE, at) };
        done.or_else(|| self.of_parts(at))
    }

    /// The same, by its parts alone.
    pub(super) fn of_parts(&self, at: u32) -> Option<Sample> {
        let parts: Vec<_> =
            (0..PARTS).filter_map(|part| self.fine(at.checked_add(part * FINE.step)?)).collect();
        Sample::of_parts(at, &parts)
    }

    /// Intervals of 5 min within the week before `second` that are over and were not brought to their end, as a daemon was
    /// killed. Their parts may be as old: nothing takes their places while an instance sleeps.
    pub(super) fn unfinished(&self, second: u32) -> Vec<Sample> {
        let end = self.0.len().min(FINE_END as usize);
        let ring = self.0.get(FINE.begin as usize..end).unwrap_or_default();
        let parts = ring.chunks_exact(SIZE).filter_map(record::decode);
        let all: BTreeSet<_> = parts.map(|part| COARSE.start_of(part.at)).collect();
        let now = COARSE.start_of(second);
        let is_over = |at: u32| at < now && now - at < COARSE.step * COARSE.count;
        let unfinished = all.into_iter().filter(|&at| is_over(at) && self.get(COARSE, at).is_none());
        unfinished.filter_map(|at| self.of_parts(at)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{super::record::tests::random, *};

    /// A file in memory.
    struct File(Vec<u8>);

    impl File {
        fn new() -> Self {
            let mut file = vec![0; FILE_SIZE as usize];
            file[..HEADER.len()].copy_from_slice(&HEADER);
            Self(file)
        }

        fn put(&mut self, ring: Ring, sample: &Sample) {
            let place = ring.place(sample.at) as usize;
            self.0[place..place + SIZE].copy_from_slice(&record::encode(sample));
        }

        fn image(&self) -> Image {
            Image::new(self.0.clone())
        }
    }

    #[test]
    fn rings_lie_side_by_side_within_64_kib() {
        let mut places: Vec<_> = FINE.last(FINE.count, 1_700_000_123).map(|at| FINE.place(at)).collect();
        places.extend(COARSE.last(COARSE.count, 1_700_000_123).map(|at| COARSE.place(at)));
        places.sort_unstable();
        assert_eq!(places[0], HEADER.len() as u64);
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] == SIZE as u64));
        assert_eq!(places.last().unwrap() + SIZE as u64, FILE_SIZE);
    }

    #[test]
    fn what_is_read_is_what_was_written_last_of_each_interval_that_is_not_overwritten() {
        let mut rng = fastrand::Rng::with_seed(11);
        for ring in [FINE, COARSE] {
            let (mut file, mut written) = (File::new(), HashMap::new());
            let mut now = rng.u32(1..u32::MAX / 2);
            for _ in 0..3 * ring.count {
                // Mostly on, sometimes asleep for long, sometimes set back.
                now = match rng.u32(0..100) {
                    0 => now + rng.u32(0..3 * ring.count * ring.step),
                    1 => now.saturating_sub(rng.u32(0..2 * ring.count * ring.step)),
                    _ => now + ring.step,
                };
                let sample = random(&mut rng, ring.start_of(now));
                file.put(ring, &sample);
                written.retain(|&at, _| ring.place(at) != ring.place(sample.at));
                written.insert(sample.at, sample);
            }
            let image = file.image();
            for at in ring.last(ring.count * 4, now + ring.count * ring.step) {
                assert_eq!(image.get(ring, at), written.get(&at).copied(), "{at}");
            }
        }
    }

    #[test]
    fn a_ring_keeps_as_much_as_it_should() {
        let (mut file, mut rng) = (File::new(), fastrand::Rng::with_seed(2));
        let end = 1_700_000_000;
        for at in FINE.last(1000, end) {
            file.put(FINE, &random(&mut rng, at));
        }
        let image = file.image();
        let kept = FINE.last(1000, end).filter(|&at| image.fine(at).is_some());
        assert_eq!(kept.collect::<Vec<_>>(), FINE.last(360, end).collect::<Vec<_>>());
    }

    #[test]
    fn a_flipped_byte_costs_the_record_it_is_in_and_nothing_else() {
        let (mut file, mut rng) = (File::new(), fastrand::Rng::with_seed(5));
        let now = 1_700_000_000;
        FINE.last(FINE.count, now).for_each(|at| file.put(FINE, &random(&mut rng, at)));
        COARSE.last(COARSE.count, now).for_each(|at| file.put(COARSE, &random(&mut rng, at)));
        let whole = file.image();
        for _ in 0..100 {
            let hit = rng.usize(0..file.0.len());
            let mut damaged = file.0.clone();
            damaged[hit] ^= rng.u8(1..);
            let image = Image::new(damaged);
            assert_eq!(image.is_sound(), hit >= HEADER.len());
            for ring in [FINE, COARSE] {
                for at in ring.last(ring.count, now) {
                    let place = ring.place(at) as usize;
                    let is_hit = (place..place + SIZE).contains(&hit) || !image.is_sound();
                    let expected = if is_hit { None } else { whole.get(ring, at) };
                    assert_eq!(image.get(ring, at), expected, "byte {hit}");
                }
            }
        }
    }

    #[test]
    fn a_file_that_was_cut_off_has_what_is_left() {
        let (mut file, mut rng) = (File::new(), fastrand::Rng::with_seed(6));
        let now = 1_700_000_000;
        FINE.last(FINE.count, now).for_each(|at| file.put(FINE, &random(&mut rng, at)));
        for length in [0, 1, HEADER.len(), HEADER.len() + 1, HEADER.len() + 5 * SIZE + 3] {
            let image = Image::new(file.0[..length].to_vec());
            let left = FINE.last(FINE.count, now).filter(|&at| image.fine(at).is_some()).count();
            assert_eq!(left, length.saturating_sub(HEADER.len()) / SIZE, "{length}");
        }
    }

    #[test]
    fn five_minutes_are_their_parts_until_they_are_over_and_then_what_was_written_of_them() {
        let mut file = File::new();
        let start = COARSE.start_of(1_700_000_000);
        let part = |at, requests| Sample { at, span: 100, requests, ..Sample::default() };
        for (index, requests) in [(0, 3), (1, 4), (29, 5), (30, 100)] {
            file.put(FINE, &part(start + index * 10, requests));
        }
        let image = file.image();
        assert_eq!(image.coarse(start, start + 250).unwrap().requests, 12, "as it is so far");
        assert_eq!(image.coarse(start, start + 310).unwrap().requests, 12, "over, and not written");
        assert_eq!(image.coarse(start + 300, start + 310).unwrap().requests, 100);
        assert_eq!(image.coarse(start + 600, start + 610), None);
        assert_eq!(image.unfinished(start + 299), []);
        let unfinished = image.unfinished(start + 310);
        assert_eq!(unfinished.iter().map(|one| (one.at, one.requests)).collect::<Vec<_>>(), [(start, 12)]);
        file.put(COARSE, &unfinished[0]);
        // An hour later its parts are others'.
        file.put(FINE, &part(start + 3600, 77));
        let image = file.image();
        assert_eq!(image.coarse(start, start + 3610).unwrap().requests, 12);
        assert_eq!(image.coarse(start + 3600, start + 3610).unwrap().requests, 77);
        let unfinished: Vec<_> = image.unfinished(start + 3610).iter().map(|one| one.at).collect();
        assert_eq!(unfinished, [start + 300]);
        assert_eq!(image.unfinished(start + 8 * 86_400), [], "older than the week");
    }

    #[test]
    fn a_file_that_has_not_grown_to_its_end_says_what_is_unfinished_too() {
        let mut file = File::new();
        let start = COARSE.start_of(1_700_000_000);
        file.put(FINE, &Sample { at: start, requests: 3, ..Sample::default() });
        file.0.truncate(FINE.place(start) as usize + SIZE);
        let unfinished = file.image().unfinished(start + 300);
        assert_eq!(unfinished.iter().map(|one| (one.at, one.requests)).collect::<Vec<_>>(), [(start, 3)]);
    }
}

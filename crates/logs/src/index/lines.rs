//! Sets of lines of a segment.

/// Some of the lines of a segment, by their number in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LineSet {
    words: Vec<u64>,
    lines: u32,
}

impl LineSet {
    /// None of so many lines.
    pub(crate) fn none(lines: u32) -> Self {
        Self { words: vec![0; (lines as usize).div_ceil(64)], lines }
    }

    /// All of so many lines.
    pub(crate) fn all(lines: u32) -> Self {
        let mut all = Self { words: vec![u64::MAX; (lines as usize).div_ceil(64)], lines };
        all.cut();
        all
    }

    /// How many lines the segment has.
    pub(crate) fn lines(&self) -> u32 {
        self.lines
    }

    /// Leaves nothing after the last line.
    fn cut(&mut self) {
        if let (Some(last), over) = (self.words.last_mut(), self.lines % 64)
            && over > 0
        {
            *last &= (1 << over) - 1;
        }
    }

    /// Adds a line; one that the segment does not have is ignored.
    pub(crate) fn add(&mut self, line: u32) {
        if line < self.lines {
            self.words[line as usize / 64] |= 1 << (line % 64);
        }
    }

    pub(crate) fn has(&self, line: u32) -> bool {
        self.words.get(line as usize / 64).is_some_and(|word| word >> (line % 64) & 1 == 1)
    }

    /// Keeps what is in both.
    pub(crate) fn and(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    /// Adds what is in the other.
    pub(crate) fn or(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
    }

    /// Takes away what is in the other.
    pub(super) fn without(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= !other;
        }
    }

    /// How many lines are in it that come before the line `end`.
    pub(crate) fn count_before(&self, end: u32) -> u64 {
        let end = end.min(self.lines);
        let whole = end as usize / 64;
        let mut count: u64 = self.words[..whole].iter().map(|word| u64::from(word.count_ones())).sum();
        if !end.is_multiple_of(64) {
            count += u64::from((self.words[whole] & ((1 << (end % 64)) - 1)).count_ones());
        }
        count
    }

    /// The last line in it that comes before the line `end`.
    pub(crate) fn last_before(&self, end: u32) -> Option<u32> {
        let end = end.min(self.lines);
        let (mut at, over) = (end as usize / 64, end % 64);
        let mut word = if over > 0 { self.words[at] & ((1 << over) - 1) } else { 0 };
        while word == 0 {
            at = at.checked_sub(1)?;
            word = self.words[at];
        }
        Some(at as u32 * 64 + word.ilog2())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_lines_are_counted_and_joined() {
        let of = |lines: &[u32]| {
            let mut set = LineSet::none(130);
            lines.iter().for_each(|&line| set.add(line));
            set
        };
        let set = of(&[0, 63, 64, 129, 130, 4000]);
        assert!(set.has(129) && !set.has(130) && !set.has(1) && !set.has(9999));
        assert_eq!([0, 1, 64, 65, 129, 130, 999].map(|end| set.count_before(end)), [0, 1, 2, 3, 3, 4, 4]);
        let last = |end| set.last_before(end);
        assert_eq!(
            [0, 1, 63, 64, 129, 999].map(last),
            [None, Some(0), Some(0), Some(63), Some(64), Some(129)]
        );
        let mut both = set.clone();
        both.and(&of(&[63, 65]));
        assert_eq!(both, of(&[63]));
        both.or(&of(&[1]));
        both.without(&of(&[63]));
        assert_eq!(both, of(&[1]));
        assert_eq!(LineSet::all(130).count_before(130), 130);
        assert_eq!((LineSet::none(0).count_before(9), LineSet::all(0).last_before(9)), (0, None));
    }
}

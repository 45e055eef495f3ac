//! The distinct words of a segment, numbered in the order they came.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// All words in one piece of memory, which is looked at a million times for every segment.
#[derive(Debug, Default)]
pub(super) struct Words {
    bytes: Vec<u8>,
    /// Where the word of each number ends.
    ends: Vec<u32>,
    table: HashTable<Entry>,
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    number: u32,
    /// Tells most words apart without looking at them.
    hash: u32,
}

impl Words {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, number: u32) -> &[u8] {
        word(&self.bytes, &self.ends, number)
    }

    /// The number of a word, when it has one.
    pub(super) fn find(&self, text: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(text);
        let is = |entry: &Entry| entry.hash == hash as u32 && self.get(entry.number) == text;
        self.table.find(hash, is).map(|entry| entry.number)
    }

    /// Gives a word a number that has none.
    pub(super) fn add(&mut self, text: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(text);
        let number = self.ends.len() as u32;
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as u32);
        let Self { bytes, ends, table, hasher } = self;
        let rehash = |entry: &Entry| hasher.hash_one(word(bytes, ends, entry.number));
        table.insert_unique(hash, Entry { number, hash: hash as u32 }, rehash);
        number
    }

    /// All numbers, in the order of their words, those without digits first. Says of each whether it has any.
    pub(super) fn sorted(&self) -> Vec<(bool, u32)> {
        let key = |number: u32| {
            let word = self.get(number);
            let start: [u8; 8] = std::array::from_fn(|at| word.get(at).copied().unwrap_or(0));
            (super::token::has_digit(word), u64::from_be_bytes(start), number)
        };
        let mut keys: Vec<_> = (0..self.ends.len() as u32).map(key).collect();
        keys.sort_unstable_by(|a, b| {
            (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| self.get(a.2).cmp(self.get(b.2)))
        });
        keys.into_iter().map(|(digits, _, number)| (digits, number)).collect()
    }
}

fn word<'a>(bytes: &'a [u8], ends: &[u32], number: u32) -> &'a [u8] {
    let number = number as usize;
    let start = if number > 0 { ends[number - 1] } else { 0 };
    &bytes[start as usize..ends[number] as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_numbered_once_and_sorted_with_digits_last() {
        let mut words = Words::default();
        for text in ["request", "a1", "requests", "abcdefgh", "abcdefghi", "7", "abcdefg"] {
            assert_eq!(words.find(text.as_bytes()), None);
            let number = words.add(text.as_bytes());
            assert_eq!((words.find(text.as_bytes()), words.get(number)), (Some(number), text.as_bytes()));
        }
        let sorted: Vec<_> = words.sorted().iter().map(|&(_, number)| words.get(number).to_vec()).collect();
        let wanted = ["abcdefg", "abcdefgh", "abcdefghi", "request", "requests", "7", "a1"];
        assert_eq!(sorted, wanted.map(|word| word.as_bytes().to_vec()));
        for n in 0..10_000 {
            words.add(format!("x{n}").as_bytes());
        }
        assert_eq!((words.find(b"x4711"), words.len()), (Some(7 + 4711), 10_007));
    }
}

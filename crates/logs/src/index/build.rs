//! Makes an index.

use std::io;

use super::{
    LineSet, MAGIC, OPAQUE, code, level_word,
    signature::Signature,
    token::{MAX_TOKEN, tokens},
    words::Words,
};
use crate::{level::Level, zst::Press};

/// Words of one segment, at most; lines with further ones are read by every query.
const MAX_TOKENS: usize = 1 << 18;
/// And how often they stand in lines, all together.
const MAX_PLACES: usize = 1 << 22;
/// Bytes of words, or of their lines, that are read in one go, about.
const BLOCK: usize = 32 << 10;

/// Takes the lines of a segment in their order.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    words: Words,
    /// By the number of the word: how many lines have the word, and the number after the last of them.
    seen: Vec<(u32, u32)>,
    /// Word and line, in the order of the lines.
    places: Vec<(u32, u32)>,
    lines: u32,
}

impl Builder {
    /// The next line, folded.
    pub(crate) fn line(&mut self, folded: &[u8], level: Level) {
        let mut all_known = true;
        for token in tokens(folded) {
            all_known &= token.len() <= MAX_TOKEN && self.place(token, MAX_TOKENS, MAX_PLACES);
        }
        // These have to be in it, however full it is.
        self.place(&level_word(level), usize::MAX, usize::MAX);
        if !all_known {
            self.place(OPAQUE, usize::MAX, usize::MAX);
        }
        self.lines += 1;
    }

    /// Whether there was room for it.
    fn place(&mut self, token: &[u8], max_tokens: usize, max_places: usize) -> bool {
        if self.places.len() >= max_places {
            return false;
        }
        let word = match self.words.find(token) {
            Some(word) => word,
            None if self.words.len() >= max_tokens => return false,
            None => {
                self.seen.push((0, 0));
                self.words.add(token)
            }
        };
        let (lines, next) = &mut self.seen[word as usize];
        if *next <= self.lines {
            (*lines, *next) = (*lines + 1, self.lines + 1);
            self.places.push((word, self.lines));
        }
        true
    }

    /// The file.
    ///
    /// # Errors
    /// Compression failed.
    pub(crate) fn finish(self, press: &mut Press) -> io::Result<Vec<u8>> {
        let Self { words, seen, places, lines } = self;
        // The lines of each word, one word after the other.
        let mut ends = Vec::with_capacity(seen.len());
        let mut next = 0;
        for (count, _) in &seen {
            ends.push(next);
            next += count;
        }
        let mut by_word = vec![0; places.len()];
        for (word, line) in places {
            let end = &mut ends[word as usize];
            by_word[*end as usize] = line;
            *end += 1;
        }
        let lines_of = |word: u32| {
            let end = ends[word as usize] as usize;
            &by_word[end - seen[word as usize].0 as usize..end]
        };
        let sorted = words.sorted();
        let mut file = File { press, directory: Vec::new(), body: Vec::new() };
        code::put(&mut file.directory, u64::from(lines));
        file.texts(&words, &sorted)?;
        file.postings(sorted.iter().map(|&(_, word)| lines_of(word)), lines)?;
        let mut signature = Signature::new();
        let with_digits = sorted.iter().filter(|(digits, _)| *digits);
        with_digits.for_each(|&(_, word)| signature.add(words.get(word)));
        file.directory.extend_from_slice(signature.bytes());
        file.finish()
    }
}

/// What the file is put together from.
struct File<'a> {
    press: &'a mut Press,
    directory: Vec<u8>,
    body: Vec<u8>,
}

impl File<'_> {
    /// All words, those without digits first: blocks of them, a line each.
    fn texts(&mut self, words: &Words, sorted: &[(bool, u32)]) -> io::Result<()> {
        let mut blocks = Vec::new();
        let mut count = 0;
        let mut rest = sorted;
        while let Some(&(digits, first)) = rest.first() {
            let first = words.get(first);
            let mut text = vec![b'\n'];
            let mut taken = 0;
            for &(_, word) in rest.iter().take_while(|(other, _)| *other == digits) {
                text.extend_from_slice(words.get(word));
                text.push(b'\n');
                taken += 1;
                if text.len() >= BLOCK {
                    break;
                }
            }
            for number in [taken as u64, u64::from(digits), first.len() as u64] {
                code::put(&mut blocks, number);
            }
            blocks.extend_from_slice(first);
            self.block(&text, &mut blocks)?;
            rest = &rest[taken..];
            count += 1;
        }
        code::put(&mut self.directory, count);
        self.directory.extend_from_slice(&blocks);
        Ok(())
    }

    /// The lines of all words, in the order of the words.
    fn postings<'a>(&mut self, words: impl Iterator<Item = &'a [u32]>, lines: u32) -> io::Result<()> {
        let mut blocks = Vec::new();
        let mut count = 0;
        let (mut raw, mut taken, mut before) = (Vec::new(), 0, 0);
        let mut words = words.peekable();
        while let Some(of_word) = words.next() {
            put_lines(&mut raw, of_word, lines, &mut before);
            taken += 1;
            if raw.len() >= BLOCK || words.peek().is_none() {
                code::put(&mut blocks, taken);
                self.block(&raw, &mut blocks)?;
                raw.clear();
                (taken, before) = (0, 0);
                count += 1;
            }
        }
        code::put(&mut self.directory, count);
        self.directory.extend_from_slice(&blocks);
        Ok(())
    }

    fn block(&mut self, raw: &[u8], directory: &mut Vec<u8>) -> io::Result<()> {
        let length = self.press.frame(raw, &mut self.body)?;
        code::put(directory, u64::from(length));
        code::put(directory, raw.len() as u64);
        Ok(())
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        let mut file = MAGIC.to_vec();
        let mut directory = Vec::new();
        let length = self.press.frame(&self.directory, &mut directory)?;
        file.extend_from_slice(&length.to_le_bytes());
        file.extend_from_slice(&(self.directory.len() as u32).to_le_bytes());
        file.extend_from_slice(&directory);
        file.extend_from_slice(&self.body);
        Ok(file)
    }
}

/// The lines of one word: how many, then the distances between them, or between those that do not have it where
/// these are fewer. The first is told from the first of the word before, `before`: numbers that count up stand in
/// lines that do.
fn put_lines(raw: &mut Vec<u8>, of_word: &[u32], lines: u32, before: &mut u32) {
    code::put(raw, of_word.len() as u64);
    let missing: Vec<u32>;
    let mut told = of_word;
    if of_word.len() as u32 > lines / 2 {
        let mut all = LineSet::all(lines);
        let mut some = LineSet::none(lines);
        of_word.iter().for_each(|&line| some.add(line));
        all.without(&some);
        missing = (0..lines).filter(|&line| all.has(line)).collect();
        told = &missing;
    }
    let Some(&first) = told.first() else { return };
    code::put_signed(raw, i64::from(first) - i64::from(*before));
    *before = first;
    for pair in told.windows(2) {
        code::put(raw, u64::from(pair[1] - pair[0] - 1));
    }
}

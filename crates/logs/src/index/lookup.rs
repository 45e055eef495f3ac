//! Reads an index.

use std::{io, ops::Range, path::PathBuf, sync::Arc};

use memchr::memmem;

use super::{
    LineSet, MAGIC, OPAQUE,
    code::Numbers,
    level_word,
    signature::Signature,
    token::{Piece, has_digit},
};
use crate::{
    blocks::{BlockFile, FileId},
    level::{Level, LevelSet},
    zst::{damaged, expand},
};

const START: usize = MAGIC.len() + 8;

/// An index, open.
#[derive(Debug)]
pub(crate) struct Index {
    file: BlockFile,
    lines: u32,
    texts: Vec<TextBlock>,
    postings: Vec<Block>,
    signature: Signature,
}

/// Some words or their lines.
#[derive(Debug)]
struct Block {
    /// The numbers of the words.
    words: Range<u32>,
    /// Where it is in the file.
    at: u64,
    packed: u32,
    raw: u32,
}

#[derive(Debug)]
struct TextBlock {
    block: Block,
    digits: bool,
    first: Vec<u8>,
}

impl Index {
    /// # Errors
    /// There is none, it cannot be read, or (as [`io::ErrorKind::InvalidData`]) it is damaged or of another version.
    pub(crate) fn open(path: PathBuf, id: Option<FileId>) -> io::Result<Self> {
        let mut index = Self {
            file: BlockFile::new(path, id),
            lines: 0,
            texts: Vec::new(),
            postings: Vec::new(),
            signature: Signature::new(),
        };
        let directory = index.file.description(directory)?;
        let (body, directory) = directory.split_at_checked(8).ok_or(damaged("an index is damaged"))?;
        let body = u64::from_le_bytes(std::array::from_fn(|at| body[at]));
        index
            .read(&mut Numbers::new(directory), body)
            .ok_or(damaged("the directory of an index is damaged"))?;
        Ok(index)
    }

    fn read(&mut self, numbers: &mut Numbers<'_>, mut at: u64) -> Option<()> {
        self.lines = numbers.get_u32()?;
        let mut block = |numbers: &mut Numbers<'_>, first: u32, words: u32| {
            let (packed, raw) = (numbers.get_u32()?, numbers.get_u32()?);
            let block = Block { words: first..first.checked_add(words)?, at, packed, raw };
            at += u64::from(packed);
            Some(block)
        };
        let mut next = 0;
        for _ in 0..numbers.get()? {
            let (words, digits, length) = (numbers.get_u32()?, numbers.get()? == 1, numbers.get()?);
            let first = numbers.take(usize::try_from(length).ok()?)?.to_vec();
            let block = block(numbers, next, words)?;
            next = block.words.end;
            self.texts.push(TextBlock { block, digits, first });
        }
        next = 0;
        for _ in 0..numbers.get()? {
            let words = numbers.get_u32()?;
            let block = block(numbers, next, words)?;
            next = block.words.end;
            self.postings.push(block);
        }
        self.signature = Signature::from_bytes(numbers.take(Signature::LEN)?)?;
        numbers.is_at_end().then_some(())
    }

    /// How many lines the segment has.
    pub(crate) fn lines(&self) -> u32 {
        self.lines
    }

    /// The lines that hold a word which is not in the index.
    pub(crate) fn opaque(&self) -> io::Result<LineSet> {
        self.find(&Piece::whole(OPAQUE))
    }

    /// The lines of these levels.
    pub(crate) fn levels(&self, levels: LevelSet) -> io::Result<LineSet> {
        let mut found = LineSet::none(self.lines);
        for level in Level::ALL.into_iter().filter(|&level| levels.contains(level)) {
            found.or(&self.find(&Piece::whole(&level_word(level)))?);
        }
        Ok(found)
    }

    /// The lines with a word in the index that has this piece.
    pub(super) fn find(&self, piece: &Piece) -> io::Result<LineSet> {
        let words = self.words(piece)?;
        let mut found = LineSet::none(self.lines);
        let mut at = 0;
        for block in &self.postings {
            let here = words[at..].partition_point(|&word| word < block.words.end);
            let wanted = &words[at..at + here];
            if !wanted.is_empty() {
                let raw = self.expand(block)?;
                read_lines(&raw, block.words.start, wanted, &mut found)
                    .ok_or(damaged("an index is damaged"))?;
            }
            at += here;
        }
        Ok(found)
    }

    /// The numbers of all words that have this piece.
    fn words(&self, piece: &Piece) -> io::Result<Vec<u32>> {
        let only_with_digits = has_digit(&piece.text);
        let with_digits = self.signature.may_hold(&piece.text);
        let mut pattern = piece.text.clone();
        if piece.from_start {
            pattern.insert(0, b'\n');
        }
        if piece.to_end {
            pattern.push(b'\n');
        }
        let finder = memmem::Finder::new(&pattern);
        let mut words = Vec::new();
        for (index, text) in self.texts.iter().enumerate() {
            let possible = if text.digits { with_digits } else { !only_with_digits };
            if possible && !(piece.from_start && self.beyond(index, &piece.text)) {
                find_words(&self.expand(&text.block)?, &finder, piece, text.block.words.start, &mut words);
            }
        }
        Ok(words)
    }

    /// Whether no word of this block can begin with `text`: words are sorted.
    fn beyond(&self, index: usize, text: &[u8]) -> bool {
        let this = &self.texts[index];
        let after = self.texts.get(index + 1).filter(|next| next.digits == this.digits);
        let starts = |first: &[u8]| &first[..first.len().min(text.len())] > text;
        starts(&this.first) || after.is_some_and(|next| next.first.as_slice() < text)
    }

    fn expand(&self, block: &Block) -> io::Result<Arc<Vec<u8>>> {
        self.file.expand(block.at, block.packed, block.raw)
    }
}

/// Where the blocks of an index begin, and then its directory.
fn directory(file: &BlockFile) -> io::Result<Vec<u8>> {
    let start = file.read(0, START).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("an index is too short"),
        _ => error,
    })?;
    if start[..MAGIC.len()] != MAGIC {
        return Err(damaged("an index is none, or of another version"));
    }
    let number = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| start[at + i]));
    let (packed, raw) = (number(MAGIC.len()), number(MAGIC.len() + 4));
    let body = START as u64 + u64::from(packed);
    if body > file.len()? || raw > 64 << 20 {
        return Err(damaged("the directory of an index is damaged"));
    }
    let mut directory = body.to_le_bytes().to_vec();
    directory.append(&mut expand(&file.read(START as u64, packed as usize)?, raw)?);
    Ok(directory)
}

/// Adds the numbers of the words of a block that match. A word stands between two line ends.
fn find_words(text: &[u8], finder: &memmem::Finder<'_>, piece: &Piece, first: u32, words: &mut Vec<u32>) {
    // The number of the word that begins after the line end before `counted`.
    let (mut counted, mut number) = (1, first);
    let mut from = 0;
    while let Some(found) = finder.find(&text[from..]) {
        let at = from + found + usize::from(piece.from_start);
        number += memchr::memchr_iter(b'\n', &text[counted..at]).count() as u32;
        counted = at;
        words.push(number);
        // On to the line end after this word, which may be the one before the next.
        from = at + memchr::memchr(b'\n', &text[at..]).unwrap_or(0);
    }
}

/// Adds the lines of the `wanted` words of a block, whose first has the number `first`.
fn read_lines(raw: &[u8], first: u32, wanted: &[u32], found: &mut LineSet) -> Option<()> {
    let lines = found.lines();
    let mut numbers = Numbers::new(raw);
    let mut before = 0;
    let mut word = first;
    for &next in wanted {
        while word < next {
            pass_lines(&mut numbers, lines, &mut before, |_| ())?;
            word += 1;
        }
        if numbers.clone().get_u32()? > lines / 2 {
            let mut missing = LineSet::none(lines);
            pass_lines(&mut numbers, lines, &mut before, |line| missing.add(line))?;
            let mut all = LineSet::all(lines);
            all.without(&missing);
            found.or(&all);
        } else {
            pass_lines(&mut numbers, lines, &mut before, |line| found.add(line))?;
        }
        word += 1;
    }
    Some(())
}

/// Hands out the lines that are told of one word.
fn pass_lines(
    numbers: &mut Numbers<'_>,
    lines: u32,
    before: &mut u32,
    mut hand_out: impl FnMut(u32),
) -> Option<()> {
    let count = numbers.get_u32()?;
    let told = if count > lines / 2 { lines.checked_sub(count)? } else { count };
    if told == 0 {
        return Some(());
    }
    let mut line = u32::try_from(i64::from(*before) + numbers.get_signed()?).ok()?;
    *before = line;
    hand_out(line);
    for _ in 1..told {
        line = line.checked_add(numbers.get_u32()?)?.checked_add(1)?;
        hand_out(line);
    }
    Some(())
}

//! Packs a segment.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::{ENTRY, FOOTER, OURS, SEEK_TABLE, SEEKABLE, SKIPPABLE, Summary, index_path, marks, pack_path};
use crate::{
    fold::fold,
    index::Builder,
    line::Stream,
    segment::{
        SegmentView,
        block::{Block, Text},
        mark::Mark,
        read::{Direction, Reader},
    },
    zst::{Press, damaged},
};

/// Bytes of lines in a frame, about: a shorter one compresses worse, a longer one takes longer to read a line of.
const FRAME: usize = 64 << 10;

/// A segment that was packed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed {
    pub(crate) summary: Summary,
    /// Bytes of its files.
    pub(crate) size: u64,
}

/// Packs a closed segment: when this returns, the packed file is there for good. The raw files stay.
///
/// # Errors
/// The segment can't be read or the files not written; then nothing is left of them.
pub(crate) fn pack(view: SegmentView) -> io::Result<Packed> {
    let (dir, stream, base) = (view.dir.clone(), view.stream, view.segment.base);
    let (path, index) = (pack_path(&dir, stream, base), index_path(&dir, stream, base));
    let mut packing = Packing::new(stream)?;
    let summary = packing.run(view)?;
    let (summary, text, words) = packing.finish(summary)?;
    write(&path, &text, true)?;
    // It is made again when this fails.
    let indexed = write(&index, &words, false).is_ok();
    File::open(&*dir)?.sync_all()?;
    let size = text.len() + if indexed { words.len() } else { 0 };
    Ok(Packed { summary, size: size as u64 })
}

/// Makes the index of a segment anew, wherever its lines are.
///
/// # Errors
/// The segment can't be read or the file not written.
pub(crate) fn reindex(view: SegmentView) -> io::Result<()> {
    let path = index_path(&view.dir, view.stream, view.segment.base);
    let mut packing = Packing::new(view.stream)?;
    packing.run(view)?;
    let words = packing.index.finish(&mut packing.press)?;
    write(&path, &words, false)
}

/// Puts a file in its place in one step.
fn write(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    let unfinished = path.with_extension("tmp");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            if sync { file.sync_all() } else { Ok(()) }
        })
        .and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// What is made of a segment.
struct Packing {
    stream: Stream,
    press: Press,
    index: Builder,
    /// Frames, and then what follows them.
    text: Vec<u8>,
    /// Lines of the next frame.
    frame: Vec<u8>,
    /// Packed and raw length of each frame.
    frames: Vec<[u32; 2]>,
    marks: Vec<Mark>,
    folded: Vec<u8>,
}

impl Packing {
    fn new(stream: Stream) -> io::Result<Self> {
        Ok(Self {
            stream,
            press: Press::new()?,
            index: Builder::default(),
            text: Vec::new(),
            frame: Vec::new(),
            frames: Vec::new(),
            marks: Vec::new(),
            folded: Vec::new(),
        })
    }

    fn run(&mut self, view: SegmentView) -> io::Result<Summary> {
        let segment = view.segment.clone();
        let mut reader = Reader::new(view, Direction::On)?;
        for index in 0..reader.marks() {
            let mut left = Some(reader.block(index)?);
            while let Some(block) = left {
                let (text, rest) = reader.read_some(&block)?;
                left = rest;
                self.add(&text, &block, rest.as_ref(), reader.mark(index)?)?;
            }
        }
        self.end_frame()?;
        if self.marks.last().map_or(0, |last| u64::from(last.done)) != segment.len {
            return Err(damaged("a closed segment ends within a line"));
        }
        let before = self.marks.len().checked_sub(2).map_or(0, |index| self.marks[index].lines);
        let last = self.marks.last().copied().unwrap_or(segment.last);
        let walls = self.marks.iter().map(|mark| mark.wall);
        Ok(Summary {
            header: segment.header(),
            last,
            len: segment.len,
            written: segment.written,
            from: walls.clone().min().unwrap_or(segment.begun),
            to: walls.max().unwrap_or(segment.begun),
            end_seq: last.seq + u64::from(last.lines.saturating_sub(before)),
            marks: self.marks.len() as u32,
            marks_packed: 0,
            marks_raw: 0,
        })
    }

    /// Some lines: the first of `block`, of which `rest` is left, and all of which `mark` describes.
    fn add(&mut self, text: &Text, block: &Block, rest: Option<&Block>, mark: Mark) -> io::Result<()> {
        if !self.frame.is_empty() && self.frame.len() + text.bytes().len() > FRAME {
            self.end_frame()?;
        }
        self.frame.extend_from_slice(text.bytes());
        for at in 0..text.len() {
            let line = text.line(at);
            self.folded.clear();
            self.folded.extend_from_slice(line.bytes);
            fold(&mut self.folded);
            self.index.line(&self.folded, line.level(self.stream));
        }
        let lines = self.marks.last().map_or(0, |last| last.lines) + text.len() as u32;
        let described = match rest {
            Some(rest) => Mark { done: rest.start, lines, context: rest.context, ..mark },
            None => Mark { lines, ..mark },
        };
        self.marks.push(Mark { seq: block.seq, ..described });
        Ok(())
    }

    fn end_frame(&mut self) -> io::Result<()> {
        if !self.frame.is_empty() {
            let packed = self.press.frame(&self.frame, &mut self.text)?;
            self.frames.push([packed, self.frame.len() as u32]);
            self.frame.clear();
        }
        Ok(())
    }

    /// The whole summary, the packed file, and the index.
    fn finish(mut self, summary: Summary) -> io::Result<(Summary, Vec<u8>, Vec<u8>)> {
        let words = std::mem::take(&mut self.index).finish(&mut self.press)?;
        let raw = marks::encode(&self.marks);
        let mut packed = Vec::new();
        let summary = Summary {
            marks_packed: self.press.frame(&raw, &mut packed)?,
            marks_raw: raw.len() as u32,
            ..summary
        };
        skippable(&mut self.text, OURS, &packed);
        skippable(&mut self.text, OURS, &summary.encode());
        let mut table = Vec::with_capacity(SKIPPABLE + self.frames.len() * ENTRY + FOOTER);
        for number in self.frames.iter().flatten() {
            table.extend_from_slice(&number.to_le_bytes());
        }
        table.extend_from_slice(&(self.frames.len() as u32).to_le_bytes());
        table.push(0);
        table.extend_from_slice(&SEEKABLE.to_le_bytes());
        skippable(&mut self.text, SEEK_TABLE, &table);
        Ok((summary, self.text, words))
    }
}

/// A frame that a decoder passes over (RFC 8878, 3.1.2).
fn skippable(bytes: &mut Vec<u8>, magic: u32, content: &[u8]) {
    bytes.extend_from_slice(&magic.to_le_bytes());
    bytes.extend_from_slice(&(content.len() as u32).to_le_bytes());
    bytes.extend_from_slice(content);
}

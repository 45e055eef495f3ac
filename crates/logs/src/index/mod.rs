//! Which lines of a closed segment hold a word, without reading them.
//!
//! ```text
//!  line ─ fold ─► tokens ─► Builder ─► stdout-….idx ─► Index ─ Piece ─► LineSet
//!                                       │ words, sorted: those without digits, then those with
//!                                       └ for each: the lines it is in
//! ```
//!
//! A word is looked for wherever it stands, also within another one: the list of all words of a segment is short
//! and is searched for it, then the lines of all that match are put together. So an index gives the answer that
//! reading would, and what it cannot know (very long words, words beyond a number) it says: those lines are to be
//! read. One that is missing or damaged costs time and no answer; it is made again from its segment.

mod build;
pub(crate) mod code;
mod lines;
mod lookup;
mod plan;
mod signature;
mod token;
mod words;

pub(crate) use build::Builder;
pub(crate) use lines::LineSet;
pub(crate) use lookup::Index;
pub(crate) use plan::{Hits, Plan};
use token::{Piece, pieces};

use crate::level::Level;

/// The word that stands for a level. No text has it: it is not made of a text's characters.
fn level_word(level: Level) -> [u8; 1] {
    [0x03 + level as u8]
}

/// The word of all lines that hold a word which is not in the index.
const OPAQUE: &[u8] = &[0x02];

/// What an index file begins with; the last byte is the version of all that it depends on: how words are cut and
/// folded, how levels are found, how it is written.
const MAGIC: [u8; 8] = *b"tmtidx\0\x02";

#[cfg(test)]
mod tests;

//! What a query asks of an index.

use std::io;

use super::{Index, LineSet, Piece, pieces};
use crate::level::LevelSet;

/// What lines must have.
#[derive(Debug)]
pub(crate) struct Plan {
    levels: LevelSet,
    texts: Vec<Wanted>,
    /// Nothing else is asked for.
    complete: bool,
}

#[derive(Debug)]
struct Wanted {
    pieces: Vec<Piece>,
    /// A line with the pieces has the text.
    exact: bool,
    /// A line may have escapes in place of its characters.
    escaped: bool,
}

/// Lines of a segment.
#[derive(Debug)]
pub(crate) struct Hits {
    /// These have all that is asked for.
    pub(crate) sure: LineSet,
    /// These may, those among them; no other does.
    pub(crate) maybe: LineSet,
    /// They are the same.
    pub(crate) settled: bool,
}

/// So few lines are read sooner than further pieces looked up.
const FEW: u64 = 2;

impl Plan {
    /// For lines of these `levels` that have all `texts`, and all `in_json`, perhaps with characters written as JSON
    /// may write them; both are folded. `complete`: such lines have all that is asked for; otherwise they have to be
    /// read.
    pub(crate) fn new(levels: LevelSet, texts: &[Vec<u8>], in_json: &[Vec<u8>], complete: bool) -> Self {
        let wanted = |text: &Vec<u8>, escaped: bool| {
            let (pieces, exact) = pieces(text);
            Wanted { pieces, exact: exact && !escaped, escaped }
        };
        let texts = texts.iter().map(|text| wanted(text, false));
        let texts = texts.chain(in_json.iter().map(|text| wanted(text, true))).collect();
        Self { levels, texts, complete }
    }

    /// Whether an index is of no use for it.
    pub(crate) fn is_empty(&self) -> bool {
        self.levels == LevelSet::ALL && self.texts.iter().all(|wanted| wanted.pieces.is_empty())
    }

    /// The lines of a segment, by its index.
    pub(crate) fn hits(&self, index: &Index) -> io::Result<Hits> {
        let mut maybe = if self.levels == LevelSet::ALL {
            LineSet::all(index.lines())
        } else {
            index.levels(self.levels)?
        };
        let opaque = index.opaque()?;
        // The longest say most.
        let mut pieces: Vec<(&Piece, bool)> = Vec::new();
        for wanted in &self.texts {
            pieces.extend(wanted.pieces.iter().map(|piece| (piece, wanted.escaped)));
        }
        pieces.sort_by_key(|(piece, _)| std::cmp::Reverse(piece.len()));
        let mut sure = maybe.clone();
        let mut looked_up = 0;
        for (piece, escaped) in &pieces {
            if maybe.count_before(u32::MAX) <= FEW {
                break;
            }
            looked_up += 1;
            let mut found = index.find(piece)?;
            sure.and(&found);
            found.or(&opaque);
            if *escaped {
                found.or(&index.find(&Piece::escape())?);
            }
            maybe.and(&found);
        }
        let all = looked_up == pieces.len() && self.complete;
        if !all || self.texts.iter().any(|wanted| !wanted.exact) {
            sure = LineSet::none(index.lines());
        }
        sure.and(&maybe);
        let settled = sure == maybe;
        Ok(Hits { sure, maybe, settled })
    }
}

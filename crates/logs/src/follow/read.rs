//! Reading on from a place in an instance.

use std::{io, sync::Arc};

use tenement_core::time::Millis;
use tenement_runtime::clock;

use super::{
    ATTEMPTS, RESUMED,
    batch::Batch,
    recent::{Piece, Recent, SharedLine},
};
use crate::{
    instance::Instance,
    line::{Part, Stream},
    query::{Filter, QueryError},
    segment::{Block, Onward, is_stale},
};

type Shared = Batch<SharedLine>;

/// Who is so far behind, in lines, does not read for the others.
const NEAR: u64 = 4096;
/// The most bytes that are read for all at once.
const FILL: usize = 256 << 10;
/// What was read for all so recently does for who comes now, even when there is more.
const FRESH: u64 = 4;

/// Reads what an instance has from `place` on, and moves it. More than `bound` lines are passed over.
pub(super) fn read_on(
    instance: &Instance,
    filter: &Filter,
    bound: u64,
    place: &mut u64,
    batch: &mut Shared,
) -> Result<(), QueryError> {
    let mut next_seq = *place;
    for _ in 0..ATTEMPTS {
        match read_once(instance, filter, bound, place, batch, &mut next_seq) {
            Err(error) if is_stale(&error) => {}
            read => return Ok(read?),
        }
    }
    let lines = next_seq.saturating_sub(*place);
    batch.dropped(instance, lines);
    *place = next_seq;
    Ok(())
}

fn read_once(
    instance: &Instance,
    filter: &Filter,
    bound: u64,
    place: &mut u64,
    batch: &mut Shared,
    next_seq: &mut u64,
) -> io::Result<()> {
    let snapshot = instance.described();
    *next_seq = snapshot.next_seq;
    let pass_to = |place: &mut u64, seq: u64, batch: &mut Shared| {
        batch.dropped(instance, seq.saturating_sub(*place));
        *place = seq.max(*place);
    };
    if snapshot.next_seq.saturating_sub(*place) > bound {
        pass_to(place, snapshot.next_seq - RESUMED, batch);
    }
    let mut streams = Streams::new(snapshot.segments, *place)?;
    loop {
        let Some((index, block)) = streams.first() else {
            // Nothing is left of what came before, and what comes next is not there yet.
            pass_to(place, snapshot.next_seq, batch);
            return Ok(());
        };
        pass_to(place, block.seq, batch);
        if read_some(instance, (Stream::ALL[index], &mut streams.0[index], &block), filter, place, batch)? {
            return Ok(());
        }
    }
}

/// Both streams of an instance, from a place on.
pub(super) struct Streams([Onward; 2]);

impl Streams {
    pub(super) fn new(segments: [Vec<crate::segment::SegmentView>; 2], place: u64) -> io::Result<Self> {
        let [out, err] = segments;
        Ok(Self([Onward::new(out, place)?, Onward::new(err, place)?]))
    }

    /// Which has the next block, and that.
    pub(super) fn first(&self) -> Option<(usize, Block)> {
        let first = |index: &usize| self.0[*index].peek().map_or(u64::MAX, |block| block.seq);
        let index = usize::from(first(&1) < first(&0));
        self.0[index].peek().map(|&block| (index, block))
    }
}

/// Reads some lines of a block of a stream. Whether there is no more room.
fn read_some(
    instance: &Instance,
    (stream, onward, block): (Stream, &mut Onward, &Block),
    filter: &Filter,
    place: &mut u64,
    batch: &mut Shared,
) -> io::Result<bool> {
    let end = block.seq + block.lines;
    if !filter.wants(stream) || !filter.may_hold(block) {
        *place = end;
        return onward.advance().map(|()| false);
    }
    if batch.is_full() {
        return Ok(true);
    }
    let Some(text) = onward.read()? else {
        batch.dropped(instance, end.saturating_sub(*place));
        *place = end;
        return onward.advance().map(|()| false);
    };
    let end = block.seq + text.len() as u64;
    batch.looked_at(text.bytes().len());
    if filter.may_match(&text) {
        let from = usize::try_from(place.saturating_sub(block.seq)).unwrap_or(usize::MAX);
        for index in from..text.len() {
            let line = text.line(index);
            debug_assert!(line.part != Part::Open, "a mark describes lines that have ended");
            *place = line.seq + 1;
            if filter.passes(stream, &line) {
                batch.push(line.of(&instance.name, stream, text.wall));
                if batch.is_full() {
                    return Ok(true);
                }
            }
        }
    }
    *place = end.max(*place);
    Ok(false)
}

/// What several readers of an instance share. `false`: whoever asks is too far from its end, and reads for itself.
pub(super) fn read_near(
    instance: &Instance,
    filter: &Filter,
    place: &mut u64,
    batch: &mut Shared,
) -> Result<bool, QueryError> {
    let next_seq = instance.next_seq();
    if next_seq.saturating_sub(*place) > NEAR {
        return Ok(false);
    }
    let pieces = {
        let mut recent = instance.recent();
        let known = recent.from(*place);
        let end = recent.span().map_or(0, |(_, end)| end);
        let fresh = clock::now() < Millis(recent.filled.0 + FRESH);
        match known {
            Some(pieces) if fresh || end >= next_seq => pieces,
            _ => match fill(instance, &mut recent, *place) {
                Err(error) if is_stale(&error) => return Ok(false),
                filled => {
                    filled?;
                    let Some(pieces) = recent.from(*place) else { return Ok(false) };
                    pieces
                }
            },
        }
    };
    for piece in &pieces {
        if hand_out(piece, filter, place, batch) {
            break;
        }
    }
    Ok(true)
}

/// Whether a cheap look at what is shared is enough for now, and what it has. Never waits for the disk.
pub(super) fn look(instance: &Instance, filter: &Filter, place: &mut u64, batch: &mut Shared) -> bool {
    let Some(recent) = instance.try_recent() else { return false };
    let end = recent.span().map_or(0, |(_, end)| end);
    let fresh = clock::now() < Millis(recent.filled.0 + FRESH);
    let Some(pieces) = recent.from(*place).filter(|_| fresh || end >= instance.next_seq()) else {
        return false;
    };
    drop(recent);
    for piece in &pieces {
        if hand_out(piece, filter, place, batch) {
            break;
        }
    }
    true
}

/// Reads what comes after what is known, or from `place` on when nothing is known of that.
fn fill(instance: &Instance, recent: &mut Recent, place: u64) -> io::Result<()> {
    let snapshot = instance.described();
    recent.filled = clock::now();
    let mut next = match recent.span() {
        Some((first, end)) if (first..=end).contains(&place) && snapshot.next_seq - end <= NEAR => end,
        _ => {
            recent.clear();
            place
        }
    };
    let (mut streams, mut read) = (Streams::new(snapshot.segments, next)?, 0);
    while read < FILL
        && let Some((index, block)) = streams.first()
        && block.seq <= next
    {
        // What can't be read is passed over by each, who counts it.
        let Some(text) = streams.0[index].read()? else { break };
        read += text.bytes().len();
        let Some(piece) = Piece::new(&instance.name, Stream::ALL[index], text) else { break };
        next = piece.end();
        recent.push(Arc::new(piece));
    }
    Ok(())
}

/// The lines of a piece from `place` on that are asked for. Whether there is no more room.
fn hand_out(piece: &Arc<Piece>, filter: &Filter, place: &mut u64, batch: &mut Shared) -> bool {
    if batch.is_full() {
        return true;
    }
    let text = piece.text();
    batch.looked_at(text.bytes().len());
    if filter.wants(piece.stream) && filter.in_time(text.wall) && filter.may_match(text) {
        let from = usize::try_from(place.saturating_sub(piece.seq())).unwrap_or(usize::MAX);
        for index in from..text.len() {
            let line = text.line(index);
            *place = line.seq + 1;
            if filter.passes_as(&line, || piece.level(index, &line)) {
                batch.push_shared(SharedLine::of(piece, index), piece.room(line.bytes.len()));
                if batch.is_full() {
                    return true;
                }
            }
        }
    }
    *place = piece.end().max(*place);
    false
}

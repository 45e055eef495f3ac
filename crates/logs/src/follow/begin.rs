//! Where a follower begins.

use std::{collections::BTreeMap, io};

use tenement_core::{name::InstanceName, time::WallMillis};

use super::{ATTEMPTS, bookmark::Place, read::Streams};
use crate::{
    instance::Instance,
    segment::{Onward, is_stale},
};

/// Where a follower begins.
#[derive(Clone, Debug, Default)]
pub enum Begin {
    /// With the lines from now on.
    #[default]
    Now,
    /// With the newest so many lines.
    Newest(usize),
    /// With these lines of these instances, however many follow them. A place after the last line is one of an
    /// instance that was erased and made anew: then with its first.
    From {
        /// The next line of each.
        places: BTreeMap<InstanceName, u64>,
        /// Of the others: with lines not before.
        since: Option<WallMillis>,
    },
    /// The same, with places that tell an instance from one that was made anew.
    At {
        /// The next line of each.
        places: BTreeMap<InstanceName, Place>,
        /// Of the others: with lines not before.
        since: Option<WallMillis>,
    },
}

/// Where a place is now: 0 in an instance that was made anew.
pub(super) fn find_place(instance: &Instance, place: Place) -> io::Result<u64> {
    if place.seq > instance.next_seq() {
        return Ok(0);
    }
    let Some(after) = place.after else { return Ok(place.seq) };
    patiently(place.seq, || Ok(if is_another(instance, place.seq, after)? { 0 } else { place.seq }))
}

/// Whether the line before `seq` is none that arrived at `after`, and all of them are younger. One alone says little:
/// a power cut may take the times of lines, and clocks are set back.
fn is_another(instance: &Instance, seq: u64, after: WallMillis) -> io::Result<bool> {
    let Some(last) = seq.checked_sub(1) else { return Ok(false) };
    let first = |place| {
        let streams = Streams::new(instance.described().segments, place)?;
        io::Result::Ok(streams.first().map(|(_, block)| block).filter(|block| block.seq <= last))
    };
    let Some(oldest) = first(0)? else { return Ok(false) };
    Ok(oldest.wall > after && first(last)?.is_some_and(|block| block.wall != after))
}

/// The first line of an instance that is not before; the next one where there is none.
pub(super) fn first_since(instance: &Instance, since: Option<WallMillis>) -> io::Result<u64> {
    let Some(since) = since else { return Ok(0) };
    if instance.is_silent_since(since) {
        return Ok(instance.next_seq());
    }
    patiently(0, || find_since(instance, since))
}

fn find_since(instance: &Instance, since: WallMillis) -> io::Result<u64> {
    let snapshot = instance.snapshot();
    let mut first = snapshot.next_seq;
    for segments in snapshot.segments {
        let mut onward = Onward::new(segments, 0)?;
        while let Some(block) = onward.peek().filter(|block| block.seq < first) {
            if block.wall >= since {
                first = block.seq;
            } else {
                onward.advance()?;
            }
        }
    }
    Ok(first)
}

/// Looks until nothing moves meanwhile.
fn patiently(otherwise: u64, find: impl Fn() -> io::Result<u64>) -> io::Result<u64> {
    for _ in 0..ATTEMPTS {
        match find() {
            Err(error) if is_stale(&error) => {}
            found => return found,
        }
    }
    Ok(otherwise)
}

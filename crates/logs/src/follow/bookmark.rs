//! Where a reader goes on that comes again, as text that it keeps.
//!
//! Places of the instances it has seen something of, and a time for all others: of those it has seen nothing since.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use tenement_core::{name::InstanceName, time::WallMillis};

use super::recent::SharedLine;

/// The most bytes of the places in a bookmark, about.
const PLACES_BYTES: usize = 4000;
/// What a place takes beside the name.
const PLACE_BYTES: usize = 32;
/// Lines are told of within this time, whatever happens.
const TOLD: Duration = Duration::from_secs(1);

/// The next line of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub seq: u64,
    /// When the line before it arrived, if that is known: an instance that was erased and made anew has other lines.
    pub after: Option<WallMillis>,
}

impl From<u64> for Place {
    fn from(seq: u64) -> Self {
        Self { seq, after: None }
    }
}

/// `SEQ` or `SEQ@MILLIS`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.after {
            Some(after) => write!(f, "{}@{}", self.seq, after.0),
            None => write!(f, "{}", self.seq),
        }
    }
}

impl FromStr for Place {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('@') {
            Some((seq, after)) => Ok(Self { seq: seq.parse()?, after: Some(WallMillis(after.parse()?)) }),
            None => text.parse::<u64>().map(Self::from),
        }
    }
}

/// Where a reader is. Grows up to a bound with the instances it has seen lines of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bookmark {
    /// The next line of each of these.
    pub places: BTreeMap<InstanceName, Place>,
    /// Of the others it has seen all from before.
    pub since: WallMillis,
    /// When there was nothing that it had not seen.
    caught_up: WallMillis,
    bytes: usize,
}

impl Bookmark {
    /// Of who has seen nothing since.
    pub(super) fn new(since: WallMillis) -> Self {
        Self { since, caught_up: since, ..Self::default() }
    }

    /// It has seen what is before this place.
    pub(super) fn set(&mut self, name: &InstanceName, place: Place) {
        if let Some(known) = self.places.get_mut(name) {
            *known = place;
            return;
        }
        self.places.insert(name.clone(), place);
        self.bytes += cost(name);
        while self.bytes > PLACES_BYTES {
            let silent = self.places.iter().filter(|(other, _)| *other != name);
            let Some((silent, _)) = silent.min_by_key(|(_, place)| place.after) else { return };
            let silent = silent.clone();
            self.places.remove(&silent);
            self.bytes -= cost(&silent);
            self.since = self.seen_all_before();
        }
    }

    /// From here on others have lines that were perhaps seen, rather than that some are missed.
    fn seen_all_before(&self) -> WallMillis {
        let told = u64::try_from(TOLD.as_millis()).unwrap_or(u64::MAX);
        let surely = WallMillis(self.caught_up.0.saturating_sub(told));
        if self.caught_up < self.since { surely } else { surely.max(self.since) }
    }

    /// It has seen a line.
    pub fn pass(&mut self, line: &SharedLine) {
        let (seq, wall) = line.place();
        self.set(line.instance(), Place { seq: seq + 1, after: Some(wall) });
    }

    /// It has seen all there was at that time.
    pub fn catch_up(&mut self, at: WallMillis) {
        self.caught_up = at;
    }
}

fn cost(name: &InstanceName) -> usize {
    name.service.as_str().len() + name.id.as_str().len() + PLACE_BYTES
}

/// `MILLIS/SERVICE:ID:PLACE,…`.
impl fmt::Display for Bookmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.since.0)?;
        for (index, (name, place)) in self.places.iter().enumerate() {
            write!(f, "{}{name}:{place}", if index > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_silent_longest_is_left_out_when_there_is_no_room() {
        let mut mark = Bookmark::new(WallMillis(10));
        let name = |id: usize| format!("api:tenant-{id}").parse::<InstanceName>().unwrap();
        mark.set(&name(0), Place { seq: 7, after: Some(WallMillis(99)) });
        assert_eq!(mark.to_string(), "10/api:tenant-0:7@99");
        mark.catch_up(WallMillis(5000));
        (1..1000).for_each(|id| mark.set(&name(id), Place { seq: 1, after: Some(WallMillis(id as u64)) }));
        assert!(mark.to_string().len() < 5000 && mark.places.len() > 50);
        assert_eq!(mark.since, WallMillis(4000));
        assert!(mark.places.contains_key(&name(999)) && !mark.places.contains_key(&name(1)));
        assert_eq!("7@99".parse(), Ok(Place { seq: 7, after: Some(WallMillis(99)) }));
        assert_eq!("7".parse(), Ok(Place::from(7)));
        assert!("7@".parse::<Place>().is_err() && "-1".parse::<Place>().is_err());
    }
}

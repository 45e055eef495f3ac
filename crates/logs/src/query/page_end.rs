//! Where a page ends and the next one begins, however many instances there are and whatever is written meanwhile.
//!
//! Pages go back in time: of all instances the one whose next line is the youngest has its turn, in the order of names
//! where several are equally young. So the youngest moment that was never passed says for nearly all of them where they
//! are: those before the instance that had the last turn are past that moment, those behind it are not. By its place is
//! known only who had a turn since then: one, unless clocks were set back.

use std::{collections::BTreeMap, fmt, str::FromStr};

use tenement_core::{name::InstanceName, time::WallMillis};

/// The most places. With more, which takes clocks that were set back many times within a page, some lines come twice.
const PLACES: usize = 32;
/// The form, so that another one can be told from it.
const FORM: &str = "a";

/// Where a page ends. As a text it is opaque, safe in an address, and never longer than 8 KiB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageEnd {
    /// So many matching lines were passed.
    pub(crate) passed: u64,
    /// The earliest time of those.
    moment: WallMillis,
    /// Who had the last turn at that time; nobody before the first line.
    at: Option<InstanceName>,
    /// Places of who had a turn since then: what is before these was not passed.
    places: BTreeMap<InstanceName, u64>,
}

/// How an instance goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    /// Before this place.
    Before(u64),
    /// Behind all of its newest lines that are younger than this.
    Until(WallMillis),
}

impl PageEnd {
    /// This line was passed.
    pub(crate) fn pass(&mut self, name: &InstanceName, seq: u64, wall: WallMillis) {
        self.passed += 1;
        if self.at.is_none() || wall < self.moment {
            (self.moment, self.at) = (wall, Some(name.clone()));
            self.places.clear();
        } else if wall == self.moment
            && self.at.as_ref().is_some_and(|at| name > at)
            && let Some(before) = self.at.replace(name.clone())
        {
            self.places.remove(&before);
        }
        if self.places.len() < PLACES || self.places.contains_key(name) {
            self.places.insert(name.clone(), seq);
        }
    }

    /// Where this instance goes on.
    pub(crate) fn resume(&self, name: &InstanceName) -> Resume {
        match (self.places.get(name), &self.at) {
            (Some(&seq), _) => Resume::Before(seq),
            (None, None) => Resume::Until(WallMillis(u64::MAX)),
            (None, Some(at)) if name < at => Resume::Until(WallMillis(self.moment.0.saturating_sub(1))),
            (None, Some(_)) => Resume::Until(self.moment),
        }
    }
}

impl fmt::Display for PageEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORM}~{:x}~{:x}", self.passed, self.moment.0)?;
        let at = self.at.iter().map(|at| (at, self.places.get(at)));
        let rest = self.places.iter().filter(|(name, _)| self.at.as_ref() != Some(name));
        for (name, seq) in at.chain(rest.map(|(name, seq)| (name, Some(seq)))) {
            write!(f, "~{}~{}~", name.service, name.id)?;
            if let Some(seq) = seq {
                write!(f, "{seq:x}")?;
            }
        }
        Ok(())
    }
}

/// It is none.
#[derive(Debug, thiserror::Error)]
#[error("that is no cursor: take 'next_cursor' of the page before as it is")]
pub struct PageEndError;

impl FromStr for PageEnd {
    type Err = PageEndError;

    fn from_str(text: &str) -> Result<Self, PageEndError> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            digits.then(|| u64::from_str_radix(text, 16).ok()).flatten().ok_or(PageEndError)
        };
        let parts: Vec<&str> = text.split('~').collect();
        let [FORM, passed, moment, rest @ ..] = &parts[..] else { return Err(PageEndError) };
        let mut mark =
            Self { passed: number(passed)?, moment: WallMillis(number(moment)?), ..Self::default() };
        let (names, left) = rest.as_chunks::<3>();
        if !left.is_empty() || names.len() > PLACES + 1 {
            return Err(PageEndError);
        }
        for [service, id, seq] in names {
            let name = InstanceName::new(service, id).map_err(|_| PageEndError)?;
            let first = mark.at.is_none();
            if !(first && seq.is_empty()) {
                mark.places.insert(name.clone(), number(seq)?);
            }
            mark.at.get_or_insert(name);
        }
        Ok(mark)
    }
}

#[cfg(test)]
mod tests;

//! The last lines of a run, for who has to explain its end.

use std::{
    sync::mpsc::{Sender, channel},
    time::Duration,
};

use tenement_core::{name::InstanceName, slot::RunId};

use crate::{
    ingest::Command,
    line::{LogLine, Part},
    query::LogQuery,
    store::LogStore,
};

/// How long what ended processes have left in their pipes may take to come. On a machine that is busy that is long, and what
/// has not come is missing for ever. Who waits behind two who wait for it waits for ten seconds at most.
const PATIENCE: Duration = Duration::from_secs(4);
/// What is put where a line is cut.
const CUT: &str = "…";

/// The last lines of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastLines {
    /// Oldest first, as text.
    pub lines: Vec<String>,
    /// The place after the last one, among all lines of the instance.
    pub end: u64,
}

impl LogStore {
    /// Waits until what these have left in their pipes is among their lines, for some seconds in all, however many they are.
    pub fn take_in<'a>(&self, names: impl IntoIterator<Item = &'a InstanceName>) {
        // Each has an end of it, and nobody sends: it is closed when all are done.
        let (taking, taken) = channel();
        for instance in names.into_iter().filter_map(|name| self.instance(name)) {
            let taking: Sender<()> = taking.clone();
            self.send(Command::Take { instance, done: Box::new(move || drop(taking)) });
        }
        drop(taking);
        let _ = taken.recv_timeout(PATIENCE);
    }

    /// The last lines that a run printed, at most so many, of so many bytes in all, the newest first of all. What it has
    /// left in its pipes is among them after [`Self::take_in`]. `None`: there are none, or they can't be read. Waits for the
    /// disk.
    #[must_use]
    pub fn last_words(
        &self,
        name: &InstanceName,
        run: RunId,
        lines: usize,
        bytes: usize,
    ) -> Option<LastLines> {
        let instance = self.instance(name)?;
        let (last_run, begun) = instance.last_run();
        let next = instance.snapshot().next_seq;
        let mut query = LogQuery { instance: Some(name.clone()), limit: lines, ..LogQuery::default() };
        let mut from = begun;
        if last_run.is_some_and(|last| last > run) {
            // It was started again meanwhile.
            query.before = [(name.clone(), begun)].into();
            from = 0;
        }
        match self.query(&query) {
            Ok(page) => {
                let found: Vec<_> = page.lines.into_iter().filter(|line| line.seq >= from).collect();
                // Lines without an end get their numbers when the run is over.
                let open = found.iter().filter(|line| line.part == Part::Open).count() as u64;
                let end = if open > 0 { next + open } else { found.last()?.seq + 1 };
                Some(LastLines { lines: newest(&found, bytes), end })
            }
            Err(error) => {
                tracing::warn!(instance = %name, %error, "the last lines could not be read");
                None
            }
        }
    }
}

/// As many of the newest as fit. A long one is cut, so that it does not hide those before it.
fn newest(lines: &[LogLine], mut room: usize) -> Vec<String> {
    let longest = room / 4;
    let mut kept = Vec::new();
    for line in lines.iter().rev() {
        let text = line.message();
        let text = if text.len() > longest { cut(&text, longest) } else { text.into_owned() };
        if text.len() > room {
            break;
        }
        room -= text.len();
        kept.push(text);
    }
    kept.reverse();
    kept
}

/// The beginning of a text, with a mark where it ends, in so many bytes.
fn cut(text: &str, bytes: usize) -> String {
    let end = (0..=bytes.saturating_sub(CUT.len())).rev().find(|&at| text.is_char_boundary(at));
    format!("{}{CUT}", &text[..end.unwrap_or(0)])
}

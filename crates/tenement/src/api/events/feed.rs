//! Events as they happen, for one reader.

use super::Happened;
use crate::{
    api::{
        Api, ApiError, Caller,
        blocking::blocking,
        stream::{Feed, Item},
    },
    history::{Event, EventQuery, Happenings},
};

/// Events of one turn.
const BATCH: usize = 500;

/// Follows the history: what a reader has not seen yet is read from the database, so nothing piles up and nothing is
/// passed over.
pub(super) struct EventFeed {
    api: Api,
    caller: Caller,
    /// What comes next; `None`: the caller sees nothing of what it asks for.
    query: Option<EventQuery>,
    happenings: Happenings,
    /// There may be something that was not read yet.
    due: bool,
    /// The first events are asked for only to know where to begin.
    silent: bool,
}

impl EventFeed {
    /// Begins with what `query` asks for, or after the last event that a reader who comes again has seen.
    pub(super) fn new(api: &Api, caller: Caller, query: Option<EventQuery>, last: Option<&str>) -> Self {
        let seen = last.and_then(|id| id.parse().ok());
        let silent =
            seen.is_none() && query.as_ref().is_some_and(|query| query.after.is_none() && query.limit == 0);
        let query =
            query.map(|query| EventQuery { after: seen.or(query.after), limit: query.limit.max(1), ..query });
        Self { api: api.clone(), caller, query, happenings: api.history.happenings(), due: true, silent }
    }

    /// What comes next; it is passed over only once it was handed out.
    async fn turn(&mut self) -> Result<Vec<Event>, ApiError> {
        let Some(query) = &mut self.query else { return std::future::pending().await };
        if !self.due {
            if !self.happenings.concerning(query).await {
                return std::future::pending().await;
            }
            self.due = true;
        }
        self.api.history.caught_up().await;
        // One after another of each token, so that its followers together take no more than one does.
        let turn = self.caller.share().read().await;
        // Whatever has come until now is seen by one look.
        self.happenings.mark_seen();
        let (history, asked) = (self.api.history.clone(), query.clone());
        let found = blocking(move || {
            let _turn = turn;
            history.next_events(&asked)
        });
        let found = found.await?;
        self.due = found.len() == query.limit;
        query.after = found.last().map(|event| event.seq).or(query.after).or(Some(0));
        query.limit = BATCH;
        Ok(if std::mem::take(&mut self.silent) { Vec::new() } else { found })
    }
}

impl Feed for EventFeed {
    async fn next(&mut self) -> Result<Vec<Item>, ApiError> {
        loop {
            let found = self.turn().await?;
            if !found.is_empty() {
                let caller = &self.caller;
                return Ok(found.into_iter().map(|event| item(Happened::seen_by(event, caller))).collect());
            }
        }
    }
}

fn item(happened: Happened) -> Item {
    let id = Some(happened.id.to_string());
    Item { id, text: serde_json::to_string(&happened).unwrap_or_default().into() }
}

//! Lines as they come, as texts for one reader.

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::extract::ws::Utf8Bytes;
use tenement_core::{name::InstanceName, time::WallMillis};
use tenement_logs::{
    Batch, Begin, Bell, Bookmark, Followed, Follower, LogQuery, LogStore, Place, QueryError, SharedLine,
};
use tenement_runtime::clock;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};

use super::{
    super::{
        ApiError,
        blocking::blocking,
        stream::{Feed, Item},
    },
    line::Line,
    query::places,
};
use crate::store::Share;

/// Readers that read from the disk at the same time: more would be no faster, and each needs memory for it.
static READING: Semaphore = Semaphore::const_new(2);
/// So many may follow the same lines without waiting for each other.
const FEW: usize = 4;
/// Of more each gets lines so seldom for each of them, so that they come many at once, and no more seldom than that.
const PACE: Duration = Duration::from_millis(1);
const PACE_MAX: Duration = Duration::from_millis(50);

/// One turn: waits for lines, and reads some. It goes on only while somebody waits for it.
type Turn = Pin<Box<dyn Future<Output = Result<(Follower, Lines), ApiError>> + Send>>;

/// What a turn has read, and when it was begun.
struct Lines {
    batch: Batch<SharedLine>,
    begun: WallMillis,
    /// The next one is not before.
    next: Option<Instant>,
}

/// Follows the log.
pub(super) struct LogFeed {
    bell: Arc<Bell>,
    share: Share,
    turn: Turn,
    /// What is asked from the next turn on.
    asked: Option<LogQuery>,
    /// Where it is, for readers that come again.
    bookmark: Option<Bookmark>,
}

impl LogFeed {
    /// `named`: lines have names that a reader comes again with.
    pub(super) async fn open(
        logs: LogStore,
        share: &Share,
        query: LogQuery,
        begin: Begin,
        named: bool,
    ) -> Result<Self, ApiError> {
        let share = share.clone();
        let follower = in_turn(&share, move || logs.follow(query, &begin)).await?;
        let (bell, bookmark) = (follower.bell(), named.then(|| follower.bookmark()));
        let turn = Box::pin(turn(follower, share.clone(), None, false, None));
        Ok(Self { bell, share, turn, asked: None, bookmark })
    }

    /// Asks for other lines.
    pub(super) fn ask(&mut self, query: LogQuery) {
        self.asked = Some(query);
        self.bell.ring();
    }

    fn items(&mut self, lines: &Lines) -> Vec<Item> {
        let items = lines.batch.entries.iter().map(|entry| item(entry, self.bookmark.as_mut())).collect();
        if let Some(bookmark) = self.bookmark.as_mut().filter(|_| !lines.batch.more) {
            bookmark.catch_up(lines.begun);
        }
        items
    }
}

impl Feed for LogFeed {
    async fn next(&mut self) -> Result<Vec<Item>, ApiError> {
        loop {
            let (follower, lines) = self.turn.as_mut().await?;
            let (asked, more, next) = (self.asked.take(), lines.batch.more, lines.next);
            self.turn = Box::pin(turn(follower, self.share.clone(), asked, more, next));
            let items = self.items(&lines);
            if !items.is_empty() {
                return Ok(items);
            }
        }
    }
}

async fn turn(
    mut follower: Follower,
    share: Share,
    asked: Option<LogQuery>,
    more: bool,
    next: Option<Instant>,
) -> Result<(Follower, Lines), ApiError> {
    let bell = follower.bell();
    if !more && asked.is_none() {
        bell.rung().await;
    }
    if let Some(next) = next {
        sleep_until(next).await;
    }
    let begun = clock::wall();
    let looked = if asked.is_none() { follower.look() } else { None };
    let (follower, batch) = match looked {
        Some(batch) => (follower, batch),
        None => {
            in_turn(&share, move || {
                if let Some(query) = asked {
                    follower.ask(query)?;
                }
                let batch = follower.read_shared()?;
                Ok((follower, batch))
            })
            .await?
        }
    };
    let next = pace(bell.crowd()).filter(|_| !batch.is_full()).map(|pace| Instant::now() + pace);
    Ok((follower, Lines { batch, begun, next }))
}

/// How long one of so many waits for its next lines.
fn pace(crowd: usize) -> Option<Duration> {
    let pace = PACE * u32::try_from(crowd).unwrap_or(u32::MAX).min(10_000);
    (crowd > FEW).then(|| pace.min(PACE_MAX))
}

/// One after another for each token, so that the followers of one can't keep those of others waiting.
pub(super) async fn in_turn<T: Send + 'static>(
    share: &Share,
    read: impl FnOnce() -> Result<T, QueryError> + Send + 'static,
) -> Result<T, ApiError> {
    let own = share.read().await;
    let turn = READING.acquire().await.map_err(|error| ApiError::internal(&error))?;
    blocking(move || {
        let _turns = (own, turn);
        read()
    })
    .await
}

fn item(followed: &Followed<SharedLine>, bookmark: Option<&mut Bookmark>) -> Item {
    match followed {
        Followed::Line(line) => {
            let id = bookmark.map(|bookmark| {
                bookmark.pass(line);
                bookmark.to_string()
            });
            let text = line.encoded(|line| json(&Line::from(line)));
            Item { id, text: Utf8Bytes::try_from(text).unwrap_or_default() }
        }
        Followed::Dropped { instance, lines, timestamp } => {
            Item { id: None, text: json(&Line::dropped(instance, *lines, *timestamp)).into() }
        }
    }
}

fn json(line: &Line) -> String {
    serde_json::to_string(line).unwrap_or_default()
}

/// Where the reader of an event with this id goes on; `None` when it is none of ours.
pub(super) fn after(id: &str) -> Option<Begin> {
    let (millis, rest) = id.split_once('/')?;
    let since = millis.parse().ok()?;
    if let Some((instance, seq)) = rest.split_once('/') {
        // As they were named before: others have lines from about the same time.
        const ABOUT: u64 = 1000;
        let (instance, seq): (InstanceName, u64) = (instance.parse().ok()?, seq.parse().ok()?);
        let place = Place { seq: seq.saturating_add(1), after: Some(WallMillis(since)) };
        let since = Some(WallMillis(since.saturating_sub(ABOUT)));
        return Some(Begin::At { places: [(instance, place)].into(), since });
    }
    Some(Begin::At { places: places("Last-Event-ID", rest).ok()?, since: Some(WallMillis(since)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_all_ages_say_where_to_go_on() {
        let begin = |id: &str| match after(id) {
            Some(Begin::At { places, since }) => {
                let places: Vec<_> = places.iter().map(|(name, place)| format!("{name} {place}")).collect();
                (places.join(", "), since.unwrap_or_default().0)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(begin("5000/"), (String::new(), 5000));
        assert_eq!(begin("5000/api:a:7@4000,api:b:0"), ("api:a 7@4000, api:b 0".into(), 5000));
        assert_eq!(begin("5000/api:a/7"), ("api:a 8@5000".into(), 4000));
        for other in ["", "7", "x/api:a:7", "5/api:a:7@", "5/api:a/x", "5/api:a:7/8"] {
            assert!(after(other).is_none(), "{other}");
        }
    }
}

//! Lines as they come, as texts for one reader.

use std::{pin::Pin, sync::Arc};

use tenement_core::{name::InstanceName, time::WallMillis};
use tenement_logs::{Batch, Begin, Bell, Followed, Follower, LogQuery, LogStore, QueryError};
use tokio::sync::Semaphore;

use super::{
    super::{
        ApiError,
        blocking::blocking,
        stream::{Feed, Item},
    },
    line::Line,
};
use crate::store::Share;

/// Readers that read from the disk at the same time: more would be no faster, and each needs memory for it.
static READING: Semaphore = Semaphore::const_new(2);

/// One turn: waits for lines, and reads some. It goes on only while somebody waits for it.
type Turn = Pin<Box<dyn Future<Output = Result<(Follower, Batch), ApiError>> + Send>>;

/// Follows the log.
pub(super) struct LogFeed {
    bell: Arc<Bell>,
    share: Share,
    turn: Turn,
    /// What is asked from the next turn on.
    asked: Option<LogQuery>,
}

impl LogFeed {
    pub(super) async fn open(
        logs: LogStore,
        share: &Share,
        query: LogQuery,
        begin: Begin,
    ) -> Result<Self, ApiError> {
        let share = share.clone();
        let follower = in_turn(&share, move || logs.follow(query, &begin)).await?;
        let (bell, turn) = (follower.bell(), Box::pin(turn(follower, share.clone(), None, false)));
        Ok(Self { bell, share, turn, asked: None })
    }

    /// Asks for other lines.
    pub(super) fn ask(&mut self, query: LogQuery) {
        self.asked = Some(query);
        self.bell.ring();
    }
}

impl Feed for LogFeed {
    async fn next(&mut self) -> Result<Vec<Item>, ApiError> {
        loop {
            let (follower, batch) = self.turn.as_mut().await?;
            self.turn = Box::pin(turn(follower, self.share.clone(), self.asked.take(), batch.more));
            if !batch.entries.is_empty() {
                return Ok(batch.entries.iter().map(item).collect());
            }
        }
    }
}

async fn turn(
    mut follower: Follower,
    share: Share,
    asked: Option<LogQuery>,
    more: bool,
) -> Result<(Follower, Batch), ApiError> {
    if !more && asked.is_none() {
        follower.bell().rung().await;
    }
    in_turn(&share, move || {
        if let Some(query) = asked {
            follower.ask(query)?;
        }
        let batch = follower.read()?;
        Ok((follower, batch))
    })
    .await
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

fn item(followed: &Followed) -> Item {
    let id = match followed {
        Followed::Line(line) => Some(format!("{}/{}/{}", line.timestamp.0, line.instance, line.seq)),
        Followed::Dropped { .. } => None,
    };
    Item { id, text: serde_json::to_string(&Line::from(followed)).unwrap_or_default() }
}

/// Where the reader of an event with this id goes on; `None` when it is none of ours.
pub(super) fn after(id: &str) -> Option<Begin> {
    let (millis, rest) = id.split_once('/')?;
    let (instance, seq) = rest.split_once('/')?;
    let instance: InstanceName = instance.parse().ok()?;
    Some(Begin::After { instance, seq: seq.parse().ok()?, timestamp: WallMillis(millis.parse().ok()?) })
}

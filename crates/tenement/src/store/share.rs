//! What one token may have of the daemon at the same time, so that others get theirs.
//!
//! ```text
//!   token, or the local socket ► its own pool
//!     │ lets in, by links
//!     ├─ session ► its own pool ─┐
//!     └─ session ► its own pool ─┴► a pool of all sessions of that token, beside its own
//! ```
//!
//! So a customer who was let in takes nothing from who made the link, and links don't multiply what a token may have.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How much there is.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// Streams that are open.
    streams: usize,
    /// Large answers that lie in memory until they were read.
    answers: usize,
    /// Of these, how many are being made.
    makes: usize,
    /// Reads of the log for streams.
    reads: usize,
    /// Large bodies that come or are looked at.
    bodies: usize,
}

const TOKEN: Size = Size { streams: 500, answers: 4, makes: 4, reads: 1, bodies: 4 };
const SESSION: Size = Size { streams: 50, answers: 2, makes: 2, reads: 1, bodies: 2 };
/// Of all sessions that one token let in.
const SESSIONS: Size = Size { streams: 2000, answers: 16, makes: 8, reads: 2, bodies: 8 };

#[derive(Clone, Debug)]
struct Pool {
    streams: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    makes: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
}

impl Pool {
    fn new(size: Size) -> Self {
        let [streams, answers, makes, reads, bodies] =
            [size.streams, size.answers, size.makes, size.reads, size.bodies]
                .map(|count| Arc::new(Semaphore::new(count)));
        Self { streams, answers, makes, reads, bodies }
    }
}

/// A token's share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Share {
    own: Pool,
    /// What all sessions have together: those of this token, or among which this one is.
    sessions: Pool,
    is_session: bool,
}

impl Default for Share {
    fn default() -> Self {
        Self { own: Pool::new(TOKEN), sessions: Pool::new(SESSIONS), is_session: false }
    }
}

/// A part of a share, as long as it is held.
#[derive(Debug)]
pub struct Held([Option<OwnedSemaphorePermit>; 2]);

impl Held {
    /// Whether nothing is left for other sessions of the same token.
    #[must_use]
    pub fn keeps_others_waiting(&self) -> bool {
        self.0[1].as_ref().is_some_and(|together| together.semaphore().available_permits() == 0)
    }
}

/// The turn of a large answer.
#[derive(Debug)]
pub struct Turn {
    /// Until it is made: somebody else's turn does not wait for who reads it.
    pub making: Held,
    /// Until it is read.
    pub place: Held,
}

impl Share {
    /// The share of a session that is let in by a token with this one.
    pub(crate) fn of_session(&self) -> Self {
        Self { own: Pool::new(SESSION), sessions: self.sessions.clone(), is_session: true }
    }

    fn together(&self) -> Option<&Pool> {
        self.is_session.then_some(&self.sessions)
    }

    /// A stream, if there is one left.
    #[must_use]
    pub fn stream(&self) -> Option<Held> {
        let one = |pool: &Pool| Arc::clone(&pool.streams).try_acquire_owned().ok();
        let own = one(&self.own)?;
        let together = match self.together() {
            Some(pool) => Some(one(pool)?),
            None => None,
        };
        Some(Held([Some(own), together]))
    }

    /// Waits for a large answer's turn.
    pub async fn answer(&self) -> Turn {
        let place = self.turn(|pool| &pool.answers).await;
        Turn { making: self.turn(|pool| &pool.makes).await, place }
    }

    /// Waits for a read's turn.
    pub async fn read(&self) -> Held {
        self.turn(|pool| &pool.reads).await
    }

    /// Waits for a large body's turn.
    pub async fn body(&self) -> Held {
        self.turn(|pool| &pool.bodies).await
    }

    /// Its own turn first: who waits for that keeps nobody else from theirs.
    async fn turn(&self, of: impl Fn(&Pool) -> &Arc<Semaphore>) -> Held {
        // An error means that it was closed, which nobody does.
        let own = Arc::clone(of(&self.own)).acquire_owned().await.ok();
        let together = match self.together() {
            Some(pool) => Arc::clone(of(pool)).acquire_owned().await.ok(),
            None => None,
        };
        Held([own, together])
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn streams(of: &Share) -> Vec<Held> {
        std::iter::from_fn(|| of.stream()).collect()
    }

    /// As many answers as nobody has to wait for.
    fn answers(of: &Share) -> Vec<Turn> {
        std::iter::from_fn(|| of.answer().now_or_never()).collect()
    }

    #[test]
    fn who_is_let_in_takes_nothing_from_who_lets_in_and_not_all_from_others() {
        let maker = Share::default();
        let (one, other) = (maker.of_session(), maker.of_session());
        let all = [streams(&one), streams(&other), streams(&maker)];
        assert_eq!(all.each_ref().map(Vec::len), [SESSION.streams, SESSION.streams, TOKEN.streams]);
        let all = [answers(&one), answers(&other), answers(&maker)];
        assert_eq!(all.each_ref().map(Vec::len), [SESSION.answers, SESSION.answers, TOKEN.answers]);
    }

    #[test]
    fn links_do_not_multiply_what_a_token_may_have() {
        let maker = Share::default();
        let all: Vec<_> = (0..100).map(|_| maker.of_session()).collect();
        let held: Vec<_> = all.iter().flat_map(streams).collect();
        assert_eq!(held.len(), SESSIONS.streams);
        let held: Vec<_> = all.iter().flat_map(answers).collect();
        assert_eq!(held.len(), SESSIONS.makes);
    }

    #[test]
    fn who_reads_what_was_made_keeps_nobody_from_having_theirs_made() {
        let maker = Share::default();
        let (all, mut places) = ((0..100).map(|_| maker.of_session()).collect::<Vec<_>>(), Vec::new());
        for session in &all[1..] {
            let made = answers(session).into_iter().map(|Turn { place, .. }| place);
            let before = places.len();
            places.extend(made);
            let is_full = places.len() == SESSIONS.answers;
            assert_eq!(places.len() - before, if before == SESSIONS.answers { 0 } else { SESSION.answers });
            assert!(places.iter().all(|place| place.keeps_others_waiting() == is_full));
        }
        // There is a bound all the same: what was made lies in memory.
        assert_eq!(places.len(), SESSIONS.answers);
        assert!(all[0].answer().now_or_never().is_none());
    }
}

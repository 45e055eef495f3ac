//! One sink at work.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tenement_core::{config::LogSink, name::InstanceName};
use tenement_logs::{Begin, Followed, Follower, LogLine, LogQuery, LogStore, QueryError, ReadTo};
use tokio::{sync::watch, task::spawn_blocking, time::sleep};

use super::{Failure, Receipt, Sink, places::Places, state::State};

/// The most lines of one delivery.
const LINES: usize = 1024;
/// And about the most bytes.
const BYTES: usize = 512 << 10;
/// After the bell has rung: what comes in this time goes in one delivery.
const GATHER: Duration = Duration::from_millis(50);
/// Pauses after failures: the first one, each twice as long, and the longest.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What a sink needs.
pub(super) struct Task {
    pub(super) config: LogSink,
    pub(super) state: Arc<State>,
    pub(super) places: Arc<Places>,
    pub(super) logs: LogStore,
    pub(super) data_dir: String,
}

/// What comes next.
enum Next {
    /// There are more lines.
    More,
    /// All were delivered.
    Wait,
    /// The same again.
    Retry(Duration),
}

impl Task {
    /// Until the end of the daemon; then as long as lines can be delivered without waiting.
    pub(super) async fn run(self, mut ending: watch::Receiver<bool>) {
        let task = Arc::new(self);
        let mut worker: Option<Box<Worker>> = None;
        let mut failures = 0;
        loop {
            let (own, at_work) = (Arc::clone(&task), worker.take());
            // A panic, which is counted where it happens, takes the worker with it.
            let turn = spawn_blocking(move || own.turn(at_work)).await;
            let (worked, next) = turn.unwrap_or_else(|_| (None, Next::Retry(PAUSE_MAX)));
            worker = worked;
            let pause = match next {
                Next::More => {
                    failures = 0;
                    continue;
                }
                _ if *ending.borrow() => return,
                Next::Wait => {
                    failures = 0;
                    None
                }
                Next::Retry(at_least) => {
                    let pause = PAUSE_MAX.min(PAUSE * 2_u32.pow(failures));
                    failures = (failures + 1).min(10);
                    // Not in step with others who wait for the same receiver.
                    Some(pause.mul_f64(0.8 + 0.4 * fastrand::f64()).max(at_least))
                }
            };
            let bell = worker.as_ref().map(|worker| worker.follower.bell());
            tokio::select! {
                _ = ending.wait_for(|&ending| ending) => {}
                () = due(pause, bell.as_deref()) => {}
            }
        }
    }

    fn turn(&self, worker: Option<Box<Worker>>) -> (Option<Box<Worker>>, Next) {
        let worker = worker.map_or_else(|| self.open(), Ok);
        let turned = worker.and_then(|mut worker| worker.turn(self).map(|next| (worker, next)));
        match turned {
            Ok((worker, next)) => (Some(worker), next),
            Err(error) => {
                // What was read before the disk failed is read again, from the places that are kept.
                self.state.failed(&error.to_string());
                (None, Next::Retry(Duration::ZERO))
            }
        }
    }

    fn open(&self) -> Result<Box<Worker>, QueryError> {
        let query = LogQuery { service: self.state.service.clone(), ..LogQuery::default() };
        // An instance without a place is one that came when nobody looked: all of it is new.
        let places = self.places.of(&self.state.key).unwrap_or_default();
        let follower = self.logs.follow(query, &Begin::From { places, since: None })?.patiently();
        let sink = super::sink(&self.config, &self.data_dir);
        let read = follower.places();
        Ok(Box::new(Worker { follower, sink, pending: Vec::new(), read }))
    }
}

async fn due(pause: Option<Duration>, bell: Option<&tenement_logs::Bell>) {
    match (pause, bell) {
        (Some(pause), _) => sleep(pause).await,
        (None, Some(bell)) => {
            bell.rung().await;
            sleep(GATHER).await;
        }
        (None, None) => {}
    }
}

struct Worker {
    follower: Follower,
    sink: Box<dyn Sink>,
    /// Lines that were read and not delivered.
    pending: Vec<LogLine>,
    /// Up to where was read when they were.
    read: BTreeMap<InstanceName, ReadTo>,
}

impl Worker {
    fn turn(&mut self, task: &Task) -> Result<Next, QueryError> {
        // What was read and not delivered comes first, and then there may be more.
        let more = if self.pending.is_empty() {
            self.gather(task)?
        } else {
            self.let_go(task);
            true
        };
        let delivered =
            if self.pending.is_empty() { Ok(Receipt::default()) } else { self.sink.deliver(&self.pending) };
        match delivered {
            Ok(receipt) => {
                self.account(task, &receipt);
                self.keep(task);
                Ok(if more { Next::More } else { Next::Wait })
            }
            Err(Failure { done, why, retry_after }) => {
                self.pending.drain(..done.min(self.pending.len()));
                task.state.count(done as u64);
                task.state.failed(&why);
                Ok(Next::Retry(retry_after.unwrap_or_default()))
            }
        }
    }

    fn account(&mut self, task: &Task, receipt: &Receipt) {
        let lines = self.pending.len() as u64;
        if receipt.refused > 0 {
            task.state.refused(receipt.refused, receipt.why.as_deref().unwrap_or("no reason was given"));
        }
        if lines > 0 {
            task.state.delivered(lines.saturating_sub(receipt.refused));
        }
        self.pending = Vec::new();
    }

    /// Reads lines to deliver. Whether there are more.
    ///
    /// # Errors
    /// The disk. What was read is lost to this worker, which has to be replaced.
    fn gather(&mut self, task: &Task) -> Result<bool, QueryError> {
        let mut bytes = 0;
        let mut more = true;
        while more && self.pending.len() < LINES && bytes < BYTES {
            let batch = self.follower.read()?;
            more = batch.more;
            for entry in batch.entries {
                match entry {
                    Followed::Line(line) => {
                        bytes += line.bytes.len();
                        self.pending.push(line);
                    }
                    Followed::Dropped { instance, lines, .. } => task.state.dropped(&instance, lines),
                }
            }
        }
        self.read = self.follower.places();
        Ok(more)
    }

    /// Lets go of lines that were erased while they waited to be delivered.
    fn let_go(&mut self, task: &Task) {
        let still = self.follower.places();
        let number = |place: Option<&ReadTo>| place.map(|place| place.number);
        let is_there = |name: &InstanceName| number(still.get(name)) == number(self.read.get(name));
        let gone: Vec<InstanceName> = self.read.keys().filter(|name| !is_there(name)).cloned().collect();
        if gone.is_empty() {
            return;
        }
        for name in &gone {
            let before = self.pending.len();
            self.pending.retain(|line| line.instance != *name);
            let lines = before - self.pending.len();
            if lines > 0 {
                task.state.dropped(name, lines as u64);
            }
            self.read.remove(name);
        }
        if let Err(error) = task.places.retain(&task.state.key, || self.follower.places()) {
            tracing::warn!(sink = %task.state.key, %error, "places could not be forgotten");
        }
    }

    fn keep(&self, task: &Task) {
        if let Err(error) = task.places.keep(&task.state.key, || self.follower.places()) {
            // Lines since the last place that was kept are delivered again after a restart.
            tracing::warn!(sink = %task.state.key, %error, "how far the log sink has come could not be kept");
        }
    }
}

//! How others talk to the loop.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use tenement_core::{
    config::Config, history::Actor, name::InstanceName, route::RouteTable, slot::RunId, view::InstanceView,
    wake::WakeRefusal,
};
use tenement_runtime::process::{Process, Usage};
use tokio::sync::{mpsc, oneshot};

use crate::{
    api::{CommandError, Reconfigured, StopMode, Totals},
    engine::{Command, Message},
};

/// Asks of the supervisor. Cheap to clone; dropping it stops nothing.
///
/// A call that is dropped before it returns is not taken back: what was asked for goes on.
#[derive(Clone)]
pub struct Supervisor {
    pub(crate) routes: Arc<ArcSwap<RouteTable>>,
    pub(crate) messages: mpsc::UnboundedSender<Message>,
    /// In whose name it asks.
    pub(crate) actor: Option<Actor>,
}

impl Supervisor {
    pub(crate) async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.messages.send(message(reply)).ok()?;
        answer.await.ok()
    }

    async fn command<T>(
        &self,
        name: &InstanceName,
        command: impl FnOnce(oneshot::Sender<Result<T, CommandError>>) -> Command,
    ) -> Result<T, CommandError> {
        let actor = self.actor.clone();
        let message = |reply| Message::Command { name: name.clone(), command: command(reply), actor };
        self.ask(message).await.unwrap_or(Err(CommandError::ShuttingDown))
    }

    /// The same, asking in somebody's name.
    #[must_use]
    pub fn by(&self, actor: Actor) -> Self {
        Self { actor: Some(actor), ..self.clone() }
    }

    /// The table the data plane reads.
    #[must_use]
    pub fn routes(&self) -> &Arc<ArcSwap<RouteTable>> {
        &self.routes
    }

    /// Every known instance, by service then id.
    pub async fn list(&self) -> Vec<InstanceView> {
        self.ask(Message::List).await.unwrap_or_default()
    }

    /// One instance.
    ///
    /// # Errors
    /// [`CommandError::NotFound`].
    pub async fn get(&self, name: &InstanceName) -> Result<InstanceView, CommandError> {
        let view = self.ask(|reply| Message::Get(name.clone(), reply)).await;
        view.flatten().ok_or_else(|| CommandError::NotFound(name.clone()))
    }

    /// What the process trees of the running instances use. Takes some time with many of them.
    pub async fn usage(&self) -> BTreeMap<InstanceName, Usage> {
        self.measure(None).await
    }

    /// The same of some of them alone.
    pub async fn usage_of(&self, names: Vec<InstanceName>) -> BTreeMap<InstanceName, Usage> {
        self.measure(Some(names)).await
    }

    /// Every process that runs.
    pub async fn processes(&self) -> Vec<Process> {
        self.running().await.into_iter().map(|(_, process)| process).collect()
    }

    /// The instances that have a process, by service then id.
    pub async fn running(&self) -> Vec<(InstanceName, Process)> {
        self.ask(|reply| Message::Processes(None, reply)).await.unwrap_or_default()
    }

    async fn measure(&self, names: Option<Vec<InstanceName>>) -> BTreeMap<InstanceName, Usage> {
        let processes = self.ask(|reply| Message::Processes(names, reply)).await.unwrap_or_default();
        let measure = move || processes.into_iter().map(|(name, process)| (name, process.usage())).collect();
        tokio::task::spawn_blocking(measure).await.unwrap_or_default()
    }

    /// Makes an instance known and starts it; with `wait`, returns when it is ready. `env: None` keeps the
    /// environment of an instance that is known already.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn spawn(
        &self,
        name: InstanceName,
        env: Option<BTreeMap<String, String>>,
        wait: bool,
    ) -> Result<InstanceView, CommandError> {
        self.command(&name, |reply| Command::Spawn { env, wait, again: false, reply }).await
    }

    /// The same, but one that runs is restarted, once its environment is written down.
    ///
    /// # Errors
    /// As [`Self::spawn`].
    pub async fn respawn(
        &self,
        name: InstanceName,
        env: Option<BTreeMap<String, String>>,
        wait: bool,
    ) -> Result<InstanceView, CommandError> {
        self.command(&name, |reply| Command::Spawn { env, wait, again: true, reply }).await
    }

    /// Ends an instance; returns when its whole process tree is gone and the change is durable. That it is to end is
    /// written down first: where that can't be done nothing has changed.
    ///
    /// # Errors
    /// [`CommandError::NotFound`], [`CommandError::Storage`].
    pub async fn stop(&self, name: InstanceName, mode: StopMode) -> Result<(), CommandError> {
        self.command(&name, |reply| Command::Stop { mode, reply }).await
    }

    /// Ends and starts an instance again, without back-off; returns at once.
    ///
    /// # Errors
    /// [`CommandError::NotFound`], [`CommandError::Storage`], [`CommandError::ShuttingDown`].
    pub async fn restart(&self, name: InstanceName) -> Result<InstanceView, CommandError> {
        self.command(&name, |reply| Command::Restart { reply }).await
    }

    /// Returns when requests may be let through to an instance. `failed` names a run that the caller found
    /// broken: it is then not told to try that run again as long as that run's end is in doubt.
    ///
    /// # Errors
    /// Why it can't be had.
    pub async fn wake(&self, name: InstanceName, failed: Option<RunId>) -> Result<(), WakeRefusal> {
        self.wake_by(name, failed, None).await
    }

    /// The same for a request of which is told what it is, if it is the one that wakes it.
    ///
    /// # Errors
    /// See [`Self::wake`].
    pub async fn wake_by(
        &self,
        name: InstanceName,
        failed: Option<RunId>,
        by: Option<String>,
    ) -> Result<(), WakeRefusal> {
        let answer = self.ask(|reply| Message::Wake { name, failed, by, reply }).await;
        answer.unwrap_or_else(|| Err(crate::engine::shutting_down()))
    }

    /// Puts another configuration in force as a whole, or with `dry_run` only says what that would do. Returns when it
    /// is in force; restarts and ends go on. What is bound at the start must be what it was: the data directory.
    ///
    /// # Errors
    /// [`CommandError::Refused`]: it does not fit the instances there are, and nothing has changed.
    /// [`CommandError::ShuttingDown`].
    pub async fn reconfigure(
        &self,
        config: Arc<Config>,
        dry_run: bool,
    ) -> Result<Reconfigured, CommandError> {
        let answer = self.ask(|reply| Message::Reconfigure { config, dry_run, reply }).await;
        answer.unwrap_or(Err(CommandError::ShuttingDown))
    }

    /// Counters for metrics.
    pub async fn totals(&self) -> Totals {
        self.ask(Message::Totals).await.unwrap_or_default()
    }

    /// Leaves everything as it is to a daemon that takes over. What is under way and short is finished first; commands that
    /// come meanwhile are refused. Returns when nothing is done any more: from then on requests that wait for an instance
    /// wait on, and only what is known can be asked for.
    pub async fn hand_over(&self) {
        self.ask(Message::HandOver).await;
    }

    /// Ends every instance in parallel with SIGTERM and grace; returns when all are gone.
    pub async fn shutdown(&self) {
        self.ask(Message::Shutdown).await;
    }

    /// Cuts the grace period of a shutdown under way to nothing.
    pub fn hurry(&self) {
        let _ = self.messages.send(Message::Hurry);
    }
}

//! From an order to a process that accepts.
//!
//! ```text
//!   order ─► port, folders, socket, pipes ─► spawn ─► Launched ─┬─► accepts ─► first good check ─► Ready
//!                       └──────────► LaunchFailed               └─► Exited, whenever it comes
//! ```

mod plan;
mod words;

use std::{io, os::fd::OwnedFd, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tenement_core::{
    config::{Activation, Config, Service, launch_text},
    history::ExitStatus,
    lifecycle::{Ended, Event},
    name::InstanceName,
    slot::{Opened, RunId, Upstream},
};
use tenement_runtime::{
    output::private_dir,
    ports::{Port, PortPool},
    process::{Exit, Host, Launch, Process},
    readiness::{self, Accepts, Watch},
    socket,
};
use tokio::sync::mpsc::UnboundedSender;

pub(crate) use self::plan::{Facts, instance_dir, socket_path};
use crate::{
    api::{Output, Record},
    check::{Question, check},
    engine::{Deps, Message, News},
    recover::{Run, Runs},
};

/// The longest pause between two start-up probes.
const PROBE_PAUSE_MAX: Duration = Duration::from_millis(100);

/// How long the connection that showed that an instance accepts waits for a request.
const UNUSED: Duration = Duration::from_millis(100);

/// What a run holds as long as it lives.
#[derive(Debug)]
pub(crate) struct Reservation {
    port: Port,
    /// The daemon that made its listening socket, if it was given one.
    listener_made_by: Option<u32>,
}

/// What is to be started.
pub(crate) struct Order {
    pub(crate) run: RunId,
    pub(crate) service: Arc<Service>,
    pub(crate) record: Record,
    pub(crate) socket: PathBuf,
}

/// What a process is started with.
struct Prepared {
    launch: Launch,
    port: Port,
    listening: Option<OwnedFd>,
}

/// A process on its way.
struct Started {
    process: Process,
    port: Port,
    /// The socket that was passed on to it.
    listening: Option<OwnedFd>,
}

/// Why there is no process.
struct Failure {
    words: String,
    permanent: bool,
    command_not_found: bool,
}

/// Starts processes.
pub(crate) struct Launcher {
    config: ArcSwap<Config>,
    host: Arc<Host>,
    output: Arc<dyn Output>,
    runs: Arc<dyn Runs>,
    base_env: Vec<(String, String)>,
    ports: PortPool,
}

impl Launcher {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            config: ArcSwap::new(Arc::clone(&deps.config)),
            host: Arc::clone(&deps.host),
            output: Arc::clone(&deps.output),
            runs: Arc::clone(&deps.runs),
            base_env: deps.base_env.clone(),
            ports: PortPool::default(),
        }
    }

    /// Another configuration, for the starts that follow.
    pub(crate) fn reconfigure(&self, config: &Arc<Config>) {
        self.config.store(Arc::clone(config));
    }

    pub(crate) fn data_dir(&self, name: &InstanceName) -> PathBuf {
        instance_dir(&self.config.load().settings.data_dir, name)
    }

    /// The port of an instance that runs already.
    pub(crate) fn keep(&self, run: &Run) -> Option<Reservation> {
        Some(Reservation { port: self.ports.take(run.port).ok()?, listener_made_by: run.listener_made_by })
    }

    /// What health checks say in `Host`.
    pub(crate) fn host_name(&self, name: &InstanceName) -> String {
        format!("{}.{}.{}", name.id, name.service, self.config.load().settings.domain)
    }

    /// Carries out an order and reports until the process has ended.
    pub(crate) async fn launch(self: Arc<Self>, order: Order, messages: &UnboundedSender<Message>) {
        let name = order.record.name.clone();
        let run = order.run;
        let tell = |news| drop(messages.send(Message::News(name.clone(), news)));
        // Made before the process, so that its socket can't appear unseen.
        let watch = Watch::new(&order.socket);
        let launcher = Arc::clone(&self);
        let order = Arc::new(order);
        let started = {
            let order = Arc::clone(&order);
            tokio::task::spawn_blocking(move || launcher.start(&order)).await
        };
        let Started { process, port, listening } = match started {
            Ok(Ok(started)) => started,
            Ok(Err(failure)) => {
                self.output.detach(&name, run).await;
                let Failure { words, permanent, command_not_found } = failure;
                return tell(News::LaunchFailed { run, words, permanent, command_not_found });
            }
            Err(_) => {
                let words = "the start panicked".to_owned();
                return tell(News::LaunchFailed { run, words, permanent: false, command_not_found: false });
            }
        };
        let number = port.number();
        let listener_made_by = listening.is_some().then(std::process::id);
        tell(News::Launched(run, process.clone(), Arc::new(Reservation { port, listener_made_by })));
        let accepts = self.accepts(&watch, &process, &order, number, listening);
        let opened = tokio::select! {
            biased;
            exit = process.exited() => return tell(ended(run, exit)),
            upstream = self.ready(&order, accepts) => {
                let opened = upstream.opened.clone();
                tell(News::Ready(run, upstream));
                opened
            }
        };
        drop(watch);
        tokio::select! {
            _ = process.exited() => {}
            () = tokio::time::sleep(UNUSED) => {}
        }
        drop(opened.take());
        tell(ended(run, process.exited().await));
    }

    /// Reports the end of a process that runs already.
    pub(crate) async fn watch(
        &self,
        name: &InstanceName,
        run: RunId,
        process: &Process,
        messages: &UnboundedSender<Message>,
    ) {
        let exit = process.exited().await;
        let _ = messages.send(Message::News(name.clone(), ended(run, exit)));
    }

    /// Reports when a process is ready that an earlier daemon started. Its end is watched by somebody else.
    pub(crate) async fn go_on(
        &self,
        order: Order,
        process: Process,
        reservation: &Reservation,
        messages: &UnboundedSender<Message>,
    ) {
        let watch = Watch::new(&order.socket);
        let accepts = async {
            match reservation.listener_made_by {
                None => watch.ready(&process, &order.socket, reservation.port.number()).await,
                // Its socket was there before it; who connects waits in the queue until it accepts.
                Some(by) => readiness::passed_on(&process, &order.socket, by).await,
            }
        };
        tokio::select! {
            biased;
            _ = process.exited() => {}
            upstream = self.ready(&order, accepts) => {
                drop(upstream.opened.take());
                let _ = messages.send(Message::News(order.record.name.clone(), News::Ready(order.run, upstream)));
            }
        }
    }

    async fn accepts(
        &self,
        watch: &Watch,
        process: &Process,
        order: &Order,
        port: u16,
        listening: Option<OwnedFd>,
    ) -> Accepts {
        let Some(listening) = listening else { return watch.ready(process, &order.socket, port).await };
        match readiness::taken(process, &order.socket, listening).await {
            Ok(accepts) => accepts,
            Err(error) => {
                tracing::warn!(instance = %order.record.name, %error, "the socket that was passed on is gone");
                std::future::pending().await
            }
        }
    }

    /// Does not end when the instance never gets there: its deadline is the lifecycle's.
    async fn ready(&self, order: &Order, accepts: impl Future<Output = Accepts>) -> Upstream {
        let Accepts { address, listener, connection } = accepts.await;
        let upstream =
            Upstream { run: order.run, address, identity: listener, opened: Opened::new(connection) };
        let Some(path) = &order.service.health else { return upstream };
        // The check must not wait behind a connection on which nothing is asked.
        drop(upstream.opened.take());
        let question = Question {
            upstream: upstream.clone(),
            host: self.host_name(&order.record.name),
            path: path.clone(),
            timeout: order.service.health_timeout,
        };
        let mut pause = Duration::from_millis(2);
        while check(&question).await.is_err() {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PROBE_PAUSE_MAX);
        }
        upstream
    }

    /// Prepares the place and starts the process. Blocks.
    fn start(&self, order: &Order) -> Result<Started, Failure> {
        let name = &order.record.name;
        let Prepared { launch, port, listening } = self.prepare(order).map_err(|error| {
            tracing::warn!(instance = %name, %error, "a start can't be prepared");
            let config = self.config.load();
            let folders = [Some(config.settings.data_dir.as_path()), order.socket.parent()];
            let folders: Vec<_> = folders.into_iter().flatten().collect();
            Failure { words: words::of_io(&error, &folders), permanent: false, command_not_found: false }
        })?;
        match self.host.spawn(launch) {
            Ok(process) => {
                let run = Run {
                    handle: process.handle().clone(),
                    port: port.number(),
                    socket: order.socket.clone(),
                    launched_with: launch_text(&order.service),
                    listener_made_by: listening.is_some().then(std::process::id),
                };
                self.runs.launched(name, &run);
                Ok(Started { process, port, listening })
            }
            Err(error) => {
                tracing::warn!(instance = %name, %error, "no process");
                let command = order.service.command.first().map(ToString::to_string).unwrap_or_default();
                Err(Failure {
                    words: words::of_spawn(&error, &command),
                    permanent: !error.is_temporary(),
                    command_not_found: error.is_command_not_found(),
                })
            }
        }
    }

    fn prepare(&self, order: &Order) -> io::Result<Prepared> {
        let name = &order.record.name;
        let port = self.ports.reserve(fastrand::u64(..))?;
        let own = self.data_dir(name);
        private_dir(&own)?;
        socket::make_room(&order.socket)?;
        let listen = match order.service.activation {
            Activation::ListenFds => Some(socket::listen(&order.socket)?),
            Activation::Bind => None,
        };
        let listening = listen.as_ref().map(OwnedFd::try_clone).transpose()?;
        let config = self.config.load();
        let facts = Facts {
            name,
            service: &order.service,
            data_dir: &config.settings.data_dir,
            socket: &order.socket,
            port: port.number(),
            env: &order.record.env,
        };
        let [stdout, stderr] = self.output.attach(name, order.run)?;
        let launch = Launch {
            instance: name.clone(),
            run: order.run,
            argv: facts.argv(),
            env: facts.env(&self.base_env),
            workdir: order.service.workdir.clone(),
            stdout,
            stderr,
            listen,
        };
        Ok(Prepared { launch, port, listening })
    }
}

fn ended(run: RunId, exit: Exit) -> News {
    News::Event(Event::Exited(run, ended_as(exit)))
}

pub(crate) fn ended_as(exit: Exit) -> Ended {
    let status = ExitStatus { code: exit.code(), signal: exit.signal(), oom: exit.oom };
    Ended { clean: exit.is_success(), words: exit.to_string(), status }
}

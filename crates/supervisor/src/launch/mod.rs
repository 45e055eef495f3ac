//! From an order to a process that accepts.
//!
//! ```text
//!   order ─► port, folders, socket, pipes ─► spawn ─► Launched ─┬─► accepts ─► first good check ─► Ready
//!                       └──────────► LaunchFailed               └─► Exited, whenever it comes
//! ```

mod plan;
mod words;

use std::{io, os::fd::OwnedFd, path::PathBuf, sync::Arc, time::Duration};

use tenement_core::{
    config::{Activation, Config, Service},
    history::ExitStatus,
    lifecycle::{Ended, Event},
    name::InstanceName,
    slot::{Opened, RunId, Upstream},
};
use tenement_runtime::{
    output::private_dir,
    ports::{Port, PortPool},
    process::{Host, Launch, Process},
    readiness::{self, Accepts, Watch},
    socket,
};
use tokio::sync::mpsc::UnboundedSender;

use self::plan::Facts;
pub(crate) use self::plan::{instance_dir, socket_path};
use crate::{
    api::{Output, Record},
    check::{Question, check},
    engine::{Deps, Message, News},
};

/// The longest pause between two start-up probes.
const PROBE_PAUSE_MAX: Duration = Duration::from_millis(100);

/// How long the connection that showed that an instance accepts waits for a request.
const UNUSED: Duration = Duration::from_millis(100);

/// What a run holds as long as it lives.
#[derive(Debug)]
pub(crate) struct Reservation {
    _port: Port,
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
    config: Arc<Config>,
    host: Arc<Host>,
    output: Arc<dyn Output>,
    base_env: Vec<(String, String)>,
    ports: PortPool,
}

impl Launcher {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            config: Arc::clone(&deps.config),
            host: Arc::clone(&deps.host),
            output: Arc::clone(&deps.output),
            base_env: deps.base_env.clone(),
            ports: PortPool::default(),
        }
    }

    pub(crate) fn data_dir(&self, name: &InstanceName) -> PathBuf {
        instance_dir(&self.config.settings.data_dir, name)
    }

    /// What health checks say in `Host`.
    pub(crate) fn host_name(&self, name: &InstanceName) -> String {
        format!("{}.{}.{}", name.id, name.service, self.config.settings.domain)
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
        tell(News::Launched(run, process.clone(), Arc::new(Reservation { _port: port })));
        let ready = self.ready(&watch, &process, &order, number, listening);
        let opened = tokio::select! {
            biased;
            exit = process.exited() => return tell(ended(run, exit)),
            upstream = ready => {
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

    /// Does not end when the instance never gets there: its deadline is the lifecycle's.
    async fn ready(
        &self,
        watch: &Watch,
        process: &Process,
        order: &Order,
        port: u16,
        listening: Option<OwnedFd>,
    ) -> Upstream {
        let accepts = match listening {
            None => watch.ready(process, &order.socket, port).await,
            Some(listening) => match readiness::taken(process, &order.socket, listening).await {
                Ok(accepts) => accepts,
                Err(error) => {
                    tracing::warn!(instance = %order.record.name, %error, "the socket that was passed on is gone");
                    std::future::pending().await
                }
            },
        };
        let Accepts { address, listener, connection } = accepts;
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
            let folders = [Some(self.config.settings.data_dir.as_path()), order.socket.parent()];
            let folders: Vec<_> = folders.into_iter().flatten().collect();
            Failure { words: words::of_io(&error, &folders), permanent: false, command_not_found: false }
        })?;
        match self.host.spawn(launch) {
            Ok(process) => Ok(Started { process, port, listening }),
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
        let facts = Facts {
            name,
            service: &order.service,
            data_dir: &self.config.settings.data_dir,
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

fn ended(run: RunId, exit: tenement_runtime::process::Exit) -> News {
    let status = ExitStatus { code: exit.code(), signal: exit.signal(), oom: exit.oom };
    News::Event(Event::Exited(run, Ended { clean: exit.is_success(), words: exit.to_string(), status }))
}

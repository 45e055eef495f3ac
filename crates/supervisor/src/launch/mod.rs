//! From an order to a process that accepts.
//!
//! ```text
//!   order ─► port, folders, socket, pipes ─► spawn ─► Launched ─┬─► accepts ─► first good check ─► Ready
//!                       └──────────► LaunchFailed               └─► Exited, whenever it comes
//! ```

mod plan;
mod words;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tenement_core::{
    config::{Activation, Config, Service},
    lifecycle::{Ended, Event},
    name::InstanceName,
    slot::{Address, Opened, RunId, Upstream},
};
use tenement_runtime::{
    output::private_dir,
    ports::{Port, PortPool},
    process::{Host, Launch, Process},
    readiness::Watch,
    socket,
};
use tokio::sync::mpsc::UnboundedSender;

pub(crate) use self::plan::socket_path;
use self::plan::{Facts, instance_dir};
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
        let (process, port) = match started {
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
        let ready = self.ready(&watch, &process, &order, number);
        let opened = tokio::select! {
            biased;
            exit = process.exited() => return tell(ended(run, exit)),
            (address, opened) = ready => {
                tell(News::Ready(run, Upstream { run, address, opened: opened.clone() }));
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

    async fn ready(&self, watch: &Watch, process: &Process, order: &Order, port: u16) -> (Address, Opened) {
        let (address, opened) = match order.service.activation {
            Activation::ListenFds => (Address::Unix(order.socket.clone()), Opened::default()),
            Activation::Bind => {
                let (address, connection) = watch.ready(process, &order.socket, port).await;
                (address, Opened::new(connection))
            }
        };
        let Some(path) = &order.service.health else { return (address, opened) };
        // The check must not wait behind a connection on which nothing is asked.
        drop(opened.take());
        let question = Question {
            address: address.clone(),
            host: self.host_name(&order.record.name),
            path: path.clone(),
            timeout: order.service.health_timeout,
        };
        let mut pause = Duration::from_millis(2);
        while check(&question).await.is_err() {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PROBE_PAUSE_MAX);
        }
        (address, opened)
    }

    /// Prepares the place and starts the process. Blocks.
    fn start(&self, order: &Order) -> Result<(Process, Port), Failure> {
        let name = &order.record.name;
        let (launch, port) = self.prepare(order).map_err(|error| {
            tracing::warn!(instance = %name, %error, "a start can't be prepared");
            let folders = [Some(self.config.settings.data_dir.as_path()), order.socket.parent()];
            let folders: Vec<_> = folders.into_iter().flatten().collect();
            Failure { words: words::of_io(&error, &folders), permanent: false, command_not_found: false }
        })?;
        match self.host.spawn(launch) {
            Ok(process) => Ok((process, port)),
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

    fn prepare(&self, order: &Order) -> io::Result<(Launch, Port)> {
        let name = &order.record.name;
        let port = self.ports.reserve(fastrand::u64(..))?;
        let own = self.data_dir(name);
        private_dir(&own)?;
        socket::make_room(&order.socket)?;
        let listen = match order.service.activation {
            Activation::ListenFds => Some(socket::listen(&order.socket)?),
            Activation::Bind => None,
        };
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
        Ok((launch, port))
    }
}

fn ended(run: RunId, exit: tenement_runtime::process::Exit) -> News {
    News::Event(Event::Exited(run, Ended { clean: exit.is_success(), words: exit.to_string() }))
}

/// Removes what an instance that is forgotten leaves behind. Blocks.
pub(crate) fn erase(socket: &Path, data: Option<&Path>) -> Result<(), String> {
    let absent = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match std::fs::remove_file(socket) {
        Err(error) if !absent(&error) => {
            tracing::warn!(%error, socket = %socket.display(), "socket not removed")
        }
        _ => {}
    }
    let Some(data) = data else { return Ok(()) };
    // The standard library's removal works on descriptors and follows no link.
    #[allow(clippy::disallowed_methods, reason = "removes only below the instance's own directory")]
    match std::fs::remove_dir_all(data) {
        Err(error) if !absent(&error) => Err(format!("its data could not be removed: {error}")),
        _ => Ok(()),
    }
}

//! A supervisor over a scripted tenant.

use std::{
    collections::BTreeMap,
    fs::File,
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tenement_core::{
    config::{Config, DiskFull, MetricsDetail, Service, Settings, template::Template, testing},
    history::Transition,
    name::InstanceName,
    slot::{Lease, RunId},
    view::{InstanceView, Status},
};
use tenement_runtime::process::Host;
use tenement_supervisor::{
    BoxFuture, Deps, Leaving, Observer, Output, Record, Registry, StorageError, Supervisor, Survivors,
};

/// Answers 200 to everything on its socket, 500 while a file `sick` is in its data directory; a new one is well again.
const APP: &str = r#"
import contextlib, http.server, os, socketserver
with contextlib.suppress(OSError): os.remove(os.environ["DATA_DIR"] + "/sick")
class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if os.path.exists(os.environ["DATA_DIR"] + "/sick") else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def address_string(self): return "-"
    def log_message(self, *a): pass
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    request_queue_size = 128
Server(os.environ["SOCKET_PATH"], App).serve_forever()
"#;

#[derive(Default)]
pub(crate) struct Memory(pub(crate) Mutex<BTreeMap<InstanceName, Record>>);

impl Registry for Memory {
    fn save(&self, record: &Record) -> Result<(), StorageError> {
        self.0.lock().unwrap().insert(record.name.clone(), record.clone());
        Ok(())
    }
    fn leave(&self, _: &Leaving) -> Result<(), StorageError> {
        Ok(())
    }
    fn forget(&self, name: &InstanceName) -> Result<(), StorageError> {
        self.0.lock().unwrap().remove(name);
        Ok(())
    }
}

struct Nowhere;

impl Output for Nowhere {
    fn attach(&self, _: &InstanceName, _: RunId) -> std::io::Result<[OwnedFd; 2]> {
        let null = || File::options().write(true).open("/dev/null");
        Ok([null()?.into(), null()?.into()])
    }
    fn detach(&self, _: &InstanceName, _: RunId) -> BoxFuture<()> {
        Box::pin(async {})
    }
    fn last_lines(&self, _: &InstanceName, _: usize) -> Vec<String> {
        vec!["its last words".into()]
    }
    fn purge(&self, _: &InstanceName) -> std::io::Result<()> {
        Ok(())
    }
}

/// Remembers what it was told.
#[derive(Default)]
pub(crate) struct History(Mutex<Vec<Transition>>);

impl Observer for History {
    fn changed(&self, transition: &Transition) {
        self.0.lock().unwrap().push(transition.clone());
    }
}

impl History {
    pub(crate) fn told(&self) -> Vec<Transition> {
        self.0.lock().unwrap().clone()
    }
}

pub(crate) struct Fixture {
    pub(crate) supervisor: Supervisor,
    pub(crate) registry: Arc<Memory>,
    pub(crate) history: Arc<History>,
    pub(crate) folder: tempfile::TempDir,
}

impl Fixture {
    /// One service `app`, adjusted by `adjust`, with the declared instances.
    pub(crate) fn new(declared: &[&str], adjust: impl FnOnce(&mut Service, &mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("app.py");
        std::fs::write(&script, APP).unwrap();
        let mut service = testing::service("app");
        service.command = ["python3", &script.to_string_lossy()].map(Template::literal).to_vec();
        let mut settings = settings(folder.path());
        adjust(&mut service, &mut settings);
        let names = declared.iter().map(|id| InstanceName::new("app", id).unwrap());
        let config = Config {
            path: None,
            settings,
            instances: names.collect(),
            services: BTreeMap::from([(service.name.clone(), Arc::new(service))]),
        };
        let registry = Arc::new(Memory::default());
        let history = Arc::new(History::default());
        let deps = Deps {
            config: Arc::new(config),
            host: Arc::new(Host::detect(folder.path()).unwrap()),
            registry: registry.clone(),
            runs: Arc::new(()),
            output: Arc::new(Nowhere),
            observer: history.clone(),
            base_env: vec![("PATH".into(), std::env::var("PATH").unwrap())],
            unsure: Weak::new(),
        };
        let supervisor = tenement_supervisor::start(deps, Vec::new(), Survivors::default());
        Self { supervisor, registry, history, folder }
    }

    /// The service as it is before anybody adjusts it.
    pub(crate) fn service(&self) -> Service {
        let mut service = testing::service("app");
        let script = self.folder.path().join("app.py");
        service.command = ["python3", &script.to_string_lossy()].map(Template::literal).to_vec();
        service
    }

    /// Wakes an instance as who has a request for it: it may have fallen asleep before it could be used.
    pub(crate) async fn used(&self, name: &InstanceName) -> Lease {
        let slot = Arc::clone(self.supervisor.routes().load().slot(name).unwrap());
        loop {
            self.supervisor.wake(name.clone(), None).await.unwrap();
            if let Ok(lease) = slot.lease() {
                return lease;
            }
        }
    }

    pub(crate) async fn view(&self, name: &InstanceName) -> InstanceView {
        self.supervisor.get(name).await.unwrap()
    }

    pub(crate) async fn until(&self, name: &InstanceName, what: &str, holds: impl Fn(&InstanceView) -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while !holds(&self.view(name).await) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{name} never {what}: {:?}",
                self.view(name).await
            );
            // Looking without a pause would take the processor from what is waited for.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(crate) async fn until_status(&self, name: &InstanceName, status: Status) {
        self.until(name, status.as_str(), |view| view.status == status).await;
    }
}

pub(crate) fn settings(data_dir: &Path) -> Settings {
    Settings {
        data_dir: data_dir.to_owned(),
        listen: Vec::new(),
        domain: "localhost".into(),
        health_check_interval: Duration::from_millis(50),
        max_restarts: 3,
        restart_window: Duration::from_secs(300),
        backoff_base: Duration::from_millis(20),
        backoff_max: Duration::from_secs(1),
        stop_timeout: Duration::from_secs(5),
        max_starting: 4,
        log_retention: Duration::from_secs(3600),
        log_max_size: 1 << 30,
        log_sinks: Vec::new(),
        log_rate_limit: None,
        log_disk_full: DiskFull::default(),
        metrics_detail: MetricsDetail::Token,
        trusted_proxies: Vec::new(),
        allowed_origins: Vec::new(),
    }
}

pub(crate) fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

pub(crate) fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

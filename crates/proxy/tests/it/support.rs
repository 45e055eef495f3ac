//! A scripted application, a proxy before it, and clients that send raw bytes.

use std::{
    cell::RefCell,
    collections::HashMap,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::{
        fd::BorrowedFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use tenement_core::{
    config::{Service, testing},
    name::InstanceName,
    route::RouteTable,
    slot::{Address, Identity, Opened, RunId, Slot, Upstream},
    wake::WakeRefusal,
};
use tenement_proxy::{Backend, Bound, BoxFuture, Config, Limits, Running};
use tenement_runtime::clock;

/// For what has to happen; reached only when it does not.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

thread_local! {
    /// Peers that the next proxy of this test believes.
    pub(crate) static TRUSTED: RefCell<Vec<ipnet::IpNet>> = const { RefCell::new(Vec::new()) };
}

/// What the application does with one connection.
pub(crate) type Script = Arc<dyn Fn(&mut Conversation) -> io::Result<()> + Send + Sync>;

/// One connection as the application sees it.
pub(crate) struct Conversation {
    pub(crate) stream: UnixStream,
    seen: Arc<Mutex<Vec<u8>>>,
    ahead: Vec<u8>,
}

impl Conversation {
    fn more(&mut self) -> io::Result<()> {
        let mut part = [0; 64 << 10];
        let read = self.stream.read(&mut part)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.seen.lock().unwrap().extend_from_slice(&part[..read]);
        self.ahead.extend_from_slice(&part[..read]);
        Ok(())
    }

    /// Takes what comes up to and with `end`.
    pub(crate) fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.ahead.windows(end.len()).position(|window| window == end) {
                return Ok(self.ahead.drain(..at + end.len()).collect());
            }
            self.more()?;
        }
    }

    /// Takes so many bytes.
    pub(crate) fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < count {
            self.more()?;
        }
        Ok(self.ahead.drain(..count).collect())
    }

    /// Takes a request: its head in lower case, and its body by `Content-Length`.
    pub(crate) fn request(&mut self) -> io::Result<(String, Vec<u8>)> {
        let head = String::from_utf8(self.until(b"\r\n\r\n")?).unwrap();
        let length = field(&head, "content-length").map_or(0, |value| value.parse().unwrap());
        let body = self.exactly(length)?;
        Ok((head, body))
    }

    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }
}

/// The value of a field of a head.
pub(crate) fn field(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

/// Answers every request with the path it asked for.
pub(crate) fn echo_path() -> Script {
    Arc::new(|app| {
        loop {
            let (head, _) = app.request()?;
            let path = head.split(' ').nth(1).unwrap();
            let body = if head.starts_with("HEAD") { "" } else { path };
            app.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", path.len()))?;
        }
    })
}

/// An application: a thread per connection, each following the script.
pub(crate) struct App {
    pub(crate) connections: Arc<AtomicU64>,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl App {
    pub(crate) fn start(socket: &Path, script: Script) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let app = Self { connections: Arc::default(), seen: Arc::default() };
        let (connections, seen) = (Arc::clone(&app.connections), Arc::clone(&app.seen));
        thread::spawn(move || {
            for stream in listener.incoming() {
                connections.fetch_add(1, Ordering::SeqCst);
                let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                let mut conversation = Conversation { stream: stream.unwrap(), seen, ahead: Vec::new() };
                thread::spawn(move || drop(script(&mut conversation)));
            }
        });
        app
    }

    /// Everything it was ever sent.
    pub(crate) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }
}

type OnWake = Box<dyn Fn(&Slot, Option<RunId>) -> Result<(), WakeRefusal> + Send + Sync>;

/// A table that a test sets, and a wake that it decides.
pub(crate) struct Instances {
    routes: ArcSwap<RouteTable>,
    pub(crate) wakes: AtomicU64,
    on_wake: OnWake,
    /// Whether requests wait for ever.
    pub(crate) holds: AtomicBool,
    /// How many do.
    pub(crate) waiting: Arc<AtomicU64>,
    slots: HashMap<InstanceName, Arc<Slot>>,
}

/// A place in the queue.
struct Place(Arc<AtomicU64>);

impl Place {
    fn take(waiting: &Arc<AtomicU64>) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(waiting))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Instances {
    /// With this slot's instance only.
    pub(crate) fn of(
        service: Arc<Service>,
        slot: &Arc<Slot>,
        on_wake: impl Fn(&Slot, Option<RunId>) -> Result<(), WakeRefusal> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let mut routes = RouteTable::new("localhost");
        routes.set_service(service, [Arc::clone(slot)]);
        Arc::new(Self {
            routes: ArcSwap::from_pointee(routes),
            wakes: AtomicU64::new(0),
            on_wake: Box::new(on_wake),
            holds: AtomicBool::new(false),
            waiting: Arc::default(),
            slots: HashMap::from([(slot.name().clone(), Arc::clone(slot))]),
        })
    }
}

impl Backend for Instances {
    fn routes(&self) -> &ArcSwap<RouteTable> {
        &self.routes
    }

    fn wake(
        &self,
        name: InstanceName,
        failed: Option<RunId>,
        _by: Option<String>,
    ) -> BoxFuture<Result<(), WakeRefusal>> {
        self.wakes.fetch_add(1, Ordering::SeqCst);
        let answer = (self.on_wake)(&self.slots[&name], failed);
        let place = self.holds.load(Ordering::SeqCst).then(|| Place::take(&self.waiting));
        Box::pin(async move {
            if place.is_some() {
                std::future::pending::<()>().await;
            }
            drop(place);
            answer
        })
    }

    fn control(&self) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        thread::spawn(move || {
            let mut app = Conversation { stream: theirs, seen: Arc::default(), ahead: Vec::new() };
            while let Ok((head, _)) = app.request() {
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len());
                drop(app.say(answer));
            }
        });
        Ok(ours)
    }
}

/// A proxy with the instance `api:a`.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) app: App,
    pub(crate) slot: Arc<Slot>,
    pub(crate) instances: Arc<Instances>,
    pub(crate) running: Running,
    _folder: tempfile::TempDir,
}

/// Vouches for the applications of the tests, which are threads; but not for what a link leads to.
#[derive(Debug)]
struct OwnSocket(PathBuf);

impl Identity for OwnSocket {
    fn is_behind(&self, connection: BorrowedFd<'_>) -> bool {
        let stream = UnixStream::from(connection.try_clone_to_owned().unwrap());
        stream.peer_addr().unwrap().as_pathname() == Some(&self.0)
    }
}

pub(crate) fn upstream(run: u64, socket: PathBuf) -> Upstream {
    let identity = Arc::new(OwnSocket(socket.clone()));
    Upstream { run: RunId(run), address: Address::Unix(socket), identity, opened: Opened::default() }
}

impl Proxy {
    pub(crate) fn start(script: Script) -> Self {
        Self::with(script, Limits::default(), |_, _| Err(WakeRefusal::Unknown))
    }

    pub(crate) fn with(
        script: Script,
        limits: Limits,
        on_wake: impl Fn(&Slot, Option<RunId>) -> Result<(), WakeRefusal> + Send + Sync + 'static,
    ) -> Self {
        Self::of(testing::service("api"), script, limits, on_wake)
    }

    pub(crate) fn of(
        service: Service,
        script: Script,
        limits: Limits,
        on_wake: impl Fn(&Slot, Option<RunId>) -> Result<(), WakeRefusal> + Send + Sync + 'static,
    ) -> Self {
        Self::on(service, script, limits, on_wake, |config| Bound::bind(config).unwrap())
    }

    /// On sockets of the test's choice.
    pub(crate) fn on(
        service: Service,
        script: Script,
        limits: Limits,
        on_wake: impl Fn(&Slot, Option<RunId>) -> Result<(), WakeRefusal> + Send + Sync + 'static,
        bind: impl FnOnce(Config) -> Bound,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("app.sock");
        let app = App::start(&socket, script);
        let service = Arc::new(service);
        let slot = Arc::new(Slot::new("api:a".parse().unwrap(), Arc::clone(&service)));
        slot.open(upstream(1, socket));
        let instances = Instances::of(service, &slot, on_wake);
        let config = Config {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            threads: 2,
            trusted_proxies: TRUSTED.with_borrow(Clone::clone),
            limits,
        };
        let bound = bind(config);
        let address = bound.local_addrs()[0];
        let running = bound.serve(Arc::clone(&instances) as Arc<dyn Backend>).unwrap();
        Self { address, app, slot, instances, running, _folder: folder }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// One request on its own connection; the whole answer until the connection's end.
    pub(crate) fn ask(&self, request: impl AsRef<[u8]>) -> String {
        ask(self.address, request)
    }

    /// Waits until nothing is in flight.
    pub(crate) fn until_idle(&self) {
        until("nothing is in flight", || self.slot.in_flight() == 0);
    }

    /// Where the application listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self._folder.path().join("app.sock")
    }

    /// A request nobody can object to.
    pub(crate) fn assert_still_works(&self) {
        let answer =
            self.ask("GET /legitimate HTTP/1.1\r\nHost: a.api.localhost\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("/legitimate"), "{answer}");
    }
}

/// Waits for something that has to happen.
pub(crate) fn until(what: &str, happened: impl Fn() -> bool) {
    let start = clock::instant();
    while !happened() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        // Looking without a pause would take the processor from what is waited for.
        thread::sleep(Duration::from_millis(1));
    }
}

/// As [`Proxy::ask`].
pub(crate) fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let mut client = Client::connect(address);
    client.send(request);
    client.rest()
}

/// A client that sends what it is told.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    ahead: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, ahead: Vec::new() }
    }

    /// Sends bytes; the proxy may have closed already.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    fn more(&mut self) -> io::Result<usize> {
        let mut part = vec![0; 256 << 10];
        let read = self.stream.read(&mut part)?;
        self.ahead.extend_from_slice(&part[..read]);
        Ok(read)
    }

    pub(crate) fn until(&mut self, end: &[u8]) -> String {
        loop {
            if let Some(at) = self.ahead.windows(end.len()).position(|window| window == end) {
                return String::from_utf8(self.ahead.drain(..at + end.len()).collect()).unwrap();
            }
            assert!(self.more().unwrap() > 0, "ended after {:?}", String::from_utf8_lossy(&self.ahead));
        }
    }

    pub(crate) fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.ahead.len() < count {
            assert!(self.more().unwrap() > 0, "ended after {} bytes", self.ahead.len());
        }
        self.ahead.drain(..count).collect()
    }

    /// An answer with a `Content-Length`: head and body.
    pub(crate) fn answer(&mut self) -> (String, String) {
        let head = self.until(b"\r\n\r\n");
        let length = field(&head, "content-length").unwrap().parse().unwrap();
        (head, String::from_utf8(self.exactly(length)).unwrap())
    }

    /// What comes until the end of the connection.
    pub(crate) fn rest(&mut self) -> String {
        String::from_utf8_lossy(&self.rest_bytes()).into_owned()
    }

    /// The same, as it came.
    pub(crate) fn rest_bytes(&mut self) -> Vec<u8> {
        while self.more().unwrap() > 0 {}
        std::mem::take(&mut self.ahead)
    }

    /// Whether the connection ends with a reset.
    pub(crate) fn is_reset(&mut self) -> bool {
        loop {
            match self.more() {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
            }
        }
    }
}

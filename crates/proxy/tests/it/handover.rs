//! One proxy takes the place of another: on the same sockets, and on the same connections.

use std::{
    net::SocketAddr,
    os::fd::{AsRawFd, OwnedFd},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use tenement_core::{
    config::testing,
    slot::{RunId, Slot},
    wake::WakeRefusal,
};
use tenement_proxy::{Backend, Bound, Config, Limits, Moved, Running, Successor};

use crate::{
    frames::{FINAL, SWITCHED, TEXT, close, frame, opened},
    support::{Client, Instances, PATIENCE, Proxy, Script, echo_path, until, upstream},
};

mod waiting;

const HOST: &str = "Host: a.api.localhost\r\n";

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\n{HOST}\r\n")
}

/// Passes on what it takes, and remembers what that was.
pub(crate) struct Heir {
    to: Arc<dyn Successor>,
    pub(crate) moved: AtomicU64,
    received: Mutex<Vec<u8>>,
}

impl Heir {
    pub(crate) fn new(to: Arc<dyn Successor>) -> Arc<Self> {
        Arc::new(Self { to, moved: AtomicU64::new(0), received: Mutex::default() })
    }
}

impl Successor for Heir {
    fn take(&self, moved: Moved) {
        assert!(moved.peer.is_loopback());
        self.received.lock().unwrap().extend_from_slice(&moved.received);
        self.to.take(moved);
        self.moved.fetch_add(1, SeqCst);
    }
}

/// Keeps what it takes for later.
#[derive(Default)]
struct Shelf(Mutex<Vec<Moved>>);

impl Shelf {
    fn empty(&self) -> Vec<Moved> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Successor for Shelf {
    fn take(&self, moved: Moved) {
        self.0.lock().unwrap().push(moved);
    }
}

/// Moves all connections of `running` there, and returns when that was done.
fn shelve(running: &mut Running) -> Vec<Moved> {
    let shelf = Arc::new(Shelf::default());
    running.hand_over(Arc::clone(&shelf) as Arc<dyn Successor>);
    handed_over(running);
    shelf.empty()
}

/// A proxy, and one that takes its place. Each has its own view of the one instance.
struct Pair {
    old: Proxy,
    /// Its sockets are those of the old one.
    bound: Option<Bound>,
    new: Option<Running>,
    slot: Arc<Slot>,
    instances: Arc<Instances>,
    heir: Option<Arc<Heir>>,
}

pub(crate) fn config(listen: SocketAddr, threads: usize) -> Config {
    Config { listen: vec![listen], threads, trusted_proxies: Vec::new(), limits: Limits::default() }
}

pub(crate) fn copies(bound: &Bound) -> Vec<OwnedFd> {
    let sockets = bound.descriptors().into_iter().flat_map(|(_, sockets)| sockets);
    sockets.map(|socket| socket.try_clone_to_owned().unwrap()).collect()
}

impl Pair {
    fn start(script: Script) -> Self {
        Self::with(script, |_, _| Err(WakeRefusal::Unknown))
    }

    /// For the new one, the instance sleeps if the old one does not know it either.
    fn with(
        script: Script,
        on_wake: impl Fn(&Slot, Option<RunId>) -> Result<(), WakeRefusal> + Send + Sync + 'static,
    ) -> Self {
        let mut inherited = Vec::new();
        let service = testing::service("api");
        let refuse = |_: &Slot, _| Err(WakeRefusal::Unknown);
        let old = Proxy::on(service.clone(), script, Limits::default(), refuse, |config| {
            // With one thread, who knows that it has heard knows that all have.
            let bound = Bound::bind(Config { threads: 1, ..config }).unwrap();
            inherited = copies(&bound);
            bound
        });
        let service = Arc::new(service);
        let slot = Arc::new(Slot::new("api:a".parse().unwrap(), Arc::clone(&service)));
        slot.open(upstream(1, old.socket()));
        let instances = Instances::of(service, &slot, on_wake);
        let bound = Bound::inherit(config(old.address, 2), inherited).unwrap();
        assert_eq!(bound.local_addrs(), [old.address]);
        Self { old, bound: Some(bound), new: None, slot, instances, heir: None }
    }

    fn serve(&mut self) -> Arc<dyn Successor> {
        let backend = Arc::clone(&self.instances) as Arc<dyn Backend>;
        let new = self.bound.take().unwrap().serve(backend).unwrap();
        let taker = new.taker();
        self.new = Some(new);
        taker
    }

    /// Until then, the old one alone accepts. Returns when it has heard.
    fn hand_over(&mut self) {
        let mut idle = self.old.client();
        idle.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        idle.answer();
        let heir = Heir::new(self.serve());
        self.old.running.hand_over(Arc::clone(&heir) as Arc<dyn Successor>);
        until("the idle connection was moved", || heir.moved.load(SeqCst) > 0);
        self.heir = Some(heir);
    }

    /// Besides the connection that showed that it has begun.
    fn moved(&self) -> u64 {
        self.heir.as_ref().map_or(0, |heir| heir.moved.load(SeqCst) - 1)
    }

    fn until_moved(&self, count: u64) {
        until("connections were moved", || self.moved() == count);
    }

    fn handed_over(&mut self) {
        handed_over(&mut self.old.running);
    }

    fn received(&self) -> String {
        String::from_utf8(self.heir.as_ref().unwrap().received.lock().unwrap().clone()).unwrap()
    }

    /// Requests that the old and the new one have served.
    fn served(&self) -> (u64, u64) {
        let count = |slot: &Slot| slot.traffic.tally().responses.iter().sum();
        (count(&self.old.slot), count(&self.slot))
    }

    fn until_served(&self, old: u64, new: u64) {
        until("that was counted", || self.served() == (old, new));
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("waited in vain") })
}

pub(crate) fn handed_over(running: &mut Running) {
    block_on(running.handed_over());
}

/// Tells when a request has come, and waits for a word before it is answered with its path and body.
fn prompted() -> (Script, mpsc::Sender<()>, mpsc::Receiver<()>) {
    let (go, told) = mpsc::channel::<()>();
    let (tell, came) = mpsc::channel();
    let (told, tell) = (Mutex::new(told), Mutex::new(tell));
    let script: Script = Arc::new(move |app| {
        loop {
            let head = String::from_utf8(app.until(b"\r\n\r\n")?).unwrap();
            let _ = tell.lock().unwrap().send(());
            let body = if head.contains("chunked") {
                app.until(b"\r\n0\r\n\r\n")?
            } else {
                app.exactly(length(&head))?
            };
            let _ = told.lock().unwrap().recv_timeout(PATIENCE);
            let answer = [head.split(' ').nth(1).unwrap().as_bytes(), &body].concat();
            app.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len()))?;
            app.say(answer)?;
        }
    });
    (script, go, came)
}

fn length(head: &str) -> usize {
    crate::support::field(head, "content-length").map_or(0, |value| value.parse().unwrap())
}

/// An answer as if nothing had happened.
#[track_caller]
fn good(client: &mut Client, expected: &str) {
    let (head, body) = client.answer();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && !head.contains("Connection: close"), "{head}");
    assert_eq!(body, expected);
}

#[test]
fn a_connection_goes_on_with_the_successor() {
    let mut pair = Pair::start(echo_path());
    let mut client = pair.old.client();
    client.send(get("/1"));
    good(&mut client, "/1");
    let mut silent = pair.old.client();
    pair.hand_over();
    // A second time means nothing.
    pair.old.running.hand_over(pair.new.as_ref().unwrap().taker());
    pair.handed_over();
    assert!(matches!(pair.moved(), 1 | 2), "one that was not accepted yet waits for the new one");
    for client in [&mut client, &mut silent, &mut pair.old.client()] {
        client.send(get("/2"));
        good(client, "/2");
    }
    pair.until_served(1, 3);
    let seen = pair.old.app.seen();
    assert_eq!(seen.matches("\r\nX-Forwarded-For: 127.0.0.1\r\n").count(), 4, "{seen}");
}

#[test]
fn what_was_read_ahead_goes_along() {
    // Whole requests, a part of a head, and nothing.
    for (ahead, rest) in [
        (format!("{}{}", get("/2"), get("/3")), String::new()),
        (format!("{}GET /3 HTTP/1.1\r\nHos", get("/2")), "t: a.api.localhost\r\n\r\n".to_owned()),
        ("G".to_owned(), format!("ET /2 HTTP/1.1\r\n{HOST}\r\n{}", get("/3"))),
        (String::new(), format!("{}{}", get("/2"), get("/3"))),
    ] {
        let (script, go, came) = prompted();
        let mut pair = Pair::start(script);
        let mut client = pair.old.client();
        client.send(format!("{}{ahead}", get("/1")));
        came.recv_timeout(PATIENCE).unwrap();
        pair.hand_over();
        for _ in 0..3 {
            go.send(()).unwrap();
        }
        good(&mut client, "/1");
        pair.handed_over();
        assert_eq!((pair.received(), pair.moved()), (ahead, 1));
        client.send(rest);
        good(&mut client, "/2");
        good(&mut client, "/3");
        pair.until_served(1, 2);
    }
}

#[test]
fn a_head_that_has_not_come_as_a_whole_is_read_on() {
    let request = get("/x");
    let mut pair = Pair::start(echo_path());
    let mut clients: Vec<_> = (1..request.len())
        .map(|cut| {
            let mut client = pair.old.client();
            client.send(&request[..cut]);
            (client, cut)
        })
        .collect();
    pair.hand_over();
    pair.handed_over();
    for (client, cut) in &mut clients {
        client.send(&request[*cut..]);
        good(client, "/x");
    }
    pair.until_served(0, clients.len() as u64);
}

#[test]
fn slow_requests_end_where_they_began() {
    let (next, told) = mpsc::channel::<()>();
    let told = Mutex::new(told);
    let (tell, came) = mpsc::channel();
    let tell = Mutex::new(tell);
    let script: Script = Arc::new(move |app| {
        loop {
            let head = String::from_utf8(app.until(b"\r\n\r\n")?).unwrap();
            let _ = tell.lock().unwrap().send(());
            if head.contains("Expect: ") {
                app.say("HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let body = app.exactly(length(&head))?;
            app.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")?;
            if !head.contains("/last") {
                let _ = told.lock().unwrap().recv_timeout(PATIENCE);
            }
            app.say(if body.is_empty() { b"world".to_vec() } else { body })?;
        }
    });
    let mut pair = Pair::start(script);
    let post = |lines: &str| format!("POST /up HTTP/1.1\r\n{HOST}{lines}Content-Length: 5\r\n\r\n");
    let [mut up, mut expects, mut down] = [post("") + "WO", post("Expect: 100-continue\r\n"), get("/down")]
        .map(|request| {
            let mut client = pair.old.client();
            client.send(request);
            came.recv_timeout(PATIENCE).unwrap();
            client
        });
    assert_eq!(expects.until(b"\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    down.until(b"hello");
    let mut idle = pair.old.client();
    idle.send(get("/last"));
    good(&mut idle, "helloworld");
    pair.hand_over();
    pair.until_moved(1);
    up.send("RLD");
    expects.send("WORLD");
    for _ in 0..3 {
        next.send(()).unwrap();
    }
    good(&mut up, "helloWORLD");
    good(&mut expects, "helloWORLD");
    assert_eq!(down.exactly(5), b"world");
    pair.handed_over();
    assert_eq!((pair.moved(), pair.served()), (4, (4, 0)));
    for client in [&mut up, &mut expects, &mut down, &mut idle] {
        client.send(get("/last"));
        good(client, "helloworld");
    }
    pair.until_served(4, 4);
}

#[test]
fn a_websocket_stays_until_it_is_cut_off() {
    // faults: W6 D2
    let script: Script = Arc::new(|app| {
        app.request()?;
        app.say(SWITCHED)?;
        loop {
            let byte = app.exactly(1)?;
            app.say(byte)?;
        }
    });
    let mut pair = Pair::start(script);
    let mut client = opened(&pair.old);
    pair.hand_over();
    let message = frame(FINAL | TEXT, None, b"still there");
    client.send(&message);
    assert_eq!(client.exactly(message.len()), message);
    let over = block_on(async {
        tokio::time::timeout(Duration::ZERO, pair.old.running.handed_over()).await.is_ok()
    });
    assert!(!over);
    thread::scope(|scope| {
        let running = &mut pair.old.running;
        let cut = scope.spawn(|| block_on(running.cut()));
        assert_eq!(client.rest_bytes(), frame(FINAL | 8, None, &close(1012)));
        drop(client);
        cut.join().unwrap();
    });
    assert_eq!(pair.moved(), 0);
}

#[test]
fn who_connects_in_between_waits_for_the_successor() {
    let mut pair = Pair::start(echo_path());
    let mut known = pair.old.client();
    known.send(get("/1"));
    good(&mut known, "/1");
    let moved = shelve(&mut pair.old.running);
    // Nobody accepts now.
    let mut late: Vec<_> = (0..50).map(|_| pair.old.client()).collect();
    for client in &mut late {
        client.send(get("/late"));
    }
    known.send(get("/2"));
    pair.serve();
    assert_eq!(moved.len(), 1);
    for moved in moved {
        pair.new.as_ref().unwrap().take(moved);
    }
    good(&mut known, "/2");
    for client in &mut late {
        good(client, "/late");
    }
    pair.until_served(1, 51);
}

#[test]
fn what_was_taken_over_can_be_handed_on_at_once() {
    let mut pair = Pair::start(echo_path());
    let mut clients: Vec<_> = (0..200).map(|_| pair.old.client()).collect();
    for client in &mut clients {
        client.send(get("/1"));
        good(client, "/1");
    }
    let count = clients.len();
    let mut moved = shelve(&mut pair.old.running);
    pair.serve();
    let mut next = pair.new.take().unwrap();
    moved.drain(..).for_each(|moved| next.take(moved));
    // Nothing that it has not looked at yet is lost.
    moved = shelve(&mut next);
    next.close();
    assert_eq!(moved.len(), count);
    let bound = Bound::bind(config(([127, 0, 0, 1], 0).into(), 2)).unwrap();
    let last = bound.serve(Arc::clone(&pair.instances) as Arc<dyn Backend>).unwrap();
    moved.drain(..).for_each(|moved| last.take(moved));
    for client in &mut clients {
        client.send(get("/2"));
        good(client, "/2");
    }
}

#[test]
fn what_is_gone_when_it_is_taken_over_troubles_nobody() {
    let mut pair = Pair::start(echo_path());
    let taker = pair.serve();
    let moved =
        |connection| Moved { connection, peer: [127, 0, 0, 1].into(), received: get("/x").into_bytes() };
    // A connection that was reset, and something that is none.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (reset, _) = listener.accept().unwrap();
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    taker.take(moved(reset.into()));
    taker.take(moved(std::fs::File::open("/dev/null").unwrap().into()));
    let mut client = pair.old.client();
    client.send(get("/1"));
    good(&mut client, "/1");
    assert_eq!(pair.new.as_ref().unwrap().panics(), 0);
    // Nobody is left to take it: it is closed.
    pair.new.take().unwrap().close();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    assert!(ours.as_raw_fd() > 0);
    taker.take(moved(theirs.into()));
    assert_eq!(std::io::copy(&mut &ours, &mut std::io::sink()).unwrap(), 0);
}

#[test]
fn a_drain_after_it_tells_nobody_to_go() {
    let (script, go, came) = prompted();
    let mut pair = Pair::start(script);
    let (mut busy, mut idle) = (pair.old.client(), pair.old.client());
    for client in [&mut idle, &mut busy] {
        client.send(get("/1"));
        came.recv_timeout(PATIENCE).unwrap();
        go.send(()).unwrap();
        good(client, "/1");
    }
    busy.send(get("/2"));
    came.recv_timeout(PATIENCE).unwrap();
    pair.hand_over();
    thread::scope(|scope| {
        let running = &mut pair.old.running;
        let drained = scope.spawn(|| block_on(running.drain(PATIENCE)));
        go.send(()).unwrap();
        good(&mut busy, "/2");
        drained.join().unwrap();
    });
    for client in [&mut idle, &mut busy] {
        go.send(()).unwrap();
        client.send(get("/3"));
        good(client, "/3");
    }
    pair.until_served(3, 2);
}

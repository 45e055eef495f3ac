//! Proxies that take each other's place while clients go on asking: each request has one answer, and reaches the
//! application once.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use tenement_core::{config::testing, wake::WakeRefusal};
use tenement_proxy::{Backend, Bound, Config, Limits, Successor};

use crate::{
    handover::{Heir, config, copies, handed_over},
    support::{Proxy, Script, field, until},
};

/// Threads of the proxies that follow.
const GENERATIONS: [usize; 8] = [1, 3, 2, 5, 1, 2, 4, 2];
/// Answers that each of them sees.
const ANSWERS: u64 = 500;

/// What all clients share.
#[derive(Default)]
struct Clients {
    sent: AtomicU64,
    answered: AtomicU64,
    /// Of those who stay.
    begun: AtomicU64,
    enough: AtomicBool,
}

/// Answers with path and body; counts how often each path was asked for.
fn counting() -> (Script, Arc<Mutex<HashMap<String, u64>>>) {
    let counts = Arc::new(Mutex::new(HashMap::new()));
    let counted = Arc::clone(&counts);
    let script: Script = Arc::new(move |app| {
        loop {
            let (head, body) = app.request()?;
            let path = head.split(' ').nth(1).unwrap();
            *counted.lock().unwrap().entry(path.to_owned()).or_insert(0) += 1;
            app.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len() + body.len()))?;
            app.say(body)?;
        }
    });
    (script, counts)
}

/// A client that says when something is wrong instead of waiting for it.
struct Asking<'a> {
    stream: TcpStream,
    ahead: Vec<u8>,
    clients: &'a Clients,
}

impl<'a> Asking<'a> {
    fn connect(address: SocketAddr, clients: &'a Clients) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, ahead: Vec::new(), clients }
    }

    /// In as many pieces as given.
    fn send(&mut self, requests: u64, pieces: &[&[u8]]) {
        self.clients.sent.fetch_add(requests, SeqCst);
        for piece in pieces {
            self.stream.write_all(piece).unwrap();
            thread::yield_now();
        }
    }

    fn expect(&mut self, expected: &str) {
        let (mut part, end) = ([0; 4096], b"\r\n\r\n");
        let whole = loop {
            if let Some(at) = self.ahead.windows(end.len()).position(|window| window == end) {
                let head = std::str::from_utf8(&self.ahead[..at + 4]).unwrap();
                assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
                assert!(!head.contains("Connection: close"), "{head}");
                let length: usize = field(head, "content-length").unwrap().parse().unwrap();
                if self.ahead.len() >= at + 4 + length {
                    break (at + 4, at + 4 + length);
                }
            }
            let read = self.stream.read(&mut part).unwrap();
            assert!(read > 0, "closed before the answer {expected}");
            self.ahead.extend_from_slice(&part[..read]);
        };
        assert_eq!(std::str::from_utf8(&self.ahead[whole.0..whole.1]).unwrap(), expected);
        self.ahead.drain(..whole.1);
        self.clients.answered.fetch_add(1, SeqCst);
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.api.localhost\r\n\r\n")
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: a.api.localhost\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// Asks on one connection until it is enough.
fn stays(address: SocketAddr, clients: &Clients, id: usize) {
    let mut asking = Asking::connect(address, clients);
    for round in 0_u64.. {
        let path = format!("/{id}/{round}");
        match round % 4 {
            0 | 1 => {
                asking.send(1, &[get(&path).as_bytes()]);
                asking.expect(&path);
            }
            // In pieces, head and body.
            2 => {
                let request = post(&path, "some body");
                let (a, rest) = request.as_bytes().split_at(20);
                let (b, c) = rest.split_at(rest.len() - 4);
                asking.send(1, &[a, b, c]);
                asking.expect(&format!("{path}some body"));
            }
            // Several at once.
            _ => {
                let paths: Vec<_> = (0..3).map(|at| format!("{path}/{at}")).collect();
                let requests: String = paths.iter().map(|path| get(path)).collect();
                let (a, b) = requests.as_bytes().split_at(requests.len() - 30);
                asking.send(3, &[a, b]);
                for path in paths {
                    asking.expect(&path);
                }
            }
        }
        if round == 0 {
            clients.begun.fetch_add(1, SeqCst);
        }
        if clients.enough.load(SeqCst) {
            return;
        }
    }
}

/// A connection for each request.
fn comes_again(address: SocketAddr, clients: &Clients, id: usize) {
    for round in 0_u64.. {
        let path = format!("/{id}/{round}");
        let mut asking = Asking::connect(address, clients);
        asking.send(1, &[get(&path).as_bytes()]);
        asking.expect(&path);
        if clients.enough.load(SeqCst) {
            return;
        }
    }
}

#[test]
fn nobody_notices_that_one_proxy_follows_another() {
    let (script, counts) = counting();
    let mut sockets = Vec::new();
    let refuse = |_: &_, _| Err(WakeRefusal::Unknown);
    let proxy = Proxy::on(testing::service("api"), script, Limits::default(), refuse, |config: Config| {
        let bound = Bound::bind(config).unwrap();
        sockets = copies(&bound);
        bound
    });
    let (address, clients) = (proxy.address, Clients::default());
    let backend = Arc::clone(&proxy.instances) as Arc<dyn Backend>;
    let mut running = proxy.running;
    thread::scope(|scope| {
        for id in 0..6 {
            let clients = &clients;
            scope.spawn(move || stays(address, clients, id));
        }
        for id in 6..8 {
            let clients = &clients;
            scope.spawn(move || comes_again(address, clients, id));
        }
        let more = || {
            let before = clients.answered.load(SeqCst);
            until("requests are answered", || clients.answered.load(SeqCst) >= before + ANSWERS);
        };
        more();
        until("who stays is there", || clients.begun.load(SeqCst) == 6);
        for threads in GENERATIONS {
            let bound = Bound::inherit(config(address, threads), std::mem::take(&mut sockets)).unwrap();
            sockets = copies(&bound);
            let new = bound.serve(Arc::clone(&backend)).unwrap();
            let heir = Heir::new(new.taker());
            running.hand_over(Arc::clone(&heir) as Arc<dyn Successor>);
            handed_over(&mut running);
            assert!(heir.moved.load(SeqCst) >= 6, "who stays was moved");
            std::mem::replace(&mut running, new).close();
            more();
        }
        clients.enough.store(true, SeqCst);
    });
    let (counts, sent) = (counts.lock().unwrap(), clients.sent.load(SeqCst));
    assert_eq!((sent, clients.answered.load(SeqCst)), (counts.len() as u64, sent));
    assert!(counts.values().all(|&count| count == 1));
    assert!(sent > GENERATIONS.len() as u64 * ANSWERS);
    drop(sockets);
    running.close();
    assert!(TcpStream::connect(address).is_err());
}

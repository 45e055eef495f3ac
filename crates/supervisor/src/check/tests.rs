use std::{
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
    os::{fd::BorrowedFd, unix::net::UnixListener},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use rustix::net::{AddressFamily, SocketType};
use tenement_core::slot::{Identity, Opened, RunId};

use super::*;

/// Vouches for everybody, or for nobody.
#[derive(Debug)]
struct Vouching(bool);

impl Identity for Vouching {
    fn is_behind(&self, _connection: BorrowedFd<'_>) -> bool {
        self.0
    }
}

fn question(address: Address, timeout: Duration) -> Question {
    let upstream =
        Upstream { run: RunId(1), address, identity: Arc::new(Vouching(true)), opened: Opened::default() };
    Question { upstream, host: "h".into(), path: "/health".into(), timeout }
}

/// Answers the first connection with `parts`, each once a value was sent for it.
fn app(parts: &'static [&'static str]) -> (u16, mpsc::Sender<()>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (go, gate) = mpsc::channel();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 1024];
        let read = stream.read(&mut head).unwrap();
        assert!(head[..read].starts_with(b"GET /health HTTP/1.1\r\nHost: h\r\n"));
        for part in parts {
            gate.recv().unwrap();
            stream.write_all(part.as_bytes()).unwrap();
        }
        let _ = gate.recv();
    });
    (port, go, thread)
}

#[tokio::test]
async fn an_answer_in_pieces_is_waited_for() {
    let (port, go, thread) = app(&["HTTP/1.", "1 503 Service", " Unavailable\r\n"]);
    let mut exchange = Exchange::begin(&question(Address::Tcp(port), Duration::from_secs(60))).unwrap();
    assert!(exchange.advance().is_none());
    for _ in 0..3 {
        go.send(()).unwrap();
    }
    let mut found = None;
    let judged = |verdict| {
        found = Some(verdict);
        drop(go);
    };
    exchange.wait(Duration::from_secs(60), judged).await;
    assert!(matches!(found, Some(Err(CheckError::Status(503)))), "{found:?}");
    thread.join().unwrap();
}

// faults: I18
#[tokio::test]
async fn who_does_not_answer_is_not_waited_for_longer_than_the_timeout() {
    let (port, go, thread) = app(&[]);
    let verdict = check(&question(Address::Tcp(port), Duration::from_millis(20))).await;
    assert!(matches!(verdict, Err(CheckError::Timeout(_))), "{verdict:?}");
    drop(go);
    thread.join().unwrap();
}

#[tokio::test]
async fn nobody_there_is_no_connection() {
    // Bound, so that nobody else gets it, and listening is nobody.
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let deaf = SocketAddrV4::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap().port();
    let gone = Address::Unix("/nonexistent/a.sock".into());
    for address in [Address::Tcp(deaf), gone] {
        let verdict = check(&question(address, Duration::from_secs(60))).await;
        assert!(matches!(verdict, Err(CheckError::Connect(_))), "{verdict:?}");
    }
}

// faults: I18
#[tokio::test]
async fn a_full_queue_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    let listener = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let mut queued: Vec<_> = std::iter::from_fn(|| socket::connect(&path).ok()).take(16).collect();
    let mut exchange = Exchange::begin(&question(Address::Unix(path), Duration::from_secs(60))).unwrap();
    assert!(exchange.advance().is_none());
    let app = thread::spawn(move || {
        queued.drain(..).for_each(drop);
        loop {
            let (mut stream, _) = listener.accept().unwrap();
            if stream.read(&mut [0; 1024]).unwrap() > 0 {
                return stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            }
        }
    });
    let mut found = None;
    exchange.wait(Duration::from_secs(60), |verdict| found = Some(verdict)).await;
    assert!(matches!(found, Some(Ok(()))), "{found:?}");
    app.join().unwrap();
}

// faults: I3
#[tokio::test]
async fn somebody_else_in_its_place_is_asked_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut question = question(Address::Tcp(port), Duration::from_secs(60));
    question.upstream.identity = Arc::new(Vouching(false));
    let verdict = check(&question).await;
    assert!(matches!(verdict, Err(CheckError::Stranger)), "{verdict:?}");
    let (mut stream, _) = listener.accept().unwrap();
    assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0);
}

#[tokio::test]
async fn an_answer_is_read_to_its_end() {
    let (port, go, thread) = app(&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "hello", "", ""]);
    for _ in 0..4 {
        go.send(()).unwrap();
    }
    assert!(check(&question(Address::Tcp(port), Duration::from_secs(60))).await.is_ok());
    drop(go);
    thread.join().unwrap();
}

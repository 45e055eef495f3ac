use std::{
    net::TcpListener,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use super::*;

fn question(address: Address, timeout: Duration) -> Question {
    Question { address, host: "h".into(), path: "/health".into(), timeout }
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

#[test]
fn only_a_status_line_counts() {
    assert_eq!(status_of(b"HTTP/1.1 204 No Content\r\n"), Some(204));
    assert_eq!(status_of(b"HTTP/1.0 500\r\n"), Some(500));
    for bad in ["", "HTTP/1.1 20", "HTTP/2 200 ", "HTTP/1.1 2000 ", "HTTP/1.1 2x0 ", "200 OK"] {
        assert_eq!(status_of(bad.as_bytes()), None, "{bad}");
    }
}

#[tokio::test]
async fn an_answer_in_pieces_is_waited_for() {
    let (port, go, thread) = app(&["HTTP/1.", "1 503 Service", " Unavailable\r\n"]);
    let mut exchange = Exchange::begin(&question(Address::Tcp(port), Duration::from_secs(60))).unwrap();
    assert!(exchange.advance().is_none());
    for _ in 0..3 {
        go.send(()).unwrap();
    }
    let verdict = exchange.wait(Duration::from_secs(60)).await;
    assert!(matches!(verdict, Err(CheckError::Status(503))), "{verdict:?}");
    drop(go);
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
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gone = Address::Unix("/nonexistent/a.sock".into());
    for address in [Address::Tcp(free), gone] {
        let verdict = check(&question(address, Duration::from_secs(60))).await;
        assert!(matches!(verdict, Err(CheckError::Connect(_))), "{verdict:?}");
    }
}

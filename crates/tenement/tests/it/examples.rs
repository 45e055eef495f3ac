//! Every example with its real runtime.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::support::{TestDaemon, project, until};

/// One masked text frame (RFC 6455 section 5.2).
fn frame(text: &str) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let masked = text.bytes().enumerate().map(|(at, byte)| byte ^ mask[at % 4]);
    [0x81, 0x80 | text.len() as u8].into_iter().chain(mask).chain(masked).collect()
}

fn websocket(daemon: &TestDaemon, host: &str) -> TcpStream {
    let mut stream = daemon.connect();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    // The answer to this key, from RFC 6455 section 1.3.
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    stream
}

fn message(stream: &mut TcpStream) -> String {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let mut text = vec![0; usize::from(head[1])];
    stream.read_exact(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn every_example_answers() {
    let examples = project().join("examples");
    let built = examples.join("hello-rust/target/release/hello-rust");
    assert!(built.exists(), "build it first, as 'make test' does: {}", built.display());
    let config = examples.join("tenement.toml");
    let folder = tempfile::tempdir().unwrap();
    let daemon = TestDaemon::start_in(folder, &["--config", config.to_str().unwrap()]);
    assert!(daemon.get("alice.notes.localhost", "/").contains("alice's notes"));
    assert!(daemon.get("bob.notes.localhost", "/").contains("bob's notes"));
    assert!(daemon.get("world.hello.localhost", "/").ends_with("Hello, world!\n"));
    assert!(daemon.get("www.static.localhost", "/").contains("A static site"));
    assert!(daemon.get("lobby.chat.localhost", "/").contains("<title>Chat</title>"));
    let (mut one, mut other) =
        (websocket(&daemon, "lobby.chat.localhost"), websocket(&daemon, "lobby.chat.localhost"));
    one.write_all(&frame("hello, everybody")).unwrap();
    assert_eq!(message(&mut other), "hello, everybody");
    assert_eq!(message(&mut one), "hello, everybody");
    // BusyBox has one more for each connection, also for one that is kept for the next request.
    until("one process each", || daemon.processes().len() == 5);
}

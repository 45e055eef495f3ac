//! WebSockets, and nothing else that changes the protocol.

use std::sync::Arc;

use crate::support::{Proxy, Script, echo_path};

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: a.api.localhost\r\nConnection: Upgrade, X-Nominated\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    X-Nominated: 1\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";

/// Switches, then sends back what it gets until its end, and says goodbye.
fn echo_after_101() -> Script {
    Arc::new(|app| {
        let (head, _) = app.request()?;
        assert!(head.contains("Connection: upgrade\r\nUpgrade: websocket\r\n"), "{head}");
        app.say(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nfirst",
        )?;
        while let Ok(bytes) = app.exactly(1) {
            app.say(bytes)?;
        }
        app.say("goodbye")
    })
}

// faults: W7
#[test]
fn a_websocket_is_a_tunnel_and_keeps_its_instance_awake() {
    // faults: P12 P13 P16
    let proxy = Proxy::start(echo_after_101());
    let mut client = proxy.client();
    client.send(HANDSHAKE);
    let head = client.until(b"\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("Upgrade: websocket\r\n"), "{head}");
    assert!(head.contains("Sec-WebSocket-Accept: "));
    assert_eq!(client.exactly(5), b"first");
    let seen = proxy.app.seen();
    assert!(seen.contains("X-Forwarded-For: 127.0.0.1\r\n") && !seen.contains("6.6.6.6"), "{seen}");
    assert!(!seen.contains("X-Nominated"), "{seen}");
    for message in [b"ping\x00\xff".as_slice(), b"GET / HTTP/1.1\r\n\r\n"] {
        client.send(message);
        assert_eq!(client.exactly(message.len()), message);
    }
    assert_eq!(proxy.slot.in_flight(), 1);
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.rest(), "goodbye");
    while proxy.slot.in_flight() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn bytes_after_a_refused_upgrade_are_requests_under_policy() {
    // faults: P16
    let proxy = Proxy::start(echo_path());
    let mut client = proxy.client();
    client.send(HANDSHAKE);
    client.send("GET /second HTTP/1.1\r\nHost: b.api.localhost\r\n\r\n");
    assert_eq!(client.answer().1, "/chat");
    let (head, _) = client.answer();
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    assert!(!proxy.app.seen().contains("/second"));
}

#[test]
fn no_other_protocol_is_switched_to() {
    // faults: P12 P16
    let proxy = Proxy::start(echo_path());
    for lines in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
        "Connection: upgrade\r\nUpgrade: websocket, h2c",
        "Upgrade: websocket",
        "Connection: upgrade\r\nUpgrade: TLS/1.0",
    ] {
        let mut client = proxy.client();
        client.send(format!("GET /plain HTTP/1.1\r\nHost: a.api.localhost\r\n{lines}\r\n\r\n"));
        assert_eq!(client.answer().1, "/plain");
    }
    assert!(!proxy.app.seen().to_lowercase().contains("upgrade"), "{}", proxy.app.seen());
}

#[test]
fn what_is_sent_before_the_101_waits_for_it() {
    // faults: P16
    let proxy = Proxy::start(echo_after_101());
    let mut client = proxy.client();
    client.send(format!("{HANDSHAKE}early"));
    client.until(b"\r\n\r\n");
    assert_eq!(client.exactly(10), b"firstearly");
}

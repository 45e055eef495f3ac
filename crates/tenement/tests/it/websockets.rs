//! Many WebSockets at once, through a real daemon to a real application.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process};

use crate::support::{TestDaemon, project, until};

const HOST: &str = "lobby.chat.localhost";
const WANTED: usize = 1000;
/// A close frame: "going away" (1001).
const AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];

/// As many as the daemon has descriptors for: two each.
fn many() -> usize {
    let most = getrlimit(Resource::Nofile).current.map_or(WANTED, |most| most as usize);
    WANTED.min(most.saturating_sub(200) / 2)
}

fn chat(more: &str) -> TestDaemon {
    let app = project().join("examples/chat/server.js");
    let service = format!("[service.chat]\ncommand = \"node '{}'\"\n{more}\n", app.display());
    TestDaemon::start(&format!(
        "[settings]\nbackoff_base_ms = 50\n{service}[instances]\nchat = [\"lobby\"]\n"
    ))
}

fn open(daemon: &TestDaemon) -> TcpStream {
    open_at(daemon, HOST)
}

/// A WebSocket to an application.
pub(crate) fn open_at(daemon: &TestDaemon, host: &str) -> TcpStream {
    let mut stream = daemon.connect();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    stream
}

/// Sends an empty ping; the pong comes from the application.
pub(crate) fn assert_alive(stream: &mut TcpStream) {
    stream.write_all(&[0x89, 0x80, 1, 2, 3, 4]).unwrap();
    let mut pong = [0; 2];
    stream.read_exact(&mut pong).unwrap();
    assert_eq!(pong, [0x8a, 0]);
}

fn open_many(daemon: &TestDaemon) -> Vec<TcpStream> {
    let mut all: Vec<_> = (0..many()).map(|_| open(daemon)).collect();
    all.iter_mut().for_each(assert_alive);
    all
}

/// What comes until the end.
fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    rest
}

#[test]
fn when_the_application_dies_its_websockets_end_and_a_new_one_wakes_it() {
    // faults: W6
    let daemon = chat("restart = \"never\"");
    let all = open_many(&daemon);
    let [pid] = daemon.processes()[..] else { panic!("one process") };
    kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
    // "Service restart" (1012), by the proxy: nobody else is left who could say goodbye.
    let count = all.len() as u64;
    assert!(all.into_iter().all(|stream| rest(stream) == [0x88, 2, 0x03, 0xf4]));
    assert_eq!(daemon.metric("tenement_websockets_cut_total{service=\"chat\"}"), count);
    until("its end is known", || daemon.status("chat:lobby") != "running");
    assert_alive(&mut open(&daemon));
    assert_ne!(daemon.processes(), [pid]);
}

#[test]
fn when_an_instance_is_restarted_its_websockets_are_told() {
    // faults: W6 P18
    let daemon = chat("");
    let all = open_many(&daemon);
    daemon.ok(&["restart", "chat:lobby"]);
    // "Going away" (1001), as the application says it, and then the end.
    assert!(all.into_iter().all(|stream| rest(stream) == AWAY));
    assert_eq!(daemon.metric("tenement_websockets_cut_total{service=\"chat\"}"), 0);
    assert_alive(&mut open(&daemon));
}

#[test]
fn when_the_daemon_ends_open_websockets_are_told() {
    // faults: W6 D2
    let mut daemon = chat("");
    let all = open_many(&daemon);
    daemon.signal(Signal::TERM);
    // They are requests in flight, and have time; a second signal is the end of it.
    until("draining", || daemon.is_draining());
    daemon.signal(Signal::TERM);
    assert!(all.into_iter().all(|stream| rest(stream) == AWAY));
    assert_eq!(daemon.wait(), Some(0));
}

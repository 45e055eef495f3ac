//! `ten upgrade`: another process takes over, and nobody notices.

mod control;
mod followed;
mod kills;
mod refusals;
mod traffic;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
};

use serde_json::Value;

use crate::support::{TestDaemon, until};

/// A folder with a configuration with this service `app`.
fn configured(app: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.py"), include_str!("upgrade/app.py")).unwrap();
    fs::write(folder.path().join("tenement.toml"), config(folder.path(), app)).unwrap();
    folder
}

fn config(folder: &Path, app: &str) -> String {
    let command = format!("command = \"python3 {}\"", folder.join("app.py").display());
    format!(
        "[settings]\nbackoff_base_ms = 50\nstop_timeout = 5\n[service.app]\n{command}\n{app}\n\
         [service.naps]\n{command}\nidle_timeout = 1\nautostart = false\n[instances]\nnaps = ['s1', 's2', 's3', 's4']\n"
    )
}

fn daemon(app: &str) -> TestDaemon {
    TestDaemon::start_in(configured(app), &[])
}

fn host(id: &str) -> String {
    format!("{id}.app.localhost")
}

/// A file of an instance's folder.
fn file(daemon: &TestDaemon, id: &str, name: &str) -> std::path::PathBuf {
    daemon.folder.path().join("data/app").join(id).join(name)
}

fn view(daemon: &TestDaemon, id: &str) -> Value {
    serde_json::from_str(&daemon.ask_local(&format!("/api/instances/app/{id}"))).unwrap()
}

/// What tells one life of an instance from another.
fn life(daemon: &TestDaemon, id: &str) -> (u64, u64) {
    let view = view(daemon, id);
    let number = |member: &str| view[member].as_u64().unwrap_or_else(|| panic!("no {member}: {view}"));
    (number("pid"), number("restart_count"))
}

fn log(daemon: &TestDaemon) -> String {
    fs::read_to_string(daemon.folder.path().join("daemon.log")).unwrap()
}

/// Upgrades, and asserts that it is another process that serves then.
fn upgrade(daemon: &TestDaemon, binary: &[&str]) {
    let before = daemon.daemon_pid();
    daemon.ok(&[&["upgrade"], binary].concat());
    assert_ne!(daemon.daemon_pid(), before);
}

/// A copy of the program, in the daemon's folder.
fn copy(daemon: &TestDaemon, name: &str) -> String {
    let path = daemon.folder.path().join(name);
    fs::copy(env!("CARGO_BIN_EXE_ten"), &path).unwrap();
    path.to_str().unwrap().to_owned()
}

/// One request on a connection that stays: the body of the answer, which is a 200.
fn ask(stream: &mut TcpStream, host: &str, path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let (head, body) = answer(stream);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}{body}");
    body
}

/// An instance that nobody uses falls asleep twice: for one that nobody used since, its time is over for long.
fn naps(daemon: &TestDaemon, id: &str) {
    until("asleep", || daemon.status(&format!("app:{id}")) == "sleeping");
    ask(&mut daemon.connect(), &host(id), "/");
    until("asleep", || daemon.status(&format!("app:{id}")) == "sleeping");
}

/// Head and body of an answer that says its length.
fn answer(stream: &mut TcpStream) -> (String, String) {
    let head = head(stream);
    let lower = head.to_ascii_lowercase();
    let length = lower.split_once("content-length: ").unwrap().1.split_once("\r\n").unwrap().0;
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head, String::from_utf8(body).unwrap())
}

fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "ended: {}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A WebSocket to an instance.
struct Socket(TcpStream);

impl Socket {
    fn open(daemon: &TestDaemon, id: &str) -> Self {
        let mut stream = daemon.connect();
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            host(id)
        );
        stream.write_all(request.as_bytes()).unwrap();
        let head = head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Self(stream)
    }

    /// A message, and the same message back.
    fn echo(&mut self, text: &str) {
        let length = u8::try_from(text.len()).unwrap();
        self.0.write_all(&[&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()).unwrap();
        let mut back = vec![0; text.len() + 2];
        self.0.read_exact(&mut back).unwrap();
        assert_eq!(back, [&[0x81, length], text.as_bytes()].concat());
    }

    /// Closes it as the protocol has it.
    fn close(mut self) {
        self.0.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).unwrap();
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, [0x88, 2, 0x03, 0xe8]);
    }
}

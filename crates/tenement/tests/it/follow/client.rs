//! Instances that print what they are told to, and who reads what they print.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use serde_json::Value;
use tungstenite::{Message, WebSocket, client::IntoClientRequest, error::Error, protocol::CloseFrame};

use crate::support::{TestDaemon, text, until};

/// A service that prints what is written into the FIFO `in` of its data directory. It is never ready, and so are several.
pub(super) const ECHO: &str = "[settings]\nmax_starting = 8\n[service.app]\ncommand = \"sh -c 'mkfifo $DATA_DIR/in; cat <> $DATA_DIR/in'\"\nstartup_timeout = '1h'\n";

/// Makes an instance print.
pub(super) fn print(daemon: &TestDaemon, id: &str, what: &str) {
    let path = daemon.folder.path().join("data/app").join(id).join("in");
    until("there is its FIFO", || path.exists());
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all(what.as_bytes()).unwrap();
}

pub(super) fn start(ids: &[&str]) -> TestDaemon {
    let daemon = TestDaemon::start(ECHO);
    for id in ids {
        daemon.ok(&["spawn", &format!("app:{id}"), "--no-wait"]);
    }
    daemon
}

/// Ends what runs, none of which listens.
pub(super) fn stop(daemon: &TestDaemon, ids: &[&str]) {
    for id in ids {
        daemon.ok(&["stop", &format!("app:{id}")]);
    }
}

pub(super) fn token(daemon: &TestDaemon) -> String {
    fs::read_to_string(daemon.folder.path().join("data/api_token")).unwrap().trim().to_owned()
}

/// Makes a token: its id and its text.
pub(super) fn new_token(daemon: &TestDaemon, body: &Value) -> (String, String) {
    let made = call(daemon, "POST", "/api/tokens", &token(daemon), &body.to_string());
    let made: Value = serde_json::from_str(made.split_once("\r\n\r\n").unwrap().1).unwrap();
    (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
}

pub(super) fn call(daemon: &TestDaemon, method: &str, path: &str, token: &str, body: &str) -> String {
    let mut stream = request(
        daemon,
        method,
        path,
        &format!("Authorization: Bearer {token}\r\nConnection: close\r\n"),
        body,
    );
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub(super) fn request(daemon: &TestDaemon, method: &str, path: &str, headers: &str, body: &str) -> TcpStream {
    let mut stream = daemon.connect();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\n{headers}{length}\r\n{body}", daemon.port);
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// The head of an answer, and what follows without the frames of its chunks.
pub(super) struct Chunked(BufReader<TcpStream>);

impl Chunked {
    pub(super) fn get(daemon: &TestDaemon, path: &str, token: &str, headers: &str) -> (String, Self) {
        let headers = format!("Authorization: Bearer {token}\r\n{headers}");
        let mut stream = BufReader::new(request(daemon, "GET", path, &headers, ""));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).unwrap() > 0, "{head}");
        }
        (head, Self(stream))
    }

    /// The next chunk; `None` after the last.
    pub(super) fn chunk(&mut self) -> Option<String> {
        let mut size = String::new();
        self.0.read_line(&mut size).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        self.0.read_exact(&mut chunk).unwrap();
        chunk.truncate(size);
        (size > 0).then(|| text(&chunk))
    }

    /// Reads until it has `count` lines.
    pub(super) fn lines(&mut self, count: usize) -> Vec<String> {
        let mut all = String::new();
        while all.lines().count() < count || !all.ends_with('\n') {
            all.push_str(&self.chunk().expect("more"));
        }
        all.lines().map(str::to_owned).collect()
    }
}

pub(super) type Client = WebSocket<TcpStream>;

pub(super) fn connect(
    daemon: &TestDaemon,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<Client, u16> {
    let mut request = format!("ws://localhost:{}{path}", daemon.port).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    match tungstenite::client(request, daemon.connect()) {
        Ok((client, _)) => Ok(client),
        Err(tungstenite::HandshakeError::Failure(Error::Http(answer))) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

pub(super) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

pub(super) fn say(client: &mut Client, what: &Value) {
    client.send(Message::text(what.to_string())).unwrap();
}

pub(super) fn message(client: &mut Client) -> Value {
    loop {
        match client.read().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Reads to the end: the code it was closed with.
pub(super) fn closed(client: &mut Client) -> (u16, String) {
    loop {
        match client.read() {
            Ok(Message::Close(Some(CloseFrame { code, reason }))) => {
                return (code.into(), reason.as_str().to_owned());
            }
            Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

//! A daemon that only answers what a test says.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use crate::support::{ten, text};

/// What is done with a question.
pub(super) enum Answer {
    /// A JSON body.
    Json(u16, String),
    /// A JSON body, and lines of the head.
    With(&'static str, String),
    /// A body of another kind.
    Plain(String),
    /// Objects, one per line; then the connection is cut.
    Cut(String),
    /// The same, and the daemon is gone until [`Stub::listen`].
    Gone(String),
    /// The same, and nothing more comes, while the connection stands.
    Open(String),
}

/// What was asked.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    /// `GET /api/tokens`.
    pub(super) line: String,
    /// The whole head.
    pub(super) head: String,
    pub(super) body: String,
}

type Answering = Arc<dyn Fn(usize, &Ask) -> Answer + Send + Sync>;

pub(super) struct Stub {
    pub(super) folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<Ask>>>,
    answer: Answering,
}

impl Stub {
    /// `answer` gets the number of the question and the question.
    pub(super) fn start(answer: impl Fn(usize, &Ask) -> Answer + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        let stub = Self { folder, asked: Arc::default(), answer: Arc::new(answer) };
        stub.listen();
        stub
    }

    pub(super) fn listen(&self) {
        let socket = self.folder.path().join("data/admin.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (asked, answer) = (Arc::clone(&self.asked), Arc::clone(&self.answer));
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let ask = read(&mut stream);
                let number = {
                    let mut asked = asked.lock().unwrap();
                    asked.push(ask.clone());
                    asked.len()
                };
                match answer(number, &ask) {
                    Answer::Json(204, _) => put(&mut stream, "204 No Content", "", ""),
                    Answer::Json(status, body) => {
                        put(&mut stream, &format!("{status} Whatever"), "application/json", &body);
                    }
                    Answer::With(head, body) => {
                        put(&mut stream, &format!("200 OK\r\n{head}"), "application/json", &body);
                    }
                    Answer::Plain(body) => put(&mut stream, "200 OK", "text/plain", &body),
                    Answer::Cut(lines) => put(&mut stream, "200 OK", "application/x-ndjson", &lines),
                    Answer::Gone(lines) => {
                        fs::remove_file(&socket).unwrap();
                        put(&mut stream, "200 OK", "application/x-ndjson", &lines);
                        return;
                    }
                    Answer::Open(lines) => {
                        put(&mut stream, "200 OK", "application/x-ndjson", &lines);
                        std::mem::forget(stream);
                    }
                }
            }
        });
    }

    /// Everything that was asked.
    pub(super) fn asked(&self) -> Vec<Ask> {
        self.asked.lock().unwrap().clone()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|ask| ask.line).collect()
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = ten(self.folder.path(), &["--data-dir", "data"]);
        command.args(arguments).stdin(Stdio::null());
        command
    }

    pub(super) fn ten(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(super) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.ten(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// A command that goes on.
    pub(super) fn begin(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

fn read(stream: &mut UnixStream) -> Ask {
    let mut all = Vec::new();
    loop {
        let mut part = [0; 4096];
        let count = stream.read(&mut part).unwrap();
        all.extend_from_slice(&part[..count]);
        let so_far = text(&all);
        let Some((head, body)) = so_far.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
        });
        if body.len() >= length.unwrap_or(0) {
            let line = head.split(" HTTP/").next().unwrap().to_owned();
            return Ask { line, head: head.to_ascii_lowercase(), body: body.to_owned() };
        }
    }
}

/// A body that ends with the connection.
fn put(stream: &mut UnixStream, status: &str, kind: &str, body: &str) {
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n");
    // Who asked may have seen enough.
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

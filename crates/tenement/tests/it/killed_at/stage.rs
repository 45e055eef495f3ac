//! A daemon with some instances, and what has to hold of them whenever it was killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::tracer::Tracer;
use crate::support::{PATIENCE, TestDaemon, until};

/// Kills of one keeper's daemons: with each the pause before the next one grows.
const KILLS: u32 = 3;

/// Prints a numbered line for each request, or 1000, and answers with its pid, its variable WORD and how many lines it has
/// printed.
const APP: &str = r#"
import os, socket
listening = socket.socket(socket.AF_UNIX)
listening.bind(os.environ["SOCKET_PATH"])
listening.listen(64)
pid, n, word = os.getpid(), 0, os.environ.get("WORD", "")
while True:
    connection, _ = listening.accept()
    asked = connection.recv(65536)
    if not asked: continue
    for _ in range(1000 if b" /print" in asked else 1):
        os.write(1, b"%d line %07d\n" % (pid, n))
        n += 1
    body = b"%d %d %s" % (pid, n, word.encode())
    try: connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    except OSError: pass
    connection.close()
"#;

/// An answer that came whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// JSON, or text.
    pub(super) body: Value,
}

impl Answer {
    fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if length.is_some_and(|length: usize| length != body.len()) {
            return None;
        }
        let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
        Some(Self { status, body })
    }

    pub(super) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Of an instance: pid, lines, word.
    pub(super) fn words(&self) -> Vec<&str> {
        self.body.as_str().unwrap_or_default().split(' ').collect()
    }
}

pub(super) struct Stage {
    daemon: Option<TestDaemon>,
    kills: u32,
    ids: u32,
    /// By instance and process, how many lines it said it had printed.
    printed: BTreeMap<String, BTreeMap<String, usize>>,
    /// The process of `app:s`, which nothing is done to.
    standing: Value,
}

impl Stage {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("app.py"), APP).unwrap();
        write_config(folder.path(), "first");
        let daemon = Some(TestDaemon::start_in(folder, &[]));
        let mut stage = Self { daemon, kills: 0, ids: 0, printed: BTreeMap::new(), standing: Value::Null };
        until("running", || stage.status("app", "s") == "running" && stage.status("conf", "a") == "running");
        stage.standing = stage.pid("app", "s");
        stage.is_whole();
        stage
    }

    fn daemon(&self) -> &TestDaemon {
        self.daemon.as_ref().unwrap()
    }

    pub(super) fn folder(&self) -> &Path {
        self.daemon().folder.path()
    }

    /// Told when a test fails.
    pub(super) fn say(&self, what: String) {
        println!("{what}");
    }

    pub(super) fn next_id(&mut self) -> String {
        self.ids += 1;
        format!("k{}", self.ids)
    }

    /// The configuration file, with this word for `conf:a`.
    pub(super) fn configure(&self, word: &str) {
        write_config(self.folder(), word);
    }

    /// Does something while the daemon is about to be killed: the answer, and whether it was. Then another one serves.
    pub(super) fn killed_at(
        &mut self,
        calls: &str,
        times: u32,
        act: impl FnOnce(&Self) -> Option<Answer>,
    ) -> (Option<Answer>, bool) {
        if self.kills == KILLS {
            // Another keeper begins without a pause. Its daemon takes on everything from one that was killed as well.
            let folder = self.daemon.take().unwrap().kill_alone();
            self.daemon = Some(TestDaemon::start_in(folder, &[]));
            self.kills = 0;
        }
        let before = self.daemon().daemon_pid();
        let mut tracer = Tracer::attach(before, calls, times);
        let answer = act(self);
        // What follows from it goes on for a moment.
        let _ = self.ask("GET", "/api/instances", "");
        tracer.end();
        let answers = self.ask("GET", "/api/instances", "").is_some();
        until("dead, if it does not answer", || answers || tracer.has_killed());
        let killed = tracer.has_killed();
        if killed {
            self.kills += 1;
            until("started again", || self.daemon().daemon_pid() != before);
            assert!(self.daemon().get("localhost", "/health").starts_with("HTTP/1.1 200 "));
        }
        (answer, killed)
    }

    /// What the API answers on the local socket, unless it is cut. To connect never fails.
    pub(super) fn ask(&self, method: &str, path: &str, body: &str) -> Option<Answer> {
        let mut stream = UnixStream::connect(self.folder().join("data/admin.sock")).expect("refused");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        exchange(&mut stream, method, "localhost", path, "", body)
    }

    fn list(&self) -> Vec<Value> {
        self.ask("GET", "/api/instances?limit=1000", "").unwrap().body["instances"]
            .as_array()
            .unwrap()
            .clone()
    }

    fn view(&self, service: &str, id: &str) -> Value {
        let name = format!("{service}:{id}");
        self.list().into_iter().find(|one| one["instance"] == name).unwrap_or_default()
    }

    fn status(&self, service: &str, id: &str) -> String {
        self.view(service, id)["status"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn pid(&self, service: &str, id: &str) -> Value {
        self.view(service, id)["pid"].clone()
    }

    /// The status once nothing is under way; empty when it is not known.
    pub(super) fn settled(&self, service: &str, id: &str) -> String {
        let mut status = String::new();
        until("settled", || {
            status = self.status(service, id);
            !is_under_way(service, &status)
        });
        status
    }

    /// What an instance answers to a request on a new connection, unless it is cut. To connect never fails.
    pub(super) fn get(&self, host: &str, path: &str) -> Option<Answer> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.daemon().port)).expect("refused");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        exchange(&mut stream, "GET", host, path, "", "")
    }

    /// It answers, and with that word.
    pub(super) fn greets(&mut self, host: &str, word: &str) {
        let answer = self.get(host, "/").expect("an answer");
        assert!(answer.is_good(), "{host}: {answer:?}");
        let [pid, lines, said] = answer.words()[..] else { panic!("{answer:?}") };
        assert_eq!(said, word, "{host}");
        let (id, service) = host.strip_suffix(".localhost").unwrap().split_once('.').unwrap();
        let printed = self.printed.entry(format!("{service}:{id}")).or_default();
        printed.insert(pid.to_owned(), lines.parse().unwrap());
    }

    /// It answers with that word, soon.
    pub(super) fn comes_to_greet(&mut self, host: &str, word: &str) {
        until("greeted", || {
            self.get(host, "/").is_some_and(|answer| answer.is_good() && answer.words()[2] == word)
        });
    }

    /// What a token may: the status of a list of instances.
    pub(super) fn status_for(&self, token: &str) -> u16 {
        let bearer = format!("Authorization: Bearer {token}\r\n");
        exchange(&mut self.daemon().connect(), "GET", "localhost", "/api/instances", &bearer, "")
            .unwrap()
            .status
    }

    pub(super) fn word_in_effect(&self) -> String {
        let config = self.ask("GET", "/api/config", "").unwrap().body;
        config["services"]["conf"]["env"]["WORD"].as_str().unwrap_or_else(|| panic!("{config}")).to_owned()
    }

    /// What holds always: one process for each that runs and none else, no group of anything else, and all that run answer.
    pub(super) fn is_whole(&mut self) {
        let mut running = BTreeMap::new();
        until("one process each", || {
            let list = self.list();
            let up = list.iter().filter(|one| one["status"] == "running");
            running = up.map(|one| (name(one), one["pid"].to_string())).collect();
            let under_way =
                |one: &Value| is_under_way(one["service"].as_str().unwrap(), one["status"].as_str().unwrap());
            !list.iter().any(under_way) && self.processes().into_iter().eq(running.clone())
        });
        if self.standing.is_u64() {
            assert_eq!(running["app:s"], self.standing.to_string(), "it is the same process all the time");
        }
        for instance in running.keys() {
            let (service, id) = instance.split_once(':').unwrap();
            let answer = self.get(&format!("{id}.{service}.localhost"), "/");
            assert!(answer.as_ref().is_some_and(Answer::is_good), "{instance}: {answer:?}");
        }
        if let Some(groups) = self.groups() {
            assert_eq!(groups, running.into_keys().collect(), "groups");
        }
    }

    /// Instance and pid of each process.
    fn processes(&self) -> BTreeSet<(String, String)> {
        let processes = self.daemon().processes().into_iter();
        processes.filter_map(|pid| Some((variable(pid, "TENEMENT_INSTANCE")?, pid.to_string()))).collect()
    }

    /// The groups that there are for instances of this daemon, if this machine has any.
    fn groups(&self) -> Option<BTreeSet<String>> {
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", self.standing)).unwrap();
        let own = groups
            .lines()
            .find_map(|line| line.splitn(3, ':').nth(2).filter(|path| path.contains("/tenement-")))?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let points = mounts
            .lines()
            .filter(|line| line.contains(" - cgroup"))
            .filter_map(|line| line.split(' ').nth(4));
        let own = Path::new(own.trim_start_matches('/')).parent()?;
        let folder: PathBuf = points.map(|point| Path::new(point).join(own)).find(|path| path.is_dir())?;
        let entries = fs::read_dir(folder).unwrap().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        Some(folders.map(|entry| entry.file_name().into_string().unwrap()).collect())
    }

    /// Takes away what was made for one kill.
    pub(super) fn clean(&mut self, id: &str) {
        for service in ["app", "nap"] {
            if !self.status(service, id).is_empty() {
                self.lines_of(&format!("{service}:{id}"));
                let gone = self.ask("DELETE", &format!("/api/instances/{service}/{id}"), "").unwrap();
                assert!(gone.is_good(), "{gone:?}");
            }
        }
    }

    pub(super) fn forget_lines(&mut self, id: &str) {
        self.printed.remove(&format!("app:{id}"));
    }

    /// Of every instance that lines are known of, each is there once and in order.
    pub(super) fn lines_are_whole(&mut self) {
        self.printed.keys().for_each(|instance| self.lines_of(instance));
    }

    fn lines_of(&self, instance: &str) {
        let Some(printed) = self.printed.get(instance) else { return };
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        until("all lines", || {
            found.clear();
            let lines = self.daemon().ok(&["logs", instance, "--all", "--json"]);
            for line in lines.lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                let (pid, text) = line["message"].as_str().unwrap().split_once(' ').unwrap();
                let so_far = found.entry(pid.to_owned()).or_default();
                assert_eq!(text, format!("line {so_far:07}"), "{instance}: each once and in order");
                *so_far += 1;
            }
            printed.iter().all(|(pid, &lines)| found.get(pid).is_some_and(|&found| found >= lines))
        });
    }
}

/// Only `nap` falls asleep; any other that does is about to be forgotten.
fn is_under_way(service: &str, status: &str) -> bool {
    ["starting", "stopping", "restarting"].contains(&status) || status == "sleeping" && service != "nap"
}

fn name(view: &Value) -> String {
    view["instance"].as_str().unwrap().to_owned()
}

fn variable(pid: u32, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let prefix = format!("{name}=");
    let found = environment.split(|&byte| byte == 0).find_map(|one| one.strip_prefix(prefix.as_bytes()))?;
    String::from_utf8(found.to_vec()).ok()
}

fn exchange(
    stream: &mut (impl Read + Write),
    method: &str,
    host: &str,
    path: &str,
    more: &str,
    body: &str,
) -> Option<Answer> {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{more}\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Answer::parse(&answer)
}

fn write_config(folder: &Path, word: &str) {
    let app = folder.join("app.py");
    let service = |name: &str, more: &str| {
        format!("[service.{name}]\ncommand = \"python3 {}\"\n{more}\n", app.display())
    };
    let ids: Vec<_> = (1..if super::is_all() { 800 } else { 60 }).map(|n| format!("'k{n}'")).collect();
    let config = format!(
        "[settings]\nbackoff_base_ms = 50\nstop_timeout = 5\n{}{}{}[instances]\napp = ['s']\nconf = ['a']\nnap = [{}]\n",
        service("app", ""),
        service("conf", &format!("env = {{ WORD = '{word}' }}")),
        service("nap", "autostart = false\nidle_timeout = 3600"),
        ids.join(",")
    );
    fs::write(folder.join("tenement.toml"), config).unwrap();
}

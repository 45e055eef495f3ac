//! A real daemon in a folder of its own.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    net::{AddressFamily, SocketType, sockopt::set_socket_reuseaddr},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal},
};

/// For what has to happen; reached only when it does not. Long, as some of it is the work of whoever lets all others go first.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The project's folder.
pub(crate) fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// `ten` with these arguments, in a folder, with nothing of the caller's settings.
pub(crate) fn ten(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ten"));
    command.args(arguments).current_dir(folder).env("NO_COLOR", "1");
    for name in ["TENEMENT_CONFIG", "TENEMENT_SERVER", "TENEMENT_TOKEN", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    ten(folder, arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// An address where nobody listens; only the test may, as long as this lives.
pub(crate) struct Free {
    pub(crate) address: SocketAddrV4,
    _bound: OwnedFd,
}

impl Free {
    pub(crate) fn find() -> Self {
        let bound = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        // Whoever says the same may still listen there.
        set_socket_reuseaddr(&bound, true).unwrap();
        rustix::net::bind(&bound, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = rustix::net::getsockname(&bound).unwrap().try_into().unwrap();
        Self { address, _bound: bound }
    }
}

/// A configuration with nothing to run.
pub(crate) const NOTHING: &str = "[settings]\n";

/// A configuration whose service `notes` is the example of that name.
pub(crate) fn notes(more: &str) -> String {
    let app = project().join("examples/notes/app.py");
    format!(
        "[settings]\nbackoff_base_ms = 50\nstop_timeout = 5\n[service.notes]\ncommand = \"python3 '{}'\"\n{more}\n",
        app.display()
    )
}

/// `ten serve`, ready. Dropping it ends it and asserts that nothing is left.
pub(crate) struct TestDaemon {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) port: u16,
    /// What it printed before it was ready, and what came with it.
    pub(crate) said: String,
    child: Child,
}

impl TestDaemon {
    pub(crate) fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tenement.toml"), config).unwrap();
        Self::start_in(folder, &[])
    }

    pub(crate) fn start_in(folder: tempfile::TempDir, arguments: &[&str]) -> Self {
        Self::start_as(folder, arguments, |_| {})
    }

    /// `adapt` has the last word on how the process is started.
    pub(crate) fn start_as(
        folder: tempfile::TempDir,
        arguments: &[&str],
        adapt: impl FnOnce(&mut Command),
    ) -> Self {
        let mut command = ten(folder.path(), &["serve", "--host", "127.0.0.1"]);
        if !arguments.contains(&"--port") {
            command.args(["--port", "0"]);
        }
        if !arguments.contains(&"--data-dir") {
            command.args(["--data-dir", "data"]);
        }
        let log = fs::File::options().create(true).append(true).open(folder.path().join("daemon.log"));
        command.args(arguments).stdout(Stdio::piped()).stderr(log.unwrap());
        adapt(&mut command);
        let mut child = command.spawn().unwrap();
        // Closes what only the daemon is to hold.
        drop(command);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = String::new();
        let port = loop {
            let line = lines.next().and_then(Result::ok);
            let Some(line) = line else {
                panic!("not ready: {}", fs::read_to_string(folder.path().join("daemon.log")).unwrap());
            };
            said.push_str(&line);
            said.push('\n');
            if let Some((_, port)) = line.rsplit_once(':').filter(|_| line.starts_with("tenement is ready")) {
                break port.parse().unwrap();
            }
        };
        // Goes on reading, so that the daemon never writes into a closed pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { folder, port, said, child }
    }

    /// The keeper's.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The daemon's, by what stands in the lock; the last one's, if there is none now.
    pub(crate) fn daemon_pid(&self) -> u32 {
        let lock = fs::read_to_string(self.folder.path().join("data/daemon.lock")).unwrap();
        lock.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// A client command, by the local socket.
    pub(crate) fn ten(&self, arguments: &[&str]) -> Output {
        let mut all = vec!["--data-dir", "data"];
        all.extend(arguments);
        run(self.folder.path(), &all)
    }

    /// Standard output of a client command that succeeds.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.ten(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A request on a connection of its own: the whole answer.
    pub(crate) fn ask(&self, method: &str, host: &str, path: &str, body: &str) -> String {
        self.try_ask(method, host, path, body).unwrap()
    }

    /// Whether it says that it is ending. A connection that waits for its first request when the end begins is closed.
    pub(crate) fn is_draining(&self) -> bool {
        let answer = self.try_ask("GET", "localhost", "/health", "");
        answer.is_ok_and(|answer| answer.contains("draining"))
    }

    fn try_ask(&self, method: &str, host: &str, path: &str, body: &str) -> std::io::Result<String> {
        let mut stream = self.connect();
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{length}\r\n");
        stream.write_all(format!("{head}{body}").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    pub(crate) fn get(&self, host: &str, path: &str) -> String {
        self.ask("GET", host, path, "")
    }

    /// The body of an answer of the API, over the local socket.
    pub(crate) fn ask_local(&self, path: &str) -> String {
        self.ask_local_as("GET", path, "")
    }

    pub(crate) fn ask_local_as(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = UnixStream::connect(self.folder.path().join("data/admin.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        // At once: who is refused by its head alone may find the connection closed when its body comes later.
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        body.to_owned()
    }

    /// A figure of the metrics without labels.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let metrics = self.get("localhost", "/metrics");
        let line = metrics.lines().find(|line| line.split(' ').next() == Some(name));
        line.unwrap_or_else(|| panic!("no {name}")).rsplit(' ').next().unwrap().parse().unwrap()
    }

    pub(crate) fn status(&self, instance: &str) -> String {
        let list: serde_json::Value = serde_json::from_str(&self.ok(&["--json", "ps"])).unwrap();
        let found = list["instances"].as_array().unwrap().iter().find(|one| one["instance"] == instance);
        found.map_or_else(String::new, |one| one["status"].as_str().unwrap().to_owned())
    }

    /// Pids of processes that belong to instances of this daemon.
    pub(crate) fn processes(&self) -> Vec<u32> {
        instances_of(self.folder.path())
    }

    /// To the keeper, as by whoever started it.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Kills the daemon at once, as `kill -9` does, and nothing else: the keeper starts it again.
    pub(crate) fn kill_daemon(&self) {
        kill_process(Pid::from_raw(self.daemon_pid().cast_signed()).unwrap(), Signal::KILL).unwrap();
    }

    /// Kills the keeper at once, and then the daemon, if it is still there.
    pub(crate) fn kill_both(&mut self) {
        // A stopped one starts no other daemon; one that it has just started may not stand in the lock yet.
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.pid());
        let is = |state: &str| fs::read_to_string(&stat).unwrap_or_default().contains(&format!(") {state} "));
        until("stopped or ended", || is("T") || is("Z"));
        let children = format!("/proc/{0}/task/{0}/children", self.pid());
        let children = fs::read_to_string(children).unwrap_or_default();
        self.kill_keeper();
        for daemon in children.split_whitespace() {
            end_of(daemon.parse().unwrap(), Signal::KILL);
        }
    }

    /// Kills the keeper at once, and nothing else.
    pub(crate) fn kill_keeper(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Waits for the keeper's end; the exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Ends it in order; its folder, to start another one there.
    pub(crate) fn stop(mut self) -> tempfile::TempDir {
        self.end();
        self.take_folder()
    }

    /// Kills all of it at once, as `kill -9` does, but not what it runs, as there is nothing; its folder, to start another
    /// one there.
    pub(crate) fn abandon(mut self) -> tempfile::TempDir {
        self.kill_both();
        self.take_folder()
    }

    /// Kills all of it at once, as `kill -9` does, and what it leaves running; its folder, to start another one there.
    pub(crate) fn kill(mut self) -> tempfile::TempDir {
        self.kill_both();
        self.kill_left();
        self.take_folder()
    }

    /// Kills the keeper at once; the folder of the daemon that goes on without it.
    pub(crate) fn orphan(mut self) -> tempfile::TempDir {
        self.kill_keeper();
        self.take_folder()
    }

    fn take_folder(&mut self) -> tempfile::TempDir {
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }

    /// Kills what a daemon of before has left running.
    pub(crate) fn kill_left(&self) {
        let left = self.processes().into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed()));
        for pid in left {
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// Kills it at once and leaves what it runs.
    pub(crate) fn kill_alone(mut self) -> tempfile::TempDir {
        self.kill_both();
        self.take_folder()
    }

    fn end(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.signal(Signal::TERM);
            let code = self.wait();
            let log = fs::read_to_string(self.folder.path().join("daemon.log")).unwrap_or_default();
            assert_eq!(code, Some(0), "{log}");
        } else if self.folder.path().join("data/daemon.lock").exists() {
            // Its keeper was killed.
            end_of(self.daemon_pid(), Signal::TERM);
        }
        assert_eq!(self.processes(), [0; 0], "left running");
    }
}

impl Drop for TestDaemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("daemon.log")).unwrap_or_default();
            eprintln!("the daemon said:\n{log}");
            if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
                self.signal(Signal::TERM);
                let _ = self.child.wait();
            } else if self.folder.path().join("data/daemon.lock").exists() {
                end_of(self.daemon_pid(), Signal::TERM);
            }
        } else {
            self.end();
        }
    }
}

/// Signals a process that is a `ten`, if it is still there, and waits for its end.
pub(crate) fn end_of(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let name = fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).unwrap_or_default();
    if name.trim_end() == "ten" && pidfd_send_signal(&handle, signal).is_ok() {
        let _ = poll(&mut [PollFd::new(&handle, PollFlags::IN)], None);
    }
}

/// Processes whose `DATA_DIR` is below a folder.
fn instances_of(folder: &Path) -> Vec<u32> {
    let wanted = format!("DATA_DIR={}", folder.canonicalize().unwrap().display());
    let pids = fs::read_dir("/proc").unwrap().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|&byte| byte == 0).any(|one| one.starts_with(wanted.as_bytes()))
        })
        .collect()
}

/// Looks until it holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never {what}");
        // Looking without a pause would take the processor from what is waited for.
        std::thread::sleep(Duration::from_millis(1));
    }
}

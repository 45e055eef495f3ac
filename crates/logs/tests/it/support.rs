//! An instance's two FIFOs and a store that reads them.

use std::{
    fs::File,
    io::Write,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    time::{Duration, Instant},
};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use tenement_core::{name::InstanceName, slot::RunId};
use tenement_logs::{Limits, LogPage, LogQuery, LogStore, StreamLimits};

/// For what has to happen; reached only when it does not. Long, as some of it is the work of whoever lets all others go first.
const PATIENCE: Duration = Duration::from_secs(120);

/// Our end and the writer's end, held read-write, of the FIFO at a path.
pub(crate) fn fifo(path: &Path) -> (OwnedFd, File) {
    if !path.exists() {
        rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }
    let reader = rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
    let writer = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    (reader.unwrap(), writer.unwrap().into())
}

pub(crate) struct Instance {
    pub(crate) name: InstanceName,
    pub(crate) stdout: File,
    pub(crate) stderr: File,
    run: RunId,
}

impl Instance {
    pub(crate) fn attach(store: &LogStore, folder: &Path, name: &str) -> Self {
        let path = |stream: &str| folder.join(format!("{}.{stream}", name.replace(':', "-")));
        let (out, stdout) = fifo(&path("out"));
        let (err, stderr) = fifo(&path("err"));
        let name: InstanceName = name.parse().unwrap();
        store.attach(&name, RunId(1), [out, err]).unwrap();
        Self { name, stdout, stderr, run: RunId(1) }
    }

    pub(crate) fn print(&mut self, text: impl AsRef<[u8]>) {
        self.stdout.write_all(text.as_ref()).unwrap();
    }

    /// As after the end of its processes: what is left in the pipes is taken in.
    pub(crate) fn detach(&self, store: &LogStore) {
        let (done, is_done) = mpsc::channel();
        store.detach(&self.name, self.run, move || done.send(()).unwrap());
        is_done.recv_timeout(PATIENCE).expect("detached");
    }
}

pub(crate) fn open(folder: &Path) -> LogStore {
    open_with(folder, Limits::default())
}

pub(crate) fn open_with(folder: &Path, limits: Limits) -> LogStore {
    LogStore::open(logs(folder), limits).unwrap()
}

/// Limits that allow each instance so many bytes.
pub(crate) fn each(max_size: u64) -> Limits {
    let instance = StreamLimits { max_size, ..StreamLimits::default() };
    Limits { instance, ..Limits::default() }
}

/// Bytes of all files of the log. One that goes meanwhile does not count.
pub(crate) fn on_disk(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => on_disk(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

pub(crate) fn logs(folder: &Path) -> PathBuf {
    folder.join("logs")
}

pub(crate) fn query(limit: usize) -> LogQuery {
    LogQuery { limit, ..LogQuery::default() }
}

pub(crate) fn messages(page: &LogPage) -> Vec<String> {
    page.lines.iter().map(|line| line.message().into_owned()).collect()
}

/// Runs a test in a process that it has for itself; whether this is it.
pub(crate) fn in_own_process(test: &str) -> bool {
    const ALONE: &str = "TENEMENT_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let own = Command::new(std::env::current_exe().unwrap()).args(["--exact", test]).env(ALONE, "1").output();
    let own = own.unwrap();
    let said = String::from_utf8_lossy(&own.stdout);
    assert!(
        own.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&own.stderr)
    );
    false
}

pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never {what}");
        // Looking without a pause would take the processor from what is waited for.
        std::thread::sleep(Duration::from_millis(1));
    }
}

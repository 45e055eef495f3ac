//! What the tests share.

use std::{
    fs::File,
    io::Read,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use tenement_core::{name::InstanceName, slot::RunId};
use tenement_runtime::process::{Host, Launch, Process, Strategy};

static RUNS: AtomicU64 = AtomicU64::new(1);

/// A folder, a host on it, and pipes for what is printed there.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) host: Host,
}

impl Place {
    /// `None`, with the reason printed, where this machine or user has no such strategy.
    pub(crate) fn new(strategy: Strategy) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        match Host::with_strategy(dir.path(), strategy) {
            Ok(host) => Some(Self { dir, host }),
            Err(error) => {
                eprintln!("skipped: {strategy:?} is not available here: {error}");
                None
            }
        }
    }

    pub(crate) fn detect() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::detect(dir.path()).unwrap();
        Self { dir, host }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What a shell script is started with; its output goes to `out` in the folder.
    pub(crate) fn shell(&self, script: &str) -> Launch {
        self.launch(&["/bin/sh", "-c", script])
    }

    pub(crate) fn launch(&self, argv: &[&str]) -> Launch {
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let out = File::create(self.path("out")).unwrap();
        Launch {
            instance: InstanceName::new("api", &format!("t{run}")).unwrap(),
            run: RunId(run),
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            env: vec![("PATH".into(), std::env::var("PATH").unwrap_or_default())],
            workdir: self.dir.path().to_owned(),
            stdout: out.try_clone().unwrap().into(),
            stderr: out.into(),
            listen: None,
        }
    }

    pub(crate) fn spawn(&self, script: &str) -> Process {
        self.host.spawn(self.shell(script)).unwrap()
    }

    /// Runs a script to its end and returns what it printed.
    pub(crate) async fn output(&self, launch: Launch) -> String {
        let process = self.host.spawn(launch).unwrap();
        let exit = process.exited().await;
        process.kill_tree().await;
        let text = std::fs::read_to_string(self.path("out")).unwrap();
        assert!(exit.is_success(), "{exit}: {text}");
        text
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.host.remove_groups();
        let left = self.host.groups_dir().filter(|dir| dir.exists());
        assert!(left.is_none() || std::thread::panicking(), "groups left behind: {left:?}");
    }
}

pub(crate) const STRATEGIES: [Strategy; 3] = [Strategy::Unified, Strategy::Freezer, Strategy::Walk];

/// A pipe whose reading end reports the end of the last process that holds the other.
pub(crate) fn pipe() -> (File, OwnedFd) {
    let (reader, writer) = std::io::pipe().unwrap();
    (OwnedFd::from(reader).into(), writer.into())
}

/// Reads until `lines` line ends came. What a child prints is how it says that it has got somewhere.
pub(crate) async fn read_lines(reader: &File, lines: usize) -> Vec<String> {
    let mut reader = reader.try_clone().unwrap();
    tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        let mut byte = [0];
        while text.iter().filter(|&&b| b == b'\n').count() < lines {
            assert_eq!(
                reader.read(&mut byte).unwrap(),
                1,
                "ended after {:?}",
                String::from_utf8_lossy(&text)
            );
            text.push(byte[0]);
        }
        String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
    })
    .await
    .unwrap()
}

/// State letter of a process in `/proc`, if there is one.
pub(crate) fn state(pid: u32) -> Option<char> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text[text.rfind(')')? + 2..].chars().next()
}

pub(crate) fn zombies_of_ours() -> usize {
    let me = std::process::id().to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
        .filter(|text| {
            let fields: Vec<&str> = text[text.rfind(')').unwrap() + 2..].split(' ').collect();
            fields[0] == "Z" && fields[1] == me
        })
        .count()
}

pub(crate) fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

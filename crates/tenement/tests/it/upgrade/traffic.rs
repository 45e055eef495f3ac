//! Traffic during upgrades: nothing fails, nothing comes twice, no instance is started again.

use std::{
    fs,
    io::{Read, Write},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use super::{Socket, ask, copy, daemon, file, head, host, life, upgrade};
use crate::support::{TestDaemon, until};

const SLEEPERS: [&str; 4] = ["s1", "s2", "s3", "s4"];

/// Sets the mark also when a test fails, so that nobody waits for ever.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What clients have asked, all of them.
#[derive(Default)]
struct Asked {
    next: AtomicU64,
    done: AtomicBool,
}

impl Asked {
    fn count(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Waits for some more.
    fn more(&self, count: u64) {
        let before = self.count();
        until("more requests", || self.count() >= before + count || self.done.load(Ordering::Relaxed));
    }

    fn path(&self) -> String {
        format!("/n/{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Over and over on one connection; the paths.
    fn keep_asking(&self, daemon: &TestDaemon) -> Vec<String> {
        let (mut stream, mut paths) = (daemon.connect(), Vec::new());
        while !self.done.load(Ordering::Relaxed) {
            let path = self.path();
            let body = ask(&mut stream, &host("a"), &path);
            assert!(body.ends_with(&format!(" {path}")), "{body} is no answer to {path}");
            paths.push(path);
        }
        paths
    }

    /// Over and over on connections of their own.
    fn ask_anew(&self, daemon: &TestDaemon) -> Vec<String> {
        let mut paths = Vec::new();
        while !self.done.load(Ordering::Relaxed) {
            let path = self.path();
            let answer = daemon.get(&host("a"), &path);
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&format!(" {path}")), "{answer}");
            paths.push(path);
        }
        paths
    }
}

/// What an instance was asked, each as often as it was.
fn seen(daemon: &TestDaemon, id: &str) -> Vec<String> {
    let seen = fs::read_to_string(file(daemon, id, "seen")).unwrap();
    seen.lines().map(ToOwned::to_owned).collect()
}

// faults: D10
#[test]
fn nothing_fails_and_nothing_is_restarted_over_several_upgrades_in_the_midst_of_traffic() {
    let daemon = daemon("");
    daemon.ok(&["spawn", "app:a"]);
    let other = copy(&daemon, "ten-other");
    let before = life(&daemon, "a");
    let mut socket = Socket::open(&daemon, "a");
    socket.echo("before");
    let mut download = daemon.connect();
    write!(download, "GET /download HTTP/1.1\r\nHost: {}\r\n\r\n", host("a")).unwrap();
    let download_head = head(&mut download);
    let mut upload = daemon.connect();
    write!(upload, "POST /upload HTTP/1.1\r\nHost: {}\r\nContent-Length: 600000\r\n\r\nx", host("a"))
        .unwrap();
    until("uploading", || file(&daemon, "a", "uploading").exists());
    let asked = Asked::default();
    thread::scope(|scope| {
        let done = Done(&asked.done);
        let clients: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| asked.keep_asking(&daemon)))
            .chain((0..2).map(|_| scope.spawn(|| asked.ask_anew(&daemon))))
            .collect();
        for (round, binary) in
            [&[][..], &[other.as_str()], &[], &[env!("CARGO_BIN_EXE_ten")]].iter().enumerate()
        {
            asked.more(50);
            let waking: Vec<_> = SLEEPERS
                .iter()
                .enumerate()
                .map(|(nth, sleeper)| {
                    let (asked, daemon) = (&asked, &daemon);
                    scope.spawn(move || {
                        asked.more(20 * nth as u64);
                        daemon.get(&format!("{sleeper}.naps.localhost"), &format!("/{round}"))
                    })
                })
                .collect();
            upgrade(&daemon, binary);
            for waking in waking {
                let answer = waking.join().unwrap();
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            }
            socket.echo(&format!("round {round}"));
            upload.write_all(&[b'x'; 100_000]).unwrap();
            until("asleep", || {
                SLEEPERS.iter().all(|one| daemon.status(&format!("naps:{one}")) == "sleeping")
            });
        }
        asked.more(50);
        drop(done);
        let paths: Vec<String> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        let mut got = seen(&daemon, "a");
        got.sort();
        let mut wanted = paths;
        wanted.sort();
        assert_eq!(got, wanted, "each exactly once");
    });
    fs::write(file(&daemon, "a", "go"), "").unwrap();
    let mut body = vec![0; 600_000];
    download.read_exact(&mut body).unwrap();
    assert!(download_head.starts_with("HTTP/1.1 200 ") && body.iter().all(|&byte| byte == b'x'));
    upload.write_all(&vec![b'x'; 199_999]).unwrap();
    let (_, body) = super::answer(&mut upload);
    assert!(body.starts_with("600000 "), "{body}");
    // Both were in the midst of something in the first process, and go on in the last.
    assert!(ask(&mut upload, &host("a"), "/upload/after").ends_with("/upload/after"));
    assert!(ask(&mut download, &host("a"), "/download/after").ends_with("/download/after"));
    socket.echo("after");
    socket.close();
    assert_eq!(life(&daemon, "a"), before);
    for sleeper in SLEEPERS {
        let seen =
            fs::read_to_string(daemon.folder.path().join(format!("data/naps/{sleeper}/seen"))).unwrap();
        let seen: Vec<_> = seen.lines().collect();
        assert_eq!(seen, ["/0", "/1", "/2", "/3"], "each request that woke it, once");
    }
}

//! A disk without room, for real: a small tmpfs. Mounting one needs root; without it these tests do nothing.

use std::{
    fs::File,
    io::Write,
    os::unix::fs::FileExt,
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use tenement_logs::{DiskFull, Incident, Limits, LogQuery, LogStore, Part};

use crate::support::{Instance, messages, query, until};

/// A file system of so many KiB, for as long as it lives.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn new(kib: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={kib}k,mode=700");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).status();
        if !mounted.is_ok_and(|status| status.success()) {
            eprintln!("skipped: no file system can be mounted here");
            return None;
        }
        Some(Self { folder })
    }

    fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    /// Takes all room but so many bytes.
    fn fill(&self, but: u64) {
        let filler = File::create(self.filler()).unwrap();
        let page = [b'x'; 4096];
        let mut size = 0;
        while filler.write_all_at(&page, size).is_ok() {
            size += page.len() as u64;
        }
        filler.set_len(size.saturating_sub(but)).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }

    fn empty(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

type Told = Arc<Mutex<Vec<Incident>>>;

fn open(logs: PathBuf, disk_full: DiskFull) -> (LogStore, Told) {
    let told: Told = Arc::default();
    let tell = Arc::clone(&told);
    let observer = move |incident: &Incident| tell.lock().unwrap().push(incident.clone());
    let limits = Limits { segment_size: 32 << 10, disk_full, ..Limits::default() };
    (LogStore::open_observed(logs, limits, Box::new(observer)).unwrap(), told)
}

fn of(app: &Instance) -> LogQuery {
    LogQuery { instance: Some(app.name.clone()), ..query(1_000_000) }
}

fn number(line: &str) -> usize {
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn writer(app: &Instance, lines: std::ops::Range<usize>) -> thread::JoinHandle<()> {
    let mut pipe = app.stdout.try_clone().unwrap();
    thread::spawn(move || {
        for n in lines {
            pipe.write_all(format!("a line of a talkative instance, number {n}\n").as_bytes()).unwrap();
        }
    })
}

// faults: G8 D4
#[test]
fn the_oldest_lines_of_the_largest_log_go_when_the_disk_is_full() {
    const LINES: usize = 150_000;
    let Some(disk) = Disk::new(2048) else { return };
    let pipes = tempfile::tempdir().unwrap();
    let (store, told) = open(disk.logs(), DiskFull::DropOldest);
    let mut quiet = Instance::attach(&store, pipes.path(), "api:quiet");
    quiet.print("quiet 0\nquiet 1\n");
    until("taken in", || store.stats()[&quiet.name].lines_taken == 2);
    let loud = Instance::attach(&store, pipes.path(), "api:loud");
    let writing = writer(&loud, 0..LINES);
    while !writing.is_finished() {
        let page = store.query(&LogQuery { limit: 10, ..of(&loud) }).unwrap();
        // The end of the last one may not have come.
        let whole = page.lines.iter().filter(|line| line.part == Part::Whole);
        let seen: Vec<_> = whole.map(|line| number(&line.message())).collect();
        assert!(seen.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{seen:?}");
    }
    writing.join().unwrap();
    loud.detach(&store);
    let kept: Vec<_> = messages(&store.query(&of(&loud)).unwrap()).iter().map(|line| number(line)).collect();
    assert_eq!(kept, (kept[0]..LINES).collect::<Vec<_>>(), "the newest, without a gap");
    assert!(kept.len() * 45 > 1 << 20, "most of the disk is used: {}", kept.len());
    quiet.print("quiet 2\n");
    quiet.detach(&store);
    assert_eq!(messages(&store.query(&of(&quiet)).unwrap()), ["quiet 0", "quiet 1", "quiet 2"]);
    assert!(store.disk().failures > 0 && store.disk().let_go > 1 << 20);
    assert!(store.disk().full, "as long as old lines have to go");
    assert_eq!(told.lock().unwrap().len(), 1, "once");
    let let_go = store.disk().let_go;
    store.purge(&loud.name).unwrap();
    until("over", || !store.disk().full && told.lock().unwrap().len() == 2);
    let told = told.lock().unwrap().clone();
    let instance = loud.name.clone();
    assert_eq!(told[0], Incident::DiskFull { instance: instance.clone(), policy: DiskFull::DropOldest });
    assert_eq!(told[1], Incident::DiskHasRoom { instance, let_go });
}

// faults: G8 D4
#[test]
fn who_waits_for_room_loses_nothing() {
    const LINES: usize = 20_000;
    for again in [false, true] {
        let Some(disk) = Disk::new(2048) else { return };
        let pipes = tempfile::tempdir().unwrap();
        let (store, told) = open(disk.logs(), DiskFull::Wait);
        let app = Instance::attach(&store, pipes.path(), "api:a");
        disk.fill(200 << 10);
        let writing = writer(&app, 0..LINES);
        until("full", || store.stats()[&app.name].write_errors > 0);
        let seen = messages(&store.query(&of(&app)).unwrap()).len();
        assert!(seen > 1000, "what was taken in before is found: {seen}");
        assert!(!writing.is_finished() && store.disk().full);
        let (store, app) = if again {
            drop(store);
            let (store, _) = open(disk.logs(), DiskFull::Wait);
            assert!(messages(&store.query(&of(&app)).unwrap()).len() >= seen);
            let app = Instance::attach(&store, pipes.path(), "api:a");
            (store, app)
        } else {
            assert!(matches!(told.lock().unwrap()[..], [Incident::DiskFull { policy: DiskFull::Wait, .. }]));
            (store, app)
        };
        disk.empty();
        writing.join().unwrap();
        app.detach(&store);
        all_are_there(&store, &app, LINES);
        drop(store);
        all_are_there(&open(disk.logs(), DiskFull::Wait).0, &app, LINES);
    }
}

fn all_are_there(store: &LogStore, app: &Instance, lines: usize) {
    let found = messages(&store.query(&of(app)).unwrap());
    assert_eq!(found.iter().map(|line| number(line)).collect::<Vec<_>>(), (0..lines).collect::<Vec<_>>());
}

/// A segment can't be closed at one place, and is at another later.
// faults: G8 D4
#[test]
fn a_segment_that_could_not_be_closed_goes_on() {
    let Some(disk) = Disk::new(1024) else { return };
    let pipes = tempfile::tempdir().unwrap();
    let (store, _) = open(disk.logs(), DiskFull::Wait);
    let mut app = Instance::attach(&store, pipes.path(), "api:a");
    // Enough for it to be closed once nothing comes; the line that has not ended has to move on then.
    let lines = 500;
    for n in 0..lines {
        app.print(format!("a line of a talkative instance, number {n}\n"));
    }
    app.print("begun, ");
    until("taken in", || store.stats()[&app.name].lines_taken == lines as u64);
    // Room for what describes the next segment, and for nothing that is in it.
    disk.fill(4096);
    until("not closed", || store.stats()[&app.name].write_errors > 0);
    app.print(format!("number {lines}\n"));
    until("taken in", || store.stats()[&app.name].lines_taken == lines as u64 + 1);
    disk.empty();
    let bytes = store.stats()[&app.name].bytes_taken;
    let next = disk.logs().join(format!("api/a/stdout-{bytes:020}.log"));
    until("closed", || next.exists());
    app.print(format!("number {}\n", lines + 1));
    app.detach(&store);
    all_are_there(&store, &app, lines + 2);
    drop(store);
    all_are_there(&open(disk.logs(), DiskFull::Wait).0, &app, lines + 2);
}

// faults: D4, G8
#[test]
fn what_an_ended_run_left_in_its_pipes_is_kept_until_there_is_room() {
    let Some(disk) = Disk::new(8 << 10) else { return };
    let limits = Limits { disk_full: DiskFull::Wait, ..Limits::default() };
    let store = LogStore::open(disk.logs(), limits).unwrap();
    let pipes = tempfile::tempdir().unwrap();
    let mut app = Instance::attach(&store, pipes.path(), "api:a");
    app.print("before\n");
    until("read", || store.query(&query(1)).unwrap().total == 1);
    disk.fill(0);
    // More than fits into the last page of the segment, and less than the pipe holds.
    let lines: Vec<String> =
        (0..1000).map(|n| format!("line {n:04} of what nobody can write down")).collect();
    app.print(lines.join("\n") + "\n");
    app.detach(&store);
    // Its end of the pipes is closed, as it is when processes are gone.
    drop(app);
    assert!(store.query(&query(2000)).unwrap().total < 1000);
    disk.empty();
    until("written", || store.query(&query(2000)).unwrap().total == 1001);
    assert_eq!(messages(&store.query(&query(1000)).unwrap()), lines);
}

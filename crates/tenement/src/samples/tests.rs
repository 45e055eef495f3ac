//! Looks at instances that are none, over real files.
#![allow(clippy::disallowed_methods, reason = "tests write files and mount disks")]

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Duration,
};

use tenement_core::{
    config::{Service, testing},
    slot::{Address, Identity, Opened, RunId, StatusClass, Upstream},
    time::{Millis, WallMillis},
};
use tenement_runtime::process::Usage;
use tenement_supervisor::{Desired, Record, Registry};

use super::{
    ring::{COARSE, FILE_SIZE, FINE},
    round::{Moment, Round, Used},
    *,
};
use crate::store::Store;

mod files;

/// A multiple of 300.
const START: u32 = 1_700_000_100;

/// A daemon's view of its instances, at a time that the test sets.
struct World {
    folder: tempfile::TempDir,
    rings: Rings,
    round: Round,
    routes: Arc<ArcSwap<RouteTable>>,
    service: Arc<Service>,
    slots: Vec<Arc<Slot>>,
    used: Used,
    /// In seconds since the Unix epoch; the monotonic clock is the same.
    now: u32,
}

#[derive(Debug)]
struct Anybody;

impl Identity for Anybody {
    fn is_behind(&self, _: std::os::fd::BorrowedFd<'_>) -> bool {
        true
    }
}

fn name(id: &str) -> InstanceName {
    InstanceName::new("api", id).unwrap()
}

impl World {
    fn new() -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), START)
    }

    /// A daemon that starts.
    fn in_folder(folder: tempfile::TempDir, now: u32) -> Self {
        let rings = Rings::new(folder.path().join("samples"));
        let routes = Arc::new(ArcSwap::from_pointee(RouteTable::new("localhost")));
        rings.routes.set(Arc::clone(&routes)).unwrap();
        let (service, slots) = (Arc::new(testing::service("api")), Vec::new());
        let round = Round::begin(Millis(u64::from(now) * 1000));
        Self { folder, rings, round, routes, service, slots, used: Used::new(), now }
    }

    /// The same after `kill -9` of the daemon.
    fn killed(self, now: u32) -> Self {
        Self::in_folder(self.folder, now)
    }

    fn knows(&mut self, id: &str) -> Arc<Slot> {
        let slot = Arc::new(Slot::new(name(id), Arc::clone(&self.service)));
        self.slots.push(Arc::clone(&slot));
        self.publish();
        slot
    }

    fn forgets(&mut self, id: &str) {
        self.slots.retain(|slot| slot.name().id.as_str() != id);
        self.used.remove(&name(id));
        self.publish();
    }

    fn publish(&self) {
        let mut routes = RouteTable::new("localhost");
        routes.set_service(Arc::clone(&self.service), self.slots.iter().cloned());
        self.routes.store(Arc::new(routes));
    }

    /// It has a process that has used so much.
    fn runs(&mut self, id: &str, pid: u32, cpu_ms: u64, mib: u64) {
        let usage = Usage { memory_bytes: mib << 20, cpu_time: Duration::from_millis(cpu_ms) };
        self.used.insert(name(id), (pid, usage));
    }

    fn sleeps(&mut self, id: &str) {
        self.used.remove(&name(id));
    }

    /// A look at the end of the interval that goes on now.
    fn tick(&mut self) {
        let at = FINE.start_of(self.now);
        self.now = at + FINE.step;
        self.look(at, true);
    }

    fn look(&mut self, at: u32, over: bool) {
        let moment = Moment { at, now: Millis(u64::from(self.now) * 1000), over };
        let routes = self.routes.load_full();
        let news = self.round.look(moment, &routes, &self.used);
        self.rings.write(moment, news);
        self.rings.let_go(&routes);
    }

    fn series(&self, id: &str, range: Range) -> Vec<(u32, Option<Sample>)> {
        self.rings.series(&name(id), range, self.now - 1).unwrap().intervals
    }

    /// Those of the last hour, without what comes before the first.
    fn hour(&self, id: &str) -> Vec<Option<Sample>> {
        let all = self.series(id, Range::Hour).into_iter().map(|(_, sample)| sample);
        all.skip_while(Option::is_none).collect()
    }

    fn path(&self, id: &str) -> std::path::PathBuf {
        self.folder.path().join("samples/api").join(id)
    }
}

fn requests(slot: &Slot, count: u64, duration_us: u64) {
    (0..count).for_each(|_| slot.traffic.count(StatusClass::Success, duration_us, 0, 0));
}

fn open(slot: &Slot) {
    let identity = Arc::new(Anybody);
    slot.open(Upstream { run: RunId(1), address: Address::Tcp(1), identity, opened: Opened::default() });
}

#[test]
fn an_interval_has_what_came_in_it_and_sleep_is_a_gap() {
    let mut world = World::new();
    let slot = world.knows("a");
    world.runs("a", 7, 500, 64);
    world.tick();
    requests(&slot, 30, 500);
    slot.traffic.count(StatusClass::ServerError, 700_000, 0, 0);
    world.runs("a", 7, 2500, 80);
    world.tick();
    world.sleeps("a");
    world.tick();
    world.tick();
    // Woken by a request: another process, that has used more than the last one had.
    requests(&slot, 1, 3000);
    world.runs("a", 8, 4000, 10);
    world.tick();
    let found = world.hour("a");
    let [first, second, None, None, third] = found[..] else { panic!("{found:?}") };
    let (first, second, third) = (first.unwrap(), second.unwrap(), third.unwrap());
    assert_eq!((first.requests, first.cpu, first.p50), (0, None, None), "for how long it ran is not known");
    assert_eq!((second.requests, second.errors, second.span), (31, 1, 100));
    assert_eq!((second.cpu_percent(), second.memory_mb()), (Some(20.0), Some(80.0)));
    assert!(second.p50.unwrap() < 1000 && second.p95.unwrap() < 1000, "one of 31 is not p95");
    assert_eq!((third.requests, third.cpu_percent()), (1, Some(40.0)), "all since it was started");
    let (spark, latest) = (world.rings.spark(&name("a")), world.rings.latest(&name("a")).unwrap().sample);
    assert_eq!((spark.len(), latest.requests), (30, 1));
    assert!((spark[26] - 3.1).abs() < 1e-6 && (spark[29] - 0.1).abs() < 1e-6, "{spark:?}");
    assert_eq!(spark.iter().filter(|&&rate| rate > 0.0).count(), 2);
    assert_eq!(world.rings.latest(&name("b")), None);
    assert_eq!(world.rings.spark(&name("b")), [0.0; 30]);
}

#[test]
fn a_worker_that_ends_takes_its_time_along_and_makes_no_spike() {
    let mut world = World::new();
    world.knows("a");
    // A first process with workers that have used an hour, of which one ends.
    for cpu_ms in [3_600_000, 3_601_000, 1_800_000, 1_802_000] {
        world.runs("a", 7, cpu_ms, 5);
        world.tick();
    }
    let shares: Vec<_> = world.hour("a").into_iter().map(|sample| sample.unwrap().cpu_percent()).collect();
    assert_eq!(shares, [None, Some(10.0), None, Some(20.0)]);
    // Another one is known since it was started.
    world.runs("a", 8, 500, 5);
    world.tick();
    assert_eq!(world.hour("a").last().unwrap().unwrap().cpu_percent(), Some(5.0));
}

#[test]
fn what_is_served_between_two_looks_is_seen_though_it_sleeps_at_both() {
    let mut world = World::new();
    let slot = world.knows("a");
    world.tick();
    assert!(!world.path("a").exists(), "nothing is made of what never ran");
    requests(&slot, 5, 500);
    world.tick();
    let [Some(sample)] = world.hour("a")[..] else { panic!() };
    assert_eq!((sample.requests, sample.memory, sample.cpu), (5, None, None));
}

#[test]
fn an_interval_that_was_looked_at_early_is_looked_at_again_as_a_whole() {
    let mut world = World::new();
    let slot = world.knows("a");
    world.runs("a", 7, 9000, 1);
    requests(&slot, 2, 500);
    world.now += 2;
    world.look(START, false);
    let [Some(early)] = world.hour("a")[..] else { panic!() };
    assert_eq!((early.requests, early.span, early.cpu), (2, 20, None));
    requests(&slot, 3, 500);
    world.runs("a", 7, 9800, 1);
    world.tick();
    let [Some(whole)] = world.hour("a")[..] else { panic!() };
    assert_eq!((whole.requests, whole.span, whole.cpu_percent()), (5, 100, Some(10.0)));
}

#[test]
fn a_daemon_goes_on_where_the_one_before_it_was_killed() {
    let mut world = World::new();
    let slot = world.knows("a");
    for _ in 0..40 {
        requests(&slot, 10, 500);
        world.runs("a", 7, 0, 5);
        world.tick();
    }
    let whole = world.series("a", Range::Day).pop().unwrap();
    assert_eq!((whole.0, whole.1.unwrap().requests), (START + 300, 100), "so far");
    let mut world = world.killed(START + 420);
    let slot = world.knows("a");
    world.rings.recall(&name("a"), world.now);
    world.runs("a", 7, 0, 5);
    requests(&slot, 20, 500);
    world.tick();
    let hour = world.hour("a");
    assert_eq!(hour.len(), 43);
    assert!(hour[..40].iter().all(Option::is_some) && hour[40..42] == [None; 2] && hour[42].is_some());
    let rates: Vec<_> = world.rings.spark(&name("a"));
    assert_eq!(rates, [[1.0; 27].as_slice(), &[0.0, 0.0], &[2.0]].concat());
    let last = world.series("a", Range::Week).split_off(2014);
    assert_eq!(last.iter().map(|one| one.1.unwrap().requests).collect::<Vec<_>>(), [300, 120]);
    // Killed again, and away for so long that the five minutes it was in are known by their parts alone.
    let mut world = world.killed(START + 5000);
    world.knows("a");
    world.runs("a", 9, 0, 5);
    (0..360).for_each(|_| world.tick());
    let day = world.series("a", Range::Day);
    let of = |at| day.iter().find(|one| one.0 == at).unwrap().1;
    assert_eq!(of(START + 300).unwrap().requests, 120);
    assert_eq!(of(START + 600), None);
    assert!(day.iter().filter(|one| one.0 >= START + 4800).all(|one| one.1.is_some()));
}

#[test]
fn five_minutes_of_one_that_fell_asleep_are_brought_to_their_end() {
    let mut world = World::new();
    let slot = world.knows("a");
    world.runs("a", 7, 0, 5);
    requests(&slot, 7, 500);
    world.tick();
    world.sleeps("a");
    (0..30).for_each(|_| world.tick());
    let mut damaged = fs::read(world.path("a")).unwrap();
    damaged[FINE.place(START) as usize] ^= 1;
    fs::write(world.path("a"), damaged).unwrap();
    assert_eq!(world.hour("a"), [], "only the five minutes are left");
    let day = world.series("a", Range::Day);
    let known: Vec<_> = day.iter().filter_map(|one| one.1).collect();
    assert_eq!((known.len(), known[0].at, known[0].requests), (1, START, 7));
}

#[test]
fn of_whom_was_forgotten_nothing_is_written_any_more() {
    let mut world = World::new();
    let slot = world.knows("a");
    world.runs("a", 7, 0, 5);
    world.tick();
    // A look that has begun when it is erased.
    let moment = Moment { at: world.now, now: Millis(u64::from(world.now) * 1000), over: true };
    let news = world.round.look(moment, &world.routes.load_full(), &world.used);
    assert_eq!(news.len(), 1);
    world.rings.forget(&name("a")).unwrap();
    world.rings.write(moment, news);
    assert!(!world.path("a").exists() && world.rings.latest(&name("a")).is_none());
    // It is still in the table, and something was counted.
    world.sleeps("a");
    requests(&slot, 1, 500);
    world.tick();
    assert!(!world.path("a").exists());
    // The next one of its name is another.
    world.forgets("a");
    world.knows("a");
    world.runs("a", 8, 0, 5);
    world.tick();
    assert_eq!(world.hour("a").len(), 1);
    assert!(lock(&world.rings.leaving).is_empty());
}

#[test]
fn one_that_could_not_be_erased_and_is_started_again_goes_on() {
    let mut world = World::new();
    let slot = world.knows("a");
    world.rings.forget(&name("a")).unwrap();
    world.runs("a", 7, 0, 5);
    world.tick();
    assert!(!world.path("a").exists());
    open(&slot);
    world.tick();
    assert!(world.path("a").exists());
}

#[test]
fn a_clock_that_is_set_back_overwrites_and_one_that_is_set_forward_leaves_a_gap() {
    let mut world = World::new();
    let slot = world.knows("a");
    world.runs("a", 7, 0, 5);
    (0..12).for_each(|_| world.tick());
    world.now -= 60;
    requests(&slot, 4, 500);
    world.tick();
    world.now += 6 * 10;
    world.tick();
    let hour = world.hour("a");
    assert_eq!((hour.len(), hour[6].unwrap().requests), (14, 4));
    assert_eq!(hour[12], None);
    assert_eq!(hour.iter().flatten().count(), 13);
}

#[test]
fn what_was_measured_last_is_known_by_a_clock_that_is_not_set() {
    let mut world = World::new();
    world.knows("a");
    world.runs("a", 7, 0, 5);
    world.tick();
    let before = world.rings.latest(&name("a")).unwrap();
    assert_eq!(before.until, Millis(u64::from(START + 10) * 1000));
    // An hour back, and ten seconds later.
    let moment = Moment { at: START - 3600, now: before.until.after(INTERVAL), over: true };
    let news = world.round.look(moment, &world.routes.load_full(), &world.used);
    world.rings.write(moment, news);
    let after = world.rings.latest(&name("a")).unwrap();
    assert!(after.until > before.until && after.sample.at < before.sample.at, "{after:?}");
}

#[tokio::test]
async fn after_a_panic_nothing_is_counted_a_second_time() {
    let mut world = World::new();
    let slot = world.knows("a");
    requests(&slot, 1000, 500);
    world.tick();
    requests(&slot, 3, 500);
    let round = Arc::new(Mutex::new(std::mem::replace(&mut world.round, Round::begin(Millis(0)))));
    task::aside(&round, |_| panic!("a look that fails")).await;
    world.round = Arc::into_inner(round).unwrap().into_inner().unwrap_or_else(PoisonError::into_inner);
    world.tick();
    let hour: Vec<_> = world.hour("a").into_iter().map(|sample| sample.unwrap().requests).collect();
    assert_eq!(hour, [1000, 3]);
}

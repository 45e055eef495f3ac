use futures_util::FutureExt;
use tenement_core::{
    history::{Actor, Cause, ExitStatus},
    slot::RunId,
    time::WallMillis,
    view::{Health, Status, Woken},
};
use tenement_logs::LastLines;

use super::*;

fn transition(name: &str, at: u64) -> Transition {
    Transition {
        at: WallMillis(at),
        instance: name.parse().unwrap(),
        run: RunId(3),
        from: Status::Running,
        to: Some(Status::Restarting),
        health: Health::Healthy,
        cause: Cause::Exit,
        actor: Some(Actor::local()),
        reason: Some("exit code 1".to_owned()),
        exit: Some(ExitStatus { code: Some(1), signal: None, oom: false }),
        lasted_ms: 1234,
    }
}

fn open(path: &Path) -> Result<History, HistoryError> {
    let logs = path.with_file_name("logs");
    History::open(path, LogStore::open(logs, tenement_logs::Limits::default()).unwrap())
}

fn change(actor: &str) -> Change {
    Change {
        at: WallMillis(5),
        actor: actor.to_owned(),
        root: None,
        token_name: None,
        source: Some("192.0.2.1".to_owned()),
        action: "restart_instance".to_owned(),
        method: "POST".to_owned(),
        path: "/api/instances/api/a/restart".to_owned(),
        instance: Some("api:a".to_owned()),
        token: None,
        status: 200,
    }
}

#[test]
fn what_was_written_is_found_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let history = open(&path).unwrap();
    let written = history.written();
    for at in 1..=5 {
        history.changed(&transition("api:a", at));
        history.changed(&transition("other:b", at));
    }
    history.record(change("local"));
    history.record(change("t1"));
    drop(history);
    assert_eq!(*written.borrow(), 12);
    let history = open(&path).unwrap();
    let query = EventQuery { instance: Some("api:a".parse().unwrap()), limit: 2, ..EventQuery::default() };
    let found = history.events(&query).unwrap();
    assert_eq!((found.total, found.entries.len()), (5, 2));
    let [older, newer] = &found.entries[..] else { panic!() };
    assert_eq!((older.at, newer.at), (WallMillis(4), WallMillis(5)), "the newest, in the order of time");
    assert_eq!((newer.exit_code, newer.actor.as_deref(), newer.lasted_ms), (Some(1), Some("local"), 1234));
    let after = EventQuery { after: Some(older.seq), limit: 10, ..EventQuery::default() };
    assert_eq!(history.events(&after).unwrap().entries.len(), 3);
    let query = ChangeQuery { actor: Some("t1".to_owned()), limit: 10, ..ChangeQuery::default() };
    let found = history.changes_made(&query).unwrap();
    assert_eq!((found.total, &found.entries[0].change), (1, &change("t1")));
}

#[test]
fn old_events_are_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let connection = schema::open(&path).unwrap();
    let sql = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100000)
        INSERT INTO events (at, service, id, run, was, health, cause, oom, lasted_ms)
        SELECT n, 'api', 'a', 1, 'running', 'unknown', 'exit', 0, 0 FROM numbers";
    connection.execute(sql, ()).unwrap();
    drop(connection);
    let history = open(&path).unwrap();
    history.changed(&transition("api:a", 200_000));
    drop(history);
    let last = EventQuery { limit: 1, ..EventQuery::default() };
    let found = open(&path).unwrap().events(&last).unwrap();
    assert_eq!((found.total, found.entries[0].at.0), (100_000, 200_000));
    let first = EventQuery { after: Some(0), ..last };
    assert_eq!(open(&path).unwrap().events(&first).unwrap().entries[0].at.0, 2);
}

#[test]
fn a_file_of_an_earlier_program_is_read_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let history = open(&path).unwrap();
    history.changed(&transition("api:a", 1));
    drop(history);
    let older = "DROP TABLE last_lines; ALTER TABLE changes DROP COLUMN root";
    Connection::open(&path).unwrap().execute_batch(older).unwrap();
    let history = open(&path).unwrap();
    history.changed(&transition("api:a", 2));
    history.record(Change { root: Some("t".to_owned()), ..change("s") });
    drop(history);
    let query = ChangeQuery { limit: 10, ..ChangeQuery::default() };
    let changes = open(&path).unwrap().changes_made(&query).unwrap().entries;
    assert_eq!(changes.last().unwrap().change.root.as_deref(), Some("t"));
    let found = open(&path).unwrap().events(&EventQuery { limit: 10, ..EventQuery::default() }).unwrap();
    let told: Vec<_> = found.entries.iter().map(|event| (event.at.0, &event.last_lines)).collect();
    assert_eq!(told, [(1, &None), (2, &None)]);
}

#[test]
fn lines_of_the_last_ends_are_kept_and_of_one_that_is_erased_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = schema::open(&folder.path().join("history.db")).unwrap();
    let last = LastLines { lines: vec!["secret".to_owned()], end: 7 };
    let transaction = connection.transaction().unwrap();
    for at in 0..50 {
        events::insert(&transaction, &transition("api:noisy", at), Some(&last)).unwrap();
    }
    events::insert(&transaction, &transition("api:a", 50), Some(&last)).unwrap();
    let count = |of: &str| {
        let sql = "SELECT COUNT(*) FROM last_lines WHERE of_id = ?1";
        transaction.query_row(sql, [of], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!((count("noisy"), count("a")), (20, 1));
    events::erase(&transaction, &"api:noisy".parse().unwrap()).unwrap();
    assert_eq!((count("noisy"), count("a")), (0, 1));
}

// faults: G3
#[test]
fn what_can_not_be_written_now_is_written_when_it_can() {
    static TRIES: AtomicU64 = AtomicU64::new(0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let mut writer = schema::open(&path).unwrap();
    writer
        .busy_handler(Some(|_| {
            TRIES.fetch_add(1, Relaxed);
            false
        }))
        .unwrap();
    let logs = LogStore::open(folder.path().join("logs"), tenement_logs::Limits::default()).unwrap();
    let (queue, entries) = sync_channel(QUEUE);
    let (open, is_open) = sync_channel(1);
    let (all, written) = watch::channel(0);
    let count = write::Counts { all, events: watch::Sender::default() };
    let others = schema::open(&path).unwrap();
    others.execute_batch("BEGIN IMMEDIATE").unwrap();
    let files = Files { path: path.clone(), reader: Mutex::default() };
    let thread =
        thread::spawn(move || write::write((Some(writer), &files), &logs, &entries, &is_open, &count));
    let event = |at| Entry::Event(Box::new(transition("api:a", at)));
    queue.send(event(1)).unwrap();
    while TRIES.load(Relaxed) < 2 {
        thread::yield_now();
    }
    queue.send(event(2)).unwrap();
    assert_eq!(*written.borrow(), 0);
    others.execute_batch("COMMIT").unwrap();
    while *written.borrow() < 2 {
        thread::yield_now();
    }
    let events = || others.query_row("SELECT COUNT(*) FROM events", (), |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(events(), 2);
    // Nothing waits beyond the end.
    others.execute_batch("BEGIN IMMEDIATE").unwrap();
    queue.send(event(3)).unwrap();
    drop((queue, open));
    thread.join().unwrap();
    assert_eq!((events(), *written.borrow()), (2, 3));
}

#[test]
fn the_last_wake_of_each_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let history = open(&path).unwrap();
    let tell = |name: &str, at: u64, cause: Cause, from: Status, to: Status, lasted_ms: u64| {
        history.changed(&Transition { cause, from, to: Some(to), lasted_ms, ..transition(name, at) });
    };
    use Status::{Failed, Running, Sleeping, Starting};
    for (at, took) in [(1000, 300), (5000, 20)] {
        tell("api:a", at, Cause::Request, Sleeping, Starting, 0);
        tell("api:b", at, Cause::Start, Sleeping, Starting, 0);
        tell("api:a", at + took, Cause::Ready, Starting, Running, took);
        tell("api:b", at + took, Cause::Ready, Starting, Running, took);
    }
    // It did not get ready, and was then started by hand.
    tell("api:c", 1, Cause::Request, Sleeping, Starting, 0);
    tell("api:c", 2, Cause::StartFailed, Starting, Failed, 1);
    tell("api:c", 3, Cause::Start, Failed, Starting, 1);
    tell("api:c", 4, Cause::Ready, Starting, Running, 1);
    drop(history);
    let wakes = open(&path).unwrap().wakes().unwrap();
    let woken = Woken { at: WallMillis(5000), took_ms: 20 };
    assert_eq!(wakes, std::collections::HashMap::from([("api:a".parse().unwrap(), woken)]));
}

#[test]
fn links_and_sessions_push_out_nothing_but_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = schema::open(&folder.path().join("history.db")).unwrap();
    let transaction = connection.transaction().unwrap();
    let add = |count: u32, action: &str| {
        let sql = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
            INSERT INTO changes (at, actor, action, method, path, status) SELECT n, 't', ?2, 'POST', '/', 200 FROM numbers";
        transaction.execute(sql, (count, action)).unwrap();
        prune::prune(&transaction).unwrap();
    };
    let kept = |action: &str| -> (u32, Option<u32>) {
        let sql = "SELECT COUNT(*), MAX(at) FROM changes WHERE action = ?1";
        transaction.query_row(sql, [action], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    add(5, "restart_instance");
    add(100_050, "create_link");
    assert_eq!((kept("restart_instance"), kept("create_link")), ((5, Some(5)), (10_000, Some(100_050))));
    add(100_020, "stop_instance");
    assert_eq!(kept("restart_instance"), (0, None));
    assert_eq!(
        (kept("stop_instance"), kept("create_link")),
        ((100_000, Some(100_020)), (10_000, Some(100_050)))
    );
}

/// Events of an instance; the first has its last lines.
fn add_events(transaction: &rusqlite::Transaction<'_>, id: &str, count: u32) {
    let sql = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
        INSERT INTO events (at, service, id, run, was, health, cause, oom, lasted_ms)
        SELECT n, 'api', ?2, 1, 'running', 'unknown', 'exit', 0, 0 FROM numbers";
    transaction.execute(sql, (count, id)).unwrap();
    let sql = "INSERT INTO last_lines (event, of_service, of_id, place, lines)
        SELECT seq, service, id, 0, '[]' FROM events WHERE at = 1 AND id = ?1";
    transaction.execute(sql, [id]).unwrap();
}

/// How many are kept of an instance, and from which on.
fn events_of(transaction: &rusqlite::Transaction<'_>, id: &str) -> (u32, Option<u32>) {
    let sql = "SELECT COUNT(*), MIN(at) FROM events WHERE id = ?1";
    transaction.query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[test]
fn the_newest_events_of_each_go_last_however_many_others_have() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = schema::open(&folder.path().join("history.db")).unwrap();
    let transaction = connection.transaction().unwrap();
    add_events(&transaction, "quiet", 150);
    add_events(&transaction, "busy", 2000);
    add_events(&transaction, "noisy", 150_000);
    prune::prune(&transaction).unwrap();
    assert_eq!(events_of(&transaction, "quiet"), (150, Some(1)));
    assert_eq!(events_of(&transaction, "busy"), (200, Some(1801)));
    assert_eq!(events_of(&transaction, "noisy"), (99_650, Some(50_351)));
    let ends = "SELECT GROUP_CONCAT(of_id) FROM (SELECT of_id FROM last_lines ORDER BY event)";
    let ends: String = transaction.query_row(ends, (), |row| row.get(0)).unwrap();
    assert_eq!(ends, "quiet");
}

#[test]
fn many_that_are_long_gone_push_out_nothing_of_one_that_lives() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = schema::open(&folder.path().join("history.db")).unwrap();
    let transaction = connection.transaction().unwrap();
    let gone = "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 101999)
        INSERT INTO events (at, service, id, run, was, health, cause, oom, lasted_ms)
        SELECT 1, 'api', 'gone-' || (n / 4), 1, 'running', 'unknown', 'exit', 0, 0 FROM numbers";
    transaction.execute(gone, ()).unwrap();
    add_events(&transaction, "lives", 5000);
    prune::prune(&transaction).unwrap();
    assert_eq!(
        events_of(&transaction, "lives"),
        (200, Some(4801)),
        "what others have is within their newest"
    );
    add_events(&transaction, "newer", 150);
    prune::prune(&transaction).unwrap();
    assert_eq!(events_of(&transaction, "lives"), (200, Some(4801)));
    assert_eq!((events_of(&transaction, "gone-0").0, events_of(&transaction, "gone-25499").0), (0, 4));
}

#[test]
fn sessions_of_a_token_push_out_what_went_before_of_the_same_token_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = schema::open(&folder.path().join("history.db")).unwrap();
    let transaction = connection.transaction().unwrap();
    let add = |action: &str, actor: &str, root: Option<String>| {
        let change = Change { action: action.to_owned(), root, ..change(actor) };
        audit::insert(&transaction, &change).unwrap();
    };
    for _ in 0..100 {
        add("create_link", "other", None);
    }
    for session in 0..11_000 {
        add("open_session", "maker", None);
        add("close_session", &session.to_string(), Some("maker".to_owned()));
    }
    prune::prune(&transaction).unwrap();
    let kept = |action: &str| -> u32 {
        let sql = "SELECT COUNT(*) FROM changes WHERE action = ?1";
        transaction.query_row(sql, [action], |row| row.get(0)).unwrap()
    };
    assert_eq!(["create_link", "open_session", "close_session"].map(kept), [100, 4950, 4950]);
}

#[test]
fn many_that_crash_all_the_time_leave_others_their_last_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = schema::open(&folder.path().join("history.db")).unwrap();
    let transaction = connection.transaction().unwrap();
    let last = LastLines { lines: vec!["died".to_owned()], end: 7 };
    for at in 0..5 {
        events::insert(&transaction, &transition("api:quiet", at), Some(&last)).unwrap();
    }
    for at in 5..25 {
        for noisy in 0..60 {
            events::insert(&transaction, &transition(&format!("api:noisy-{noisy}"), at), Some(&last))
                .unwrap();
        }
    }
    prune::prune_lines(&transaction).unwrap();
    let kept = |sql: &str| transaction.query_row(sql, (), |row| row.get::<_, u32>(0)).unwrap();
    let of_quiet = "SELECT COUNT(*) FROM last_lines WHERE of_id = 'quiet'";
    assert_eq!((kept("SELECT COUNT(*) FROM last_lines"), kept(of_quiet)), (1000, 3));
}

#[test]
fn who_follows_is_read_the_next_events_alone() {
    let folder = tempfile::tempdir().unwrap();
    let connection = schema::open(&folder.path().join("history.db")).unwrap();
    let plan = |query: &EventQuery| -> Vec<String> {
        let sql = format!("EXPLAIN QUERY PLAN {}", query.select().statement());
        let mut statement = connection.prepare(&sql).unwrap();
        let count = statement.parameter_count();
        let rows = statement.query_map(rusqlite::params_from_iter(vec![1; count]), |row| row.get("detail"));
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    };
    let all = EventQuery { after: Some(7), limit: 10, ..EventQuery::default() };
    let of_service = EventQuery { service: Some("api".parse().unwrap()), ..all.clone() };
    let of_instance = EventQuery { instance: Some("api:a".parse().unwrap()), ..of_service.clone() };
    for (query, by) in
        [(all, "(rowid>?)"), (of_service, "(rowid>?)"), (of_instance, "(service=? AND id=? AND seq>?)")]
    {
        let plan = plan(&query);
        assert!(plan[0].starts_with("SEARCH events") && plan[0].ends_with(by), "{plan:?}");
        assert!(!plan.concat().contains("TEMP B-TREE"), "{plan:?}");
    }
    drop(connection);
    let history = open(&folder.path().join("history.db")).unwrap();
    for (name, at) in [("api:a", 1), ("other:b", 2), ("api:c", 3)] {
        history.changed(&transition(name, at));
    }
    drop(history);
    let of_api = EventQuery {
        service: Some("api".parse().unwrap()),
        after: Some(1),
        limit: 10,
        ..EventQuery::default()
    };
    let history = open(&folder.path().join("history.db")).unwrap();
    let next = history.next_events(&of_api).unwrap();
    assert_eq!(next.iter().map(|event| event.at.0).collect::<Vec<_>>(), [3]);
}

#[tokio::test]
async fn who_follows_events_is_woken_by_those_it_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(&folder.path().join("history.db")).unwrap();
    let of = |service: &str| EventQuery { service: Some(service.parse().unwrap()), ..EventQuery::default() };
    let one = EventQuery { instance: Some("api:a".parse().unwrap()), ..EventQuery::default() };
    let (mut happenings, written) = (history.happenings(), history.written());
    // Changes are no events.
    history.record(change("local"));
    history.changed(&transition("api:a", 1));
    history.changed(&transition("web:b", 1));
    history.settled().await;
    let looked = happenings.clone();
    let concerns = |query: &EventQuery| looked.clone().concerning(query).now_or_never();
    assert_eq!(
        [&of("api"), &of("web"), &of("db"), &one].map(concerns),
        [Some(true), Some(true), None, Some(true)]
    );
    happenings.mark_seen();
    history.record(change("local"));
    history.changed(&transition("web:b", 2));
    history.settled().await;
    let looked = happenings.clone();
    let concerns = |query: &EventQuery| looked.clone().concerning(query).now_or_never();
    assert_eq!(
        [&of("api"), &of("web"), &EventQuery::default(), &one].map(concerns),
        [None, Some(true), Some(true), None]
    );
    // So many that not all of them are known by name: it may be one of them.
    let mut slept = looked.clone();
    assert_eq!(slept.concerning(&one).now_or_never(), None);
    for at in 0..1001 {
        history.changed(&transition("web:b", at));
    }
    history.settled().await;
    assert_eq!(
        [&of("web"), &one].map(|query| looked.clone().concerning(query).now_or_never()),
        [Some(true); 2]
    );
    assert_eq!(*written.borrow(), 1006);
    drop(history);
    slept.mark_seen();
    assert_eq!(slept.concerning(&one).now_or_never(), Some(false));
}

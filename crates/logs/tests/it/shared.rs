//! Those who follow the same instance share what was read for it, and see what each of them would see alone.

use std::io::Write;

use tenement_logs::{Begin, Followed, Follower, Level, LevelSet, LogQuery};

use crate::{
    follow::{ends_with, read_until, texts},
    support::{Instance, open},
};

/// Reads as the API does: what others have read without the disk, else with it.
fn read_all(follower: &mut Follower) -> Vec<Followed> {
    let mut seen = Vec::new();
    loop {
        let batch = match follower.look() {
            Some(batch) => batch,
            None => follower.read_shared().unwrap(),
        };
        let more = batch.more;
        seen.extend(batch.entries.into_iter().map(|entry| match entry {
            Followed::Line(line) => {
                let encoded = line.encoded(|line| format!("{line:?}"));
                let line = line.into_line();
                assert_eq!(encoded, format!("{line:?}"));
                Followed::Line(line)
            }
            Followed::Dropped { instance, lines, timestamp } => {
                Followed::Dropped { instance, lines, timestamp }
            }
        }));
        if !more {
            return seen;
        }
    }
}

#[test]
fn many_see_what_each_would_see_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    let name = app.name.clone();
    let of = |query| store.follow(LogQuery { instance: Some(name.clone()), ..query }, &Begin::Now).unwrap();
    let queries = [
        LogQuery::default(),
        LogQuery { levels: LevelSet::at_least(Level::Error), ..LogQuery::default() },
        LogQuery { search: Some("7".into()), ..LogQuery::default() },
        LogQuery { grep: Some("^(é|K)+".into()), ..LogQuery::default() },
    ];
    let mut followers: Vec<_> = (0..12).map(|n| of(queries[n % 4].clone())).collect();
    let mut seen = vec![Vec::new(); followers.len()];
    for n in 0..3000_usize {
        app.print(format!(
            "line {n} {}\r\nTraceback (most recent call last):\n  at {n}\n",
            "x".repeat(n % 60)
        ));
        app.print(if n % 7 == 0 { "KeyError\néé after\n" } else { "\n" });
        app.stderr.write_all(format!("error {n}\n").as_bytes()).unwrap();
        if n % 500 == 250 {
            app.print(format!("{}\n", "ö".repeat(90_000)));
        }
        // Each at a time of its own.
        let at = n % (2 * followers.len());
        if let Some(follower) = followers.get_mut(at) {
            seen[at].extend(read_all(follower));
        }
    }
    app.detach(&store);
    for (follower, seen) in followers.iter_mut().zip(&mut seen) {
        seen.extend(read_all(follower));
    }
    for (query, seen) in queries.iter().cycle().zip(&seen) {
        let query = LogQuery { limit: 100_000, instance: Some(name.clone()), ..query.clone() };
        let lines: Vec<_> = store.query(&query).unwrap().lines.into_iter().map(Followed::Line).collect();
        assert!(lines.len() > 500);
        assert!(*seen == lines, "{query:?}: {} of {}", seen.len(), lines.len());
    }
}

#[test]
fn what_was_erased_comes_to_nobody_who_shared_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    let query = LogQuery { instance: Some(app.name.clone()), ..LogQuery::default() };
    let [mut first, mut second] = [(), ()].map(|()| store.follow(query.clone(), &Begin::Now).unwrap());
    app.print("secret\n");
    assert_eq!(texts(&read_until(&mut first, ends_with("secret"))), ["secret"]);
    app.detach(&store);
    store.purge(&app.name).unwrap();
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    app.print("new\n");
    app.detach(&store);
    assert_eq!(texts(&read_until(&mut second, ends_with("new"))), ["new"]);
    assert_eq!(texts(&read_until(&mut first, ends_with("new"))), ["new"]);
}

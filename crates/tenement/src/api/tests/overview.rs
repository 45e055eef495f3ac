//! The live table, and what keeps it.

use axum::body::BodyDataStream;
use futures_util::StreamExt;
use tenement_core::slot::StatusClass;

use super::*;

/// What a reader is told, when it asks.
pub(super) struct Reader {
    body: BodyDataStream,
    rest: String,
}

impl Fixture {
    pub(super) async fn follow(&self) -> Reader {
        self.follow_part("").await
    }

    async fn follow_part(&self, part: &str) -> Reader {
        let request = Request::get(format!("/api/overview?follow=true{part}"))
            .header("Authorization", format!("bearer {}", self.token))
            .body(Body::empty())
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        Reader { body: response.into_body().into_data_stream(), rest: String::new() }
    }

    fn name(&self) -> InstanceName {
        "api:a".parse().unwrap()
    }
}

impl Reader {
    /// The next message of a kind.
    pub(super) async fn next(&mut self, kind: &str) -> Value {
        loop {
            while let Some((line, rest)) = self.rest.split_once('\n') {
                let message: Value = serde_json::from_str(line).unwrap();
                self.rest = rest.to_owned();
                if message["type"] == kind {
                    return message;
                }
            }
            let chunk = self.body.next().await.expect("more").unwrap();
            self.rest.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_task_keeps_the_table_for_all_and_only_while_somebody_reads() {
    let fixture = Fixture::new();
    assert_eq!(fixture.api.overview.tasks(), 0);
    let (mut first, mut second) = (fixture.follow().await, fixture.follow().await);
    first.next("snapshot").await;
    second.next("snapshot").await;
    assert_eq!(fixture.api.overview.tasks(), 1);
    drop(first);
    fixture.api.supervisor.spawn(fixture.name(), None, false).await.unwrap();
    assert_eq!(second.next("changes").await["instances"][0]["instance"], "api:a");
    drop(second);
    assert_eq!(fixture.api.overview.tasks(), 0, "nobody reads any more");
    let (status, once) = fixture.call("GET", "/api/overview", "").await;
    assert_eq!((status, once["instances"].as_array().unwrap().len()), (200, 1));
    assert_eq!(fixture.api.overview.tasks(), 0);
    // And it begins again.
    assert_eq!(fixture.follow().await.next("snapshot").await["instances"].as_array().unwrap().len(), 1);
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_slowly_has_each_row_once_and_as_it_is_then() {
    let fixture = Fixture::new();
    let (mut slow, mut quick) = (fixture.follow().await, fixture.follow().await);
    slow.next("snapshot").await;
    quick.next("snapshot").await;
    let supervisor = &fixture.api.supervisor;
    for _ in 0..3 {
        supervisor.spawn(fixture.name(), None, true).await.unwrap();
        supervisor.stop(fixture.name(), tenement_supervisor::StopMode::Keep).await.unwrap();
    }
    while quick.next("changes").await["instances"][0]["status"] != "stopped" {}
    // What was on its way before it stopped reading, and then what there is now.
    let mut told = Vec::new();
    while told.last().is_none_or(|last| last != "stopped") {
        told.push(slow.next("changes").await["instances"][0]["status"].clone());
    }
    assert!(told.len() <= 2, "{told:?}");
    supervisor.stop(fixture.name(), tenement_supervisor::StopMode::Purge).await.unwrap();
    for reader in [&mut slow, &mut quick] {
        let gone = loop {
            let changes = reader.next("changes").await;
            if changes["gone"] != json!([]) {
                break changes;
            }
        };
        assert_eq!((&gone["gone"], &gone["instances"]), (&json!(["api:a"]), &json!([])));
    }
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_told_when_they_are_others() {
    let fixture = Fixture::new();
    fixture.api.supervisor.spawn(fixture.name(), None, true).await.unwrap();
    let mut reader = fixture.follow().await;
    let before = reader.next("snapshot").await["instances"][0].clone();
    let routes = fixture.api.supervisor.routes().load_full();
    let traffic = &routes.slot(&fixture.name()).unwrap().traffic;
    (0..30).for_each(|_| traffic.count(StatusClass::Success, 1, 0, 0));
    (0..10).for_each(|_| traffic.count(StatusClass::ServerError, 1, 0, 0));
    let mut row = before.clone();
    while row["requests"] != 40 {
        row = reader.next("changes").await["instances"][0].clone();
    }
    assert_eq!((&row["errors"], &row["since"]), (&json!(10), &before["since"]));
    assert!(row["rps"].as_f64() > row["eps"].as_f64() && row["eps"].as_f64().unwrap() > 0.0, "{row}");
    let machine = reader.next("machine").await;
    assert!(machine["requests_per_second"].as_f64().unwrap() > 0.0, "{machine}");
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wakes_that_could_not_be_read_are_read_again_by_the_next_who_asks() {
    let fixture = Fixture::new();
    fixture.api.supervisor.spawn(fixture.name(), None, true).await.unwrap();
    fixture.api.history.settled().await;
    let database = rusqlite::Connection::open(fixture._folder.path().join("history.db")).unwrap();
    let add = "INSERT INTO events (at, service, id, run, was, became, health, cause, oom, lasted_ms)
        VALUES (?1, 'api', 'a', 1, 'sleeping', ?2, 'unknown', 'request', 0, 7)";
    let later = tenement_runtime::clock::wall().0 as i64 + 1000;
    for status in ["starting", "running"] {
        database.execute(add, (later, status)).unwrap();
    }
    database.execute_batch("ALTER TABLE events RENAME TO elsewhere").unwrap();
    let (status, unknown) = fixture.call("GET", "/api/overview", "").await;
    assert_eq!((status, &unknown["instances"][0]["last_wake"]), (200, &json!(null)));
    database.execute_batch("ALTER TABLE elsewhere RENAME TO events").unwrap();
    let (_, known) = fixture.call("GET", "/api/overview", "").await;
    let row = &known["instances"][0];
    assert_eq!((&row["last_wake"], &row["wake_ms"]), (&json!(later), &json!(7)), "{row}");
    fixture.end().await;
}

fn names(message: &Value) -> Vec<&str> {
    message["instances"].as_array().unwrap().iter().map(|row| row["instance"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_part_is_told_of_nothing_else_and_when_it_comes() {
    let fixture = Fixture::new();
    let mut one = fixture.follow_part("&service=api&instance=a").await;
    assert_eq!(one.next("snapshot").await["instances"], json!([]));
    let mut all = fixture.follow_part("&service=api").await;
    all.next("snapshot").await;
    for name in ["api:0", "api:a", "api:b"] {
        fixture.api.supervisor.spawn(name.parse().unwrap(), None, false).await.unwrap();
    }
    let mut told = 0;
    while told < 3 {
        told = all.next("machine").await["instances"]["total"].as_u64().unwrap();
    }
    assert_eq!(names(&one.next("changes").await), ["api:a"]);
    fixture.api.supervisor.stop(fixture.name(), tenement_supervisor::StopMode::Purge).await.unwrap();
    let gone = loop {
        let changes = one.next("changes").await;
        if changes["gone"] != json!([]) {
            break changes;
        }
        assert_eq!(names(&changes), ["api:a"]);
    };
    assert_eq!((&gone["gone"], &gone["instances"]), (&json!(["api:a"]), &json!([])));
    let mut machine = one.next("machine").await;
    while machine["instances"]["total"] != 0 {
        machine = one.next("machine").await;
    }
    assert!(machine["cores"].as_u64().unwrap() > 0, "the machine is everybody's: {machine}");
    fixture.end().await;
}

// faults: A5
#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_never_more_than_the_token_is_for() {
    let mut fixture = Fixture::new();
    for name in ["api:a", "api:b"] {
        fixture.api.supervisor.spawn(name.parse().unwrap(), None, false).await.unwrap();
    }
    let part = async |fixture: &Fixture, query: &str| {
        let (status, found) = fixture.call("GET", &format!("/api/overview?{query}"), "").await;
        let total = &found["machine"]["instances"]["total"];
        assert_eq!((status, total.as_u64()), (200, Some(names(&found).len() as u64)), "{query}: {found}");
        (names(&found).join(" "), found["machine"]["cores"].is_u64())
    };
    for (query, expected) in [
        ("", "api:a api:b"),
        ("service=api", "api:a api:b"),
        ("instance=api:B", "api:b"),
        ("service=api&instance=b", "api:b"),
        ("service=other&instance=api:b", ""),
        ("service=other", ""),
        ("instance=api:none", ""),
    ] {
        assert_eq!(part(&fixture, query).await, (expected.to_owned(), true), "{query}");
    }
    let bound = r#"{ "scopes": ["read"], "instance": "api:a" }"#;
    let (_, made) = fixture.call("POST", "/api/tokens", bound).await;
    fixture.token = made["token"].as_str().unwrap().to_owned();
    for (query, expected) in [
        ("", "api:a"),
        ("service=api", "api:a"),
        ("instance=api:a", "api:a"),
        ("instance=api:b", ""),
        ("service=other", ""),
    ] {
        assert_eq!(part(&fixture, query).await, (expected.to_owned(), false), "{query}");
    }
    for query in ["service=a/b", "service=", "instance=a", "instance=api:a..b", "follow=true&instance=api:"] {
        let (status, refused) = fixture.call("GET", &format!("/api/overview?{query}"), "").await;
        assert_eq!((status, &refused["error"]), (400, &json!("bad_request")), "{query}");
    }
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_keeps_nobody_from_the_table() {
    let fixture = Fixture::new();
    let hangs = Arc::clone(&fixture.api.overview.disk).lock_owned().await;
    let mut reader = fixture.follow().await;
    let machine = reader.next("machine").await;
    assert!(machine["cores"].as_u64().unwrap() > 0 && machine["disk_mb"].is_null(), "{machine}");
    fixture.api.supervisor.spawn(fixture.name(), None, false).await.unwrap();
    assert_eq!(names(&reader.next("changes").await), ["api:a"]);
    drop(hangs);
    while reader.next("machine").await["disk_mb"].is_null() {}
    fixture.end().await;
}

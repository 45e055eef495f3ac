//! The live table of all instances, read as the dashboard reads it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::client::*;
use crate::support::{TestDaemon, notes};

const PATH: &str = "/api/overview?follow=true";

/// The table as somebody has it who follows.
struct Table {
    client: Client,
    rows: BTreeMap<String, Value>,
    machine: Value,
    snapshots: usize,
}

impl Table {
    fn open(daemon: &TestDaemon, token: &str) -> Self {
        let client = connect(daemon, PATH, &[("authorization", &bearer(token))]).unwrap();
        Self { client, rows: BTreeMap::new(), machine: Value::Null, snapshots: 0 }
    }

    fn read(&mut self) {
        let message = message(&mut self.client);
        match message["type"].as_str() {
            Some("snapshot") => {
                self.rows = of(&message);
                self.snapshots += 1;
            }
            Some("changes") => {
                for name in message["gone"].as_array().unwrap() {
                    self.rows.remove(name.as_str().unwrap());
                }
                self.rows.extend(of(&message));
            }
            Some("machine") => self.machine = message,
            _ => panic!("{message}"),
        }
    }

    /// Reads until it holds.
    fn until(&mut self, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            self.read();
        }
    }

    fn status(&self, name: &str) -> Option<&str> {
        self.rows.get(name)?["status"].as_str()
    }
}

fn of(message: &Value) -> BTreeMap<String, Value> {
    let rows = message["instances"].as_array().unwrap();
    rows.iter().map(|row| (row["instance"].as_str().unwrap().to_owned(), row.clone())).collect()
}

#[test]
fn what_happens_is_in_the_table_without_being_asked_for() {
    let daemon = TestDaemon::start(&notes(
        "autostart = false\nstartup_timeout = '60s'\n[instances]\nnotes = ['alice']",
    ));
    let token = token(&daemon);
    let mut table = Table::open(&daemon, &token);
    table.until(|table| table.snapshots == 1 && !table.machine.is_null());
    assert_eq!(table.status("notes:alice"), Some("sleeping"));
    let alice = &table.rows["notes:alice"];
    assert_eq!(
        (&alice["last_wake"], &alice["memory_mb"], &alice["requests"]),
        (&json!(null), &json!(null), &json!(0))
    );
    assert!(alice["spark"].is_array() && alice.get("pid").is_none(), "{alice}");
    let machine = &table.machine;
    assert!(
        machine["cores"].as_u64().unwrap() >= 1 && machine["daemon"]["pid"] == daemon.daemon_pid(),
        "{machine}"
    );
    assert_eq!((&machine["instances"]["total"], &machine["instances"]["sleeping"]), (&json!(1), &json!(1)));
    // A request wakes it.
    assert!(daemon.get("alice.notes.localhost", "/").starts_with("HTTP/1.1 200"));
    table.until(|table| {
        table.status("notes:alice") == Some("running") && table.rows["notes:alice"]["requests"] == 1
    });
    let alice = table.rows["notes:alice"].clone();
    assert!(
        alice["wake_ms"].as_u64().unwrap() > 0 && alice["last_wake"].as_u64() <= alice["since"].as_u64(),
        "{alice}"
    );
    assert!(
        alice["pid"].is_number() && alice["rps"].as_f64().unwrap() > 0.0 && alice.get("spark").is_none(),
        "{alice}"
    );
    // Somebody else comes, stops and goes.
    daemon.ok(&["spawn", "notes:bob"]);
    table.until(|table| table.status("notes:bob") == Some("running"));
    daemon.ok(&["stop", "notes:bob", "--keep"]);
    table.until(|table| table.status("notes:bob") == Some("stopped"));
    assert!(table.rows["notes:bob"].get("pid").is_none() && table.rows["notes:bob"]["memory_mb"].is_null());
    daemon.ok(&["stop", "notes:bob", "--purge"]);
    table.until(|table| table.rows.len() == 1);
    table.until(|table| {
        table.machine["instances"]["total"] == 1 && table.machine["instances"]["running"] == 1
    });
    assert_eq!(table.snapshots, 1, "all by changes");
    // Who asks once has the same.
    let once = call(&daemon, "GET", "/api/overview", &token, "");
    let once: Value = serde_json::from_str(once.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!((of(&once).len(), &once["machine"]["instances"]["running"]), (1, &json!(1)));
    assert_eq!(once["instances"][0]["last_wake"], alice["last_wake"]);
}

#[test]
fn when_it_was_woken_is_known_to_the_next_daemon() {
    let daemon = TestDaemon::start(&notes("autostart = false\n[instances]\nnotes = ['alice']"));
    assert!(daemon.get("alice.notes.localhost", "/").starts_with("HTTP/1.1 200"));
    let mut table = Table::open(&daemon, &token(&daemon));
    table.until(|table| table.status("notes:alice") == Some("running"));
    let before = table.rows["notes:alice"].clone();
    drop(table);
    let daemon = TestDaemon::start_in(daemon.stop(), &[]);
    let mut table = Table::open(&daemon, &token(&daemon));
    table.until(|table| table.snapshots == 1);
    let after = &table.rows["notes:alice"];
    let close = |key: &str| after[key].as_u64().unwrap().abs_diff(before[key].as_u64().unwrap()) <= 200;
    assert_eq!(after["status"], "sleeping");
    assert!(close("last_wake") && close("wake_ms"), "{before} {after}");
}

// faults: A5
#[test]
fn a_bound_token_has_its_own_rows_and_nothing_of_the_machine() {
    let daemon = TestDaemon::start(&notes("autostart = false\n[instances]\nnotes = ['a', 'b']"));
    let (_, bound) = new_token(&daemon, &json!({ "scopes": ["read"], "instance": "notes:a" }));
    let mut table = Table::open(&daemon, &bound);
    let mut all = Table::open(&daemon, &token(&daemon));
    table.until(|table| table.snapshots == 1 && !table.machine.is_null());
    assert_eq!(table.rows.keys().collect::<Vec<_>>(), ["notes:a"]);
    let mut keys: Vec<_> = table.machine.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["at", "errors_per_second", "instances", "requests_per_second", "type"]);
    assert_eq!(table.machine["instances"]["total"], 1);
    daemon.ok(&["spawn", "notes:b"]);
    all.until(|table| table.status("notes:b") == Some("running"));
    daemon.ok(&["spawn", "notes:a"]);
    table.until(|table| {
        assert!(!table.rows.contains_key("notes:b"));
        table.status("notes:a") == Some("running") && table.machine["instances"]["running"] == 1
    });
    daemon.ok(&["stop", "notes:b", "--purge"]);
    all.until(|table| !table.rows.contains_key("notes:b"));
    let once = call(&daemon, "GET", "/api/overview", &bound, "");
    assert!(once.contains("notes:a") && !once.contains("notes:b") && !once.contains("cores"), "{once}");
}

// faults: A4
#[test]
fn the_table_ends_with_its_token_and_with_the_daemon() {
    let daemon = TestDaemon::start(&notes(""));
    let (id, text) = new_token(&daemon, &json!({ "scopes": ["read"] }));
    let (mut revoked, mut other) = (Table::open(&daemon, &text), Table::open(&daemon, &token(&daemon)));
    let (_, mut events) = Chunked::get(&daemon, PATH, &text, "Accept: text/event-stream\r\n");
    assert!(events.lines(2)[0].starts_with("data: {\"type\":"));
    revoked.until(|table| table.snapshots == 1);
    call(&daemon, "DELETE", &format!("/api/tokens/{id}"), &token(&daemon), "");
    assert_eq!(closed(&mut revoked.client).0, 4401);
    while events.chunk().is_some() {}
    other.until(|table| table.snapshots == 1);
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(closed(&mut other.client).0, 1001);
}

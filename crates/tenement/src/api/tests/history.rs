//! Events and audit.

use futures_util::{FutureExt, StreamExt};

use super::*;

impl Fixture {
    /// The answer of a list, once it has `total` entries.
    pub(super) async fn once(&self, path: &str, total: u64) -> Value {
        let mut written = self.api.history.written();
        loop {
            let (_, answer) = self.call("GET", path, "").await;
            if answer["pagination"]["total"].as_u64() >= Some(total) {
                return answer;
            }
            written.changed().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_told_with_its_cause_and_who_asked_for_it() {
    let fixture = Fixture::new();
    let actor = fixture.api.authenticate(&fixture.token).unwrap().actor().0;
    fixture.call("POST", "/api/instances", r#"{"service":"api","id":"a"}"#).await;
    let (_, view) = fixture.call("GET", "/api/instances/api/a", "").await;
    assert_eq!(view["status"], "running");
    fixture.call("DELETE", "/api/instances/api/a", "").await;
    let all = fixture.once("/api/events", 4).await;
    let told: Vec<_> =
        all["events"].as_array().unwrap().iter().map(|event| (&event["to"], &event["cause"])).collect();
    assert_eq!(told[0], (&json!("starting"), &json!("start")), "{all}");
    assert!(told.contains(&(&json!("running"), &json!("ready"))), "{all}");
    assert_eq!(*told.last().unwrap().0, Value::Null, "forgotten: {all}");
    assert_eq!(all["events"][0]["actor"], json!(actor));
    assert!(all["events"].as_array().unwrap().iter().any(|event| event["signal"] == 15), "{all}");
    let first = all["events"][0]["id"].as_u64().unwrap();
    let (_, next) = fixture.call("GET", &format!("/api/events?after={first}&limit=1"), "").await;
    assert_eq!(next["events"][0]["id"], first + 1);
    let (_, of) = fixture.call("GET", "/api/events?cause=ready&instance=api:a&since=1h", "").await;
    assert_eq!(of["pagination"]["total"], 1);
    for query in ["cause=boredom", "after=x", "since=soon", "instance=a", "service=../x", "limit=-1"] {
        assert_eq!(fixture.call("GET", &format!("/api/events?{query}"), "").await.0, 400, "{query}");
    }
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changed_what_is_written_down() {
    let fixture = Fixture::new();
    let actor = fixture.api.authenticate(&fixture.token).unwrap().actor().0;
    fixture.call("POST", "/api/instances", r#"{"service":"api","id":"a"}"#).await;
    fixture.call("POST", "/api/instances/api/a/stop", "").await;
    fixture.call("GET", "/api/instances/api/a", "").await;
    fixture.call("DELETE", "/api/instances/%61pi/n%6fne", "").await;
    let (_, made) = fixture.call("POST", "/api/tokens", "{}").await;
    let all = fixture.once("/api/audit", 4).await;
    let told: Vec<_> = all["audit"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (entry["action"].as_str().unwrap(), entry["instance"].as_str(), entry["status"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("spawn_instance", Some("api:a"), 201),
            ("stop_instance", Some("api:a"), 200),
            ("delete_instance", Some("api:none"), 404),
            ("create_token", None, 201),
        ]
    );
    assert!(
        all["audit"]
            .as_array()
            .unwrap()
            .iter()
            .all(|entry| entry["actor"] == json!(actor) && entry["source"] == "0.0.0.0")
    );
    assert_eq!(all["audit"][3]["token"], made["id"]);
    assert!(!all.to_string().contains(made["token"].as_str().unwrap()));
    let (_, some) = fixture.call("GET", "/api/audit?instance=api:a&action=stop_instance", "").await;
    assert_eq!(some["pagination"]["total"], 1);
    let text = made["token"].as_str().unwrap();
    fixture.call("DELETE", &format!("/api/tokens/{text}?why=mistaken"), "").await;
    let all = fixture.once("/api/audit", 5).await;
    assert_eq!(
        (&all["audit"][4]["path"], &all["audit"][4]["token"]),
        (&json!("/api/tokens/…"), &json!(null))
    );
    assert!(!all.to_string().contains(text), "where its id belongs somebody gave the token itself");
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_found_in_the_audit_however_it_is_typed() {
    let fixture = Fixture::new();
    fixture.call("POST", "/api/instances", r#"{"service":"api","id":"a"}"#).await;
    fixture.once("/api/audit", 1).await;
    let (_, found) = fixture.call("GET", "/api/audit?instance=api:A", "").await;
    assert_eq!(found["pagination"]["total"], 1, "{found}");
    for wrong in ["a", "API:a"] {
        assert_eq!(fixture.call("GET", &format!("/api/audit?instance={wrong}"), "").await.0, 400);
    }
    fixture.end().await;
}

// faults: A17
#[tokio::test(flavor = "multi_thread")]
async fn where_a_command_is_is_told_to_nobody_who_is_bound() {
    let mut fixture = Fixture::running(&["/opt/secret-dir/app"]);
    fixture.call("POST", "/api/instances", r#"{"service":"api","id":"a"}"#).await;
    fixture.once("/api/events", 2).await;
    let bound =
        fixture.token_for(crate::store::Scope::Read, crate::store::Binding::Service("api".parse().unwrap()));
    let paths = ["/api/events", "/api/instances", "/api/instances/api/a", "/api/overview"];
    for path in paths {
        let (_, all) = fixture.call("GET", path, "").await;
        assert!(all.to_string().contains("command not found: '/opt/secret-dir/app'"), "{path} {all}");
    }
    fixture.token = bound;
    for path in &paths {
        let (_, seen) = fixture.call("GET", path, "").await;
        let seen = seen.to_string();
        assert!(seen.contains("its command was not found") && !seen.contains("secret-dir"), "{path} {seen}");
    }
    let table = fixture.follow().await.next("snapshot").await.to_string();
    assert!(table.contains("its command was not found") && !table.contains("secret-dir"), "{table}");
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_events_of_one_token_looks_in_turn_and_sees_all_that_came_meanwhile() {
    let fixture = Fixture::new();
    fixture.call("POST", "/api/instances", r#"{"service":"api","id":"a"}"#).await;
    fixture.api.history.settled().await;
    let caller = fixture.api.authenticate(&fixture.token).unwrap();
    let turn = caller.share().read().await;
    let request = Request::get("/api/events?follow=true&limit=10")
        .header("Authorization", format!("bearer {}", fixture.token))
        .body(Body::empty())
        .unwrap();
    let response = fixture.router.clone().oneshot(request).await.unwrap();
    let mut body = response.into_body().into_data_stream();
    assert!(body.next().now_or_never().is_none());
    fixture.call("DELETE", "/api/instances/api/a", "").await;
    fixture.api.history.settled().await;
    assert!(body.next().now_or_never().is_none());
    drop(turn);
    let seen = String::from_utf8(body.next().await.unwrap().unwrap().to_vec()).unwrap();
    let (_, all) = fixture.call("GET", "/api/events", "").await;
    assert_eq!(json!(seen.lines().count()), all["pagination"]["total"], "{seen}");
    fixture.end().await;
}

//! Start, stop and wait.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_stopped_kept_and_started_again() {
    let fixture = Fixture::new();
    let at = |verb: &str| format!("/api/instances/api/a/{verb}");
    assert_eq!(fixture.call("POST", &at("start"), "").await.0, 404, "it must be known");
    fixture.call("POST", "/api/instances", r#"{"service":"api","id":"a"}"#).await;
    let (status, again) = fixture.call("POST", &at("start"), "").await;
    assert_eq!((status, &again["error"]), (409, &json!("conflict")));
    let stopped = json!({ "instance": "api:a", "status": "stopped" });
    assert_eq!(fixture.call("POST", &at("stop"), "").await, (200, stopped.clone()));
    assert_eq!(fixture.call("POST", &at("stop"), "").await, (200, stopped));
    let (_, listed) = fixture.call("GET", "/api/instances?status=stopped", "").await;
    assert_eq!(listed["pagination"]["total"], 1);
    let (status, started) = fixture.call("POST", &at("start"), "").await;
    assert_eq!((status, &started["status"]), (200, &json!("running")));
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_answered_as_soon_as_it_is_so() {
    let fixture = Fixture::new();
    let at = |query: &str| format!("/api/instances/api/a/wait{query}");
    assert_eq!(fixture.call("GET", &at(""), "").await.0, 404);
    fixture.call("POST", "/api/instances?wait=false", r#"{"service":"api","id":"a"}"#).await;
    let (status, running) = fixture.call("GET", &at("?timeout=30"), "").await;
    assert_eq!((status, &running["status"]), (200, &json!("running")));
    let stopped = at("?status=stopped");
    let (stopped, waited) = tokio::join!(
        fixture.call("POST", "/api/instances/api/a/stop", ""),
        fixture.call("GET", &stopped, ""),
    );
    assert_eq!((stopped.0, waited.0, &waited.1["status"]), (200, 200, &json!("stopped")));
    let (status, late) = fixture.call("GET", &at("?status=running&timeout=0"), "").await;
    assert_eq!((status, &late["error"]), (408, &json!("timeout")));
    for query in ["?status=tired", "?timeout=-1", "?timeout=soon"] {
        assert_eq!(fixture.call("GET", &at(query), "").await.0, 400, "{query}");
    }
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_daemon_ends_nothing_is_started_and_nobody_is_kept_waiting() {
    let fixture = Fixture::new();
    fixture.call("POST", "/api/instances", r#"{"service":"api","id":"a"}"#).await;
    let at = |verb: &str| format!("/api/instances/api/a/{verb}");
    let path = at("wait?status=failed");
    let (waited, ()) = tokio::join!(fixture.call("GET", &path, ""), async {
        fixture.api.draining.send_replace(true);
    });
    assert_eq!((waited.0, &waited.1["error"]), (503, &json!("service_unavailable")));
    for (path, body) in [
        ("/api/instances".to_owned(), r#"{"service":"api","id":"b"}"#),
        (at("restart"), ""),
        (at("start"), ""),
    ] {
        let (status, answer) = fixture.call("POST", &path, body).await;
        assert_eq!((status, &answer["message"]), (503, &json!("tenement is shutting down")), "{path}");
    }
    assert_eq!(fixture.call("POST", &at("stop"), "").await.0, 200);
    fixture.end().await;
}

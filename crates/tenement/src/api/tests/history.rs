//! Events and audit.

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

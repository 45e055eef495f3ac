//! Requests with an `Idempotency-Key`.

use super::*;

impl Fixture {
    async fn keyed(&self, path: &str, key: &str, body: &str) -> (u16, bool, Value) {
        let request = Request::post(path)
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Idempotency-Key", key)
            .body(Body::from(body.to_owned()));
        let (status, headers, body) = self.send(request.unwrap()).await;
        let replayed = headers.contains_key("idempotency-replayed");
        (status.as_u16(), replayed, serde_json::from_str(&body).unwrap_or_default())
    }
}

// faults: A10
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_has_one_effect_and_one_answer() {
    let mut fixture = Fixture::new();
    let spawn = r#"{"service":"api","id":"a"}"#;
    let both = tokio::join!(
        fixture.keyed("/api/instances", "k1", spawn),
        fixture.keyed("/api/instances", "k1", spawn)
    );
    assert_eq!((both.0.0, both.1.0, &both.0.2), (201, 201, &both.1.2), "at the same time");
    assert!(both.0.1 != both.1.1, "one of them was carried out");
    let (_, first, made) = fixture.keyed("/api/tokens", "k2", "{}").await;
    let (_, second, again) = fixture.keyed("/api/tokens", "k2", "{}").await;
    assert_eq!((first, second, &made["token"]), (false, true, &again["token"]));
    let (status, _, other) = fixture.keyed("/api/tokens", "k2", r#"{"name":"other"}"#).await;
    assert_eq!((status, &other["error"]), (422, &json!("unprocessable_entity")));
    let (status, _, other) = fixture.keyed("/api/instances", "k2", "{}").await;
    assert_eq!((status, &other["error"]), (422, &json!("unprocessable_entity")));
    assert_eq!(fixture.keyed("/api/instances", "k3", "{").await.0, 400);
    let (status, replayed, _) = fixture.keyed("/api/instances", "k3", "{").await;
    assert_eq!((status, replayed), (400, true));
    for key in ["", " ", "a b", &"k".repeat(256)] {
        assert_eq!(fixture.keyed("/api/tokens", key, "{}").await.0, 400, "'{key}'");
    }
    let written = fixture.call("GET", "/api/audit?action=create_token", "").await.1;
    let made_again = written["audit"].as_array().unwrap().iter().filter(|entry| entry["status"] == 201);
    assert!(made_again.count() <= 1, "what was given before changed nothing: {written}");
    let search = r#"{"query":"x"}"#;
    fixture.keyed("/api/logs/search", "k9", search).await;
    assert!(!fixture.keyed("/api/logs/search", "k9", search).await.1, "what only looks is looked at anew");
    fixture.token = made["token"].as_str().unwrap().to_owned();
    let (_, replayed, another) = fixture.keyed("/api/tokens", "k2", "{}").await;
    assert!(!replayed && another["token"] != made["token"], "another caller's key");
    fixture.end().await;
}

// faults: A10 D4
#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_answer_could_not_be_kept_has_one_effect_all_the_same() {
    let fixture = Fixture::new();
    let database = rusqlite::Connection::open(fixture.api.about.data_dir.join("state.db")).unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON answers BEGIN SELECT RAISE(ABORT, 'no'); END";
    database.execute_batch(refuse).unwrap();
    for _ in 0..2 {
        assert_eq!(fixture.keyed("/api/tokens", "k1", "{}").await.0, 500);
    }
    database.execute_batch("DROP TRIGGER refuse").unwrap();
    let count = fixture.api.store.tokens().len();
    let (status, replayed, made) = fixture.keyed("/api/tokens", "k1", "{}").await;
    assert_eq!((status, replayed, count), (201, true, 2), "made once, besides the fixture's own");
    let (_, _, again) = fixture.keyed("/api/tokens", "k1", "{}").await;
    assert_eq!(again["token"], made["token"]);
    fixture.end().await;
}

// faults: A11
#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_did_not_wait_for_is_done_all_the_same() {
    let fixture = Fixture::new();
    let spawn = r#"{"service":"api","id":"a"}"#;
    let mut first = Box::pin(fixture.keyed("/api/instances", "k1", spawn));
    // Polled once: the request is under way, and then its client is gone.
    let polled =
        std::future::poll_fn(|context| std::task::Poll::Ready(first.as_mut().poll(context).is_ready()));
    assert!(!polled.await);
    drop(first);
    let (status, _, answer) = fixture.keyed("/api/instances", "k1", spawn).await;
    assert_eq!((status, &answer["status"]), (201, &json!("running")));
    fixture.end().await;
}

//! Signing in by a link, and out.

use tenement_runtime::clock;

use super::*;
use crate::store::{Binding, Kind, Scope};

impl Fixture {
    /// Status and answer to a code that came from an address, without a token.
    async fn exchange(&self, code: &str, from: &str) -> (u16, Value) {
        let request = Request::post("/api/session")
            .header("X-Forwarded-For", from)
            .header("Content-Type", "application/json")
            .body(Body::from(json!({ "link": code }).to_string()));
        let (status, headers, body) = self.send(request.unwrap()).await;
        if status == 201 {
            assert_eq!(headers["cache-control"], "no-store");
        }
        (status.as_u16(), serde_json::from_str(&body).unwrap())
    }

    async fn link(&self, body: &str) -> Value {
        let (status, made) = self.call("POST", "/api/links", body).await;
        assert_eq!(status, 201, "{made}");
        made
    }
}

fn code(link: &Value) -> &str {
    link["code"].as_str().unwrap()
}

// faults: U3
#[tokio::test(flavor = "multi_thread")]
async fn a_link_lets_in_once_with_its_own_rights_and_whoever_signs_out_is_out() {
    let mut fixture = Fixture::new();
    let maker = fixture.api.authenticate(&fixture.token).unwrap().actor().0;
    let made = fixture.link(r#"{ "scopes": ["read"], "instance": "api:mine" }"#).await;
    assert_eq!(made["url"], format!("http://127.0.0.1:8000/#/link/{}", code(&made)));
    assert_eq!(code(&made).len(), 64);
    let both =
        tokio::join!(fixture.exchange(code(&made), "192.0.2.7"), fixture.exchange(code(&made), "192.0.2.8"));
    let (entered, late) = if both.0.0 == 201 { (both.0, both.1) } else { (both.1, both.0) };
    assert_eq!((entered.0, late.0, &late.1["error"]), (201, 401, &json!("unauthorized")), "one of both");
    let entered = entered.1;
    let expected = json!({
        "id": entered["id"], "name": "dashboard", "scopes": ["read"], "service": "api", "instance": "api:mine",
        "expires_at": entered["expires_at"], "kind": "link", "version": env!("CARGO_PKG_VERSION"), "domain": "localhost",
    });
    let administrator = std::mem::replace(&mut fixture.token, entered["token"].as_str().unwrap().to_owned());
    assert_eq!(fixture.call("GET", "/api/session", "").await, (200, expected));
    let ends: jiff::Timestamp = entered["expires_at"].as_str().unwrap().parse().unwrap();
    let hours = ends.duration_since(jiff::Timestamp::now()).as_secs_f64() / 3600.0;
    assert!((11.9..=12.0).contains(&hours), "{hours}");
    assert_eq!(fixture.call("POST", "/api/instances/api/mine/restart", "").await.0, 403);
    assert_eq!(fixture.call("GET", "/api/instances/api/other", "").await.0, 404);
    let caller = fixture.api.authenticate(&fixture.token).unwrap();
    assert_eq!(fixture.call("DELETE", "/api/session", "").await, (200, json!({ "revoked": true })));
    caller.ended().await;
    assert_eq!(fixture.call("GET", "/api/session", "").await.0, 401);
    fixture.token = administrator;
    assert_eq!(fixture.call("DELETE", "/api/session", "").await, (200, json!({ "revoked": false })));
    let (_, own) = fixture.call("GET", "/api/session", "").await;
    assert_eq!(
        (&own["kind"], &own["expires_at"], &own["name"]),
        (&json!("token"), &Value::Null, &json!("test"))
    );
    // Who made the link, from where it was used, and which token that made; what did not get in is not among it.
    let all = fixture.once("/api/audit?action=open_session", 1).await;
    let entry = &all["audit"][0];
    assert_eq!(
        (&entry["actor"], &entry["token"], &entry["status"]),
        (&json!(maker), &entered["id"], &json!(201))
    );
    assert!(["192.0.2.7", "192.0.2.8"].contains(&entry["source"].as_str().unwrap()), "{all}");
    assert_eq!(all["pagination"]["total"], 1);
    let all = fixture.once("/api/audit?action=close_session", 2).await;
    assert_eq!((&all["audit"][0]["token"], &all["audit"][1]["token"]), (&entered["id"], &Value::Null));
    let closed = crate::history::ChangeQuery {
        action: Some("close_session".to_owned()),
        limit: 2,
        ..Default::default()
    };
    let closed = fixture.api.history.changes_made(&closed).unwrap().entries;
    assert_eq!(
        closed[0].change.root.as_ref(),
        Some(&maker),
        "what a session does is the maker's in what is kept"
    );
    assert!(!fixture.once("/api/audit", 4).await.to_string().contains(code(&made)));
    fixture.end().await;
}

// faults: U3
#[tokio::test(flavor = "multi_thread")]
async fn whom_a_token_has_let_in_is_out_when_it_is_revoked() {
    let mut fixture = Fixture::new();
    let administrator = fixture.token.clone();
    fixture.token = fixture.token_for(Scope::Admin, Binding::Nothing);
    let (_, maker) = fixture.call("GET", "/api/session", "").await;
    let made = fixture.link("{}").await;
    let (_, session) = fixture.exchange(code(&made), "192.0.2.1").await;
    fixture.token = administrator;
    let path = format!("/api/tokens/{}", maker["id"].as_str().unwrap());
    assert_eq!(fixture.call("DELETE", &path, "").await.0, 204);
    fixture.token = session["token"].as_str().unwrap().to_owned();
    assert_eq!(fixture.call("GET", "/api/session", "").await.0, 401);
    fixture.end().await;
}

// faults: U3
#[tokio::test(flavor = "multi_thread")]
async fn who_came_by_a_link_makes_no_links_and_ends_nobody_elses_session() {
    let mut fixture = Fixture::new();
    let locally = Request::post("/api/links").extension(Trust::LocalAdministrator).body(Body::from("{}"));
    let locally = locally.unwrap();
    let (status, _, by_machine) = fixture.send(locally).await;
    assert_eq!(status, 201);
    let by_machine = serde_json::from_str(&by_machine).unwrap();
    let (other, by_token) = (fixture.link("{}").await, fixture.link("{}").await);
    let (_, other) = fixture.exchange(code(&other), "192.0.2.1").await;
    for link in [by_machine, by_token] {
        let (_, session) = fixture.exchange(code(&link), "192.0.2.1").await;
        fixture.token = session["token"].as_str().unwrap().to_owned();
        for body in ["", r#"{ "scopes": ["read"], "instance": "api:mine" }"#] {
            let (status, refused) = fixture.call("POST", "/api/links", body).await;
            assert_eq!((status, &refused["error"]), (403, &json!("forbidden")));
            assert!(refused["message"].as_str().unwrap().contains("ten dashboard"), "{refused}");
        }
    }
    fixture.token = other["token"].as_str().unwrap().to_owned();
    assert_eq!(fixture.call("GET", "/api/session", "").await.0, 200);
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_for_no_more_than_its_maker_and_no_longer() {
    let mut fixture = Fixture::new();
    let administrator = fixture.token.clone();
    fixture.token = fixture.token_for(Scope::Admin, Binding::Service("api".parse().unwrap()));
    for (body, bound) in [
        ("", json!(["api", null])),
        ("{}", json!(["api", null])),
        (r#"{ "service": "api", "instance": null }"#, json!(["api", null])),
        (r#"{ "instance": "api:a" }"#, json!(["api", "api:a"])),
    ] {
        let (_, entered) = fixture.exchange(code(&fixture.link(body).await), "192.0.2.1").await;
        assert_eq!(json!([entered["service"], entered["instance"]]), bound, "{body}");
    }
    for body in [r#"{ "service": "other" }"#, r#"{ "instance": "other:a" }"#] {
        assert_eq!(fixture.call("POST", "/api/links", body).await.0, 403, "{body}");
    }
    fixture.token = fixture.token_for(Scope::Admin, Binding::Instance("api:a".parse().unwrap()));
    assert_eq!(fixture.call("POST", "/api/links", r#"{ "service": "api" }"#).await.0, 403);
    let soon = WallMillis(clock::wall().0 + 3_600_000);
    let short = Wanted { expires_at: Some(soon), ..Wanted::admin("short") };
    let short = fixture.api.store.new_token(short, clock::wall()).unwrap();
    fixture.token = short.text;
    let (used, left) = (fixture.link("{}").await, fixture.link("{}").await);
    let (_, entered) = fixture.exchange(code(&used), "192.0.2.1").await;
    assert_eq!(entered["expires_at"], json!(timestamp(soon)), "it does not outlive the token that let it in");
    fixture.api.store.revoke_token(&short.grant.id).unwrap();
    assert_eq!(fixture.exchange(code(&left), "192.0.2.1").await.0, 401, "nor does a link");
    fixture.token = fixture.token_for(Scope::Write, Binding::Nothing);
    assert_eq!(fixture.call("POST", "/api/links", "{}").await.0, 403);
    fixture.token = administrator;
    for wrong in [
        r#"{ "scopes": [] }"#,
        r#"{ "scopes": ["all"] }"#,
        r#"{ "expires_in_seconds": 0 }"#,
        r#"{ "expires_in_seconds": 3601 }"#,
        r#"{ "expires_in_seconds": "300" }"#,
        r#"{ "expires_in_second": 300 }"#,
        r#"{ "instance": "a" }"#,
        "[]",
    ] {
        assert_eq!(fixture.call("POST", "/api/links", wrong).await.0, 400, "{wrong}");
    }
    fixture.end().await;
}

// faults: A3 A13
#[tokio::test(flavor = "multi_thread")]
async fn codes_can_not_be_tried_out_nor_posted_by_a_form() {
    let fixture = Fixture::new();
    let made = fixture.link("{}").await;
    let mut last = fixture.exchange("x", "192.0.2.1").await;
    // A minute may begin in between, and then there are as many again.
    for _ in 0..250 {
        if last.0 == 429 {
            break;
        }
        assert_eq!(last.0, 401);
        last = fixture.exchange("x", "192.0.2.1").await;
    }
    assert_eq!((last.0, &last.1["error"]), (429, &json!("rate_limited")));
    let wrong = Request::get("/api/instances").header("X-Forwarded-For", "192.0.2.1");
    let wrong = wrong.header("Authorization", "Bearer tenement_wrong").body(Body::empty()).unwrap();
    assert_eq!(fixture.send(wrong).await.0, 429, "wrong tokens are counted with them");
    assert_eq!(fixture.exchange("x", "192.0.2.2").await.0, 401);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let request = Request::post("/api/session").header("Content-Type", kind);
        let request = request.body(Body::from(json!({ "link": code(&made) }).to_string())).unwrap();
        assert_eq!(fixture.send(request).await.0, 415, "{kind}");
    }
    for body in [
        "",
        "{}",
        "[]",
        r#"{ "link": 1 }"#,
        r#"{ "link": "a", "link": "b" }"#,
        r#"{ "link": "a", "b": "c" }"#,
    ] {
        let request = Request::post("/api/session").body(Body::from(body)).unwrap();
        assert_eq!(fixture.send(request).await.0, 400, "{body}");
    }
    assert_eq!(fixture.exchange(code(&made), "192.0.2.1").await.0, 201, "who has a good one gets in");
    fixture.end().await;
}

// What is kept for a key would be the code.
#[tokio::test(flavor = "multi_thread")]
async fn the_answer_with_a_link_is_kept_for_no_key() {
    let fixture = Fixture::new();
    let ask = || {
        let request =
            Request::post("/api/links").header("Authorization", format!("Bearer {}", fixture.token));
        request.header("Idempotency-Key", "k").body(Body::from("{}")).unwrap()
    };
    let (first, second) = (fixture.send(ask()).await, fixture.send(ask()).await);
    assert_eq!((first.0.as_u16(), second.0.as_u16()), (201, 201));
    assert!(first.2 != second.2 && !second.1.contains_key("idempotency-replayed"));
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_whose_token_could_not_be_kept_is_still_good() {
    let fixture = Fixture::new();
    let made = fixture.link("{}").await;
    let database = rusqlite::Connection::open(fixture.api.about.data_dir.join("state.db")).unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON tokens BEGIN SELECT RAISE(ABORT, 'no'); END";
    database.execute_batch(refuse).unwrap();
    assert_eq!(fixture.exchange(code(&made), "192.0.2.1").await.0, 500);
    database.execute_batch("DROP TRIGGER refuse").unwrap();
    assert_eq!(fixture.exchange(code(&made), "192.0.2.1").await.0, 201);
    assert_eq!(fixture.exchange(code(&made), "192.0.2.1").await.0, 401);
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_links_are_listed_as_such_and_forgotten_a_day_after_their_end() {
    let fixture = Fixture::new();
    let day = 24 * 3600 * 1000;
    let now = clock::wall().0;
    let at =
        |end: u64, kind| Wanted { kind, expires_at: Some(WallMillis(end)), ..Wanted::admin("dashboard") };
    let store = &fixture.api.store;
    for (end, kind) in
        [(now - 2 * day, Kind::Link), (now - day / 2, Kind::Link), (now - 2 * day, Kind::Token)]
    {
        store.new_token(at(end, kind), WallMillis(end - day)).unwrap();
    }
    fixture.exchange(code(&fixture.link("{}").await), "192.0.2.1").await;
    let (_, listed) = fixture.call("GET", "/api/tokens", "").await;
    let kinds: Vec<_> =
        listed["tokens"].as_array().unwrap().iter().map(|token| token["kind"].clone()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "link").count(), 2, "{listed}");
    assert_eq!(kinds.iter().filter(|kind| **kind == "token").count(), 2, "{listed}");
    fixture.end().await;
}

//! Who may what: every route that is described, with every kind of token.

use tenement_runtime::clock;

use super::*;
use crate::{
    api::access::Demand,
    store::{Binding, Scope},
};

/// Routes, and what they demand: `-` nothing, `?` a token is optional, `read`, `write`, `admin`, `+` bound to nothing.
const ROUTES: &str = include_str!("routes.txt");

fn said(demand: Option<Demand>) -> String {
    let Some(demand) = demand else { return "-".to_owned() };
    let (optional, unbound) = (if demand.optional { "?" } else { "" }, if demand.unbound { "+" } else { "" });
    format!("{optional}{}{unbound}", demand.scope)
}

#[test]
fn every_route_demands_what_the_table_says() {
    let access = Access::of(&described().1);
    let found: Vec<_> = access
        .all()
        .map(|(path, method, demand)| format!("{method:<6} {path:<46} {}", said(demand)))
        .collect();
    assert_eq!(found.join("\n"), ROUTES.trim_end(), "\n{}", found.join("\n"));
}

struct Kind {
    scope: Option<Scope>,
    bound: bool,
    /// Whether it is bound to what the test asks for.
    foreign: bool,
    token: String,
}

impl Fixture {
    pub(super) fn token_for(&self, scope: Scope, binding: Binding) -> String {
        let wanted = Wanted { scopes: vec![scope], binding, ..Wanted::admin("kind") };
        self.api.store.new_token(wanted, clock::wall()).unwrap().text
    }

    fn kinds(&self) -> Vec<Kind> {
        let mut kinds =
            vec![Kind { scope: None, bound: false, foreign: false, token: "tenement_wrong".into() }];
        let bindings = [
            (Binding::Nothing, false, false),
            (Binding::Service("api".parse().unwrap()), true, false),
            (Binding::Instance("api:mine".parse().unwrap()), true, false),
            (Binding::Service("other".parse().unwrap()), true, true),
            (Binding::Instance("api:other".parse().unwrap()), true, true),
        ];
        for scope in Scope::ALL {
            for (binding, bound, foreign) in bindings.clone() {
                let token = self.token_for(scope, binding);
                kinds.push(Kind { scope: Some(scope), bound, foreign, token });
            }
        }
        kinds
    }
}

/// What a kind of token is answered on a route, before its handler looks at anything; `None`: it is let through.
fn refusal(demand: Option<Demand>, kind: &Kind) -> Option<u16> {
    let demand = demand?;
    match kind.scope {
        None => Some(401),
        Some(scope) if scope < demand.scope || (demand.unbound && kind.bound) => Some(403),
        Some(_) => None,
    }
}

// faults: A5
#[tokio::test(flavor = "multi_thread")]
async fn every_route_with_every_kind_of_token() {
    let mut fixture = Fixture::new();
    let access = Access::of(&described().1);
    for kind in fixture.kinds() {
        fixture.token = kind.token.clone();
        for (path, method, demand) in access.all() {
            let target = path
                .replace("{service}", "api")
                .replace("{id}", "mine")
                .replace("tokens/mine", "tokens/none");
            let (status, answer) = fixture.call(method, &with_little_to_wait(&target), "").await;
            match refusal(demand, &kind) {
                Some(expected) => assert_eq!(status, expected, "{method} {path} {answer}"),
                None => assert!(![401, 403].contains(&status), "{method} {path} {answer}"),
            }
            if status == 403 && demand.is_some_and(|demand| Some(demand.scope) > kind.scope) {
                let scope = demand.unwrap().scope;
                assert!(answer["message"].as_str().unwrap().contains(&format!("'{scope}'")), "{answer}");
            }
            if kind.foreign && status != 403 && path.contains("{service}") {
                let message = "Instance 'api:mine' not found";
                assert_eq!((status, &answer["message"]), (404, &json!(message)), "{method} {path}");
            }
        }
    }
    fixture.end().await;
}

fn with_little_to_wait(target: &str) -> String {
    if target.ends_with("/wait") { format!("{target}?timeout=0") } else { target.to_owned() }
}

// faults: A5
#[tokio::test(flavor = "multi_thread")]
async fn a_bound_token_sees_its_own_and_nothing_else_is_there() {
    let mut fixture = Fixture::new();
    let administrator = fixture.token.clone();
    fixture.call("POST", "/api/instances", r#"{"service":"api","id":"mine"}"#).await;
    for binding in [Binding::Service("api".parse().unwrap()), Binding::Instance("api:mine".parse().unwrap())]
    {
        fixture.token = fixture.token_for(Scope::Write, binding);
        let (_, list) = fixture.call("GET", "/api/instances", "").await;
        assert_eq!(list["pagination"]["total"], 1);
        assert_eq!(fixture.call("GET", "/api/instances/api/mine", "").await.0, 200);
        let (_, events) = fixture.call("GET", "/api/events", "").await;
        assert!(
            events["events"].as_array().unwrap().iter().all(|event| event["actor"].is_null()),
            "{events}"
        );
    }
    fixture.token = fixture.token_for(Scope::Write, Binding::Instance("api:other".parse().unwrap()));
    let (_, list) = fixture.call("GET", "/api/instances", "").await;
    assert_eq!((&list["instances"], &list["pagination"]["total"]), (&json!([]), &json!(0)));
    for path in
        ["/api/logs", "/api/logs?service=api", "/api/logs?instance=api:mine", "/api/events?instance=api:mine"]
    {
        let (status, answer) = fixture.call("GET", path, "").await;
        assert_eq!((status, &answer["pagination"]["total"]), (200, &json!(0)), "{path}");
    }
    let (status, answer) = fixture.call("POST", "/api/instances", r#"{"service":"api","id":"mine"}"#).await;
    assert_eq!((status, &answer["message"]), (404, &json!("Instance 'api:mine' not found")));
    let (_, foreign) = fixture.call("POST", "/api/instances", r#"{"service":"none","id":"mine"}"#).await;
    fixture.token = fixture.token_for(Scope::Write, Binding::Service("other".parse().unwrap()));
    let (_, hidden) = fixture.call("POST", "/api/instances", r#"{"service":"api","id":"mine"}"#).await;
    assert_eq!(hidden["message"], "Service 'api' is not in the configuration");
    assert_eq!(foreign["message"], "Service 'none' is not in the configuration");
    fixture.token = administrator;
    fixture.end().await;
}

// faults: A4
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_none_and_what_it_let_in_is_told() {
    let mut fixture = Fixture::new();
    let (_, made) = fixture.call("POST", "/api/tokens", r#"{ "name": "short", "scopes": ["read"] }"#).await;
    let (_, listed) = fixture.call("GET", "/api/tokens", "").await;
    let of = |listed: &Value| {
        listed["tokens"].as_array().unwrap().iter().find(|token| token["id"] == made["id"]).cloned()
    };
    let token = of(&listed).unwrap();
    assert_eq!((&token["last_used"], &token["scopes"]), (&Value::Null, &json!(["read"])));
    assert!(token.get("token").is_none() && !listed.to_string().contains(made["token"].as_str().unwrap()));
    let caller = fixture.api.authenticate(made["token"].as_str().unwrap()).unwrap();
    assert!(of(&fixture.call("GET", "/api/tokens", "").await.1).unwrap()["last_used"].is_string());
    let path = format!("/api/tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(fixture.call("DELETE", &path, "").await, (204, Value::Null));
    caller.ended().await;
    let (status, twice) = fixture.call("DELETE", &path, "").await;
    assert_eq!((status, &twice["error"]), (404, &json!("not_found")));
    fixture.token = made["token"].as_str().unwrap().to_owned();
    assert_eq!(fixture.call("GET", "/api/instances", "").await.0, 401);
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_a_token_says_what_is_left() {
    let fixture = Fixture::new();
    for (path, left) in
        [("/api/instances", "999"), ("/api/instances/api/none", "998"), ("/api/logs?limit=x", "997")]
    {
        let request = Request::get(path).header("Authorization", format!("Bearer {}", fixture.token));
        let (_, headers, _) = fixture.send(request.body(Body::empty()).unwrap()).await;
        let reset: u64 = headers["x-ratelimit-reset"].to_str().unwrap().parse().unwrap();
        assert_eq!(
            (&headers["x-ratelimit-limit"], &headers["x-ratelimit-remaining"], reset % 60),
            (&"1000".parse().unwrap(), &left.parse().unwrap(), 0)
        );
    }
    for (method, path, left) in [("GET", "/api/nothing", "996"), ("PATCH", "/api/instances", "995")] {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("Authorization", format!("Bearer {}", fixture.token));
        let (_, headers, _) = fixture.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(headers["x-ratelimit-remaining"], left, "{method} {path}");
    }
    for path in ["/health", "/metrics", "/"] {
        let request = Request::get(path).header("Authorization", format!("Bearer {}", fixture.token));
        let (_, headers, _) = fixture.send(request.body(Body::empty()).unwrap()).await;
        assert!(!headers.contains_key("x-ratelimit-limit"), "{path}");
    }
    fixture.end().await;
}

// faults: A3
#[tokio::test(flavor = "multi_thread")]
async fn too_many_wrong_tokens_of_an_address_are_a_429_for_that_address() {
    let fixture = Fixture::new();
    let wrong = |from: &str| {
        let request = Request::get("/api/instances").header("X-Forwarded-For", from);
        request.header("Authorization", "Bearer tenement_wrong").body(Body::empty()).unwrap()
    };
    let mut last = fixture.send(wrong("192.0.2.1")).await;
    // A minute may begin in between, and then there are as many again.
    for _ in 0..250 {
        if last.0 == 429 {
            break;
        }
        assert_eq!(last.0, 401);
        last = fixture.send(wrong("192.0.2.1")).await;
    }
    assert_eq!(last.0, 429);
    assert_eq!(
        (&last.1["x-ratelimit-limit"], &last.1["x-ratelimit-remaining"]),
        (&"100".parse().unwrap(), &"0".parse().unwrap())
    );
    assert!(last.1["retry-after"].to_str().unwrap().parse::<u64>().unwrap() <= 60);
    assert_eq!(serde_json::from_str::<Value>(&last.2).unwrap()["error"], "rate_limited");
    assert_eq!(fixture.send(wrong("192.0.2.2")).await.0, 401);
    let scrape = Request::get("/metrics").header("X-Forwarded-For", "192.0.2.1");
    let scrape = scrape.header("Authorization", "Bearer tenement_wrong").body(Body::empty()).unwrap();
    assert_eq!(fixture.send(scrape).await.0, 429, "no other way to try tokens");
    for (method, path) in [("GET", "/api/nothing"), ("PATCH", "/api/instances")] {
        let request = Request::builder().method(method).uri(path).header("X-Forwarded-For", "192.0.2.1");
        let request = request.header("Authorization", "Bearer tenement_wrong").body(Body::empty()).unwrap();
        assert_eq!(fixture.send(request).await.0, 429, "nor where nothing is: {method} {path}");
    }
    assert_eq!(fixture.call("GET", "/api/instances", "").await.0, 200);
    fixture.end().await;
}

/// The contract under review: `TENEMENT_BLESS=1` writes it anew.
#[test]
fn the_description_is_the_one_in_the_repository() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let found = serde_json::to_string_pretty(&described().1).unwrap() + "\n";
    if std::env::var_os("TENEMENT_BLESS").is_some() {
        std::io::Write::write_all(&mut File::create(&path).unwrap(), found.as_bytes()).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == kept,
        "docs/openapi.json is not what the code says: TENEMENT_BLESS=1 cargo test -p tenement"
    );
}

#[test]
fn every_route_is_documented() {
    let page = include_str!("../../../../../docs/api.md");
    for (path, method, _) in Access::of(&described().1).all() {
        let path = path.replace('{', ":").replace('}', "");
        let headings = [format!("### {method} {path}\n"), format!("### WebSocket {path}\n")];
        let same = path == "/api/config/validate" && method == "POST";
        assert!(same || headings.iter().any(|heading| page.contains(heading)), "{method} {path}");
    }
}

// faults: S11
#[tokio::test(flavor = "multi_thread")]
async fn what_was_purged_leaves_nothing_to_the_next_one_of_its_name() {
    let mut fixture = Fixture::new();
    let administrator = fixture.token.clone();
    fixture.call("POST", "/api/instances", r#"{"service":"api","id":"mine"}"#).await;
    let bound = fixture.token_for(Scope::Read, Binding::Instance("api:mine".parse().unwrap()));
    let other = fixture.token_for(Scope::Read, Binding::Service("api".parse().unwrap()));
    assert_eq!(fixture.call("DELETE", "/api/instances/api/mine?purge=true", "").await.0, 200);
    fixture.token = bound;
    assert_eq!(fixture.call("GET", "/api/instances", "").await.0, 401);
    fixture.token = other;
    let mut written = fixture.api.history.written();
    loop {
        let (_, events) = fixture.call("GET", "/api/events?instance=api:mine", "").await;
        if events["pagination"]["total"] == 0 {
            break;
        }
        written.changed().await.unwrap();
    }
    fixture.token = administrator;
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_told_when_the_token_ends() {
    let mut fixture = Fixture::new();
    fixture.call("POST", "/api/instances", r#"{"service":"api","id":"a"}"#).await;
    let administrator = fixture.token.clone();
    let (_, made) = fixture.call("POST", "/api/tokens", r#"{ "scopes": ["read"] }"#).await;
    fixture.token = made["token"].as_str().unwrap().to_owned();
    let id = made["id"].as_str().unwrap().to_owned();
    let (waited, ()) =
        tokio::join!(fixture.call("GET", "/api/instances/api/a/wait?status=stopped", ""), async {
            assert!(fixture.api.store.revoke_token(&id).unwrap())
        },);
    assert_eq!(waited.0, 401);
    fixture.token = administrator;
    fixture.end().await;
}

//! The API over a real supervisor with real processes.

use std::{collections::BTreeMap, fs::File, os::fd::OwnedFd, sync::Arc, time::Duration};

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use serde_json::{Value, json};
use tenement_core::{
    config::{Config, DiskFull, MetricsDetail, Settings, template::Template, testing},
    name::InstanceName,
    slot::RunId,
    time::WallMillis,
};
use tenement_logs::Limits;
use tenement_runtime::process::Host;
use tenement_supervisor::{BoxFuture, Deps, Output};
use tower::ServiceExt;

use super::*;
use crate::{sinks::Sinks, store::Wanted};

mod access;
mod history;
mod hostile;
mod life;
mod metrics;
mod overview;
mod repeated;
mod session;

/// Answers nothing, but listens.
const APP: &str = "import os, socket\ns = socket.socket(socket.AF_UNIX)\ns.bind(os.environ['SOCKET_PATH'])\n\
    s.listen()\nwhile True: s.accept()";

struct Nowhere(Arc<History>);

impl Output for Nowhere {
    fn attach(&self, _: &InstanceName, _: RunId) -> std::io::Result<[OwnedFd; 2]> {
        let null = || File::options().write(true).open("/dev/null");
        Ok([null()?.into(), null()?.into()])
    }
    fn detach(&self, _: &InstanceName, _: RunId) -> BoxFuture<()> {
        Box::pin(async {})
    }
    fn last_lines(&self, _: &InstanceName, _: usize) -> Vec<String> {
        Vec::new()
    }
    fn purge(&self, name: &InstanceName) -> std::io::Result<()> {
        self.0.erase(name.clone())
    }
}

struct Fixture {
    router: Router,
    api: Api,
    token: String,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::running(&["python3", "-c", APP])
    }

    /// With this as the command of its service.
    fn running(command: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut service = testing::service("api");
        service.command = command.iter().copied().map(Template::literal).collect();
        service.socket = Template::parse(&format!("{}/{{id}}.sock", folder.path().display())).unwrap();
        service.env = [("API_KEY", "hidden"), ("MODE", "fast")]
            .map(|(key, value)| (key.to_owned(), Template::literal(value)))
            .into();
        let settings = Settings {
            data_dir: folder.path().to_owned(),
            listen: vec!["127.0.0.1:8000".parse().unwrap()],
            domain: "localhost".into(),
            health_check_interval: Duration::from_secs(10),
            max_restarts: 3,
            restart_window: Duration::from_secs(300),
            backoff_base: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(5),
            max_starting: 4,
            log_retention: Duration::from_secs(3600),
            log_max_size: 1 << 30,
            log_sinks: Vec::new(),
            log_rate_limit: None,
            log_disk_full: DiskFull::default(),
            metrics_detail: MetricsDetail::Token,
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
        };
        let services = BTreeMap::from([(service.name.clone(), Arc::new(service))]);
        let config = Arc::new(Config { path: None, settings, services, instances: Vec::new() });
        let store = Arc::new(Store::open(&folder.path().join("state.db")).unwrap());
        let logs = LogStore::open(folder.path().join("logs"), Limits::default()).unwrap();
        let history = Arc::new(History::open(&folder.path().join("history.db"), logs.clone()).unwrap());
        let host = Arc::new(Host::detect(folder.path()).unwrap());
        let deps = Deps {
            runs: Arc::new(()),
            config: Arc::clone(&config),
            host: Arc::clone(&host),
            registry: Arc::clone(&store) as Arc<_>,
            output: Arc::new(Nowhere(Arc::clone(&history))),
            observer: Arc::clone(&history) as Arc<_>,
            base_env: vec![("PATH".into(), std::env::var("PATH").unwrap())],
            unsure: std::sync::Weak::new(),
        };
        let sinks = Sinks::open(&folder.path().join("sinks.db"), &config, folder.path(), &logs).unwrap();
        let shared = Arc::new(ArcSwap::new(config));
        let api = Api {
            sinks: Arc::new(sinks),
            supervisor: tenement_supervisor::start(
                deps,
                Vec::new(),
                tenement_supervisor::Survivors::default(),
            ),
            retention: Arc::new(Retention::new(logs.clone(), Arc::clone(&shared), Default::default())),
            logs,
            samples: Arc::default(),
            rings: Arc::new(Rings::new(folder.path().join("samples"))),
            limits: Arc::default(),
            links: Arc::default(),
            history,
            repeated: Arc::default(),
            overview: Arc::default(),
            changes: Arc::default(),
            upgrades: Arc::default(),
            draining: Arc::default(),
            store,
            about: Arc::new(About {
                data_dir: folder.path().to_owned(),
                addresses: vec!["0.0.0.0:8000".parse().unwrap()],
                host: host.capabilities(),
                config: shared,
                flags: Flags::default(),
                started: tenement_runtime::clock::instant(),
                started_at: tenement_runtime::clock::wall(),
            }),
        };
        let token = api.store.new_token(Wanted::admin("test"), WallMillis(0)).unwrap().text;
        Self { router: router(api.clone()), api, token, _folder: folder }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, axum::http::HeaderMap, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        // A backup is no text.
        (status, headers, String::from_utf8_lossy(&body).into_owned())
    }

    async fn call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Authorization", format!("bearer {}", self.token))
            .body(Body::from(body.to_owned()))
            .unwrap();
        let (status, headers, body) = self.send(request).await;
        let json = headers.get("content-type").is_some_and(|value| value == "application/json");
        let answer = match json {
            true => serde_json::from_str(&body).unwrap_or_else(|_| panic!("not JSON: {body}")),
            false if body.is_empty() => Value::Null,
            false => Value::String(body),
        };
        (status.as_u16(), answer)
    }

    async fn end(self) {
        self.api.supervisor.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_through_the_examples_of_the_reference() {
    let fixture = Fixture::new();
    let body = r#"{ "service": "api", "id": "user123", "env": { "CUSTOM_VAR": "value", "N": 1 } }"#;
    let (status, spawned) = fixture.call("POST", "/api/instances", body).await;
    assert_eq!(
        (status, &spawned["instance"], &spawned["status"]),
        (201, &json!("api:user123"), &json!("running"))
    );
    let (status, again) = fixture.call("POST", "/api/instances", body).await;
    assert_eq!((status, &again["error"], &again["status"]), (409, &json!("conflict"), &json!(409)));
    let (_, list) = fixture.call("GET", "/api/instances?limit=20&offset=0", "").await;
    assert_eq!(list["pagination"], json!({ "limit": 20, "offset": 0, "total": 1, "has_more": false }));
    assert_eq!(list["instances"][0]["restart_count"], 0);
    let (_, one) = fixture.call("GET", "/api/instances/api/user123", "").await;
    assert!(one["created_at"].as_str().unwrap().ends_with('Z') && one["last_health_check"].is_null());
    let (status, restarted) = fixture.call("POST", "/api/instances/api/user123/restart", "").await;
    assert_eq!((status, restarted), (200, json!({ "instance": "api:user123", "status": "restarting" })));
    let (status, stopped) = fixture.call("DELETE", "/api/instances/api/user123", "").await;
    assert_eq!((status, stopped), (200, json!({ "instance": "api:user123", "status": "stopped" })));
    let (status, gone) = fixture.call("GET", "/api/instances/api/user123", "").await;
    let message = "Instance 'api:user123' not found";
    assert_eq!(
        (status, gone),
        (404, json!({ "error": "instance_not_found", "message": message, "status": 404 }))
    );
    fixture.end().await;
}

// faults: A1
#[tokio::test(flavor = "multi_thread")]
async fn without_a_valid_token_there_is_a_401_and_nothing_else() {
    let fixture = Fixture::new();
    for value in ["", "Bearer", "Bearer ", "Bearer tenement_wrong", "Basic YTpi", "Bearer é"] {
        let request =
            Request::get("/api/instances").header("Authorization", value.as_bytes()).body(Body::empty());
        let (status, headers, body) = fixture.send(request.unwrap()).await;
        assert_eq!((status.as_u16(), headers["www-authenticate"].to_str().unwrap()), (401, "Bearer"));
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["error"], "unauthorized");
    }
    let twice = Request::get("/api/instances")
        .header("Authorization", format!("Bearer {}", fixture.token))
        .header("Authorization", format!("Bearer {}", fixture.token));
    assert_eq!(fixture.send(twice.body(Body::empty()).unwrap()).await.0, 401);
    let in_query = format!("/api/instances?token={}", fixture.token);
    assert_eq!(fixture.send(Request::get(in_query).body(Body::empty()).unwrap()).await.0, 401);
    fixture.end().await;
}

// faults: A6 A7 A9 C8 L4
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_in_the_envelope() {
    let fixture = Fixture::new();
    let cases = [
        ("POST", "/api/instances", "{", 400, "bad_request"),
        ("POST", "/api/instances", r#"{"id":"a"}"#, 400, "bad_request"),
        ("POST", "/api/instances", r#"{"service":"api","id":"../x"}"#, 400, "bad_request"),
        ("POST", "/api/instances", r#"{"service":"api","id":"a","env":[]}"#, 400, "bad_request"),
        (
            "POST",
            "/api/instances",
            r#"{"service":"api","id":"a","env":{"LD_PRELOAD":"x"}}"#,
            400,
            "bad_request",
        ),
        ("POST", "/api/instances", r#"{"service":"api","id":"a","env":{"A=B":"x"}}"#, 400, "bad_request"),
        ("POST", "/api/instances", r#"{"service":"api","id":"a","env":{"A":"x\u0000"}}"#, 400, "bad_request"),
        ("POST", "/api/instances", r#"{"service":"api","id":"a","env":{"A":[1]}}"#, 400, "bad_request"),
        (
            "POST",
            "/api/instances",
            r#"{"service":"api","id":"a","env":{"A":"1","A":"2"}}"#,
            400,
            "bad_request",
        ),
        ("POST", "/api/instances", r#"{"service":"api","id":"a","id":"b"}"#, 400, "bad_request"),
        ("POST", "/api/instances", r#"["api","a"]"#, 400, "bad_request"),
        ("POST", "/api/instances", r#"{"service":"none","id":"a"}"#, 404, "not_found"),
        ("GET", "/api/instances/api/none", "", 404, "instance_not_found"),
        ("GET", "/api/instances?limit=-1", "", 400, "bad_request"),
        ("GET", "/api/instances?status=tired", "", 400, "bad_request"),
        ("GET", "/api/instances?usage=maybe", "", 400, "bad_request"),
        ("GET", "/api/instances?limit=1&limit=2", "", 400, "bad_request"),
        ("GET", "/api/instances/%ff/a", "", 400, "bad_request"),
        ("GET", "/api/nothing", "", 404, "not_found"),
        ("PATCH", "/api/instances", "", 405, "method_not_allowed"),
        ("GET", "/api/logs?level=loud", "", 400, "bad_request"),
        ("GET", "/api/logs/api/none", "", 404, "instance_not_found"),
    ];
    for (method, path, body, status, code) in cases {
        let (found, answer) = fixture.call(method, path, body).await;
        assert_eq!((found, &answer["error"]), (status, &json!(code)), "{method} {path} {body}");
        assert_eq!(answer["status"], status);
    }
    fixture.end().await;
}

// faults: A17
#[tokio::test(flavor = "multi_thread")]
async fn metrics_name_tenants_only_to_those_with_a_token() {
    let fixture = Fixture::new();
    fixture.call("POST", "/api/instances", r#"{"service":"api","id":"secret-tenant"}"#).await;
    let (status, _, public) = fixture.send(Request::get("/metrics").body(Body::empty()).unwrap()).await;
    assert_eq!(status, 200);
    assert!(public.contains("tenement_instances_total 1\n") && !public.contains("secret-tenant"), "{public}");
    let authorized = Request::get("/metrics").header("Authorization", format!("Bearer {}", fixture.token));
    let (_, _, detailed) = fixture.send(authorized.body(Body::empty()).unwrap()).await;
    assert!(detailed.contains(r#"instance="api:secret-tenant""#));
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_needs_no_token_and_says_when_it_drains() {
    let fixture = Fixture::new();
    let ask = || Request::get("/health").body(Body::empty()).unwrap();
    let (status, _, body) = fixture.send(ask()).await;
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!((status.as_u16(), body), (200, format!(r#"{{"status":"ok","version":"{version}"}}"#)));
    fixture.api.draining.send_replace(true);
    assert_eq!(fixture.send(ask()).await.0, 503);
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_made_opens_the_api_and_what_is_wrong_makes_none() {
    let mut fixture = Fixture::new();
    let (status, made) =
        fixture.call("POST", "/api/tokens", r#"{ "name": "CI/CD", "expires_in_days": 30 }"#).await;
    assert_eq!((status, &made["name"]), (201, &json!("CI/CD")));
    let time = |key: &str| made[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(time("expires_at").duration_since(time("created_at")).as_hours(), 30 * 24);
    for body in [
        r#"{ "scopes": [] }"#,
        r#"{ "scopes": ["all"] }"#,
        r#"{ "scopes": "read" }"#,
        r#"{ "service": "../api" }"#,
        r#"{ "instance": "a" }"#,
        r#"{ "service": "other", "instance": "api:a" }"#,
        r#"{ "expires_in_days": 0 }"#,
        r#"{ "expires_in_days": 1.5 }"#,
        r#"{ "name": 1 }"#,
        r#"{ "expires_in_day": 30 }"#,
        r#"{ "expires_in_days": 30, "expires_in_days": null }"#,
        r#""x""#,
        "5",
        "null",
        "[]",
        r#"["x", 30]"#,
    ] {
        let (status, refused) = fixture.call("POST", "/api/tokens", body).await;
        assert_eq!((status, &refused["error"]), (400, &json!("bad_request")), "{body}");
    }
    fixture.token = made["token"].as_str().unwrap().to_owned();
    assert_eq!(fixture.call("GET", "/api/status", "").await.0, 200);
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_told_only_to_those_who_ask_for_it() {
    let fixture = Fixture::new();
    fixture.call("POST", "/api/instances", r#"{"service":"api","id":"a"}"#).await;
    let (_, plain) = fixture.call("GET", "/api/instances", "").await;
    assert!(plain["instances"][0].get("memory_mb").is_none());
    let (_, detailed) = fixture.call("GET", "/api/instances?usage=true", "").await;
    assert!(detailed["instances"][0]["memory_mb"].as_f64().unwrap() > 1.0, "{detailed}");
    assert!(detailed["instances"][0]["cpu_percent"].is_number());
    let (_, status) = fixture.call("GET", "/api/status", "").await;
    assert_eq!(status["instances"], json!({ "running": 1, "known": 1 }));
    assert!(status["memory_mb"].as_f64().unwrap() > 1.0 && status["pid"] == std::process::id());
    fixture.end().await;
}

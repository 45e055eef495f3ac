//! Requests that nobody sends by mistake.

use std::convert::Infallible;

use axum::body::Bytes;
use tenement_runtime::own;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use super::*;

/// A body that goes on for ever, in pieces.
struct Endless;

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from_static(&[b' '; 16 << 10])))))
    }
}

impl Fixture {
    async fn raw(&self, method: &str, path: &str, token: bool) -> (u16, axum::http::HeaderMap, String) {
        let request = Request::builder().method(method).uri(path);
        let request = match token {
            true => request.header("Authorization", format!("Bearer {}", self.token)),
            false => request,
        };
        let (status, headers, body) = self.send(request.body(Body::empty()).unwrap()).await;
        (status.as_u16(), headers, body)
    }
}

// faults: A6
#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_every_kind_of_wrong_are_refused() {
    let fixture = Fixture::new();
    let deep = format!(r#"{{"service":"api","id":"a","env":{}"#, "[".repeat(100_000));
    let utf16: Vec<u8> = r#"{"service":"api","id":"a"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03".to_vec();
    let large = format!(r#"{{"service":"api","id":"a","env":{{"A":"{}"}}}}"#, "x".repeat(200_000));
    let bodies = [
        large.into_bytes(),
        deep.into_bytes(),
        utf16,
        gzip,
        br#"{"service":"api","id":"a","more":1}"#.to_vec(),
        br#"{"service":1e309,"id":"a"}"#.to_vec(),
        br#"{"service":"api","service":"api","id":"a"}"#.to_vec(),
        b"\xff\xfe".to_vec(),
        b"null".to_vec(),
        Vec::new(),
    ];
    for body in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        let request =
            Request::post("/api/instances").header("Authorization", format!("Bearer {}", fixture.token));
        let (status, _, answer) = fixture.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(status, 400, "{shown}: {answer}");
        assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["error"], "bad_request");
    }
    for (header, value) in [
        ("Content-Type", "text/plain"),
        ("Content-Type", "multipart/form-data"),
        ("Content-Encoding", "gzip"),
    ] {
        let request =
            Request::post("/api/instances").header("Authorization", format!("Bearer {}", fixture.token));
        let request =
            request.header(header, value).body(Body::from(r#"{"service":"api","id":"a"}"#)).unwrap();
        let (status, _, answer) = fixture.send(request).await;
        assert_eq!(status, 415, "{header}: {value}");
        assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["error"], "unsupported_media_type");
    }
    for (path, most) in [
        ("/api/instances", "1 MiB"),
        ("/api/tokens", "16 KiB"),
        ("/api/logs/search", "64 KiB"),
        ("/api/config/validate", "1 MiB"),
        ("/api/session", "4 KiB"),
    ] {
        for key in [None, Some("k")] {
            let request = Request::post(path).header("Authorization", format!("Bearer {}", fixture.token));
            let request = key.map_or(request, |key| {
                Request::post(path)
                    .header("Authorization", format!("Bearer {}", fixture.token))
                    .header("Idempotency-Key", key)
            });
            let (status, _, answer) = fixture.send(request.body(Body::new(Endless)).unwrap()).await;
            assert_eq!(status, 413, "{path}: {answer}");
            let answer: Value = serde_json::from_str(&answer).unwrap();
            assert_eq!(answer["error"], "payload_too_large");
            assert_eq!(answer["message"], format!("The body is larger than {most}"), "{path}");
        }
    }
    fixture.end().await;
}

// faults: A12
#[tokio::test]
async fn a_connection_whose_body_is_awaited_costs_little() {
    let fixture = Fixture::new();
    let before = own::load().resident_bytes;
    let (mut serving, mut waiting) = (tokio::task::JoinSet::new(), Vec::new());
    for _ in 0..300 {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        serving.spawn(serve(theirs, fixture.router.clone(), Trust::Nobody));
        let head =
            "POST /api/session HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4096\r\n\r\n";
        ours.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 25];
        ours.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
        waiting.push(ours);
    }
    let after = own::load().resident_bytes;
    assert!(after < before + (24 << 20), "{before} bytes before, {after} after");
    fixture.end().await;
}

// faults: A7
#[tokio::test(flavor = "multi_thread")]
async fn every_route_takes_its_own_methods_and_says_which() {
    let fixture = Fixture::new();
    let access = Access::of(&described().1);
    let mut routes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    access.all().for_each(|(path, method, _)| routes.entry(path).or_default().push(method));
    for (path, methods) in routes {
        let target = path.replace("{service}", "api").replace("{id}", "none");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"] {
            if methods.contains(&method) || method == "CONNECT" {
                continue;
            }
            let (status, headers, body) = fixture.raw(method, &target, true).await;
            assert_eq!(status, 405, "{method} {path}: {body}");
            let allowed = headers["allow"].to_str().unwrap();
            assert!(methods.iter().all(|method| allowed.contains(method)), "{path}: {allowed}");
            assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["error"], "method_not_allowed");
        }
        if methods.contains(&"GET") && !path.ends_with("/wait") {
            let (get, ..) = fixture.raw("GET", &target, true).await;
            let (head, _, body) = fixture.raw("HEAD", &target, true).await;
            assert_eq!((head, body.as_str()), (get, ""), "{path}");
        }
    }
    fixture.end().await;
}

// faults: A8
#[tokio::test(flavor = "multi_thread")]
async fn no_way_of_writing_a_path_leads_around_the_gate() {
    let fixture = Fixture::new();
    for path in [
        "//api/instances",
        "/api//instances",
        "/api/instances/",
        "/API/instances",
        "/api/./instances",
        "/health/../api/instances",
        "/api/docs/../instances",
        "/api/docs/%2e%2e/instances",
        "/api/%2e%2e/api/instances",
        "/%61pi/instances",
        "/api/instances;a=b",
        "/api/instances%00",
        "/api/instances%2fapi%2fa",
        "/api/%c0%ae%c0%ae/instances",
        "/api/instances/api/%2e%2e",
        "/api/instances/api/a%00",
        "/api/instances/..%2fapi/a",
        "/api/tokens/%2e%2e",
    ] {
        let (status, headers, body) = fixture.raw("GET", path, false).await;
        assert!([401, 404, 405].contains(&status), "{path}: {status} {body}");
        assert_eq!(headers["content-type"], "application/json", "{path}");
        let (status, _, body) = fixture.raw("GET", path, true).await;
        assert!([400, 404, 405].contains(&status), "{path}: {status} {body}");
    }
    fixture.end().await;
}

// faults: A16
#[tokio::test(flavor = "multi_thread")]
async fn no_other_origin_is_told_that_it_may_read() {
    let fixture = Fixture::new();
    for origin in ["null", "https://evil.example", "http://localhost"] {
        for (method, path) in
            [("GET", "/api/instances"), ("OPTIONS", "/api/instances"), ("GET", "/health"), ("GET", "/")]
        {
            let request = Request::builder().method(method).uri(path).header("Origin", origin);
            let request = request.header("Authorization", format!("Bearer {}", fixture.token));
            let (_, headers, _) = fixture.send(request.body(Body::empty()).unwrap()).await;
            assert!(
                headers.keys().all(|name| !name.as_str().starts_with("access-control-")),
                "{method} {path}"
            );
        }
    }
    fixture.end().await;
}

// faults: A12
#[tokio::test(flavor = "multi_thread")]
async fn many_ask_at_once_while_instances_come_and_go() {
    let fixture = Arc::new(Fixture::new());
    let flapping = Arc::clone(&fixture);
    let flap = tokio::runtime::Handle::current().spawn(async move {
        for _ in 0..10 {
            let spawn = r#"{"service":"api","id":"a"}"#;
            assert_eq!(flapping.call("POST", "/api/instances", spawn).await.0, 201);
            assert_eq!(flapping.call("DELETE", "/api/instances/api/a", "").await.0, 200);
        }
    });
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..900 {
        let fixture = Arc::clone(&fixture);
        asking.spawn(async move { fixture.call("GET", "/api/status", "").await.0 });
    }
    while let Some(status) = asking.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    flap.await.unwrap();
    Arc::into_inner(fixture).unwrap().end().await;
}

//! What may be asked of the log, over the API and on the command line.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
};

use serde_json::{Value, json};

use crate::support::{PATIENCE, TestDaemon, text, until};

/// A daemon whose service `app` prints what is in a file of the instance's name and stays, with these instances.
fn printing(files: &[(&str, &str)]) -> TestDaemon {
    let folder = tempfile::tempdir().unwrap();
    for (id, lines) in files {
        fs::write(folder.path().join(format!("{id}.txt")), lines).unwrap();
    }
    let script = format!("cat {}/$0.txt; exec sleep 1000", folder.path().display());
    let config = format!(
        "[settings]\nmax_starting = 8\n[service.app]\ncommand = \"sh -c '{script}' {{id}}\"\nstartup_timeout = '1h'\n"
    );
    fs::write(folder.path().join("tenement.toml"), config).unwrap();
    let daemon = TestDaemon::start_in(folder, &[]);
    for (id, lines) in files {
        daemon.ok(&["spawn", &format!("app:{id}"), "--no-wait"]);
        let path = format!("/api/logs/app/{id}?limit=1");
        let whole = lines.lines().count();
        until("printed", || ask(&daemon, &path)["pagination"]["total"] == whole);
    }
    daemon
}

fn stop(daemon: &TestDaemon) {
    daemon.ok(&["stop", "all", "--yes"]);
}

/// Head and body of the answer on the local socket, chunks put together, and whether it ended well.
fn exchange(daemon: &TestDaemon, method: &str, path: &str, body: &str) -> (u16, String, bool) {
    let mut stream = UnixStream::connect(daemon.folder.path().join("data/admin.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = text(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return (status, body.to_owned(), true);
    }
    let (mut rest, mut whole) = (body, String::new());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (status, whole, true);
        }
        whole.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    (status, whole, false)
}

fn ask(daemon: &TestDaemon, path: &str) -> Value {
    let (status, body, _) = exchange(daemon, "GET", path, "");
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

fn search(daemon: &TestDaemon, body: &Value) -> (u16, Value) {
    let (status, answer, _) = exchange(daemon, "POST", "/api/logs/search", &body.to_string());
    (status, serde_json::from_str(&answer).unwrap())
}

fn messages(lines: &Value) -> Vec<&str> {
    lines.as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap()).collect()
}

const REQUESTS: &str = "{\"msg\":\"slow\",\"http\":{\"status\":502},\"user\":\"al ice\"}
{\"msg\":\"fine\",\"http\":{\"status\":200}}
level=warn http.status=503 path=/api/a=b
plain http.status 599
";

#[test]
fn fields_in_every_form_of_asking() {
    let daemon = printing(&[("a", REQUESTS)]);
    let lines: Vec<&str> = REQUESTS.lines().collect();
    for (query, found) in [
        ("field=http.status%3E%3D500", vec![lines[0], lines[2]]),
        ("field.http.status%3E=500", vec![lines[0], lines[2]]),
        ("field.http.status%3E502", vec![lines[2]]),
        ("field=http.status%3E=500&field=http.status!=503", vec![lines[0]]),
        ("field.http.status!=502", vec![lines[1], lines[2]]),
        ("field.http.status=200", vec![lines[1]]),
        ("field.user=al+ice", vec![lines[0]]),
        ("field.path~=a=b$", vec![lines[2]]),
        ("field.msg~^s", vec![lines[0]]),
        ("field.nowhere!=1", vec![]),
    ] {
        assert_eq!(messages(&ask(&daemon, &format!("/api/logs?{query}"))["logs"]), found, "{query}");
    }
    let (_, found) =
        search(&daemon, &json!({ "query": "http", "fields": ["http.status >= 500", "msg=slow"] }));
    assert_eq!((messages(&found["results"]), &found["total"]), (vec![lines[0]], &json!(1)));
    let shown = daemon.ok(&["logs", "--field", "http.status>=500", "--field", "http.status<503"]);
    assert!(shown.lines().count() == 1 && shown.contains("slow"), "{shown}");
    for path in [
        "/api/logs?field=status",
        "/api/logs?field.status%3Esoon",
        "/api/logs?field.a~(",
        "/api/logs?stream=stdin",
        "/api/logs?cursor=x",
        "/api/logs?cursor=a~0~0&offset=1",
        "/api/logs?context=-1",
        "/api/logs?follow=true&context=1",
        "/api/logs?query=%20",
        "/api/logs?instance=app:a,,app:b",
        "/api/logs/histogram?buckets=x",
        "/api/logs/histogram?interval=0s",
        "/api/logs/histogram?interval=1s&since=30d",
        "/api/logs/histogram?limit=1",
        "/api/logs/export?follow=true",
    ] {
        let (status, body, _) = exchange(&daemon, "GET", path, "");
        assert_eq!(status, 400, "{path}: {body}");
    }
    let many = "&field=a=1".repeat(17);
    assert_eq!(exchange(&daemon, "GET", &format!("/api/logs?x{many}"), "").0, 400);
    for wrong in [json!({ "query": "x", "fields": "a=1" }), json!({ "query": "x", "fields": [1] })] {
        assert_eq!(search(&daemon, &wrong).0, 400);
    }
    let refused = daemon.ten(&["logs", "--field", "status"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("--field") && text(&refused.stderr).contains("status>=500"));
    stop(&daemon);
}

#[test]
fn several_instances_but_only_those_a_token_sees() {
    let daemon = printing(&[("a", "of a\n"), ("b", "of b\n"), ("c", "of c\n")]);
    let of = |query: &str| {
        let answer = ask(&daemon, &format!("/api/logs?{query}"));
        let mut found: Vec<_> = messages(&answer["logs"]).into_iter().map(str::to_owned).collect();
        found.sort();
        found
    };
    assert_eq!(of("instance=app:a,app:c"), ["of a", "of c"]);
    assert_eq!(of("service=app&instance=a,b&stream=stdout"), ["of a", "of b"]);
    assert!(of("instance=app:a,app:c&stream=stderr").is_empty());
    for instance in [json!("app:b,app:c"), json!(["app:b", "app:c"])] {
        let (_, found) = search(&daemon, &json!({ "query": "of", "instance": instance, "stream": "stdout" }));
        assert_eq!(found["total"], 2);
    }
    assert_eq!(daemon.ok(&["logs", "app:a,app:b"]).lines().count(), 2);
    assert_eq!(daemon.ten(&["logs", "app:a,app:none", "--grep", "x"]).status.code(), Some(3));
    let bound = json!({ "scopes": ["read"], "instance": "app:a" }).to_string();
    let (_, token, _) = exchange(&daemon, "POST", "/api/tokens", &bound);
    let token: Value = serde_json::from_str(&token).unwrap();
    let seen = |path: &str| {
        let mut stream = daemon.connect();
        let token = token["token"].as_str().unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        ["of a", "of b", "of c"].map(|text| answer.contains(text))
    };
    for path in
        ["/api/logs?instance=app:a,app:b", "/api/logs?context=5", "/api/logs/export?instance=app:b,app:a"]
    {
        assert_eq!(seen(path), [true, false, false], "{path}");
    }
    assert_eq!(seen("/api/logs?cursor=a~1~ffffffffffff~app~c~1"), [true, false, false]);
    stop(&daemon);
}

fn numbered(count: u32) -> String {
    (0..count)
        .map(|n| format!("line {n}{}\n", if n % 1000 == 500 { " [ERROR] marked" } else { "" }))
        .collect()
}

#[test]
fn lines_around_bars_pages_and_all_lines() {
    let daemon = printing(&[("a", &numbered(5000))]);
    let answer = ask(&daemon, "/api/logs/app/a?search=marked&context=1&limit=2");
    let shown: Vec<_> = messages(&answer["logs"]);
    let around =
        |n: u32| [format!("line {}", n - 1), format!("line {n} [ERROR] marked"), format!("line {}", n + 1)];
    assert_eq!(shown, [around(3500), around(4500)].concat());
    let context: Vec<bool> =
        answer["logs"].as_array().unwrap().iter().map(|line| line["context"] == true).collect();
    assert_eq!(context, [true, false, true, true, false, true]);
    assert_eq!((&answer["pagination"]["total"], &answer["context_cut"]), (&json!(5), &Value::Null));
    let (_, found) = search(&daemon, &json!({ "query": "MARKED", "context_after": 2, "limit": 1 }));
    assert_eq!(messages(&found["results"]), ["line 4502", "line 4501", "line 4500 [ERROR] marked"]);
    let said = daemon.ok(&["logs", "app:a", "--query", "marked", "-n", "2", "-C", "1"]);
    let marks: Vec<_> = said.lines().map(|line| &line[..2]).collect();
    assert_eq!(marks, ["  ", "> ", "  ", "--", "  ", "> ", "  "], "{said}");
    assert_eq!(daemon.ten(&["logs", "-C", "1", "-n", "1001"]).status.code(), Some(2));

    let counted = ask(&daemon, "/api/logs/histogram?query=marked&since=1h");
    let buckets = counted["buckets"].as_array().unwrap();
    assert_eq!((&counted["total"], &counted["interval_ms"]), (&json!(5), &json!(300_000)));
    assert!(
        buckets.len() == 13
            && buckets.iter().map(|one| one["levels"]["error"].as_u64().unwrap()).sum::<u64>() == 5
    );
    let bars = daemon.ok(&["logs", "app:a", "--histogram", "--since", "1h", "--interval", "10m"]);
    assert!(bars.contains('░') && bars.contains("5000 lines: 5 error, 0 warn"), "{bars}");

    let (mut pages, mut path) = (Vec::new(), "/api/logs?limit=700".to_owned());
    loop {
        let page = ask(&daemon, &path);
        assert_eq!(page["pagination"]["total"], 5000);
        pages.push(messages(&page["logs"]).into_iter().map(str::to_owned).collect::<Vec<_>>());
        let Some(cursor) = page["pagination"]["next_cursor"].as_str() else { break };
        path = format!("/api/logs?limit=700&cursor={cursor}");
    }
    pages.reverse();
    let whole: Vec<String> = numbered(5000).lines().map(str::to_owned).collect();
    assert_eq!(pages.concat(), whole);
    let (_, first) = search(&daemon, &json!({ "query": "marked", "limit": 3 }));
    let next = json!({ "query": "marked", "limit": 3, "cursor": first["pagination"]["next_cursor"] });
    let (_, second) = search(&daemon, &next);
    assert_eq!(messages(&second["results"]), ["line 1500 [ERROR] marked", "line 500 [ERROR] marked"]);
    let uncounted = json!({ "query": "marked", "limit": 3, "count": false });
    let (_, found) = search(&daemon, &uncounted);
    assert_eq!((&found["results"], &found["total"]), (&first["results"], &json!(4)));
    let page = ask(&daemon, "/api/logs?query=marked&count=false&limit=5");
    assert_eq!(page["pagination"]["total"], 5);
    assert_eq!(search(&daemon, &json!({ "query": "marked", "count": 1 })).0, 400);

    let (status, lines, well) = exchange(&daemon, "GET", "/api/logs/export", "");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(status == 200 && well);
    assert_eq!(lines.iter().map(|line| line["message"].as_str().unwrap()).collect::<Vec<_>>(), whole);
    assert_eq!(daemon.ok(&["--json", "logs", "--all"]).lines().count(), 5000);
    assert_eq!(daemon.ok(&["logs", "app:a", "--all", "--query", "marked"]).lines().count(), 5);
    assert_eq!(daemon.ten(&["logs", "app:none", "--all"]).status.code(), Some(3));
    stop(&daemon);
}

/// A daemon that ends in the middle breaks the connection: a part is not taken for the whole.
#[test]
fn an_export_that_is_cut_short_does_not_end_well() {
    let daemon = printing(&[("a", &numbered(200_000))]);
    let mut stream = UnixStream::connect(daemon.folder.path().join("data/admin.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"GET /api/logs/export HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    // It has begun, and nobody takes the rest: it waits.
    let mut piece = [0; 1000];
    stream.read_exact(&mut piece).unwrap();
    stop(&daemon);
    drop(daemon.stop());
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{}", rest.len());
    assert!(rest.len() < 20 << 20, "nothing piled up for who reads nothing: {}", rest.len());
}

// faults: A9 G10
#[test]
fn what_looks_like_operators_is_text_and_a_bomb_is_bounded() {
    let strange = "said \" and * and NEAR(a b) and ' OR 1=1 -- x\n%_\\ field:value +must -not ~2 ^3\n";
    let daemon = printing(&[("a", &format!("{strange}{}\n", "a".repeat(60_000)))]);
    for (query, found) in [
        ("NEAR(a", 1),
        ("*", 1),
        ("' OR 1=1", 1),
        ("1=1 --", 1),
        ("%_\\", 1),
        ("field:value +must -not", 1),
        ("+nothing", 0),
        ("^3", 1),
        ("a OR zzz", 0),
        ("\"OR 1=1 --\"", 1),
        ("\"1=1 OR\"", 0),
    ] {
        let (status, answer) = search(&daemon, &json!({ "query": query }));
        assert_eq!((status, &answer["total"]), (200, &json!(found)), "{query}");
    }
    for grep in ["(a%2B)%2B$", "(a|a)*$", "(a*)*b", "(.*a){20}"] {
        let (status, body, _) = exchange(&daemon, "GET", &format!("/api/logs?grep={grep}"), "");
        assert_eq!(status, 200, "{grep}: {body}");
    }
    for grep in ["(((a{100}){100}){100}){100}", "(", "(?=x)"] {
        let (status, body, _) = exchange(&daemon, "GET", &format!("/api/logs?grep={grep}"), "");
        assert!(status == 400 && body.contains("bad_request"), "{grep}: {body}");
    }
    stop(&daemon);
}

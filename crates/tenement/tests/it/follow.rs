//! Log lines as they come: to programs, to browsers, and to who does not read.

mod client;
mod overview;
mod page;

use std::{
    fs,
    io::{Read, Write},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tungstenite::{Message, error::Error};

use self::client::*;
use crate::support::{PATIENCE, TestDaemon, project, text, until};

#[test]
fn lines_come_over_every_way_there_is() {
    let daemon = start(&["a", "b"]);
    print(&daemon, "a", "one\ntwo\n");
    print(&daemon, "b", "of b\n");
    until("printed", || {
        daemon.ok(&["logs", "app:a"]).contains("two") && daemon.ok(&["logs", "app:b"]).contains("of b")
    });
    let token = token(&daemon);
    let path = "/api/logs/app/a?follow=true&limit=1";
    let (head, mut ndjson) = Chunked::get(&daemon, path, &token, "");
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains("content-type: application/x-ndjson"),
        "{head}"
    );
    let (head, mut events) = Chunked::get(&daemon, path, &token, "Accept: text/event-stream\r\n");
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    let mut socket = connect(&daemon, path, &[("authorization", &bearer(&token))]).unwrap();
    let mut all =
        connect(&daemon, "/api/logs?follow=true&search=o&level=info", &[("authorization", &bearer(&token))])
            .unwrap();
    assert_eq!(ndjson.lines(1).len(), 1, "the newest");
    let event = events.lines(3);
    assert!(
        event[0].starts_with("id: ") && event[1].contains("\"message\":\"two\"") && event[2].is_empty(),
        "{event:?}"
    );
    let first = message(&mut socket);
    assert_eq!(
        (&first["message"], &first["seq"], &first["instance"]),
        (&json!("two"), &json!(1), &json!("app:a"))
    );
    let mut heard: Vec<_> =
        (0..3).map(|_| message(&mut all)["message"].as_str().unwrap().to_owned()).collect();
    heard.sort();
    assert_eq!(heard, ["of b", "one", "two"]);
    print(&daemon, "a", "three\nfour\nfive\n");
    print(&daemon, "b", "nothing\n");
    let lines: Vec<Value> = ndjson.lines(3).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (line, expected) in lines.iter().zip(["three", "four", "five"]) {
        assert_eq!((&line["message"], &message(&mut socket)), (&json!(expected), line), "the same");
    }
    assert!(events.lines(9)[7].contains("five"));
    // Each came only with the lines it asked for.
    let mut heard: Vec<_> =
        (0..2).map(|_| message(&mut all)["message"].as_str().unwrap().to_owned()).collect();
    heard.sort();
    assert_eq!(heard, ["four", "nothing"]);
    // A reader of events goes on where it was.
    let id = event[0].strip_prefix("id: ").unwrap();
    let (_, mut again) =
        Chunked::get(&daemon, path, &token, &format!("Accept: text/event-stream\r\nLast-Event-ID: {id}\r\n"));
    assert!(again.lines(9)[1].contains("three"));
    stop(&daemon, &["a", "b"]);
}

// faults: G9
#[test]
fn a_reader_that_comes_again_has_each_line_once_also_after_a_kill() {
    let mut daemon = start(&["a", "b", "c"]);
    let (mut id, mut seen) = (String::new(), Vec::new());
    for round in 0..4 {
        let header = if id.is_empty() { String::new() } else { format!("Last-Event-ID: {id}\r\n") };
        let headers = format!("Accept: text/event-stream\r\n{header}");
        let path = "/api/logs?follow=true&service=app&limit=0&search=of";
        let (_, mut events) = Chunked::get(&daemon, path, &token(&daemon), &headers);
        for name in ["a", "b", "c"] {
            let lines: String = (0..200).map(|n| format!("{n} of {name} {round}\n")).collect();
            print(&daemon, name, &lines);
        }
        // Not all of them, so that some of each are left for the next time.
        let wanted = if round == 3 { 600 * 4 } else { 600 * round + 350 };
        let mut text = String::new();
        while seen.len() < wanted {
            // A chunk may end in the middle of a line.
            text.push_str(&events.chunk().expect("more"));
            let rest = text.split_off(text.rfind('\n').map_or(0, |at| at + 1));
            for line in std::mem::replace(&mut text, rest).lines() {
                if seen.len() == wanted {
                    break;
                }
                if let Some(named) = line.strip_prefix("id: ") {
                    named.clone_into(&mut id);
                }
                if let Some(data) = line.strip_prefix("data: ") {
                    let line: Value = serde_json::from_str(data).unwrap();
                    seen.push(line["message"].as_str().unwrap().to_owned());
                }
            }
        }
        if round < 3 {
            // What nobody has taken out of a pipe goes with the last process that has it open.
            let read =
                || daemon.ok(&["logs", "--service", "app", "--search", " of ", "-n", "3000"]).lines().count();
            until("read", || read() == 600 * (round + 1));
            daemon.kill_both();
            for pid in daemon.processes() {
                let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            until("they are gone", || daemon.processes().is_empty());
            daemon = TestDaemon::start_in(daemon.stop(), &[]);
            for name in ["a", "b", "c"] {
                daemon.ten(&["spawn", &format!("app:{name}"), "--no-wait"]);
            }
        }
    }
    for name in ["a", "b", "c"] {
        let of: Vec<_> = seen.iter().filter(|line| line.contains(&format!("of {name}"))).collect();
        let all = (0..4).flat_map(|round| (0..200).map(move |n| format!("{n} of {name} {round}")));
        assert!(all.eq(of.iter().map(|line| (*line).clone())), "{name}: {of:?}");
    }
    stop(&daemon, &["a", "b", "c"]);
}

#[test]
fn what_can_not_be_followed_is_refused() {
    let daemon = start(&[]);
    let token = token(&daemon);
    for (path, status) in [
        ("/api/logs?follow=true&offset=1", 400),
        ("/api/logs?follow=true&until=1h", 400),
        ("/api/logs?follow=maybe", 400),
        ("/api/logs?follow=true&grep=(", 400),
        ("/api/logs/app/nobody?follow=true", 404),
        ("/api/logs/stream", 426),
    ] {
        let answer = call(&daemon, "GET", path, &token, "");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
        assert!(answer.contains(&format!("\"status\":{status}")), "{path}: {answer}");
    }
    assert!(call(&daemon, "GET", "/api/logs?follow=true", "wrong", "").starts_with("HTTP/1.1 401"));
}

/// The page's own program, in Node.
#[test]
fn the_page_s_own_program_gets_its_lines() {
    let page = fs::read_to_string(project().join("docs/api.md")).unwrap();
    let program = page.split("```javascript\n").nth(1).unwrap().split("```").next().unwrap();
    let daemon = start(&["a"]);
    let program = program.replace("localhost:8000", &format!("localhost:{}", daemon.port));
    let program =
        program.replace("YOUR_TOKEN", &token(&daemon)).replace("service: \"api\"", "service: \"app\"");
    let path = daemon.folder.path().join("page.js");
    fs::write(&path, format!("{program}\nws.addEventListener('message', () => ws.close());\n")).unwrap();
    let mut node = Command::new("node");
    let node = node
        .args(["--experimental-websocket", "--no-warnings"])
        .arg(&path)
        .stdout(std::process::Stdio::piped());
    let Ok(mut node) = node.spawn() else {
        eprintln!("skipped: there is no node here");
        return stop(&daemon, &["a"]);
    };
    // It says nothing before there is a line: what is printed until it listens is not for it.
    while node.try_wait().unwrap().is_none() {
        print(&daemon, "a", "all is well\nerror: the disk is on fire\n");
        // Printing without a pause would take the processor from who is to listen.
        std::thread::sleep(Duration::from_millis(1));
    }
    let said = text(&node.wait_with_output().unwrap().stdout);
    assert_eq!(said.lines().next(), Some("[app:a] error: the disk is on fire"));
    assert!(said.lines().all(|line| line.contains("error")), "{said}");
    stop(&daemon, &["a"]);
}

/// Prints a line until it comes; what comes then.
fn hear(daemon: &TestDaemon, client: &mut Client, what: &str) -> Value {
    client.get_ref().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let heard = loop {
        print(daemon, "a", what);
        match client.read() {
            Ok(Message::Text(text)) => break serde_json::from_str(&text).unwrap(),
            Ok(Message::Ping(_)) => {}
            Err(Error::Io(_)) => assert!(Instant::now() < deadline, "nothing came"),
            other => panic!("{other:?}"),
        }
    };
    client.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    heard
}

// faults: W3
#[test]
fn a_browser_says_who_it_is_first_and_then_what_it_wants() {
    let daemon = start(&["a"]);
    let token = token(&daemon);
    let stream = || connect(&daemon, "/api/logs/stream", &[]).unwrap();
    for (first, code) in [
        (json!({ "type": "auth", "token": "tenement_wrong" }), 4401),
        (json!({ "type": "auth" }), 4401),
        (json!({ "type": "filter" }), 4401),
        (json!({ "type": "hello" }), 1008),
        (json!({ "type": "auth", "token": token, "tokn": 1 }), 1008),
        (json!([1, 2]), 1008),
    ] {
        let mut client = stream();
        say(&mut client, &first);
        assert_eq!(closed(&mut client).0, code, "{first}");
    }
    let mut client = stream();
    client.send(Message::text("not json")).unwrap();
    assert_eq!(closed(&mut client).0, 1008);
    let mut client = stream();
    client.send(Message::binary(vec![1])).unwrap();
    assert_eq!(closed(&mut client).0, 1003);
    for wrong in [
        json!({ "level": "loud" }),
        json!({ "grep": "(" }),
        json!({ "levl": "error" }),
        json!({ "service": 1 }),
    ] {
        let mut client = stream();
        say(&mut client, &json!({ "type": "auth", "token": token }));
        let mut filter = wrong.clone();
        filter["type"] = "filter".into();
        say(&mut client, &filter);
        assert_eq!(closed(&mut client).0, 1008, "{wrong}");
    }
    // Without a filter everything comes, after a while.
    let mut client = stream();
    say(&mut client, &json!({ "type": "auth", "token": token }));
    assert_eq!(hear(&daemon, &mut client, "plain\n")["message"], "plain");
    // Another filter takes its place.
    say(&mut client, &json!({ "type": "filter", "level": "error", "service": null }));
    let mut heard = hear(&daemon, &mut client, "plain\nerror: bad\n");
    while heard["level"] == "info" {
        heard = message(&mut client);
    }
    assert_eq!(heard["message"], "error: bad");
    // A token in the handshake does as well.
    let mut known = connect(&daemon, "/api/logs/stream", &[("authorization", &bearer(&token))]).unwrap();
    assert_eq!(hear(&daemon, &mut known, "again\n")["instance"], "app:a");
    assert_eq!(connect(&daemon, "/api/logs/stream", &[("authorization", "Bearer wrong")]).err(), Some(401));
    stop(&daemon, &["a"]);
}

// faults: W2 W3
#[test]
fn handshakes_that_are_wrong_or_from_foreign_pages_are_refused() {
    let daemon = start(&[]);
    let token = token(&daemon);
    let own = format!("http://localhost:{}", daemon.port);
    for path in ["/api/logs/stream", "/api/logs?follow=true"] {
        let with = |origin: &str| {
            connect(&daemon, path, &[("authorization", &bearer(&token)), ("origin", origin)]).err()
        };
        assert_eq!(with(&own), None);
        assert_eq!((with("https://evil.example"), with("null")), (Some(403), Some(403)));
    }
    let good = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (method, headers, status) in [
        ("GET", good.replace("dGhl", ""), 400),
        ("GET", good.replace("Sec-WebSocket-Key", "X"), 400),
        ("GET", format!("{good}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400),
        ("GET", good.replace("13", "8"), 426),
        ("GET", good.replace("Sec-WebSocket-Version", "X"), 426),
        ("GET", good.replace("Upgrade: websocket", "Upgrade: h2c"), 426),
        ("GET", good.replace("Connection: Upgrade\r\n", ""), 426),
        ("POST", good.to_owned(), 405),
    ] {
        let mut stream =
            request(&daemon, method, "/api/logs/stream", &format!("{headers}Connection: close\r\n"), "");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{method} {headers}: {answer}");
    }
    let mut old = daemon.connect();
    let head = format!("GET /api/logs/stream HTTP/1.0\r\nHost: localhost\r\n{good}\r\n");
    old.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    old.read_to_string(&mut answer).unwrap();
    assert!(
        answer.contains(" 426 ") && answer.to_lowercase().contains("sec-websocket-version: 13"),
        "{answer}"
    );
}

#[test]
fn pages_that_are_named_may() {
    let daemon = TestDaemon::start("[settings]\nallowed_origins = ['https://console.example']\n");
    let with = |origin: &str| connect(&daemon, "/api/logs/stream", &[("origin", origin)]).err();
    assert_eq!((with("https://console.example"), with("http://console.example")), (None, Some(403)));
}

// faults: W5
#[test]
fn frames_that_break_the_protocol_close_the_connection() {
    let daemon = start(&[]);
    let raw = |bytes: &[u8]| {
        let mut stream = connect(&daemon, "/api/logs/stream", &[]).unwrap().get_ref().try_clone().unwrap();
        stream.write_all(bytes).unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        assert!(said.len() >= 4 && said[0] == 0x88, "a close frame: {said:?}");
        u16::from_be_bytes([said[2], said[3]])
    };
    assert_eq!(raw(&[0x81, 2, b'{', b'}']), 1002, "not masked");
    assert_eq!(raw(&[0x83, 0x80, 0, 0, 0, 0]), 1002, "an opcode there is none of");
    assert_eq!(raw(&[0xc1, 0x80, 0, 0, 0, 0]), 1002, "compressed");
    assert_eq!(raw(&[0x80, 0x80, 0, 0, 0, 0]), 1002, "goes on with nothing");
    let huge = [&[0x81, 0xff][..], &(1u64 << 62).to_be_bytes(), &[0; 4]].concat();
    assert_eq!(raw(&huge), 1009, "too long");
    let mut fragments = vec![0x01, 0xfe, 0x40, 0x00, 0, 0, 0, 0];
    fragments.extend([b'a'; 0x4000]);
    for _ in 0..4 {
        fragments.extend([0x00, 0xfe, 0x40, 0x00, 0, 0, 0, 0]);
        fragments.extend([b'a'; 0x4000]);
    }
    assert_eq!(raw(&fragments), 1009, "too long in pieces");
    assert_eq!(raw(&[0x81, 0x81, 0, 0, 0, 0, 0xff]), 1007, "not UTF-8");
}

// faults: A4
#[test]
fn the_end_of_a_token_is_the_end_of_its_streams() {
    let daemon = start(&["a"]);
    let (id, text) = new_token(&daemon, &json!({ "scopes": ["read"] }));
    let (_, mut ndjson) = Chunked::get(&daemon, "/api/logs?follow=true", &text, "");
    let mut follow = connect(&daemon, "/api/logs?follow=true", &[("authorization", &bearer(&text))]).unwrap();
    let mut stream = connect(&daemon, "/api/logs/stream", &[]).unwrap();
    say(&mut stream, &json!({ "type": "auth", "token": text }));
    print(&daemon, "a", "x\n");
    assert_eq!(message(&mut follow)["message"], "x");
    assert_eq!(ndjson.lines(1).len(), 1);
    let answer = call(&daemon, "DELETE", &format!("/api/tokens/{id}"), &token(&daemon), "");
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert_eq!((closed(&mut follow).0, closed(&mut stream).0, ndjson.chunk()), (4401, 4401, None));
    stop(&daemon, &["a"]);
}

// faults: A5
#[test]
fn a_bound_token_sees_its_own_lines_only() {
    let daemon = start(&["a", "b"]);
    print(&daemon, "b", "secret of b\n");
    print(&daemon, "a", "secret of a\n");
    until("printed", || {
        daemon.ok(&["logs", "app:b"]).contains('b') && daemon.ok(&["logs", "app:a"]).contains('a')
    });
    let (_, bound) = new_token(&daemon, &json!({ "scopes": ["read"], "instance": "app:a" }));
    for path in
        ["/api/logs", "/api/logs?service=app", "/api/logs?instance=app:b", "/api/logs?instance=app:nobody"]
    {
        assert!(!call(&daemon, "GET", path, &bound, "").contains("of b"), "{path}");
    }
    let of = |path: &str| call(&daemon, "GET", path, &bound, "").split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(of("/api/logs/app/b").replace(":b", ":c"), of("/api/logs/app/c"), "as if there were none");
    assert_eq!(of("/api/logs/app/b?follow=true").replace(":b", ":c"), of("/api/logs/app/c?follow=true"));
    let found = call(&daemon, "POST", "/api/logs/search", &bound, r#"{"query":"secret"}"#);
    assert!(found.contains("of a") && !found.contains("of b") && found.contains("\"total\":1"), "{found}");
    let mut follow =
        connect(&daemon, "/api/logs?follow=true", &[("authorization", &bearer(&bound))]).unwrap();
    let mut stream = connect(&daemon, "/api/logs/stream", &[]).unwrap();
    say(&mut stream, &json!({ "type": "auth", "token": bound }));
    say(&mut stream, &json!({ "type": "filter", "service": "app" }));
    assert_eq!(message(&mut follow)["message"], "secret of a");
    print(&daemon, "b", "another of b\n");
    assert_eq!(hear(&daemon, &mut stream, "another of a\n")["instance"], "app:a");
    assert_eq!(message(&mut follow)["message"], "another of a");
    stop(&daemon, &["a", "b"]);
}

#[test]
fn a_daemon_that_ends_says_so() {
    let daemon = start(&["a"]);
    let token = token(&daemon);
    let mut follow =
        connect(&daemon, "/api/logs?follow=true", &[("authorization", &bearer(&token))]).unwrap();
    let mut stream = connect(&daemon, "/api/logs/stream", &[]).unwrap();
    let (_, mut ndjson) = Chunked::get(&daemon, "/api/logs?follow=true", &token, "");
    stop(&daemon, &["a"]);
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!((closed(&mut follow).0, closed(&mut stream).0, ndjson.chunk()), (1001, 1001, None));
}

// faults: W4
#[test]
fn who_never_reads_costs_nobody_anything() {
    let daemon = TestDaemon::start(
        "[service.app]\ncommand = \"sh -c 'mkfifo $DATA_DIR/in; cat $DATA_DIR/in; seq 1000000; echo done; exec sleep 1000'\"\nstartup_timeout = '1h'\n",
    );
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    let token = token(&daemon);
    until("known", || daemon.ok(&["ps"]).contains("app"));
    let mut lazy = connect(&daemon, "/api/logs?follow=true", &[("authorization", &bearer(&token))]).unwrap();
    let (_, mut ndjson) = Chunked::get(&daemon, "/api/logs?follow=true", &token, "");
    print(&daemon, "a", "begin\n");
    until("printed", || daemon.ok(&["logs", "app:a", "-n", "1"]).contains("done"));
    // Both were too slow; both come to the newest line in the end, and what is missing was counted.
    let (mut lines, mut dropped, mut last) = (0, 0, Value::Null);
    while last["message"] != "done" {
        last = message(&mut lazy);
        dropped += last["dropped"].as_u64().unwrap_or(0);
        lines += u64::from(last["dropped"].is_null());
    }
    assert_eq!(lines + dropped, 1_000_002);
    assert!(dropped > 0, "{lines}");
    let mut rest = String::new();
    while !rest.contains("\"done\"") {
        rest.push_str(&ndjson.chunk().unwrap());
    }
    assert!(rest.contains("lines dropped: the reader is too slow"));
    daemon.ok(&["stop", "app:a"]);
}

// faults: A9
#[test]
fn words_are_found_the_newest_first() {
    let daemon = start(&["a"]);
    print(
        &daemon,
        "a",
        "database error connecting to pg\nDATABASE fine\nan Error of the database\nit's (a+)+$ *\n",
    );
    until("printed", || daemon.ok(&["logs", "app:a"]).contains("(a+)+$"));
    let token = token(&daemon);
    let search = |body: &Value| {
        let answer = call(&daemon, "POST", "/api/logs/search", &token, &body.to_string());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        (head.split(' ').nth(1).unwrap().parse::<u16>().unwrap(), body)
    };
    let (status, found) = search(&json!({ "query": "database error", "limit": 1, "since": "1h" }));
    assert_eq!((status, &found["total"], found["results"].as_array().unwrap().len()), (200, &json!(2), 1));
    assert_eq!(found["results"][0]["message"], "an Error of the database", "the newest");
    assert_eq!(search(&json!({ "query": "\"database error\"" })).1["total"], 1);
    for (query, total) in [("(a+)+$", 1), ("*", 1), ("it's", 1), ("' OR 1=1", 0), ("NEAR(", 0), ("\"", 0)] {
        assert_eq!(search(&json!({ "query": query })).1["total"], total, "{query}");
    }
    assert_eq!(search(&json!({ "query": "database", "instance": "app:a", "level": "error" })).1["total"], 0);
    for wrong in [
        json!({ "query": "" }),
        json!({}),
        json!({ "query": "a", "since": "soon" }),
        json!({ "query": "a", "limit": -1 }),
        json!({ "query": "a", "limit": "1" }),
        json!({ "query": "a", "sinse": "1h" }),
        json!({ "query": 1 }),
    ] {
        assert_eq!(search(&wrong).0, 400, "{wrong}");
    }
    stop(&daemon, &["a"]);
}

// faults: A6 A11
#[test]
fn nothing_is_kept_of_a_reader_that_left_without_a_line() {
    let daemon = start(&[]);
    let socket = daemon.folder.path().join("data/admin.sock");
    // Files come and go.
    let open = || {
        let all = fs::read_dir(format!("/proc/{}/fd", daemon.daemon_pid())).unwrap().flatten();
        let targets = all.filter_map(|one| fs::read_link(one.path()).ok());
        targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
    };
    let before = open();
    for path in ["/api/logs?follow=true&search=never", "/api/events?follow=true&limit=0"] {
        let readers: Vec<_> = (0..20)
            .map(|_| {
                let mut reader = std::os::unix::net::UnixStream::connect(&socket).unwrap();
                reader
                    .write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
                    .unwrap();
                let mut head = [0; 12];
                reader.read_exact(&mut head).unwrap();
                assert_eq!(&head, b"HTTP/1.1 200");
                reader
            })
            .collect();
        let (during, count) = (open(), readers.len());
        assert!(during >= before + count);
        drop(readers);
        // What it opened meanwhile for itself, it keeps.
        until("let go", || open() + count <= during + 2);
    }
}

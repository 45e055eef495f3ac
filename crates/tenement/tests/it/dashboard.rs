//! The dashboard as a browser gets it from a real daemon: the page, its files, and the way in.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
};

use serde_json::{Value, json};

use crate::support::{NOTHING, TestDaemon, notes, ten, text, until};

/// Head and body of an answer.
fn ask(daemon: &TestDaemon, method: &str, path: &str, more: &str) -> (String, Vec<u8>) {
    let mut stream = daemon.connect();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    (text(&answer[..end]).to_ascii_lowercase(), answer[end + 4..].to_vec())
}

/// The value of a header.
fn value<'h>(head: &'h str, name: &str) -> &'h str {
    let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {head}"))
}

// faults: U2 U4
#[test]
fn the_page_and_its_files_are_a_shell_without_data() {
    let daemon = TestDaemon::start(&notes("[instances]\nnotes = ['secretive']"));
    let (head, page) = ask(&daemon, "GET", "/", "Accept-Encoding: identity\r\n");
    let page = text(&page);
    assert!(head.starts_with("http/1.1 200 ") && !page.contains("secretive"), "{head}");
    assert_eq!((value(&head, "cache-control"), value(&head, "vary")), ("no-cache", "accept-encoding"));
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
        connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let guards = [
        ("content-security-policy", policy),
        ("x-frame-options", "deny"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
    ];
    // The page of a build without npm has none.
    let files: Vec<_> =
        page.split('"').filter(|part| part.starts_with("/assets/")).map(str::to_owned).collect();
    assert!(files.len() > 1 || page.contains("make dashboard"), "{page}");
    for path in files.iter().map(String::as_str).chain(["/", "/favicon.ico"]) {
        let (head, _) = ask(&daemon, "GET", path, "");
        for (name, expected) in guards {
            assert_eq!(value(&head, name), expected, "{path}");
            assert_eq!(head.matches(&format!("\n{name}: ")).count(), 1, "{name}: {head}");
        }
    }
    for path in files {
        let (head, plain) = ask(&daemon, "GET", &path, "");
        assert_eq!(value(&head, "cache-control"), "public, max-age=31536000, immutable", "{path}");
        let (_, brotli) = ask(&daemon, "GET", &path, "Accept-Encoding: br, gzip\r\n");
        let (head, gzip) = ask(&daemon, "GET", &path, "Accept-Encoding: gzip\r\n");
        assert!(brotli.len() <= plain.len(), "{path}");
        if head.contains("content-encoding: gzip") {
            assert_eq!(unpacked(&daemon, &gzip), plain, "{path}");
        }
    }
}

fn unpacked(daemon: &TestDaemon, gzip: &[u8]) -> Vec<u8> {
    let path = daemon.folder.path().join("packed.gz");
    fs::write(&path, gzip).unwrap();
    Command::new("gzip").arg("-dc").arg(path).output().unwrap().stdout
}

#[test]
fn what_a_browser_has_is_not_sent_again_and_a_head_has_no_body() {
    let daemon = TestDaemon::start(&notes(""));
    let (head, page) = ask(&daemon, "GET", "/", "");
    let tag = value(&head, "etag").to_owned();
    let (again, body) = ask(&daemon, "GET", "/", &format!("If-None-Match: {tag}\r\n"));
    assert!(again.starts_with("http/1.1 304 ") && body.is_empty(), "{again}");
    assert_eq!((value(&again, "etag"), value(&again, "cache-control")), (tag.as_str(), "no-cache"));
    let (head, body) = ask(&daemon, "HEAD", "/", "");
    assert!(head.starts_with("http/1.1 200 ") && body.is_empty(), "{head}");
    assert_eq!(value(&head, "content-length"), page.len().to_string());
    for path in ["/assets/none.js", "/index.html", "/assets/", "/assets/..%2f..%2fetc/passwd", "/none"] {
        let (head, body) = ask(&daemon, "GET", path, "");
        assert!(head.starts_with("http/1.1 404 ") && text(&body).contains("\"not_found\""), "{path}: {head}");
        assert_eq!(
            (value(&head, "x-content-type-options"), value(&head, "referrer-policy")),
            ("nosniff", "no-referrer")
        );
    }
    let (head, _) = ask(&daemon, "POST", "/", "Content-Length: 0\r\n");
    assert!(head.starts_with("http/1.1 405 "), "{head}");
}

/// Status and answer to a code.
fn sign_in(daemon: &TestDaemon, code: &str) -> (String, Value) {
    let body = json!({ "link": code }).to_string();
    let (head, body) = {
        let answer = daemon.ask("POST", "localhost", "/api/session", &body);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    };
    (head.split(' ').nth(1).unwrap().to_owned(), serde_json::from_str(&body).unwrap())
}

/// Whether a text stands in some file below a folder.
fn is_below(folder: &Path, wanted: &str) -> bool {
    fs::read_dir(folder).unwrap().flatten().any(|entry| match entry.file_type().unwrap() {
        kind if kind.is_dir() => is_below(&entry.path(), wanted),
        kind if kind.is_file() => {
            let bytes = fs::read(entry.path()).unwrap_or_default();
            bytes.windows(wanted.len()).any(|part| part == wanted.as_bytes())
        }
        _ => false,
    })
}

// faults: U3
#[test]
fn the_link_of_the_command_line_signs_in_once_and_stands_nowhere() {
    let daemon = TestDaemon::start(NOTHING);
    let made = daemon.ten(&["dashboard"]);
    assert!(made.status.success());
    assert!(text(&made.stderr).contains("works once"), "{}", text(&made.stderr));
    let url = text(&made.stdout);
    let code = url.strip_prefix(&format!("http://127.0.0.1:{}/#/link/", daemon.port)).unwrap();
    let code = code.strip_suffix('\n').unwrap();
    assert!(code.len() == 64 && code.bytes().all(|byte| byte.is_ascii_hexdigit()), "{url}");
    let (status, entered) = sign_in(&daemon, code);
    assert_eq!(
        (status.as_str(), &entered["kind"], &entered["scopes"]),
        ("201", &json!("link"), &json!(["admin"]))
    );
    assert_eq!(sign_in(&daemon, code).0, "401");
    let token = entered["token"].as_str().unwrap();
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let (head, _) = ask(&daemon, "GET", "/api/audit", &bearer);
    assert!(head.starts_with("http/1.1 200 ") && value(&head, "cache-control") == "no-store", "{head}");
    let listed: Value = serde_json::from_str(&daemon.ok(&["--json", "tokens"])).unwrap();
    let is_ours = |token: &&Value| token["id"] == entered["id"] && token["kind"] == "link";
    assert_eq!(listed["tokens"].as_array().unwrap().iter().filter(is_ours).count(), 1, "{listed}");
    for secret in [code, token] {
        assert!(!is_below(daemon.folder.path(), secret), "in a file");
    }
    let (head, body) = ask(&daemon, "DELETE", "/api/session", &bearer);
    assert!(head.starts_with("http/1.1 200 ") && text(&body) == r#"{"revoked":true}"#, "{head}");
    assert!(ask(&daemon, "GET", "/api/session", &bearer).0.starts_with("http/1.1 401 "));
    // Another daemon knows none of it.
    let left = daemon.ok(&["-q", "dashboard"]);
    let folder = daemon.stop();
    let daemon = TestDaemon::start_in(folder, &[]);
    assert_eq!(sign_in(&daemon, left.trim().rsplit_once('/').unwrap().1).0, "401");
}

#[test]
fn a_link_is_for_what_was_said_and_leads_where_the_daemon_is_asked() {
    let daemon = TestDaemon::start(&notes(""));
    let made = daemon.ten(&["--json", "dashboard", "--scope", "read", "--instance", "notes:alice"]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let (_, entered) = sign_in(&daemon, made["code"].as_str().unwrap());
    assert_eq!((&entered["scopes"], &entered["instance"]), (&json!(["read"]), &json!("notes:alice")));
    let quiet = daemon.ten(&["-q", "dashboard", "--service", "notes"]);
    assert!(quiet.stderr.is_empty() && quiet.stdout.starts_with(b"http://"));
    let server = format!("http://localhost:{}", daemon.port);
    let from_elsewhere = daemon.ok(&["--server", &server, "dashboard"]);
    assert!(from_elsewhere.starts_with(&format!("{server}/#/link/")), "{from_elsewhere}");
    for wrong in [&["dashboard", "--scope", "all"][..], &["dashboard", "--instance", "notes"]] {
        assert_eq!(daemon.ten(wrong).status.code(), Some(2), "{wrong:?}");
    }
    // What opens it, opens that.
    let folder = daemon.folder.path();
    let opener = folder.join("xdg-open");
    fs::write(&opener, "#!/bin/sh\nprintf %s \"$1\" > opening && mv opening opened\n").unwrap();
    fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).unwrap();
    let open = |path: &str| {
        let mut command = ten(folder, &["--data-dir", "data", "dashboard", "--open"]);
        command.env("PATH", path).output().unwrap()
    };
    let opened = open(&format!("{}:/usr/bin:/bin", folder.display()));
    assert!(opened.status.success(), "{}", text(&opened.stderr));
    until("opened", || folder.join("opened").exists());
    assert_eq!(fs::read_to_string(folder.join("opened")).unwrap(), text(&opened.stdout).trim());
    let none = open("/nowhere");
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).contains("can't run xdg-open") && none.stdout.starts_with(b"http://"));
}

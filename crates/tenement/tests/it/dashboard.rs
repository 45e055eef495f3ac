//! The dashboard as a browser gets it from a real daemon: the page and its files.

use std::{
    fs,
    io::{Read, Write},
    process::Command,
};

use crate::support::{TestDaemon, notes, text};

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

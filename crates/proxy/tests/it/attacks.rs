//! What a client may try. Each is refused, the application sees nothing of it, and a legitimate request works.

use crate::support::{Proxy, echo_path};

fn refused(cases: &[(&str, &str)]) {
    let proxy = Proxy::start(echo_path());
    for (statuses, request) in cases {
        let answer = proxy.ask(request);
        let status = answer.get(9..12).unwrap_or("none");
        assert!(statuses.split('|').any(|one| one == status), "{request:?} was answered {answer:?}");
        assert!(answer.contains("Connection: close"), "{request:?}: {answer}");
        assert_eq!(proxy.app.seen(), "", "{request:?} reached the application");
    }
    proxy.assert_still_works();
}

/// A request with these lines after the request line and Host.
fn post(lines: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a.api.localhost\r\n{lines}\r\n\r\n{body}")
}

fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\n{lines}\r\n\r\n")
}

const HOST: &str = "Host: a.api.localhost";

#[test]
fn two_ways_to_frame_a_body() {
    // faults: P1
    for (length, coding) in [
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("content-length: 5", "TRANSFER-ENCODING: Chunked"),
    ] {
        refused(&[
            ("400", &post(&format!("{length}\r\n{coding}"), "0\r\n\r\n")),
            ("400", &post(&format!("{coding}\r\n{length}"), "0\r\n\r\n")),
        ]);
    }
}

#[test]
fn lengths_that_are_none() {
    // faults: P2
    for value in
        ["5, 5", "5,6", "+5", "-0", " 5", "5 ", "0x5", "5_0", "18446744073709551616", "", "5;5", "5 5", "\t5"]
    {
        refused(&[("400", &post(&format!("Content-Length: {value}"), "12345"))]);
    }
    refused(&[
        ("400", &post("Content-Length: 5\r\nContent-Length: 6", "12345")),
        ("400", &post("Content-Length: 5\r\nContent-Length: 5", "12345")),
        ("400", &post("Content_Length: 5", "12345")),
        ("400", &format!("GET / HTTP/1.1\r\n{HOST}\r\nContent-Length: 5\r\n\r\n12345")),
        ("400", &format!("HEAD / HTTP/1.1\r\n{HOST}\r\nContent-Length: 5\r\n\r\n12345")),
    ]);
}

#[test]
fn transfer_codings_that_are_none() {
    // faults: P3
    for line in [
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\x0b",
        "Transfer-Encoding:  chunked",
        "Transfer-Encoding: chunked ",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding : chunked",
        "Transfer_Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding:",
    ] {
        refused(&[("400|501", &post(line, "0\r\n\r\n"))]);
    }
    let old = format!("POST / HTTP/1.0\r\n{HOST}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    refused(&[("400", &old)]);
}

#[test]
fn chunks_that_are_none() {
    // faults: P4
    let huge = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(1 << 20));
    for body in [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5;ext=\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\nHost: evil\r\n\r\n",
        "0\r\nAuthorization: x\r\n\r\n",
        "0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
        "0\r\nno colon\r\n\r\n",
        "0\r\n folded: x\r\n\r\n",
        "0\r\ngarbage\n\r\n",
        &huge,
    ] {
        refused(&[("400", &post("Transfer-Encoding: chunked", body))]);
    }
}

#[test]
fn lines_that_are_none() {
    // faults: P5
    refused(&[
        ("400", &format!("GET / HTTP/1.1\n{HOST}\n\n")),
        ("400", &format!("GET / HTTP/1.1\r\n{HOST}\n\r\n")),
        ("400", &format!("GET / HTTP/1.1\r{HOST}\r\r")),
        ("400", &format!("\r\nGET / HTTP/1.1\r\n{HOST}\r\n\r\n")),
        ("400", &format!(" \r\nGET / HTTP/1.1\r\n{HOST}\r\n\r\n")),
        ("400", &format!(" GET / HTTP/1.1\r\n{HOST}\r\n\r\n")),
        ("400", &get("/\0", HOST)),
        ("400", &get("/", &format!("{HOST}\r\nX: a\0b"))),
        ("400", &get("/", &format!("{HOST}\r\nX: a\rb"))),
        ("400", &get("/", &format!("{HOST}\r\nX : a"))),
        ("400", &get("/", &format!("{HOST}\r\nX: a\r\n folded"))),
        ("400", &get("/", &format!("{HOST}\r\n folded: a"))),
        ("400", &get("/", &format!("{HOST}\r\n: a"))),
        ("400", &get("/", &format!("{HOST}\r\nX-Inval[id]: a"))),
        ("400", &get("/", &format!("{HOST}\r\nX: \x07"))),
        ("400", &get("/", &format!("{HOST}\r\nX: ä"))),
        ("400", &get("/", &format!("{HOST}\r\nno colon"))),
    ]);
}

#[test]
fn request_lines_that_are_none() {
    // faults: P6
    refused(&[
        ("400", &get("http://b.api.localhost/", HOST)),
        ("400", &get("https://a.api.localhost/", HOST)),
        ("501", &format!("CONNECT a.api.localhost:80 HTTP/1.1\r\n{HOST}\r\n\r\n")),
        ("400", &format!("OPTIONS * HTTP/1.1\r\n{HOST}\r\n\r\n")),
        ("400", "GET /\r\n\r\n"),
        ("505", &format!("GET / HTTP/9.9\r\n{HOST}\r\n\r\n")),
        ("505", &format!("GET / HTTP/2.0\r\n{HOST}\r\n\r\n")),
        ("505", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("400", &format!("GET  / HTTP/1.1\r\n{HOST}\r\n\r\n")),
        ("400", &format!("GET /  HTTP/1.1\r\n{HOST}\r\n\r\n")),
        ("400", &format!("GET\t/ HTTP/1.1\r\n{HOST}\r\n\r\n")),
        ("400", &format!("GET /\tHTTP/1.1\r\n{HOST}\r\n\r\n")),
        ("400", &get("/a#fragment", HOST)),
        ("400", &get("/ä", HOST)),
        ("400", &get("path", HOST)),
        ("414", &get(&format!("/{}", "x".repeat(64 << 10)), HOST)),
        ("414", &get(&format!("/{}", "x".repeat(9 << 10)), HOST)),
    ]);
}

#[test]
fn an_absolute_target_that_agrees_is_served() {
    // faults: P6
    let proxy = Proxy::start(echo_path());
    let lines = format!("{HOST}\r\nConnection: close");
    let answer = proxy.ask(get("http://a.api.localhost/path?q", &lines));
    assert!(answer.ends_with("/path?q"), "{answer}");
    assert!(proxy.app.seen().starts_with("GET /path?q HTTP/1.1\r\nHost: a.api.localhost\r\n"));
}

#[test]
fn hosts_that_are_none() {
    // faults: P7
    let long = format!("Host: {}.api.localhost", "a".repeat(300));
    for line in [
        "X: y",
        "Host: a.api.localhost\r\nHost: a.api.localhost",
        "Host: a.api.localhost\r\nHost: b.api.localhost",
        "Host:",
        "Host: a.api.localhost,b.api.localhost",
        "Host: u@a.api.localhost",
        "Host: a.api.localhost:0",
        "Host: a.api.localhost:99999",
        "Host: a.api.localhost:",
        "Host: a.api.localhost:80:80",
        "Host: a.api.localhost:+80",
        "Host: [::1",
        "Host: [::g]",
        "Host: .api.localhost",
        "Host: evil.com#.api.localhost",
        "Host: a%2eapi.localhost",
        "Host: a.api.localhost/x",
        &long,
    ] {
        refused(&[("400", &get("/", line))]);
    }
}

#[test]
fn hosts_of_nobody_and_no_other_tenants() {
    // faults: P7
    let proxy = Proxy::start(echo_path());
    for (status, host) in [
        ("404", "b.api.localhost"),
        ("404", "a.web.localhost"),
        ("404", "a.a.api.localhost"),
        ("404", "xn--a.api.localhost"),
        ("404", "a_.api.localhost"),
        ("421", "a.api.localhost.evil.com"),
        ("421", "evil.com"),
        ("404", "a.api.localhost.localhost"),
    ] {
        let answer = proxy.ask(get("/", &format!("Host: {host}\r\nConnection: close")));
        assert_eq!(answer.get(9..12), Some(status), "{host}: {answer}");
    }
    let override_host = "Host: b.api.localhost\r\nX-Forwarded-Host: a.api.localhost\r\nConnection: close";
    assert!(proxy.ask(get("/", override_host)).starts_with("HTTP/1.1 404"));
    assert_eq!(proxy.app.seen(), "");
    assert_eq!(proxy.instances.wakes.load(std::sync::atomic::Ordering::SeqCst), 0);
    for host in ["A.API.LocalHost", "a.api.localhost.", "a.api.localhost:8000"] {
        let answer = proxy.ask(get("/fine", &format!("Host: {host}\r\nConnection: close")));
        assert!(answer.ends_with("/fine"), "{host}: {answer}");
    }
}

#[test]
fn a_body_is_never_the_next_request() {
    // faults: P10
    let proxy = Proxy::start(echo_path());
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a.api.localhost\r\n\r\n";
    let refused =
        format!("POST /x HTTP/1.1\r\nHost: nobody.api.localhost\r\nContent-Length: 9999\r\n\r\n{smuggled}");
    let answer = proxy.ask(refused);
    assert!(answer.starts_with("HTTP/1.1 404") && answer.matches("HTTP/1.1").count() == 1, "{answer}");
    assert_eq!(proxy.app.seen(), "");
    proxy.assert_still_works();
}

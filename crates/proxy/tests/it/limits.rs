//! Bounds on what a client may take of everybody's time and memory.

use std::{sync::Arc, time::Duration};

use socket2::{Domain, SockRef, Socket, Type};
use tenement_core::wake::WakeRefusal;
use tenement_proxy::Limits;
use tenement_runtime::clock;

use crate::support::{Proxy, Script, echo_path, until};

const HOST: &str = "Host: a.api.localhost\r\n";

/// Only one limit of a test is as short: the others would end what comes late on a busy machine.
const BRIEF: Duration = Duration::from_millis(100);

fn proxy(limits: Limits) -> Proxy {
    Proxy::with(echo_path(), limits, |_, _| Err(WakeRefusal::Unknown))
}

#[test]
fn heads_that_are_too_large() {
    // faults: P9
    let proxy = proxy(Limits::default());
    let many = "X: y\r\n".repeat(10_000);
    let just_too_many = "X: y\r\n".repeat(100);
    let one = format!("X: {}\r\n", "x".repeat(1 << 20));
    let total = format!("X: {}\r\n", "x".repeat(64 << 10));
    for fields in [&many, &just_too_many, &one, &total] {
        let answer = proxy.ask(format!("GET / HTTP/1.1\r\n{HOST}{fields}\r\n"));
        assert!(answer.starts_with("HTTP/1.1 431 "), "{}: {answer}", fields.len());
    }
    assert_eq!(proxy.app.seen(), "");
    let fields = "X: y\r\n".repeat(98);
    let answer = proxy.ask(format!("GET /fits HTTP/1.1\r\n{HOST}Connection: close\r\n{fields}\r\n"));
    assert!(answer.ends_with("/fits"), "{answer}");
    let fields = format!("X: {}\r\n", "x".repeat(60 << 10));
    let answer = proxy.ask(format!("GET /fits HTTP/1.1\r\n{HOST}Connection: close\r\n{fields}\r\n"));
    assert!(answer.ends_with("/fits"), "{answer}");
}

/// What the proxy itself says to a request, with the body taken for JSON.
fn envelope(answer: &str) -> (&str, bool) {
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let status = answer.split(' ').nth(1).unwrap();
    let whole = answer.contains("Content-Type: application/json\r\n")
        && body.starts_with("{\"error\":\"")
        && body.ends_with(&format!(",\"status\":{status}}}"));
    (status, whole)
}

// faults: A1
#[test]
fn what_is_asked_of_the_api_is_refused_as_the_api_does() {
    let proxy = proxy(Limits::default());
    let long = "x".repeat(20_000);
    let own = "Host: localhost\r\n";
    let head = |path: &str, fields: &str| format!("GET {path} HTTP/1.1\r\n{fields}\r\n");
    for (request, status) in [
        (head(&format!("/api/logs?grep={long}"), own), "414"),
        (head("/api/logs", &format!("{own}Content-Length: x\r\n")), "400"),
        (head("/api", &format!("{own}Expect: 200-ok\r\n")), "417"),
        (head("/api?x", &format!("{own}X: {}\r\n", "x".repeat(64 << 10))), "431"),
        (head("/api/logs", ""), "400"),
        (head("/api/logs", "Host: example.com\r\nConnection: close\r\n"), "421"),
        (head("/api/logs", &format!("{own}Authorization: Bearer \u{e9}\r\n")), "401"),
        (head("/api/logs", &format!("{own}Authorization: Bearer {}\r\n", "a".repeat(64 << 10))), "401"),
    ] {
        let answer = proxy.ask(&request);
        assert_eq!(envelope(&answer), (status, true), "{answer}");
        assert_eq!(answer.contains("WWW-Authenticate: Bearer\r\n"), status == "401", "{answer}");
    }
    for (path, host) in
        [("/apis", own), ("/", own), ("/api/logs", HOST), ("/api", "Host: none.localhost\r\n")]
    {
        let answer = proxy.ask(head(path, &format!("{host}Authorization: \u{e9}\r\n")));
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.contains("text/plain"),
            "{path} {host}: {answer}"
        );
    }
    assert_eq!(proxy.app.seen(), "");
}

#[test]
fn a_target_that_must_be_escaped_is_refused_in_the_form_of_who_was_asked() {
    let proxy = proxy(Limits::default());
    let get = |path: &str, host: &str| format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
    let own = "Host: localhost\r\n";
    for byte in r#"<>"`{}|\^"#.chars() {
        let answer = proxy.ask(get(&format!("/api/instances/{byte}"), own));
        assert_eq!(envelope(&answer), ("400", true), "{answer}");
        let answer = proxy.ask(get(&format!("/{byte}"), own));
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("text/plain"), "{answer}");
        // A tenant's own affair.
        let path = format!("/api/{byte}?{byte}");
        assert!(proxy.ask(get(&path, HOST)).ends_with(&path));
    }
    let answer = proxy.ask(get("/api/logs?search=<x>", own));
    assert_eq!(envelope(&answer), ("400", true), "{answer}");
    // As browsers send it.
    let answer = proxy.ask(get("/api/logs?search={a|b}", own));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn a_head_has_its_time_however_it_trickles() {
    // faults: P9
    let proxy = proxy(Limits { head: BRIEF, ..Limits::default() });
    let mut client = proxy.client();
    let mut trickle = client.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        use std::io::Write;
        // Each byte in time, all of them never.
        while trickle.write_all(b"G").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    sender.join().unwrap();
    proxy.assert_still_works();
}

#[test]
fn a_body_that_stops_coming() {
    // faults: P9
    let proxy = proxy(Limits { stall: BRIEF, ..Limits::default() });
    let answer = proxy.ask(format!("POST / HTTP/1.1\r\n{HOST}Content-Length: 5\r\n\r\nhel"));
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    proxy.assert_still_works();
}

#[test]
fn an_idle_connection_ends() {
    // faults: P9
    let idle = Duration::from_secs(1);
    let proxy = proxy(Limits { idle, ..Limits::default() });
    assert_eq!(proxy.client().rest(), "");
    let began = clock::instant();
    let mut client = proxy.client();
    client.send(format!("GET /one HTTP/1.1\r\n{HOST}\r\n"));
    let sent_in = began.elapsed();
    let all = client.rest();
    // Whoever is that late finds the connection ended.
    assert!(all.ends_with("/one") || all.is_empty() && sent_in >= idle, "{sent_in:?}: {all}");
}

#[test]
fn a_client_that_takes_nothing_is_let_go() {
    // faults: P9
    let script: Script = Arc::new(|app| {
        app.request()?;
        app.say("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
        let piece = vec![b'x'; 1 << 20];
        // Fails once the proxy has given the client up.
        while app.say(&piece).is_ok() {}
        Ok(())
    });
    let limits = Limits { stall: BRIEF, ..Limits::default() };
    let proxy = Proxy::with(script, limits, |_, _| Err(WakeRefusal::Unknown));
    let mut client = proxy.client();
    client.send(format!("GET / HTTP/1.1\r\n{HOST}\r\n"));
    while proxy.slot.traffic.requests() == 0 || proxy.slot.in_flight() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_client_that_takes_nothing_of_the_daemons_own_answers_is_let_go_sooner() {
    // faults: P9
    // The other limit never comes.
    let limits = Limits { control_stall: BRIEF, stall: 10 * crate::support::PATIENCE, ..Limits::default() };
    let proxy = proxy(limits);
    let mut client = proxy.client();
    let request = format!("GET /api HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(60_000));
    // What is asked comes back. Fails once the proxy has given the client up.
    while std::io::Write::write_all(&mut client.stream, request.as_bytes()).is_ok() {}
}

#[test]
fn what_the_kernel_could_hold_of_the_daemons_own_answers_is_given_up_too() {
    // faults: P9
    // The other limit never comes.
    let limits = Limits { control_stall: BRIEF, stall: 10 * crate::support::PATIENCE, ..Limits::default() };
    let proxy = proxy(limits);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&proxy.address.into()).unwrap();
    let mut client = std::net::TcpStream::from(socket);
    let request = format!("GET /api HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(60_000));
    // Answers of half a megabyte, and then there is nothing more to say.
    let mut send = |bytes: &[u8]| std::io::Write::write_all(&mut client, bytes);
    let is_gone = (0..8).try_for_each(|_| send(request.as_bytes())).is_err();
    let failed = || SockRef::from(&client).take_error().unwrap().is_some();
    until("the connection is gone", || is_gone || failed());
}

//! Bodies of every kind and size, both ways.

use std::{
    io::Write,
    sync::{Arc, mpsc},
    time::Duration,
};

use tenement_core::config::{Service, testing};
use tenement_proxy::Limits;
use tenement_runtime::clock;

use crate::support::{PATIENCE, Proxy, Script, echo_path, until};

const HOST: &str = "Host: a.api.localhost\r\n";

/// Bytes that show any loss, repetition or exchange.
fn pattern(count: usize) -> Vec<u8> {
    (0..count as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

#[test]
fn large_bodies_arrive_whole_both_ways() {
    let size = 40 << 20;
    let script: Script = Arc::new(move |app| {
        let (head, body) = app.request()?;
        assert_eq!(body, pattern(size));
        assert!(head.contains(&format!("Content-Length: {size}\r\n")));
        app.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n"))?;
        app.say(&body)
    });
    let proxy = Proxy::start(script);
    let mut client = proxy.client();
    let mut sender = client.stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        sender
            .write_all(format!("POST / HTTP/1.1\r\n{HOST}Content-Length: {size}\r\n\r\n").as_bytes())
            .unwrap();
        sender.write_all(&pattern(size)).unwrap();
    });
    client.until(b"\r\n\r\n");
    assert!(client.exactly(size) == pattern(size));
    writer.join().unwrap();
    assert_eq!(proxy.slot.traffic.bytes(), (size as u64, size as u64));
}

#[test]
fn chunks_and_trailers_pass_both_ways() {
    let script: Script = Arc::new(|app| {
        let head = app.until(b"\r\n\r\n")?;
        assert!(String::from_utf8(head).unwrap().contains("Transfer-Encoding: chunked\r\n"));
        let body = String::from_utf8(app.until(b"\r\n\r\n")?).unwrap();
        assert_eq!(body.replace("\r\n", " "), "5 hello 6  world 0 X-Sum: 1  ");
        app.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n")?;
        app.say("0\r\nX-Checksum: 2\r\n\r\n")
    });
    let proxy = Proxy::start(script);
    let mut client = proxy.client();
    client.send(format!("POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"));
    client.send("5;name=value\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n");
    let head = client.until(b"\r\n\r\n");
    assert!(head.contains("Transfer-Encoding: chunked\r\n"), "{head}");
    assert_eq!(client.until(b"\r\n\r\n"), "3\r\nabc\r\n0\r\nX-Checksum: 2\r\n\r\n");
    // The connection is good for another one.
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.answer();
}

#[test]
fn a_body_without_length_is_framed_for_the_client() {
    let script: Script = Arc::new(|app| {
        app.request()?;
        app.say("HTTP/1.1 200 OK\r\n\r\nhello")
    });
    let proxy = Proxy::start(script);
    let mut client = proxy.client();
    client.send(format!("GET / HTTP/1.1\r\n{HOST}\r\n"));
    let head = client.until(b"\r\n\r\n");
    assert!(head.contains("Transfer-Encoding: chunked\r\n"), "{head}");
    assert_eq!(client.until(b"0\r\n\r\n"), "5\r\nhello\r\n0\r\n\r\n");
    let answer = proxy.ask(format!("GET / HTTP/1.0\r\n{HOST}\r\n"));
    assert!(answer.contains("Connection: close\r\n") && answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[test]
fn an_old_client_gets_plain_bytes_for_chunks() {
    let script: Script = Arc::new(|app| {
        app.request()?;
        app.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    });
    let answer = Proxy::start(script).ask(format!("GET / HTTP/1.0\r\n{HOST}\r\n"));
    assert!(!answer.contains("chunked") && answer.ends_with("\r\n\r\nabcde"), "{answer}");
}

#[test]
fn answers_without_a_body_keep_the_connection_unless_they_announce_one() {
    // faults: P14
    let script: Script = Arc::new(|app| {
        loop {
            let (head, _) = app.request()?;
            let path = head.split(' ').nth(1).unwrap();
            app.say(match path {
                "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
                "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"x\"\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            })?;
        }
    });
    let proxy = Proxy::start(script);
    let mut client = proxy.client();
    for (request, line) in [
        ("GET /204", "HTTP/1.1 204 No Content\r\n"),
        ("GET /304", "HTTP/1.1 304 Not Modified\r\n"),
        ("HEAD /200", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"),
        ("GET /204", "HTTP/1.1 204 No Content\r\n"),
    ] {
        client.send(format!("{request} HTTP/1.1\r\n{HOST}\r\n"));
        let head = client.until(b"\r\n\r\n");
        assert!(head.starts_with(line), "{head}");
    }
    assert_eq!(proxy.app.connections.load(std::sync::atomic::Ordering::SeqCst), 3);
}

/// A head, and later the body that it must not have.
#[test]
fn a_body_that_must_not_be_is_nobodys_answer() {
    // faults: P14
    let script: Script = Arc::new(|app| {
        let (head, _) = app.request()?;
        if head.starts_with("GET /legitimate") {
            return app.say("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n/legitimate");
        }
        let status = if head.contains("/304") { "304 Not Modified" } else { "200 OK" };
        app.say(format!("HTTP/1.1 {status}\r\nContent-Length: 42\r\n\r\n"))?;
        // Until the proxy has closed: whoever came on this connection now would be given the rest.
        let _ = app.until(b"\r\n\r\n");
        app.say("HTTP/1.1 200 EVIL\r\nContent-Length: 4\r\n\r\nevil")
    });
    let proxy = Proxy::start(script);
    for request in ["HEAD /200", "GET /304"] {
        let mut client = proxy.client();
        client.send(format!("{request} HTTP/1.1\r\n{HOST}\r\n"));
        client.until(b"\r\n\r\n");
        proxy.assert_still_works();
    }
}

#[test]
fn an_application_that_takes_no_body_is_given_up_and_a_client_that_leaves_is_noticed() {
    // faults: P9, P17
    let service = Service { request_timeout: Duration::from_millis(300), ..testing::service("api") };
    let (script, _hold) = deaf();
    let proxy = Proxy::of(service, script, Limits::default(), |_, _| Ok(()));
    let head = format!("POST / HTTP/1.1\r\n{HOST}Content-Length: 50000000\r\n\r\n");
    let mut stays = proxy.client();
    let mut sender = stays.stream.try_clone().unwrap();
    let sending = std::thread::spawn({
        let head = head.clone();
        move || sender.write_all(&[head.into_bytes(), vec![b'x'; 50_000_000]].concat())
    });
    assert!(stays.until(b"\r\n\r\n").starts_with("HTTP/1.1 504"));
    proxy.until_idle();
    // Which takes nothing more.
    let _ = stays.stream.shutdown(std::net::Shutdown::Both);
    assert!(sending.join().unwrap().is_err());

    let patient = Service { request_timeout: PATIENCE, ..testing::service("api") };
    let (script, _hold) = deaf();
    let proxy = Proxy::of(patient, script, Limits::default(), |_, _| Ok(()));
    let leaves = stuffed(&proxy, &head);
    socket2::SockRef::from(&leaves).set_linger(Some(Duration::ZERO)).unwrap();
    drop(leaves);
    proxy.until_idle();
}

/// Reads a head and nothing else; ends when the sender is dropped.
fn deaf() -> (Script, mpsc::Sender<()>) {
    let (hold, held) = mpsc::channel();
    let held = std::sync::Mutex::new(held);
    let script: Script = Arc::new(move |app| {
        app.until(b"\r\n\r\n")?;
        let _ = held.lock().unwrap().recv();
        Ok(())
    });
    (script, hold)
}

/// A connection that carries as much of a request as it takes.
fn stuffed(proxy: &Proxy, head: &str) -> std::net::TcpStream {
    let mut stream = proxy.client().stream;
    stream.write_all(head.as_bytes()).unwrap();
    until("it is under way", || proxy.slot.in_flight() == 1);
    stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    while stream.write(&[b'x'; 64 << 10]).is_ok() {}
    stream
}

#[test]
fn the_time_for_an_answer_counts_from_the_end_of_the_request() {
    let request_timeout = Duration::from_millis(400);
    let service = Service { request_timeout, ..testing::service("api") };
    let script: Script = Arc::new(|app| {
        app.request()?;
        app.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let proxy = Proxy::of(service, script, Limits::default(), |_, _| Ok(()));
    let mut client = proxy.client();
    client.send(format!("POST / HTTP/1.1\r\n{HOST}Content-Length: 6\r\n\r\n"));
    // More than all of the time allowed.
    for byte in b"slowe" {
        std::thread::sleep(request_timeout / 4);
        client.send([*byte]);
    }
    let ending = clock::instant();
    client.send("r");
    let (head, _) = client.answer();
    let took = ending.elapsed();
    // On a busy machine the application may be late indeed.
    assert!(head.starts_with("HTTP/1.1 200") || took >= request_timeout, "after {took:?}: {head}");
}

#[test]
fn events_are_passed_on_one_by_one() {
    let (next, events) = mpsc::channel::<&str>();
    let events = std::sync::Mutex::new(events);
    let script: Script = Arc::new(move |app| {
        app.request()?;
        app.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let events = events.lock().unwrap();
        while let Ok(event) = events.recv_timeout(PATIENCE) {
            app.say(format!("{:x}\r\n{event}\r\n", event.len()))?;
        }
        Ok(())
    });
    let proxy = Proxy::start(script);
    let mut client = proxy.client();
    client.send(format!("GET / HTTP/1.1\r\n{HOST}\r\n"));
    client.until(b"\r\n\r\n");
    for event in ["data: one\n\n", "data: two\n\n"] {
        next.send(event).unwrap();
        // The next one is not sent before this one has come.
        client.until(event.as_bytes());
        assert_eq!(proxy.slot.in_flight(), 1);
    }
    // A reset tells at once that nobody listens any more; the instance may sleep.
    socket2::SockRef::from(&client.stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(client);
    while proxy.slot.in_flight() > 0 {
        std::thread::yield_now();
    }
    drop(next);
}

#[test]
fn a_client_that_ends_its_side_gets_its_answer() {
    let script: Script = Arc::new(|app| {
        let (_, body) = app.request()?;
        app.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()))?;
        app.say(body)
    });
    let proxy = Proxy::start(script);
    let mut client = proxy.client();
    client.send(format!("POST / HTTP/1.1\r\n{HOST}Content-Length: 3\r\n\r\nabc"));
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.rest().ends_with("\r\n\r\nabc"));
}

#[test]
fn an_early_answer_is_passed_on_and_the_rest_of_the_body_is_no_request() {
    // faults: P10
    let script: Script = Arc::new(|app| {
        app.until(b"\r\n\r\n")?;
        app.say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")?;
        // Reads nothing more, but stays.
        std::thread::park_timeout(PATIENCE);
        Ok(())
    });
    let proxy = Proxy::start(script);
    let mut client = proxy.client();
    let mut sender = client.stream.try_clone().unwrap();
    let smuggled = format!("GET /smuggled HTTP/1.1\r\n{HOST}\r\n").repeat(10_000);
    let length = smuggled.len() * 2;
    let head = format!("POST / HTTP/1.1\r\n{HOST}Content-Length: {length}\r\n\r\n");
    let writer = std::thread::spawn(move || {
        let _ = sender.write_all(head.as_bytes()).and_then(|()| sender.write_all(smuggled.as_bytes()));
    });
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 413") && answer.ends_with("no"), "{answer}");
    assert!(answer.contains("Connection: close"));
    assert_eq!(answer.matches("HTTP/1.1").count(), 1);
    writer.join().unwrap();
}

#[test]
fn the_service_name_reaches_an_instance_and_the_bare_domain_the_daemon() {
    let proxy = Proxy::start(echo_path());
    let ask = |host: &str| proxy.ask(format!("GET /x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    assert!(ask("api.localhost").ends_with("/x"));
    for host in ["localhost", "127.0.0.1", "[::1]:80"] {
        let answer = ask(host);
        // The control plane of these tests answers with the head it was sent.
        assert!(answer.contains("X-Forwarded-For: 127.0.0.1\r\n"), "{answer}");
    }
}

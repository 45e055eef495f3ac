//! A request reaches the application once, or it is safe that it does more often.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tenement_core::wake::WakeRefusal;
use tenement_proxy::Limits;
use tenement_runtime::clock;

use crate::support::{App, PATIENCE, Proxy, Script, TRUSTED, ask, echo_path, field, until, upstream};

const HOST: &str = "Host: a.api.localhost\r\n";

/// Ends the first `deaths` connections after it has read a request.
fn mortal(deaths: u64) -> Script {
    let died = AtomicU64::new(0);
    Arc::new(move |app| {
        loop {
            app.request()?;
            if died.fetch_add(1, Ordering::SeqCst) < deaths {
                return Ok(());
            }
            app.say("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n/legitimate")?;
        }
    })
}

#[test]
fn what_may_be_sent_again_is() {
    // faults: P15
    for method in ["GET", "DELETE", "PUT"] {
        let proxy = Proxy::with(mortal(1), Limits::default(), |slot, failed| {
            assert!(failed.is_some());
            assert!(slot.is_open());
            Ok(())
        });
        let body = if method == "PUT" { "Content-Length: 3\r\n\r\nabc" } else { "\r\n" };
        let answer = proxy.ask(format!("{method} / HTTP/1.1\r\n{HOST}Connection: close\r\n{body}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{method}: {answer}");
        assert_eq!(proxy.app.seen().matches(&format!("{method} / ")).count(), 2);
        assert_eq!(proxy.instances.wakes.load(Ordering::SeqCst), 1, "the broken run is named once");
    }
}

#[test]
fn a_post_is_never_sent_twice() {
    // faults: P15
    for lines in ["Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"] {
        let proxy = Proxy::with(mortal(1), Limits::default(), |_, _| Ok(()));
        let answer = proxy.ask(format!("POST / HTTP/1.1\r\n{HOST}Connection: close\r\n{lines}"));
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
        assert_eq!(proxy.app.seen().matches("POST / ").count(), 1);
        proxy.assert_still_works();
    }
}

#[test]
fn a_request_that_kills_what_it_reaches_is_not_repeated_for_ever() {
    // faults: P15
    let proxy = Proxy::with(mortal(u64::MAX), Limits::default(), |_, _| Ok(()));
    let answer = proxy.ask(format!("GET / HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert_eq!(proxy.app.seen().matches("GET / ").count(), 2);
}

#[test]
fn a_post_waits_for_the_restart_when_nobody_listens() {
    // faults: P15
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("next.sock");
    let next = App::start(&socket, echo_path());
    let proxy = Proxy::with(echo_path(), Limits::default(), move |slot, failed| {
        assert!(failed.is_some_and(|run| run.0 == 7));
        slot.open(upstream(8, socket.clone()));
        Ok(())
    });
    proxy.slot.open(upstream(7, folder.path().join("nobody.sock")));
    let answer =
        proxy.ask(format!("POST /x HTTP/1.1\r\n{HOST}Connection: close\r\nContent-Length: 3\r\n\r\nabc"));
    assert!(answer.ends_with("/x"), "{answer}");
    assert_eq!(next.seen().matches("POST /x ").count(), 1);
}

#[test]
fn connections_are_kept_alive_on_both_sides_and_never_for_another_run() {
    let proxy = Proxy::start(echo_path());
    let mut client = proxy.client();
    let (mut most, mut sent) = (1, clock::instant());
    for n in 0..20 {
        let before = std::mem::replace(&mut sent, clock::instant());
        client.send(format!("GET /{n} HTTP/1.1\r\n{HOST}\r\n"));
        assert_eq!(client.answer().1, format!("/{n}"));
        // A connection is kept for 100 ms. From the request before up to this one's end it can't have been longer.
        most += u64::from(before.elapsed() >= Duration::from_millis(90));
    }
    let connections = proxy.app.connections.load(Ordering::SeqCst);
    assert!((1..=most).contains(&connections), "{connections} of {most}");
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("next.sock");
    let next = App::start(&socket, echo_path());
    proxy.slot.open(upstream(2, socket));
    client.send(format!("GET /new HTTP/1.1\r\n{HOST}\r\n"));
    assert_eq!(client.answer().1, "/new");
    assert_eq!(next.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_dead_kept_connection_costs_a_get_nothing() {
    // faults: P14 P15
    let script: Script = Arc::new(|app| {
        app.request()?;
        app.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    });
    let proxy = Proxy::start(script);
    let mut client = proxy.client();
    for _ in 0..20 {
        client.send(format!("GET / HTTP/1.1\r\n{HOST}\r\n"));
        assert_eq!(client.answer().1, "ok");
    }
}

/// Serves two connections at a time, as an application with two workers does.
#[test]
fn a_kept_connection_does_not_keep_others_out() {
    let places = Arc::new((std::sync::Mutex::new(2), std::sync::Condvar::new()));
    let script: Script = Arc::new(move |app| {
        let (free, freed) = &*places;
        let mut free_now = freed.wait_while(free.lock().unwrap(), |free| *free == 0).unwrap();
        *free_now -= 1;
        drop(free_now);
        while let Ok((_, _)) = app.request() {
            app.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        }
        *free.lock().unwrap() += 1;
        freed.notify_one();
        Ok(())
    });
    let proxy = Proxy::start(script);
    let mut clients: Vec<_> = (0..8).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send(format!("GET / HTTP/1.1\r\n{HOST}\r\n"));
    }
    for client in &mut clients {
        assert_eq!(client.answer().1, "ok");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    // faults: P10
    let proxy = Proxy::start(echo_path());
    let mut client = proxy.client();
    let mut sender = client.stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        for n in 0..1000 {
            std::io::Write::write_all(&mut sender, format!("GET /{n} HTTP/1.1\r\n{HOST}\r\n").as_bytes())
                .unwrap();
        }
    });
    for n in 0..1000 {
        assert_eq!(client.answer().1, format!("/{n}"));
    }
    writer.join().unwrap();
}

#[test]
fn fields_for_one_hop_end_here_and_ours_stay() {
    // faults: P12 P13
    let proxy = Proxy::start(echo_path());
    let answer = proxy.ask(format!(
        "GET / HTTP/1.1\r\n{HOST}Connection: close, X-Forwarded-For, Authorization, X-Own, Host\r\n\
         Authorization: secret\r\nX-Own: 1\r\nKeep-Alive: 5\r\nProxy-Authorization: a\r\nProxy-Connection: b\r\n\
         TE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nX-Forwarded-For: 6.6.6.6\r\n\
         X-Forwarded-Proto: gopher\r\nX-Forwarded-Host: evil\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n\
         X-Tenement-Trust: me\r\nX_Forwarded_For: 6.6.6.6\r\nX-Forwarded-Client-Cert: me\r\nKept: yes\r\n\r\n"
    ));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let seen = proxy.app.seen().to_lowercase();
    for gone in [
        "authorization",
        "x-own",
        "keep-alive",
        "proxy-",
        "te:",
        "upgrade",
        "http2",
        "6.6.6.6",
        "gopher",
        "evil",
        "real-ip",
        "x-tenement",
        "x_forwarded",
        "client-cert",
        "connection",
    ] {
        assert!(!seen.contains(gone), "{gone} in {seen}");
    }
    assert_eq!(field(&seen, "x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(field(&seen, "x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(field(&seen, "x-forwarded-host").as_deref(), Some("a.api.localhost"));
    assert_eq!(
        field(&seen, "forwarded").as_deref(),
        Some("for=127.0.0.1;host=\"a.api.localhost\";proto=http")
    );
    assert_eq!(field(&seen, "kept").as_deref(), Some("yes"));
}

#[test]
fn what_a_trusted_peer_says_of_the_way_is_kept_and_added_to() {
    TRUSTED.set(vec!["127.0.0.0/8".parse().unwrap()]);
    let proxy = Proxy::start(echo_path());
    let answer = proxy.ask(format!(
        "GET / HTTP/1.1\r\n{HOST}Connection: close\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: example.com\r\nForwarded: for=192.0.2.1;proto=https\r\nX-Real-IP: 6.6.6.6\r\n\r\n"
    ));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let seen = proxy.app.seen().to_lowercase();
    let value = |name: &str| field(&seen, name).unwrap();
    assert_eq!(value("x-forwarded-for"), "192.0.2.1, 127.0.0.1");
    assert_eq!(
        (value("x-forwarded-proto"), value("x-forwarded-host")),
        ("https".into(), "example.com".into())
    );
    assert!(value("forwarded").starts_with("for=192.0.2.1;proto=https, for=127.0.0.1;"), "{seen}");
    assert!(!seen.contains("6.6.6.6"));
}

#[test]
fn fields_for_one_hop_end_here_on_the_way_back_too() {
    // faults: P12
    let script: Script = Arc::new(|app| {
        app.request()?;
        app.say(
            "HTTP/1.1 200 OK\r\nConnection: X-Own\r\nX-Own: 1\r\nKeep-Alive: 5\r\nProxy-Authenticate: x\r\n\
             Kept: yes\r\nContent-Length: 2\r\n\r\nok",
        )
    });
    let answer = Proxy::start(script).ask(format!("GET / HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"));
    assert_eq!(answer, "HTTP/1.1 200 OK\r\nKept: yes\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
}

#[test]
fn expectations_do_not_deadlock() {
    // faults: P11
    let request = |value: &str| {
        format!("POST /x HTTP/1.1\r\n{HOST}Connection: close\r\nExpect: {value}\r\nContent-Length: 3\r\n\r\n")
    };
    // The application sends no 100, or sends it, or refuses at once.
    let proxy = Proxy::start(echo_path());
    let mut client = proxy.client();
    client.send(request("100-continue"));
    assert_eq!(client.until(b"\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");
    assert!(client.rest().ends_with("/x"));

    let proxy = Proxy::start(Arc::new(|app| {
        app.until(b"\r\n\r\n")?;
        app.say("HTTP/1.1 100 Continue\r\n\r\n")?;
        app.exactly(3)?;
        app.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    }));
    let mut client = proxy.client();
    client.send(request("100-continue"));
    assert_eq!(client.until(b"\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");
    assert!(client.rest().starts_with("HTTP/1.1 200"));

    let proxy = Proxy::start(Arc::new(|app| {
        app.until(b"\r\n\r\n")?;
        app.say("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
    }));
    let answer = proxy.ask(request("100-continue"));
    assert!(answer.starts_with("HTTP/1.1 417"), "{answer}");
    let answer = proxy.ask(request("200-ok"));
    assert!(answer.starts_with("HTTP/1.1 417"), "{answer}");
}

#[test]
fn an_instance_that_is_not_to_be_had() {
    let proxy = Proxy::with(echo_path(), Limits::default(), |_, _| {
        Err(WakeRefusal::Unavailable { reason: "it did not start".into(), retry_after: PATIENCE })
    });
    proxy.slot.close();
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send(format!("GET / HTTP/1.1\r\n{HOST}\r\n"));
        let (head, body) = client.answer();
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        assert_eq!(field(&head, "retry-after").as_deref(), Some("30"));
        assert!(body.contains("it did not start"));
    }
}

#[test]
fn a_client_that_leaves_gives_up_its_place_and_its_request_is_not_carried_out() {
    let proxy = Proxy::with(echo_path(), Limits::default(), |_, _| Ok(()));
    proxy.slot.close();
    proxy.instances.holds.store(true, Ordering::SeqCst);
    let waiting = || proxy.instances.waiting.load(Ordering::SeqCst);
    let mut clients: Vec<_> = (0..2).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send(format!("POST / HTTP/1.1\r\n{HOST}Content-Length: 3\r\n\r\nabc"));
    }
    until("both wait", || waiting() == 2);
    // The first ends its side only, and may still read its answer.
    clients[0].stream.shutdown(std::net::Shutdown::Write).unwrap();
    let leaves = clients.pop().unwrap();
    socket2::SockRef::from(&leaves.stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(leaves);
    until("one waits", || waiting() == 1);
    assert_eq!(proxy.app.seen(), "");
}

#[test]
fn nothing_is_sent_to_whom_a_swapped_socket_leads() {
    // faults: I3
    let proxy = Proxy::with(echo_path(), Limits::default(), |_, _| Ok(()));
    let elsewhere = proxy.socket().with_file_name("other.sock");
    let other = App::start(&elsewhere, echo_path());
    std::fs::remove_file(proxy.socket()).unwrap();
    std::os::unix::fs::symlink(&elsewhere, proxy.socket()).unwrap();
    let answer = proxy.ask(format!("GET /secret HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert_eq!(other.seen(), "");
}

#[test]
fn why_an_instance_failed_is_not_told_to_who_only_asked() {
    let proxy = Proxy::with(echo_path(), Limits::default(), |_, _| {
        let reason = "'/srv/app' said: secret".into();
        Err(WakeRefusal::Failed { reason, retry_after: PATIENCE, tried: true })
    });
    proxy.slot.close();
    let answer = proxy.ask(format!("GET / HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("Retry-After: 30\r\n"), "{answer}");
    assert!(answer.contains("could not be started") && !answer.contains("/srv"), "{answer}");
}

/// After the drain began the control plane still answers, and nobody else.
fn new_ones_are_told(address: std::net::SocketAddr) {
    let answer = ask(address, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("onnection: close\r\n"), "{answer}");
    let answer = ask(address, format!("GET / HTTP/1.1\r\n{HOST}\r\n"));
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: 5\r\n"), "{answer}");
}

#[test]
fn draining_lets_requests_end_and_answers_new_ones_by_itself() {
    let (go, wait) = std::sync::mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    let script: Script = Arc::new(move |app| {
        app.request()?;
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        app.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    });
    let mut proxy = Proxy::start(script);
    let mut idle = proxy.client();
    idle.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    idle.answer();
    let mut busy = proxy.client();
    busy.send(format!("GET / HTTP/1.1\r\n{HOST}\r\n"));
    while proxy.slot.in_flight() == 0 {
        std::thread::yield_now();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Proxy { address, ref mut running, .. } = proxy;
    std::thread::scope(|scope| {
        let drained = scope.spawn(|| runtime.block_on(running.drain(PATIENCE)));
        assert_eq!(idle.rest(), "");
        go.send(()).unwrap();
        assert!(busy.rest().ends_with("ok"));
        drained.join().unwrap();
    });
    new_ones_are_told(address);
    proxy.running.close();
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn who_does_not_come_to_an_end_is_cut_off() {
    let script: Script = Arc::new(|app| {
        app.request()?;
        app.exactly(1).map(drop)
    });
    let mut proxy = Proxy::start(script);
    let mut busy = proxy.client();
    busy.send(format!("GET / HTTP/1.1\r\n{HOST}\r\n"));
    while proxy.slot.in_flight() == 0 {
        std::thread::yield_now();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(proxy.running.drain(std::time::Duration::ZERO));
    assert_eq!((busy.rest().as_str(), proxy.slot.in_flight()), ("", 0));
    new_ones_are_told(proxy.address);
}

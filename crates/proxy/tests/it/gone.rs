//! Clients that have left without a word, or stay for ever: nothing is held for them.

use std::{
    io::{ErrorKind, Write},
    net::Shutdown,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use tenement_core::wake::WakeRefusal;
use tenement_proxy::Limits;
use tenement_runtime::clock;

use crate::{
    frames::{CLOSE, FINAL, SWITCHED, TEXT, close, frame, opened},
    support::{Conversation, PATIENCE, Proxy, Script, until},
};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a.api.localhost\r\n\r\n";
const ENDLESS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const BRIEF: Duration = Duration::from_millis(100);

fn proxy(script: Script, gone: Duration) -> Proxy {
    let limits = Limits { gone, stall: BRIEF, ..Limits::default() };
    Proxy::with(script, limits, |_, _| Err(WakeRefusal::Unknown))
}

/// Says `said`, does what comes next, and tells when it was left.
fn waits(
    said: impl Into<Vec<u8>>,
    then: impl Fn(&mut Conversation) + Send + Sync + 'static,
) -> (Script, mpsc::Receiver<()>) {
    let (leave, left) = mpsc::channel();
    let (said, leave) = (said.into(), Mutex::new(leave));
    let script: Script = Arc::new(move |app| {
        app.request()?;
        app.say(&said)?;
        then(app);
        while app.exactly(1).is_ok() {}
        leave.lock().unwrap().send(()).unwrap();
        Ok(())
    });
    (script, left)
}

#[test]
fn a_silent_answer_ends_when_its_client_has_left() {
    // faults: P17
    let (script, left) = waits(format!("{ENDLESS}5\r\nhello\r\n"), |_| {});
    let proxy = proxy(script, BRIEF);
    let ahead = REQUEST.repeat((64 << 10) / REQUEST.len());
    // Gone for good, or for all that can be known; with nothing unread, and with more than is read.
    for (ends, more) in [(true, ""), (false, ""), (false, ahead.as_str())] {
        let mut client = proxy.client();
        client.send(format!("{REQUEST}{more}"));
        client.until(b"5\r\nhello\r\n");
        assert_eq!(proxy.slot.in_flight(), 1);
        let kept = if ends { None } else { Some(client.stream.try_clone().unwrap()) };
        if let Some(stream) = &kept {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        drop(client);
        left.recv_timeout(PATIENCE).unwrap();
        proxy.until_idle();
    }
}

#[test]
fn an_answer_that_flows_reaches_a_client_that_has_ended_its_side() {
    // faults: P17
    const GONE: Duration = Duration::from_secs(1);
    let longest = Arc::new(Mutex::new(Duration::ZERO));
    let longest_pause = Arc::clone(&longest);
    let script: Script = Arc::new(move |app| {
        app.request()?;
        let start = clock::instant();
        let mut last = start;
        app.say(ENDLESS)?;
        let mut say = |piece: &str| {
            let now = clock::instant();
            let said = app.say(piece);
            let mut longest = longest_pause.lock().unwrap();
            *longest = longest.max(last.elapsed());
            last = now;
            said
        };
        // All of it takes longer than the limit, each piece is in time.
        while start.elapsed() < 3 * GONE {
            say("1\r\nx\r\n")?;
            std::thread::sleep(GONE / 20);
        }
        say("0\r\n\r\n")
    });
    let proxy = proxy(script, GONE);
    let mut client = proxy.client();
    client.send(REQUEST);
    client.stream.shutdown(Shutdown::Write).unwrap();
    let answer = client.rest();
    // Unless this machine has kept the application from being in time.
    let in_time = *longest.lock().unwrap() < GONE;
    assert!(answer.ends_with("1\r\nx\r\n0\r\n\r\n") || !in_time, "{answer}");
}

#[test]
fn an_application_that_is_gone_holds_no_client_that_stays() {
    let farewell = frame(FINAL | CLOSE, None, &close(4401));
    for said in [farewell, Vec::new(), b"no frame".to_vec()] {
        let script: Script = {
            let said = said.clone();
            Arc::new(move |app| {
                app.request()?;
                app.say([SWITCHED.as_bytes(), &said].concat())
            })
        };
        // Neither limit ever comes.
        let limits = Limits { gone: 10 * PATIENCE, stall: 10 * PATIENCE, ..Limits::default() };
        let proxy = Proxy::with(script, limits, |_, _| Err(WakeRefusal::Unknown));
        let mut client = opened(&proxy);
        assert!(client.rest_bytes().starts_with(&said));
        proxy.until_idle();
        // What comes to a descriptor that is closed is answered with a reset.
        let mut sending = client.stream.try_clone().unwrap();
        until("the connection is gone", || (&mut &sending).write(b"x").is_err());
        let error = sending.write(b"x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }
}

#[test]
fn an_application_that_sends_nothing_more_waits_for_a_client_no_longer_than_the_limit() {
    let bye = frame(FINAL | CLOSE, None, &close(1000));
    let (script, left) = waits([SWITCHED.as_bytes(), &bye].concat(), |app| {
        app.stream.shutdown(Shutdown::Write).unwrap();
    });
    let proxy = proxy(script, BRIEF);
    let mut client = opened(&proxy);
    assert_eq!(client.rest_bytes(), bye);
    left.recv_timeout(PATIENCE).unwrap();
    proxy.until_idle();
    drop(client);
}

#[test]
fn a_client_that_reads_nothing_keeps_no_tunnel_whose_application_is_gone() {
    let script: Script = Arc::new(|app| {
        app.request()?;
        app.say(SWITCHED)?;
        app.stream.set_nonblocking(true)?;
        let piece = frame(FINAL | TEXT, None, &[b'x'; 60_000]);
        // Until it has been stuck for a while: the proxy is then, too.
        let mut stuck = clock::instant();
        while stuck.elapsed() < 2 * BRIEF {
            match app.stream.write(&piece) {
                Ok(_) => stuck = clock::instant(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    });
    let proxy = proxy(script, BRIEF);
    let client = opened(&proxy);
    until("the tunnel was open", || proxy.slot.in_flight() == 1 || proxy.slot.traffic.requests() == 1);
    proxy.until_idle();
    drop(client);
}

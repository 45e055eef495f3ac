//! How WebSockets end whose application or daemon leaves without a word: what the proxy says in its place.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use crate::{
    frames::{BINARY, CLOSE, FINAL, PING, SWITCHED, TEXT, close, frame, opened},
    support::{Conversation, PATIENCE, Proxy, Script, until},
};

const MASK: Option<[u8; 4]> = Some([1, 2, 3, 4]);

fn goodbye(code: u16) -> Vec<u8> {
    frame(FINAL | CLOSE, None, &close(code))
}

/// Switches and says `said`; then does what comes next, and is gone.
fn leaves(
    said: impl Into<Vec<u8>>,
    then: impl Fn(&mut Conversation) -> io::Result<()> + Send + Sync + 'static,
) -> Script {
    let said = said.into();
    Arc::new(move |app| {
        let (head, _) = app.request()?;
        if !head.contains("Upgrade: websocket") {
            return app.say("HTTP/1.1 204 No Content\r\n\r\n");
        }
        app.say([SWITCHED.as_bytes(), &said].concat())?;
        then(app)
    })
}

fn cut_off(proxy: &Proxy) -> u64 {
    proxy.slot.traffic.tally().cut_off
}

#[test]
fn an_application_that_is_gone_has_its_websockets_closed() {
    // faults: W6
    let (leave, told) = mpsc::channel();
    let told = Mutex::new(told);
    let hello = frame(FINAL | TEXT, None, b"hello");
    let proxy = Proxy::start(leaves(hello.clone(), move |app| {
        let unread = told.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        // With something unread, its end is a reset.
        until("all is there", || rustix::io::ioctl_fionread(&app.stream).unwrap() == unread);
        Ok(())
    }));
    for (count, unread) in [(1, 0), (2, 3)] {
        let mut client = opened(&proxy);
        assert_eq!(client.exactly(hello.len()), hello);
        client.send(vec![0; unread]);
        leave.send(unread as u64).unwrap();
        assert_eq!(client.exactly(4), goodbye(1012));
        // Already counted, though the client has not left yet.
        assert_eq!(cut_off(&proxy), count);
        // As a client does it: the same back, and the end.
        client.send(frame(FINAL | CLOSE, MASK, &close(1012)));
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.rest_bytes(), b"");
        proxy.until_idle();
    }
}

#[test]
fn a_close_frame_follows_whole_frames_only() {
    // faults: W6
    let whole = [
        frame(FINAL | PING, None, b"?"),
        frame(BINARY, None, &[0; 300]),
        frame(FINAL, Some([9; 4]), &[0; 70_000]),
    ]
    .concat();
    let close_frame = goodbye(1001);
    for (said, added, counted) in [
        (whole.clone(), goodbye(1012), 1),
        (Vec::new(), goodbye(1012), 1),
        // In the midst of a payload, of a length, after the first byte.
        (whole[..whole.len() - 1].to_vec(), Vec::new(), 1),
        (whole[..3 + 2].to_vec(), Vec::new(), 1),
        (whole[..1].to_vec(), Vec::new(), 1),
        // It has said goodbye, or begun to.
        ([&whole[..], &close_frame].concat(), Vec::new(), 0),
        ([&whole[..], &close_frame[..1]].concat(), Vec::new(), 0),
        // Who knows what that is.
        (b"welcome".to_vec(), Vec::new(), 0),
    ] {
        let proxy = Proxy::start(leaves(said.clone(), |_| Ok(())));
        let mut client = opened(&proxy);
        assert!(client.rest_bytes() == [said.clone(), added].concat(), "after {} bytes", said.len());
        drop(client);
        proxy.until_idle();
        assert_eq!(cut_off(&proxy), counted, "after {} bytes", said.len());
    }
}

#[test]
fn who_left_first_is_not_cut_off() {
    // faults: W6
    let until_its_end: fn(&mut Conversation) -> io::Result<()> = |app| {
        while app.exactly(1).is_ok() {}
        Ok(())
    };
    let proxy = Proxy::start(leaves("", until_its_end));
    let mut client = opened(&proxy);
    client.send(frame(FINAL | TEXT, MASK, b"bye"));
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.rest_bytes(), b"");
    proxy.until_idle();
    assert_eq!(cut_off(&proxy), 0);
    // An application that takes a close frame for the end, and answers it with no other.
    let proxy = Proxy::start(leaves("", |app| app.exactly(8).map(drop)));
    let mut client = opened(&proxy);
    client.send(frame(FINAL | CLOSE, MASK, &close(1000)));
    assert_eq!(client.rest_bytes(), b"");
    drop(client);
    proxy.until_idle();
    assert_eq!(cut_off(&proxy), 0);
}

#[test]
fn when_the_daemon_ends_open_websockets_are_told() {
    // faults: W6 D2
    let hello = frame(FINAL | TEXT, None, b"hello");
    let half = frame(FINAL | TEXT, None, b"half of it")[..5].to_vec();
    for (said, last) in [(hello, goodbye(1001)), (half, Vec::new())] {
        let mut proxy = Proxy::start(leaves(said.clone(), |app| app.exactly(1).map(drop)));
        let mut client = opened(&proxy);
        assert_eq!(client.exactly(said.len()), said);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        std::thread::scope(|scope| {
            let running = &mut proxy.running;
            let cut = scope.spawn(move || runtime.block_on(running.drain(Duration::ZERO)));
            assert_eq!(client.rest_bytes(), last);
            drop(client);
            cut.join().unwrap();
        });
        assert_eq!((proxy.slot.in_flight(), cut_off(&proxy)), (0, 0));
    }
}

#[test]
fn an_application_that_is_gone_while_the_daemon_ends_is_not_expected_back() {
    // faults: W6 D2
    let (leave, told) = mpsc::channel::<()>();
    let told = Mutex::new(told);
    let script = leaves("", move |_| {
        let () = told.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        Ok(())
    });
    let mut proxy = Proxy::start(script);
    let mut client = opened(&proxy);
    let address = proxy.address;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::scope(|scope| {
        let running = &mut proxy.running;
        let drained = scope.spawn(move || runtime.block_on(running.drain(PATIENCE)));
        let ask = "GET / HTTP/1.1\r\nHost: a.api.localhost\r\nConnection: close\r\n\r\n";
        until("draining", || {
            // One that came just before it may be ended while it asks.
            let (mut asking, mut answer) = (TcpStream::connect(address).unwrap(), Vec::new());
            let _ = asking.write_all(ask.as_bytes()).and_then(|()| asking.read_to_end(&mut answer));
            answer.starts_with(b"HTTP/1.1 503 ")
        });
        leave.send(()).unwrap();
        assert_eq!(client.rest_bytes(), goodbye(1001));
        drop(client);
        drained.join().unwrap();
    });
}

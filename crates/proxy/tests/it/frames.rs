//! WebSocket frames (RFC 6455 section 5.2) through the tunnel: an application that knows the protocol behind the
//! proxy, a client that sends what it likes before it.

use std::{
    io::{self, Write},
    net::Shutdown,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use crate::support::{Client, Conversation, PATIENCE, Proxy, Script};

const HANDSHAKE: &str = "GET /frames HTTP/1.1\r\nHost: a.api.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
pub(crate) const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
pub(crate) const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
const PONG: u8 = 10;
/// More than the application takes in one frame.
const TOO_MUCH: u64 = 32 << 20;

/// First byte, mask and payload, with the length in as few bytes as it takes.
pub(crate) fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let flag = if mask.is_some() { MASKED } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        length @ ..126 => frame.push(flag | length as u8),
        length @ ..=0xffff => {
            frame.push(flag | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(flag | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    let mask = mask.inspect(|mask| frame.extend(mask)).unwrap_or_default();
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

pub(crate) fn close(code: u16) -> Vec<u8> {
    code.to_be_bytes().to_vec()
}

/// Takes the next frame; or says with which code it has to be refused.
fn take(app: &mut Conversation) -> io::Result<Result<(u8, Vec<u8>), u16>> {
    let head = app.exactly(2)?;
    let (first, short) = (head[0], head[1] & !MASKED);
    if first & RESERVED != 0 || head[1] & MASKED == 0 {
        return Ok(Err(1002));
    }
    let length = match short {
        126 => app.exactly(2)?,
        127 => app.exactly(8)?,
        short => vec![short],
    };
    let length = length.iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
    if length > TOO_MUCH {
        return Ok(Err(1009));
    }
    let mask = app.exactly(4)?;
    let masked = app.exactly(length as usize)?;
    Ok(Ok((first, masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect())))
}

/// Sends back every frame as it came, a ping as pong; a close frame ends it.
fn echo_frames() -> Script {
    Arc::new(|app| {
        app.request()?;
        app.say(SWITCHED)?;
        loop {
            match take(app)? {
                Err(code) => {
                    app.say(frame(FINAL | CLOSE, None, &close(code)))?;
                    // What was sent all the same is not to make a reset of this end.
                    app.stream.shutdown(Shutdown::Write)?;
                    while app.exactly(1).is_ok() {}
                    return Ok(());
                }
                Ok((first, payload)) => {
                    let answer = if first == FINAL | PING { FINAL | PONG } else { first };
                    app.say(frame(answer, None, &payload))?;
                    if first == FINAL | CLOSE {
                        return Ok(());
                    }
                }
            }
        }
    })
}

pub(crate) fn opened(proxy: &Proxy) -> Client {
    let mut client = proxy.client();
    client.send(HANDSHAKE);
    assert!(client.until(b"\r\n\r\n").starts_with("HTTP/1.1 101 "));
    client
}

/// What a conversation consists of, and what comes back: messages in one frame and in many with a ping between them,
/// every form of length, an orderly end.
fn conversation(large: &[usize]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let bytes = |count: usize| (0..count).map(|at| (at * 7 % 251) as u8).collect::<Vec<_>>();
    let mut frames = vec![
        (FINAL | TEXT, "Grüße, κόσμε".as_bytes().to_vec()),
        (FINAL | BINARY, vec![0, 0xff, b'\r', b'\n', 0]),
        (TEXT, b"GET / HTTP/1.1\r\n".to_vec()),
        (FINAL | PING, b"between".to_vec()),
        (CONTINUATION, Vec::new()),
        (CONTINUATION, b"Host: a.api.localhost\r\n".to_vec()),
        (FINAL | PONG, b"unasked".to_vec()),
        (FINAL | CONTINUATION, b"\r\n".to_vec()),
        (FINAL | TEXT, Vec::new()),
        (FINAL | PING, bytes(125)),
    ];
    frames.extend(large.iter().map(|count| (FINAL | BINARY, bytes(*count))));
    frames.push((FINAL | CLOSE, [close(1000), b"bye".to_vec()].concat()));
    let mask = |at: usize| [at as u8, 0xa5, 0, 0xff];
    let sent = frames.iter().enumerate().map(|(at, (first, payload))| frame(*first, Some(mask(at)), payload));
    let back = frames.iter().flat_map(|(first, payload)| {
        frame(if *first == FINAL | PING { FINAL | PONG } else { *first }, None, payload)
    });
    (sent.collect(), back.collect())
}

/// Sends pieces while it reads; everything that comes until the end.
fn exchange(mut client: Client, pieces: Vec<Vec<u8>>, expected: usize) -> Vec<u8> {
    let mut sender = client.stream.try_clone().unwrap();
    let writer = thread::spawn(move || pieces.iter().try_for_each(|piece| sender.write_all(piece)));
    let got = client.exactly(expected);
    writer.join().unwrap().unwrap();
    assert_eq!(client.rest(), "", "more than was sent");
    got
}

#[test]
fn frames_come_back_however_they_are_cut() {
    // faults: W1
    let proxy = Proxy::start(echo_frames());
    let lengths = [125, 126, 127, 1 << 10, 0xffff, 0x1_0000];
    let (sent, back) = conversation(&lengths);
    let whole = sent.concat();
    let cut = |size: usize| whole.chunks(size).map(<[u8]>::to_vec).collect::<Vec<_>>();
    for pieces in [sent, cut(1), cut(3), cut(1460), cut(whole.len())] {
        let client = opened(&proxy);
        client.stream.set_nodelay(true).unwrap();
        assert!(exchange(client, pieces, back.len()) == back);
    }
    proxy.until_idle();
}

#[test]
fn the_handshake_and_the_frames_may_come_at_once() {
    // faults: P16
    let proxy = Proxy::start(echo_frames());
    let (sent, back) = conversation(&[300]);
    let mut client = proxy.client();
    client.send([HANDSHAKE.as_bytes(), &sent.concat()].concat());
    client.until(b"\r\n\r\n");
    assert_eq!(client.exactly(back.len()), back);
    assert_eq!(client.rest(), "");
}

#[test]
fn messages_larger_than_every_buffer_come_back() {
    // faults: W1
    let proxy = Proxy::start(echo_frames());
    let (sent, back) = conversation(&[3 << 20]);
    let client = opened(&proxy);
    assert!(exchange(client, sent, back.len()) == back);
}

#[test]
fn the_application_judges_frames_and_its_verdict_arrives() {
    // faults: W5
    let proxy = Proxy::start(echo_frames());
    let endless = [&[FINAL | BINARY, MASKED | 127, 0x7f, 0xff, 0xff, 0xff][..], &[0xff; 4]].concat();
    let most = [&[FINAL | BINARY, MASKED | 127, 0x80][..], &[0; 7]].concat();
    let bad = [
        (frame(FINAL | TEXT, None, b"not masked"), 1002),
        (frame(FINAL | RESERVED | TEXT, Some([1; 4]), b"no extension"), 1002),
        (endless, 1009),
        (most, 1009),
    ];
    for (bytes, code) in bad {
        let mut client = opened(&proxy);
        client.send(&bytes);
        // It is the end, whatever follows.
        client.send([0x55; 1000]);
        let verdict = frame(FINAL | CLOSE, None, &close(code));
        assert_eq!(client.exactly(verdict.len()), verdict);
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.rest(), "");
    }
    proxy.until_idle();
}

#[test]
fn a_flood_of_small_frames_is_held_back_by_who_does_not_read() {
    // faults: W5
    let proxy = Proxy::start(echo_frames());
    let mut client = opened(&proxy);
    let socket = socket2::SockRef::from(&client.stream);
    socket.set_recv_buffer_size(256 << 10).unwrap();
    socket.set_send_buffer_size(256 << 10).unwrap();
    let parts =
        [frame(BINARY, Some([7; 4]), &[b'x'; 125]), frame(FINAL | PING, Some([9; 4]), &[b'y'; 125])].concat();
    let flood = parts.repeat(1 << 10);
    let mut sender = client.stream.try_clone().unwrap();
    sender.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut sent = 0;
    // The answers are not read, and so at last nothing more is taken.
    while let Ok(count) = sender.write(&flood[sent % flood.len()..]) {
        sent += count;
    }
    let answers = [frame(BINARY, None, &[b'x'; 125]), frame(FINAL | PONG, None, &[b'y'; 125])].concat();
    let whole = sent / parts.len();
    assert!(client.exactly(whole * answers.len()) == answers.repeat(whole));
    drop((client, sender));
    proxy.until_idle();
}

#[test]
fn a_last_word_arrives_though_nobody_takes_what_is_sent() {
    // faults: W5 W6
    let (leave, told) = mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let verdict = frame(FINAL | CLOSE, None, &close(1009));
    let script: Script = Arc::new({
        let verdict = verdict.clone();
        move |app| {
            app.request()?;
            app.say(SWITCHED)?;
            let () = told.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            app.say(&verdict)
        }
    });
    let proxy = Proxy::start(script);
    let mut client = opened(&proxy);
    let mut sender = client.stream.try_clone().unwrap();
    sender.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    while sender.write(&[0x55; 64 << 10]).is_ok() {}
    leave.send(()).unwrap();
    assert_eq!(client.exactly(verdict.len()), verdict);
    assert_eq!(client.rest(), "");
    drop((client, sender));
    proxy.until_idle();
}

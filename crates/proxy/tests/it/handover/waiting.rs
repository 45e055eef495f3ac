//! Requests of which no application has seen anything that counts: the successor wakes for them.

use std::{
    io::Write,
    net::Shutdown,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use super::{HOST, Pair, get, good, length, prompted};
use crate::support::{PATIENCE, Script, echo_path, until, upstream};

impl Pair {
    /// Wakes end in the new one only, where the instance sleeps.
    fn asleep(script: Script) -> Self {
        let socket = Arc::new(Mutex::new(None));
        let there = Arc::clone(&socket);
        let pair = Self::with(script, move |slot, _| {
            let socket = there.lock().unwrap().clone().unwrap();
            slot.open(upstream(2, socket));
            Ok(())
        });
        *socket.lock().unwrap() = Some(pair.old.socket());
        pair.slot.close();
        pair.old.instances.holds.store(true, SeqCst);
        pair
    }
}

#[test]
fn a_request_that_waits_for_its_instance_waits_on_with_the_successor() {
    let post = |lines: &str| format!("POST /p HTTP/1.1\r\n{HOST}{lines}\r\n\r\n");
    let expecting = post("Expect: 100-continue\r\nContent-Length: 5");
    let requests = [
        (expecting, "hello".to_owned(), "/phello"),
        (get("/g"), String::new(), "/g"),
        // Another one behind it.
        (format!("{}GET /g HT", get("/g")), format!("TP/1.1\r\n{HOST}\r\n"), "/g"),
        (post("Content-Length: 5") + "he", "llo".to_owned(), "/phello"),
        (
            post("Transfer-Encoding: chunked") + "5;a\r\nhe",
            "llo\r\n0\r\n\r\n".to_owned(),
            "/p5\r\nhello\r\n0\r\n\r\n",
        ),
    ];
    for (first, rest, answer) in requests {
        let (script, go, came) = prompted();
        let mut pair = Pair::asleep(script);
        pair.old.slot.close();
        let mut client = pair.old.client();
        client.send(&first);
        until("it waits", || pair.old.instances.waiting.load(SeqCst) == 1);
        pair.hand_over();
        pair.handed_over();
        assert_eq!((pair.old.instances.waiting.load(SeqCst), pair.moved()), (0, 1), "a place in the queue");
        came.recv_timeout(PATIENCE).unwrap();
        assert_eq!(pair.instances.wakes.load(SeqCst), 1);
        client.send(&rest);
        for _ in 0..2 {
            go.send(()).unwrap();
        }
        let mut head = client.until(b"\r\n\r\n");
        if head.starts_with("HTTP/1.1 100 ") {
            // Nobody else has told it to send its body in good time.
            head = client.until(b"\r\n\r\n");
        }
        assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("Connection: close"), "{head}");
        let body = String::from_utf8(client.exactly(length(&head))).unwrap();
        // The application may be given what came in two pieces as two chunks.
        assert_eq!(body.replace("2\r\nhe\r\n3\r\nllo", "5\r\nhello"), answer);
        if first.contains("GET /g HT") && first.len() > get("/g").len() {
            good(&mut client, "/g");
        }
        let seen = pair.old.app.seen();
        pair.until_served(0, seen.matches("X-Forwarded-For: 127.0.0.1\r\n").count() as u64);
    }
}

#[test]
fn a_large_request_that_waits_arrives_whole() {
    let script: Script = Arc::new(|app| {
        let (head, body) = app.request()?;
        app.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", head.len() + body.len()))?;
        app.say([head.into_bytes(), body].concat())
    });
    let mut pair = Pair::asleep(script);
    pair.old.slot.close();
    let (cookie, body) = ("c".repeat(60_000), "b".repeat(400_000));
    let length = body.len();
    let request =
        format!("PUT / HTTP/1.1\r\n{HOST}Cookie: {cookie}\r\nContent-Length: {length}\r\n\r\n{body}");
    let mut client = pair.old.client();
    let mut sender = client.stream.try_clone().unwrap();
    let sending = thread::spawn(move || sender.write_all(request.as_bytes()));
    until("it waits", || pair.old.instances.waiting.load(SeqCst) == 1);
    pair.hand_over();
    pair.handed_over();
    assert!(pair.received().len() > cookie.len());
    let (_, answer) = client.answer();
    sending.join().unwrap().unwrap();
    assert!(answer.contains(&format!("Cookie: {cookie}\r\n")) && answer.ends_with(&format!("\r\n{body}")));
    pair.until_served(0, 1);
}

#[test]
fn a_client_that_takes_one_answer_only_gets_it_from_the_successor() {
    let mut pair = Pair::asleep(echo_path());
    pair.old.slot.close();
    let old_version = format!("GET /old HTTP/1.0\r\n{HOST}\r\n");
    let closing = format!("GET /closing HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n");
    let mut clients = [old_version, closing, get("/ended")].map(|request| {
        let mut client = pair.old.client();
        client.send(request);
        client
    });
    clients[2].stream.shutdown(Shutdown::Write).unwrap();
    until("they wait", || pair.old.instances.waiting.load(SeqCst) == 3);
    pair.hand_over();
    pair.handed_over();
    for (client, path) in clients.iter_mut().zip(["/old", "/closing", "/ended"]) {
        let answer = client.rest();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(path), "{answer}");
        assert_eq!(answer.contains("Connection: close\r\n"), path != "/ended", "{answer}");
    }
    assert_eq!((pair.served().0, pair.moved()), (0, 3));
}

#[test]
fn a_request_that_is_to_be_sent_again_is_sent_by_the_successor() {
    let first = AtomicU64::new(1);
    let script: Script = Arc::new(move |app| {
        let (head, body) = app.request()?;
        if first.swap(0, SeqCst) == 1 {
            // Its process dies.
            return Ok(());
        }
        let answer = format!("{} {}", head.split(' ').nth(1).unwrap(), String::from_utf8(body).unwrap());
        app.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()))
    });
    let mut pair = Pair::asleep(script);
    let mut client = pair.old.client();
    // Whose body must be there as a whole: it can't be asked for again.
    client.send(format!("PUT /put HTTP/1.1\r\n{HOST}Content-Length: 5\r\n\r\nhello{}", get("/next")));
    until("it waits for a restart", || pair.old.instances.waiting.load(SeqCst) == 1);
    pair.hand_over();
    pair.handed_over();
    good(&mut client, "/put hello");
    good(&mut client, "/next ");
    pair.until_served(0, 2);
}

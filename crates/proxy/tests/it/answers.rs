//! What an application may answer. What is malformed becomes a 502 or breaks off; it is never passed on, and
//! never becomes somebody else's answer.

use std::sync::Arc;

use crate::support::{Proxy, Script};

/// Answers `/bad` with these bytes and everything else well.
fn bad(answer: &'static [u8], close: bool) -> Script {
    Arc::new(move |app| {
        loop {
            let (head, _) = app.request()?;
            if head.contains(" /bad ") {
                app.say(answer)?;
                if close {
                    return Ok(());
                }
            } else {
                app.say("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n/legitimate")?;
            }
        }
    })
}

fn ask_bad(answer: &'static [u8], close: bool) -> String {
    let proxy = Proxy::start(bad(answer, close));
    let answer = proxy.ask("GET /bad HTTP/1.1\r\nHost: a.api.localhost\r\nConnection: close\r\n\r\n");
    proxy.assert_still_works();
    answer
}

#[test]
fn malformed_heads_are_a_bad_gateway() {
    // faults: P14
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "<html>no HTTP at all</html>\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Len",
        "\r\n\r\n",
    ] {
        let got = ask_bad(answer.as_bytes(), true);
        assert!(got.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{answer:?} became {got:?}");
    }
}

#[test]
fn an_endless_head_is_a_bad_gateway() {
    // faults: P14
    let head: &'static [u8] = Box::leak(
        format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(10 << 20)).into_bytes().into_boxed_slice(),
    );
    assert!(ask_bad(head, true).starts_with("HTTP/1.1 502"));
}

#[test]
fn a_flood_of_interim_answers_is_a_bad_gateway() {
    // faults: P14
    let flood: &'static [u8] =
        Box::leak("HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n".repeat(1000).into_bytes().into_boxed_slice());
    let answer = ask_bad(flood, false);
    assert!(answer.contains("HTTP/1.1 502") && answer.matches("HTTP/1.1 103").count() <= 16, "{answer}");
}

#[test]
fn a_body_that_breaks_off_never_looks_whole() {
    // faults: P14
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nhello",
    ] {
        let proxy = Proxy::start(bad(answer.as_bytes(), true));
        let mut client = proxy.client();
        client.send("GET /bad HTTP/1.1\r\nHost: a.api.localhost\r\n\r\n");
        assert!(client.is_reset(), "{answer:?}");
        proxy.assert_still_works();
    }
}

#[test]
fn bytes_beyond_an_answer_reach_nobody() {
    // faults: P14
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        "HTTP/1.1 204 No Content\r\n\r\npoison",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\npoison",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\npoison",
    ] {
        let proxy = Proxy::start(bad(answer.as_bytes(), false));
        let mut client = proxy.client();
        client.send("GET /bad HTTP/1.1\r\nHost: a.api.localhost\r\n\r\n");
        client.send("GET /next HTTP/1.1\r\nHost: a.api.localhost\r\nConnection: close\r\n\r\n");
        let got = client.rest();
        assert!(!got.contains("poison") && got.ends_with("/legitimate"), "{answer:?} became {got:?}");
        proxy.assert_still_works();
    }
}

#[test]
fn the_body_of_a_head_reaches_nobody() {
    // faults: P14
    let proxy = Proxy::start(bad(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", false));
    let mut client = proxy.client();
    client.send("HEAD /bad HTTP/1.1\r\nHost: a.api.localhost\r\n\r\n");
    client.send("GET /next HTTP/1.1\r\nHost: a.api.localhost\r\nConnection: close\r\n\r\n");
    let got = client.rest();
    assert!(!got.contains("poison") && got.ends_with("/legitimate"), "{got:?}");
}

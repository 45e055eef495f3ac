//! Streams as pages read them: a browser lets them set no header but the subprotocols of a WebSocket.

use tungstenite::Message;

use super::client::*;
use crate::support::{TestDaemon, until};

const PATH: &str = "/api/logs/app/a?follow=true&limit=1";

fn open(daemon: &TestDaemon, offered: &str) -> Result<Client, u16> {
    connect(daemon, PATH, &[("sec-websocket-protocol", offered)])
}

/// The lines that a message has, as the application printed them.
fn lines(client: &mut Client) -> Vec<String> {
    loop {
        match client.read().unwrap() {
            Message::Text(text) => {
                let values =
                    text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
                return values.map(|value| value["message"].as_str().unwrap().to_owned()).collect();
            }
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

// faults: W3
#[test]
fn a_page_has_its_token_among_the_subprotocols() {
    let daemon = start(&["a"]);
    let token = token(&daemon);
    let with = |offered: &str| open(&daemon, offered).err();
    assert_eq!(with(&format!("tenement.lines, tenement.bearer.{token}")), None);
    assert_eq!(with("tenement.lines, tenement.bearer.tenement_wrong"), Some(401));
    assert_eq!(with(&format!("tenement.lines, tenement.bearer.{token}, tenement.bearer.x")), Some(401));
    assert_eq!(with("tenement.lines"), Some(401));
    let offered = format!("tenement.lines, tenement.bearer.{token}");
    let headers = [("sec-websocket-protocol", offered.as_str()), ("origin", "https://evil.example")];
    assert_eq!(connect(&daemon, PATH, &headers).err(), Some(403));
    // Elsewhere it is a header as any other.
    let header = format!("Sec-WebSocket-Protocol: {offered}\r\nConnection: close\r\n");
    let mut answer = String::new();
    let mut stream = request(&daemon, "GET", "/api/instances", &header, "");
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    stop(&daemon, &["a"]);
}

#[test]
fn a_page_is_told_no_more_than_it_takes_in() {
    let daemon = start(&["a"]);
    let mut page = open(&daemon, &format!("tenement.lines, tenement.bearer.{}", token(&daemon))).unwrap();
    for number in 1..=4 {
        print(&daemon, "a", &format!("{number}\n"));
        assert_eq!(lines(&mut page), [number.to_string()]);
    }
    print(&daemon, "a", "5\n");
    print(&daemon, "a", "6\n");
    until("printed", || daemon.ok(&["logs", "app:a"]).contains('6'));
    assert!(lines(&mut page).is_empty(), "a sign of life");
    page.send(Message::text("")).unwrap();
    let mut rest = lines(&mut page);
    while rest.len() < 2 {
        page.send(Message::text("")).unwrap();
        rest.extend(lines(&mut page));
    }
    assert_eq!(rest, ["5", "6"]);
    stop(&daemon, &["a"]);
}

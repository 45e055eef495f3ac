//! RFC 5424 over TCP, UDP and a Unix socket.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read},
    net::{TcpStream, UdpSocket},
    os::unix::net::UnixDatagram,
    sync::{Arc, Mutex},
    thread,
};

use crate::support::PATIENCE;

use super::*;

type Messages = Arc<Mutex<Vec<String>>>;

/// Reads messages with their length in front until the other side, or `most` of them, are done.
fn read(stream: TcpStream, most: usize, messages: &Messages) {
    let mut stream = BufReader::new(stream);
    for _ in 0..most {
        let mut length = Vec::new();
        if stream.read_until(b' ', &mut length).unwrap_or(0) == 0 {
            return;
        }
        let length: usize = std::str::from_utf8(&length).unwrap().trim().parse().unwrap();
        let mut message = vec![0; length];
        if stream.read_exact(&mut message).is_err() {
            return;
        }
        messages.lock().unwrap().push(String::from_utf8(message).unwrap());
    }
}

/// The value of a parameter of the structured data.
fn parameter<'m>(message: &'m str, name: &str) -> &'m str {
    let (_, rest) = message.split_once(&format!(" {name}=\"")).unwrap();
    rest.split('"').next().unwrap()
}

fn places(messages: &Messages) -> BTreeSet<i64> {
    messages.lock().unwrap().iter().map(|message| parameter(message, "seq").parse().unwrap()).collect()
}

#[test]
fn over_tcp_nothing_is_lost_when_the_receiver_comes_and_goes() {
    let (messages, free) = (Messages::default(), Free::find());
    let address = free.address;
    let daemon = TestDaemon::start(&printing(
        &numbered(5000),
        &format!("type = 'syslog'\naddress = 'tcp://{address}'"),
    ));
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    until("it fails", || sink(&daemon)["status"] == "failing");
    // It hangs up in the middle, with lines it has not read.
    for most in [10, usize::MAX] {
        let listener = TcpListener::bind(address).unwrap();
        let messages = Arc::clone(&messages);
        let reader = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            drop(listener);
            read(stream, most, &messages);
        });
        if most == 10 {
            reader.join().unwrap();
        }
    }
    delivered(&daemon, "app:a", 5000);
    until("all read", || places(&messages).len() == 5000);
    let all = messages.lock().unwrap();
    let first = all.iter().find(|message| parameter(message, "seq") == "0").unwrap();
    assert!(first.starts_with("<14>1 2") && first.ends_with("] line 0"), "{first}");
    drop(all);
    daemon.ok(&["stop", "app:a"]);
}

// faults: G5
#[test]
fn over_a_unix_socket_nothing_printed_forges_anything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let script = "printf \\\"one\\\\r<0>1 - evil root - - - two\\\\033[2J\\\\n\\\" >&2; echo \\\"x] [y z=\\\\\\\"1\\\\\\\"]\\\"";
    let target = format!("type = 'syslog'\naddress = 'unix://{}'\nfacility = 'local0'", path.display());
    let daemon = TestDaemon::start(&printing(script, &target));
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    until("it fails", || sink(&daemon)["status"] == "failing");
    let receiver = UnixDatagram::bind(&path).unwrap();
    receiver.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut messages: Vec<String> = (0..2)
        .map(|_| {
            let mut message = vec![0; 1 << 16];
            let length = receiver.recv(&mut message).unwrap();
            String::from_utf8(message[..length].to_vec()).unwrap()
        })
        .collect();
    messages.sort();
    let data = |message: &str| message.split_once(" [").unwrap().1.to_owned();
    let tail = "tenement@32473 service=\"app\" id=\"a\" seq=";
    assert!(messages.iter().all(|message| message.starts_with("<13") && data(message).starts_with(tail)));
    assert!(
        messages.iter().any(|one| one.ends_with("] one#015<0>1 - evil root - - - two#033[2J")),
        "{messages:?}"
    );
    assert!(messages.iter().any(|one| one.ends_with("\"] x] [y z=\"1\"]")), "{messages:?}");
    daemon.ok(&["stop", "app:a"]);
}

#[test]
fn over_udp_a_line_is_a_datagram() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = receiver.local_addr().unwrap();
    let script = "echo short; printf %065530d 7; echo";
    let daemon =
        TestDaemon::start(&printing(script, &format!("type = 'syslog'\naddress = 'udp://{address}'")));
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    let mut message = vec![0; 1 << 16];
    let length = receiver.recv(&mut message).unwrap();
    assert!(std::str::from_utf8(&message[..length]).unwrap().ends_with("] short"));
    assert_eq!(receiver.recv(&mut message).unwrap(), 65_507, "cut to what fits");
    delivered(&daemon, "app:a", 2);
    daemon.ok(&["stop", "app:a"]);
}

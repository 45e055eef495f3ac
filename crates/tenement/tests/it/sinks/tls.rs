//! OTLP over HTTPS. The certificates in `tls/` are for this test alone.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    sync::{Arc, mpsc},
    thread,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::support::PATIENCE;

use super::*;

const CA: &[u8] = include_bytes!("tls/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("tls/server.pem");
const KEY: &[u8] = include_bytes!("tls/server.key");

/// Answers one request; the bytes of its body. `None` when there was no handshake.
fn answer(listener: &TcpListener) -> Option<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let (stream, _) = listener.accept().unwrap();
    let connection = ServerConnection::new(Arc::new(config)).unwrap();
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    Some(body)
}

fn to(folder: &Path, listener: &TcpListener, more: &str) -> String {
    fs::write(folder.join("ca.pem"), CA).unwrap();
    let port = listener.local_addr().unwrap().port();
    printing("echo over tls", &format!("type = 'otlp'\nendpoint = 'https://localhost:{port}'\n{more}"))
}

#[test]
fn a_receiver_is_who_its_certificate_says() {
    for (more, trusted) in [("ca_file = 'ca.pem'", true), ("", false)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config = to(folder.path(), &listener, more);
        fs::write(folder.path().join("tenement.toml"), config).unwrap();
        let (send, answered) = mpsc::channel();
        thread::spawn(move || send.send(answer(&listener)));
        let daemon = TestDaemon::start_in(folder, &[]);
        daemon.ok(&["spawn", "app:a", "--no-wait"]);
        if trusted {
            let body = answered.recv_timeout(PATIENCE).unwrap().unwrap();
            assert!(body.windows(8).any(|window| window == b"over tls"));
            until("taken", || sink(&daemon)["lines"] == 1);
        } else {
            until("it fails", || sink(&daemon)["status"] == "failing");
            assert_eq!(sink(&daemon)["lines"], 0);
        }
        daemon.ok(&["stop", "app:a"]);
    }
}

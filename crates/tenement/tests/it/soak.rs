//! A short form of `make soak`.

use std::{net::TcpListener, process::Command};

use crate::support::{project, text};

// faults: D1 D9 D15
#[test]
fn nothing_is_lost_of_a_daemon_that_is_killed_under_load() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let soak = Command::new("python3")
        .arg(project().join("bench/soak.py"))
        .args([
            "--ten",
            env!("CARGO_BIN_EXE_ten"),
            "--port",
            &port,
            "--kills",
            "8",
            "--burst",
            "4",
            "--seed",
            "7",
        ])
        .output()
        .unwrap();
    assert!(soak.status.success(), "{}{}", text(&soak.stdout), text(&soak.stderr));
}

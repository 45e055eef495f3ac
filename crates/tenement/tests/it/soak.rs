//! A short form of `make soak`.

use std::process::Command;

use crate::support::{Free, project, text};

// faults: D1 D9 D15
#[test]
fn nothing_is_lost_of_a_daemon_that_is_killed_under_load() {
    let free = Free::find();
    let port = free.address.port().to_string();
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

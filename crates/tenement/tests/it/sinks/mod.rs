//! Lines on their way out, to real receivers.

mod collector;
mod files;
mod otlp;
mod syslog;
mod tls;

use std::{collections::BTreeMap, fs, net::TcpListener};

use serde_json::Value;

use crate::logs::api;
use crate::support::{Free, TestDaemon, until};

/// A service that prints by a script of the shell and stays, and this sink.
fn printing(script: &str, sink: &str) -> String {
    format!(
        "[settings]\nmax_starting = 8\n[service.app]\ncommand = \"sh -c '{script}; exec sleep 1000'\"\nstartup_timeout = '1h'\n\
         [[service.app.log_sink]]\n{sink}\n"
    )
}

/// A script that prints so many numbered lines.
fn numbered(lines: u32) -> String {
    format!("i=0; while [ $i -lt {lines} ]; do echo line $i; i=$((i+1)); done")
}

/// The only sink, as the API shows it.
fn sink(daemon: &TestDaemon) -> Value {
    let (status, answer) = api(daemon, "/api/logs/sinks");
    assert_eq!(status, 200);
    let [sink] = &answer["sinks"].as_array().unwrap()[..] else { panic!("{answer}") };
    sink.clone()
}

/// Everything that is kept of an instance was delivered.
fn delivered(daemon: &TestDaemon, instance: &str, lines: usize) {
    until("all kept", || count(daemon, instance) >= lines);
    until("all delivered", || sink(daemon)["waiting"] == 0);
}

/// What the store has of an instance, by place.
fn kept(daemon: &TestDaemon, instance: &str) -> BTreeMap<i64, String> {
    let path = format!("/api/logs/{}", instance.replace(':', "/"));
    let mut all = BTreeMap::new();
    loop {
        let before = all.first_key_value().map(|(first, _)| format!("&before={instance}:{first}"));
        let (status, answer) = api(daemon, &format!("{path}?limit=1000{}", before.unwrap_or_default()));
        assert_eq!(status, 200, "{answer}");
        let lines = answer["logs"].as_array().unwrap();
        all.extend(
            lines
                .iter()
                .map(|line| (line["seq"].as_i64().unwrap(), line["message"].as_str().unwrap().to_owned())),
        );
        if answer["pagination"]["has_more"] != true {
            return all;
        }
    }
}

/// How many lines the store has of an instance.
fn count(daemon: &TestDaemon, instance: &str) -> usize {
    let (_, answer) = api(daemon, &format!("/api/logs/{}?limit=1", instance.replace(':', "/")));
    answer["pagination"]["total"].as_u64().map_or(0, |total| total as usize)
}

/// The last line that is kept of an instance.
fn last(daemon: &TestDaemon, instance: &str) -> String {
    daemon.ok(&["logs", instance, "-n", "1"])
}

/// What the daemon said until now.
fn said(daemon: &TestDaemon) -> String {
    fs::read_to_string(daemon.folder.path().join("daemon.log")).unwrap()
}

fn metric(daemon: &TestDaemon, name: &str) -> u64 {
    let metrics = daemon.get("localhost", "/metrics");
    let begin = format!("tenement_log_sink_{name}{{");
    let line = metrics.lines().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("no {name}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

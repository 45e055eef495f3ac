//! Files.

use super::*;

fn lines(path: &std::path::Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn a_file_has_every_line_after_kills_and_rotations() {
    let sink = "type = 'file'\npath = 'out/{name}/{id}.log'\nformat = 'json'";
    let mut daemon =
        TestDaemon::start(&format!("{}\n[instances]\napp = ['a']\n", printing(&numbered(8000), sink)));
    let path = daemon.folder.path().join("out/app/a.log");
    let mut seen = BTreeMap::new();
    let mut read = |path: &std::path::Path| {
        for line in lines(path) {
            // What was cut off by the kill was written again.
            let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
            seen.insert(line["seq"].as_i64().unwrap(), line["message"].as_str().unwrap().to_owned());
        }
        seen.len()
    };
    for round in 1..=3 {
        until("some came", || !lines(&path).is_empty());
        let aside = daemon.folder.path().join(format!("aside.{round}"));
        fs::rename(&path, &aside).unwrap();
        until("made anew", || path.exists());
        read(&aside);
        daemon = TestDaemon::start_in(daemon.kill(), &[]);
    }
    until("all kept", || last(&daemon, "app:a").ends_with("line 7999\n"));
    until("all delivered", || super::sink(&daemon)["waiting"] == 0);
    for round in 1..=3 {
        read(&daemon.folder.path().join(format!("aside.{round}")));
    }
    read(&path);
    assert!(seen == kept(&daemon, "app:a"), "{} {}", seen.len(), kept(&daemon, "app:a").len());
    daemon.ok(&["stop", "app:a"]);
}

#[test]
fn a_sink_of_all_services_takes_every_line() {
    let config = "[settings]\n[[settings.log_sink]]\ntype = 'file'\npath = 'all.log'\nrotate_size = 4096\nkeep = 1\n\
                  [service.one]\ncommand = \"sh -c 'echo from one; exec sleep 1000'\"\nstartup_timeout = '1h'\n\
                  [service.two]\ncommand = \"sh -c 'echo from two; exec sleep 1000'\"\nstartup_timeout = '1h'\n";
    let daemon = TestDaemon::start(config);
    daemon.ok(&["spawn", "one:a", "--no-wait"]);
    daemon.ok(&["spawn", "two:b", "--no-wait"]);
    let path = daemon.folder.path().join("all.log");
    until("both came", || lines(&path).len() == 2);
    let mut all: Vec<_> =
        lines(&path).into_iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect();
    all.sort();
    assert_eq!(all, ["one:a stdout info from one", "two:b stdout info from two"]);
    assert!(daemon.get("localhost", "/metrics").contains("tenement_log_sink_lines_total{sink=\"file\"} 2\n"));
    daemon.ok(&["stop", "one:a"]);
    daemon.ok(&["stop", "two:b"]);
}

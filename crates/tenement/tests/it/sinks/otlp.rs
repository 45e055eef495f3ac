//! OTLP over HTTP.

use super::{
    collector::{Answer, Collector, Shared},
    *,
};

fn to(address: &impl std::fmt::Display) -> String {
    format!("type = 'otlp'\nendpoint = 'http://{address}'\nheaders = {{ Authorization = 'Bearer hidden' }}")
}

fn bodies(got: &Shared, instance: &str) -> BTreeMap<i64, String> {
    let got = got.lock().unwrap();
    let records = got.records.get(instance).into_iter().flatten();
    records.map(|(seq, record)| (*seq, record.body.clone())).collect()
}

#[test]
fn a_record_says_who_printed_what_when_and_how_bad_it_is() {
    let got = Shared::default();
    let collector = Collector::start(&got, "127.0.0.1:0", &[]);
    let script = "echo all is well; echo ERROR it broke >&2; printf \\\"a\\\\377b\\\\n\\\"";
    let daemon = TestDaemon::start(&printing(script, &to(&collector.address)));
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    delivered(&daemon, "app:a", 3);
    let got = got.lock().unwrap();
    assert_eq!(got.authorization.as_deref(), Some("Bearer hidden"));
    let records: Vec<_> = got.records["app:a"].values().collect();
    let find = |body: &str| records.iter().find(|record| record.body == body).unwrap();
    let (well, broke) = (find("all is well"), find("ERROR it broke"));
    assert_eq!((well.severity, well.stream.as_str()), (9, "stdout"));
    assert_eq!((broke.severity, broke.stream.as_str()), (17, "stderr"));
    assert!(broke.nanos > 1_700_000_000_000_000_000);
    find("a\u{fffd}b");
    assert!(!daemon.ok(&["config"]).contains("hidden"));
    daemon.ok(&["stop", "app:a"]);
}

#[test]
fn while_the_receiver_is_down_lines_wait_and_none_is_lost() {
    let (got, free) = (Shared::default(), Free::find());
    let address = free.address.to_string();
    let daemon = TestDaemon::start(&printing(&numbered(5000), &to(&address)));
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    until("all kept", || count(&daemon, "app:a") == 5000);
    until("it fails", || sink(&daemon)["status"] == "failing");
    let failing = sink(&daemon);
    assert!(failing["waiting"] == 5000 && failing["last_error"].is_string(), "{failing}");
    let collector = Collector::start(&got, &address, &[Answer::Later(0), Answer::Status(429)]);
    delivered(&daemon, "app:a", 5000);
    assert_eq!(bodies(&got, "app:a"), kept(&daemon, "app:a"));
    let order = got.lock().unwrap().order["app:a"].clone();
    assert_eq!(order, (0..5000).collect::<Vec<_>>(), "in order, each once");
    let works = sink(&daemon);
    assert!(works["status"] == "ok" && works["lines"] == 5000 && works["retries"] != 0, "{works}");
    // Once more, now that it was connected.
    drop(collector);
    daemon.ok(&["restart", "app:a"]);
    until("all kept", || count(&daemon, "app:a") == 10_000);
    let _collector = Collector::start(&got, &address, &[]);
    delivered(&daemon, "app:a", 10_000);
    assert_eq!(bodies(&got, "app:a"), kept(&daemon, "app:a"));
    assert_eq!((metric(&daemon, "lines_total"), metric(&daemon, "lag_lines")), (10_000, 0));
    daemon.ok(&["stop", "app:a"]);
}

#[test]
fn a_kill_of_the_daemon_loses_nothing() {
    let got = Shared::default();
    let collector = Collector::start(&got, "127.0.0.1:0", &[]);
    let config = printing(&numbered(10_000), &to(&collector.address));
    let mut daemon = TestDaemon::start(&format!("{config}\n[instances]\napp = ['a', 'b']\n"));
    for kills in 1..=3 {
        let wanted = 3000 * kills;
        let delivered = || bodies(&got, "app:a").len() + bodies(&got, "app:b").len();
        until("some delivered", || delivered() > wanted);
        daemon = TestDaemon::start_in(daemon.kill(), &[]);
    }
    for instance in ["app:a", "app:b"] {
        until("all kept", || last(&daemon, instance).ends_with("line 9999\n"));
    }
    until("all delivered", || sink(&daemon)["waiting"] == 0);
    for instance in ["app:a", "app:b"] {
        assert!(bodies(&got, instance) == kept(&daemon, instance), "{instance}");
    }
    daemon.ok(&["stop", "app:a"]);
    daemon.ok(&["stop", "app:b"]);
}

#[test]
fn what_is_refused_is_counted_and_holds_nothing_up() {
    let got = Shared::default();
    let answers = [Answer::Status(400), Answer::Partial(2)];
    let collector = Collector::start(&got, "127.0.0.1:0", &answers);
    let daemon = TestDaemon::start(&printing(&numbered(3000), &to(&collector.address)));
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    delivered(&daemon, "app:a", 3000);
    let taken = bodies(&got, "app:a").len() as u64;
    let refused = metric(&daemon, "refused_total");
    assert!(taken > 0 && refused > 2, "{taken} {refused}");
    assert_eq!(
        taken + refused,
        3000 + 2,
        "those of the partial success were seen, and are refused all the same"
    );
    assert_eq!(metric(&daemon, "lines_total") + refused, 3000);
    assert!(said(&daemon).contains("400 Bad Request: not like this"), "{}", said(&daemon));
    daemon.ok(&["stop", "app:a"]);
}

#[test]
fn a_request_that_is_too_large_is_halved() {
    let got = Shared::default();
    let collector = Collector::start(&got, "127.0.0.1:0", &[Answer::Status(413), Answer::Status(413)]);
    let daemon = TestDaemon::start(&printing(&numbered(3000), &to(&collector.address)));
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    delivered(&daemon, "app:a", 3000);
    assert_eq!(bodies(&got, "app:a"), kept(&daemon, "app:a"));
    assert_eq!(metric(&daemon, "refused_total"), 0);
    daemon.ok(&["stop", "app:a"]);
}

#[test]
fn what_retention_took_before_it_was_delivered_is_counted() {
    let (got, free) = (Shared::default(), Free::find());
    let address = free.address.to_string();
    let config = printing(&numbered(50_000), &to(&address));
    let daemon = TestDaemon::start(&config.replace("[[", "log_max_size = '64K'\n[["));
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    until("all came", || last(&daemon, "app:a").ends_with("line 49999\n"));
    let _collector = Collector::start(&got, &address, &[]);
    until("all delivered", || sink(&daemon)["waiting"] == 0);
    let (dropped, taken) = (metric(&daemon, "dropped_total"), bodies(&got, "app:a").len() as u64);
    assert!(dropped > 0 && dropped + taken == 50_000, "{dropped} {taken}");
    assert!(said(&daemon).contains("lines were gone before the log sink took them"), "{}", said(&daemon));
    daemon.ok(&["stop", "app:a"]);
}

#[test]
fn what_was_erased_is_not_delivered_and_the_next_of_its_name_is_from_its_first_line_on() {
    let (got, free) = (Shared::default(), Free::find());
    let address = free.address.to_string();
    let daemon = TestDaemon::start(&printing(&numbered(500), &to(&address)));
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    until("it fails", || sink(&daemon)["status"] == "failing" && sink(&daemon)["waiting"] == 500);
    daemon.ok(&["stop", "app:a", "--purge"]);
    let folder = daemon.stop();
    let config = fs::read_to_string(folder.path().join("tenement.toml")).unwrap();
    fs::write(folder.path().join("tenement.toml"), config.replace("echo line", "echo other")).unwrap();
    let daemon = TestDaemon::start_in(folder, &[]);
    let _collector = Collector::start(&got, &address, &[]);
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    delivered(&daemon, "app:a", 500);
    assert_eq!(bodies(&got, "app:a"), kept(&daemon, "app:a"));
    assert!(got.lock().unwrap().records["app:a"][&0].body == "other 0");
    daemon.ok(&["stop", "app:a"]);
}

#[test]
fn what_was_erased_while_it_waited_is_not_delivered() {
    let (got, free) = (Shared::default(), Free::find());
    let address = free.address.to_string();
    let daemon = TestDaemon::start(&printing(&numbered(500), &to(&address)));
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    until("it fails", || sink(&daemon)["status"] == "failing" && sink(&daemon)["waiting"] == 500);
    daemon.ok(&["stop", "app:a", "--purge"]);
    until("let go", || metric(&daemon, "dropped_total") > 0);
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    let _collector = Collector::start(&got, &address, &[]);
    delivered(&daemon, "app:a", 500);
    assert_eq!(got.lock().unwrap().order["app:a"], (0..500).collect::<Vec<_>>());
    daemon.ok(&["stop", "app:a"]);
}

#[test]
fn a_new_sink_begins_now_or_with_the_oldest_line() {
    let config = printing(&numbered(100), "type = 'syslog'\naddress = 'udp://127.0.0.1:9'");
    let daemon = TestDaemon::start(&config);
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    until("all kept", || count(&daemon, "app:a") == 100);
    daemon.ok(&["stop", "app:a"]);
    let mut folder = daemon.stop();
    for (from, first) in [("now", 100), ("oldest", 0)] {
        let got = Shared::default();
        let collector = Collector::start(&got, "127.0.0.1:0", &[]);
        let sink = format!("{}\nfrom = '{from}'\nname = '{from}'", to(&collector.address));
        fs::write(folder.path().join("tenement.toml"), printing(&numbered(100), &sink)).unwrap();
        let daemon = TestDaemon::start_in(folder, &[]);
        daemon.ok(&["spawn", "app:a", "--no-wait"]);
        delivered(&daemon, "app:a", 200);
        assert_eq!(bodies(&got, "app:a").into_keys().next(), Some(first));
        daemon.ok(&["stop", "app:a"]);
        folder = daemon.stop();
    }
}

//! Files that are refused, that change nothing, or only part of what they say.

use std::{fs, os::unix::fs::symlink};

use serde_json::{Value, json};

use crate::support::{TestDaemon, text};

use super::*;

// faults: C1 C2
#[test]
fn a_bad_file_changes_nothing_and_everything_wrong_with_it_is_told() {
    let good = service("api", "a", "");
    let daemon = start(&good);
    daemon.ok(&["spawn", "api:a"]);
    let (before, process) = (in_force(&daemon), pid(&daemon, "api:a"));
    write(&daemon, "[service.api]\ncommand = 'other'\nrestart = 'sometimes'\n[service.web]\nhealth = '/'\n");
    let refused = daemon.ten(&["reload"]);
    assert_eq!(refused.status.code(), Some(2));
    let validated = daemon.ten(&["config", "--validate"]);
    let place = |text: &str| text.replace(file(&daemon).to_str().unwrap(), "tenement.toml");
    assert_eq!(text(&refused.stdout), place(&text(&validated.stdout)), "as 'ten config --validate' says it");
    let said = text(&refused.stderr);
    assert_eq!(
        said,
        "ten: tenement.toml has 2 errors: nothing was changed; mend what is listed and try again\n"
    );
    let refused = daemon.ten(&["--json", "reload", "--dry-run"]);
    let told: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!((&told["valid"], told["errors"].as_array().unwrap().len()), (&json!(false), 2));
    for broken in ["[service.api\n", "", "\u{0}"] {
        fs::write(file(&daemon), broken).unwrap();
        assert_eq!(daemon.ten(&["reload"]).status.code(), Some(2), "{broken:?}");
    }
    fs::remove_file(file(&daemon)).unwrap();
    assert_eq!(daemon.ten(&["reload"]).status.code(), Some(2), "missing");
    fs::create_dir(file(&daemon)).unwrap();
    assert_eq!(daemon.ten(&["reload"]).status.code(), Some(2), "a folder");
    fs::remove_dir(file(&daemon)).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(file(&daemon)).status().unwrap().success());
    assert_eq!(daemon.ten(&["reload"]).status.code(), Some(2), "a FIFO");
    fs::remove_file(file(&daemon)).unwrap();
    fs::File::create(file(&daemon)).unwrap().set_len(1 << 30).unwrap();
    assert_eq!(daemon.ten(&["reload"]).status.code(), Some(2), "a GiB");
    assert_eq!((in_force(&daemon), pid(&daemon, "api:a")), (before, process));
    write(&daemon, &good);
    assert_eq!(reload(&daemon)["changed"], false);
}

// faults: C10
#[test]
fn a_dry_run_and_a_configuration_that_does_not_fit_change_nothing() {
    let daemon = start(&[service("api", "a", ""), service("web", "w", "")].concat());
    daemon.ok(&["spawn", "api:a"]);
    daemon.ok(&["spawn", "web:a"]);
    let before = (in_force(&daemon), pid(&daemon, "api:a"), pid(&daemon, "web:a"));
    let after = || (in_force(&daemon), pid(&daemon, "api:a"), pid(&daemon, "web:a"));

    let new = [service("api", "b", ""), service("new", "n", ""), "[instances]\nnew = ['x']\n".into()];
    write(&daemon, &new.concat());
    let shown = daemon.ok(&["reload", "--dry-run"]);
    for line in [
        "  command: python3 app.py a -> python3 app.py b (needs a restart of what runs)\n",
        "[service.new] is new\n",
        "[service.web] is gone; its data, logs and records stay\n",
        "new:x would be started\n",
        "api:a would be restarted: configuration changed: command\n",
        "web:a would be ended, once its requests have finished\n",
    ] {
        assert!(shown.contains(line), "{line:?} in {shown}");
    }
    assert!(shown.ends_with("Nothing was changed: this was a dry run.\n"), "{shown}");
    let asked = daemon.ask_local_as("POST", "/api/reload", r#"{ "dry_run": true }"#);
    assert!(asked.contains("\"dry_run\":true"), "{asked}");
    assert_eq!(after(), before);

    let one = "socket = '/tmp/{name}/one.sock'";
    daemon.ok(&["spawn", "api:b"]);
    write(&daemon, &[service("api", "a", one), service("web", "w", "")].concat());
    let refused = daemon.ten(&["reload"]);
    let why = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{why}");
    assert!(why.contains("'api:a' and 'api:b' have the same socket: put {id} into 'socket'"), "{why}");
    let long = format!("socket = '/tmp/{}/{{id}}.sock'", "x".repeat(120));
    write(&daemon, &[service("api", "a", &long), service("web", "w", "")].concat());
    let why = text(&daemon.ten(&["reload"]).stderr);
    assert!(why.contains("107 are possible"), "{why}");
    assert_eq!(after(), before);
}

#[test]
fn what_is_bound_at_the_start_is_named_and_flags_still_hold() {
    let daemon = start(&service("api", "a", ""));
    daemon.ok(&["spawn", "api:a"]);
    let bound = "listen = '127.0.0.1:1'\ntrusted_proxies = ['10.0.0.1']\ndomain = 'other.test'\ndata_dir = 'elsewhere'\n";
    fs::write(file(&daemon), format!("{SETTINGS}{bound}max_restarts = 9\n{}", service("api", "a", "")))
        .unwrap();
    let told = reload(&daemon);
    let settings: Vec<_> =
        told["settings"].as_array().unwrap().iter().map(|one| (&one["key"], &one["takes_effect"])).collect();
    let (late, at_once) = (json!("next_start"), json!("at_once"));
    let keys = ["trusted_proxies", "max_restarts"].map(Value::from);
    assert_eq!(settings, [(&keys[0], &late), (&keys[1], &at_once)], "the flags win over the rest");
    assert_eq!(said(&daemon, "api:a"), "a");
    let now = in_force(&daemon);
    assert_eq!(
        (&now["settings"]["max_restarts"], &now["settings"]["trusted_proxies"]),
        (&json!(9), &json!([]))
    );
    assert_eq!(now["settings"]["domain"], "test.localhost");
    let shown = daemon.ok(&["reload"]);
    assert!(shown.contains("takes effect at the next start or upgrade"), "{shown}");
    assert!(
        shown.ends_with("Nothing was changed: that takes effect at the next start or upgrade.\n"),
        "{shown}"
    );
}

#[test]
fn another_domain_holds_at_once_where_no_flag_names_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.py"), APP).unwrap();
    let config = |domain: &str| format!("{SETTINGS}domain = '{domain}'\n{}", service("api", "a", ""));
    fs::write(folder.path().join("tenement.toml"), config("one.test")).unwrap();
    let daemon = TestDaemon::start_in(folder, &[]);
    daemon.ok(&["spawn", "api:a"]);
    let answers = |host: &str| daemon.get(host, "/").starts_with("HTTP/1.1 200 ");
    assert!(answers("a.api.one.test") && !answers("a.api.two.test"));
    fs::write(file(&daemon), config("two.test")).unwrap();
    assert_eq!(reload(&daemon)["settings"][0]["to"], "two.test");
    assert!(answers("a.api.two.test") && !answers("a.api.one.test"));
}

// faults: C12
#[test]
fn a_link_that_is_swapped_meanwhile_gives_one_file_or_the_other() {
    let daemon = start(&service("api", "a", ""));
    let folder = daemon.folder.path();
    for (name, limit) in [("one", 1), ("two", 2)] {
        let more = format!("max_connections = {limit}\nmax_waiting = {limit}");
        fs::write(
            folder.join(name),
            format!("{SETTINGS}max_restarts = {limit}\n{}", service("api", "a", &more)),
        )
        .unwrap();
    }
    let swap = |name: &str| {
        let _ = fs::remove_file(folder.join("next"));
        symlink(name, folder.join("next")).unwrap();
        fs::rename(folder.join("next"), file(&daemon)).unwrap();
    };
    swap("one");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                swap("two");
                swap("one");
            }
        });
        for _ in 0..30 {
            daemon.ok(&["reload"]);
            let now = in_force(&daemon);
            let (settings, api) = (&now["settings"], &now["services"]["api"]);
            assert_eq!(settings["max_restarts"], api["max_connections"]);
            assert_eq!(settings["max_restarts"], api["max_waiting"]);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

//! The configuration file over the API of a real daemon: read, planned, written.

use std::{
    fs,
    io::{Read, Write},
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown, symlink},
        net::UnixStream,
    },
    process::Command,
    thread,
};

use serde_json::{Value, json};

use crate::{
    damaged::Disk,
    hostile_host::outside::start_as_nobody,
    support::{PATIENCE, TestDaemon, project},
};

const FILE: &str = "/api/config/file";

/// Status and answer over the local socket.
fn ask(daemon: &TestDaemon, method: &str, path: &str, tag: Option<&str>, body: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(daemon.folder.path().join("data/admin.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let condition = tag.map(|tag| format!("If-Match: {tag}\r\n")).unwrap_or_default();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{condition}Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let answer: Value = serde_json::from_str(body).unwrap();
    let told = head.lines().find_map(|line| line.strip_prefix("etag: "));
    assert_eq!(told, answer["etag"].as_str(), "{head}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

fn get(daemon: &TestDaemon) -> (String, String) {
    let (status, file) = ask(daemon, "GET", FILE, None, "");
    assert_eq!(status, 200, "{file}");
    (file["text"].as_str().unwrap().to_owned(), file["etag"].as_str().unwrap().to_owned())
}

fn service(name: &str, more: &str) -> String {
    let app = project().join("examples/notes/app.py");
    format!("[service.{name}]\ncommand = \"python3 '{}'\"\n{more}\n", app.display())
}

fn services(daemon: &TestDaemon) -> Vec<String> {
    let (_, answer) = ask(daemon, "GET", "/api/services", None, "");
    let name = |service: &Value| service["name"].as_str().unwrap().to_owned();
    answer["services"].as_array().unwrap().iter().map(name).collect()
}

#[test]
fn the_file_is_replaced_as_a_whole_and_holds_once_it_is_taken_anew() {
    let folder = tempfile::tempdir().unwrap();
    let old = format!("# kept\n{}", service("notes", "[service.notes.env]\nAPI_KEY = 'old'"));
    let real = folder.path().join("real.toml");
    fs::write(&real, &old).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o604)).unwrap();
    symlink("real.toml", folder.path().join("tenement.toml")).unwrap();
    let left = folder.path().join(".real.toml.saving");
    fs::write(&left, "of a daemon that was killed").unwrap();
    let daemon = TestDaemon::start_in(folder, &[]);
    assert!(!left.exists());
    let (text, tag) = get(&daemon);
    assert_eq!(text, old);
    let new = format!("{}{}", old.replace("'old'", "'new'"), service("web", ""));

    let (status, plan) = ask(&daemon, "POST", "/api/config/plan", None, &new);
    assert_eq!((status, &plan["dry_run"], &plan["services"]["added"]), (200, &json!(true), &json!(["web"])));
    let changed = &plan["services"]["changed"][0]["settings"][0];
    assert_eq!(
        (&changed["key"], &changed["from"], &changed["to"]),
        (&json!("env.API_KEY"), &json!("***"), &json!("***"))
    );

    assert_eq!(ask(&daemon, "PUT", FILE, None, &new).0, 428);
    for other in ["\"0\"", "x", &format!("W/{tag}"), ""] {
        assert_eq!(ask(&daemon, "PUT", FILE, Some(other), &new).0, 412, "{other}");
    }
    assert_eq!(fs::read_to_string(&real).unwrap(), old);
    let (status, written) = ask(&daemon, "PUT", FILE, Some(&tag), &new);
    assert_eq!((status, &written["warnings"]), (200, &json!([])), "{written}");
    assert_eq!(get(&daemon), (new.clone(), written["etag"].as_str().unwrap().to_owned()));
    assert_eq!(fs::read_to_string(&real).unwrap(), new);
    assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, 0o604);
    assert!(fs::symlink_metadata(daemon.folder.path().join("tenement.toml")).unwrap().is_symlink());
    assert_eq!(ask(&daemon, "PUT", FILE, Some(&tag), &old).0, 412, "that is not there any more");

    assert_eq!(services(&daemon), ["notes"], "not in force");
    assert_eq!(ask(&daemon, "POST", "/api/reload", None, "").0, 200);
    assert_eq!(services(&daemon), ["notes", "web"]);
    let (_, audit) = ask(&daemon, "GET", "/api/audit", None, "");
    let actions: Vec<_> =
        audit["audit"].as_array().unwrap().iter().map(|entry| entry["action"].clone()).collect();
    assert!(
        actions.contains(&json!("put_config_file")) && !actions.contains(&json!("plan_config")),
        "{audit}"
    );
    let left = fs::read_dir(daemon.folder.path()).unwrap().flatten();
    assert!(left.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().contains("saving")));
}

#[test]
fn what_a_reload_would_refuse_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let old = service("notes", "") + "[instances]\nnotes = ['a', 'b']\n";
    fs::write(folder.path().join("tenement.toml"), &old).unwrap();
    let daemon = TestDaemon::start_in(folder, &[]);
    let (_, tag) = get(&daemon);
    let broken = "[service.notes]\nhealth = '/'\n";
    let clash = service("notes", "socket = '{data_dir}/one.sock'") + "[instances]\nnotes = ['a', 'b']\n";
    for (method, path, tag) in [("PUT", FILE, Some(tag.as_str())), ("POST", "/api/config/plan", None)] {
        let (status, refused) = ask(&daemon, method, path, tag, broken);
        assert_eq!((status, &refused["error"]), (422, &json!("unprocessable_entity")));
        let finding = &refused["findings"][0];
        assert_eq!((&finding["line"], &finding["severity"]), (&json!(1), &json!("error")), "{refused}");
        for text in [clash.as_str(), "{ \"service\": {} }", "\u{0}"] {
            let (status, refused) = ask(&daemon, method, path, tag, text);
            assert_eq!(status, 422, "{refused}");
        }
    }
    assert_eq!(get(&daemon).0, old);
}

#[test]
fn of_two_who_change_the_same_one_has_to_look_again() {
    let daemon = TestDaemon::start(&service("notes", ""));
    let (text, mut tag) = get(&daemon);
    for round in 0..10 {
        let put = |who: &str| {
            let (status, _) = ask(&daemon, "PUT", FILE, Some(&tag), &format!("{text}# {round} {who}\n"));
            status
        };
        let mut both = thread::scope(|scope| {
            let threads = ["a", "b"].map(|who| scope.spawn(move || put(who)));
            threads.map(|thread| thread.join().unwrap())
        });
        both.sort_unstable();
        assert_eq!(both, [200, 412]);
        tag = get(&daemon).1;
    }
}

// faults: D4
#[test]
fn a_file_that_can_not_be_written_is_named_and_stays_whole() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::at(&folder.path().join("small"), 64) else { return };
    let path = folder.path().join("small/tenement.toml");
    let old = service("notes", "");
    fs::write(&path, &old).unwrap();
    symlink("small/tenement.toml", folder.path().join("tenement.toml")).unwrap();
    let daemon = TestDaemon::start_in(folder, &[]);
    let (_, tag) = get(&daemon);
    let large = format!("{old}#{}\n", "x".repeat(20_000));
    disk.fill();
    let (status, full) = ask(&daemon, "PUT", FILE, Some(&tag), &large);
    assert_eq!((status, &full["error"]), (507, &json!("insufficient_storage")), "{full}");
    let names =
        |answer: &Value| answer["message"].as_str().unwrap().contains("'tenement.toml' can't be written");
    assert!(names(&full), "{full}");
    disk.empty();
    let remount = |how: &str| {
        let how = format!("remount,{how}");
        assert!(
            Command::new("mount").args(["-o", &how]).arg(path.parent().unwrap()).status().unwrap().success()
        );
    };
    remount("ro");
    let (status, read_only) = ask(&daemon, "PUT", FILE, Some(&tag), &large);
    assert_eq!((status, &read_only["error"]), (409, &json!("conflict")), "{read_only}");
    assert!(names(&read_only) && read_only["message"].as_str().unwrap().contains("read-only"), "{read_only}");
    remount("rw");
    assert_eq!(get(&daemon).0, old);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing beside it");
    assert_eq!(ask(&daemon, "PUT", FILE, Some(&tag), &large).0, 200);
    drop(daemon.stop());
}

#[test]
fn a_file_of_somebody_else_is_not_taken_over() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let old = service("notes", "");
    fs::write(folder.path().join("tenement.toml"), &old).unwrap();
    // The folder is the daemon's, so it could put another file there.
    let daemon =
        start_as_nobody(folder, |folder| chown(folder.join("tenement.toml"), Some(0), Some(0)).unwrap());
    let (_, tag) = get(&daemon);
    let (status, refused) = ask(&daemon, "PUT", FILE, Some(&tag), &format!("{old}# mine\n"));
    let message = refused["message"].as_str().unwrap();
    assert_eq!(status, 409, "{refused}");
    assert!(
        message.contains("'tenement.toml' can't be written") && message.contains("uid 65534"),
        "{message}"
    );
    assert!(!message.contains(daemon.folder.path().to_str().unwrap()), "{message}");
    assert_eq!(get(&daemon).0, old);
}

#[test]
fn a_file_that_is_gone_or_no_text_is_said_to_be_so() {
    let daemon = TestDaemon::start(&service("notes", ""));
    let (_, tag) = get(&daemon);
    let path = daemon.folder.path().join("tenement.toml");
    fs::write(&path, b"# \xff\n").unwrap();
    assert_eq!(ask(&daemon, "GET", FILE, None, "").0, 409);
    fs::remove_file(&path).unwrap();
    assert_eq!(ask(&daemon, "GET", FILE, None, "").0, 404);
    assert_eq!(ask(&daemon, "PUT", FILE, Some(&tag), "").0, 404);
    fs::create_dir(&path).unwrap();
    assert_eq!(ask(&daemon, "GET", FILE, None, "").0, 409);
    fs::remove_dir(&path).unwrap();
}

#[test]
fn an_instance_shows_what_it_is_started_with_and_no_secret() {
    let config = service(
        "notes",
        "max_instances = 64\n[service.notes.env]\nPLACE = '{data_dir}/x'\nMODE = 'fast'\nDB_PASSWORD = 'hidden'",
    );
    let daemon = TestDaemon::start(&config);
    let own = r#"{ "service": "notes", "id": "alice", "env": { "MODE": "slow", "STRIPE_KEY": "hidden", "COLOUR": "red" } }"#;
    assert_eq!(ask(&daemon, "POST", "/api/instances", None, own).0, 201);
    let (status, shown) = ask(&daemon, "GET", "/api/instances/notes/alice/config", None, "");
    assert_eq!((status, &shown["instance"]), (200, &json!("notes:alice")));
    let data = daemon.folder.path().canonicalize().unwrap().join("data");
    let place = format!("{}/x", data.display());
    let env =
        json!({ "COLOUR": "red", "DB_PASSWORD": "***", "MODE": "slow", "PLACE": place, "STRIPE_KEY": "***" });
    assert_eq!(shown["env"], env);
    assert_eq!(
        (&shown["config"]["max_instances"], &shown["config"]["restart"]),
        (&json!(64), &json!("on-failure"))
    );
    let (_, all) = ask(&daemon, "GET", "/api/config", None, "");
    assert_eq!(shown["config"], all["services"]["notes"]);
    // A tenant sees what is theirs, and of the rest that it is there.
    let token = daemon.ok(&["-q", "token-gen", "--scope", "read", "--instance", "notes:alice"]);
    let curl = |path: &str| {
        let url = format!("http://127.0.0.1:{}{path}", daemon.port);
        let header = format!("Authorization: Bearer {}", token.trim());
        let output = Command::new("curl").args(["-sS", "-H", &header, &url]).output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let bound = curl("/api/instances/notes/alice/config");
    let env =
        json!({ "COLOUR": "red", "DB_PASSWORD": "***", "MODE": "slow", "PLACE": "***", "STRIPE_KEY": "***" });
    assert_eq!(bound["env"], env);
    for key in ["command", "workdir", "socket", "env", "log_sink"] {
        assert!(bound["config"].get(key).is_none() && shown["config"].get(key).is_some(), "{key}: {bound}");
    }
    assert_eq!(bound["config"]["max_instances"], 64);
    assert_eq!(curl("/api/instances/notes/bob/config")["error"], "instance_not_found");
    for path in [FILE, "/api/config/plan"] {
        assert!(curl(path)["error"] == "forbidden" || path.ends_with("plan"), "{path}");
    }
    assert_eq!(ask(&daemon, "GET", "/api/instances/notes/bob/config", None, "").0, 404);
}

//! The daemon is killed at a certain system call while something is done to it; another one goes on.
//!
//! ```text
//!   prepared ─► strace at the daemon ─► deed, answered or cut ─► another daemon ─► deed's outcome, and all that holds always
//! ```
//!
//! `TENEMENT_KILLS_ALL=1` kills at every call up to the last, in place of a sample: some minutes.

mod stage;
mod tracer;

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use self::stage::{Answer, Stage};

/// What the daemon calls when it changes something: processes, files, sockets, groups.
const CALLS: [&str; 12] = [
    "clone,clone3",
    "pwrite64",
    "fsync,fdatasync",
    "openat",
    "?unlink,?unlinkat",
    "sendmsg",
    "kill,pidfd_send_signal",
    "?mkdir,?mkdirat",
    "?rmdir,ftruncate",
    "write",
    "sendto",
    "splice",
];

/// At which of such calls, counted in each thread; the rest of those where nothing was killed any more is left out.
fn times(sample: &[u32]) -> Vec<u32> {
    const LAST: RangeInclusive<u32> = 1..=60;
    if is_all() { LAST.collect() } else { sample.to_vec() }
}

fn is_all() -> bool {
    std::env::var_os("TENEMENT_KILLS_ALL").is_some()
}

/// How often the whole sample is tried until there were enough kills.
const PASSES: usize = 5;

/// Does it again and again, each time killed at another call. `at_least`: how often it is to be killed, and before it has
/// answered, so that this shows something. Calls are counted in each thread, and which one does something is not the same
/// each time: the sample is tried anew until there were enough.
fn each<T>(
    sample: &[u32],
    at_least: (u32, u32),
    prepare: impl Fn(&mut Stage, &str) -> T,
    act: impl Fn(&Stage, &str, &T) -> Option<Answer>,
    check: impl Fn(&mut Stage, &str, &T, Option<&Answer>),
) {
    let mut stage = Stage::new();
    let (mut kills, mut cut) = (0, 0);
    for _ in 0..PASSES {
        for calls in CALLS {
            for n in times(sample) {
                let id = stage.next_id();
                stage.say(format!("{calls} {n}: {id}"));
                let prepared = prepare(&mut stage, &id);
                let (answer, killed) = stage.killed_at(calls, n, |stage| act(stage, &id, &prepared));
                check(&mut stage, &id, &prepared, answer.as_ref().filter(|answer| answer.is_good()));
                stage.is_whole();
                stage.clean(&id);
                if !killed {
                    break;
                }
                kills += 1;
                cut += u32::from(answer.is_none());
            }
        }
        if kills >= at_least.0 && cut >= at_least.1 {
            break;
        }
    }
    stage.lines_are_whole();
    assert!(kills >= at_least.0 && cut >= at_least.1, "killed {kills} times, {cut} before an answer");
}

fn host(id: &str) -> String {
    format!("{id}.app.localhost")
}

fn instance(id: &str) -> String {
    format!("/api/instances/app/{id}")
}

fn spawn(stage: &Stage, id: &str) -> Option<Answer> {
    let wanted = json!({ "service": "app", "id": id, "env": { "WORD": id } });
    stage.ask("POST", "/api/instances", &wanted.to_string())
}

fn spawned(stage: &mut Stage, id: &str) {
    let answer = spawn(stage, id).unwrap();
    assert!(answer.is_good(), "{answer:?}");
    stage.greets(&host(id), id);
}

// faults: D1
#[test]
fn while_an_instance_is_spawned() {
    let check = |stage: &mut Stage, id: &str, (): &(), acknowledged: Option<&Answer>| {
        let status = stage.settled("app", id);
        assert!(status == "running" || acknowledged.is_none(), "{status}");
        if !status.is_empty() && status != "failed" {
            stage.greets(&host(id), id);
        }
    };
    each(&[1, 2, 4], (12, 6), |_, _| (), |stage, id, ()| spawn(stage, id), check);
}

// faults: D1
#[test]
fn while_an_instance_is_stopped() {
    // One way or the other.
    let keeps = |id: &str| id.ends_with(['0', '2', '4', '6', '8']);
    let act = |stage: &Stage, id: &str, (): &()| {
        let path = instance(id);
        if keeps(id) {
            stage.ask("POST", &format!("{path}/stop"), "")
        } else {
            stage.ask("DELETE", &path, "")
        }
    };
    let check = |stage: &mut Stage, id: &str, (): &(), acknowledged: Option<&Answer>| {
        let (status, done) = (stage.settled("app", id), if keeps(id) { "stopped" } else { "" });
        assert!(status == done || acknowledged.is_none() && status == "running", "{status}");
        if status == "running" {
            stage.greets(&host(id), id);
        }
    };
    each(&[1, 2], (8, 4), spawned, act, check);
}

// faults: D1
#[test]
fn while_an_instance_is_purged() {
    let purge = |stage: &Stage, id: &str| stage.ask("DELETE", &format!("{}?purge=true", instance(id)), "");
    let nothing_left = |stage: &Stage, id: &str| {
        let data = stage.folder().join("data");
        ["app", "logs/app", "pipes/app"].iter().all(|folder| !data.join(folder).join(id).exists())
    };
    let check = |stage: &mut Stage, id: &str, (): &(), acknowledged: Option<&Answer>| {
        let status = stage.settled("app", id);
        if acknowledged.is_some() {
            assert_eq!(status, "");
        } else {
            assert!(["", "running"].contains(&status.as_str()), "{status}");
            let again = purge(stage, id).unwrap();
            assert!(again.is_good() || again.status == 404, "{again:?}");
        }
        assert!(nothing_left(stage, id));
        stage.forget_lines(id);
    };
    each(&[1, 3], (8, 4), spawned, |stage, id, ()| purge(stage, id), check);
}

// faults: D1
#[test]
fn while_an_instance_is_restarted() {
    let prepare = |stage: &mut Stage, id: &str| {
        spawned(stage, id);
        stage.pid("app", id)
    };
    let act =
        |stage: &Stage, id: &str, _: &Value| stage.ask("POST", &format!("{}/restart", instance(id)), "");
    let check = |stage: &mut Stage, id: &str, before: &Value, acknowledged: Option<&Answer>| {
        assert_eq!(stage.settled("app", id), "running");
        assert!(acknowledged.is_none() || stage.pid("app", id) != *before, "it was to be another process");
        stage.greets(&host(id), id);
    };
    each(&[1, 2], (8, 4), prepare, act, check);
}

// faults: D1
#[test]
fn while_a_token_is_made() {
    let act = |stage: &Stage, id: &str, (): &()| {
        stage.ask("POST", "/api/tokens", &json!({ "name": id, "scopes": ["read"] }).to_string())
    };
    let check = |stage: &mut Stage, id: &str, (): &(), acknowledged: Option<&Answer>| {
        let all = stage.ask("GET", "/api/tokens", "").unwrap().body;
        let named: Vec<_> =
            all["tokens"].as_array().unwrap().iter().filter(|one| one["name"] == id).collect();
        assert!(named.len() == 1 || acknowledged.is_none() && named.is_empty(), "{named:?}");
        assert!(named.iter().all(|one| one["scopes"] == json!(["read"])), "{named:?}");
        if let Some(answer) = acknowledged {
            assert_eq!(stage.status_for(answer.body["token"].as_str().unwrap()), 200);
        }
    };
    each(&[1, 2, 3], (5, 2), |_, _| (), act, check);
}

// faults: D1
#[test]
fn while_a_token_is_revoked() {
    let prepare = |stage: &mut Stage, id: &str| {
        let wanted = json!({ "name": id, "scopes": ["read"] }).to_string();
        let made = stage.ask("POST", "/api/tokens", &wanted).unwrap().body;
        (format!("/api/tokens/{}", made["id"].as_str().unwrap()), made["token"].as_str().unwrap().to_owned())
    };
    let act = |stage: &Stage, _: &str, (path, _): &(String, String)| stage.ask("DELETE", path, "");
    let check =
        |stage: &mut Stage, _: &str, (path, token): &(String, String), acknowledged: Option<&Answer>| {
            if acknowledged.is_none() {
                let again = stage.ask("DELETE", path, "").unwrap();
                assert!(again.is_good() || again.status == 404, "{again:?}");
            }
            assert_eq!(stage.status_for(token), 401);
        };
    each(&[1, 2, 3], (5, 2), prepare, act, check);
}

// faults: D1 C10
#[test]
fn while_the_configuration_is_taken_anew() {
    let prepare = |stage: &mut Stage, id: &str| {
        let before = stage.word_in_effect();
        stage.configure(id);
        before
    };
    let act = |stage: &Stage, _: &str, _: &String| stage.ask("POST", "/api/reload", "");
    let check = |stage: &mut Stage, id: &str, before: &String, acknowledged: Option<&Answer>| {
        let now = stage.word_in_effect();
        assert!(now == id || acknowledged.is_none() && now == *before, "{now}, not {id}");
        stage.comes_to_greet("a.conf.localhost", &now);
    };
    each(&[1, 2], (8, 4), prepare, act, check);
}

// faults: D1 G9
#[test]
fn while_lines_are_taken_in() {
    let act = |stage: &Stage, _: &str, (): &()| {
        let mut answer = stage.get(&host("s"), "/print");
        for _ in 0..2 {
            // Whoever is cut off has had its lines printed.
            answer = stage.get(&host("s"), "/print").or(answer);
        }
        answer
    };
    each(&[1, 2, 5], (10, 0), |_, _| (), act, |stage, _, (), _| stage.greets(&host("s"), ""));
}

// faults: D1
#[test]
fn while_a_request_wakes_an_instance() {
    let host = |id: &str| format!("{id}.nap.localhost");
    let act = |stage: &Stage, id: &str, (): &()| stage.get(&host(id), "/");
    let check = |stage: &mut Stage, id: &str, (): &(), acknowledged: Option<&Answer>| {
        if let Some(answer) = acknowledged {
            assert_eq!(stage.pid("nap", id).to_string(), answer.words()[0], "who answered is there");
        }
        stage.greets(&host(id), "");
        assert_eq!(stage.settled("nap", id), "running");
    };
    each(&[1, 2, 4], (12, 6), |_, _| (), act, check);
}

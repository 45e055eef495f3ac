//! `ten tokens`, `token-gen` and `token-revoke`.

use serde_json::{Value, json};

use super::stub::{Answer, Stub};
use crate::support::{TestDaemon, notes, ten, text};

fn tokens() -> String {
    let token = |id: &str, more: Value| {
        let mut token = json!({ "id": id, "name": "ci", "scopes": ["read", "write"], "created_at": "2026-01-12T10:30:00Z" });
        token.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        token
    };
    json!({ "tokens": [
        token("t1", json!({ "service": null, "instance": "notes:alice", "last_used": null, "expires_at": null })),
        token("t2", json!({ "service": "notes", "name": "\u{1b}[31mred", "last_used": "2026-01-13T10:30:00Z" })),
    ], "pagination": { "limit": 1000, "offset": 0, "total": 2, "has_more": false } })
    .to_string()
}

// faults: L6
#[test]
fn tokens_are_listed_for_people_and_for_programs() {
    let stub = Stub::start(|_, _| Answer::Json(200, tokens()));
    let table = stub.ok(&["tokens"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("ID  NAME"), "{table}");
    assert_eq!(
        lines[1].split_whitespace().collect::<Vec<_>>(),
        ["t1", "ci", "read,write", "notes:alice", "2026-01-12T10:30:00Z", "never", "never"]
    );
    assert!(lines[2].starts_with("t2  ^[[31mred") && lines[2].contains("  notes  "), "{table}");
    let objects: Value = serde_json::from_str(&stub.ok(&["tokens", "--json"])).unwrap();
    assert_eq!(objects["tokens"][1]["id"], "t2");
    assert_eq!(stub.ok(&["tokens", "--no-header"]).lines().count(), 2);
    assert_eq!(stub.lines()[0], "GET /api/tokens?limit=1000&offset=0");
}

#[test]
fn a_list_that_is_longer_than_an_answer_comes_in_pages() {
    let stub = Stub::start(|number, _| {
        let page =
            json!({ "tokens": [{ "id": format!("t{number}") }], "pagination": { "has_more": number < 3 } });
        Answer::Json(200, page.to_string())
    });
    assert_eq!(stub.ok(&["tokens", "--no-header"]).lines().count(), 3);
    assert!(stub.lines()[2].ends_with("offset=2"), "{:?}", stub.lines());
}

#[test]
fn a_token_is_revoked_by_its_id() {
    let stub = Stub::start(|_, ask| match ask.line.as_str() {
        "DELETE /api/tokens/t%2F1" => Answer::Json(204, String::new()),
        _ => Answer::Json(
            404,
            json!({ "error": "not_found", "message": "No such token", "status": 404 }).to_string(),
        ),
    });
    assert_eq!(stub.ok(&["token-revoke", "t/1"]), "Revoked t/1\n");
    assert_eq!(stub.ok(&["-q", "token-revoke", "t/1"]), "");
    let object: Value = serde_json::from_str(&stub.ok(&["--json", "token-revoke", "t/1"])).unwrap();
    assert_eq!(object, json!({ "id": "t/1", "revoked": true }));
    let unknown = stub.ten(&["token-revoke", "t2"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert_eq!(text(&unknown.stderr), "ten: No such token: see what there is with 'ten tokens'\n");
    let asked = stub.lines().len();
    // It would stand in logs.
    let token = stub.ten(&["token-revoke", "tenement_abc"]);
    assert_eq!((token.status.code(), text(&token.stderr).contains("abc")), (Some(2), false));
    assert_eq!(stub.ten(&["token-revoke", ".."]).status.code(), Some(2));
    assert_eq!(stub.ten(&["token-revoke"]).status.code(), Some(2));
    assert_eq!(stub.lines().len(), asked);
}

#[test]
fn what_a_new_token_may_is_asked_for() {
    let stub = Stub::start(|_, _| {
        Answer::Json(201, json!({ "id": "t1", "token": "tenement_x", "name": "" }).to_string())
    });
    let made = stub.ten(&["token-gen", "--scope", "read,write", "--scope", "admin", "--service", "notes"]);
    assert_eq!((text(&made.stdout).as_str(), made.status.code()), ("tenement_x\n", Some(0)));
    assert!(text(&made.stderr).contains("not shown again"));
    stub.ok(&["token-gen", "--name", "ci", "--expires", "30", "--instance", "notes:Alice"]);
    let bodies: Vec<Value> =
        stub.asked().iter().map(|ask| serde_json::from_str(&ask.body).unwrap()).collect();
    let first = json!({ "name": "", "expires_in_days": null, "scopes": ["read", "write", "admin"], "service": "notes" });
    assert_eq!(bodies[0], first);
    assert_eq!(bodies[1], json!({ "name": "ci", "expires_in_days": 30, "instance": "notes:alice" }));
    let both = stub.ten(&["token-gen", "--service", "notes", "--instance", "notes:a"]);
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn a_token_for_one_tenant_opens_that_one_only_and_until_it_is_revoked() {
    let daemon = TestDaemon::start(&notes("[instances]\nnotes = ['alice', 'bob']"));
    let made = daemon.ok(&[
        "--json",
        "token-gen",
        "--name",
        "alice",
        "--scope",
        "read",
        "--instance",
        "notes:alice",
    ]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let (id, token) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    let url = format!("http://127.0.0.1:{}", daemon.port);
    let with_it = |arguments: &[&str]| {
        let mut command = ten(daemon.folder.path(), &[&["--server", &url], arguments].concat());
        command.env("TENEMENT_TOKEN", token).output().unwrap()
    };
    let seen = text(&with_it(&["ps"]).stdout);
    assert!(seen.contains("notes:alice") && !seen.contains("notes:bob"), "{seen}");
    assert_eq!(with_it(&["health", "notes:bob"]).status.code(), Some(3));
    assert_eq!(with_it(&["restart", "notes:alice"]).status.code(), Some(6));
    let listed = daemon.ok(&["tokens"]);
    let row = listed.lines().find(|line| line.starts_with(id)).unwrap();
    let cells: Vec<_> = row.split_whitespace().collect();
    assert_eq!((cells[1..4].to_vec(), cells[6]), (vec!["alice", "read", "notes:alice"], "never"), "{row}");
    assert_ne!(cells[5], "never", "it was used: {row}");
    assert_eq!(daemon.ok(&["token-revoke", id]), format!("Revoked {id}\n"));
    assert_eq!(with_it(&["ps"]).status.code(), Some(6));
    assert_eq!(daemon.ten(&["token-revoke", id]).status.code(), Some(1));
    assert!(!daemon.ok(&["tokens"]).contains(id));
}

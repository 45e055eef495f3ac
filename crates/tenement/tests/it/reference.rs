//! Every example of the API's reference, as it is printed there, against a daemon.

use std::{fs, process::Command, sync::LazyLock};

use serde_json::{Map, Value};

use crate::support::{TestDaemon, project, text};

const TOKEN: &str = "tenement_of_the_reference";
const CONFIG: &str = r#"
[settings]
health_check_interval = 1
[service.api]
command = "python3 app.py"
workdir = "."
socket = "{data_dir}/api-{id}.sock"
health = "/health"
[[service.api.log_sink]]
type = "file"
path = "api.log"
"#;
/// Says what the examples look for, and is healthy.
const APP: &str = r#"
import os, socket, sys
print("Request completed", flush=True)
s = socket.socket(socket.AF_UNIX)
s.bind(os.environ["SOCKET_PATH"])
s.listen()
while True:
    c, _ = s.accept()
    if c.recv(65536):
        print("database error connecting to pg", file=sys.stderr, flush=True)
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    c.close()
"#;

static PAGE: LazyLock<String> = LazyLock::new(|| fs::read_to_string(project().join("docs/api.md")).unwrap());

/// A command, and the answers that are printed below it.
struct Example {
    command: String,
    status: Option<u16>,
    body: String,
}

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    PAGE.split(&fence).skip(1).map(|block| block.split_once("\n```").unwrap().0).collect()
}

/// What earlier examples answered that a later one speaks of.
#[derive(Default)]
struct Seen(Map<String, Value>);

impl Seen {
    fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Value::as_str).unwrap_or("none")
    }

    fn note(&mut self, body: &str) {
        let Ok(Value::Object(mut answer)) = serde_json::from_str(body) else { return };
        if !answer.contains_key("token") {
            answer.remove("id");
        }
        let kept = answer.into_iter().filter(|(key, _)| ["id", "code", "etag"].contains(&key.as_str()));
        self.0.extend(kept);
    }
}

impl Example {
    fn read(block: &str) -> Self {
        let (command, rest) = block.split_once("\n\n").unwrap_or((block, ""));
        let answer = rest.split("Response").nth(1).unwrap_or_default();
        let answer = answer.split("\n\nOr: ").next().unwrap();
        let (first, body) = answer.split_once('\n').unwrap_or((answer, ""));
        let status =
            first.trim_start_matches(':').split_whitespace().next().and_then(|word| word.parse().ok());
        Self { command: command.to_owned(), status, body: body.to_owned() }
    }

    /// Runs it in a shell; status and body of the last answer.
    fn run(&self, daemon: &TestDaemon, seen: &Seen) -> (u16, String) {
        let command = self
            .command
            .replace("http://localhost:8000", &format!("http://127.0.0.1:{}", daemon.port))
            .replace("YOUR_TOKEN", TOKEN)
            .replace("Bearer TOKEN", &format!("Bearer {TOKEN}"))
            .replace("token-id", seen.text("id"))
            .replace("\"CODE\"", &format!("\"{}\"", seen.text("code")))
            .replace("ETAG", seen.text("etag"));
        let script = format!("curl() {{ command curl -sS -w '\\n%{{http_code}}\\n' \"$@\"; }}\n{command}\n");
        let mut shell = Command::new("bash");
        let output = shell.args(["-c", &script]).current_dir(daemon.folder.path()).output().unwrap();
        assert!(output.status.success(), "{command}: {}", text(&output.stderr));
        let output = text(&output.stdout);
        let (body, status) = output.trim_end().rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }
}

/// A printed body without what stands for more of the same.
fn sample(body: &str) -> Value {
    let kept: Vec<_> = body.lines().filter(|line| line.trim() != "...").collect();
    let joined = kept.join("\n").replace("[...]", "[]").replace(", ...]", "]");
    let closed = joined.replace(",\n  ]", "\n  ]").replace(",\n    ]", "\n    ]");
    let mut text = String::new();
    for line in closed.lines() {
        // A comma before a bracket was before "...".
        if line.trim_start().starts_with(['}', ']']) && text.trim_end().ends_with(',') {
            text.truncate(text.trim_end().len() - 1);
        }
        text.push_str(line);
        text.push('\n');
    }
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// Whether everything that is printed is there, and of the same kind.
fn covers(sample: &Value, found: &Value, at: &str) {
    match (sample, found) {
        (Value::Object(sample), Value::Object(found)) => {
            for (key, value) in sample {
                let found = found.get(key).unwrap_or_else(|| panic!("{at}.{key} is missing in {found:?}"));
                covers(value, found, &format!("{at}.{key}"));
            }
        }
        (Value::Array(sample), Value::Array(found)) => {
            if let Some(first) = sample.first() {
                let some = found.first().unwrap_or_else(|| panic!("{at} is empty"));
                covers(first, some, &format!("{at}[0]"));
            }
        }
        (Value::Null, _) | (_, Value::Null) => {}
        _ => {
            let same = std::mem::discriminant(sample) == std::mem::discriminant(found);
            assert!(same, "{at}: {sample} is printed, {found} was answered");
        }
    }
}

fn daemon() -> TestDaemon {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tenement.toml"), CONFIG).unwrap();
    fs::write(folder.path().join("app.py"), APP).unwrap();
    TestDaemon::start_in(folder, &["--token", TOKEN])
}

/// What every example but that of the spawn finds: an instance that runs and was checked.
fn prepare(daemon: &TestDaemon, command: &str) {
    if command.starts_with("curl -X POST http://localhost:8000/api/instances \\") {
        daemon.ten(&["stop", "api:user123"]);
        return;
    }
    daemon.ten(&["spawn", "api:user123"]);
    let wait = Example::read(
        "curl -H 'Authorization: Bearer TOKEN' \\\n http://localhost:8000/api/instances/api/user123/wait",
    );
    assert_eq!(wait.run(daemon, &Seen::default()).0, 200);
    if command.contains("/api/reload") {
        let changed = CONFIG.replace("python3 app.py", "python3 app.py -v");
        let file = daemon.folder.path().join("tenement.toml");
        fs::write(file, format!("{changed}[service.web]\ncommand = 'python3 app.py'\n")).unwrap();
    }
    if command.contains("/start ") {
        daemon.ok(&["stop", "--keep", "api:user123"]);
    }
}

#[test]
fn every_example_works_as_printed() {
    let daemon = daemon();
    let examples: Vec<_> = blocks("bash").into_iter().map(Example::read).collect();
    assert!(examples.len() > 20);
    let mut seen = Seen::default();
    for example in &examples {
        prepare(&daemon, &example.command);
        let (status, body) = example.run(&daemon, &seen);
        assert_eq!(status, example.status.unwrap_or(200), "{}\n{body}", example.command);
        if example.body.starts_with("# HELP") {
            let lines = example.body.lines().take(2);
            lines.for_each(|line| assert!(body.contains(line), "{line} is missing in {body}"));
        } else if !example.body.is_empty() {
            covers(&sample(&example.body), &serde_json::from_str(&body).unwrap(), &example.command);
        }
        seen.note(&body);
    }
}

#[test]
fn the_example_of_a_failure_is_what_is_answered() {
    let daemon = daemon();
    let missing = Example::read(
        "curl -H 'Authorization: Bearer TOKEN' \\\n http://localhost:8000/api/instances/api/user123",
    );
    let (status, body) = missing.run(&daemon, &Seen::default());
    let printed: Value = serde_json::from_str(blocks("json")[0]).unwrap();
    assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()), (404, printed));
}

#[test]
fn the_program_of_the_stream_prints_what_comes() {
    let daemon = daemon();
    prepare(&daemon, "");
    let program = blocks("javascript")[0]
        .replace("YOUR_TOKEN", TOKEN)
        .replace("localhost:8000", &format!("127.0.0.1:{}", daemon.port));
    let first = "const show = ws.onmessage; ws.onmessage = (event) => { show(event); process.exit(0); };";
    let mut node = Command::new("node");
    let output =
        node.args(["--experimental-websocket", "-e", &format!("{program}\n{first}")]).output().unwrap();
    let said = text(&output.stdout);
    assert_eq!(said, "[api:user123] database error connecting to pg\n", "{}", text(&output.stderr));
}

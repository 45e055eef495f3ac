use proptest::prelude::*;

use super::{Level, LevelSet, level_of};
use crate::line::Stream;

#[test]
fn a_minimum_is_a_set() {
    let set = LevelSet::at_least(Level::Warn);
    assert_eq!(Level::ALL.map(|level| set.contains(level)), [false, false, true, true]);
}

/// What a line says, whatever its stream.
fn says(line: &str) -> Option<Level> {
    let [out, err] = Stream::ALL.map(|stream| level_of(stream, line.as_bytes()));
    (out == err).then_some(out)
}

#[test]
fn loggers_are_understood() {
    use Level::{Debug, Error, Info, Warn};
    for (level, line) in [
        (Error, "error something"),
        (Warn, "warn  x"),
        (Warn, "Warning: x"),
        (Error, "fatal: not a repository"),
        (Error, "error[E0308]: mismatched types"),
        (Error, "\x1b[31mERROR\x1b[0m x"),
        // zap, zerolog, slog, tracing, env_logger, glog
        (Error, "2026-01-01T00:00:00Z\terror\tmain.go:12\tx"),
        (Info, "1767323045.123\tinfo\tx"),
        (Error, "10:00AM ERR x error=y"),
        (Warn, "2026/01/01 00:00:00 WARN x k=v"),
        (Error, "\x1b[2m2026-01-01T00:00:00Z\x1b[0m \x1b[31mERROR\x1b[0m \x1b[2mapp::db\x1b[0m: x"),
        (Info, "2026-01-01T00:00:00Z  INFO app::error: x"),
        (Warn, "[2026-01-01T00:00:00Z WARN  app] x"),
        (Warn, "W0102 15:04:05.678901 1 main.go:1] x"),
        // Python, Ruby, Java, .NET, Elixir
        (Error, "ERROR:root:x"),
        (Warn, "root:WARNING:x"),
        (Error, "2026-01-01 00:00:00,123 - app.db - ERROR - x"),
        (Warn, "2026-01-01 00:00:00,123 - app - warning - x"),
        (Error, "2026-01-01 00:00:00,123 app ERROR x"),
        (Error, "2026-01-01 00:00:00.123 | ERROR    | app:main:12 - x"),
        (Info, "[2026-01-01 00:00:00 +0000] [12] [INFO] x"),
        (Info, "[2026-01-01 00:00:00,123: INFO/MainProcess] x"),
        (Warn, "2026-01-01 00:00:00 [warning  ] x"),
        (Error, "E, [2026-01-01T00:00:00.000000 #12] ERROR -- app: x"),
        (Error, "12:34:56.789 [main] ERROR com.example.Main - x"),
        (Info, "2026-01-01T00:00:00.000Z  INFO 12 --- [main] c.e.Main : x"),
        (Error, "[12:00:00 ERR] x"),
        (Error, "[2026-01-01 00:00:00] production.ERROR: x"),
        (Error, "[2026-01-01 00:00:00] app ERROR x"),
        (Warn, "warn: Microsoft.Hosting[14]"),
        (Error, "00:00:00.000 [error] x"),
        // Servers
        (Error, "[Mon Jan 01 00:00:00.000000 2026] [core:error] [pid 1:tid 2] x"),
        (Info, "[Mon Jan 01 00:00:00.000000 2026] [mpm_event:notice] [pid 1:tid 2] x"),
        (Error, "2026/01/01 00:00:00 [error] 12#12: *1 x"),
        (Error, "2026-01-01 00:00:00.000 UTC [12] ERROR:  x"),
        (Error, "2026-01-01 00:00:00.000 CEST [12] app@db FATAL:  x"),
        (Warn, "2026-01-01T00:00:00.000000Z 0 [Warning] [MY-0001] [Server] x"),
        (Error, "Jan  1 00:00:00 host prog[12]: error: x"),
        (Error, "Jan  1 00:00:00 host prog[12]: error something"),
        (Warn, "web_1  | WARN x"),
        (Warn, "/srv/app.c:12:3: warning: x"),
        (Error, "x went wrong [error]"),
        // Fields
        (Warn, r#"{"msg":"error","level":"warn"}"#),
        (Debug, r#"{"level":20,"msg":"error"}"#),
        (Info, r#"msg="a level=error b" level=info"#),
        (Info, r#"msg="a \" level=error b" lvl="info" x=1"#),
        (Warn, r#"time=2026-01-01T00:00:00Z level=warning msg="an ERROR""#),
        (Error, "<11>1 2026-01-01T00:00:00Z host app"),
    ] {
        assert_eq!(says(line), Some(level), "{line}");
    }
}

#[test]
fn what_a_line_tells_is_not_its_level() {
    for line in [
        "hello",
        "",
        "user said ERROR loudly",
        "2026-01-01T00:00:00Z user said ERROR loudly",
        "Sat down ERROR loudly",
        "no error found",
        "5 error messages",
        "GET /error 200",
        "GET /x?level=error 200",
        r#"127.0.0.1 - - [01/Jan/2026:00:00:00 +0000] "GET / level=error HTTP/1.1" 200"#,
        r#"msg="a level=error b""#,
        "errors: 0",
        "error-prone code",
        "error.log is rotated",
        "std::io::Error is a type",
        "note: error in the third line",
        "Notice the gap",
        "alerts were sent [no error]",
        "level=errorless",
        "time: ERRORS",
    ] {
        assert_eq!(says(line), None, "{line}");
    }
    let far = format!("{:64}[ERROR] x", "a");
    assert_eq!(says(&far), None);
    assert_eq!(
        says(&format!("[{}] ERROR x", "é".repeat(55))),
        Some(Level::Error),
        "64 characters, not bytes"
    );
}

proptest! {
    #[test]
    fn no_line_makes_it_panic(line in prop::collection::vec(prop::sample::select(&b"aE1 \t:-|[]()<>\"\\=.\x1bm\xc3ERROR"[..]), 0..90)) {
        let _ = level_of(Stream::Stdout, &line);
    }
}

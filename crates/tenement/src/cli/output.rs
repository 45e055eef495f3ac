//! Standard output, which may be full or gone, and standard error, which may be too.

use std::io::{self, Write};

use serde_json::{Value, json};
use tenement_logs::inert;

use super::Failure;

/// Whether there is no standard output. A closed one is opened anew by Rust's runtime, as `/dev/null` for both
/// reading and writing; a shell's `>/dev/null` is for writing only.
pub(super) fn is_closed() -> bool {
    let read_write = |flags: rustix::fs::OFlags| flags.contains(rustix::fs::OFlags::RDWR);
    let out = io::stdout();
    let same = || {
        let (out, null) = (rustix::fs::fstat(&out).ok()?, rustix::fs::stat("/dev/null").ok()?);
        Some(out.st_rdev == null.st_rdev && out.st_mode == null.st_mode)
    };
    rustix::fs::fcntl_getfl(&out).is_ok_and(read_write) && same() == Some(true)
}

/// Writes to standard output; a failed write is a failure of the command.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    print_bytes(format!("{text}\n").as_bytes())
}

/// Writes to standard output what ends its last line itself.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// Writes a value to standard output, for programs.
pub(super) fn print_json(value: &Value) -> Result<(), Failure> {
    print(&serde_json::to_string_pretty(value).unwrap_or_default())
}

/// Writes a line to standard error. Nobody is left to tell when this fails too.
pub(super) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes a sentence that is no failure to standard error.
pub(super) fn warn(text: &str, as_json: bool) {
    note(&if as_json { json!({ "warning": text }).to_string() } else { format!("ten: {}", inert(text)) });
}

/// A text in an answer, as it may be shown on a terminal; empty where there is none.
pub(super) fn text(answer: &Value, key: &str) -> String {
    inert(answer[key].as_str().unwrap_or_default()).into_owned()
}

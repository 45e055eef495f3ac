//! How a command ends when it does not end well: one line on standard error, and an exit code.

use std::{borrow::Cow, io};

use serde_json::json;
use tenement_logs::inert;

use super::output;

/// How a command ends: a number for shells, a word for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exit {
    number: u8,
    word: Cow<'static, str>,
    /// The HTTP status, where the API refused.
    status: Option<u16>,
}

impl Exit {
    const fn new(number: u8, word: &'static str) -> Self {
        Self { number, word: Cow::Borrowed(word), status: None }
    }

    /// The code of another process that said itself what went wrong.
    pub(super) fn passed_on(number: u8) -> Self {
        Self::new(number, "failed")
    }

    /// What the API refused, with its own word and status.
    pub(super) fn refused(self, word: &str, status: u16) -> Self {
        Self { word: Cow::Owned(word.to_owned()), status: Some(status), ..self }
    }

    pub(super) fn number(&self) -> u8 {
        self.number
    }
}

/// Nobody reads what we write any more: no failure, but the end.
const EXIT_UNREAD: Exit = Exit::new(0, "unread");
/// Something went wrong that no other code says better.
pub(super) const EXIT_FAILURE: Exit = Exit::new(1, "failed");
/// Usage or configuration.
pub(super) const EXIT_CONFIG: Exit = Exit::new(2, "usage");
/// No such instance.
pub(super) const EXIT_NO_INSTANCE: Exit = Exit::new(3, "instance_not_found");
/// No such service.
pub(super) const EXIT_NO_SERVICE: Exit = Exit::new(3, "service_not_found");
/// It runs already.
pub(super) const EXIT_RUNNING: Exit = Exit::new(4, "conflict");
/// It did not happen in the time it was given.
pub(super) const EXIT_TIMEOUT: Exit = Exit::new(5, "timeout");
/// The caller may not.
pub(super) const EXIT_NOT_ALLOWED: Exit = Exit::new(6, "forbidden");
/// No daemon answers.
pub(super) const EXIT_UNREACHABLE: Exit = Exit::new(7, "unreachable");
/// The service's command does not exist; the number a shell uses.
pub(super) const EXIT_NO_COMMAND: Exit = Exit::new(127, "command_not_found");
/// Ended by Ctrl-C; the number a shell uses.
pub(super) const EXIT_INTERRUPTED: Exit = Exit::new(130, "interrupted");

/// All of them, the good end included.
#[cfg(test)]
pub(super) const ALL: [Exit; 10] = [
    EXIT_UNREAD,
    EXIT_FAILURE,
    EXIT_CONFIG,
    EXIT_NO_INSTANCE,
    EXIT_RUNNING,
    EXIT_TIMEOUT,
    EXIT_NOT_ALLOWED,
    EXIT_UNREACHABLE,
    EXIT_NO_COMMAND,
    EXIT_INTERRUPTED,
];

/// What ends a command: one line on standard error that says what to do next, and an exit code.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: Exit,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn config(error: impl ToString) -> Self {
        Self { code: EXIT_CONFIG, message: error.to_string() }
    }

    pub(super) fn general(error: impl ToString) -> Self {
        Self { code: EXIT_FAILURE, message: error.to_string() }
    }

    /// What was told already: only the code is left.
    pub(super) fn told(code: Exit) -> Self {
        Self { code, message: String::new() }
    }

    pub(super) fn tell(&self, as_json: bool) {
        if self.code == EXIT_UNREAD || self.message.is_empty() {
            return;
        }
        output::note(&if as_json { self.json() } else { self.line() });
    }

    /// One line. The message may quote what an app printed, so nothing in it is obeyed by a terminal.
    pub(super) fn line(&self) -> String {
        let lines: Vec<_> = self.message.lines().map(inert).collect();
        format!("ten: {}", lines.join(" | "))
    }

    fn json(&self) -> String {
        json!({
            "error": self.code.word,
            "message": self.message,
            "status": self.code.status,
            "exit_code": self.code.number,
        })
        .to_string()
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // Who reads our output has seen enough: `ten config | head -1` is no failure.
        let unread = error.kind() == io::ErrorKind::BrokenPipe;
        let code = if unread { EXIT_UNREAD } else { EXIT_FAILURE };
        let room = if error.kind() == io::ErrorKind::StorageFull { "make room, or " } else { "" };
        Self { code, message: format!("can't write the output: {error}: {room}write it elsewhere") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // faults: L6
    #[test]
    fn a_failure_is_one_line_that_a_terminal_does_not_obey() {
        let failure = Failure::general("it said:\n\x1b[31mred\r\nand more\n");
        assert_eq!(failure.line(), "ten: it said: | ^[[31mred | and more");
    }

    #[test]
    fn for_programs_the_words_of_the_api_are_kept() {
        let code = EXIT_FAILURE.refused("service_unavailable", 503);
        let failure = Failure { code, message: "no \"room\"".into() };
        let told: serde_json::Value = serde_json::from_str(&failure.json()).unwrap();
        let expected = json!({
            "error": "service_unavailable", "message": "no \"room\"", "status": 503, "exit_code": 1
        });
        assert_eq!(told, expected);
    }

    // faults: L3
    #[test]
    fn only_a_reader_that_went_away_is_no_failure() {
        let code = |kind: io::ErrorKind| Failure::from(io::Error::from(kind)).code.number();
        assert_eq!((code(io::ErrorKind::BrokenPipe), code(io::ErrorKind::StorageFull)), (0, 1));
    }
}

//! Why an instance is what it is, as it is told to whom: where the operator's programs are is nothing to a tenant.

use super::Caller;

/// How a reason goes on that begins with the command, in quotes (the supervisor's `launch/words.rs`).
const ABOUT_COMMAND: [&str; 5] = [
    "' can't run: ",
    "' is not executable: ",
    "' is a directory, not a command",
    "' is not a program for this machine: ",
    "' is being written to ",
];
const NOT_FOUND: &str = "command not found: '";

/// A reason as `caller` may read it: to those who are bound, without the command.
pub(super) fn seen_by(caller: &Caller, reason: String) -> String {
    if caller.is_bound() { without_command(&reason) } else { reason }
}

fn without_command(reason: &str) -> String {
    // What was said before it and after it stays: that it is tried again, or not.
    if let Some((before, after)) = reason.split_once(NOT_FOUND) {
        let rest = after.find("; ").map_or("", |at| &after[at..]);
        return format!("{before}its command was not found{rest}");
    }
    let found = ABOUT_COMMAND.iter().find_map(|words| reason.find(words));
    let command = found.and_then(|end| Some((reason[..end].find('\'')?, end + 1)));
    match command {
        Some((begin, end)) => format!("{}its command{}", &reason[..begin], &reason[end..]),
        None => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // faults: A17
    #[test]
    fn where_a_command_is_is_not_told() {
        for (reason, told) in [
            ("command not found: '/opt/secret-dir/app'", "its command was not found"),
            ("command not found: 'app' in the PATH of its environment", "its command was not found"),
            (
                "command not found: '/opt/x'; started again after 2 s",
                "its command was not found; started again after 2 s",
            ),
            ("'/opt/x/app' is not executable: chmod +x it", "its command is not executable: chmod +x it"),
            (
                "'/opt/x' can't run: the interpreter 'python9' of its first line does not exist",
                "its command can't run: the interpreter 'python9' of its first line does not exist",
            ),
            ("'a.sock' is in use by another process", "'a.sock' is in use by another process"),
            ("idle for 5 s", "idle for 5 s"),
        ] {
            assert_eq!(without_command(reason), told);
        }
    }
}

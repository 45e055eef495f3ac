//! What `ten` says of itself.

use std::process::{Command, Stdio};

use crate::support::{ten, text};

/// In a folder without anything, a hundred columns wide.
fn said(arguments: &[&str], columns: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command: Command = ten(folder.path(), arguments);
    let output = command.env("COLUMNS", columns).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Every command, as the help lists them.
fn commands() -> Vec<String> {
    let help = said(&["--help"], "100");
    let list = help.split("\nCommands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    list.lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

fn snapshot(name: &str, arguments: &[&str]) {
    let of = |flag: &str| {
        let all = [arguments, &[flag]].concat();
        let help = said(&all, "100");
        // What is on the line after the name of a variable is for the eye only.
        let lines: Vec<_> = help.lines().map(str::trim_end).collect();
        format!("$ ten {}\n{}\n", all.join(" "), lines.join("\n"))
    };
    let both = format!("{}\n{}", of("-h"), of("--help"));
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(format!("help-{name}"), both));
}

#[test]
fn the_help_of_every_command_is_as_it_was_agreed_on() {
    snapshot("ten", &[]);
    for command in commands() {
        if command != "help" {
            snapshot(&command, &[&command]);
        }
    }
}

// faults: L1 L6
#[test]
fn help_fits_into_a_narrow_terminal_and_has_no_escapes() {
    for command in commands() {
        let narrow = said(&["help", &command], "20");
        assert!(!narrow.contains('\x1b') && narrow.contains("Usage:"), "{command}");
    }
    assert_eq!(said(&["help", "ls"], "100"), said(&["ps", "--help"], "100"));
}

#[test]
fn completions_are_made_for_every_shell_and_know_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = said(&["completions", shell], "100");
        assert!(commands().iter().all(|command| script.contains(command.as_str())), "{shell}");
    }
    let script = said(&["completions", "bash"], "100");
    let mut bash = Command::new("bash");
    let completed =
        "COMP_WORDS=(ten token-); COMP_CWORD=1; _ten ten token- ten; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let output = bash.args(["-c", &format!("{script}\n{completed}")]).output().unwrap();
    assert_eq!(text(&output.stdout), "token-gen\ntoken-revoke\n", "{}", text(&output.stderr));
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(crate::support::run(folder.path(), &["completions", "dos"]).status.code(), Some(2));
}

#[test]
fn there_is_a_manual_page_of_ten_and_of_every_command() {
    let page = said(&["man"], "100");
    assert!(page.contains(".TH ten 1") && page.contains("ten\\-token\\-revoke(1)"), "{page}");
    for command in commands() {
        if command != "help" {
            let page = said(&["man", &command], "100");
            let title = format!(".TH ten-{command} 1");
            assert!(
                page.contains(&title)
                    && page.contains(&format!(".SH EXAMPLES\n.nf\nten {}", command.replace('-', "\\-"))),
                "{page}"
            );
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let unknown = crate::support::run(folder.path(), &["man", "nothing"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("'ten help'"));
}

//! The command line and its documentation say the same.

use std::collections::{BTreeMap, BTreeSet};

use clap::Command;

use super::*;

const DOCS: &str = include_str!("../../../../docs/cli.md");

/// What is told of one command, or of all of them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    /// `--watch`, `-w`.
    flags: BTreeSet<String>,
    /// Whether arguments without a name follow.
    takes: bool,
}

/// What a command takes itself, without what every command takes.
fn parsed(command: &Command) -> Said {
    let own = command
        .get_arguments()
        .filter(|arg| !arg.is_global_set() && !matches!(arg.get_id().as_str(), "help" | "version"));
    let mut said = Said::default();
    for arg in own {
        said.takes |= arg.is_positional();
        said.flags.extend(arg.get_long().map(|long| format!("--{long}")));
        said.flags.extend(arg.get_short().map(|short| format!("-{short}")));
    }
    said
}

/// The flags in the first cells of a section's tables.
fn flags(section: &str) -> BTreeSet<String> {
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `-")?.split(" | ").next());
    let cells = cells.map(|cell| format!("`-{cell}"));
    cells
        .flat_map(|cell| {
            let quoted: Vec<String> = cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            quoted.into_iter().filter_map(|code| code.split(' ').next().map(str::to_owned))
        })
        .collect()
}

/// Every section `### ten …`.
fn documented() -> BTreeMap<String, Said> {
    let sections = DOCS.split("\n### `ten ").skip(1).map(|section| {
        let (heading, rest) = section.split_once("`\n").unwrap();
        let body = rest.split("\n## ").next().unwrap();
        let (name, takes) = heading.split_once(' ').map_or((heading, false), |(name, _)| (name, true));
        (name.to_owned(), Said { flags: flags(body), takes })
    });
    sections.collect()
}

#[test]
fn the_command_tree_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_and_every_flag_is_documented_and_nothing_else_is() {
    let mut ten = Cli::command();
    ten.build();
    let known: BTreeMap<String, Said> =
        ten.get_subcommands().map(|verb| (verb.get_name().to_owned(), parsed(verb))).collect();
    let documented = documented();
    let (known_names, names): (Vec<_>, Vec<_>) = (known.keys().collect(), documented.keys().collect());
    assert_eq!(names, known_names, "sections of docs/cli.md");
    for (name, said) in &known {
        // Its one argument is clap's own.
        if name != "help" {
            assert_eq!(&documented[name], said, "{name}");
        }
    }
    for verb in ten.get_subcommands() {
        let aliases = verb.get_all_aliases().map(|alias| format!("`ten {alias}`"));
        assert!(aliases.into_iter().all(|alias| DOCS.contains(&alias)), "{}", verb.get_name());
    }
}

#[test]
fn what_goes_with_every_command_is_documented() {
    let section =
        DOCS.split("\n## With every command").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let mut ten = Cli::command();
    ten.build();
    let mut known = BTreeSet::new();
    for arg in ten.get_arguments() {
        known.extend(arg.get_long().map(|long| format!("--{long}")));
        known.extend(arg.get_short().map(|short| format!("-{short}")));
        let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned());
        assert!(variable.is_none_or(|name| section.contains(&name)), "{}", arg.get_id());
    }
    assert_eq!(flags(section), known);
}

#[test]
fn every_exit_code_is_documented() {
    let section = DOCS.split("\n## Exit codes").nth(1).unwrap();
    let told: Vec<&str> =
        section.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()).collect();
    let codes = failure::ALL.map(|exit| exit.number().to_string());
    assert_eq!(told[1..], codes);
    let help = Cli::command().render_help().to_string();
    assert!(codes.iter().all(|code| help.contains(&format!("{code} "))));
}

#[test]
fn every_command_explains_itself() {
    for verb in Cli::command().get_subcommands() {
        let name = verb.get_name();
        assert!(verb.get_about().is_some() && verb.get_long_about().is_some(), "{name}: what it does");
        let after = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(after.contains(&format!("  ten {name}")), "{name}: an example");
        assert!(after.lines().all(|line| line.len() <= 100), "{name}: lines that are broken anew");
        assert!(verb.get_arguments().all(|arg| arg.get_help().is_some()), "{name}: its arguments");
    }
}

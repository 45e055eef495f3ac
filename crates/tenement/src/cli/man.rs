//! `ten man`.

use std::io::Write;

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use super::{Cli, Failure, output};

#[derive(Args)]
#[command(after_help = "Examples:\n  ten man | man -l -\n  ten man spawn | man -l -\n  \
    ten man > ~/.local/share/man/man1/ten.1\n  ten man spawn > ~/.local/share/man/man1/ten-spawn.1")]
pub(super) struct ManPage {
    /// The command the page is about [default: ten itself]
    command: Option<String>,
}

impl ManPage {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut ten = Cli::command();
        ten.build();
        let page = match &self.command {
            None => ten,
            Some(name) => of_verb(&ten, name)?,
        };
        output::print_bytes(&roff(&page)?)
    }
}

fn of_verb(ten: &Command, name: &str) -> Result<Command, Failure> {
    let Some(verb) = ten.find_subcommand(name).filter(|verb| verb.get_name() != "help") else {
        let shown = name.escape_debug();
        return Err(Failure::config(format!("there is no command '{shown}': see them with 'ten help'")));
    };
    let title = format!("ten-{}", verb.get_name());
    Ok(verb.clone().display_name(title))
}

/// The page. What stands at the end of the help keeps its lines.
fn roff(command: &Command) -> Result<Vec<u8>, Failure> {
    let version = concat!("ten ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).source(version).manual("tenement");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        writeln!(page, ".SH COMMANDS")?;
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            writeln!(page, ".TP\n{}(1)\n{}", plain(&format!("ten-{}", verb.get_name())), plain(&about))?;
        }
    }
    let notes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (examples, rest) = notes.split_once("\n\n").unwrap_or((&notes, ""));
    let examples: Vec<&str> =
        examples.lines().skip(1).map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
    writeln!(page, ".SH EXAMPLES\n.nf\n{}\n.fi", plain(&examples.join("\n")))?;
    if !rest.is_empty() {
        writeln!(page, ".SH NOTES\n.nf\n{}\n.fi", plain(rest))?;
    }
    Ok(page)
}

/// A text, with nothing in it that roff would obey.
fn plain(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
        if line.starts_with('.') { format!("\\&{line}") } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_obeyed() {
        assert_eq!(plain(".x\n'y'\na\\-b"), "\\&.x\n\\(aqy\\(aq\na\\e\\-b");
    }
}

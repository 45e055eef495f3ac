//! `ten man`.

use clap::{Args, CommandFactory};
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
        let mut roff = Vec::new();
        Man::new(page)
            .source(concat!("ten ", env!("CARGO_PKG_VERSION")))
            .manual("tenement")
            .render(&mut roff)?;
        output::print_bytes(&roff)
    }
}

fn of_verb(ten: &clap::Command, name: &str) -> Result<clap::Command, Failure> {
    let Some(verb) = ten.find_subcommand(name).filter(|verb| verb.get_name() != "help") else {
        let shown = name.escape_debug();
        return Err(Failure::config(format!("there is no command '{shown}': see them with 'ten help'")));
    };
    let title = format!("ten-{}", verb.get_name());
    Ok(verb.clone().display_name(title))
}

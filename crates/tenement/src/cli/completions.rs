//! `ten completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Failure, output};

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ten completions bash > ~/.local/share/bash-completion/completions/ten\n  \
    ten completions zsh > ~/.zfunc/_ten\n  ten completions fish > ~/.config/fish/completions/ten.fish\n  \
    source <(ten completions bash)      only for this shell"
)]
pub(super) struct Completions {
    /// The shell to write it for
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "ten", &mut script);
        output::print_bytes(&script)
    }
}

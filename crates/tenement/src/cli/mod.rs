//! The command line. One file per verb.

mod config;
mod init;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};

/// Usage or configuration: the exit code for both.
const EXIT_CONFIG: u8 = 2;

/// Runs one process per tenant, wakes it when a request comes, lets it sleep when none does.
#[derive(Parser)]
#[command(name = "ten", version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Args)]
struct Global {
    /// The configuration [default: tenement.toml here or above, else /etc/tenement/tenement.toml]
    #[arg(long, global = true, env = "TENEMENT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON, also for errors
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Show the configuration in force, or check a file
    Config(config::Config),
    /// Write a commented tenement.toml for the app in this folder
    Init(init::Init),
}

/// What ends a command: one line on standard error that says what to do next, and an exit code.
#[derive(Debug)]
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn config(error: impl ToString) -> Self {
        Self { code: EXIT_CONFIG, message: error.to_string() }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // Who reads our output has seen enough: `ten config | head -1` is no failure.
        let code = u8::from(error.kind() != io::ErrorKind::BrokenPipe);
        Self { code, message: format!("can't write the output: {error}") }
    }
}

/// Runs the command of this process's arguments.
pub(crate) fn run() -> ExitCode {
    let Cli { global, verb } = Cli::parse();
    let done = match verb {
        Verb::Config(config) => config.run(&global),
        Verb::Init(init) => init.run(),
    };
    let Err(failure) = done else { return ExitCode::SUCCESS };
    if failure.code > 0 {
        let text = if global.json {
            serde_json::json!({ "error": failure.message, "exit_code": failure.code }).to_string()
        } else {
            format!("ten: {}", failure.message)
        };
        // Nobody is left to tell when this fails too.
        let _ = writeln!(io::stderr(), "{text}");
    }
    ExitCode::from(failure.code)
}

/// Writes to standard output; a failed write is a failure of the command.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

//! The command line. One file per verb; all but `serve`, `config` and `init` ask a daemon over its API.
//!
//! Exit codes, in one place: [`Failure`] and [`client::Error`].

mod client;
mod config;
mod health;
mod init;
mod instance;
mod logs;
mod ps;
mod restart;
mod serve;
mod spawn;
mod status;
mod stop;
mod table;
mod token_gen;

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};

/// Something went wrong that no other code says better.
const EXIT_FAILURE: u8 = 1;
/// Usage or configuration: the exit code for both.
const EXIT_CONFIG: u8 = 2;
/// It did not happen in the time it was given.
const EXIT_TIMEOUT: u8 = 5;

/// Runs one process per tenant, wakes it when a request comes, lets it sleep when none does.
#[derive(Parser)]
#[command(
    name = "ten",
    version,
    arg_required_else_help = true,
    after_help = "Begin with:\n  ten init     write a tenement.toml for the app in this folder\n  \
        ten serve    run it\n\n\
        Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 no such instance, 4 already running,\n\
        5 timeout, 6 not allowed, 7 daemon not reachable, 127 the service's command not found."
)]
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
    /// Where the daemon keeps its state [default: the configuration's]
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Ask the daemon at this URL instead of the local one
    #[arg(long, global = true, env = "TENEMENT_SERVER", value_name = "URL")]
    server: Option<String>,
    /// The API token [default: the file api_token in the data directory]
    #[arg(long, global = true, env = "TENEMENT_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Print JSON, also for errors (on standard error)
    #[arg(long, global = true)]
    json: bool,
    /// Say more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Say only what went wrong
    #[arg(short, long, global = true)]
    quiet: bool,
    /// No colours; also with NO_COLOR, TERM=dumb, and where the output is no terminal
    #[arg(long, global = true)]
    no_color: bool,
}

impl Global {
    fn colours(&self, out: &impl IsTerminal) -> bool {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        !self.no_color && !self.json && !set("NO_COLOR") && !dumb && out.is_terminal()
    }

    /// A sentence for people; nothing with `--quiet` or `--json`.
    fn say(&self, text: &str) -> Result<(), Failure> {
        if self.quiet || self.json { Ok(()) } else { print(text) }
    }
}

#[derive(Subcommand)]
enum Verb {
    /// Run the daemon: tenants, API, dashboard
    Serve(serve::Serve),
    /// Make an instance known and start it
    Spawn(spawn::Spawn),
    /// End instances
    Stop(stop::Stop),
    /// End and start instances
    Restart(restart::Restart),
    /// List instances
    #[command(alias = "ls")]
    Ps(ps::Ps),
    /// Say how an instance is; exit code 0 only when it is well
    Health(health::HealthOf),
    /// Show what instances printed
    Logs(logs::Logs),
    /// Show the daemon's own state
    Status(status::Status),
    /// Show the configuration in force, or check a file
    Config(config::Config),
    /// Write a commented tenement.toml for the app in this folder
    Init(init::Init),
    /// Make an API token
    TokenGen(token_gen::TokenGen),
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

    fn general(error: impl ToString) -> Self {
        Self { code: EXIT_FAILURE, message: error.to_string() }
    }

    fn tell(&self, as_json: bool) {
        if self.code == 0 {
            return;
        }
        let text = if as_json {
            json!({ "error": self.message, "exit_code": self.code }).to_string()
        } else {
            format!("ten: {}", self.message)
        };
        // Nobody is left to tell when this fails too.
        let _ = writeln!(io::stderr(), "{text}");
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
    if std::env::args_os().any(|argument| argument.to_string_lossy().starts_with("--token")) {
        eprintln!("ten: --token can be seen by everybody in 'ps': better set TENEMENT_TOKEN");
    }
    let done = match verb {
        Verb::Serve(serve) => serve.run(&global),
        Verb::Spawn(spawn) => spawn.run(&global),
        Verb::Stop(stop) => stop.run(&global),
        Verb::Restart(restart) => restart.run(&global),
        Verb::Ps(ps) => ps.run(&global),
        Verb::Health(health) => health.run(&global),
        Verb::Logs(logs) => logs.run(&global),
        Verb::Status(status) => status.run(&global),
        Verb::Config(config) => config.run(&global),
        Verb::Init(init) => init.run(),
        Verb::TokenGen(token_gen) => token_gen.run(&global),
    };
    let Err(failure) = done else { return ExitCode::SUCCESS };
    failure.tell(global.json);
    ExitCode::from(failure.code)
}

/// A number of seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=1e9).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "must be a number of seconds".to_owned())
}

/// Writes to standard output; a failed write is a failure of the command.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Writes a value to standard output, for programs.
fn print_json(value: &Value) -> Result<(), Failure> {
    print(&serde_json::to_string_pretty(value).unwrap_or_default())
}

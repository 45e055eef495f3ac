//! The command line. One file per verb; all but `serve`, `config` and `init` ask a daemon over its API.
//!
//! Exit codes, in one place: [`failure`].

mod backup;
mod client;
mod completions;
mod config;
mod dashboard;
mod events;
mod failure;
mod follow;
mod grant;
mod health;
mod init;
mod instance;
mod logs;
mod man;
mod metrics;
mod output;
mod progress;
mod ps;
mod query;
mod reload;
mod restart;
mod restore;
mod retention;
mod screen;
mod serve;
mod service;
mod spawn;
mod status;
mod stop;
mod table;
mod token_gen;
mod token_revoke;
mod tokens;
mod top;
mod upgrade;
mod wait;
mod watch;

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{
    Args, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand,
    builder::{OsStringValueParser, TypedValueParser},
    parser::ValueSource,
};
use failure::{EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_UNREACHABLE, Failure};
use output::{print, print_json};
use tenement_runtime::keeper;

/// Runs one process per tenant, wakes it when a request comes, lets it sleep when none does.
#[derive(Parser)]
#[command(
    name = "ten",
    version,
    arg_required_else_help = true,
    after_help = "Begin with:\n  ten init     write a tenement.toml for the app in this folder\n  \
        ten serve    run it\n\n\
        Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 no such instance, 4 already running,\n\
        5 timeout, 6 not allowed, 7 daemon not reachable, 127 the service's command not found,\n\
        130 interrupted.\n\n\
        Errors are one line on standard error. With --json that is an object: error (a word), message,\n\
        status (of the API's answer, or null), exit_code. Warnings there are objects with: warning."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Args)]
#[cfg_attr(test, derive(Default))]
#[command(next_help_heading = "With every command")]
struct Global {
    /// The configuration [default: tenement.toml here or above, else /etc/tenement/tenement.toml]
    #[arg(long, global = true, env = "TENEMENT_CONFIG", value_name = "FILE", value_parser = path())]
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
    #[arg(short, long, global = true, conflicts_with = "verbose")]
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

    /// A variable that is set to nothing is not set.
    fn forget_empty(&mut self) {
        self.config.take_if(|config| config.as_os_str().is_empty());
        self.server.take_if(|server| server.trim().is_empty());
        self.token.take_if(|token| token.trim().is_empty());
    }

    /// A sentence on standard error that is no failure.
    fn warn(&self, text: &str) {
        if !self.quiet {
            self.alarm(text);
        }
    }

    /// One that also those have to hear who want to hear only what went wrong.
    fn alarm(&self, text: &str) {
        output::warn(text, self.json);
    }

    /// Of several things to do one failed: that is told in its turn, and the first one's code is kept for the
    /// end. Whether it makes sense to go on.
    fn go_on(&self, failure: Failure, first: &mut Result<(), Failure>) -> bool {
        let is_over = [EXIT_INTERRUPTED, EXIT_UNREACHABLE].contains(&failure.code);
        failure.tell(self.json);
        if first.is_ok() || is_over {
            *first = Err(Failure::told(failure.code));
        }
        !is_over
    }

    /// A sentence for people; nothing with `--quiet` or `--json`.
    fn say(&self, text: &str) -> Result<(), Failure> {
        if self.quiet || self.json { Ok(()) } else { print(text) }
    }
}

#[derive(Subcommand)]
enum Verb {
    /// Run the daemon: tenants, API, dashboard
    ///
    /// Stays in the foreground. The first start makes an API token, prints it once and saves it as api_token in
    /// the data directory; a token given by --token or TENEMENT_TOKEN is taken instead.
    Serve(serve::Serve),
    /// Make an instance known and start it
    ///
    /// Returns when it is ready: its socket accepts and, where the service has a health check, the first
    /// one was good. An instance that is known but asleep, stopped or failed is started again.
    Spawn(spawn::Spawn),
    /// End instances
    ///
    /// Returns when every process of the instance is gone. The instance is forgotten, so that requests no
    /// longer wake it; its data and its logs stay. Goes on after a failure; the first one is the exit code.
    Stop(stop::Stop),
    /// End and start instances
    ///
    /// Returns when the daemon took it on, or with --wait when they run again. A sleeping instance is started.
    /// Goes on after a failure; the first one is the exit code.
    Restart(restart::Restart),
    /// List instances
    ///
    /// All that are known: also those that sleep, are stopped or failed.
    #[command(alias = "ls")]
    Ps(ps::Ps),
    /// Say how an instance is; exit code 0 only when it is well
    ///
    /// The word is that of the service's health check: healthy, degraded, unhealthy, or unknown when there
    /// was none yet or the service has none.
    Health(health::HealthOf),
    /// Show what instances printed
    ///
    /// The newest lines, oldest first: time, instance, level, message. Also of instances that were stopped, as
    /// long as their logs are kept.
    Logs(Box<logs::Logs>),
    /// Show what happened to instances
    ///
    /// Every change of an instance's state, the newest last: what it was and became, what brought it about, who
    /// asked for it, and how its process ended.
    Events(events::Events),
    /// Show how much of the logs is kept, or change it
    ///
    /// With --apply, what tenement.toml says now of log_retention, log_max_size, log_rate_limit and
    /// log_disk_full holds, without a restart.
    Retention(retention::Retention),
    /// Take the configuration file anew, without a restart of the daemon
    ///
    /// What the file says now holds, as a whole: services and instances come and go, and what runs is restarted only
    /// where it is started in another way. A file with errors changes nothing.
    Reload(reload::Reload),
    /// Let another process take over, of a new release for instance
    ///
    /// No request fails, and no instance is restarted. One that can't run changes nothing.
    Upgrade(upgrade::Upgrade),
    /// Show what instances use and do
    ///
    /// Memory, processor time, requests, errors and health checks of every instance or of one.
    Metrics(metrics::Metrics),
    /// Show instances live, sorted by what they use
    ///
    /// A table that fills the terminal and is renewed every second.
    Top(top::Top),
    /// Print a link that opens the dashboard
    ///
    /// For the machine itself, where nobody needs a token: whoever opens the link is signed in.
    Dashboard(dashboard::Dashboard),
    /// Save what the daemon keeps for itself in one file
    ///
    /// While it runs: instances, tokens, history. Not logs, and not the data of instances.
    Backup(backup::Backup),
    /// Put a backup back
    ///
    /// With no daemon running. What is there is kept aside; all of it or nothing is put in place.
    Restore(restore::Restore),
    /// Show the daemon's own state
    ///
    /// Its version, how long it runs, what its instances use, and which limits can be enforced here.
    Status(status::Status),
    /// Show the configuration in force, or check a file
    ///
    /// As JSON, with every default filled in; values of variables with secret-looking names are hidden. Reads the
    /// file and asks no daemon.
    Config(config::Config),
    /// Write a commented tenement.toml for the app in this folder
    ///
    /// Guesses the command from what lies there: Python, Node, Go or Rust. Never overwrites a file.
    Init(init::Init),
    /// Make an API token
    ///
    /// The token alone goes to standard output, everything else to standard error.
    TokenGen(token_gen::TokenGen),
    /// List API tokens
    ///
    /// What each may do, for whom it is, when it was last used and when it expires.
    Tokens(tokens::Tokens),
    /// Revoke an API token
    ///
    /// From then on it opens nothing. Other tokens are not touched.
    TokenRevoke(token_revoke::TokenRevoke),
    /// Print a script that completes commands and options in a shell
    ///
    /// It goes to standard output: put it where the shell looks for such scripts.
    Completions(completions::Completions),
    /// Print the manual page, as roff
    ///
    /// Of ten itself, or of one of its commands; 'man -l -' shows it.
    Man(man::ManPage),
}

/// Runs the command of this process's arguments.
pub(crate) fn run() -> ExitCode {
    let plain = said("--no-color") || said("--json");
    let command = Cli::command().color(if plain { ColorChoice::Never } else { ColorChoice::Auto });
    let parsed = command.try_get_matches().and_then(|mut matches| {
        let source = matches.value_source("token");
        Cli::from_arg_matches_mut(&mut matches).map(|cli| (cli, source))
    });
    let (Cli { mut global, verb }, token_from) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return usage(&error),
    };
    global.forget_empty();
    // The keeper says it, and the daemon it starts with the same arguments does not.
    if token_from == Some(ValueSource::CommandLine) && std::env::var_os(keeper::VARIABLE).is_none() {
        global.warn("--token can be seen by everybody in 'ps': better set TENEMENT_TOKEN");
    }
    let done = match verb {
        Verb::Serve(serve) => serve.run(&global),
        Verb::Spawn(spawn) => spawn.run(&global),
        Verb::Stop(stop) => stop.run(&global),
        Verb::Restart(restart) => restart.run(&global),
        Verb::Ps(ps) => ps.run(&global),
        Verb::Health(health) => health.run(&global),
        Verb::Logs(logs) => logs.run(&global),
        Verb::Events(events) => events.run(&global),
        Verb::Retention(retention) => retention.run(&global),
        Verb::Reload(reload) => reload.run(&global),
        Verb::Upgrade(upgrade) => upgrade.run(&global),
        Verb::Metrics(metrics) => metrics.run(&global),
        Verb::Top(top) => top.run(&global),
        Verb::Status(status) => status.run(&global),
        Verb::Dashboard(dashboard) => dashboard.run(&global),
        Verb::Backup(status) => status.run(&global),
        Verb::Restore(status) => status.run(&global),
        Verb::Config(config) => config.run(&global),
        Verb::Init(init) => init.run(&global),
        Verb::TokenGen(token_gen) => token_gen.run(&global),
        Verb::Tokens(tokens) => tokens.run(&global),
        Verb::TokenRevoke(token_revoke) => token_revoke.run(&global),
        Verb::Completions(completions) => completions.run(),
        Verb::Man(man) => man.run(),
    };
    let Err(failure) = done else { return ExitCode::SUCCESS };
    failure.tell(global.json);
    ExitCode::from(failure.code.number())
}

/// Whether an option is among the arguments, also when they are wrong as a whole.
fn said(option: &str) -> bool {
    std::env::args_os().skip(1).take_while(|word| word != "--").any(|word| word == option)
}

/// What clap has to say: help and version on standard output, wrong usage on standard error.
fn usage(error: &clap::Error) -> ExitCode {
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    let as_json = said("--json");
    if error.use_stderr() && as_json {
        Failure::config(words_of(&error.to_string())).tell(true);
        return ExitCode::from(code);
    }
    match error.print() {
        Err(failed) if failed.kind() != io::ErrorKind::BrokenPipe => {
            let failure = Failure::from(failed);
            failure.tell(as_json);
            ExitCode::from(failure.code.number())
        }
        _ => ExitCode::from(code),
    }
}

/// What clap says of wrong usage, without the usage itself, on one line: what is missing, what is possible, tips.
fn words_of(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let end = ["\n\nUsage:", "\n\nFor more information"].iter().filter_map(|mark| text.find(mark)).min();
    let lines = text[..end.unwrap_or(text.len())].lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

/// A path, perhaps an empty one: that is a variable that is not set.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// A number of seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=1e9).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "must be a number of seconds".to_owned())
}

#[cfg(test)]
mod tests;

//! `ten serve`: the daemon.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use tenement::{
    daemon,
    flags::Flags,
    in_effect::{self, Next, Text},
};
use tenement_core::config::{Config, Diagnostic, Plan};
use tenement_runtime::keeper::{self, Inheritance, Link, Offer};
use tracing_subscriber::EnvFilter;

use super::{EXIT_FAILURE, Failure, Global, failure::Exit, output::note};
use crate::config_file;

#[derive(Args)]
#[command(after_help = "Examples:\n  ten serve\n  ten serve --port 9000 --data-dir ./data\n  \
    TENEMENT_TOKEN=... ten serve      choose the API token\n\n\
    SIGTERM, SIGQUIT or Ctrl-C lets requests finish and ends every instance; a second one hurries.\n\
    SIGHUP is 'ten upgrade'.\n\
    Exit codes: 0 ended as asked, 1 could not start, 2 the configuration or the usage is wrong.")]
pub(super) struct Serve {
    /// The port of API, dashboard and tenant traffic [default: 8000]
    #[arg(long)]
    port: Option<u16>,
    /// The address to listen on: an IP address, or localhost
    #[arg(long)]
    host: Option<String>,
    /// Instances are reached at {id}.{service}.{domain}
    #[arg(long)]
    domain: Option<String>,
    /// Refuse to start on warnings too
    #[arg(long)]
    strict: bool,
}

impl Serve {
    /// The keeper is this program too, and so is the daemon it starts.
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        match Link::from_env() {
            Some(offer) if offer.succeeds() => self.succeed(global, offer),
            Some(offer) => self.serve(global, offer),
            None => keep(),
        }
    }

    fn serve(&self, global: &Global, offer: Offer) -> Result<(), Failure> {
        let flags = self.flags(global)?;
        let (keeper, mut kept) = accept(offer)?;
        let mut next = None;
        let mut config = match in_effect::take(&mut kept) {
            Some((text, log_keys)) => as_it_was(&text, log_keys.as_ref())?,
            None => {
                let (config, read) = self.config(global, "nothing was started", global.json)?;
                next = Some(Next::Keep(read));
                config
            }
        };
        flags.apply(&mut config);
        run(global, config, flags, next, keeper, kept)
    }

    /// Takes the place of a daemon that runs, once it is clear that this one could run. It begins with what was in effect, so
    /// that instances go on; what the file says otherwise is taken as by `ten reload` once it serves.
    fn succeed(&self, global: &Global, offer: Offer) -> Result<(), Failure> {
        let prepared = || {
            let flags = self.flags(global)?;
            // Who asked for it sees nothing else of this process.
            let (mut config, text) = self.config(global, "nothing has changed", true)?;
            flags.apply(&mut config);
            daemon::check(&config, offer.keeper()).map_err(|error| Failure::general(error.to_string()))?;
            Ok((flags, config, text))
        };
        let (flags, config, text) =
            prepared().inspect_err(|failure: &Failure| offer.refused(&failure.message))?;
        offer.prepared(env!("CARGO_PKG_VERSION"));
        let (keeper, mut kept) = accept(offer)?;
        let (config, next) = match in_effect::take(&mut kept) {
            Some((before, None)) if before == text => (config, Next::Keep(text)),
            Some((before, log_keys)) => begin_with(&before, log_keys.as_ref(), &flags, config, text),
            None => (config, Next::Keep(text)),
        };
        run(global, config, flags, Some(next), keeper, kept)
    }

    /// The checked configuration of the file, and its text. Everything that is wrong is said at once, in the failure where it
    /// is to be `whole`.
    fn config(&self, global: &Global, then: &str, whole: bool) -> Result<(Config, Text), Failure> {
        let path = config_file::find(global.config.as_deref()).map_err(Failure::config)?;
        let bytes = config_file::read(&path).map_err(Failure::config)?;
        let text = Text { path, bytes };
        let (name, parsed) = (text.path.display(), text.check().map_err(Failure::config)?);
        let is_error = |finding: &&Diagnostic| self.strict || finding.is_error();
        let (wrong, others): (Vec<_>, Vec<_>) = parsed.diagnostics.iter().partition(is_error);
        if whole {
            others.iter().for_each(|finding| global.warn(&format!("{name}:{finding}")));
        } else {
            let shown = |finding: &Diagnostic| note(&format!("{name}:{finding}\n{}", finding.pointer()));
            parsed.diagnostics.iter().for_each(shown);
        }
        let config = match parsed.config {
            Some(config) if wrong.is_empty() => config,
            _ => {
                let mut message = format!("{name} has {}: {then}", errors(wrong.len()));
                if whole {
                    wrong.iter().for_each(|finding| message.push_str(&format!("\n{name}:{finding}")));
                }
                return Err(Failure::config(message));
            }
        };
        Ok((config, text))
    }

    fn flags(&self, global: &Global) -> Result<Flags, Failure> {
        let domain = self.domain.as_deref().map(tenement_core::config::parse_domain).transpose();
        Ok(Flags {
            data_dir: global.data_dir.as_deref().map(absolute).transpose()?,
            host: self.host.as_deref().map(addresses).transpose()?,
            port: self.port,
            domain: domain.map_err(Failure::config)?,
            strict: self.strict,
        })
    }
}

fn accept(offer: Offer) -> Result<(Link, Inheritance), Failure> {
    offer.accept().map_err(|error| Failure::general(format!("can't talk to the keeper: {error}")))
}

fn run(
    global: &Global,
    config: Config,
    flags: Flags,
    next: Option<Next>,
    keeper: Link,
    kept: Inheritance,
) -> Result<(), Failure> {
    let log =
        start_logging(global).map_err(|error| Failure::general(format!("can't start threads: {error}")))?;
    let done = daemon::run(config, flags, next, global.token.as_deref(), keeper.clone(), kept);
    log.finish();
    done.map_err(|error| {
        let message = error.to_string();
        keeper.refused(&message);
        Failure { code: EXIT_FAILURE, message }
    })
}

/// The configuration of the daemon that was here before and died. What it warns of was said by that.
fn as_it_was(text: &Text, log_keys: Option<&Text>) -> Result<Config, Failure> {
    let usable = |text: &Text| {
        text.check().map_err(Failure::config)?.config.ok_or_else(|| {
            Failure::config("the configuration that was in effect can't be used by this release of ten")
        })
    };
    let mut config = usable(text)?;
    if let Some(log_keys) = log_keys {
        config.take_log_keys(&usable(log_keys)?);
    }
    Ok(config)
}

/// What was in effect `before`, but for what is bound at the start: that is as in the `file`.
fn begin_with(
    before: &Text,
    log_keys: Option<&Text>,
    flags: &Flags,
    file: Config,
    text: Text,
) -> (Config, Next) {
    match as_it_was(before, log_keys) {
        Ok(mut before) => {
            flags.apply(&mut before);
            (Arc::unwrap_or_clone(Plan::of(&file, &before).config), Next::Reload)
        }
        Err(failure) => {
            note(&format!("{}: the file is in effect at once", failure.message));
            (file, Next::Keep(text))
        }
    }
}

/// Runs daemons until the end is asked for.
fn keep() -> Result<(), Failure> {
    match keeper::run() {
        Ok(0) => Ok(()),
        // It has said why.
        Ok(code) => Err(Failure::told(Exit::passed_on(code))),
        Err(error) => Err(Failure::general(format!("can't start the daemon: {error}"))),
    }
}

/// The folder that `--data-dir` names.
pub(super) fn absolute(dir: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(dir).map_err(|error| Failure::config(format!("--data-dir: {error}: name a folder")))
}

/// So many, in words.
pub(super) fn errors(count: usize) -> String {
    if count == 1 { "an error".to_owned() } else { format!("{count} errors") }
}

fn addresses(host: &str) -> Result<Vec<IpAddr>, Failure> {
    if host == "localhost" {
        return Ok(vec![IpAddr::from([127, 0, 0, 1])]);
    }
    let address = host.parse();
    address.map(|address| vec![address]).map_err(|_| {
        Failure::config(format!("--host: '{host}' is not an IP address: write 127.0.0.1, 0.0.0.0 or ::"))
    })
}

fn start_logging(global: &Global) -> std::io::Result<daemon::Log> {
    let default = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "info",
        (false, 1) => "debug",
        (false, _) => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = daemon::Log::to(std::io::stderr())?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log.clone())
        .with_ansi(global.colours(&std::io::stderr()))
        .with_target(false)
        .init();
    Ok(log)
}

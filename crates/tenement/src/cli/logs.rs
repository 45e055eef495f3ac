//! `ten logs`.

use clap::Args;
use serde_json::Value;
use tenement_logs::inert;

use super::{Failure, Global, client::Client, instance, print};

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ten logs notes:alice\n  ten logs --service notes --level warn,error --lines 200\n  \
    ten logs notes:alice --grep 'took [0-9]{4,} ms'\n\n\
    Lines are shown as they were printed, except that control characters are shown and not obeyed\n\
    (see --raw). With --json, one object per line."
)]
pub(super) struct Logs {
    /// The instance, as SERVICE:ID [default: all]
    instance: Option<String>,
    /// The id, when the instance is given as SERVICE alone
    #[arg(long)]
    id: Option<String>,
    /// The newest so many lines
    #[arg(long, short = 'n', default_value_t = 50)]
    lines: usize,
    /// Only lines that match this regular expression
    #[arg(long, value_name = "REGEX")]
    grep: Option<String>,
    /// Only lines that have this text in them
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only these levels: debug, info, warn, error, or several with commas
    #[arg(long)]
    level: Option<String>,
    /// Only this service
    #[arg(long)]
    service: Option<String>,
    /// Pass control characters on as they are; dangerous on a terminal
    #[arg(long)]
    raw: bool,
}

impl Logs {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let answer = Client::new(global)?.get(&self.path()?)?;
        let colours = global.colours(&std::io::stdout());
        for line in answer["logs"].as_array().into_iter().flatten() {
            if global.json {
                print(&line.to_string())?;
            } else {
                print(&self.render(line, colours))?;
            }
        }
        Ok(())
    }

    fn path(&self) -> Result<String, Failure> {
        let mut path = match &self.instance {
            Some(text) => {
                let name = instance::parse(text, self.id.as_deref())?;
                format!("/api/logs/{}/{}", name.service.as_str(), name.id.as_str())
            }
            None => "/api/logs".into(),
        };
        path.push_str(&format!("?limit={}", self.lines));
        let filters = [
            ("grep", &self.grep),
            ("search", &self.search),
            ("level", &self.level),
            ("service", &self.service),
        ];
        for (key, value) in filters {
            if let Some(value) = value {
                path.push_str(&format!("&{key}={}", encode(value)));
            }
        }
        Ok(path)
    }

    fn render(&self, line: &Value, colours: bool) -> String {
        let text = |key: &str| line[key].as_str().unwrap_or_default();
        let level = text("level");
        let colour = match level {
            "error" => "31",
            "warn" => "33",
            "debug" => "2",
            _ => "0",
        };
        let level = if colours { format!("\x1b[{colour}m{level:<5}\x1b[0m") } else { format!("{level:<5}") };
        let message = text("message");
        let message = if self.raw { message.into() } else { inert(message) };
        format!("{} {} {level} {message}", text("timestamp"), text("instance"))
    }
}

/// Percent-encoding of a query value (RFC 3986 section 2.1).
fn encode(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    value
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

//! `ten dashboard`.

use std::process::{Command, Stdio};

use clap::Args;
use serde_json::json;

use super::{
    Failure, Global,
    client::Client,
    grant::Grant,
    output::{note, text},
    print, print_json,
};

/// Opens an address with what the desktop has for it.
const OPENER: &str = "xdg-open";

#[derive(Args)]
#[command(after_help = "Examples:\n  ten dashboard\n  ten dashboard --open\n  \
    ten dashboard --scope read --instance notes:alice\n\n\
    The link alone goes to standard output. It works once, within five minutes, and signs in for\n\
    twelve hours; what it lets in is among 'ten tokens' as 'dashboard'. On another machine: make an\n\
    SSH tunnel to the daemon's port, and open the link by that.")]
pub(super) struct Dashboard {
    #[command(flatten)]
    grant: Grant,
    /// Open it in the browser, too; other users of this machine may see it in 'ps'
    #[arg(long)]
    open: bool,
}

impl Dashboard {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let mut body = json!({});
        self.grant.add_to(&mut body)?;
        let client = Client::new(global)?;
        let mut answer = client.post("/api/links", &body, None)?;
        // Who asks from elsewhere knows an address that leads there; the daemon does not.
        if let Some(authority) = client.remote() {
            answer["url"] = json!(format!("http://{authority}/#/link/{}", text(&answer, "code")));
        }
        if global.json {
            print_json(&answer)?;
        } else {
            print(&text(&answer, "url"))?;
        }
        if self.open {
            return open(&text(&answer, "url"));
        }
        if !global.quiet && !global.json {
            note("Open it in a browser: it works once, and for five minutes.");
        }
        Ok(())
    }
}

/// It is not waited for: the browser may be what it becomes.
fn open(url: &str) -> Result<(), Failure> {
    let failed = |why: String| Failure::general(format!("{why}: open the link above in a browser yourself"));
    if !url.starts_with("http://") {
        return Err(failed("what the daemon answered is no address of a page".to_owned()));
    }
    #[allow(clippy::disallowed_methods, reason = "a program of the user's desktop, and no instance")]
    let mut opener = Command::new(OPENER);
    let opened = opener.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    opened.map(drop).map_err(|error| failed(format!("can't run {OPENER} ({error})")))
}

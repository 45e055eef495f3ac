//! `ten token-gen`.

use std::{fs, io::Write, os::unix::fs::OpenOptionsExt};

use clap::Args;
use serde_json::json;

use super::{Failure, Global, client, client::Client, print, print_json};

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ten token-gen --name ci --expires 90\n  export TENEMENT_TOKEN=$(ten token-gen --name laptop)\n\n\
    The token is shown this once: only a hash of it is kept."
)]
pub(super) struct TokenGen {
    /// What it is for
    #[arg(long, default_value = "")]
    name: String,
    /// Days until it expires [default: never]
    #[arg(long, value_name = "DAYS")]
    expires: Option<u64>,
    /// What it may do; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Only for the instances of this service
    #[arg(long)]
    service: Option<String>,
    /// Only for this instance, as SERVICE:ID
    #[arg(long)]
    instance: Option<String>,
    /// Save it as api_token in the data directory, where 'ten --server' finds it
    #[arg(long)]
    save: bool,
}

impl TokenGen {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let mut body = json!({ "name": self.name, "expires_in_days": self.expires });
        if !self.scopes.is_empty() {
            body["scopes"] = json!(self.scopes);
        }
        if let Some(service) = &self.service {
            body["service"] = json!(service);
        }
        if let Some(instance) = &self.instance {
            body["instance"] = json!(instance);
        }
        let answer = Client::new(global)?.post("/api/tokens", &body, None)?;
        let token = answer["token"].as_str().unwrap_or_default();
        if self.save {
            save(global, token)?;
        }
        if global.json {
            return print_json(&answer);
        }
        print(token)?;
        if !global.quiet && !self.save {
            eprintln!(
                "Keep it: it is not shown again. Use it as TENEMENT_TOKEN, or as 'Authorization: Bearer …'."
            );
        }
        Ok(())
    }
}

fn save(global: &Global, token: &str) -> Result<(), Failure> {
    let dir = client::data_dir(global);
    let (fresh, path) = (dir.join("api_token.new"), dir.join("api_token"));
    let write = || {
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        writeln!(file, "{token}")?;
        file.sync_all()?;
        fs::rename(&fresh, &path)
    };
    write()
        .map_err(|error| Failure::general(format!("can't save the token as '{}': {error}", path.display())))
}

//! `ten token-gen`.

use clap::{Args, builder::PossibleValuesParser};
use serde_json::{Value, json};
use tenement::token_file;
use tenement_core::{layout, name::ServiceName};

use super::{Failure, Global, client, client::Client, instance, output, print, print_json};

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ten token-gen --name ci --expires 90\n  ten token-gen --name laptop --save\n  \
    ten token-gen --name alice --scope read,write --instance notes:alice\n  \
    export TENEMENT_TOKEN=$(ten token-gen --name laptop)\n\n\
    read looks, write also changes instances, admin also makes tokens.\n\
    The token is shown this once: only a hash of it is kept. 'ten tokens' lists them."
)]
pub(super) struct TokenGen {
    /// What it is for
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// Days until it expires [default: never]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..))]
    expires: Option<u64>,
    /// What it may do; may be repeated, or have commas [default: admin]
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', value_parser = PossibleValuesParser::new(["read", "write", "admin"]))]
    scopes: Vec<String>,
    /// Only for the instances of this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only for this instance
    #[arg(long, value_name = "SERVICE:ID", conflicts_with = "service")]
    instance: Option<String>,
    /// Save it as api_token in the data directory, where 'ten --server' finds it
    #[arg(long)]
    save: bool,
}

impl TokenGen {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let body = self.body()?;
        let place = if self.save { Some(client::data_dir(global)?.join(layout::API_TOKEN)) } else { None };
        let answer = Client::new(global)?.post("/api/tokens", &body, None)?;
        let token = answer["token"].as_str().unwrap_or_default();
        // It exists only here: whatever fails, both are tried.
        let printed = if global.json { print_json(&answer) } else { print(token) };
        let saved = place.as_deref().map_or(Ok(()), |path| {
            token_file::save(path, token).map_err(|error| {
                Failure::general(format!("can't save the token as '{}': {error}", path.display()))
            })
        });
        saved.and(printed)?;
        if let Some(path) = place {
            self.advise(global, &format!("Saved as {}.", path.display()));
        } else {
            let advice = "Keep it: it is not shown again. Use it as TENEMENT_TOKEN, or as 'Authorization: Bearer TOKEN'.";
            self.advise(global, advice);
        }
        Ok(())
    }

    fn advise(&self, global: &Global, advice: &str) {
        if !global.quiet && !global.json {
            output::note(advice);
        }
    }

    fn body(&self) -> Result<Value, Failure> {
        let mut body = json!({ "name": self.name, "expires_in_days": self.expires });
        if !self.scopes.is_empty() {
            body["scopes"] = json!(self.scopes);
        }
        if let Some(service) = &self.service {
            let service: ServiceName = service.parse().map_err(Failure::config)?;
            body["service"] = json!(service.as_str());
        }
        if let Some(instance) = &self.instance {
            body["instance"] = json!(instance::parse(instance, None)?.to_string());
        }
        Ok(body)
    }
}

//! `ten token-gen`.

use std::path::PathBuf;

use clap::Args;
use rustix::fs::Access;
use serde_json::{Value, json};
use tenement::token_file;
use tenement_core::layout;

use super::{
    Failure, Global, client,
    client::{Client, Error},
    grant::Grant,
    output, print, print_json,
    query::encode,
};

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
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    expires: Option<u64>,
    #[command(flatten)]
    grant: Grant,
    /// Save it as api_token in the data directory, where 'ten --server' finds it
    #[arg(long)]
    save: bool,
}

impl TokenGen {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let body = self.body()?;
        let place = self.place(global)?;
        if place.is_none() && output::is_closed() {
            return Err(Failure::general(
                "standard output is closed, so nobody would see the token: use --save",
            ));
        }
        let client = Client::new(global)?;
        let answer = client.post("/api/tokens", &body, None).map_err(in_our_words)?;
        let token = answer["token"].as_str().unwrap_or_default();
        // It exists only here: what can't be kept is not to open anything.
        if let Some(path) = &place {
            token_file::save(path, token).map_err(|error| {
                let why = format!("can't save the token as '{}': {error}", path.display());
                revoke(&client, &answer, &why)
            })?;
        }
        let printed = if global.json { print_json(&answer) } else { print(token) };
        printed.map_err(|failure| match &place {
            None => revoke(&client, &answer, &failure.message),
            Some(path) => {
                Failure::general(format!("{}; the token is saved as '{}'", failure.message, path.display()))
            }
        })?;
        if let Some(path) = place {
            self.advise(global, &format!("Saved as {}.", path.display()));
        } else {
            let advice = "Keep it: it is not shown again. Use it as TENEMENT_TOKEN, or as 'Authorization: Bearer TOKEN'.";
            self.advise(global, advice);
        }
        Ok(())
    }

    /// Where it is saved, if it is; a folder that takes no file is told before there is a token.
    fn place(&self, global: &Global) -> Result<Option<PathBuf>, Failure> {
        if !self.save {
            return Ok(None);
        }
        let folder = client::data_dir(global)?;
        let path = folder.join(layout::API_TOKEN);
        let writable = rustix::fs::access(&folder, Access::WRITE_OK | Access::EXEC_OK);
        let why = match writable {
            Err(errno) => std::io::Error::from(errno).to_string(),
            Ok(()) if path.is_dir() => "it is a folder".to_owned(),
            Ok(()) => return Ok(Some(path)),
        };
        let message = format!("can't save a token as '{}' ({why}), so none was made", path.display());
        Err(Failure::general(message + ": name the daemon's folder with --data-dir"))
    }

    fn advise(&self, global: &Global, advice: &str) {
        if !global.quiet && !global.json {
            output::note(advice);
        }
    }

    fn body(&self) -> Result<Value, Failure> {
        let mut body = json!({ "name": self.name, "expires_in_days": self.expires });
        self.grant.add_to(&mut body)?;
        Ok(body)
    }
}

/// The API calls the option by the name of its member.
fn in_our_words(error: Error) -> Failure {
    let failure = Failure::from(error);
    Failure { message: failure.message.replace("'expires_in_days'", "--expires"), ..failure }
}

/// Nobody has the token: it is not left behind.
fn revoke(client: &Client, answer: &Value, why: &str) -> Failure {
    let id = answer["id"].as_str().unwrap_or_default();
    let what = match client.delete(&format!("/api/tokens/{}", encode(id))) {
        Ok(_) => "the token was revoked again; make another one when that is mended".to_owned(),
        Err(error) => format!("and it could not be revoked ({error}): do so with 'ten token-revoke {id}'"),
    };
    Failure::general(format!("{why}: {what}"))
}

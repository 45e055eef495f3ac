//! `ten token-revoke`.

use clap::Args;
use serde_json::json;

use super::{Failure, Global, client::Client, print_json, query::encode};

/// What every token begins with, and no id.
const TOKEN: &str = "tenement_";

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ten token-revoke 3f9c81d04b7e26a5\n  ten tokens          shows the ids\n\n\
    What a token is used for ends at once, open streams included. It can't be undone."
)]
pub(super) struct TokenRevoke {
    /// The token's id, as 'ten tokens' shows it
    id: String,
}

impl TokenRevoke {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        if self.id.starts_with(TOKEN) {
            return Err(Failure::config("that is a token and not its id: see the ids with 'ten tokens'"));
        }
        if self.id.is_empty() || self.id.bytes().all(|byte| byte == b'.') {
            return Err(Failure::config("that is no token's id: see the ids with 'ten tokens'"));
        }
        Client::new(global)?.delete(&format!("/api/tokens/{}", encode(&self.id)))?;
        if global.json {
            return print_json(&json!({ "id": self.id, "revoked": true }));
        }
        global.say(&format!("Revoked {}", tenement_logs::inert(&self.id)))
    }
}

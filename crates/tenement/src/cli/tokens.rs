//! `ten tokens`.

use clap::Args;
use serde_json::{Value, json};

use super::{
    Failure, Global,
    client::Client,
    output::{print, print_json, text},
    query::Query,
    table,
};

/// More than this the API does not give in one answer.
const PAGE: usize = 1000;
const HEADER: [&str; 7] = ["ID", "NAME", "SCOPES", "FOR", "CREATED", "LAST USED", "EXPIRES"];

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ten tokens\n  ten --json tokens\n  ten tokens --no-header | grep never\n\n\
    FOR is the service or the instance a token is bound to. The tokens themselves are not kept,\n\
    only hashes of them. A token is revoked by its ID: see 'ten token-revoke'."
)]
pub(super) struct Tokens {
    /// Leave out the line of column names
    #[arg(long)]
    no_header: bool,
}

impl Tokens {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let tokens = all(&Client::new(global)?)?;
        if global.json {
            return print_json(&json!({ "tokens": tokens }));
        }
        let header = (!self.no_header).then(|| HEADER.map(str::to_owned).to_vec());
        let rows: Vec<_> = header.into_iter().chain(tokens.iter().map(row)).collect();
        if rows.is_empty() { Ok(()) } else { print(&table::render(&rows, table::width())) }
    }
}

fn all(client: &Client) -> Result<Vec<Value>, Failure> {
    let mut all = Vec::new();
    loop {
        let page = Query::new("/api/tokens").with("limit", &PAGE.to_string());
        let mut answer = client.get(&page.with("offset", &all.len().to_string()).into_path())?;
        let Value::Array(page) = answer["tokens"].take() else { return Ok(all) };
        let is_last = page.is_empty() || answer["pagination"]["has_more"] != true;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

fn row(token: &Value) -> Vec<String> {
    let or = |key, none: &str| {
        let text = text(token, key);
        if text.is_empty() { none.to_owned() } else { text }
    };
    let scopes = token["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let scopes: Vec<_> = scopes.map(tenement_logs::inert).collect();
    let bound = match or("instance", "") {
        none if none.is_empty() => or("service", "everything"),
        instance => instance,
    };
    vec![
        or("id", "-"),
        or("name", "-"),
        scopes.join(","),
        bound,
        or("created_at", "-"),
        or("last_used", "never"),
        or("expires_at", "never"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_a_token_may_and_for_whom() {
        let token = json!({
            "id": "t1", "name": "ci\x1b", "scopes": ["read", "write"], "service": null, "instance": "api:a",
            "created_at": "c", "last_used": null, "expires_at": "e"
        });
        assert_eq!(row(&token), ["t1", "ci^[", "read,write", "api:a", "c", "never", "e"]);
        assert_eq!(row(&json!({ "service": "api" })), ["-", "-", "", "api", "-", "never", "never"]);
    }
}

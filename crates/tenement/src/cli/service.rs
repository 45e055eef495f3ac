//! Services that are asked for by name.

use super::{
    Failure,
    client::{Client, Error},
    failure::EXIT_NO_SERVICE,
    query::Query,
};

/// More than this the API does not give in one answer.
const PAGE: usize = 1000;

/// Nothing was found of a service: that there is none is no empty answer.
pub(super) fn check(client: &Client, service: &str) -> Result<(), Failure> {
    if is_known(client, service)? {
        return Ok(());
    }
    let message = format!("there is no service '{}': see 'ten config'", service.escape_debug());
    Err(Failure { code: EXIT_NO_SERVICE, message })
}

fn is_known(client: &Client, service: &str) -> Result<bool, Error> {
    let mut passed = 0;
    loop {
        let page = Query::new("/api/services").with("limit", &PAGE.to_string());
        let answer = client.get(&page.with("offset", &passed.to_string()).into_path())?;
        let services = answer["services"].as_array().map(Vec::as_slice).unwrap_or_default();
        if services.iter().any(|one| one["name"] == service) {
            return Ok(true);
        }
        passed += services.len();
        if services.is_empty() || answer["pagination"]["has_more"] != true {
            return Ok(false);
        }
    }
}

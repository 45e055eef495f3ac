//! What a token or a link is to allow.

use clap::{Args, builder::PossibleValuesParser};
use serde_json::{Value, json};
use tenement_core::name::ServiceName;

use super::{Failure, instance};

/// Options that say it.
#[derive(Args)]
pub(super) struct Grant {
    /// What it may do; may be repeated, or have commas [default: admin]
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', value_parser = PossibleValuesParser::new(["read", "write", "admin"]))]
    scopes: Vec<String>,
    /// Only for the instances of this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only for this instance
    #[arg(long, value_name = "SERVICE:ID", conflicts_with = "service")]
    instance: Option<String>,
}

impl Grant {
    /// Adds what is to be allowed to what is asked for, where something is said of it.
    pub(super) fn add_to(&self, body: &mut Value) -> Result<(), Failure> {
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
        Ok(())
    }
}

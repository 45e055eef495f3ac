//! How an instance is named on the command line: `api:user123`, or `api --id user123`.

use clap::Args;
use tenement_core::name::InstanceName;

use super::Failure;

/// One instance.
#[derive(Args)]
pub(super) struct InstanceArg {
    /// The instance, as SERVICE:ID
    instance: String,
    /// The id, when the instance is given as SERVICE alone
    #[arg(long)]
    id: Option<String>,
}

impl InstanceArg {
    pub(super) fn name(&self) -> Result<InstanceName, Failure> {
        parse(&self.instance, self.id.as_deref())
    }
}

/// Names that can't exist are refused before anybody is asked.
pub(super) fn parse(text: &str, id: Option<&str>) -> Result<InstanceName, Failure> {
    let parsed = match (id, text.split_once(':')) {
        (Some(id), None) => InstanceName::new(text, id),
        (None, Some((service, id))) => InstanceName::new(service, id),
        (Some(_), Some(_)) => {
            return Err(Failure::config(format!(
                "'{}' has an id already: leave out --id",
                text.escape_debug()
            )));
        }
        (None, None) => {
            let text = text.escape_debug();
            return Err(Failure::config(format!("'{text}' is not an instance: write it as {text}:ID")));
        }
    };
    parsed.map_err(Failure::config)
}

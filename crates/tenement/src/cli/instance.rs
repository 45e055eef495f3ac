//! How an instance is named on the command line: `api:user123`, or `api --id user123`.

use clap::Args;
use tenement_core::name::InstanceName;

use super::{EXIT_INTERRUPTED, Failure};

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

/// One or more instances.
#[derive(Args)]
pub(super) struct InstancesArg {
    /// The instances, as SERVICE:ID
    #[arg(required = true, value_name = "INSTANCE")]
    instances: Vec<String>,
    /// The id, when one instance is given as SERVICE alone
    #[arg(long)]
    id: Option<String>,
}

impl InstancesArg {
    /// All of them; one name that can't exist refuses all, before anything is done.
    pub(super) fn names(&self) -> Result<Vec<InstanceName>, Failure> {
        if self.id.is_some() && self.instances.len() > 1 {
            return Err(Failure::config("--id goes with one instance: write the others as SERVICE:ID"));
        }
        let mut names = Vec::new();
        for text in &self.instances {
            let name = parse(text, self.id.as_deref())?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Whether the one word is there instead of names.
    pub(super) fn is_word(&self, word: &str) -> Result<bool, Failure> {
        let there = self.id.is_none() && self.instances.iter().any(|text| text == word);
        if there && self.instances.len() > 1 {
            return Err(Failure::config(format!("'{word}' says it already: leave out the other instances")));
        }
        Ok(there)
    }
}

/// One of several failed: its failure says which.
pub(super) fn named(failure: Failure, name: &InstanceName) -> Failure {
    if failure.code == EXIT_INTERRUPTED || failure.message.contains(&name.to_string()) {
        return failure;
    }
    Failure { message: format!("{name}: {}", failure.message), ..failure }
}

/// Ctrl-C came between several: says what goes on and what was not begun. `left` begins with the one under way.
pub(super) fn interrupted(failure: Failure, left: &[InstanceName]) -> Failure {
    if failure.code != EXIT_INTERRUPTED {
        return failure;
    }
    // Before it was asked for, the one under way is not begun either.
    let begun = usize::from(!failure.message.contains("nothing was asked")).min(left.len());
    let list = |names: &[InstanceName]| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let (goes_on, rest) = (list(&left[..begun]), list(&left[begun..]));
    let mut message = "interrupted".to_owned();
    if !goes_on.is_empty() {
        message.push_str(&format!("; the daemon goes on with {goes_on}"));
    }
    if !rest.is_empty() {
        message.push_str(&format!("; not begun: {rest}"));
    }
    Failure { message: message + ": see 'ten ps'", ..failure }
}

/// Names that can't exist are refused before anybody is asked.
pub(super) fn parse(text: &str, id: Option<&str>) -> Result<InstanceName, Failure> {
    let shown = text.escape_debug();
    let parsed = match (id, text.split_once(':')) {
        (Some(id), None) => InstanceName::new(text, id),
        (None, Some((service, id))) => InstanceName::new(service, id),
        (Some(_), Some(_)) => {
            return Err(Failure::config(format!("'{shown}' has an id already: leave out --id")));
        }
        (None, None) => {
            let message =
                format!("'{shown}' is not an instance: write it as SERVICE:ID, for example {shown}:alice");
            return Err(Failure::config(message));
        }
    };
    parsed.map_err(Failure::config)
}

#[cfg(test)]
mod tests {
    use super::*;

    // faults: L4
    #[test]
    fn names_are_folded_and_those_that_cannot_exist_are_refused() {
        let name = |text: &str, id: Option<&str>| parse(text, id).map(|name| name.to_string()).ok();
        assert_eq!(name("api:User123", None).as_deref(), Some("api:user123"));
        assert_eq!(name("api", Some("user123")).as_deref(), Some("api:user123"));
        let long = "x".repeat(300);
        for id in
            ["../../etc", "a b", "$(id)", "%2e", "\u{1f980}", "a..b", "", "a:b", "-a", "\x1b[31m", &long]
        {
            let refused = parse("api", Some(id)).unwrap_err();
            assert_eq!(refused.code.number(), 2, "{id}");
            assert!(!refused.message.contains('\x1b'));
        }
        assert_eq!((name("api", None), name("api:a", Some("a")), name("API:a", None)), (None, None, None));
    }
}

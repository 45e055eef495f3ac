//! `ten config`: the configuration in force, or everything that is wrong with it.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use tenement_core::config::{Config as Checked, Diagnostic, Parsed, effective};

use super::{
    Failure, Global, print,
    serve::{absolute, errors},
};
use crate::config_file;

#[derive(Args)]
#[command(after_help = "Examples:\n  ten config                     every setting, defaults filled in\n  \
    ten config --service notes     one service\n  ten config --validate          every error and warning, with its line")]
pub(super) struct Config {
    /// Only this service
    #[arg(long, value_name = "NAME", conflicts_with = "validate")]
    service: Option<String>,
    /// Check only: print every error and warning, change nothing
    #[arg(long)]
    validate: bool,
    /// Count warnings as errors
    #[arg(long)]
    strict: bool,
    /// The file to look at
    file: Option<PathBuf>,
}

impl Config {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let named = self.file.as_deref().or(global.config.as_deref());
        let path = config_file::find(named).map_err(Failure::config)?;
        let (name, parsed) = config_file::load(&path).map_err(Failure::config)?;
        if self.validate {
            return self.validate(&name, &parsed, global.json);
        }
        let errors = parsed.diagnostics.iter().filter(|finding| self.is_error(finding)).count();
        let Some(mut config) = parsed.config.filter(|_| errors == 0) else {
            let message = format!("{name} has errors: see them with 'ten config --validate {name}'");
            return Err(Failure::config(message));
        };
        if let Some(dir) = &global.data_dir {
            config.settings.data_dir = absolute(dir)?;
        }
        print(&serde_json::to_string_pretty(&self.choose(&config)?).unwrap_or_default())
    }

    fn is_error(&self, finding: &Diagnostic) -> bool {
        self.strict || finding.is_error()
    }

    fn choose(&self, config: &Checked) -> Result<Value, Failure> {
        let mut all = serde_json::to_value(effective(config)).map_err(Failure::config)?;
        let Some(service) = &self.service else { return Ok(all) };
        match all["services"].get_mut(service) {
            Some(found) => Ok(found.take()),
            None => Err(Failure::config(format!(
                "there is no service '{service}' in the configuration: see 'ten config'"
            ))),
        }
    }

    fn validate(&self, name: &str, parsed: &Parsed, as_json: bool) -> Result<(), Failure> {
        let (wrong, warnings): (Vec<_>, Vec<_>) =
            parsed.diagnostics.iter().partition(|finding| self.is_error(finding));
        let valid = wrong.is_empty();
        if as_json {
            let texts = |list: &[&Diagnostic]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
            let body = json!({ "valid": valid, "errors": texts(&wrong), "warnings": texts(&warnings) });
            print(&body.to_string())?;
        } else {
            for finding in &parsed.diagnostics {
                print(&format!("{name}:{finding}\n{}", finding.pointer()))?;
            }
        }
        if valid {
            return if as_json { Ok(()) } else { print(&format!("{name} is valid")) };
        }
        Err(Failure::config(format!("{name} has {}: mend what is listed and try again", errors(wrong.len()))))
    }
}

//! From the text of `tenement.toml` to a checked configuration.
//!
//! ```text
//!   bytes ─► UTF-8 ─► TOML with spans ─► settings, services, instances ─► do they fit together? ─► Config
//!                          └── every finding is collected on the way, and all are reported ──────────┘
//! ```

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use toml::de::DeTable;

use super::{
    Config, Diagnostic, Service, Settings, Severity,
    diagnostic::Findings,
    instances::read_instances,
    table::{Table, kind},
};
use crate::{layout, name::ServiceName};

const EMPTY: &str = "nothing stands in this file: describe a service under [service.NAME], or remove the file and let \
    'ten init' write one";

/// Where a text comes from, and the defaults that depend on the host.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file, if it is one.
    pub path: Option<PathBuf>,
    /// Relative paths are relative to this; the default of `workdir`.
    pub dir: PathBuf,
    /// The default of `data_dir`.
    pub default_data_dir: PathBuf,
    /// The default of `max_starting`.
    pub default_max_starting: usize,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// `None` if there is an error among the findings.
    pub config: Option<Config>,
    /// All findings in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a configuration. Never stops at the first error.
#[must_use]
pub fn parse(bytes: &[u8], source: &Source) -> Parsed {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            let text = String::from_utf8_lossy(&bytes[..at]);
            let mut findings = Findings::new(&text);
            findings.error(at..at, format!("invalid UTF-8 at byte {at}"));
            return Parsed { config: None, diagnostics: findings.finish() };
        }
    };
    let mut findings = Findings::new(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        findings.error(error.span().unwrap_or_default(), error.message());
    }
    findings.end_of_syntax();
    if errors.is_empty() && root.get_ref().is_empty() {
        findings.error(0..0, EMPTY);
    }
    let config = read(root.get_ref(), source, &mut findings);
    let diagnostics = findings.finish();
    let usable = diagnostics.iter().all(|finding| finding.severity != Severity::Error);
    Parsed { config: usable.then_some(config), diagnostics }
}

fn read<'t>(root: &DeTable<'t>, source: &Source, findings: &mut Findings<'t>) -> Config {
    let mut top = Table::new("the file".into(), root, findings);
    let empty = DeTable::new();
    let section = |top: &mut Table<'_, 't, '_>, key| {
        let value = top.raw(key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            top.findings
                .error(value.span(), format!("'{key}' must be a table, not {}", kind(value.get_ref())));
        }
        table.cloned()
    };
    let settings = section(&mut top, "settings").unwrap_or_else(|| empty.clone());
    let services = section(&mut top, "service").unwrap_or_else(|| empty.clone());
    let instances = section(&mut top, "instances").unwrap_or(empty);
    let described = top
        .raw("service")
        .is_some_and(|found| found.get_ref().as_table().is_none_or(|table| !table.is_empty()));
    top.finish();
    if !described && !root.is_empty() {
        findings.warning(0..0, "there is no [service.NAME] here: nothing will run");
    }
    let settings = {
        let mut table = Table::new("[settings]".into(), &settings, findings);
        let read = Settings::read(&mut table, source);
        table.finish();
        read
    };
    let services = read_services(&services, source, findings);
    let instances = read_instances(&instances, &services, &settings, findings);
    let services = services.into_iter().filter_map(|(name, service)| Some((name, Arc::new(service?))));
    Config { path: source.path.clone(), settings, services: services.collect(), instances }
}

/// By name; `None` for one that is there but wrong.
pub(super) type Services = BTreeMap<ServiceName, Option<Service>>;

fn read_services<'t>(tables: &DeTable<'t>, source: &Source, findings: &mut Findings<'t>) -> Services {
    let mut services = Services::new();
    for (key, value) in tables {
        let name = match key.get_ref().parse::<ServiceName>() {
            Ok(name) => name,
            Err(error) => {
                findings.error(key.span(), error.to_string());
                continue;
            }
        };
        if let Err(why) = layout::check_service(&name) {
            findings.error(key.span(), why);
        }
        let Some(table) = value.get_ref().as_table() else {
            findings.error(
                value.span(),
                format!("Service '{name}' must be a table, not {}", kind(value.get_ref())),
            );
            continue;
        };
        let mut table = Table::new(format!("[service.{name}]"), table, findings);
        let service = Service::read(name.clone(), key.span(), &mut table, source);
        table.finish();
        services.insert(name, service);
    }
    services
}

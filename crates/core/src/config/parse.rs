//! From the text of `tenement.toml` to a checked configuration.
//!
//! ```text
//!   bytes ─► UTF-8 ─► TOML with spans ─► settings, services, instances ─► do they fit together? ─► Config
//!                          └── every finding is collected on the way, and all are reported ──────────┘
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use toml::de::{DeTable, DeValue};

use super::{
    Config, Diagnostic, Service, Settings, Severity,
    diagnostic::Findings,
    table::{Table, did_you_mean, kind},
    template::Values,
};
use crate::{
    layout,
    name::{InstanceName, ServiceName},
};

/// The longest path a Unix socket can have, without its closing NUL: `unix(7)`.
pub const SOCKET_PATH_MAX: usize = 107;

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
    // After a syntax error what follows may be read wrongly, and would only hide it.
    let config = errors.is_empty().then(|| read(root.get_ref(), source, &mut findings));
    let diagnostics = findings.finish();
    let usable = diagnostics.iter().all(|finding| finding.severity != Severity::Error);
    Parsed { config: config.filter(|_| usable), diagnostics }
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
    top.finish();
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
type Services = BTreeMap<ServiceName, Option<Service>>;

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

fn read_instances<'t>(
    table: &DeTable<'t>,
    services: &Services,
    settings: &Settings,
    findings: &mut Findings<'t>,
) -> Vec<InstanceName> {
    let mut names = Vec::new();
    let mut seen = BTreeSet::new();
    let mut sockets: BTreeMap<String, InstanceName> = BTreeMap::new();
    for (key, value) in table {
        let service = key.get_ref().parse::<ServiceName>().ok();
        let Some((service, config)) = service.and_then(|name| services.get_key_value(&name)) else {
            let meant = did_you_mean(key.get_ref(), services.keys().map(ServiceName::as_str));
            findings
                .error(key.span(), format!("[instances]: there is no service '{}'{meant}", key.get_ref()));
            continue;
        };
        let Some(ids) = value.get_ref().as_array() else {
            findings.error(value.span(), format!("[instances] {service}: must be a list of ids"));
            continue;
        };
        for id in ids {
            let DeValue::String(text) = id.get_ref() else {
                findings.error(id.span(), format!("[instances] {service}: an id must be a text"));
                continue;
            };
            let name = match text.parse() {
                Ok(id) => InstanceName { service: service.clone(), id },
                Err(error) => {
                    findings.error(id.span(), format!("[instances] {service}: {error}"));
                    continue;
                }
            };
            if !seen.insert(name.clone()) {
                findings.warning(id.span(), format!("[instances]: '{name}' stands here twice"));
                continue;
            }
            if let Some(config) = config {
                let socket = socket_path(config, &name, settings);
                check_socket(&socket, &name, &mut sockets, id.span(), findings);
            }
            names.push(name);
        }
    }
    names
}

fn socket_path(service: &Service, name: &InstanceName, settings: &Settings) -> String {
    service.socket.fill(&Values {
        name: name.service.as_str(),
        id: name.id.as_str(),
        data_dir: &settings.data_dir.to_string_lossy(),
        socket: "",
        port: "",
    })
}

fn check_socket(
    socket: &str,
    name: &InstanceName,
    sockets: &mut BTreeMap<String, InstanceName>,
    span: std::ops::Range<usize>,
    findings: &mut Findings<'_>,
) {
    if socket.len() > SOCKET_PATH_MAX {
        findings.error(
            span,
            format!(
                "the socket path of '{name}' has {} bytes, {SOCKET_PATH_MAX} are possible: shorten 'socket' or 'data_dir'",
                socket.len()
            ),
        );
    } else if let Some(other) = sockets.insert(socket.to_owned(), name.clone()) {
        findings.error(
            span,
            format!(
                "'{other}' and '{name}' have the same socket: put {{id}} into 'socket' of service '{}'",
                name.service
            ),
        );
    }
}

/// What a configuration asks for that this version does not enforce. A daemon refuses to start with any.
#[must_use]
pub fn unsupported(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    for (name, service) in &config.services {
        let mut refuse = |key: &str, why: &str| {
            found.push(format!("Service '{name}': {key} is not enforced by this version: {why}"));
        };
        if service.isolation != super::Isolation::Process {
            refuse(
                "isolation",
                "set it to \"process\", which gives every instance a process of its own and no more",
            );
        }
        if service.memory_limit_mb.is_some() {
            refuse("memory_limit_mb", "remove it, or limit memory from outside");
        }
        if service.cpu_shares != 100 {
            refuse("cpu_shares", "remove it; every instance has the same share");
        }
        if service.storage_quota_mb.is_some() {
            refuse("storage_quota_mb", "remove it, or set a quota of the file system");
        }
    }
    found
}

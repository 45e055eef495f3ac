//! `[instances]`, and the sockets they come to have.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use toml::de::{DeTable, DeValue};

use super::{
    Service, Settings, diagnostic::Findings, parse::Services, table::did_you_mean, template::Values,
};
use crate::name::{InstanceName, ServiceName};

/// The longest path a Unix socket can have, without its closing NUL: `unix(7)`.
pub const SOCKET_PATH_MAX: usize = 107;

/// Reads the table; names of services that are there but wrong are let pass.
pub(super) fn read_instances<'t>(
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
                .missing(key.span(), format!("[instances]: there is no service '{}'{meant}", key.get_ref()));
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
    span: Range<usize>,
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
        findings.error(span, same_socket(&other, name));
    }
}

/// That two instances would have the same socket, and what helps.
#[must_use]
pub fn same_socket(one: &InstanceName, other: &InstanceName) -> String {
    let remedy = if one.service == other.service {
        format!("put {{id}} into 'socket' of service '{}'", one.service)
    } else {
        format!("give service '{}' or '{}' another 'socket'", one.service, other.service)
    };
    format!("'{one}' and '{other}' have the same socket: {remedy}")
}

//! `[[service.NAME.log_sink]]` and `[[settings.log_sink]]`: where log lines go besides the store.

mod model;

use std::{collections::BTreeMap, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    parse::Source,
    settings::positive,
    table::{Found, Table, kind},
    template::{Key, Template},
};
use model::FACILITIES;
pub use model::{FileFormat, LogSink, SinkFrom, SinkKind, SyslogAddress, facility_word};

/// Where the local syslog daemon listens.
const DEV_LOG: &str = "unix:///dev/log";

/// All sinks of a table, `owner` as in messages.
pub(super) fn read(owner: &str, table: &mut Table<'_, '_, '_>, source: &Source) -> Vec<LogSink> {
    let Some(found) = table.raw("log_sink") else { return Vec::new() };
    let items: Vec<&Spanned<DeValue<'_>>> = match found.get_ref() {
        DeValue::Array(items) => items.iter().collect(),
        _ => vec![found],
    };
    let mut sinks: Vec<LogSink> = Vec::new();
    for item in items {
        let Some(inner) = item.get_ref().as_table() else {
            let message = format!(
                "log_sink: must be a table, not {}: write it as [[{owner}.log_sink]]",
                kind(item.get_ref())
            );
            table.findings.error(item.span(), message);
            continue;
        };
        let mut inner = Table::new(format!("[[{owner}.log_sink]]"), inner, table.findings);
        let sink = LogSink::read(item.span(), &mut inner, source);
        // Without a type nobody knows which keys there are.
        let word = inner.raw("type").and_then(|found| found.get_ref().as_str());
        if word.is_some_and(|word| TYPES.iter().any(|(known, _)| *known == word)) {
            inner.finish();
        }
        let Some(sink) = sink else { continue };
        if sinks.iter().any(|other| other.name == sink.name) {
            let message = format!("log_sink: two are called '{}': give each a 'name'", sink.name);
            table.findings.error(item.span(), message);
            continue;
        }
        sinks.push(sink);
    }
    sinks
}

#[derive(Clone, Copy)]
enum Type {
    Otlp,
    Syslog,
    File,
}

const TYPES: [(&str, Type); 3] = [("otlp", Type::Otlp), ("syslog", Type::Syslog), ("file", Type::File)];

impl LogSink {
    /// `None` when something it can't do without is wrong or missing; that is an error already then.
    pub(super) fn read(
        span: std::ops::Range<usize>,
        table: &mut Table<'_, '_, '_>,
        source: &Source,
    ) -> Option<Self> {
        if table.raw("type").is_none() {
            table
                .findings
                .missing(span.clone(), "log_sink: 'type' is missing: \"otlp\", \"syslog\" or \"file\"");
        }
        let found = table.choice("type", &TYPES);
        let name = name(table);
        let from = table.choice("from", &[("now", SinkFrom::Now), ("oldest", SinkFrom::Oldest)]);
        let kind = match found? {
            Type::Otlp => otlp(span, table, source),
            Type::Syslog => syslog(table),
            Type::File => file(span, table, source),
        }?;
        let name = name.unwrap_or_else(|| kind.as_str().to_owned());
        Some(Self { name, from: from.unwrap_or(SinkFrom::Now), kind })
    }
}

fn name(table: &mut Table<'_, '_, '_>) -> Option<String> {
    let found = table.text("name")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if found.value.bytes().all(plain) && (1..=63).contains(&found.value.len()) {
        return Some(found.value);
    }
    let message =
        format!("name: '{}' must be 1 to 63 letters, digits, '-' and '_'", found.value.escape_debug());
    table.findings.error(found.span, message);
    None
}

fn otlp(span: std::ops::Range<usize>, table: &mut Table<'_, '_, '_>, source: &Source) -> Option<SinkKind> {
    let endpoint = endpoint(span, table);
    let headers = headers(table);
    let ca_file = table.text("ca_file").map(|found| source.dir.join(found.value));
    let timeout = positive(table, "timeout", Duration::from_secs(10));
    Some(SinkKind::Otlp { endpoint: endpoint?, headers, ca_file, timeout })
}

/// A URL; the path of the protocol is added where there is none.
fn endpoint(span: std::ops::Range<usize>, table: &mut Table<'_, '_, '_>) -> Option<String> {
    let Some(Found { value, span }) = table.text("endpoint") else {
        if table.raw("endpoint").is_none() {
            let message = "log_sink: 'endpoint' is missing: write it as \"http://localhost:4318\"";
            table.findings.missing(span, message);
        }
        return None;
    };
    let rest = value.strip_prefix("http://").or_else(|| value.strip_prefix("https://"));
    let host = rest.map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    let plain = value.bytes().all(|byte| byte.is_ascii_graphic()) && !value.contains('#');
    let wrong = match host {
        Some(host) if host.contains('@') => "can't hold a user and password: put them into 'headers'",
        Some(host) if plain && is_host(host, false) => {
            let whole = rest.is_some_and(|rest| rest.find(['/', '?']).is_some_and(|at| at + 1 < rest.len()));
            let bare = value.trim_end_matches('/');
            return Some(if whole { value } else { format!("{bare}/v1/logs") });
        }
        _ => "is not an address: write it as http://localhost:4318",
    };
    // It may hold a password, and where it is no address nobody knows where.
    let (shown, secret) = match value.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.find("://").map_or(0, |at| at + 3);
            (format!("{}***@{host}", &before[..scheme]), Some(before[scheme..].to_owned()))
        }
        None => (value, None),
    };
    table.findings.secret_error(
        span,
        format!("endpoint: '{}' {wrong}", shown.escape_debug()),
        secret.as_deref(),
    );
    None
}

/// A host name or an address, and a port.
fn is_host(text: &str, needs_port: bool) -> bool {
    let (host, number) = match text.rsplit_once(':') {
        Some((host, number)) if !number.contains(']') => (host, Some(number)),
        _ => (text, None),
    };
    let number = match number {
        Some(number) => number.parse::<u16>().is_ok_and(|number| number > 0),
        None => !needs_port,
    };
    let known = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        }
    };
    number && known
}

fn headers(table: &mut Table<'_, '_, '_>) -> BTreeMap<String, String> {
    let Some(found) = table.raw("headers") else { return BTreeMap::new() };
    let Some(all) = found.get_ref().as_table() else {
        let message = format!("headers: must be a table, not {}", kind(found.get_ref()));
        table.findings.error(found.span(), message);
        return BTreeMap::new();
    };
    read_headers(all, table)
}

fn read_headers(all: &DeTable<'_>, table: &mut Table<'_, '_, '_>) -> BTreeMap<String, String> {
    /// What the protocol itself sets.
    const OWN: [&str; 5] = ["content-type", "content-length", "transfer-encoding", "host", "connection"];
    let token = |key: &str| {
        !key.is_empty()
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let mut headers = BTreeMap::new();
    for (key, value) in all {
        let name = key.get_ref().to_string();
        let wrong = match value.get_ref().as_str() {
            None => format!("must be a text, not {}", kind(value.get_ref())),
            Some(_) if !token(&name) => "is no name of a header".to_owned(),
            Some(_) if OWN.iter().any(|own| name.eq_ignore_ascii_case(own)) => {
                "is set by tenement".to_owned()
            }
            Some(text) if text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) => {
                headers.insert(name, text.to_owned());
                continue;
            }
            Some(_) => "can hold nothing but printable ASCII".to_owned(),
        };
        table.findings.error(value.span(), format!("headers {}: {wrong}", name.escape_debug()));
    }
    headers
}

fn syslog(table: &mut Table<'_, '_, '_>) -> Option<SinkKind> {
    let facility = table.choice("facility", &FACILITIES).unwrap_or(FACILITIES[0].1);
    let address = match table.text("address") {
        Some(found) => match address(&found.value) {
            Some(address) => Some(address),
            None => {
                let message = format!(
                    "address: '{}' is not an address: write it as udp://host:514, tcp://host:601 or {DEV_LOG}",
                    found.value.escape_debug()
                );
                table.findings.error(found.span, message);
                None
            }
        },
        None => address(DEV_LOG),
    };
    Some(SinkKind::Syslog { address: address?, facility })
}

fn address(text: &str) -> Option<SyslogAddress> {
    let (scheme, rest) = text.split_once("://")?;
    match scheme {
        "udp" if is_host(rest, true) => Some(SyslogAddress::Udp(rest.to_owned())),
        "tcp" if is_host(rest, true) => Some(SyslogAddress::Tcp(rest.to_owned())),
        "unix" if rest.starts_with('/') => Some(SyslogAddress::Unix(rest.into())),
        _ => None,
    }
}

fn file(span: std::ops::Range<usize>, table: &mut Table<'_, '_, '_>, source: &Source) -> Option<SinkKind> {
    let path = path(span, table, source);
    let format = table.choice(
        "format",
        &[("text", FileFormat::Text), ("json", FileFormat::Json), ("syslog", FileFormat::Syslog)],
    );
    let rotate_size = table.size("rotate_size");
    if rotate_size.is_some_and(|size| size < ROTATE_MIN) {
        let span = table.raw("rotate_size").map(Spanned::span).unwrap_or_default();
        table.findings.error(span, format!("rotate_size must be {ROTATE_MIN} bytes or more"));
    }
    let keep = table.integer("keep", 0..1001).unwrap_or(5);
    Some(SinkKind::File { path: path?, format: format.unwrap_or(FileFormat::Text), rotate_size, keep })
}

/// A smaller file would be set aside with each line.
const ROTATE_MIN: u64 = 4096;

fn path(span: std::ops::Range<usize>, table: &mut Table<'_, '_, '_>, source: &Source) -> Option<Template> {
    let Some(found) = table.template("path") else {
        if table.raw("path").is_none() {
            let message = "log_sink: 'path' is missing: write it as \"/var/log/tenement/{name}-{id}.log\"";
            table.findings.missing(span, message);
        }
        return None;
    };
    let text = found.value.to_string();
    let wrong = match [Key::Socket, Key::Port].into_iter().find(|&key| found.value.has(key)) {
        Some(key) => {
            Some(format!("path: {key} can't stand here: there are {{name}}, {{id}} and {{data_dir}}"))
        }
        None => (text.trim().is_empty() || text.ends_with('/')).then(|| "path: names no file".to_owned()),
    };
    if let Some(wrong) = wrong {
        table.findings.error(found.span, wrong);
        return None;
    }
    let whole = text.starts_with('/') || text.starts_with(&Key::DataDir.to_string());
    Some(if whole { found.value } else { found.value.behind(source.dir.join("").to_string_lossy()) })
}

#[cfg(test)]
mod tests;

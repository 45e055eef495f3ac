//! `[settings]`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;

use super::{MetricsDetail, Settings, logs, logs::DiskFull, parse::Source, table::Table};

impl Settings {
    pub(super) fn read(table: &mut Table<'_, '_, '_>, source: &Source) -> Self {
        let seconds = Duration::from_secs;
        let (backoff_base, backoff_max) = backoff(table);
        let count = |found: Option<u64>, default: u64| usize::try_from(found.unwrap_or(default)).unwrap_or(1);
        Self {
            data_dir: data_dir(table, source),
            listen: listen(table),
            domain: domain(table),
            health_check_interval: positive(table, "health_check_interval", seconds(10)),
            max_restarts: table
                .integer("max_restarts", 0..1_000_001)
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(3),
            restart_window: positive(table, "restart_window", seconds(300)),
            backoff_base,
            backoff_max,
            stop_timeout: table.duration("stop_timeout").unwrap_or(seconds(10)),
            max_starting: count(
                table.integer("max_starting", 1..100_001),
                source.default_max_starting as u64,
            ),
            log_retention: positive(table, "log_retention", seconds(7 * 86_400)),
            log_max_size: table.size("log_max_size").unwrap_or(1 << 30),
            log_rate_limit: logs::rate(table, "log_rate_limit").filter(|&lines| lines > 0),
            log_disk_full: table.choice("log_disk_full", &DiskFull::WORDS).unwrap_or_default(),
            metrics_detail: table
                .choice(
                    "metrics_detail",
                    &[("token", MetricsDetail::Token), ("public", MetricsDetail::Public)],
                )
                .unwrap_or(MetricsDetail::Token),
            trusted_proxies: trusted_proxies(table),
            allowed_origins: allowed_origins(table),
        }
    }
}

/// A duration that must not be zero.
pub(super) fn positive(table: &mut Table<'_, '_, '_>, key: &'static str, default: Duration) -> Duration {
    let Some(found) = table.duration(key) else { return default };
    if found.is_zero() {
        let span = table.raw(key).map(toml::Spanned::span).unwrap_or_default();
        table.findings.error(span, format!("{key} must be more than 0"));
        return default;
    }
    found
}

fn data_dir(table: &mut Table<'_, '_, '_>, source: &Source) -> PathBuf {
    match table.text("data_dir") {
        Some(found) if found.value.trim().is_empty() => {
            table.findings.error(found.span, "data_dir: names no folder");
            source.default_data_dir.clone()
        }
        Some(found) => source.dir.join(found.value),
        None => source.default_data_dir.clone(),
    }
}

/// The first pause and the longest one.
fn backoff(table: &mut Table<'_, '_, '_>) -> (Duration, Duration) {
    let base = table.millis("backoff_base_ms").unwrap_or(Duration::from_secs(1));
    let max = table.millis("backoff_max_ms").unwrap_or(Duration::from_secs(60));
    if base > max {
        let place = table.raw("backoff_base_ms").or_else(|| table.raw("backoff_max_ms"));
        let (base, max) = (base.as_millis(), max.as_millis());
        let message = format!("backoff_base_ms ({base}) can't be more than backoff_max_ms ({max})");
        table.findings.error(place.map(toml::Spanned::span).unwrap_or_default(), message);
    }
    (base, max)
}

fn listen(table: &mut Table<'_, '_, '_>) -> Vec<SocketAddr> {
    let Some(found) = table.texts("listen") else { return vec![SocketAddr::from(([0, 0, 0, 0], 8000))] };
    let mut addresses = Vec::new();
    for text in &found.value {
        match text.parse() {
            Ok(address) => addresses.push(address),
            Err(_) => table.findings.error(
                found.span.clone(),
                format!("listen: '{text}' is not an address: write it as 0.0.0.0:8000"),
            ),
        }
    }
    if found.value.is_empty() {
        table.findings.error(found.span, "listen: names no address: write one as 0.0.0.0:8000");
    }
    addresses
}

fn trusted_proxies(table: &mut Table<'_, '_, '_>) -> Vec<IpNet> {
    let Some(found) = table.texts("trusted_proxies") else { return Vec::new() };
    let mut networks = Vec::new();
    for text in &found.value {
        match text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from)) {
            Ok(network) => networks.push(network),
            Err(_) => table.findings.error(
                found.span.clone(),
                format!("trusted_proxies: '{text}' is not a network: write it as 10.0.0.0/8 or 10.0.0.1"),
            ),
        }
    }
    networks
}

fn allowed_origins(table: &mut Table<'_, '_, '_>) -> Vec<String> {
    let Some(found) = table.texts("allowed_origins") else { return Vec::new() };
    let mut origins = Vec::new();
    for text in &found.value {
        match parse_origin(text) {
            Some(origin) => origins.push(origin),
            None => table.findings.error(
                found.span.clone(),
                format!(
                    "allowed_origins: '{text}' is not an origin: write it as https://console.example.com"
                ),
            ),
        }
    }
    origins
}

/// An origin (RFC 6454 section 6.2) as browsers send it: lower case, without a port that goes without saying.
/// `None` when it is none of a web page.
#[must_use]
pub fn parse_origin(text: &str) -> Option<String> {
    let origin = text.to_ascii_lowercase();
    let (scheme, authority) = origin.split_once("://")?;
    let usual = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    let authority = authority.strip_suffix(usual).unwrap_or(authority);
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => {
            port.parse::<u16>().ok()?;
            host
        }
        _ => authority,
    };
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let known = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => parse_domain(host).is_ok(),
    };
    known.then(|| format!("{scheme}://{authority}"))
}

fn domain(table: &mut Table<'_, '_, '_>) -> String {
    let Some(found) = table.text("domain") else { return "localhost".into() };
    parse_domain(&found.value).unwrap_or_else(|message| {
        table.findings.error(found.span, message);
        found.value
    })
}

/// A domain as host names are compared: lower case and without a trailing dot.
///
/// # Errors
/// It is not a host name; in words for people.
pub fn parse_domain(text: &str) -> Result<String, String> {
    let domain = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label = |label: &str| {
        let plain =
            label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        plain && !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
    };
    if domain.len() > 253 || !domain.split('.').all(label) {
        return Err(format!(
            "domain: '{}' is not a host name: write it without scheme, port and path, other scripts as xn--…",
            text.escape_debug()
        ));
    }
    Ok(domain)
}

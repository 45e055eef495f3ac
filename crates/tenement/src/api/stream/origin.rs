//! Whose pages may open WebSockets: browsers let every page try, and send where it is from.

use axum::http::{HeaderMap, HeaderName, header};
use tenement_core::config::{Settings, parse_origin};

/// Whether a request comes from a page that may: from our own, one the configuration names, or from no page.
pub(super) fn may(headers: &HeaderMap, settings: &Settings) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let (Some(value), None) = (origins.next(), origins.next()) else {
        return !headers.contains_key(header::ORIGIN);
    };
    let Some(origin) = value.to_str().ok().and_then(parse_origin) else { return false };
    let own = [text(headers, header::HOST), Some(settings.domain.as_str())];
    let is_own = own.into_iter().flatten().any(|host| is_of(&origin, host));
    is_own || settings.allowed_origins.contains(&origin)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Whether an origin is that of a host, with its port if it has one.
fn is_of(origin: &str, host: &str) -> bool {
    let scheme = origin.split("://").next().unwrap_or_default();
    parse_origin(&format!("{scheme}://{host}")).as_deref() == Some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    // faults: W3
    #[test]
    fn only_its_own_pages_and_those_that_are_named_may() {
        let settings = |allowed: &[&str]| Settings {
            domain: "apps.example.com".into(),
            allowed_origins: allowed.iter().map(ToString::to_string).collect(),
            ..tenement_core::config::testing::settings()
        };
        let may = |host: &str, origin: Option<&str>, allowed: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            super::may(&headers, &settings(allowed))
        };
        assert!(may("localhost:8000", None, &[]));
        assert!(may("localhost:8000", Some("http://localhost:8000"), &[]));
        assert!(may("Apps.example.com", Some("https://apps.example.com"), &[]));
        assert!(may("apps.example.com:443", Some("https://apps.example.com"), &[]));
        assert!(may("10.0.0.1:8000", Some("https://apps.example.com"), &[]), "behind a proxy");
        for foreign in [
            "http://localhost:3000",
            "http://localhost",
            "https://alice.notes.apps.example.com",
            "https://apps.example.com.evil.com",
            "https://evil.com",
            "null",
            "file://localhost:8000",
            "",
        ] {
            assert!(!may("localhost:8000", Some(foreign), &["https://console.example.com"]), "{foreign}");
        }
        assert!(may("localhost:8000", Some("https://console.example.com"), &["https://console.example.com"]));
        let mut twice = HeaderMap::new();
        twice.append(header::ORIGIN, "https://apps.example.com".parse().unwrap());
        twice.append(header::ORIGIN, "https://apps.example.com".parse().unwrap());
        assert!(!super::may(&twice, &settings(&[])));
    }
}

//! From where a request came: the proxy has written that down, and nobody else can.

use std::net::{IpAddr, Ipv4Addr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The nearest address that no trusted proxy has.
pub(super) fn of(headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let values = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let way: Vec<&str> = values.flat_map(|value| value.split(',')).collect();
    let mut nearest = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    for hop in way.iter().rev() {
        let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
        nearest = address.to_canonical();
        if !trusted.iter().any(|network| network.contains(&nearest)) {
            break;
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_is_looked_behind() {
        let of = |value: &str, trusted: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", value.parse().unwrap());
            let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
            super::of(&headers, &trusted).to_string()
        };
        assert_eq!(of("1.1.1.1, 10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(of("6.6.6.6, 1.1.1.1, 10.0.0.1", &["10.0.0.0/8"]), "1.1.1.1");
        assert_eq!(of("10.0.0.2, 10.0.0.1", &["10.0.0.0/8"]), "10.0.0.2");
        assert_eq!(of("1.1.1.1, unknown, 10.0.0.1", &["10.0.0.0/8"]), "10.0.0.1");
        assert_eq!(super::of(&HeaderMap::new(), &[]).to_string(), "0.0.0.0");
    }
}

//! Tells people that requests are served.

use std::{
    io::{self, Write},
    net::SocketAddr,
    thread,
};

use tenement_core::{config::Config, name::InstanceName};

/// Instances whose addresses are shown.
const SHOWN: usize = 10;

/// Prints the addresses, and the token if it was just made.
pub(super) fn tell(addresses: &[SocketAddr], config: &Config, token: Option<&str>) {
    let port = addresses.first().map_or(0, SocketAddr::port);
    let mut text = addresses_of(&config.settings.domain, &config.instances, port);
    if let Some(token) = token {
        text.push_str(&format!(
            "API token, shown this once and saved as api_token in {}:\n  {token}\n",
            config.settings.data_dir.display()
        ));
    }
    // A standard output that is closed, or that nobody reads, is no reason not to serve.
    let write = move || {
        let mut out = io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    };
    if let Err(error) = thread::Builder::new().name("ready".into()).spawn(write) {
        tracing::warn!(%error, "no thread to tell standard output that requests are served");
    }
}

/// The addresses of the dashboard and of some instances.
fn addresses_of(domain: &str, instances: &[InstanceName], port: u16) -> String {
    let mut text = format!("tenement is ready: http://{domain}:{port}\n");
    let hosts = instances.iter().filter_map(|name| name.host(domain)).take(SHOWN);
    let shown = hosts.map(|host| text.push_str(&format!("  http://{host}:{port}\n"))).count();
    if instances.len() > shown {
        text.push_str(&format!("  and {} more: see 'ten ps'\n", instances.len() - shown));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_lead_to_an_instance_are_shown() {
        let instances = ["web:a", "web:v1.2", "web:b"].map(|name| name.parse().unwrap());
        let shown = "tenement is ready: http://localhost:80\n  http://a.web.localhost:80\n  \
            http://b.web.localhost:80\n  and 1 more: see 'ten ps'\n";
        assert_eq!(addresses_of("localhost", &instances, 80), shown);
    }
}

//! Tells people that requests are served.

use std::{
    io::{self, Write},
    net::SocketAddr,
    thread,
};

use tenement_core::config::Config;

/// Instances whose addresses are shown.
const SHOWN: usize = 10;

/// Prints the addresses, and the token if it was just made.
pub(super) fn tell(addresses: &[SocketAddr], config: &Config, token: Option<&str>) {
    let port = addresses.first().map_or(0, SocketAddr::port);
    let domain = &config.settings.domain;
    let mut text = format!("tenement is ready: http://{domain}:{port}\n");
    for name in config.instances.iter().take(SHOWN) {
        text.push_str(&format!("  http://{}.{}.{domain}:{port}\n", name.id.as_str(), name.service.as_str()));
    }
    if config.instances.len() > SHOWN {
        text.push_str(&format!("  and {} more: see 'ten ps'\n", config.instances.len() - SHOWN));
    }
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

//! What the flags of `ten serve` say over the configuration file: at the start, and whenever it is read anew.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use tenement_core::config::Config;

/// The flags, checked. Those that were not given say nothing.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--data-dir`, whole.
    pub data_dir: Option<PathBuf>,
    /// `--host`.
    pub host: Option<Vec<IpAddr>>,
    /// `--port`.
    pub port: Option<u16>,
    /// `--domain`, in the form of the settings.
    pub domain: Option<String>,
    /// `--strict`: warnings count as errors.
    pub strict: bool,
}

impl Flags {
    /// Puts what was given over a configuration.
    pub fn apply(&self, config: &mut Config) {
        let settings = &mut config.settings;
        if let Some(dir) = &self.data_dir {
            settings.data_dir.clone_from(dir);
        }
        if let Some(host) = &self.host {
            let port = settings.listen.first().map_or(8000, SocketAddr::port);
            settings.listen = host.iter().map(|address| SocketAddr::new(*address, port)).collect();
        }
        if let Some(port) = self.port {
            settings.listen.iter_mut().for_each(|address| address.set_port(port));
        }
        if let Some(domain) = &self.domain {
            settings.domain.clone_from(domain);
        }
    }
}

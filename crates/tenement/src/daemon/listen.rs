//! The addresses of API, dashboard and tenant traffic.

use std::{io, net::SocketAddr, thread::available_parallelism};

use tenement_core::config::Config;
use tenement_proxy::{BindError, Bound, Limits};
use tenement_runtime::port_owner::listener;

/// Why an address can't be listened on, and who has it.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else listens there.
    #[error("{address} is in use{by}: stop that, or choose another port with --port")]
    InUse {
        /// Which.
        address: SocketAddr,
        /// ` by NAME (pid N)`, where it can be seen.
        by: String,
    },
    /// Ports below 1024 need a right.
    #[error(
        "{address} needs CAP_NET_BIND_SERVICE (ports below 1024): run as root, give ten that capability, or choose another port with --port"
    )]
    Privileged {
        /// Which.
        address: SocketAddr,
    },
    /// Something else.
    #[error("{0}; choose another address with --host")]
    Other(BindError),
}

/// Begins to listen, on one thread per core.
pub(super) fn bind(config: &Config) -> Result<Bound, ListenError> {
    let settings = &config.settings;
    let proxy = tenement_proxy::Config {
        listen: settings.listen.clone(),
        threads: available_parallelism().map_or(1, usize::from),
        trusted_proxies: settings.trusted_proxies.clone(),
        limits: Limits::default(),
    };
    Bound::bind(proxy).map_err(|error| match error.source.kind() {
        io::ErrorKind::AddrInUse => {
            let by = listener(error.address.port()).map_or_else(String::new, |found| format!(" by {found}"));
            ListenError::InUse { address: error.address, by }
        }
        io::ErrorKind::PermissionDenied => ListenError::Privileged { address: error.address },
        _ => ListenError::Other(error),
    })
}

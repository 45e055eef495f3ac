//! The addresses of API, dashboard and tenant traffic.

use std::{io, net::SocketAddr, thread::available_parallelism};

use tenement_core::config::Config;
use tenement_proxy::{BindError, Bound, Limits};
use tenement_runtime::{
    keeper::{Inheritance, Link},
    port_owner::listener,
};

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

/// What the keeper holds of each address.
const HELD: &str = "listen:";

/// Begins to listen, on one thread per core, or goes on to on the sockets of the daemon before. They outlive this one.
pub(super) fn bind(config: &Config, keeper: &Link, kept: &mut Inheritance) -> Result<Bound, ListenError> {
    let settings = &config.settings;
    let proxy = tenement_proxy::Config {
        listen: settings.listen.clone(),
        threads: available_parallelism().map_or(1, usize::from),
        trusted_proxies: settings.trusted_proxies.clone(),
        limits: Limits::default(),
    };
    let before: Vec<_> = kept.held.extract_if(.., |name, _| name.starts_with(HELD)).collect();
    let (names, sockets): (Vec<_>, Vec<_>) = before.into_iter().unzip();
    let bound = Bound::inherit(proxy, sockets.into_iter().flatten().collect()).map_err(explain)?;
    let held = |address: &SocketAddr| format!("{HELD}{address}");
    for (address, sockets) in bound.descriptors() {
        keeper.hold(&held(&address), &sockets);
    }
    let now: Vec<_> = bound.local_addrs().iter().map(held).collect();
    names.iter().filter(|name| !now.contains(name)).for_each(|name| keeper.drop_held(name));
    Ok(bound)
}

fn explain(error: BindError) -> ListenError {
    match error.source.kind() {
        io::ErrorKind::AddrInUse => {
            let by = listener(error.address.port()).map_or_else(String::new, |found| format!(" by {found}"));
            ListenError::InUse { address: error.address, by }
        }
        io::ErrorKind::PermissionDenied => ListenError::Privileged { address: error.address },
        _ => ListenError::Other(error),
    }
}

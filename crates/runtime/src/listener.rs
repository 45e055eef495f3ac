//! Whether it is the instance that listens where a connection was made to.
//!
//! | address | evidence |
//! |---|---|
//! | Unix socket | the process that called listen(2), by `SO_PEERCRED` of unix(7), is of the instance's tree |
//! | Unix socket passed on | it was the daemon that started it, and the socket was bound to the instance's own path |
//! | port | the listening socket, by `sock_diag(7)`, is open in a process of the tree |

use std::{
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use tenement_core::slot::{Address, Identity};

use crate::{port_owner, process::Process, socket};

/// What is known of the socket on which an instance listens.
#[derive(Debug)]
pub struct Listener {
    process: Process,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Bound,
    /// At this path, by the process of this number.
    PassedOn(PathBuf, u32),
    /// With the number of the listening socket that was last found to be the instance's; 0 before.
    Port(u16, AtomicU64),
}

impl Listener {
    /// A listener that `process` makes itself.
    #[must_use]
    pub fn bound(process: Process, address: &Address) -> Self {
        let place = match address {
            Address::Unix(_) => Place::Bound,
            Address::Tcp(port) => Place::Port(*port, AtomicU64::new(0)),
        };
        Self { process, place }
    }

    /// A listener that a daemon made at `path` for `process`; `by`: the pid of that daemon, which may be gone.
    #[must_use]
    pub fn passed_on(process: Process, path: &Path, by: u32) -> Self {
        Self { process, place: Place::PassedOn(path.to_owned(), by) }
    }
}

impl Identity for Listener {
    fn is_behind(&self, connection: BorrowedFd<'_>) -> bool {
        match &self.place {
            Place::Bound => owns_socket(&self.process, connection),
            Place::PassedOn(path, by) => {
                owns_socket(&self.process, connection)
                    || (socket::listener_pid(connection) == Some(*by)
                        && socket::bound_to(connection).as_deref() == Some(path))
            }
            Place::Port(port, known) => owns_port(&self.process, *port, known),
        }
    }
}

fn owns_socket(process: &Process, connection: BorrowedFd<'_>) -> bool {
    socket::listener_pid(connection).is_some_and(|pid| process.owns(pid))
}

/// Looking for a socket's holder takes a walk through descriptors; as long as it is the same one, once is enough.
fn owns_port(process: &Process, port: u16, known: &AtomicU64) -> bool {
    let Some(inode) = port_owner::listening_inode(port) else { return false };
    if known.load(Ordering::Relaxed) == inode {
        return true;
    }
    let is_own = process.members().into_iter().any(|pid| port_owner::holds(pid, &[inode]));
    if is_own {
        known.store(inode, Ordering::Relaxed);
    }
    is_own
}

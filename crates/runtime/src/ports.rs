//! TCP ports for instances: 30000 to 40000, really free, none handed out twice.

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, SocketAddrV4},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

const FIRST: u16 = 30_000;
const LAST: u16 = 40_000;

/// Hands out ports. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct PortPool {
    taken: Arc<Mutex<BTreeSet<u16>>>,
}

/// A port that is handed out; dropping it gives it back.
#[derive(Debug)]
pub struct Port {
    number: u16,
    pool: PortPool,
}

impl Port {
    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.pool.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

impl PortPool {
    /// The port of an instance that is running already.
    ///
    /// # Errors
    /// It is handed out.
    pub fn take(&self, number: u16) -> io::Result<Port> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.insert(number) {
            true => Ok(Port { number, pool: self.clone() }),
            false => Err(io::ErrorKind::AddrInUse.into()),
        }
    }

    /// A port nobody listens on; the search begins at a place given by `dice`.
    ///
    /// # Errors
    /// None is free, or there is nothing left to find out with.
    pub fn reserve(&self, dice: u64) -> io::Result<Port> {
        let count = u64::from(LAST - FIRST) + 1;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for step in 0..count {
            let number = FIRST + u16::try_from((dice % count + step) % count).unwrap_or_default();
            if !taken.contains(&number) && is_free(number)? {
                taken.insert(number);
                return Ok(Port { number, pool: self.clone() });
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "no port from 30000 to 40000 is free"))
    }
}

/// Whether an application could bind it. Tried without `SO_REUSEADDR`, as not every application sets it: a port on
/// which connections of an earlier run linger in TIME_WAIT is not free to those. Nothing lingers of the trial.
fn is_free(number: u16) -> io::Result<bool> {
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    Ok(rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, number)).is_ok())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_port_with_lingering_connections_is_not_free() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", number)).unwrap();
        let (server, _) = listener.accept().unwrap();
        // Who closes first keeps the connection in TIME_WAIT.
        drop(server);
        drop(client);
        drop(listener);
        assert!(!is_free(number).unwrap());
    }

    #[test]
    fn a_port_in_use_or_handed_out_is_not_handed_out() {
        let pool = PortPool::default();
        let first = pool.reserve(7).unwrap();
        let second = pool.reserve(7).unwrap();
        assert_ne!(first.number(), second.number());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, first.number())).unwrap();
        let number = first.number();
        drop(first);
        assert_ne!(pool.reserve(u64::from(number - FIRST)).unwrap().number(), number);
        drop(listener);
    }
}

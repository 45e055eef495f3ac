//! Who listens on a TCP port: the kernel names the socket, `/proc/*/fd` its holder. See `proc(5)`.

use std::fs;

use crate::sock_diag;

/// A process that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its pid.
    pub pid: u32,
    /// What it calls itself.
    pub name: String,
}

impl std::fmt::Display for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// The process that listens on `port`, as far as this user may see it.
#[must_use]
pub fn listener(port: u16) -> Option<Listener> {
    let sockets = listening(port);
    if sockets.is_empty() {
        return None;
    }
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.into_iter().find(|pid| holds(*pid, &sockets)).map(|pid| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        Listener { pid, name: name.trim().to_owned() }
    })
}

/// The inode of the socket that listens on `port` of 127.0.0.1.
pub(crate) fn listening_inode(port: u16) -> Option<u64> {
    sock_diag::listening_inode(port).unwrap_or_else(|_| listening(port).first().copied())
}

/// The inodes of all sockets that listen on `port`, from the tables for people.
fn listening(port: u16) -> Vec<u64> {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines());
    lines.filter_map(|line| inode_of(line, port)?.parse().ok()).collect()
}

/// Whether a process has one of the sockets open; no, if it can't be seen.
pub(crate) fn holds(pid: u32, sockets: &[u64]) -> bool {
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let sockets: Vec<_> = sockets.iter().map(|inode| format!("socket:[{inode}]")).collect();
    open.flatten().any(|entry| {
        fs::read_link(entry.path())
            .is_ok_and(|link| sockets.iter().any(|socket| link.as_os_str() == socket.as_str()))
    })
}

/// The inode of a line of the table, if it is a listening socket of `port`.
fn inode_of(line: &str, port: u16) -> Option<&str> {
    const LISTEN: &str = "0A";
    let mut columns = line.split_ascii_whitespace();
    let local = columns.nth(1)?;
    let state = columns.nth(1)?;
    let found = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
    (found == port && state == LISTEN).then(|| columns.nth(5))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_by_its_port() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(listener(port).map(|found| found.pid), Some(std::process::id()));
        drop(socket);
        assert_eq!(listener(port), None);
    }

    #[test]
    fn only_a_listening_socket_on_the_port_counts() {
        let line = "   0: 0100007F:7530 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0";
        assert_eq!(inode_of(line, 30_000), Some("4711"));
        assert_eq!(inode_of(line, 30_001), None);
        assert_eq!(inode_of(&line.replace(" 0A ", " 01 "), 30_000), None);
        assert_eq!(inode_of("", 1), None);
    }
}

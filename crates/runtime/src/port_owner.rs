//! Who listens on a TCP port: `/proc/net/tcp` names the socket, `/proc/*/fd` its holder. See `proc(5)`.

use std::{fs, io};

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
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| table.lines().filter_map(|line| listening(line, port)).collect::<Vec<_>>())
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.into_iter().find(|pid| holds(*pid, &inodes).unwrap_or(false)).map(|pid| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        Listener { pid, name: name.trim().to_owned() }
    })
}

/// The inode in a line of the table, if it is a listening socket of `port`.
fn listening(line: &str, port: u16) -> Option<String> {
    const LISTEN: &str = "0A";
    let mut columns = line.split_whitespace();
    let local = columns.nth(1)?;
    let state = columns.nth(1)?;
    let found = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
    (found == port && state == LISTEN).then(|| columns.nth(5).map(str::to_owned))?
}

fn holds(pid: u32, inodes: &[String]) -> io::Result<bool> {
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let target = fs::read_link(entry?.path()).unwrap_or_default();
        if target.to_str().is_some_and(|target| inodes.iter().any(|inode| inode == target)) {
            return Ok(true);
        }
    }
    Ok(false)
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
}

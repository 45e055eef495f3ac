//! What the daemon keeps at the top of its data directory. The data of instances is there too, in a folder for each
//! service, so no service may be called like any of this.

use crate::name::ServiceName;

/// The lock that makes the directory one daemon's.
pub const LOCK: &str = "daemon.lock";
/// The state database. SQLite adds files whose names begin with this.
pub const STATE: &str = "state.db";
/// What happened, and who changed what. SQLite adds files whose names begin with this.
pub const HISTORY: &str = "history.db";
/// How far log sinks have come. SQLite adds files whose names begin with this.
pub const SINKS: &str = "sinks.db";
/// Running processes and the lives of instances, void after a reboot. SQLite adds files whose names begin with this.
pub const RUNS: &str = "runs.db";
/// A part of what kept answers are sealed with.
pub const SEAL: &str = "seal_key";
/// The first token, for those who may read the directory.
pub const API_TOKEN: &str = "api_token";
/// Written, and removed at once, to find out whether something can be written.
pub const PROBE: &str = ".probe";
/// The local administration socket.
pub const ADMIN_SOCKET: &str = "admin.sock";
/// The socket of a daemon that leaves, for whoever serves then: this and its pid.
pub const WAY: &str = "way.";
/// The folder of what instances printed.
pub const LOGS: &str = "logs";
/// The folder of the pipes they print to.
pub const PIPES: &str = "pipes";
/// The folder of their sockets, where a service does not say otherwise.
pub const RUN: &str = "run";
/// The folder of what instances used and served.
pub const SAMPLES: &str = "samples";

const OWN: [&str; 12] =
    [LOCK, STATE, HISTORY, SINKS, RUNS, SEAL, API_TOKEN, ADMIN_SOCKET, LOGS, PIPES, RUN, SAMPLES];

/// Whether a name at the top of the data directory is the daemon's.
#[must_use]
pub fn is_own(name: &str) -> bool {
    let beside = |database: &str| name.strip_prefix(database).is_some_and(|more| more.starts_with('-'));
    let is_way = name.strip_prefix(WAY).is_some_and(|pid| pid.parse::<u32>().is_ok());
    OWN.contains(&name) || is_way || beside(STATE) || beside(HISTORY) || beside(SINKS) || beside(RUNS)
}

/// Whether a service may have this name.
///
/// # Errors
/// Why not, in words for people.
pub fn check_service(name: &ServiceName) -> Result<(), String> {
    if !is_own(name.as_str()) {
        return Ok(());
    }
    let taken: Vec<_> = OWN.iter().filter(|own| own.parse::<ServiceName>().is_ok()).copied().collect();
    Err(format!(
        "a service can't be called '{name}': the data of its instances would be in {{data_dir}}/{name}, where tenement \
         keeps its own ({}); choose another name",
        taken.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_a_service_and_is_the_daemons_is_refused() {
        for own in ["logs", "pipes", "run", "samples", "api_token"] {
            let why = check_service(&own.parse().unwrap()).unwrap_err();
            assert!(why.contains(&format!("{{data_dir}}/{own}")), "{why}");
        }
        for free in ["api", "admin", "www", "log", "state", "daemon"] {
            check_service(&free.parse().unwrap()).unwrap();
        }
        assert!(is_own("state.db-wal") && !is_own("state.dbx") && is_own("way.17"));
    }
}

//! Whom to ask.

use std::{
    fs::{self, File},
    io::{self, Read},
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    net::sockopt,
};
use tenement_core::layout;
use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::{Error, Failure, Global};
use crate::config_file;

/// Whoever is not there by then is not there: an answer to the user within a second.
const CONNECT: Duration = Duration::from_millis(900);

/// What is longer is no token.
const TOKEN_MAX: u64 = 64 << 10;

/// Of silence, before the other side is asked whether it is still there.
const PROBE: Duration = Duration::from_secs(20);

/// A daemon.
#[derive(Debug)]
pub(super) enum Target {
    /// On this machine, by its administration socket.
    Local {
        /// The socket.
        socket: PathBuf,
        /// The command that starts such a daemon.
        start: String,
    },
    /// By its URL.
    Remote {
        /// Host, and port if it is not 80.
        authority: String,
        /// What proves who we are.
        token: Option<String>,
        /// Where it is from, or why there is none.
        from: String,
    },
}

/// A connection to it.
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Target {
    pub(super) fn find(global: &Global) -> Result<Self, Failure> {
        let Some(url) = &global.server else {
            let socket = data_dir(global)?.join(layout::ADMIN_SOCKET);
            return Ok(Self::Local { socket, start: start(global) });
        };
        let authority = authority(url)?;
        if let Some(token) = &global.token {
            let from = "TENEMENT_TOKEN or --token".to_owned();
            return Ok(Self::Remote { authority, token: Some(token.trim().to_owned()), from });
        }
        let path = data_dir(global)?.join(layout::API_TOKEN);
        let (token, from) = match saved_token(&path) {
            Ok(token) => (token, format!("'{}'", path.display())),
            // The daemon may need none.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                (None, format!("'{}' ({error})", path.display()))
            }
            Err(error) => {
                let next = "remove it, or set TENEMENT_TOKEN";
                let message = format!("can't read the token in '{}': {error}: {next}", path.display());
                return Err(Failure::config(message));
            }
        };
        if token.is_some() && !is_here(&authority) {
            global.warn(&format!(
                "the token saved in {from} goes to {authority} by http, where others may read it on its way: \
                 ask through an SSH tunnel"
            ));
        }
        Ok(Self::Remote { authority, token, from })
    }

    /// What to do when the daemon knows no such token.
    pub(super) fn advice(&self) -> String {
        let make = "make one with 'ten token-gen' on the daemon's machine";
        match self {
            Self::Remote { token: Some(_), from, .. } => {
                format!(": the token in {from} is wrong, expired or revoked: {make}")
            }
            Self::Remote { token: None, from, .. } => {
                format!(": set TENEMENT_TOKEN, as there is no token to be read in {from}, or {make}")
            }
            Self::Local { .. } => String::new(),
        }
    }

    pub(super) fn authority(&self) -> &str {
        match self {
            Self::Local { .. } => "localhost",
            Self::Remote { authority, .. } => authority,
        }
    }

    pub(super) fn token(&self) -> Option<&str> {
        match self {
            Self::Local { .. } => None,
            Self::Remote { token, .. } => token.as_deref(),
        }
    }

    /// # Errors
    /// Nobody there, or not for us; known within a second.
    pub(super) async fn connect(&self) -> Result<Stream, Error> {
        let connect = async {
            match self {
                Self::Local { socket, .. } => UnixStream::connect(socket).await.map(Stream::Unix),
                Self::Remote { authority, .. } => {
                    let stream = TcpStream::connect(with_port(authority)).await?;
                    // What is followed may be silent for long: a machine that is gone is to be noticed.
                    keep_alive(&stream)?;
                    Ok(Stream::Tcp(stream))
                }
            }
        };
        let connected =
            timeout(CONNECT, connect).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        connected.map_err(|error| match self {
            Self::Local { socket, start } => unreachable_locally(socket, start, &error),
            Self::Remote { .. } => Error::Unreachable(format!(
                "no daemon answers at {self} ({error}): check --server, and whether the daemon runs there"
            )),
        })
    }
}

fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, PROBE)?;
    sockopt::set_tcp_keepintvl(stream, PROBE)?;
    Ok(sockopt::set_tcp_keepcnt(stream, 3)?)
}

fn unreachable_locally(socket: &Path, start: &str, error: &io::Error) -> Error {
    let shown = socket.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let owner =
                socket.ancestors().find_map(|path| fs::metadata(path).ok()).map_or(0, |found| found.uid());
            let uid = rustix::process::geteuid().as_raw();
            Error::NotAllowed(format!(
                "uid {uid} may not use the daemon's socket '{shown}', which is uid {owner}'s: run ten as that user or root, or use --server with a token"
            ))
        }
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => {
            Error::Unreachable(format!(
                "no daemon runs at '{shown}': start it with '{start}', or say where it is with --data-dir or --server"
            ))
        }
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Error::Unreachable(format!(
            "the daemon at '{shown}' takes no connection: it hangs or has too much to do; look at what it printed"
        )),
        _ => Error::Unreachable(format!(
            "can't connect to '{shown}' ({error}): say where the daemon is with --data-dir or --server"
        )),
    }
}

/// How a daemon like the one that was looked for is started.
fn start(global: &Global) -> String {
    let option = |name: &str, path: &Option<PathBuf>| {
        path.as_ref().map(|path| format!(" --{name} {}", path.display())).unwrap_or_default()
    };
    format!("ten serve{}{}", option("config", &global.config), option("data-dir", &global.data_dir))
}

/// Host and port of a URL.
fn authority(url: &str) -> Result<String, Failure> {
    let rest = match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
        None => url,
        Some(_) => {
            return Err(Failure::config(format!(
                "--server: '{url}': only http:// is spoken; for https, ask through an SSH tunnel or on the machine itself"
            )));
        }
    };
    let authority = rest.trim_end_matches('/');
    let host = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    if let Some((_, port)) = host.rsplit_once(':')
        && port.parse::<u16>().is_err()
    {
        return Err(Failure::config(format!("--server: '{port}' is no port: use one from 1 to 65535")));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if authority.is_empty() || !authority.chars().all(plain) {
        return Err(Failure::config(format!("--server: '{url}' is not a URL like http://example.com:8000")));
    }
    Ok(authority.to_owned())
}

/// Host and port, 80 where none is given (RFC 9110 section 4.2.1).
fn with_port(authority: &str) -> String {
    let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_some() { authority.to_owned() } else { format!("{authority}:80") }
}

/// Whether it is this machine, where nobody sees what is sent.
fn is_here(authority: &str) -> bool {
    let host = with_port(authority);
    let host = host.rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The daemon's own token. Opened without waiting for a writer, should it be a FIFO.
fn saved_token(path: &Path) -> io::Result<Option<String>> {
    let file =
        match rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            file => File::from(file?),
        };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut token = String::new();
    file.take(TOKEN_MAX).read_to_string(&mut token)?;
    Ok(Some(token.trim().to_owned()).filter(|token| !token.is_empty()))
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local { socket, .. } => write!(f, "{}", socket.display()),
            Self::Remote { authority, .. } => write!(f, "http://{authority}"),
        }
    }
}

/// Where a daemon of this configuration keeps its state.
///
/// # Errors
/// The configuration does not say, because it is wrong: guessing could reach another daemon.
pub(in crate::cli) fn data_dir(global: &Global) -> Result<PathBuf, Failure> {
    if let Some(dir) = &global.data_dir {
        return Ok(dir.clone());
    }
    let path = match config_file::find(global.config.as_deref()) {
        Err(config_file::FileError::None) => return Ok(config_file::default_data_dir()),
        path => path.map_err(Failure::config)?,
    };
    let (name, parsed) = config_file::load(&path).map_err(Failure::config)?;
    parsed.config.map(|config| config.settings.data_dir).ok_or_else(|| {
        Failure::config(format!(
            "{name} has errors, so it does not say where the daemon is: see 'ten config --validate {name}', or use --data-dir"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // faults: L2
    #[test]
    fn a_server_is_a_host_and_a_port_and_nothing_else() {
        for (url, expected) in [
            ("http://example.com:8000/", "example.com:8000"),
            ("HTTP://example.com", "example.com"),
            ("localhost:8000", "localhost:8000"),
            ("http://[::1]:8000", "[::1]:8000"),
        ] {
            assert_eq!(authority(url).unwrap(), expected);
        }
        for url in [
            "http://127.0.0.1:99999",
            "",
            "http://",
            "https://x",
            "http://a/b",
            "http://a b",
            "http://u@h",
            "http://a\r\nX: y",
        ] {
            assert_eq!(authority(url).unwrap_err().code.number(), 2, "{url}");
        }
        for (host, here) in [
            ("localhost:8000", true),
            ("127.0.0.1", true),
            ("[::1]:8000", true),
            ("example.com:8000", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(is_here(host), here, "{host}");
        }
        let ports = ["h", "h:1", "[::1]", "[::1]:9"].map(with_port);
        assert_eq!(ports, ["h:80", "h:1", "[::1]:80", "[::1]:9"]);
    }

    // faults: L2
    #[test]
    fn nobody_there_and_not_for_us_are_told_apart() {
        let told = |kind: io::ErrorKind| {
            let error =
                unreachable_locally(Path::new("/d/admin.sock"), "ten serve --data-dir /d", &kind.into());
            let failure = Failure::from(error);
            (failure.code.number(), failure.message)
        };
        let (code, message) = told(io::ErrorKind::NotFound);
        assert!(code == 7 && message.contains("start it with 'ten serve --data-dir /d'"), "{message}");
        let (code, message) = told(io::ErrorKind::PermissionDenied);
        assert!(code == 6 && message.contains("'/d/admin.sock', which is uid 0's"), "{message}");
        let (code, message) = told(io::ErrorKind::WouldBlock);
        assert!(code == 7 && message.contains("takes no connection"), "{message}");
    }
}

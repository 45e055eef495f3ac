//! Whom to ask.

use std::{fs, io, path::PathBuf, time::Duration};

use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::{Error, Failure, Global};
use crate::config_file;

/// Long enough for a server far away; a local socket answers or refuses at once.
const CONNECT: Duration = Duration::from_secs(5);

/// A daemon.
#[derive(Debug)]
pub(super) enum Target {
    /// On this machine, by its administration socket.
    Local { socket: PathBuf },
    /// By its URL.
    Remote { authority: String, token: Option<String> },
}

/// A connection to it.
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Target {
    pub(super) fn find(global: &Global) -> Result<Self, Failure> {
        let data_dir = data_dir(global);
        let Some(url) = &global.server else {
            return Ok(Self::Local { socket: data_dir.join(tenement::daemon::ADMIN_SOCKET) });
        };
        let rest = match url.split_once("://") {
            Some(("http", rest)) => rest,
            None => url,
            Some(_) => {
                return Err(Failure::config(format!(
                    "--server: '{url}': only http:// is spoken; for https, ask through an SSH tunnel or on the machine itself"
                )));
            }
        };
        let authority = rest.trim_end_matches('/').to_owned();
        if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
            return Err(Failure::config(format!(
                "--server: '{url}' is not a URL like http://example.com:8000"
            )));
        }
        let saved = || fs::read_to_string(data_dir.join("api_token")).ok();
        let token = global.token.clone().or_else(saved).map(|token| token.trim().to_owned());
        Ok(Self::Remote { authority, token })
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

    pub(super) async fn connect(&self) -> Result<Stream, Error> {
        match self {
            Self::Local { socket } => {
                UnixStream::connect(socket).await.map(Stream::Unix).map_err(|error| self.local(&error))
            }
            Self::Remote { authority, .. } => {
                let default_port =
                    authority.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err());
                let address = if default_port { format!("{authority}:80") } else { authority.clone() };
                let unreachable = |why: String| {
                    Error::Unreachable(format!(
                        "no tenement answers at {self}: {why}: check --server and the daemon there"
                    ))
                };
                match timeout(CONNECT, TcpStream::connect(&address)).await {
                    Ok(Ok(stream)) => Ok(Stream::Tcp(stream)),
                    Ok(Err(error)) => Err(unreachable(error.to_string())),
                    Err(_) => Err(unreachable("no answer".into())),
                }
            }
        }
    }

    fn local(&self, error: &io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::PermissionDenied => {
                Error::NotAllowed(format!("may not use {self}: run ten as the daemon's user or root"))
            }
            _ => Error::Unreachable(format!(
                "no daemon answers at {self} ({error}): start it with 'ten serve', or name its --data-dir or --server"
            )),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local { socket } => write!(f, "{}", socket.display()),
            Self::Remote { authority, .. } => write!(f, "http://{authority}"),
        }
    }
}

/// Where a daemon of this configuration keeps its state.
pub(in crate::cli) fn data_dir(global: &Global) -> PathBuf {
    if let Some(dir) = &global.data_dir {
        return dir.clone();
    }
    let configured = || {
        let path = config_file::find(global.config.as_deref()).ok()?;
        let (_, parsed) = config_file::load(&path).ok()?;
        Some(parsed.config?.settings.data_dir)
    };
    configured().unwrap_or_else(config_file::default_data_dir)
}

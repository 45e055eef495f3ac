//! The local administration socket: the whole API, without a token for those who could read the state anyway.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use axum::Router;
use tenement_core::layout;
use tenement_runtime::{
    keeper::{Inheritance, Link},
    seldom::Seldom,
};
use tokio::{
    net::UnixStream,
    task::{AbortHandle, JoinSet},
};

use crate::api::{self, Trust};

/// The socket, listening; removed when it is dropped.
#[derive(Debug)]
pub(super) struct Admin {
    path: PathBuf,
    listener: Option<UnixListener>,
    serving: Option<AbortHandle>,
}

/// How long to wait when no descriptor is left for another connection.
const EXHAUSTED: Duration = Duration::from_millis(100);
static EXHAUSTED_SAID: Seldom = Seldom::new();

/// What the keeper holds.
const HELD: &str = "admin";

/// Makes the socket, or takes on that of the daemon before, where clients wait already. The lock on the directory says
/// that another one in its place is a predecessor's.
pub(super) fn bind(dir: &Path, keeper: &Link, kept: &mut Inheritance) -> io::Result<Admin> {
    let path = dir.join(layout::ADMIN_SOCKET);
    let before = kept.held.remove(HELD).and_then(|held| held.into_iter().next()).map(UnixListener::from);
    if let Some(listener) = before.filter(|listener| is_at(listener, &path)) {
        listener.set_nonblocking(true)?;
        return Ok(Admin { path, listener: Some(listener), serving: None });
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    keeper.hold(HELD, &[&listener]);
    Ok(Admin { path, listener: Some(listener), serving: None })
}

/// Whether clients still find it there.
fn is_at(listener: &UnixListener, path: &Path) -> bool {
    let here = listener.local_addr().is_ok_and(|address| address.as_pathname() == Some(path));
    here && fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

impl Admin {
    /// Serves on the current runtime, as long as the result lives.
    pub(super) fn serve(mut self, router: Router) -> io::Result<Self> {
        if let Some(listener) = self.listener.take() {
            let listener = tokio::net::UnixListener::from_std(listener)?;
            let serving = tokio::runtime::Handle::current().spawn(accept(listener, router));
            self.serving = Some(serving.abort_handle());
        }
        Ok(self)
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
        let _ = fs::remove_file(&self.path);
    }
}

async fn accept(listener: tokio::net::UnixListener, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let trust = trust(&stream);
                connections.spawn(api::serve(stream, router.clone(), trust));
            }
            Err(error) => {
                if let Some(unsaid) = EXHAUSTED_SAID.now() {
                    tracing::warn!(%error, unsaid, "no administration connection can be accepted now");
                }
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// By the credentials the peer had when it connected (`SO_PEERCRED`, unix(7)).
fn trust(stream: &UnixStream) -> Trust {
    let ours = rustix::process::geteuid().as_raw();
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == ours || peer.uid() == 0 => Trust::LocalAdministrator,
        _ => Trust::Nobody,
    }
}

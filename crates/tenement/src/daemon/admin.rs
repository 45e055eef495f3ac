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
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use crate::api::{self, Trust};

/// The socket, listening; removed when it is dropped.
#[derive(Debug)]
pub(super) struct Admin {
    path: PathBuf,
    listener: Option<UnixListener>,
    serving: Option<JoinHandle<()>>,
    /// Set when nobody is to be let in any more.
    closed: watch::Sender<bool>,
    /// The socket is another daemon's.
    handed_over: bool,
}

/// How long to wait when no descriptor is left for another connection.
const EXHAUSTED: Duration = Duration::from_millis(100);
static EXHAUSTED_SAID: Seldom = Seldom::new();

/// What the keeper holds.
const HELD: &str = "admin";
/// What requests under way have at the end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Makes the socket, or takes on that of the daemon before, where clients wait already. The lock on the directory says
/// that another one in its place is a predecessor's.
pub(super) fn bind(dir: &Path, keeper: &Link, kept: &mut Inheritance) -> io::Result<Admin> {
    let path = dir.join(layout::ADMIN_SOCKET);
    let before = kept.held.remove(HELD).and_then(|held| held.into_iter().next()).map(UnixListener::from);
    if let Some(listener) = before.filter(|listener| is_at(listener, &path)) {
        listener.set_nonblocking(true)?;
        return Ok(Admin::new(path, listener));
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    keeper.hold(HELD, &[&listener]);
    Ok(Admin::new(path, listener))
}

/// Whether clients still find it there.
fn is_at(listener: &UnixListener, path: &Path) -> bool {
    let here = listener.local_addr().is_ok_and(|address| address.as_pathname() == Some(path));
    here && fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

impl Admin {
    fn new(path: PathBuf, listener: UnixListener) -> Self {
        let closed = watch::Sender::new(false);
        Self { path, listener: Some(listener), serving: None, closed, handed_over: false }
    }

    /// Serves on the current runtime, as long as the result lives.
    pub(super) fn serve(mut self, router: Router) -> io::Result<Self> {
        if let Some(listener) = self.listener.take() {
            let listener = tokio::net::UnixListener::from_std(listener)?;
            let accepting = accept(listener, router, self.closed.subscribe());
            self.serving = Some(tokio::runtime::Handle::current().spawn(accepting));
        }
        Ok(self)
    }

    /// Another daemon accepts there from now on.
    pub(super) fn hand_over(&mut self) {
        self.handed_over = true;
        self.closed.send_replace(true);
    }

    /// Returns when who was let in has an answer, or has had time for it.
    pub(super) async fn finish(mut self) {
        self.closed.send_replace(true);
        if let Some(serving) = self.serving.take() {
            let abort = serving.abort_handle();
            if timeout(FAREWELL, serving).await.is_err() {
                abort.abort();
            }
        }
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
        if !self.handed_over {
            let _ = fs::remove_file(&self.path);
        }
    }
}

async fn accept(listener: tokio::net::UnixListener, router: Router, mut closed: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = closed.wait_for(|&closed| closed) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
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
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// By the credentials the peer had when it connected (`SO_PEERCRED`, unix(7)).
fn trust(stream: &UnixStream) -> Trust {
    let ours = rustix::process::geteuid().as_raw();
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == ours || peer.uid() == 0 => Trust::LocalAdministrator,
        _ => Trust::Nobody,
    }
}

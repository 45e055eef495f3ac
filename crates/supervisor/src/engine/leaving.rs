//! Erasing what an instance that is forgotten leaves, so that neither a kill nor a power cut leaves half of it.
//!
//! ```text
//!   written down that it leaves ─► its processes ended ─► pipes, socket, data, logs erased ─► record gone ─► answered
//!                                           ▲                       ▲
//!   the daemon starts, and somebody was leaving: it still runs ─────┴ or it does not
//! ```

use std::{
    fs, io,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use tenement_core::{
    config::Config,
    history::{Cause, Transition},
    layout,
    slot::RunId,
    view::{Health, Status},
};
use tenement_runtime::clock;

use super::{Deps, Engine};
use crate::{
    api::{Leaving, Output, Registry, StorageError},
    launch::{instance_dir, socket_path},
    recover::Runs,
};

/// What erasing needs.
pub(super) struct Eraser {
    registry: Arc<dyn Registry>,
    output: Arc<dyn Output>,
    runs: Arc<dyn Runs>,
    config: Arc<Config>,
}

impl Engine {
    pub(super) fn eraser(&self) -> Eraser {
        Eraser {
            registry: Arc::clone(&self.registry),
            output: Arc::clone(&self.output),
            runs: Arc::clone(&self.runs),
            config: Arc::clone(&self.config),
        }
    }
}

impl Eraser {
    /// From beginning to end. Blocks. `socket`: where it listened, if that is known.
    pub(super) fn erase(&self, leaving: &Leaving, socket: Option<&Path>) -> Result<(), StorageError> {
        self.registry.leave(leaving)?;
        self.finish(leaving, socket)
    }

    /// What follows once it is written down. Each step may have been done before.
    pub(super) fn finish(&self, leaving: &Leaving, socket: Option<&Path>) -> Result<(), StorageError> {
        // Or the next daemon would bring it back.
        self.runs.forget(&leaving.name);
        self.output.forget(&leaving.name);
        if let Some(socket) = socket {
            erase_socket(socket);
        }
        if leaving.data {
            erase_data(&instance_dir(&self.config.settings.data_dir, &leaving.name))?;
        }
        if leaving.logs {
            let logs = |error| StorageError::of_io("its logs could not be erased", &error);
            self.output.purge(&leaving.name).map_err(logs)?;
        }
        self.registry.forget(&leaving.name)
    }
}

/// Erases what a daemon that was killed was about to erase, of instances that have no process; for before anything is
/// started, and before records are read. Blocks. What can't be erased stays for the next start, stopped.
pub fn finish_leaving(deps: &Deps, leaving: &[Leaving]) {
    let eraser = Eraser {
        registry: Arc::clone(&deps.registry),
        output: Arc::clone(&deps.output),
        runs: Arc::clone(&deps.runs),
        config: Arc::clone(&deps.config),
    };
    for one in leaving {
        if eraser.finish_late(one) && !one.logs {
            deps.observer.changed(&done(one));
        }
    }
}

impl Eraser {
    /// For what an earlier daemon was about to erase. Whether that is done now.
    pub(super) fn finish_late(&self, leaving: &Leaving) -> bool {
        if layout::check_service(&leaving.name.service).is_err() {
            // What is there is the daemon's.
            return false;
        }
        let (name, finished) = (&leaving.name, self.finish(leaving, self.socket(leaving).as_deref()));
        match &finished {
            Ok(()) => {
                tracing::info!(instance = %name, "was being deleted when the daemon ended; that is done now");
            }
            Err(error) => tracing::error!(
                instance = %name, %error,
                "was being deleted when the daemon ended, and the rest of it can't be erased; it stays stopped: remove \
                 what is in the way and delete it again"
            ),
        }
        finished.is_ok()
    }

    fn socket(&self, leaving: &Leaving) -> Option<PathBuf> {
        let service = self.config.services.get(&leaving.name.service)?;
        Some(socket_path(&self.config.settings.data_dir, &leaving.name, service))
    }
}

fn done(leaving: &Leaving) -> Transition {
    Transition {
        at: clock::wall(),
        instance: leaving.name.clone(),
        run: RunId::default(),
        from: Status::Stopped,
        to: None,
        health: Health::Unknown,
        cause: Cause::Boot,
        actor: None,
        reason: Some("it was being deleted when the daemon ended; that is done now".to_owned()),
        exit: None,
        lasted_ms: 0,
    }
}

pub(super) fn erase_socket(socket: &Path) {
    // What else may be there is not ours.
    let is_socket = fs::symlink_metadata(socket).is_ok_and(|found| found.file_type().is_socket());
    if is_socket
        && let Err(error) = fs::remove_file(socket)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, socket = %socket.display(), "socket not removed");
    }
}

/// Removes its data directory, if there is one; that is durable when it returns.
fn erase_data(data: &Path) -> Result<(), StorageError> {
    let missing_is_fine = |done: io::Result<()>| match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    // The standard library's removal works on descriptors and follows no link.
    #[allow(clippy::disallowed_methods, reason = "removes only below the instance's own directory")]
    let removed = missing_is_fine(fs::remove_dir_all(data));
    let sync = |above: &Path| missing_is_fine(fs::File::open(above).and_then(|above| above.sync_all()));
    let durable = removed.and_then(|()| data.parent().map_or(Ok(()), sync));
    durable.map_err(|error| StorageError::of_io("its data could not be removed", &error))
}

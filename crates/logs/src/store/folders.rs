//! The folders of the store: which are instances' logs, and which had to be set aside.
//!
//! ```text
//! logs/{service}/{id}/                    an instance's log
//!      {service}/.damaged-{id}-{millis}/  one that could not be read, for a person to look at
//! ```

use std::{collections::BTreeMap, fs, io, path::Path, sync::Arc};

use rustix::io::Errno;
use tenement_core::name::InstanceName;
use tenement_runtime::clock;

use crate::{
    instance::Instance,
    retention::Limits,
    segment::{streams_in, sweep},
};

/// What the name of a folder that was set aside begins with, as no id does.
const ASIDE: &str = ".damaged-";

/// The instances that have logs in `dir`. Anything else there is none of ours and left alone.
///
/// # Errors
/// `dir` can't be read, or the system lacks what no folder is to blame for.
pub(super) fn find(dir: &Path, limits: &Limits) -> io::Result<BTreeMap<InstanceName, Arc<Instance>>> {
    let mut found = BTreeMap::new();
    for service in directories(dir)? {
        let ids = match directories(&dir.join(&service)) {
            Ok(ids) => ids,
            Err(error) => {
                let error = of_folder(error)?;
                tracing::error!(service, %error, "the logs of a service can't be read");
                continue;
            }
        };
        for id in ids {
            let Ok(name) = InstanceName::new(&service, &id) else { continue };
            if name.id.as_str() != id {
                continue;
            }
            match open(dir, &name, limits) {
                Ok(Some(instance)) => drop(found.insert(name, Arc::new(instance))),
                Ok(None) => {}
                Err(error) => set_aside(dir, &name, &of_folder(error)?),
            }
        }
    }
    Ok(found)
}

/// The instance whose folder that is, when it holds anything.
fn open(dir: &Path, name: &InstanceName, limits: &Limits) -> io::Result<Option<Instance>> {
    let folder = dir.join(name.service.as_str()).join(name.id.as_str());
    sweep(&folder)?;
    if !streams_in(&folder)? {
        // Of a purge that was killed only this may be left.
        let _ = fs::remove_dir(&folder);
        return Ok(None);
    }
    Instance::open(dir, name.clone(), limits.of(name)).map(Some)
}

/// An error that is a folder's own; any other is given back as one.
fn of_folder(error: io::Error) -> io::Result<io::Error> {
    const SHORTAGES: [Errno; 3] = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    let shortage = SHORTAGES.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
    if shortage { Err(error) } else { Ok(error) }
}

/// Makes room for a new log of an instance whose old one can't be read.
fn set_aside(dir: &Path, name: &InstanceName, error: &io::Error) {
    let service = dir.join(name.service.as_str());
    let aside = service.join(format!("{ASIDE}{}-{}", name.id, clock::wall().0));
    match fs::rename(service.join(name.id.as_str()), &aside) {
        Ok(()) => {
            let folder = aside.display();
            tracing::error!(instance = %name, %error, %folder, "a log can't be read and is set aside");
        }
        Err(fixed) => {
            tracing::error!(instance = %name, %error, %fixed, "a log can't be read and not be set aside");
        }
    }
}

/// Erases what was set aside of an instance.
///
/// # Errors
/// Something could not be removed.
pub(super) fn purge_set_aside(dir: &Path, name: &InstanceName) -> io::Result<()> {
    let service = dir.join(name.service.as_str());
    for folder in directories(&service).unwrap_or_default() {
        let of = folder.strip_prefix(ASIDE).and_then(|rest| rest.rsplit_once('-')).map(|(id, _)| id);
        if of == Some(name.id.as_str()) {
            #[allow(clippy::disallowed_methods, reason = "no tenant can put anything there")]
            fs::remove_dir_all(service.join(folder))?;
            // What was said to be erased must not be there again after a power cut.
            fs::File::open(&service)?.sync_all()?;
        }
    }
    Ok(())
}

fn directories(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    Ok(names)
}

//! Limits of this process.

use std::{fs::File, io, sync::OnceLock};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

static ORIGINAL: OnceLock<Rlimit> = OnceLock::new();

/// Raises the soft limit of open files to the hard one. Instances get the original one back: programs that use
/// `select(2)` break with more. Returns the limit now.
pub fn raise_nofile() -> u64 {
    let before = getrlimit(Resource::Nofile);
    let original = *ORIGINAL.get_or_init(|| before);
    let wanted = Rlimit { current: original.maximum, maximum: original.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        tracing::warn!(%error, "limit of open files not raised");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Whether an error says that this process or the host has no descriptor or memory left, and nothing of what was asked.
#[must_use]
pub fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS))
}

/// Why no file could be opened now, if it is for want of descriptors or memory.
#[must_use]
pub fn no_descriptor() -> Option<io::Error> {
    File::open("/proc/self/stat").err().filter(is_exhaustion)
}

/// The limit to give to instances, if ours was changed.
pub(crate) fn original_nofile() -> Option<libc::rlimit> {
    let limit = ORIGINAL.get()?;
    Some(libc::rlimit {
        rlim_cur: limit.current.unwrap_or(libc::RLIM_INFINITY),
        rlim_max: limit.maximum.unwrap_or(libc::RLIM_INFINITY),
    })
}

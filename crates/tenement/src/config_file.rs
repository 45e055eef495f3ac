//! Which file is the configuration, and what is in it.

mod replace;

use std::{
    env,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};
use tenement_core::config::{Parsed, Source, parse};

pub use self::replace::{ReplaceError, replace, tidy};

/// Larger files are no configuration.
const SIZE_MAX: u64 = 1 << 20;
const NAME: &str = "tenement.toml";
const SYSTEM: &str = "/etc/tenement/tenement.toml";

/// Why there is no configuration to look at.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is none.
    #[error(
        "no {NAME} here, in a parent directory or at {SYSTEM}: write one with 'ten init', or name it with --config"
    )]
    None,
    /// It can't be read.
    #[error("can't read '{}': {source}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder, a device, a FIFO.
    #[error("'{}' is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// That is no configuration.
    #[error("'{}' has more than 1 MiB: that is no configuration", .0.display())]
    TooLarge(PathBuf),
}

/// The file to use: the one that is named, else `tenement.toml` here or above, else the system's.
///
/// # Errors
/// There is none.
pub fn find(named: Option<&Path>) -> Result<PathBuf, FileError> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let here = env::current_dir().unwrap_or_default();
    let above = here.ancestors().map(|folder| folder.join(NAME)).find(|path| path.exists());
    let system = || Some(PathBuf::from(SYSTEM)).filter(|path| path.exists());
    above.or_else(system).ok_or(FileError::None)
}

/// Reads and checks a file.
///
/// # Errors
/// It can't be read. What is wrong with what stands in it is among the findings.
pub fn load(path: &Path) -> Result<(String, Parsed), FileError> {
    let bytes = read(path)?;
    let parsed = check(&bytes, path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    Ok((path.display().to_string(), parsed))
}

/// Reads a file. It is opened once, without waiting for a writer should it be a FIFO.
///
/// # Errors
/// It can't be read.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
    let mut file = File::from(file);
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(FileError::NotAFile(path.to_owned()));
    }
    if found.len() > SIZE_MAX {
        return Err(FileError::TooLarge(path.to_owned()));
    }
    let mut bytes = Vec::new();
    // It may have grown since, and half of it is another configuration.
    file.by_ref().take(SIZE_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > SIZE_MAX {
        return Err(FileError::TooLarge(path.to_owned()));
    }
    Ok(bytes)
}

/// Checks what stands in a file, or is about to.
///
/// # Errors
/// There is no current directory that a relative `path` could be below.
pub fn check(bytes: &[u8], path: &Path) -> io::Result<Parsed> {
    let absolute = std::path::absolute(path)?;
    let source = Source {
        dir: absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned),
        path: Some(absolute),
        default_data_dir: default_data_dir(),
        default_max_starting: 2 * std::thread::available_parallelism().map_or(1, usize::from),
    };
    Ok(parse(bytes, &source))
}

/// Where state is kept when nobody says otherwise: a whole path, as instances have working directories of their own.
#[must_use]
pub fn default_data_dir() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return "/var/lib/tenement".into();
    }
    // One that is set to nothing is not set: a folder below wherever somebody stands is none to come back to.
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || set("HOME").map(|home| home.join(".local/state"));
    let state = set("XDG_STATE_HOME").or_else(home).unwrap_or_else(|| "/var/lib".into());
    let wanted = state.join("tenement");
    std::path::absolute(&wanted).unwrap_or(wanted)
}

//! Pipes for what an instance prints: FIFOs that outlive the daemon, held open read-write by the child, so
//! that writing to them never fails and never ends the child: `fifo(7)`, `pipe(7)`.

use std::{
    fs, io,
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, FileTypeExt},
    },
    path::Path,
};

use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
    pipe::SpliceFlags,
};

const PIPE_SIZE: usize = 256 << 10;

/// One stream: our end, and the child's.
#[derive(Debug)]
pub struct Fifo {
    /// Non-blocking, for reading.
    pub reader: OwnedFd,
    /// For reading and writing.
    pub writer: OwnedFd,
}

/// Opens the FIFO at `path`, makes it where it is missing.
///
/// # Errors
/// Something else is there, or as `mkfifo(3)` and `open(2)`.
pub fn fifo(path: &Path) -> io::Result<Fifo> {
    match rustix::fs::mknodat(CWD, path, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    if !fs::symlink_metadata(path)?.file_type().is_fifo() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("'{}' is not a FIFO", path.display()),
        ));
    }
    let flags = OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let reader = rustix::fs::open(path, flags | OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
    let writer = rustix::fs::open(path, flags | OFlags::RDWR, Mode::empty())?;
    // Above the user's limit for pipe memory the kernel refuses; the usual 64 KiB do as well then.
    let _ = rustix::pipe::fcntl_setpipe_size(&reader, PIPE_SIZE);
    Ok(Fifo { reader, writer })
}

/// The non-blocking read end of the FIFO at `path`, if there is one that somebody writes to or that still has something in
/// it.
///
/// # Errors
/// As `open(2)`; also when something else is there.
pub fn left_behind(path: &Path) -> io::Result<Option<OwnedFd>> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_fifo() => {}
        Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let flags = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::NONBLOCK;
    let reader = rustix::fs::open(path, flags, Mode::empty())?;
    // tee(2) takes nothing out: it copies what is there, fails while there may be something, and else has come to the
    // end, as there is no writer.
    let (_copied, copy) = rustix::pipe::pipe()?;
    match rustix::pipe::tee(&reader, &copy, 1, SpliceFlags::NONBLOCK) {
        Ok(0) => Ok(None),
        Ok(_) | Err(Errno::AGAIN) => Ok(Some(reader)),
        Err(error) => Err(error.into()),
    }
}

/// Makes a folder, with its parents, that only its owner may enter.
///
/// # Errors
/// As `mkdir(2)`.
pub fn private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

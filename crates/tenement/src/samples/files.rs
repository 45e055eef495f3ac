//! Files of samples, one for each instance: `samples/<service>/<id>` in the data directory. None is held open, and none is
//! synced: what a power cut takes of it is a gap.
//!
//! What can't be a file of ours, or has no sound header, is made anew, and what is longer than a file of ours is cut. A folder
//! in its place that something is in stays: that may be a tenant's.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::{fs::OFlags, io::Errno};
use tenement_core::name::InstanceName;

use super::{
    record,
    ring::{COARSE, FILE_SIZE, FINE, FINE_END, HEADER, Image},
    sample::Sample,
};

/// Where they are.
#[derive(Debug)]
pub(super) struct Files(PathBuf);

/// What is to be written of one instance.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct News {
    /// What was measured just now.
    pub(super) sample: Option<Sample>,
    /// The beginning of five minutes that are over.
    pub(super) over: Option<u32>,
    /// What an earlier daemon wrote was not looked at yet.
    pub(super) first: bool,
}

impl Files {
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        Self(folder)
    }

    fn path(&self, name: &InstanceName) -> PathBuf {
        self.0.join(name.service.as_str()).join(name.id.as_str())
    }

    /// Writes what is new of an instance.
    pub(super) fn write(&self, name: &InstanceName, news: News) -> io::Result<()> {
        let path = self.path(name);
        if !news.first && news.over.is_none() {
            match open_to_write(&path) {
                Ok(file) if is_ours(&file)? => {
                    return news.sample.map_or(Ok(()), |sample| put_fine(&file, &sample));
                }
                Ok(_) => {}
                Err(error) if is_no_file(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let Some((file, image)) = self.renewed(&path, news)? else { return Ok(()) };
        let unfinished = |sample: Sample| image.unfinished(sample.at);
        for sample in news.sample.filter(|_| news.first).map(unfinished).unwrap_or_default() {
            put_coarse(&file, &sample)?;
        }
        if let Some(over) = news.over.and_then(|at| image.of_parts(at)) {
            put_coarse(&file, &over)?;
        }
        news.sample.map_or(Ok(()), |sample| put_fine(&file, &sample))
    }

    /// The file, sound, and what was in it that has to be known; made, if there is something to write.
    fn renewed(&self, path: &Path, news: News) -> io::Result<Option<(File, Image)>> {
        let file = match open_to_write(path) {
            Err(error) if is_no_file(&error) && news.sample.is_some() => made(path)?,
            Err(error) if is_no_file(&error) => return Ok(None),
            other => other?,
        };
        let image = read(&file, if news.first { FILE_SIZE } else { FINE_END })?;
        if !image.is_sound() {
            file.set_len(0)?;
            file.write_all_at(&HEADER, 0)?;
        }
        Ok(Some((file, image)))
    }

    /// What there is of an instance; nothing is as good as nothing sound.
    pub(super) fn read(&self, name: &InstanceName) -> io::Result<Image> {
        match open(&self.path(name), options().read(true)) {
            Ok((file, _)) => read(&file, FILE_SIZE),
            Err(error) if is_no_file(&error) => Ok(Image::new(Vec::new())),
            Err(error) => Err(error),
        }
    }

    /// Whether something is there.
    pub(super) fn has(&self, name: &InstanceName) -> bool {
        fs::symlink_metadata(self.path(name)).is_ok()
    }

    /// Removes what there is of an instance.
    pub(super) fn erase(&self, name: &InstanceName) -> io::Result<()> {
        gone(fs::remove_file(self.path(name)))
    }

    /// The instances of which there is something, and whether that was written to within the last `fresh`.
    pub(super) fn all(&self, now: SystemTime, fresh: Duration) -> Vec<(InstanceName, bool)> {
        let mut found = Vec::new();
        for folder in entries(&self.0) {
            for entry in entries(&folder.path()) {
                let name = [folder.file_name(), entry.file_name()].map(|name| name.into_string().ok());
                let [Some(service), Some(id)] = name else { continue };
                let Ok(name) = InstanceName::new(&service, &id) else { continue };
                let written = entry.metadata().and_then(|found| found.modified()).ok();
                let age = written.and_then(|at| now.duration_since(at).ok()).unwrap_or_default();
                found.push((name, written.is_some() && age <= fresh));
            }
        }
        found
    }
}

/// What leads elsewhere, or waits for somebody at its other end, is not followed.
fn options() -> OpenOptions {
    let mut options = File::options();
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    options
}

/// A file that is one, and how long it is.
fn open(path: &Path, options: &OpenOptions) -> io::Result<(File, u64)> {
    let file = options.open(path)?;
    let found = file.metadata()?;
    if found.is_file() { Ok((file, found.len())) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// The same, to be written to: no longer than one of ours.
fn open_to_write(path: &Path) -> io::Result<File> {
    let (file, length) = open(path, options().read(true).write(true))?;
    if length > FILE_SIZE {
        file.set_len(FILE_SIZE)?;
    }
    Ok(file)
}

/// Whether it begins as ours do.
fn is_ours(file: &File) -> io::Result<bool> {
    let mut header = [0; HEADER.len()];
    match file.read_exact_at(&mut header, 0) {
        Ok(()) => Ok(header == HEADER),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Nothing is there, or something that is no file.
fn is_no_file(error: &io::Error) -> bool {
    let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    // A link; a pipe or a socket that nobody listens to; a folder.
    error.kind() == io::ErrorKind::NotFound || is(Errno::LOOP) || is(Errno::NXIO) || is(Errno::ISDIR)
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn made(path: &Path) -> io::Result<File> {
    // No further up: a data directory that is gone is not begun anew.
    for folder in path.ancestors().skip(1).take(2).collect::<Vec<_>>().into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    gone(fs::remove_file(path).or_else(|error| match error.kind() {
        io::ErrorKind::IsADirectory => fs::remove_dir(path),
        _ => Err(error),
    }))?;
    options().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// The first bytes of a file.
fn read(file: &File, length: u64) -> io::Result<Image> {
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(length).read_to_end(&mut bytes)?;
    Ok(Image::new(bytes))
}

fn put_fine(file: &File, sample: &Sample) -> io::Result<()> {
    file.write_all_at(&record::encode(sample), FINE.place(sample.at))
}

fn put_coarse(file: &File, sample: &Sample) -> io::Result<()> {
    file.write_all_at(&record::encode(sample), COARSE.place(sample.at))
}

fn entries(folder: &Path) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(folder).into_iter().flatten().flatten()
}

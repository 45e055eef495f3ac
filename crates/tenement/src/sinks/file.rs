//! Lines into files.
//!
//! A file is opened for each delivery, so one that was renamed away is made anew, whoever did it.

use std::{
    collections::BTreeMap,
    fs::{DirBuilder, File, OpenOptions, remove_file, rename},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use tenement_core::{
    config::{
        FileFormat,
        template::{Template, Values},
    },
    name::InstanceName,
};
use tenement_logs::LogLine;

use super::{Failure, Receipt, Sink, format};

/// Files that lines are appended to.
pub(super) struct Files {
    pub(super) path: Template,
    pub(super) data_dir: String,
    pub(super) format: FileFormat,
    pub(super) rotate_size: Option<u64>,
    pub(super) keep: u64,
}

impl Sink for Files {
    fn deliver(&mut self, lines: &[LogLine]) -> Result<Receipt, Failure> {
        let mut files: BTreeMap<PathBuf, Vec<&LogLine>> = BTreeMap::new();
        for line in lines {
            files.entry(self.path_of(&line.instance)).or_default().push(line);
        }
        let host = format::host();
        for (path, lines) in files {
            self.append(&path, &lines, &host)
                .map_err(|error| Failure::new(format!("'{}': {error}", path.display())))?;
        }
        Ok(Receipt::default())
    }
}

impl Files {
    fn path_of(&self, name: &InstanceName) -> PathBuf {
        let (name, id) = (name.service.as_str(), name.id.as_str());
        self.path.fill(&Values { name, id, data_dir: &self.data_dir, socket: "", port: "" }).into()
    }

    fn append(&self, path: &Path, lines: &[&LogLine], host: &str) -> io::Result<()> {
        let mut open = Open::new(path)?;
        let mut text = String::new();
        for line in lines {
            let before = text.len();
            format::file_line(self.format, line, host, &mut text);
            let full = self.rotate_size.is_some_and(|size| open.len + text.len() as u64 > size);
            if full && open.len + before as u64 > 0 {
                open.write(&text.as_bytes()[..before])?;
                self.set_aside(path)?;
                open = Open::new(path)?;
                text.drain(..before);
            }
        }
        open.write(text.as_bytes())
    }

    /// `app.log` becomes `app.log.1`, which becomes `app.log.2`, and so on.
    fn set_aside(&self, path: &Path) -> io::Result<()> {
        let aside = |number: u64| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        if self.keep == 0 {
            return remove_file(path);
        }
        for number in (1..self.keep).rev() {
            match rename(aside(number), aside(number + 1)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        rename(path, aside(1))
    }
}

/// A file that is written to.
struct Open {
    file: File,
    len: u64,
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        let mut file = match open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if let Some(folder) = path.parent() {
                    DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
                }
                open(path)?
            }
            opened => opened?,
        };
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "is not a regular file"));
        }
        let mut open = Self { len: found.len(), file: file.try_clone()? };
        if open.len > 0 {
            // What was killed in the middle of a line has not written its end.
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                open.write(b"\n")?;
            }
        }
        Ok(open)
    }

    /// All or nothing, as far as it can be helped.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            let _ = self.file.set_len(self.len);
            return Err(error);
        }
        self.len += bytes.len() as u64;
        Ok(())
    }
}

/// Never waits, as for a FIFO that nobody reads, and follows no link that somebody put in the place of the file.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    OpenOptions::new().read(true).append(true).create(true).mode(0o640).custom_flags(flags).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::format::tests::line, *};

    fn files(path: &Path, rotate_size: Option<u64>, keep: u64) -> Files {
        let path = Template::parse(path.to_str().unwrap()).unwrap();
        Files { path, data_dir: "/d".into(), format: FileFormat::Text, rotate_size, keep }
    }

    #[test]
    fn each_instance_has_its_file_and_one_that_was_renamed_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = files(&folder.path().join("deep/er/{name}-{id}.log"), None, 1);
        let path = folder.path().join("deep/er/api-alice.log");
        sink.deliver(&[line(0, b"one"), line(1, b"two")]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.ends_with("api:alice stderr error two\n"), "{text}");
        fs::rename(&path, folder.path().join("rotated")).unwrap();
        sink.deliver(&[line(2, b"three")]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
        let mut other = line(0, b"x");
        other.instance = "api:bob".parse().unwrap();
        sink.deliver(&[other, line(3, b"four")]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
        assert!(folder.path().join("deep/er/api-bob.log").exists());
    }

    #[test]
    fn a_file_that_is_full_is_set_aside_and_so_many_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut sink = files(&path, Some(4096), 2);
        let lines: Vec<_> = (0..100).map(|seq| line(seq, &[b'x'; 1000])).collect();
        sink.deliver(&lines).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a.log", "a.log.1", "a.log.2"]);
        for name in names {
            assert!(fs::metadata(folder.path().join(name)).unwrap().len() <= 4096);
        }
        let mut none = files(&folder.path().join("b.log"), Some(4096), 0);
        none.deliver(&lines).unwrap();
        assert!(!folder.path().join("b.log.1").exists());
        let mut large = files(&folder.path().join("c.log"), Some(4096), 1);
        large.deliver(&[line(0, &[b'x'; 9000]), line(1, b"next")]).unwrap();
        assert!(fs::metadata(folder.path().join("c.log.1")).unwrap().len() > 9000);
    }

    #[test]
    fn a_torn_line_is_ended_and_what_is_no_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        File::create(&path).unwrap().write_all(b"torn").unwrap();
        files(&path, None, 1).deliver(&[line(0, b"whole")]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("torn\n2026-"), "{text}");
        for (name, make) in [("fifo", true), ("link", false)] {
            let path = folder.path().join(name);
            if make {
                let kind = rustix::fs::FileType::Fifo;
                rustix::fs::mknodat(rustix::fs::CWD, &path, kind, rustix::fs::Mode::RUSR, 0).unwrap();
            } else {
                std::os::unix::fs::symlink("/dev/null", &path).unwrap();
            }
            assert!(files(&path, None, 1).deliver(&[line(0, b"x")]).unwrap_err().why.contains(name));
        }
    }
}

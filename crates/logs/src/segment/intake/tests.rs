use std::{io::Write, os::fd::AsFd};

use rustix::pipe::{PipeFlags, pipe_with};

use super::{Intake, Mover};

#[test]
fn bytes_go_to_their_offset() {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
    let mut writer = std::fs::File::from(writer);
    let dir = tempfile::tempdir().unwrap();
    let file = super::super::open_file(&dir.path().join("f"), false).unwrap();
    let mut mover = Mover::default();
    assert_eq!(mover.take(reader.as_fd(), &file, 0, 100).unwrap(), Intake::Empty);
    writer.write_all(b"hello world").unwrap();
    assert_eq!(mover.take(reader.as_fd(), &file, 0, 6).unwrap(), Intake::Bytes(6));
    assert_eq!(mover.take(reader.as_fd(), &file, 6, 100).unwrap(), Intake::Bytes(5));
    drop(writer);
    assert_eq!(mover.take(reader.as_fd(), &file, 11, 100).unwrap(), Intake::Closed);
    assert_eq!(std::fs::read(dir.path().join("f")).unwrap(), b"hello world");
}

#[test]
fn where_splice_is_refused_bytes_are_copied() {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
    std::fs::File::from(writer).write_all(b"hello").unwrap();
    let dir = tempfile::tempdir().unwrap();
    // splice(2) refuses a file opened with O_APPEND.
    let file = std::fs::OpenOptions::new().append(true).create(true).open(dir.path().join("f")).unwrap();
    let mut mover = Mover::default();
    assert_eq!(mover.take(reader.as_fd(), &file, 0, 100).unwrap(), Intake::Bytes(5));
    assert!(mover.by_copy);
    assert_eq!(mover.take(reader.as_fd(), &file, 5, 100).unwrap(), Intake::Closed);
    assert_eq!(std::fs::read(dir.path().join("f")).unwrap(), b"hello");
}

// faults: G8
#[test]
fn what_could_not_be_written_is_carried() {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
    std::fs::File::from(writer).write_all(b"hello").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut mover = Mover { by_copy: true, carried: Vec::new() };
    assert!(mover.take(reader.as_fd(), &full, 0, 100).is_err());
    let file = super::super::open_file(&dir.path().join("f"), false).unwrap();
    assert_eq!(mover.take(reader.as_fd(), &file, 0, 100).unwrap(), Intake::Bytes(5));
}

//! What a power cut leaves of files that were not synced.
//!
//! ```text
//!  written   aaaaaaaaa|aaaabbbbb|bbbbccccc|cc          blocks of a file
//!  found     aaaaaaaaa|aaaa00000|bbbbccccc             one that was written back before it was full, and not again
//!                         └ all that counts is before it
//! ```
//!
//! Only what was written since the machine was started is known to be as it was written. Of the rest counts what is
//! before the first zeros that end with a block or with the file; what comes after a gap is set aside.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use memchr::memchr;

use super::{
    data_path,
    mark::{HEADER_LEN, Header},
    marks_path, open_file, open_to_read,
};
use crate::line::Stream;

/// No file system has smaller blocks.
const BLOCK: u64 = 512;
const CHUNK: usize = 256 << 10;

/// Shortens raw segments to what is in order at their beginning.
pub(super) fn cut_off(dir: &Path, stream: Stream, bases: &[u64]) -> io::Result<()> {
    for &base in bases {
        if is_of_this_boot(&marks_path(dir, stream, base)) {
            continue;
        }
        let path = data_path(dir, stream, base);
        let file = open_file(&path, false)?;
        if let Some(at) = zeros(&file)? {
            let bytes = file.metadata()?.len() - at;
            tracing::warn!(file = %path.display(), bytes, "the end of a log was not written before the machine stopped");
            set_aside(&file, at, &path)?;
            file.set_len(at)?;
        }
    }
    Ok(())
}

/// Keeps what comes after `at` for a person to look at, unless it is nothing but zeros: an application may have printed
/// those that it begins with.
fn set_aside(mut file: &File, at: u64, path: &Path) -> io::Result<()> {
    let mut rest = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    file.read_to_end(&mut rest)?;
    if rest.iter().any(|&byte| byte != 0) {
        open_file(&path.with_extension("damaged"), true)?.write_all(&rest)?;
    }
    Ok(())
}

/// Sets aside the raw segments after one that lost its end. One that was `salvaged` lost it in another way.
pub(super) fn end_at_gap(
    dir: &Path,
    stream: Stream,
    bases: &mut Vec<u64>,
    salvaged: &[u64],
) -> io::Result<()> {
    let mut whole = bases.len();
    for (index, pair) in bases.windows(2).enumerate() {
        let len = fs::metadata(data_path(dir, stream, pair[0]))?.len();
        let is_known = salvaged.contains(&pair[0]) || is_of_this_boot(&marks_path(dir, stream, pair[0]));
        if pair[0] + len < pair[1] && !is_known {
            whole = index + 1;
            break;
        }
    }
    for base in bases.split_off(whole) {
        let path = data_path(dir, stream, base);
        tracing::error!(file = %path.display(), "a log comes after lines that are lost; it is set aside");
        let _ = fs::remove_file(marks_path(dir, stream, base));
        fs::rename(&path, path.with_extension("damaged"))?;
    }
    Ok(())
}

fn is_of_this_boot(marks: &Path) -> bool {
    let mut record = [0; HEADER_LEN];
    let read = open_to_read(marks).and_then(|mut marks| marks.read_exact(&mut record));
    read.is_ok() && Header::decode(&record).is_some() && Header::is_of_this_boot(&record)
}

/// Where the first zeros begin that end with a block, or with the file.
fn zeros(mut file: &File) -> io::Result<Option<u64>> {
    let mut chunk = vec![0; CHUNK];
    let (mut at, mut begun) = (0, None);
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(begun);
        }
        let mut rest = &chunk[..read];
        while !rest.is_empty() {
            let length = match begun {
                None => memchr(0, rest),
                Some(_) => rest.iter().position(|&byte| byte != 0),
            };
            let passed = length.unwrap_or(rest.len());
            at += passed as u64;
            rest = &rest[passed..];
            match begun {
                _ if length.is_none() => {}
                None => begun = Some(at),
                Some(_) if at.is_multiple_of(BLOCK) => return Ok(begun),
                Some(_) => begun = None,
            }
        }
    }
}

#[cfg(test)]
mod tests;

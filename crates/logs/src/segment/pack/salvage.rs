//! Takes the lines out of a damaged packed file.

use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
};

use super::{index_path, pack_path};
use crate::{
    line::Stream,
    segment::{data_path, open_file, open_to_read},
};

/// Makes the raw segment again of all frames before the first that is damaged, unless it is still there. Times of
/// the lines are lost then. The damaged file is kept, for a person to look at. Whether it was made again.
///
/// # Errors
/// The disk can't be read or written.
pub(crate) fn salvage(dir: &Path, stream: Stream, base: u64, error: &io::Error) -> io::Result<bool> {
    let (path, raw) = (pack_path(dir, stream, base), data_path(dir, stream, base));
    let file = path.display();
    if raw.try_exists()? {
        tracing::warn!(%file, %error, "a packed log is damaged; it is made again");
        fs::remove_file(&path)?;
        return Ok(false);
    }
    let mut packed = Vec::new();
    open_to_read(&path)?.read_to_end(&mut packed)?;
    let lines = whole_frames(&packed);
    tracing::error!(%file, %error, bytes = lines.len(), "a packed log is damaged; its lines up to there are kept");
    if !lines.is_empty() {
        let unfinished = path.with_extension("tmp");
        let mut file = open_file(&unfinished, true)?;
        file.write_all(&lines)?;
        file.sync_all()?;
        fs::rename(&unfinished, &raw)?;
    }
    let _ = fs::remove_file(index_path(dir, stream, base));
    fs::rename(&path, path.with_extension("damaged"))?;
    Ok(!lines.is_empty())
}

/// What is in the frames at the beginning of a packed file.
fn whole_frames(mut packed: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    while let Ok(length) = zstd::zstd_safe::find_frame_compressed_size(packed)
        && let Some((frame, rest)) = packed.split_at_checked(length)
        && let Ok(Some(raw)) = zstd::zstd_safe::get_frame_content_size(frame)
        && let Some(raw) = u32::try_from(raw).ok().filter(|raw| (1..=1 << 20).contains(raw))
        && let Ok(mut text) = crate::zst::expand(frame, raw)
    {
        lines.append(&mut text);
        packed = rest;
    }
    lines
}

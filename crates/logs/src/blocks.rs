//! What was read and expanded of packed files, for who asks next: pages of the same search, a dashboard, a query's
//! next condition.

use std::{
    cell::OnceCell,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use lru::LruCache;

use crate::{segment::open_to_read, zst::expand};

/// Bytes that are remembered, over all files.
const MAX: usize = 8 << 20;
/// Where in a file its description lies, for the cache.
const DESCRIPTION: u64 = u64::MAX;

static CACHE: LazyLock<Mutex<Cache>> = LazyLock::new(|| Mutex::new(Cache::default()));

struct Cache {
    blocks: LruCache<(FileId, u64), Arc<Vec<u8>>>,
    bytes: usize,
    used: bool,
}

impl Default for Cache {
    fn default() -> Self {
        Self { blocks: LruCache::unbounded(), bytes: 0, used: false }
    }
}

impl Cache {
    fn put(&mut self, key: (FileId, u64), block: &Arc<Vec<u8>>) {
        self.bytes += block.len();
        if let Some((_, before)) = self.blocks.push(key, Arc::clone(block)) {
            self.bytes -= before.len();
        }
        while self.bytes > MAX
            && let Some((_, oldest)) = self.blocks.pop_lru()
        {
            self.bytes -= oldest.len();
        }
    }
}

fn cache() -> MutexGuard<'static, Cache> {
    CACHE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets everything, so that nothing is left in memory of what was erased.
pub(crate) fn forget() {
    *cache() = Cache::default();
}

/// Forgets everything when nobody asked for anything since this was called last.
pub(crate) fn rest() {
    let mut cache = cache();
    if !std::mem::take(&mut cache.used) {
        *cache = Cache::default();
    }
}

/// Tells a packed file from all others that this process knows, also of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId(u64);

impl FileId {
    pub(crate) fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed))
    }
}

/// A file that does not change, opened when something is read that is not remembered.
#[derive(Debug)]
pub(crate) struct BlockFile {
    path: PathBuf,
    /// Without one nothing is remembered.
    id: Option<FileId>,
    file: OnceCell<File>,
}

impl BlockFile {
    pub(crate) fn new(path: PathBuf, id: Option<FileId>) -> Self {
        Self { path, id, file: OnceCell::new() }
    }

    pub(crate) fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = open_to_read(&self.path)?;
        Ok(self.file.get_or_init(|| file))
    }

    pub(crate) fn len(&self) -> io::Result<u64> {
        Ok(self.file()?.metadata()?.len())
    }

    /// Closes it until it is needed again.
    pub(crate) fn rest(&mut self) {
        self.file.take();
    }

    /// Bytes as they are.
    pub(crate) fn read(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file()?.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }

    /// What is in a frame.
    pub(crate) fn expand(&self, at: u64, packed: u32, raw: u32) -> io::Result<Arc<Vec<u8>>> {
        self.remembered(at, || expand(&self.read(at, packed as usize)?, raw))
    }

    /// What says where everything is in the file.
    pub(crate) fn description(
        &self,
        read: impl FnOnce(&Self) -> io::Result<Vec<u8>>,
    ) -> io::Result<Arc<Vec<u8>>> {
        self.remembered(DESCRIPTION, || read(self))
    }

    fn remembered(&self, at: u64, read: impl FnOnce() -> io::Result<Vec<u8>>) -> io::Result<Arc<Vec<u8>>> {
        let Some(id) = self.id else { return Ok(Arc::new(read()?)) };
        {
            let mut cache = cache();
            cache.used = true;
            if let Some(block) = cache.blocks.get(&(id, at)) {
                return Ok(Arc::clone(block));
            }
        }
        let block = Arc::new(read()?);
        cache().put((id, at), &block);
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_was_read_once_needs_no_file_until_it_is_forgotten() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"description").unwrap();
        let path = file.path().to_owned();
        let open = |id| BlockFile::new(path.clone(), Some(id));
        let read = |file: &BlockFile| file.description(|file| file.read(0, 11));
        let (one, other) = (FileId::new(), FileId::new());
        assert_eq!(*read(&open(one)).unwrap(), b"description");
        drop(file);
        assert_eq!(*read(&open(one)).unwrap(), b"description");
        assert_eq!(read(&open(other)).unwrap_err().kind(), io::ErrorKind::NotFound);
        rest();
        assert!(read(&open(one)).is_ok());
        forget();
        assert!(read(&open(one)).is_err());
    }

    #[test]
    fn no_more_is_remembered_than_is_allowed() {
        let mut cache = Cache::default();
        let block = Arc::new(vec![0; 1 << 20]);
        for at in 0..100 {
            cache.put((FileId(0), at), &block);
            cache.put((FileId(0), at), &block);
        }
        assert_eq!((cache.bytes, cache.blocks.len()), (MAX, MAX >> 20));
        assert!(cache.blocks.contains(&(FileId(0), 99)) && !cache.blocks.contains(&(FileId(0), 0)));
    }
}

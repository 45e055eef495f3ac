//! What is known about the lines of a segment: a sidecar file of fixed-size records.
//!
//! A segment may lose marks in a crash; the bytes they described are then marked anew with the segment's
//! modification time.

use std::sync::OnceLock;

use tenement_core::{slot::RunId, time::WallMillis};

/// Bytes of one encoded [`Mark`].
pub(crate) const MARK_LEN: usize = 32;
/// Bytes of an encoded [`Header`].
pub(crate) const HEADER_LEN: usize = 32;

const MAGIC: u32 = 0x316b_6d74;
const CONTINUES: u32 = 1;
const TRACEBACK: u32 = 2;
const NOTE: u32 = 4;

/// What reading on needs to know about the text before a point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Context {
    /// The next byte continues a line that was cut for its length.
    pub(crate) continues: bool,
    /// The next line may belong to a Python traceback.
    pub(crate) traceback: bool,
}

impl Context {
    pub(super) fn bits(self) -> u32 {
        u32::from(self.continues) * CONTINUES + u32::from(self.traceback) * TRACEBACK
    }

    pub(super) fn from_bits(bits: u32) -> Self {
        Self { continues: bits & CONTINUES != 0, traceback: bits & TRACEBACK != 0 }
    }
}

/// The lines that were completed in one go: those that end after the previous mark's `done`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Offset in the segment after the last completed line.
    pub(crate) done: u32,
    /// Lines of the segment completed up to here.
    pub(crate) lines: u32,
    /// Place of the first of these lines among all lines of the instance.
    pub(crate) seq: u64,
    /// When they arrived.
    pub(crate) wall: WallMillis,
    /// What holds at `done`.
    pub(crate) context: Context,
    /// These lines are the daemon's own, put among those of the application.
    pub(crate) note: bool,
}

/// The first record of a marks file. Written anew in place when a run begins, and when it is found by a daemon after
/// the machine was started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// What holds at the beginning.
    pub(crate) context: Context,
    /// When the segment was begun.
    pub(crate) begun: WallMillis,
    /// The run that wrote last. Known before its first byte is, so that a line it left unfinished at a kill
    /// is finished by it and by nobody else.
    pub(crate) run: RunId,
}

impl Mark {
    /// What is true of it.
    pub(super) fn bits(&self) -> u32 {
        self.context.bits() + u32::from(self.note) * NOTE
    }

    /// One of which only that is known.
    pub(super) fn of_bits(bits: u32) -> Self {
        Self { context: Context::from_bits(bits), note: bits & NOTE != 0, ..Self::default() }
    }

    pub(crate) fn encode(&self) -> [u8; MARK_LEN] {
        let mut record = [0; MARK_LEN];
        record[0..4].copy_from_slice(&self.done.to_le_bytes());
        record[4..8].copy_from_slice(&self.lines.to_le_bytes());
        record[8..16].copy_from_slice(&self.seq.to_le_bytes());
        record[16..24].copy_from_slice(&self.wall.0.to_le_bytes());
        record[24..28].copy_from_slice(&self.bits().to_le_bytes());
        seal(&mut record);
        record
    }

    /// `None` when the record is torn or foreign.
    pub(crate) fn decode(record: &[u8]) -> Option<Self> {
        let record = sealed(record)?;
        let bits = u32_at(record, 24);
        Some(Self {
            done: u32_at(record, 0),
            lines: u32_at(record, 4),
            seq: u64_at(record, 8),
            wall: WallMillis(u64_at(record, 16)),
            ..Self::of_bits(bits)
        })
    }
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut record = [0; HEADER_LEN];
        record[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        record[4..8].copy_from_slice(&boot().to_le_bytes());
        record[8..16].copy_from_slice(&self.run.0.to_le_bytes());
        record[16..24].copy_from_slice(&self.begun.0.to_le_bytes());
        record[24..28].copy_from_slice(&self.context.bits().to_le_bytes());
        seal(&mut record);
        record
    }

    /// `None` when the record is torn or foreign.
    pub(crate) fn decode(record: &[u8]) -> Option<Self> {
        let record = sealed(record)?;
        (u32_at(record, 0) == MAGIC).then(|| Self {
            begun: WallMillis(u64_at(record, 16)),
            run: RunId(u64_at(record, 8)),
            context: Context::from_bits(u32_at(record, 24)),
        })
    }

    /// Whether a whole record was written since the machine was started.
    pub(super) fn is_of_this_boot(record: &[u8; HEADER_LEN]) -> bool {
        u32_at(record, 4) == boot()
    }
}

/// Tells this start of the machine from all others; 0 where the system doesn't say.
fn boot() -> u32 {
    static BOOT: OnceLock<u32> = OnceLock::new();
    *BOOT.get_or_init(|| std::fs::read("/proc/sys/kernel/random/boot_id").map_or(0, |id| fnv(&id)))
}

fn u32_at(record: &[u8; MARK_LEN], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| record[at + i]))
}

fn u64_at(record: &[u8; MARK_LEN], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| record[at + i]))
}

fn seal(record: &mut [u8; MARK_LEN]) {
    let sum = fnv(&record[..28]);
    record[28..].copy_from_slice(&sum.to_le_bytes());
}

fn sealed(record: &[u8]) -> Option<&[u8; MARK_LEN]> {
    let record: &[u8; MARK_LEN] = record.try_into().ok()?;
    (u32_at(record, 28) == fnv(&record[..28])).then_some(record)
}

/// FNV-1a: tells a torn record from a whole one; no defence against an adversary is needed here.
pub(super) fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, &byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

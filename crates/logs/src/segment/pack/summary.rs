//! What is kept in memory of a segment, as its packed file has it.

use tenement_core::time::WallMillis;

use super::super::mark::{HEADER_LEN, Header, MARK_LEN, Mark, fnv};

/// The last byte is the version.
const MAGIC: [u8; 8] = *b"tmtpack\x01";

/// A packed segment in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) header: Header,
    pub(crate) last: Mark,
    /// Bytes of its lines.
    pub(crate) len: u64,
    /// When its last bytes arrived.
    pub(crate) written: WallMillis,
    /// The earliest and the latest time of a line.
    pub(crate) from: WallMillis,
    pub(crate) to: WallMillis,
    /// The place after that of its last line.
    pub(crate) end_seq: u64,
    /// How many marks there are, and their bytes packed and as they are.
    pub(crate) marks: u32,
    pub(crate) marks_packed: u32,
    pub(crate) marks_raw: u32,
}

const HEADER: usize = MAGIC.len();
const LAST: usize = HEADER + HEADER_LEN;
const NUMBERS: usize = LAST + MARK_LEN;
const SHORT: usize = NUMBERS + 5 * 8;
const SUM: usize = SHORT + 3 * 4;

impl Summary {
    pub(crate) const LEN: usize = SUM + 4;

    pub(super) fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = Vec::with_capacity(Self::LEN);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.header.encode());
        bytes.extend_from_slice(&self.last.encode());
        for number in [self.len, self.written.0, self.from.0, self.to.0, self.end_seq] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.marks, self.marks_packed, self.marks_raw] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&fnv(&bytes).to_le_bytes());
        std::array::from_fn(|at| bytes[at])
    }

    /// `None` when it is damaged.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::LEN || bytes[..HEADER] != MAGIC {
            return None;
        }
        let long = |index: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[NUMBERS + 8 * index + i]));
        let short = |index: usize| super::u32_at(bytes, SHORT + 4 * index);
        let summary = Self {
            header: Header::decode(&bytes[HEADER..LAST])?,
            last: Mark::decode(&bytes[LAST..NUMBERS])?,
            len: long(0),
            written: WallMillis(long(1)),
            from: WallMillis(long(2)),
            to: WallMillis(long(3)),
            end_seq: long(4),
            marks: short(0),
            marks_packed: short(1),
            marks_raw: short(2),
        };
        (super::u32_at(bytes, SUM) == fnv(&bytes[..SUM])).then_some(summary)
    }
}

//! From a pipe to a searchable store.
//!
//! ```text
//! stdout, stderr ─ FIFO ─► ingest ── splice ──► segment (raw bytes)
//!                                                  │ then, coalesced
//!                                                  ├──► marks: time, order, line count
//!                                                  ▼
//!                      query ◄── merge ◄── blocks between marks, newest first
//!                        ├── level, filter: worked out when read, never stored
//!                     follow ◄── the same, oldest first, as lines come
//! ```
//!
//! A byte is safe in its segment before anyone looks at it; everything else here is derived from segments and
//! can be made again. Names, stream and time of a line come from where its bytes lie, never from what they say,
//! so an application cannot forge them.

mod blocks;
mod fold;
mod follow;
mod incident;
mod index;
mod inert;
mod ingest;
mod instance;
mod last;

pub mod level;
mod line;
mod packer;
mod query;
mod retention;
mod segment;

mod store;
mod zst;

pub use follow::{Batch, Begin, Bell, Bookmark, Followed, Follower, Place, ReadTo, SharedLine};
pub use incident::{DiskStats, Incident, Observer};
pub use inert::inert;
pub use last::LastLines;
pub use level::{Level, LevelSet};
pub use line::{LogLine, Part, Stream};
pub use query::{
    Bounds, Bucket, Context, Export, Field, FieldError, Grain, Histogram, LogPage, LogQuery, Near, PageEnd,
    PageEndError, QueryError, Surrounded,
};
pub use retention::{DiskFull, Limits, StreamLimits};
pub use segment::damage_met;
pub use store::{InstanceStats, LogStore, Stats};

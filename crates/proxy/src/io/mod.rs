//! Bytes in and out of one thread's sockets.

mod buffer;
mod stream;
mod watchdog;

pub(crate) use buffer::Buffer;
pub(crate) use stream::{Ended, Stream};
pub(crate) use watchdog::{TimedOut, Watchdog};

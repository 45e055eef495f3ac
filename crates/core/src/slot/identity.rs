//! Who is on the other end of a connection.

use std::{fmt::Debug, os::fd::BorrowedFd};

/// Knows an instance when it is connected to it. That somebody listened at an address once says nothing of who
/// answers there later: an application can put a link to another one's socket in the place of its own, and a port
/// that was given up is anybody's.
pub trait Identity: Debug + Send + Sync {
    /// Whether `connection`, made to the instance's address, leads to it. Asked for every new connection before
    /// anything is sent; does not block.
    fn is_behind(&self, connection: BorrowedFd<'_>) -> bool;
}

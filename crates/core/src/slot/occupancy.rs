//! The door of an instance: open or not, and how many are inside, in one atomic word.
//!
//! Entering adds one and reads the door in the same operation; closing an idle instance replaces "open,
//! nobody inside" by "closed" in one operation. So a request is either counted before the instance is
//! ended, or turned away to the wake queue; there is no moment in between. Proven with loom below.
//!
//! ```text
//!   bit 31: open    bits 0..31: leases
//! ```

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, Ordering};

const OPEN: u32 = 1 << 31;
const COUNT: u32 = OPEN - 1;

/// Why a request was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The instance lets nobody in: asleep, starting, stopping.
    Closed,
    /// As many as allowed are inside.
    Full,
}

/// Door and count. See the module.
#[derive(Debug)]
pub struct Occupancy(AtomicU32);

impl Default for Occupancy {
    fn default() -> Self {
        Self::new()
    }
}

impl Occupancy {
    /// Closed and empty.
    #[must_use]
    pub fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Counts one in, if the door is open and fewer than `limit` are inside.
    ///
    /// # Errors
    /// Closed or full; nothing stays counted then.
    pub fn enter(&self, limit: u32) -> Result<(), Refusal> {
        let before = self.0.fetch_add(1, Ordering::AcqRel);
        let refusal = if before & OPEN == 0 {
            Refusal::Closed
        } else if before & COUNT >= limit {
            Refusal::Full
        } else {
            return Ok(());
        };
        self.leave();
        Err(refusal)
    }

    /// Counts one out.
    pub fn leave(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    /// Opens the door.
    pub fn open(&self) {
        self.0.fetch_or(OPEN, Ordering::AcqRel);
    }

    /// Closes the door on whoever is inside.
    pub fn close(&self) {
        self.0.fetch_and(COUNT, Ordering::AcqRel);
    }

    /// Closes the door if nobody is inside; returns whether it is closed now.
    #[must_use]
    pub fn close_if_idle(&self) -> bool {
        match self.0.compare_exchange(OPEN, 0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(found) => found & OPEN == 0,
        }
    }

    /// Whether the door is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire) & OPEN != 0
    }

    /// How many are inside.
    #[must_use]
    pub fn leases(&self) -> u32 {
        self.0.load(Ordering::Acquire) & COUNT
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_closed_door_lets_nobody_in_and_keeps_no_count() {
        let door = Occupancy::new();
        assert_eq!(door.enter(9), Err(Refusal::Closed));
        assert_eq!(door.leases(), 0);
    }

    #[test]
    fn the_limit_holds_and_a_place_is_free_again_after_leaving() {
        let door = Occupancy::new();
        door.open();
        assert_eq!((door.enter(1), door.enter(1)), (Ok(()), Err(Refusal::Full)));
        door.leave();
        assert_eq!(door.enter(1), Ok(()));
    }

    #[test]
    fn somebody_inside_keeps_the_door_open() {
        let door = Occupancy::new();
        door.open();
        door.enter(9).unwrap();
        assert!(!door.close_if_idle());
        assert!(door.is_open());
        door.leave();
        assert!(door.close_if_idle());
        assert!(!door.is_open());
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::{sync::Arc, thread};

    use super::*;

    /// Never both: admitted, and closed as idle while inside.
    #[test]
    fn closing_and_entering_always_see_each_other() {
        loom::model(|| {
            let door = Arc::new(Occupancy::new());
            door.open();
            let guest = Arc::clone(&door);
            let entering = thread::spawn(move || guest.enter(u32::MAX).is_ok());
            let closed = door.close_if_idle();
            let entered = entering.join().unwrap();
            assert!(!(closed && entered), "went to sleep with a request inside");
            assert_eq!(door.leases(), u32::from(entered));
            assert_eq!(door.is_open(), !closed);
        });
    }

    /// Two requests that come and go beside a closing door leave a count of zero.
    #[test]
    fn counts_balance() {
        loom::model(|| {
            let door = Arc::new(Occupancy::new());
            door.open();
            let guests: Vec<_> = (0..2)
                .map(|_| {
                    let door = Arc::clone(&door);
                    thread::spawn(move || {
                        if door.enter(1).is_ok() {
                            door.leave();
                        }
                    })
                })
                .collect();
            door.close();
            for guest in guests {
                guest.join().unwrap();
            }
            assert_eq!(door.leases(), 0);
            assert_eq!(door.enter(1), Err(Refusal::Closed));
        });
    }
}

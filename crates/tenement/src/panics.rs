//! Counts every panic, whichever thread or task it ends.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic,
    sync::atomic::{AtomicU64, Ordering},
};

/// A hook is the process's own, and so is what it counts.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// From now on panics are counted and go to the log, not to standard error directly.
pub(crate) fn watch() {
    panic::set_hook(Box::new(|panic| {
        COUNT.fetch_add(1, Ordering::Relaxed);
        let backtrace = Backtrace::capture();
        match backtrace.status() {
            BacktraceStatus::Captured => tracing::error!(%panic, %backtrace, "a task ended by a panic"),
            _ => tracing::error!(%panic, "a task ended by a panic"),
        }
    }));
}

/// Panics since [`watch`].
pub(crate) fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    // faults: D12
    #[test]
    fn panics_of_threads_are_counted() {
        watch();
        let before = count();
        assert!(std::thread::spawn(|| panic!("a test's own panic")).join().is_err());
        assert_eq!(count(), before + 1);
    }
}

//! How this process gets its memory.

use std::thread::available_parallelism;

/// Arenas besides one for each core: glibc makes up to eight for each, and every one keeps what was once freed in it.
/// Threads that mostly wait then hold on to megabytes that nobody uses.
const MORE: usize = 2;

/// Bounds the number of arenas. To be called before there are threads. See `M_ARENA_MAX` in mallopt(3).
pub fn few_arenas() {
    #[cfg(target_env = "gnu")]
    {
        let arenas = available_parallelism().map_or(1, usize::from) + MORE;
        // SAFETY: mallopt takes two numbers, keeps no pointer, and may be called at any time.
        let taken = unsafe { libc::mallopt(libc::M_ARENA_MAX, i32::try_from(arenas).unwrap_or(i32::MAX)) };
        if taken == 0 {
            tracing::debug!("the number of malloc arenas could not be bounded");
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn memory_is_still_to_be_had() {
        super::few_arenas();
        let threads = (0..16)
            .map(|_| std::thread::spawn(|| vec![1_u8; 1 << 20].iter().map(|&one| u64::from(one)).sum()));
        let sums: Vec<u64> = threads.map(|thread| thread.join().unwrap()).collect();
        assert!(sums.iter().all(|&sum| sum == 1 << 20));
    }
}

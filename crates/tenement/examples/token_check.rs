//! What looking up a token costs, in processor time: a right one and a wrong one among a thousand.

use std::{error::Error, hint::black_box, time::Duration};

use rustix::time::{ClockId, clock_gettime};
use tenement::store::{Store, Wanted};
use tenement_core::time::WallMillis;

const TOKENS: usize = 1000;
const CHECKS: u32 = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("ten-token-check-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let store = Store::open(&folder.join("state.db"))?;
    let mut token = String::new();
    for _ in 0..TOKENS {
        token = store.new_token(Wanted::admin("bench"), WallMillis(1))?.text;
    }
    for (name, text) in [("right", token.clone()), ("wrong", token.replace('a', "b"))] {
        let before = spent();
        for _ in 0..CHECKS {
            black_box(store.grant(black_box(&text), WallMillis(2)));
        }
        println!("a {name} token: {:?} each", (spent() - before) / CHECKS);
    }
    drop(store);
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(folder.join(name));
    }
    Ok(std::fs::remove_dir(&folder)?)
}

/// Processor time of this process.
fn spent() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

//! The two clocks of a shard, read at the begin of each turn.

use crate::base::clock::Now;
use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Reads the clocks. Copies share their origin.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose monotonic side begins a second ago, so that 0 can mean "never".
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Both clocks now.
    pub fn now(self) -> Now {
        Now { wall_us: wall_us(), mono_us: self.mono_us() }
    }

    /// The monotonic one alone, to see how long a turn took.
    pub fn mono_us(self) -> u64 {
        self.origin.elapsed().as_micros() as u64 + 1_000_000
    }
}

/// Microseconds since the first call: to see how long something takes.
pub fn stopwatch_us() -> u64 {
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    ORIGIN.elapsed().as_micros() as u64
}

/// Microseconds since 1970. A clock set before that reads as 0.
pub fn wall_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

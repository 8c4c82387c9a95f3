//! Time as an argument: nothing below `net` reads a clock.

/// Microseconds of a day.
pub const DAY_US: i64 = 86_400_000_000;

/// One reading of both clocks, taken once per turn of a shard's loop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// Wall clock, microseconds since 1970. What people and the log see; it may jump.
    pub wall_us: i64,
    /// Monotonic clock, microseconds since an arbitrary start. What timers use; it never goes back.
    pub mono_us: u64,
}

impl Now {
    /// Wall clock in whole milliseconds, as `ts` travels on the wire.
    pub const fn wall_ms(self) -> i64 {
        self.wall_us.div_euclid(1_000)
    }

    /// Monotonic clock in whole milliseconds, as deadlines are kept.
    pub const fn mono_ms(self) -> u64 {
        self.mono_us / 1_000
    }
}

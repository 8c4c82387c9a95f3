//! A coarse timer wheel: one entry per connection, however often its deadline moves.
//!
//! Moving a deadline later costs nothing: the owner keeps the true deadline, and when an entry
//! comes due early the owner says [`Wheel::insert`] again with the remaining time. So a connection
//! that receives a thousand messages a second touches the wheel once per ping interval.

/// Milliseconds of one slot. Deadlines fire at most this much late.
pub const TICK_MS: u64 = 250;
const SLOTS: usize = 256;

/// Keys due at coarse times. Deadlines further away than the wheel reaches go to its last slot and
/// come due early, which the owner answers with another `insert`.
#[derive(Debug)]
pub struct Wheel<K> {
    slots: Vec<Vec<K>>,
    /// The tick that was drained last.
    tick: u64,
}

impl<K> Wheel<K> {
    /// An empty wheel that begins at `now_ms`.
    pub fn new(now_ms: u64) -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), tick: now_ms / TICK_MS }
    }

    /// Files `key` to come due at the first drain at or after `due_ms` (or early, see [`Wheel`]).
    pub fn insert(&mut self, key: K, due_ms: u64) {
        let wanted = due_ms.div_ceil(TICK_MS);
        let due = wanted.clamp(self.tick + 1, self.tick + SLOTS as u64 - 1);
        self.slots[due as usize % SLOTS].push(key);
    }

    /// Moves every key that is due at `now_ms` to `due`.
    pub fn drain(&mut self, now_ms: u64, due: &mut Vec<K>) {
        let target = now_ms / TICK_MS;
        // After a pause longer than the wheel, one full turn has visited every slot.
        let steps = target.saturating_sub(self.tick).min(SLOTS as u64);
        for step in 1..=steps {
            let slot = &mut self.slots[(self.tick + step) as usize % SLOTS];
            due.append(slot);
            if slot.capacity() > 1_024 {
                *slot = Vec::new();
            }
        }
        self.tick = self.tick.max(target);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(wheel: &mut Wheel<u32>, now_ms: u64) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.drain(now_ms, &mut due);
        due.sort_unstable();
        due
    }

    #[test]
    fn comes_due_once_and_never_before_its_tick() {
        let mut wheel = Wheel::new(1_000);
        wheel.insert(1, 1_000);
        wheel.insert(2, 1_500);
        wheel.insert(3, 9_000);
        assert_eq!(drained(&mut wheel, 1_249), [0u32; 0]);
        assert_eq!(drained(&mut wheel, 1_250), [1]);
        assert_eq!(drained(&mut wheel, 1_500), [2]);
        assert_eq!(drained(&mut wheel, 8_999), [0u32; 0]);
        assert_eq!(drained(&mut wheel, 60_000), [3]);
        assert_eq!(drained(&mut wheel, 600_000), [0u32; 0]);
    }

    #[test]
    fn far_deadlines_come_early_and_a_long_pause_loses_none() {
        let mut wheel = Wheel::new(0);
        wheel.insert(1, 10_000_000);
        assert_eq!(drained(&mut wheel, 63_500), [0u32; 0]);
        assert_eq!(drained(&mut wheel, 63_750), [1]);
        for key in 0..500 {
            wheel.insert(key, 63_750 + u64::from(key) * 100);
        }
        assert_eq!(drained(&mut wheel, 50_000_000).len(), 500);
    }
}

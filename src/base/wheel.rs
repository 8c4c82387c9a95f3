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
///
/// All slots share one store of entries, so that keys cost the same whether they come due together
/// or apart, and a slot that was full once keeps nothing.
///
/// Invariant: every entry is in exactly one list: that of a slot, or `free`.
#[derive(Debug)]
pub struct Wheel<K> {
    /// First entry of each slot.
    slots: Vec<u32>,
    entries: Vec<Entry<K>>,
    /// First entry that is not in use.
    free: u32,
    /// The tick that was drained last.
    tick: u64,
}

#[derive(Debug)]
struct Entry<K> {
    key: K,
    /// The next one in the same list.
    next: u32,
}

/// The end of a list.
const NONE: u32 = u32::MAX;
/// How many entries the store grows by: doubling would leave it half empty.
const GROWTH_ENTRIES: usize = 1_024;

impl<K: Copy> Wheel<K> {
    /// An empty wheel that begins at `now_ms`.
    pub fn new(now_ms: u64) -> Self {
        let tick = now_ms / TICK_MS;
        Self { slots: vec![NONE; SLOTS], entries: Vec::new(), free: NONE, tick }
    }

    /// Files `key` to come due at the first drain at or after `due_ms` (or early, see [`Wheel`]).
    pub fn insert(&mut self, key: K, due_ms: u64) {
        let wanted = due_ms.div_ceil(TICK_MS);
        let due = wanted.clamp(self.tick + 1, self.tick + SLOTS as u64 - 1);
        let slot = &mut self.slots[due as usize % SLOTS];
        let entry = Entry { key, next: *slot };
        if self.free == NONE {
            if self.entries.len() == self.entries.capacity() {
                self.entries.reserve_exact(GROWTH_ENTRIES.max(self.entries.len() / 8));
            }
            assert!(self.entries.len() < NONE as usize);
            *slot = self.entries.len() as u32;
            self.entries.push(entry);
        } else {
            *slot = self.free;
            let place = &mut self.entries[self.free as usize];
            self.free = std::mem::replace(place, entry).next;
        }
    }

    /// Moves every key that is due at `now_ms` to `due`.
    pub fn drain(&mut self, now_ms: u64, due: &mut Vec<K>) {
        let target = now_ms / TICK_MS;
        // After a pause longer than the wheel, one full turn has visited every slot.
        let steps = target.saturating_sub(self.tick).min(SLOTS as u64);
        for step in 1..=steps {
            let slot = &mut self.slots[(self.tick + step) as usize % SLOTS];
            let mut index = std::mem::replace(slot, NONE);
            while index != NONE {
                let entry = &mut self.entries[index as usize];
                due.push(entry.key);
                let next = std::mem::replace(&mut entry.next, self.free);
                self.free = index;
                index = next;
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
    fn entries_are_used_again() {
        let mut wheel = Wheel::new(0);
        for round in 1..100u64 {
            for key in 0..50 {
                wheel.insert(key, round * 1_000 + u64::from(key % 3) * TICK_MS);
            }
            assert_eq!(drained(&mut wheel, round * 1_000 + 2 * TICK_MS).len(), 50);
        }
        assert_eq!(wheel.entries.len(), 50);
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

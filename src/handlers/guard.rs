//! How often a handler may fire: bounded memory of when it did, for each room.

use crate::base::hash::{Map, Seeded};
use crate::base::limits::{HANDLER_FIRINGS_DEFAULT, HANDLER_GUARDS_MAX, HANDLER_WINDOW_S};
use std::hash::BuildHasher;

/// What a definition's `limits` say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Firings in one room within the window.
    pub times: u32,
    /// The window, ms.
    pub window_ms: i64,
    /// Between two firings for the same contact (or sender, in a room of several people), ms.
    pub cooldown_ms: i64,
}

impl Default for Limits {
    fn default() -> Self {
        let window_ms = i64::from(HANDLER_WINDOW_S) * 1_000;
        Self { times: HANDLER_FIRINGS_DEFAULT, window_ms, cooldown_ms: 0 }
    }
}

/// When which handler fired where.
#[derive(Debug, Default)]
pub(super) struct Guards {
    seeds: Seeded,
    /// By a hash of handler, room and, for cooldowns, sender.
    fired: Map<u64, Fired>,
}

#[derive(Clone, Copy, Debug)]
struct Fired {
    /// Begin of the window, ms since 1970.
    window_ms: i64,
    count: u32,
    last_ms: i64,
}

impl Guards {
    /// Whether the handler may fire, and notes that it does.
    pub(super) fn admit(
        &mut self,
        (handler, room, sender): (&str, &str, &str),
        limits: &Limits,
        now_ms: i64,
    ) -> bool {
        if limits.cooldown_ms > 0 {
            let key = self.seeds.hash_one((handler, room, sender));
            let is_early = |fired: &Fired| (now_ms - fired.last_ms).abs() < limits.cooldown_ms;
            if self.fired.get(&key).is_some_and(is_early)
                || !self.count(handler, room, limits, now_ms)
            {
                return false;
            }
            self.put(key, Fired { window_ms: now_ms, count: 1, last_ms: now_ms });
            return true;
        }
        self.count(handler, room, limits, now_ms)
    }

    /// Notes a firing of which the caller knows from before.
    pub(super) fn note(&mut self, (handler, room, sender): (&str, &str, &str), at_ms: i64) {
        let key = self.seeds.hash_one((handler, room, sender));
        self.put(key, Fired { window_ms: at_ms, count: 1, last_ms: at_ms });
    }

    fn count(&mut self, handler: &str, room: &str, limits: &Limits, now_ms: i64) -> bool {
        let key = self.seeds.hash_one((handler, room));
        let fresh = Fired { window_ms: now_ms, count: 0, last_ms: now_ms };
        let mut fired = self.fired.get(&key).copied().unwrap_or(fresh);
        // A clock that was set back begins a new window too.
        if !(fired.window_ms..fired.window_ms + limits.window_ms).contains(&now_ms) {
            fired = fresh;
        }
        if fired.count >= limits.times {
            return false;
        }
        self.put(key, Fired { count: fired.count + 1, last_ms: now_ms, ..fired });
        true
    }

    fn put(&mut self, key: u64, fired: Fired) {
        if self.fired.len() >= HANDLER_GUARDS_MAX && !self.fired.contains_key(&key) {
            // The quarter that fired longest ago goes at once, so that this is rare.
            let mut times: Vec<i64> = self.fired.values().map(|fired| fired.last_ms).collect();
            let (_, oldest, _) = times.select_nth_unstable(HANDLER_GUARDS_MAX / 4);
            let oldest = *oldest;
            self.fired.retain(|_, fired| fired.last_ms > oldest);
        }
        self.fired.insert(key, fired);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: i64 = 60_000;

    #[test]
    fn so_many_in_a_window_of_a_room() {
        let limits = Limits { times: 2, window_ms: MIN, cooldown_ms: 0 };
        let mut guards = Guards::default();
        let mut admit = |room: &str, at| guards.admit(("h", room, "a"), &limits, at);
        assert!(admit("x", 0) && admit("x", 1) && !admit("x", 2) && admit("y", 2));
        assert!(!admit("x", MIN - 1) && admit("x", MIN), "a new window");
        assert!(admit("x", -5), "the clock was set back");
    }

    #[test]
    fn a_cooldown_is_for_each_contact() {
        let limits = Limits { times: 9, window_ms: MIN, cooldown_ms: 10 * MIN };
        let mut guards = Guards::default();
        let mut admit = |sender: &str, at| guards.admit(("h", "x", sender), &limits, at);
        assert!(
            admit("a", 0) && !admit("a", 10 * MIN - 1) && admit("b", 5) && admit("a", 10 * MIN)
        );
        guards.note(("h", "x", "c"), 11 * MIN);
        assert!(!guards.admit(("h", "x", "c"), &limits, 12 * MIN));
    }

    #[test]
    fn memory_is_bounded_and_keeps_the_newest() {
        let limits = Limits { times: 1, window_ms: 1_000 * MIN, cooldown_ms: 0 };
        let mut guards = Guards::default();
        let count = HANDLER_GUARDS_MAX as i64 + 10;
        for at in 0..count {
            assert!(guards.admit(("h", &at.to_string(), ""), &limits, at));
        }
        assert!(guards.fired.len() <= HANDLER_GUARDS_MAX);
        assert!(!guards.admit(("h", &(count - 1).to_string(), ""), &limits, count));
        assert!(guards.admit(("h", "0", ""), &limits, count), "forgotten");
    }
}

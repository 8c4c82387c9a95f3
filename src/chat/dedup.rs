//! Which message ids were seen, for as long as the promise says, in bounded memory.

use super::event::{Cid, Name};
use crate::base::hash::Map;
use crate::base::ids::Offset;
use crate::base::limits::{CID_WINDOW_MS, CIDS_PER_ROOM_MAX, INBOUND_IDS_MAX, INBOUND_WINDOW_MS};
use std::collections::VecDeque;

/// What became of a message that was sent before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// The offset it got.
    pub o: Offset,
    /// When, ms since 1970, as its sender was told.
    pub ts_ms: i64,
    /// When, ms of the monotonic clock: what the window counts by, since the other may jump.
    /// Negative for a message that is older than that clock.
    pub at_ms: i64,
    /// The append that makes it durable, counted from the start of the process; 0 when it was
    /// durable before.
    pub append: u64,
}

/// The recent client ids of one room, by user.
///
/// Invariant: `order` holds exactly the keys of `seen`, oldest first; at most
/// [`CIDS_PER_ROOM_MAX`].
#[derive(Debug, Default)]
pub struct Cids {
    seen: Map<(Name, Cid), Seen>,
    order: VecDeque<(Name, Cid)>,
}

impl Cids {
    /// The message this user sent here before under this `cid`.
    pub fn get(&self, user: &Name, cid: &Cid) -> Option<Seen> {
        self.seen.get(&(user.clone(), cid.clone())).copied()
    }

    /// Remembers a message.
    pub fn insert(&mut self, user: Name, cid: Cid, seen: Seen) {
        self.forget(seen.at_ms);
        let key = (user, cid);
        if self.seen.insert(key.clone(), seen).is_none() {
            self.order.push_back(key);
        }
        assert!(self.order.len() == self.seen.len());
    }

    /// Drops what a user sent.
    pub fn forget_user(&mut self, user: &Name) {
        self.order.retain(|(sender, _)| sender != user);
        self.seen.retain(|(sender, _), _| sender != user);
        assert!(self.order.len() == self.seen.len());
    }

    /// Drops what is older than the window at `now_ms` (of the monotonic clock), and the oldest
    /// beyond the bound.
    pub fn forget(&mut self, now_ms: i64) {
        let oldest_ms = now_ms.saturating_sub(CID_WINDOW_MS as i64);
        while let Some(key) = self.order.front() {
            let stale = self.seen[key].at_ms < oldest_ms;
            if !stale && self.order.len() < CIDS_PER_ROOM_MAX {
                break;
            }
            let key = self.order.pop_front().expect("front was there");
            self.seen.remove(&key);
        }
        if self.order.is_empty() && self.order.capacity() > 64 {
            *self = Self::default();
        }
    }
}

/// Platform message ids of one shard. Keys are 128-bit prints of (room, id), so that an id of any
/// length costs the same.
#[derive(Debug, Default)]
pub struct Externals {
    seen: Map<u128, Packed>,
    order: VecDeque<(u128, i64)>,
}

/// A [`Taken`] in fewer bytes: there are many. No message has position 0.
#[derive(Clone, Copy, Debug)]
struct Packed {
    append: u64,
    o: Offset,
}

/// What became of an item of a platform.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Taken {
    /// The append that makes it durable, counted from the start of the process; 0 when it was
    /// durable before.
    pub append: u64,
    /// Of a message: its position in the room, as far as it is known.
    pub o: Option<Offset>,
}

impl Externals {
    /// What is known of the earlier copy, if there was one.
    pub fn get(&self, key: u128) -> Option<Taken> {
        let Packed { append, o } = *self.seen.get(&key)?;
        Some(Taken { append, o: Some(o).filter(|o| *o != Offset(0)) })
    }

    /// Remembers an item seen at `now_ms` (ms since 1970).
    pub fn insert(&mut self, key: u128, taken: Taken, now_ms: i64) {
        while let Some(&(oldest, at_ms)) = self.order.front() {
            let stale = at_ms < now_ms.saturating_sub(INBOUND_WINDOW_MS);
            if !stale && self.order.len() < INBOUND_IDS_MAX {
                break;
            }
            self.order.pop_front();
            self.seen.remove(&oldest);
        }
        let packed = Packed { append: taken.append, o: taken.o.unwrap_or_default() };
        if self.seen.insert(key, packed).is_none() {
            self.order.push_back((key, now_ms));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(o: u64, at_ms: i64) -> Seen {
        Seen { o: Offset(o), ts_ms: 0, at_ms, append: o }
    }

    #[test]
    fn remembers_for_the_window_and_no_more_than_the_bound() {
        let mut cids = Cids::default();
        let alice: Name = "alice".into();
        let bob: Name = "bob".into();
        cids.insert(alice.clone(), "a".into(), seen(1, 1_000));
        assert_eq!(cids.get(&alice, &"a".into()), Some(seen(1, 1_000)));
        assert_eq!(cids.get(&bob, &"a".into()), None);
        cids.insert(alice.clone(), "b".into(), seen(2, 1_000 + CID_WINDOW_MS as i64));
        assert_eq!(cids.get(&alice, &"a".into()), Some(seen(1, 1_000)));
        cids.insert(alice.clone(), "c".into(), seen(3, 1_001 + CID_WINDOW_MS as i64));
        assert_eq!(cids.get(&alice, &"a".into()), None);
        for n in 0..CIDS_PER_ROOM_MAX as u64 {
            cids.insert(bob.clone(), n.to_string().into(), seen(10 + n, 400_000));
        }
        assert!(cids.order.len() <= CIDS_PER_ROOM_MAX);
        assert_eq!(cids.get(&alice, &"c".into()), None);
    }

    #[test]
    fn external_ids_outlive_a_week() {
        let mut externals = Externals::default();
        let taken = |append| Taken { append, o: Some(Offset(append)) };
        externals.insert(1, taken(5), 0);
        externals.insert(2, taken(6), INBOUND_WINDOW_MS);
        assert_eq!(externals.get(1), Some(taken(5)));
        externals.insert(3, taken(7), INBOUND_WINDOW_MS + 1);
        assert_eq!(externals.get(1), None);
        assert_eq!(externals.get(2), Some(taken(6)));
    }
}

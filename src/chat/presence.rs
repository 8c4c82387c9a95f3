//! Who is in a room now, and what the others are told of it.
//!
//! Presence is a user's, not a session's: a second tab is silent. Changes are collected and told
//! at most once a second, names only while the room is small, so that a thousand people who
//! reconnect at once cost each other one small frame and not a million.

use super::event::{Name, Status};
use super::reply::status_value;
use crate::base::limits::{
    LEAVE_GRACE_MS, PRESENCE_COUNT_TICK_MS, PRESENCE_NAMES_MAX, PRESENCE_TICK_MS,
    TYPING_THROTTLE_MS,
};
use crate::base::rate::{Bucket, Rate};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// Rates of unseen users that are kept before the rested ones are forgotten.
const UNSEEN_MAX: usize = 256;

/// The users in a room, in order of name.
///
/// Invariant: a user without sessions is here only within its grace (`lost_ms` set).
#[derive(Debug, Default)]
pub struct Presence {
    users: BTreeMap<Name, Present>,
    joins: BTreeSet<Name>,
    leaves: BTreeSet<Name>,
    statuses: BTreeMap<Name, Option<Box<Status>>>,
    /// More has changed than names are told of: only the number will be.
    names_dropped: bool,
    next_ms: u64,
    /// Rates of users who are not shown: quiet sessions. Swept when it is long.
    unseen: BTreeMap<Name, Bucket>,
    /// Somebody was told who is here since the last flush.
    witnessed: bool,
}

/// One user in a room.
#[derive(Debug, Default)]
struct Present {
    sessions: u32,
    /// When the last session vanished without a word; 0 while there is one.
    lost_ms: u64,
    typing_ms: u64,
    sends: Bucket,
    status: Option<Box<Status>>,
}

/// What is to be done after a session left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Nothing: the user is still here, or gone already.
    Settled,
    /// The user is gone now.
    Left,
    /// Ask [`Presence::grace_over`] at this time, ms of the monotonic clock.
    Grace(u64),
}

impl Presence {
    /// Users present.
    pub fn count(&self) -> usize {
        self.users.len()
    }

    /// Whether so many are here that what one of them does is no longer told to all by name.
    pub fn is_crowd(&self) -> bool {
        self.count() > PRESENCE_NAMES_MAX
    }

    /// Whether there is something to tell.
    pub fn is_dirty(&self) -> bool {
        let quiet = self.joins.is_empty() && self.leaves.is_empty() && self.statuses.is_empty();
        self.names_dropped || !quiet
    }

    /// A session of `user` came. Gives whether nobody of that name was here.
    pub fn enter(&mut self, user: &Name) -> bool {
        if let Some(present) = self.users.get_mut(user) {
            present.sessions += 1;
            present.lost_ms = 0;
            return false;
        }
        self.users.insert(user.clone(), Present { sessions: 1, ..Present::default() });
        if (!self.leaves.remove(user) || self.witnessed) && !self.names_dropped {
            self.joins.insert(user.clone());
            self.count_changes();
        }
        true
    }

    /// Whether a user is here, or vanished a moment ago.
    pub fn has(&self, user: &Name) -> bool {
        self.users.contains_key(user)
    }

    /// A session of `user` left, with a word (`said`) or without.
    pub fn exit(&mut self, user: &Name, said: bool, now_ms: u64) -> Exit {
        let Some(present) = self.users.get_mut(user) else {
            return Exit::Settled;
        };
        present.sessions = present.sessions.saturating_sub(1);
        if present.sessions > 0 {
            return Exit::Settled;
        }
        if said {
            self.remove(user);
            return Exit::Left;
        }
        present.lost_ms = now_ms.max(1);
        Exit::Grace(now_ms + LEAVE_GRACE_MS)
    }

    /// The grace of a vanished user may be over. Gives whether it is, and they are gone.
    pub fn grace_over(&mut self, user: &Name, now_ms: u64) -> bool {
        let Some(present) = self.users.get(user) else {
            return false;
        };
        let over = present.lost_ms != 0 && now_ms >= present.lost_ms + LEAVE_GRACE_MS;
        if over {
            assert!(present.sessions == 0);
            self.remove(user);
        }
        over
    }

    /// Somebody is told now who is here. A change that is undone before the next flush must be told
    /// from then on, because the witness saw the half of it.
    pub fn witness(&mut self) {
        self.witnessed = true;
    }

    /// The user's status, to be told and shown in `who`.
    pub fn set_status(&mut self, user: &Name, status: &Status) {
        if let Some(present) = self.users.get_mut(user) {
            let status = Some(Box::new(status.clone()));
            present.status.clone_from(&status);
            self.statuses.insert(user.clone(), status);
        }
    }

    /// Takes one token of the user's rate in this room, or says how long to wait, ms.
    pub fn take_send(&mut self, user: &Name, rate: Rate, now_ms: u64) -> Result<(), u64> {
        match self.users.get_mut(user) {
            Some(present) => present.sends.take(rate, now_ms),
            None if rate.per_s == 0 => Ok(()),
            None => {
                if self.unseen.len() >= UNSEEN_MAX {
                    self.unseen.retain(|_, bucket| !bucket.is_rested(rate, now_ms));
                }
                self.unseen.entry(user.clone()).or_default().take(rate, now_ms)
            }
        }
    }

    /// Whether a `typing` of this user is worth relaying now.
    pub fn take_typing(&mut self, user: &Name, now_ms: u64) -> bool {
        let Some(present) = self.users.get_mut(user) else {
            return false;
        };
        let due = present.typing_ms == 0 || now_ms >= present.typing_ms + TYPING_THROTTLE_MS;
        if due {
            present.typing_ms = now_ms.max(1);
        }
        due
    }

    /// The user posted: its next `typing` is news again.
    pub fn clear_typing(&mut self, user: &Name) {
        if let Some(present) = self.users.get_mut(user) {
            present.typing_ms = 0;
        }
    }

    /// Users with names after `after`, with their status.
    pub fn page(&self, after: &str) -> impl Iterator<Item = (&Name, Option<&Status>)> + '_ {
        let bounds = (Bound::Excluded(after), Bound::Unbounded);
        let users = self.users.range::<str, _>(bounds);
        users.map(|(name, present)| (name, present.status.as_deref()))
    }

    /// The `d` of the next `presence` event, if there is one to send now.
    pub fn flush(&mut self, now_ms: u64) -> Option<Value> {
        if !self.is_dirty() || now_ms < self.next_ms {
            return None;
        }
        self.witnessed = false;
        let count = self.users.len();
        let joins = std::mem::take(&mut self.joins);
        let leaves = std::mem::take(&mut self.leaves);
        let statuses = std::mem::take(&mut self.statuses);
        if std::mem::take(&mut self.names_dropped) || count > PRESENCE_NAMES_MAX {
            self.next_ms = now_ms + PRESENCE_COUNT_TICK_MS;
            return Some(json!({"n": count}));
        }
        self.next_ms = now_ms + PRESENCE_TICK_MS;
        let mut d = json!({"n": count, "join": names(&joins), "leave": names(&leaves)});
        if !statuses.is_empty() {
            let told = statuses.iter().filter_map(|(user, status)| {
                let status = status.as_ref()?;
                Some((user.to_string(), status_value(status)))
            });
            d["status"] = Value::Object(told.collect());
        }
        Some(d)
    }

    fn remove(&mut self, user: &Name) {
        self.users.remove(user);
        self.statuses.remove(user);
        if (!self.joins.remove(user) || self.witnessed) && !self.names_dropped {
            self.leaves.insert(user.clone());
            self.count_changes();
        }
    }

    /// Lets go of the names when there are too many to tell: a storm of ten thousand must not keep
    /// its names until the next announcement.
    fn count_changes(&mut self) {
        if self.joins.len() + self.leaves.len() > PRESENCE_NAMES_MAX {
            self.names_dropped = true;
            self.joins.clear();
            self.leaves.clear();
        }
    }
}

fn names(set: &BTreeSet<Name>) -> Vec<&str> {
    set.iter().map(|name| &**name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(presence: &mut Presence, now_ms: u64) -> String {
        presence.flush(now_ms).map(|d| d.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_user_is_told_once_however_many_sessions() {
        let mut presence = Presence::default();
        let alice: Name = "alice".into();
        presence.enter(&alice);
        presence.enter(&alice);
        assert_eq!(told(&mut presence, 1_000), r#"{"join":["alice"],"leave":[],"n":1}"#);
        assert_eq!(presence.exit(&alice, true, 1_100), Exit::Settled);
        assert_eq!(told(&mut presence, 9_000), "");
        assert_eq!(presence.exit(&alice, true, 9_100), Exit::Left);
        assert_eq!(told(&mut presence, 9_200), r#"{"join":[],"leave":["alice"],"n":0}"#);
    }

    #[test]
    fn grace_hides_a_short_loss_and_ends_a_long_one() {
        let mut presence = Presence::default();
        let bob: Name = "bob".into();
        presence.enter(&bob);
        told(&mut presence, 1_000);
        assert_eq!(presence.exit(&bob, false, 5_000), Exit::Grace(20_000));
        presence.enter(&bob);
        presence.grace_over(&bob, 20_000);
        assert_eq!(told(&mut presence, 20_000), "");
        assert_eq!(presence.exit(&bob, false, 21_000), Exit::Grace(36_000));
        presence.grace_over(&bob, 30_000);
        assert_eq!(presence.count(), 1);
        presence.grace_over(&bob, 36_000);
        assert_eq!(told(&mut presence, 36_000), r#"{"join":[],"leave":["bob"],"n":0}"#);
    }

    #[test]
    fn changes_are_coalesced_and_cancel_out() {
        let mut presence = Presence::default();
        let carol: Name = "carol".into();
        presence.enter(&carol);
        presence.exit(&carol, true, 10);
        assert_eq!(told(&mut presence, 20), "");
        for n in 0..300 {
            presence.enter(&format!("user-{n}").into());
        }
        assert_eq!(told(&mut presence, 30), r#"{"n":300}"#);
        presence.enter(&carol);
        assert_eq!(told(&mut presence, 30 + PRESENCE_COUNT_TICK_MS - 1), "");
        assert_eq!(told(&mut presence, 30 + PRESENCE_COUNT_TICK_MS), r#"{"n":301}"#);
    }

    #[test]
    fn whoever_is_not_shown_has_a_rate_all_the_same() {
        let mut presence = Presence::default();
        let rate = Rate { per_s: 1, burst: 2 };
        let bot: Name = "bot".into();
        assert_eq!(presence.take_send(&bot, rate, 0), Ok(()));
        assert_eq!(presence.take_send(&bot, rate, 0), Ok(()));
        assert_eq!(presence.take_send(&bot, rate, 0), Err(1_000));
        for n in 0..2_000u64 {
            let name = format!("bot-{n}").into();
            assert_eq!(presence.take_send(&name, rate, n * 100), Ok(()));
        }
        assert!(presence.unseen.len() <= UNSEEN_MAX);
    }

    #[test]
    fn a_storm_keeps_no_names_and_is_told_as_a_number() {
        let mut presence = Presence::default();
        let name = |n: usize| -> Name { format!("user-{n}").into() };
        (0..=PRESENCE_NAMES_MAX).for_each(|n| assert!(presence.enter(&name(n))));
        (0..PRESENCE_NAMES_MAX).for_each(|n| {
            presence.exit(&name(n), true, 10);
        });
        assert!(presence.joins.is_empty() && presence.leaves.is_empty());
        assert_eq!(told(&mut presence, 20), r#"{"n":1}"#);
        presence.enter(&name(0));
        let at = 20 + PRESENCE_COUNT_TICK_MS;
        assert_eq!(told(&mut presence, at), r#"{"join":["user-0"],"leave":[],"n":2}"#);
    }

    #[test]
    fn typing_is_throttled_until_the_user_posts() {
        let mut presence = Presence::default();
        let dave: Name = "dave".into();
        assert!(!presence.take_typing(&dave, 1));
        presence.enter(&dave);
        assert!(presence.take_typing(&dave, 1));
        assert!(!presence.take_typing(&dave, TYPING_THROTTLE_MS));
        presence.clear_typing(&dave);
        assert!(presence.take_typing(&dave, TYPING_THROTTLE_MS));
    }
}

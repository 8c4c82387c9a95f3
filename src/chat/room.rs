//! A room as its owner knows it: order, members, receipts, the tail of its history.

use super::conversation::Conversation;
use super::dedup::Cids;
use super::epochs::{Epochs, Runs, Standing};
use super::event::{Access, Name, Replay, Role};
use super::presence::Presence;
use super::tail::{Entry, Tail};
use crate::base::ids::{Offset, ShardId};
use crate::base::limits::{HISTORY_LIMIT_MAX, PRESENCE_TICK_MS, RESUME_EVENTS_MAX};
use crate::base::names::is_contact;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Everything the owner keeps of one room.
///
/// Invariant: `visible <= tail.top()`; they differ only while a durable fan-out waits for the log.
#[derive(Debug)]
pub struct Room {
    /// Its name.
    pub name: Name,
    /// Its topic.
    pub topic: Box<str>,
    /// Who gave it; empty when nobody did.
    pub topic_by: Name,
    /// Who may enter.
    pub access: Access,
    /// Durable members.
    pub members: BTreeMap<Name, Role>,
    /// Users' watermarks.
    pub marks: BTreeMap<Name, Marks>,
    /// Watermarks that moved since they were told.
    pub marks_moved: BTreeMap<Name, Marks>,
    /// When they may be told next, ms of the monotonic clock.
    pub marks_next_ms: u64,
    /// Who is here now.
    pub presence: Presence,
    /// The newest events.
    pub tail: Tail,
    /// What clients may see already.
    pub visible: Offset,
    /// The log holds no event before this one, as far as is known.
    pub oldest: Offset,
    /// Recently sent messages.
    pub cids: Cids,
    /// Where epochs begin.
    pub runs: Runs,
    /// Sessions attached, by shard; shards without any are left out.
    pub shards: Vec<(ShardId, u32)>,
    /// Whether it stands in the hub's list of rooms with something to tell.
    pub in_dirty_list: bool,
    /// Of a room with a contact of a platform.
    pub conversation: Option<Box<Conversation>>,
    /// What a handler asked here.
    pub step: Option<Step>,
    /// Nobody answered in time, and the handler is being told.
    pub step_rung: bool,
    /// When the hub looks at this room again, ms since 1970.
    pub alarm_ms: Option<i64>,
    /// What commands keep here; each key begins with a command's name and a space.
    kept: BTreeMap<Box<str>, Box<str>>,
}

/// A question of a handler that waits for its answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Until when, ms since 1970.
    pub until_ms: i64,
    /// What the handler must be told with the answer.
    pub stored: Box<str>,
}

impl Step {
    /// As the log has it.
    pub fn text(&self) -> Box<str> {
        format!("{} {}", self.until_ms, self.stored).into()
    }

    /// Reads [`Step::text`]; `None` of the text that says that nothing waits.
    pub fn read(text: &str) -> Option<Self> {
        let (until_ms, stored) = text.split_once(' ')?;
        Some(Self { until_ms: until_ms.parse().ok()?, stored: stored.into() })
    }
}

/// A user's watermarks in a room. They only rise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Marks {
    /// Received up to.
    pub recv: Offset,
    /// Read up to.
    pub read: Offset,
}

/// What a joining session gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplayPlan {
    /// First offset to replay; beyond the top for none.
    pub from: Offset,
    /// Whether the client misses nothing after the replay.
    pub recovered: bool,
    /// Beyond this offset nothing the client holds exists.
    pub back_to: Option<Offset>,
}

impl Room {
    /// An empty room.
    pub fn new(name: Name) -> Self {
        Self {
            name,
            topic: "".into(),
            topic_by: "".into(),
            access: Access::Open,
            members: BTreeMap::new(),
            marks: BTreeMap::new(),
            marks_moved: BTreeMap::new(),
            marks_next_ms: 0,
            presence: Presence::default(),
            tail: Tail::default(),
            visible: Offset(0),
            oldest: Offset(1),
            cids: Cids::default(),
            runs: Runs::default(),
            shards: Vec::new(),
            in_dirty_list: false,
            conversation: None,
            step: None,
            step_rung: false,
            alarm_ms: None,
            kept: BTreeMap::new(),
        }
    }

    /// The side of this room that looks to a platform.
    pub fn outside(&mut self) -> &mut Conversation {
        self.conversation.get_or_insert_default()
    }

    /// What a command keeps here.
    pub fn kept(&self, key: &str) -> Option<&str> {
        self.kept.get(key).map(|value| &**value)
    }

    /// Whether any command keeps anything.
    pub fn keeps_anything(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Everything that is kept under keys that begin so.
    pub fn kept_of<'r>(&'r self, begin: &'r str) -> impl Iterator<Item = (&'r str, &'r str)> {
        let range = self.kept.range::<str, _>((Bound::Included(begin), Bound::Unbounded));
        let range = range.take_while(move |(key, _)| key.starts_with(begin));
        range.map(|(key, value)| (&**key, &**value))
    }

    /// Everything that is kept.
    pub fn all_kept(&self) -> impl Iterator<Item = (&str, &str)> {
        self.kept.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Keeps a value; an empty one is forgotten.
    pub fn set_kept(&mut self, key: &str, value: &str) {
        if value.is_empty() {
            self.kept.remove(key);
        } else {
            self.kept.insert(key.into(), value.into());
        }
    }

    /// Forgets what `forget` says of key and value.
    pub fn forget_kept(&mut self, forget: impl Fn(&str, &str) -> bool) {
        self.kept.retain(|key, value| !forget(key, value));
    }

    /// The name that `user` goes by here; empty: their own.
    pub fn nick(&self, user: &str) -> &str {
        if self.kept.is_empty() {
            return "";
        }
        self.kept(&format!("nick {user}")).unwrap_or_default()
    }

    /// What others here call `user`: their nick, or a contact's own name.
    pub fn display<'a>(&'a self, user: &'a str) -> &'a str {
        let known = || match &self.conversation {
            Some(outside) if is_contact(user) => &*outside.contact.name,
            _ => "",
        };
        let names = [self.nick(user), known(), user];
        names.into_iter().find(|name| !name.is_empty()).unwrap_or_default()
    }

    /// What `user` may do here.
    pub fn role(&self, user: &Name) -> Role {
        self.members.get(user).copied().unwrap_or_default()
    }

    /// Whether `user` may be here at all.
    pub fn admits(&self, user: &Name) -> bool {
        self.access == Access::Open || self.members.contains_key(user)
    }

    /// Adds a durable event and gives it the next offset.
    pub fn push(&mut self, epochs: &Epochs, entry: Entry) -> Offset {
        let o = self.tail.top().next();
        self.restore(epochs, o, entry);
        o
    }

    /// Lets clients see what there is up to `o`.
    pub fn show(&mut self, o: Offset) {
        assert!(o > self.visible);
        self.visible = o;
    }

    /// Adds an event that has its offset already (from the log at start).
    pub fn restore(&mut self, epochs: &Epochs, o: Offset, entry: Entry) {
        if o <= self.tail.top() {
            // Two records with one offset: the log was merged by hand. Keep the first.
            return;
        }
        self.runs.note(epochs, o);
        self.tail.push(o, entry);
    }

    /// Counts a session in or out of a shard.
    pub fn count_shard(&mut self, shard: ShardId, change: i32) {
        let found = self.shards.iter().position(|(known, _)| *known == shard);
        let index = found.unwrap_or_else(|| {
            self.shards.push((shard, 0));
            self.shards.len() - 1
        });
        let count = &mut self.shards[index].1;
        *count = count.checked_add_signed(change).expect("a session leaves only once");
        if *count == 0 {
            self.shards.swap_remove(index);
        }
    }

    /// Decides what a session that joins with `replay` gets.
    pub fn plan(&self, epochs: &Epochs, replay: Replay) -> ReplayPlan {
        let top = self.visible;
        match replay {
            Replay::None => ReplayPlan { from: top.next(), recovered: true, back_to: None },
            Replay::Last(count) => {
                let count = u64::from(count.min(HISTORY_LIMIT_MAX)).min(top.0);
                ReplayPlan { from: Offset(top.0 - count + 1), recovered: true, back_to: None }
            }
            Replay::After(epoch, o) => match self.runs.judge(epochs, epoch, o, top) {
                Standing::Beyond(end) => {
                    ReplayPlan { from: top.next(), recovered: false, back_to: Some(end) }
                }
                Standing::Good if top.0 - o.0 > RESUME_EVENTS_MAX => {
                    ReplayPlan { from: top.next(), recovered: false, back_to: None }
                }
                Standing::Good => ReplayPlan { from: o.next(), recovered: true, back_to: None },
            },
        }
    }

    /// The watermarks to write and tell now; none when the last ones are too recent.
    pub fn take_marks(&mut self, now_ms: u64) -> BTreeMap<Name, Marks> {
        if self.marks_moved.is_empty() || now_ms < self.marks_next_ms {
            return BTreeMap::new();
        }
        self.marks_next_ms = now_ms + PRESENCE_TICK_MS;
        std::mem::take(&mut self.marks_moved)
    }

    /// Raises a user's watermarks; true when one moved.
    pub fn mark(&mut self, user: &Name, wanted: Marks) -> bool {
        let top = self.visible;
        let marks = self.marks.get(user).copied().unwrap_or_default();
        let read = marks.read.max(wanted.read.min(top));
        // Who has read has received.
        let recv = marks.recv.max(wanted.recv.min(top)).max(read);
        let moved = Marks { recv, read };
        if moved == marks {
            return false;
        }
        self.marks.insert(user.clone(), moved);
        self.marks_moved.insert(user.clone(), moved);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::EpochId;

    fn room(events: u64) -> (Epochs, Room) {
        let mut epochs = Epochs::default();
        epochs.begin(EpochId(1));
        let mut room = Room::new("general".into());
        for _ in 0..events {
            let frame = "x".into();
            let entry = Entry { frame, author: None, latest: None, version: 1, deleted: false };
            room.visible = room.push(&epochs, entry);
        }
        (epochs, room)
    }

    #[test]
    fn replay_plans() {
        let (epochs, room) = room(400);
        let now = EpochId(1);
        let check = |replay, from, recovered, back_to: Option<u64>| {
            let back_to = back_to.map(Offset);
            let want = ReplayPlan { from: Offset(from), recovered, back_to };
            assert_eq!(room.plan(&epochs, replay), want, "{replay:?}");
        };
        check(Replay::None, 401, true, None);
        check(Replay::Last(0), 401, true, None);
        check(Replay::Last(10), 391, true, None);
        check(Replay::Last(9_999), 101, true, None);
        check(Replay::After(now, Offset(400)), 401, true, None);
        check(Replay::After(now, Offset(100)), 101, true, None);
        check(Replay::After(now, Offset(99)), 401, false, None);
        check(Replay::After(now, Offset(401)), 401, false, Some(400));
        check(Replay::After(EpochId(9), Offset(1)), 401, false, Some(0));
    }

    #[test]
    fn marks_only_rise_and_never_pass_the_top() {
        let (_, mut room) = room(10);
        let user: Name = "alice".into();
        let marks = |recv, read| Marks { recv: Offset(recv), read: Offset(read) };
        assert!(room.mark(&user, marks(5, 3)));
        assert!(!room.mark(&user, marks(4, 1)));
        assert!(room.mark(&user, marks(0, 7)));
        assert_eq!(room.marks[&user], marks(7, 7));
        assert!(room.mark(&user, marks(99, 0)));
        assert_eq!(room.marks[&user], marks(10, 7));
    }

    #[test]
    fn shards_are_counted() {
        let (_, mut room) = room(0);
        room.count_shard(ShardId(1), 1);
        room.count_shard(ShardId(1), 1);
        room.count_shard(ShardId(0), 1);
        room.count_shard(ShardId(1), -1);
        assert_eq!(room.shards, [(ShardId(1), 1), (ShardId(0), 1)]);
        room.count_shard(ShardId(1), -1);
        assert_eq!(room.shards, [(ShardId(0), 1)]);
    }
}

//! Owner, front and home: forgetting what an erasure takes out of the log, so that nothing of it is
//! said, shown or written again.
//!
//! Clients keep what they were sent: a server cannot reach into devices.

use super::Hub;
use crate::base::codes::CloseReason;
use crate::base::ids::Offset;
use crate::base::names::{rule_fits, split_conversation};
use crate::chat::event::{Access, Effect, Forget, Forgetting, Frame, Name};
use crate::chat::inbox::Place;
use crate::chat::reply;
use crate::chat::room::Room;
use crate::chat::tail::Entry;
use serde_json::{Map, Value};

/// Rooms that are gone through in one call: a room has some hundred events in memory.
const ROOMS_PER_CALL: usize = 32;

/// A forgetting in the middle.
#[derive(Debug, Default)]
pub struct Forgets {
    /// Who may not come in until it is over.
    barred: Option<Name>,
    /// Rooms still to go through.
    rooms: Option<Vec<Name>>,
}

impl Hub {
    /// Forgets, a piece at each call, until it answers [`Forgetting::Done`]. A user's sessions are
    /// ended, and none begins until [`Hub::forgotten`].
    pub fn forget(&mut self, what: &Forget, effects: &mut Vec<Effect>) -> Forgetting {
        if let Forget::User { user, .. } = what {
            self.forgets.barred = Some(user.clone());
            if self.end_sessions(user, effects) {
                return Forgetting::Sessions;
            }
        }
        let mut rooms = match self.forgets.rooms.take() {
            Some(rooms) => rooms,
            None => self.rooms.keys().filter(|room| concerns(what, room)).cloned().collect(),
        };
        for _ in 0..ROOMS_PER_CALL {
            let Some(name) = rooms.pop() else {
                break;
            };
            if let Some(room) = self.rooms.get_mut(&name) {
                let placed = room.conversation.as_ref().and_then(|outside| outside.placed_ms);
                forget_in(room, what);
                if let (Some(active_ms), None) = (placed, &room.conversation) {
                    self.inbox.remove(&Place { active_ms, room: name });
                }
            }
        }
        if !rooms.is_empty() {
            self.forgets.rooms = Some(rooms);
            return Forgetting::Rooms;
        }
        if let Forget::User { user, contact, .. } = what {
            contact.iter().for_each(|contact| self.forget_links(contact));
            self.users.remove(user);
        }
        self.forget_calls(|user, room| is_of(what, user, room));
        Forgetting::Done
    }

    /// The erasure is over: who was barred may come again, as somebody new.
    pub fn forgotten(&mut self) {
        self.forgets = Forgets::default();
    }

    pub(super) fn is_barred(&self, user: &Name) -> bool {
        self.forgets.barred.as_ref() == Some(user)
    }

    /// Whether sessions of the user are left, here or by the knowledge of the home.
    fn end_sessions(&mut self, user: &Name, effects: &mut Vec<Effect>) -> bool {
        let theirs: Vec<_> = self
            .sessions
            .ids()
            .into_iter()
            .filter(|conn| self.sessions.get(*conn).is_some_and(|s| s.user.as_ref() == Some(user)))
            .collect();
        for conn in &theirs {
            self.dismiss(*conn, CloseReason::Erased, effects);
        }
        !theirs.is_empty() || self.users.get(user).is_some_and(|user| user.is_online())
    }
}

/// Whether what `user` has under way in a room goes too.
fn is_of(what: &Forget, user: &str, room: &str) -> bool {
    match what {
        Forget::User { user: theirs, contact, .. } => {
            **theirs == *user
                || contact.as_ref().is_some_and(|contact| is_conversation(room, contact))
        }
        Forget::Room { room: wanted, .. } => **wanted == *room,
        Forget::Message { .. } | Forget::Aged { .. } => false,
    }
}

fn concerns(what: &Forget, room: &str) -> bool {
    match what {
        Forget::User { .. } => true,
        Forget::Room { room: wanted, .. } | Forget::Message { room: wanted, .. } => {
            **wanted == *room
        }
        Forget::Aged { rules } => before_ms(rules, room).is_some(),
    }
}

/// Until when texts of a room are too old; the first rule that fits holds.
fn before_ms(rules: &[(Box<str>, i64)], room: &str) -> Option<i64> {
    rules.iter().find(|(rooms, _)| rule_fits(rooms, room)).map(|(_, before_ms)| *before_ms)
}

fn forget_in(room: &mut Room, what: &Forget) {
    match what {
        Forget::User { contact: Some(contact), .. } if is_conversation(&room.name, contact) => {
            forget_all(room);
        }
        Forget::User { user, alias, .. } => forget_user(room, user, alias),
        Forget::Room { renamed: true, .. } => forget_all(room),
        Forget::Room { .. } => {
            room.topic = "".into();
            room.cids = Default::default();
            room.forget_kept(|_, _| true);
            room.tail.update(|_, entry| forget_words(entry));
        }
        Forget::Message { o: wanted, .. } => {
            if let Some(outside) = &mut room.conversation {
                outside.pending.remove(wanted);
            }
            room.tail.update(|o, entry| {
                if o == *wanted || edits(entry, *wanted) {
                    forget_words(entry);
                }
            });
        }
        Forget::Aged { rules } => {
            let before_ms = before_ms(rules, &room.name).expect("the rules concern it");
            room.tail.update(|_, entry| {
                // A topic still holds, whenever it was given.
                let said = entry.author.is_some() || entry.frame.starts_with(r#"{"t":"edit""#);
                if said && ts_ms(&entry.frame).is_some_and(|ts_ms| ts_ms < before_ms) {
                    forget_words(entry);
                }
            });
        }
    }
}

fn is_conversation(room: &str, contact: &str) -> bool {
    split_conversation(room).is_some_and(|(_, with)| with == contact)
}

/// The room has another name in the log from now on; under this one it is as good as new. Its
/// positions go on, because sessions hold some.
fn forget_all(room: &mut Room) {
    room.tail.clear();
    room.members.clear();
    room.marks.clear();
    room.marks_moved.clear();
    room.cids = Default::default();
    room.topic = "".into();
    room.access = Access::Open;
    // What has not left does not leave.
    room.conversation = None;
    room.step = None;
    room.forget_kept(|_, _| true);
}

fn forget_user(room: &mut Room, user: &Name, alias: &Name) {
    if let Some(role) = room.members.remove(user) {
        room.members.insert(alias.clone(), role);
    }
    if let Some(marks) = room.marks.remove(user) {
        room.marks.insert(alias.clone(), marks);
    }
    room.marks_moved.remove(user);
    room.cids.forget_user(user);
    if let Some(outside) = &mut room.conversation
        && outside.assignee.as_ref() == Some(user)
    {
        outside.assignee = Some(alias.clone());
    }
    if room.topic_by == *user {
        room.topic = "".into();
        room.topic_by = alias.clone();
    }
    let quoted = Value::from(&**user).to_string();
    // What commands keep of somebody, in their keys or their values.
    let named = |words: &str| {
        words.contains(&quoted) || words.split(' ').skip(1).any(|word| word == &**user)
    };
    room.forget_kept(|key, value| {
        key.ends_with(&format!(" {user}")) || named(key) || value == &**user || named(value)
    });
    // What a question keeps are the words of whom it was put to.
    if room.step.as_ref().is_some_and(|step| step.stored.contains(&quoted)) {
        room.step = None;
    }
    room.tail.update(|_, entry| {
        let theirs = entry.author.as_ref() == Some(user);
        if !theirs && !entry.frame.contains(&quoted) {
            return;
        }
        entry.frame = changed(&entry.frame, |d| {
            let actor = d.get("from").or_else(|| d.get("by"));
            if actor.and_then(Value::as_str) == Some(user) {
                empty(d);
            }
            for who in ["from", "by", "user", "assign"] {
                if d.get(who).and_then(Value::as_str) == Some(user) {
                    d.insert(who.into(), Value::from(&**alias));
                }
            }
        });
        if theirs {
            entry.author = Some(alias.clone());
            take_back(entry);
        }
    });
}

/// What was said goes; who said it and when stays.
fn forget_words(entry: &mut Entry) {
    entry.frame = changed(&entry.frame, empty);
    if entry.author.is_some() {
        take_back(entry);
    }
}

fn take_back(entry: &mut Entry) {
    entry.deleted = true;
    entry.latest = reply::msg_deleted(&entry.frame);
}

fn empty(d: &mut Map<String, Value>) {
    for words in ["text", "topic"] {
        if d.contains_key(words) {
            d.insert(words.into(), "".into());
        }
    }
    for optional in ["name", "cid", "ext"] {
        d.remove(optional);
    }
}

/// A frame of ours with its `d` changed.
fn changed(frame: &Frame, change: impl FnOnce(&mut Map<String, Value>)) -> Frame {
    let mut event: Value = serde_json::from_str(frame).expect("our own frames are JSON");
    if let Some(d) = event.get_mut("d").and_then(Value::as_object_mut) {
        change(d);
    }
    event.to_string().into()
}

fn edits(entry: &Entry, o: Offset) -> bool {
    if entry.author.is_some() || !entry.frame.contains(r#""of""#) {
        return false;
    }
    let event: Value = serde_json::from_str(&entry.frame).expect("our own frames are JSON");
    event["d"]["of"].as_u64() == Some(o.0)
}

fn ts_ms(frame: &str) -> Option<i64> {
    let event: Value = serde_json::from_str(frame).expect("our own frames are JSON");
    event["ts"].as_i64()
}

//! Owner: messages that are edited and taken back, in memory or long after they left it.

use super::Hub;
use super::history::Recall;
use super::owner::event;
use crate::base::clock::Now;
use crate::base::codes::ErrorCode;
use crate::base::ids::Offset;
use crate::base::limits::RECALLS_MAX;
use crate::chat::event::{Asker, Effect, Fact, Found, Name, Refusal, Role, Want};
use crate::chat::reply;
use crate::chat::request::refuse;
use serde_json::json;

/// What is to become of a message.
#[derive(Debug)]
pub enum Change {
    /// A new text.
    Edit(Box<str>),
    /// Nothing is left of it.
    Delete,
}

/// What has to be known of a message before it may change.
struct Subject {
    author: Name,
    version: u32,
    deleted: bool,
}

impl Hub {
    pub(super) fn take_change(
        &mut self,
        now: Now,
        name: Name,
        by: Asker,
        of: Offset,
        change: Change,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        self.check_log(change.text_bytes())?;
        self.take_room_send(now, &name, &by)?;
        let tail = &self.rooms[&name].tail;
        if of == Offset(0) || of > tail.top() {
            return Err(refuse(ErrorCode::BadRequest, "`o` is no offset of this room"));
        }
        if of < tail.first() {
            return self.recall_subject(name, by, of, change, effects);
        }
        let entry = tail.get(of).expect("a tail has no holes");
        let subject = entry.author.clone().map(|author| Subject {
            author,
            version: entry.version,
            deleted: entry.deleted,
        });
        self.change(now, (&name, of), &by, subject, change, effects)
    }

    /// Asks the log for a message that is not in memory. One change of it at a time: the next one
    /// must see this one.
    fn recall_subject(
        &mut self,
        room: Name,
        by: Asker,
        of: Offset,
        change: Change,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let busy = |(_, recall): &(Want, Recall)| {
            matches!(recall,
            Recall::Change { room: other, of: o, .. } if *other == room && *o == of)
        };
        if self.recalls.len() >= RECALLS_MAX || self.recalls.values().any(busy) {
            let text = "this old message is being changed, or too many are; try again in a moment";
            let refusal = refuse(ErrorCode::Overloaded, text);
            return Err(Refusal { after_ms: Some(1_000), ..refusal });
        }
        let upto = self.rooms[&room].tail.top();
        let want = Want::Events { first: of, last: of, back: false, bytes_max: 0 };
        self.recall(room, want, upto, |room| Recall::Change { room, by, of, change }, effects);
        Ok(())
    }

    /// The log gave the message, if it still has it.
    pub(super) fn change_recalled(
        &mut self,
        now: Now,
        (room, by, of): (Name, &Asker, Offset),
        change: Change,
        found: &Found,
        effects: &mut Vec<Effect>,
    ) {
        let read = || match found.events.first() {
            None => Err(refuse(ErrorCode::Gone, "this message is no longer kept")),
            Some(event) => Ok(reply::read_msg(event.latest.as_ref().unwrap_or(&event.frame))),
        };
        let allowed = || match self.rooms[&room].admits(&by.user) {
            true => self.check_log(change.text_bytes()),
            false => Err(refuse(ErrorCode::Forbidden, "this room is for its members")),
        };
        let subject = allowed().and_then(|()| read());
        let changed = subject.and_then(|msg| {
            let subject = msg.map(|msg| Subject {
                author: msg.from.into(),
                version: msg.v.unwrap_or(1),
                deleted: msg.deleted,
            });
            self.change(now, (&room, of), by, subject, change, effects)
        });
        if let Err(refusal) = changed {
            self.refuse(by.from, by.id, &refusal, effects);
        }
    }

    fn change(
        &mut self,
        now: Now,
        (name, of): (&Name, Offset),
        by: &Asker,
        subject: Option<Subject>,
        change: Change,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let Some(subject) = subject else {
            return Err(refuse(ErrorCode::BadRequest, "`o` is not the offset of a message"));
        };
        if subject.deleted {
            return Err(refuse(ErrorCode::Gone, "this message was taken back"));
        }
        let room = self.rooms.get_mut(name).expect("rooms are never forgotten");
        let is_author = subject.author == by.user;
        let (o, ts_ms) = (room.tail.top().next(), now.wall_ms());
        let at = (o, ts_ms);
        let (frame, fact, d) = match change {
            Change::Edit(_) if !is_author => {
                return Err(refuse(ErrorCode::Forbidden, "only its author may edit a message"));
            }
            Change::Delete if !is_author && room.role(&by.user) < Role::Moderator => {
                let text = "only its author and the room's moderators may delete a message";
                return Err(refuse(ErrorCode::Forbidden, text));
            }
            Change::Edit(text) => {
                let version = subject.version + 1;
                if let Some(entry) = room.tail.get_mut(of) {
                    let current = entry.latest.as_ref().unwrap_or(&entry.frame);
                    entry.latest = reply::msg_edited(current, &text, version, ts_ms);
                    entry.version = version;
                }
                let frame = reply::edit(name, at, (of, version), &by.user, &text);
                let d = json!({"o": o.0, "ts": ts_ms, "v": version});
                (frame, Fact::Edit { o, of, version, text }, d)
            }
            Change::Delete => {
                if let Some(entry) = room.tail.get_mut(of) {
                    let current = entry.latest.as_ref().unwrap_or(&entry.frame);
                    entry.latest = reply::msg_deleted(current);
                    entry.deleted = true;
                }
                let frame = reply::delete(name, at, of, &by.user);
                (frame, Fact::Delete { o, of }, json!({"o": o.0, "ts": ts_ms}))
            }
        };
        let append = self.commit(now, name, by.user.clone(), event(frame), (fact, None), effects);
        self.confirm(by, append, &d, effects);
        Ok(())
    }
}

impl Change {
    fn text_bytes(&self) -> usize {
        match self {
            Self::Edit(text) => text.len(),
            Self::Delete => 0,
        }
    }
}

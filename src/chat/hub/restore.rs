//! Rebuilding a hub from the log at start: the same facts in the same order give the same rooms.

use super::Hub;
use super::owner::{event, external_key_of};
use crate::base::ids::{EpochId, Offset};
use crate::chat::dedup::Seen;
use crate::chat::event::{Fact, Frame, MemberAction, Name, Record, Role, RoomChange};
use crate::chat::reply::{self, NewMsg};
use crate::chat::room::{Marks, Room};
use crate::chat::tail::Entry;

impl Hub {
    /// An epoch began here in the log; after the last record, call it once more if the last stop
    /// was not clean.
    pub fn begin_epoch(&mut self, epoch: EpochId) {
        self.epochs.begin(epoch);
    }

    /// Takes in one record of the log. Those of other shards' rooms and users are passed over.
    pub fn restore(&mut self, record: Record) {
        let Record { ts_us, user, room, fact } = record;
        let ts_ms = ts_us.div_euclid(1_000);
        if room.is_empty() {
            if let Fact::Status(status) = fact
                && self.home_shard(&user) == self.options.shard
            {
                self.home_of(&user).set_status(status);
            }
            return;
        }
        if self.owner_of(&room) != self.options.shard {
            return;
        }
        match fact {
            Fact::Message { .. } => self.restore_message(ts_ms, user, room, fact),
            Fact::Edit { o, of, version, text } => {
                let frame = reply::edit(&room, (o, ts_ms), (of, version), &user, &text);
                self.restore_event(&room, o, event(frame));
                self.restore_change(&room, of, |entry, current| {
                    entry.version = version;
                    reply::msg_edited(current, &text, version, ts_ms)
                });
            }
            Fact::Delete { o, of } => {
                let frame = reply::delete(&room, (o, ts_ms), of, &user);
                self.restore_event(&room, o, event(frame));
                self.restore_change(&room, of, |entry, current| {
                    entry.deleted = true;
                    reply::msg_deleted(current)
                });
            }
            Fact::Member { o, subject, role, action } => {
                let frame = reply::member(&room, (o, ts_ms), &subject, &user, (action, role));
                let members = &mut self.known(&room).members;
                if action == MemberAction::Leave || role == Role::Guest {
                    members.remove(&subject);
                } else {
                    members.insert(subject, role);
                }
                self.restore_event(&room, o, event(frame));
            }
            Fact::Room { o, change } => self.restore_room((ts_ms, o), user, &room, change),
            Fact::Delivery { external, status, .. } => {
                let key = external_key_of(&room, &external, &status, &user);
                self.externals.insert(key, 0, ts_ms);
            }
            Fact::Mark { recv, read } => {
                self.known(&room).marks.insert(user, Marks { recv, read });
            }
            Fact::SessionStart { .. }
            | Fact::SessionEnd { .. }
            | Fact::Command { .. }
            | Fact::Status(_) => {}
        }
    }

    fn restore_message(&mut self, ts_ms: i64, user: Name, room: Name, fact: Fact) {
        let Fact::Message { o, cid, text, reply, source, name, external } = fact else {
            unreachable!("the caller matched a message");
        };
        let frame = reply::msg(NewMsg {
            room: &room,
            o,
            ts_ms,
            from: &user,
            name: &name,
            cid: &cid,
            text: &text,
            reply,
            source: source.name(),
            external: &external,
        });
        let author = Some(user.clone());
        let entry = Entry { frame, author, latest: None, version: 1, deleted: false };
        self.restore_event(&room, o, entry);
        if !cid.is_empty() {
            // A record of the future was written before the wall clock went back.
            let age_ms = (self.begin.wall_ms() - ts_ms).max(0);
            let at_ms = self.begin.mono_ms() as i64 - age_ms;
            self.known(&room).cids.insert(user, cid, Seen { o, ts_ms, at_ms, append: 0 });
        }
        if !external.is_empty() {
            let key = external_key_of(&room, &external, "", "");
            self.externals.insert(key, 0, ts_ms);
        }
    }

    fn restore_room(
        &mut self,
        (ts_ms, o): (i64, Offset),
        user: Name,
        name: &Name,
        change: RoomChange,
    ) {
        let at = (o, ts_ms);
        let room = self.known(name);
        let frame = match change {
            RoomChange::Created => {
                if !user.is_empty() {
                    room.members.insert(user, Role::Owner);
                }
                return;
            }
            RoomChange::Topic(topic) => {
                let frame = reply::topic(name, at, &user, &topic);
                room.topic = topic;
                frame
            }
            RoomChange::Access(access) => {
                room.access = access;
                reply::access(name, at, &user, access)
            }
        };
        self.restore_event(name, o, event(frame));
    }

    fn restore_event(&mut self, name: &Name, o: Offset, entry: Entry) {
        if !self.rooms.contains_key(name) {
            self.rooms.insert(name.clone(), Room::new(name.clone()));
        }
        let room = self.rooms.get_mut(name).expect("made above");
        room.restore(&self.epochs, o, entry);
        room.visible = room.tail.top();
    }

    fn restore_change(
        &mut self,
        room: &Name,
        of: Offset,
        change: impl FnOnce(&mut Entry, &str) -> Option<Frame>,
    ) {
        if let Some(entry) = self.known(room).tail.get_mut(of) {
            let current = entry.latest.clone().unwrap_or_else(|| entry.frame.clone());
            if let Some(latest) = change(entry, &current) {
                entry.latest = Some(latest);
            }
        }
    }

    fn known(&mut self, name: &Name) -> &mut Room {
        self.rooms.entry(name.clone()).or_insert_with(|| Room::new(name.clone()))
    }
}

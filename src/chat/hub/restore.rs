//! Rebuilding a hub from the log at start: the same facts in the same order give the same rooms.
//!
//! What a snapshot keeps comes first: it leaves state behind and no events, which the archive has.
//! Then the records behind it, whose events fill the tails.

use super::Hub;
use super::inbound::Print;
use crate::base::ids::{EpochId, Offset};
use crate::chat::conversation::{ACCEPTED, CALLING, Pending, QUEUED};
use crate::chat::dedup::{Seen, Taken};
use crate::chat::event::{
    Cid, ConversationChange, Direction, Fact, Frame, Kept, MemberAction, Name, Record, Role,
    RoomChange, Source,
};
use crate::chat::extra::Extra;
use crate::chat::reply;
use crate::chat::room::{Marks, Room, Step};
use crate::chat::tail::Entry;

/// What a platform's message or status is remembered by; `None` for a record of anything else.
pub fn external_print(record: &Record) -> Option<u128> {
    match &record.fact {
        Fact::Message { external, .. } => message_print(&record.room, external),
        Fact::Delivery { external, status, .. } => {
            delivery_print(&record.room, &record.user, external, status)
        }
        _ => None,
    }
}

/// What a platform's message is remembered by; `None` without an id.
pub fn message_print(room: &str, external: &str) -> Option<u128> {
    (!external.is_empty()).then(|| Print::of(room, external).message())
}

/// What a platform's word on a message of ours is remembered by.
pub fn delivery_print(room: &str, user: &str, external: &str, status: &str) -> Option<u128> {
    match (external, status) {
        ("", _) => None,
        // The platform's answer names a message of ours; it is no report that could come twice.
        (_, ACCEPTED) => message_print(room, external),
        _ => Some(Print::of(room, external).status(status, user)),
    }
}

impl Hub {
    /// An epoch began here in the log; after the last record, call it once more if the last stop
    /// was not clean.
    pub fn begin_epoch(&mut self, epoch: EpochId) {
        self.epochs.begin(epoch);
    }

    /// Takes in one record of the log. Those of other shards' rooms and users are passed over.
    pub fn restore(&mut self, record: Record) {
        if matches!(record.fact, Fact::Definition { .. }) {
            return self.restore_definition(record);
        }
        let name = if record.room.is_empty() { &record.user } else { &record.room };
        if self.owner_of(name) != self.options.shard {
            return;
        }
        self.restore_state(&record);
        if let Fact::Delivery { of: Some(of), external, status, error, .. } = &record.fact {
            let news = reply::Delivery { of: Some(*of), external, status, error: *error };
            let shown = |_: &mut Entry, current: &str| reply::msg_delivery(current, &news);
            self.restore_change(&record.room, *of, shown);
        }
        let Some((o, frame)) = reply::frame_of(&record) else {
            return;
        };
        let Record { ts_us, user, room, fact } = record;
        let author = matches!(fact, Fact::Message { .. }).then_some(user);
        let entry = Entry { frame, author, latest: None, version: 1, deleted: false };
        self.restore_event(&room, o, entry);
        match fact {
            Fact::Edit { of, version, text, .. } => {
                self.restore_change(&room, of, |entry, current| {
                    entry.version = version;
                    reply::msg_edited(current, &text, version, ts_us.div_euclid(1_000))
                });
            }
            Fact::Delete { of, .. } => self.restore_removal(&room, of),
            _ => {}
        }
    }

    /// The message at `o` is there no more, and looks like one that was taken back.
    pub fn restore_removal(&mut self, room: &Name, o: Offset) {
        if self.owner_of(room) != self.options.shard {
            return;
        }
        self.restore_change(room, o, |entry, current| {
            entry.deleted = true;
            reply::msg_deleted(current)
        });
    }

    /// Takes in what a snapshot of the log keeps. Its epochs have begun before.
    pub fn restore_kept(&mut self, kept: Kept) {
        match kept {
            Kept::Fact(record) if matches!(record.fact, Fact::Definition { .. }) => {
                self.restore_definition(record);
            }
            Kept::Fact(record) => {
                let name = if record.room.is_empty() { &record.user } else { &record.room };
                if self.owner_of(name) == self.options.shard {
                    self.restore_state(&record);
                }
            }
            Kept::Run { room, .. } | Kept::Sent { room, .. } | Kept::Taken { room, .. }
                if self.owner_of(&room) != self.options.shard => {}
            Kept::Run { room, epoch, first, last } => {
                let index = self.epochs.index_of(epoch).unwrap_or(0);
                let room = self.known(&room);
                room.runs.restore(index, first);
                room.tail.skip_to(last);
                room.visible = room.tail.top();
            }
            Kept::Sent { ts_us, room, user, cid, o } => {
                self.restore_cid(ts_us.div_euclid(1_000), (&room, user, cid), o);
            }
            Kept::Taken { ts_us, room, o, print } => {
                let ts_ms = ts_us.div_euclid(1_000);
                self.externals.insert(print, Taken { append: 0, o }, ts_ms);
                if let Some(o) = o {
                    self.known(&room).outside().recall_heard(ts_ms, o);
                }
            }
        }
    }

    /// What a record leaves behind besides its event.
    fn restore_state(&mut self, record: &Record) {
        let ts_ms = record.ts_us.div_euclid(1_000);
        if let Some(print) = external_print(record) {
            let o = match &record.fact {
                Fact::Message { o, .. } => Some(*o),
                _ => None,
            };
            self.externals.insert(print, Taken { append: 0, o }, ts_ms);
        }
        if let Fact::Delivery { of: Some(of), external, .. } = &record.fact {
            self.note_external(&record.room, external, Taken { append: 0, o: Some(*of) }, ts_ms);
        }
        if record.room.is_empty() {
            if let Fact::Status(status) = &record.fact {
                self.home_of(&record.user).set_status(status.clone());
            }
            return;
        }
        self.restore_outside(record);
        self.rules.restored_ms = self.rules.restored_ms.max(ts_ms);
        match &record.fact {
            Fact::Message { source: Source::Handler, .. } => {
                self.restore_firing(&record.room, &record.user, ts_ms);
            }
            Fact::Message { o, cid, .. } if !cid.is_empty() => {
                self.restore_cid(ts_ms, (&record.room, record.user.clone(), cid.clone()), *o);
            }
            Fact::Member { subject, role, action, .. } => {
                let gone = *action == MemberAction::Leave || *role == Role::Guest;
                self.restore_member(&record.room, subject, (!gone).then_some(*role));
            }
            Fact::Room { change, .. } => {
                let room = self.known(&record.room);
                match change {
                    RoomChange::Created if record.user.is_empty() => {}
                    RoomChange::Created => {
                        room.members.insert(record.user.clone(), Role::Owner);
                    }
                    RoomChange::Topic(topic) => {
                        room.topic.clone_from(topic);
                        room.topic_by = record.user.clone();
                    }
                    RoomChange::Access(access) => room.access = *access,
                }
            }
            Fact::Command { .. } | Fact::State { .. } => self.restore_command(record, ts_ms),
            Fact::Mark { recv, read } => {
                let marks = Marks { recv: *recv, read: *read };
                self.known(&record.room).marks.insert(record.user.clone(), marks);
            }
            Fact::Conversation { change, .. } => {
                self.restore_conversation(&record.room, change, ts_ms);
            }
            Fact::Message { .. }
            | Fact::Definition { .. }
            | Fact::Edit { .. }
            | Fact::Delete { .. }
            | Fact::Delivery { .. }
            | Fact::SessionStart { .. }
            | Fact::SessionEnd { .. }
            | Fact::Status(_) => {}
        }
    }

    /// What a command keeps, and which calls were made.
    fn restore_command(&mut self, record: &Record, ts_ms: i64) {
        match &record.fact {
            Fact::Command { cid, .. } if !cid.is_empty() => {
                let who = (&record.room, record.user.clone(), cid.clone());
                self.restore_cid(ts_ms, who, Offset(0));
            }
            // What was erased has lost its name.
            Fact::State { key, value } if key.contains(' ') => {
                self.known(&record.room).set_kept(key, value);
            }
            _ => {}
        }
    }

    fn restore_conversation(&mut self, name: &Name, change: &ConversationChange, ts_ms: i64) {
        match change {
            ConversationChange::Step(text) => self.known(name).step = Step::read(text),
            ConversationChange::Link(target) => self.restore_link(name, target),
            change => self.known(name).outside().apply(change, ts_ms),
        }
    }

    fn restore_link(&mut self, name: &Name, target: &Name) {
        // One to itself takes back the one before.
        if name == target {
            self.links.remove(name);
        } else {
            self.links.insert(name.clone(), target.clone());
        }
    }

    fn restore_member(&mut self, room: &Name, subject: &Name, role: Option<Role>) {
        let members = &mut self.known(room).members;
        match role {
            None => drop(members.remove(subject)),
            Some(role) => drop(members.insert(subject.clone(), role)),
        }
    }

    /// When the contact last wrote, and what is on its way to it.
    fn restore_outside(&mut self, record: &Record) {
        let at_ms = record.ts_us.div_euclid(1_000);
        match &record.fact {
            Fact::Message {
                o,
                source: Source::WhatsApp,
                direction: Direction::In,
                external,
                extra,
                ..
            } => {
                let at_ms = Extra::read(extra).at.unwrap_or(at_ms);
                self.known(&record.room).outside().heard(at_ms, *o, external.clone());
            }
            // What was written in the platform's own app has left already.
            Fact::Message { source: Source::WhatsApp, .. } => {}
            // What was erased has no text, and is not sent.
            Fact::Message { o, direction: Direction::Out, text, extra, .. } if !text.is_empty() => {
                let (text, extra) = (text.clone(), extra.clone());
                let waits = Pending { at_ms, text, extra, called: false };
                self.known(&record.room).outside().pending.insert(*o, waits);
            }
            Fact::Delivery { of: Some(of), status, .. } => {
                let room = self.known(&record.room);
                let Some(outside) = &mut room.conversation else {
                    return;
                };
                match (&**status, outside.pending.get_mut(of)) {
                    (CALLING, Some(pending)) => pending.called = true,
                    (QUEUED, Some(pending)) => pending.called = false,
                    (_, Some(_)) => drop(outside.pending.remove(of)),
                    (_, None) => {}
                }
            }
            _ => {}
        }
    }

    pub(super) fn restore_cid(
        &mut self,
        ts_ms: i64,
        (room, user, cid): (&Name, Name, Cid),
        o: Offset,
    ) {
        // A record of the future was written before the wall clock went back.
        let age_ms = (self.begin.wall_ms() - ts_ms).max(0);
        let at_ms = self.begin.mono_ms() as i64 - age_ms;
        self.known(room).cids.insert(user, cid, Seen { o, ts_ms, at_ms, append: 0 });
    }

    fn restore_event(&mut self, name: &Name, o: Offset, entry: Entry) {
        self.known(name);
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

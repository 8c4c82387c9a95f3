//! What is left of each record: one row per type.

use super::target::Target;
use crate::base::hash::{Map, Set};
use crate::log::reader::Segment;
use crate::log::record::{
    CallV1, CommandV1, ConversationAction, ConversationV1, EditV1, EraseV1, MemberV1, MessageV1,
    NameId, NameKind, NameV1, RawRecord, RawV1, Record, RecordView, RoomAction, RoomV1, SeenV1,
    SessionV1, StateV1, StatusV1, UserStatusV1, serialize_into,
};
use crate::log::rewrite::{Change, Payload};

/// Decides for the records of one segment. Deciding again for what it left changes nothing.
pub struct Redactor<'a> {
    target: &'a Target,
    pseudonym: &'a str,
    /// Webhook bodies that speak of the subject, wherever their parts are.
    raw_ids: &'a Set<u64>,
    /// Platform ids of messages that go.
    externals: &'a Set<Box<str>>,
    users: Set<NameId>,
    /// Rooms that it may be about.
    rooms: Map<NameId, Box<str>>,
    /// Of a segment that lost bytes, and maybe names with them: the names that it has. Whose name
    /// is lost may be the subject, so what they said goes too; who demands that of a damaged log
    /// has been told and insists.
    known: Option<Set<NameId>>,
}

impl<'a> Redactor<'a> {
    /// For the records of `segment`.
    pub fn new(
        segment: &Segment,
        (target, pseudonym): (&'a Target, &'a str),
        raw_ids: &'a Set<u64>,
        externals: &'a Set<Box<str>>,
    ) -> Self {
        let mut users = Set::default();
        let mut rooms = Map::default();
        let mut known = (!segment.scan().corrupt.is_empty()).then(Set::default);
        for (id, kind, name) in segment.names() {
            if let Some(known) = &mut known {
                known.insert(id);
            }
            let about = match target {
                Target::Message { room, .. } => room == name,
                _ => target.covers_room(name, i64::MIN),
            };
            if kind == NameKind::User && target.covers_user(name) {
                users.insert(id);
            } else if kind == NameKind::Room && about {
                rooms.insert(id, name.into());
            }
        }
        Self { target, pseudonym, raw_ids, externals, users, rooms, known }
    }

    /// Whether the content of a record goes, by who made it where and when.
    fn covers(&self, record: &RawRecord<'_>) -> bool {
        let room = self.rooms.get(&record.header.room);
        let ts_us = record.ts_us().unwrap_or(i64::MAX);
        let is_lost = |id: NameId| {
            id != NameId::NONE && self.known.as_ref().is_some_and(|known| !known.contains(&id))
        };
        let (user_id, room_id) = (record.header.user, record.header.room);
        self.users.contains(&user_id)
            || is_lost(user_id)
            || is_lost(room_id)
            || room.is_some_and(|room| self.target.covers_room(room, ts_us))
    }

    /// Whether `o` in the record's room is the message that goes.
    fn is_message(&self, record: &RawRecord<'_>, o: u64) -> bool {
        matches!(self.target, Target::Message { o: wanted, .. } if *wanted == o)
            && self.rooms.contains_key(&record.header.room)
    }

    /// The platform's id of a message that goes.
    pub fn external<'r>(&self, record: &RawRecord<'r>) -> Option<&'r str> {
        let Some(RecordView::Message(message)) = view(record) else {
            return None;
        };
        let goes = self.covers(record) || self.is_message(record, message.o.to_native());
        (goes && !message.external.is_empty()).then_some(&*message.external)
    }

    /// What becomes of a record.
    pub fn change(&self, record: &RawRecord<'_>, space: &mut Payload) -> Change {
        let covered = self.covers(record);
        let Some(view) = view(record) else {
            // Of a later version, or no archive: nothing of it can be kept and known to be clean.
            let empties = covered && !record.payload.is_empty();
            return if empties { Change::Replace { payload_len: 0 } } else { Change::Keep };
        };
        let written = match view {
            RecordView::Name(name) => {
                let renamed = self.renamed(&name.text, name.kind);
                let (id, kind) = (name.id.to_native(), name.kind);
                renamed.map(|text| put(space, &NameV1 { id, text: &text, kind }))
            }
            RecordView::Member(member) => {
                let subject = self.target.renamed_user(&member.subject, self.pseudonym);
                let (o, ts_us) = (member.o.to_native(), member.ts_us.to_native());
                let (role, action) = (member.role, member.action);
                subject.map(|subject| {
                    put(space, &MemberV1 { o, ts_us, subject: &subject, role, action })
                })
            }
            RecordView::Erasure(erasure) => {
                let by = self.target.renamed_user(&erasure.by, self.pseudonym);
                by.map(|by| {
                    let again = EraseV1 {
                        ts_us: erasure.ts_us.to_native(),
                        id: erasure.id.to_native(),
                        record_count: erasure.record_count.to_native(),
                        by: &by,
                        subject: &erasure.subject,
                        reason: &erasure.reason,
                        segment_count: erasure.segment_count.to_native(),
                        scope: erasure.scope,
                    };
                    put(space, &again)
                })
            }
            RecordView::Conversation(change) => self.conversation(change, covered, space),
            view => self.emptied(record, view, covered, space),
        };
        match written {
            Some(payload_len) if space.bytes()[..payload_len] != *record.payload => {
                Change::Replace { payload_len }
            }
            _ => Change::Keep,
        }
    }

    /// A change of a conversation: names in it go, and what people wrote.
    fn conversation(
        &self,
        change: &rkyv::Archived<ConversationV1<'static>>,
        covered: bool,
        space: &mut Payload,
    ) -> Option<usize> {
        let goes = covered && !self.target.is_by_age();
        let value = match ConversationAction::from_byte(change.action) {
            Some(ConversationAction::Assign) => {
                self.target.renamed_user(&change.value, self.pseudonym)?
            }
            Some(ConversationAction::Link) => {
                self.target.renamed_room(&change.value, self.pseudonym)?
            }
            Some(ConversationAction::State | ConversationAction::Turn) => return None,
            _ if goes => String::new(),
            _ => return None,
        };
        let (o, ts_us) = (change.o.to_native(), change.ts_us.to_native());
        Some(put(space, &ConversationV1 { o, ts_us, value: &value, action: change.action }))
    }

    /// The record without what people wrote in it, if it is one that goes.
    fn emptied(
        &self,
        record: &RawRecord<'_>,
        view: RecordView<'_>,
        covered: bool,
        space: &mut Payload,
    ) -> Option<usize> {
        let is_message = |o: u64| self.is_message(record, o);
        match view {
            RecordView::Message(m) if covered || is_message(m.o.to_native()) => {
                let (o, ts_us, reply) = (m.o.to_native(), m.ts_us.to_native(), m.reply.to_native());
                let (cid, text, display, external, extra) = ("", "", "", "", "");
                let (source, direction) = (m.source, m.direction);
                Some(put(
                    space,
                    &MessageV1 {
                        o,
                        ts_us,
                        reply,
                        cid,
                        text,
                        display,
                        external,
                        extra,
                        source,
                        direction,
                    },
                ))
            }
            RecordView::Edit(edit) if covered || is_message(edit.target.to_native()) => {
                let (o, target) = (edit.o.to_native(), edit.target.to_native());
                let (ts_us, version) = (edit.ts_us.to_native(), edit.version.to_native());
                Some(put(space, &EditV1 { o, target, ts_us, text: "", version }))
            }
            RecordView::Room(room)
                if covered
                    && !self.target.is_by_age()
                    && room.action == RoomAction::Topic as u8 =>
            {
                let (o, ts_us) = (room.o.to_native(), room.ts_us.to_native());
                Some(put(space, &RoomV1 { o, ts_us, text: "", action: room.action }))
            }
            RecordView::Seen(seen) if covered || is_message(seen.o.to_native()) => {
                let (ts_us, o) = (seen.ts_us.to_native(), seen.o.to_native());
                let (print_high, print_low) =
                    (seen.print_high.to_native(), seen.print_low.to_native());
                Some(put(space, &SeenV1 { ts_us, o, print_high, print_low, cid: "" }))
            }
            view => self.emptied_of_a_user(view, covered, space),
        }
    }

    /// The same for what is no event of a room.
    fn emptied_of_a_user(
        &self,
        view: RecordView<'_>,
        covered: bool,
        space: &mut Payload,
    ) -> Option<usize> {
        match view {
            RecordView::Session(session) if covered => {
                let (ts_us, action) = (session.ts_us.to_native(), session.action);
                let code = session.code.to_native();
                let (sid, device, client) = ("", "", "");
                Some(put(space, &SessionV1 { ts_us, sid, device, client, code, action }))
            }
            RecordView::Command(call) if covered || self.target.is_named_by(&call.args) => {
                let (ts_us, outcome) = (call.ts_us.to_native(), call.outcome);
                let command = call.command.to_native();
                let duration_us = call.duration_us.to_native();
                Some(put(space, &CommandV1 { ts_us, args: "", command, duration_us, outcome }))
            }
            RecordView::Call(call) if covered || self.target.is_named_by(&call.args) => {
                let (ts_us, cost) = (call.ts_us.to_native(), call.cost.to_native());
                let (command, duration_us) =
                    (call.command.to_native(), call.duration_us.to_native());
                let (args, cid) = ("", "");
                let (call, outcome) = (&*call.call, call.outcome);
                let call = CallV1 { ts_us, cost, args, call, cid, command, duration_us, outcome };
                Some(put(space, &call))
            }
            // What a command keeps of somebody, it keeps no more.
            RecordView::State(state)
                if covered
                    || self.target.is_named_by(&state.key)
                    || self.target.is_named_by(&state.value) =>
            {
                let ts_us = state.ts_us.to_native();
                Some(put(space, &StateV1 { ts_us, key: "", value: "" }))
            }
            RecordView::Status(status) if covered || self.is_addressed(status) => {
                let (ts_us, error) = (status.ts_us.to_native(), status.error.to_native());
                let (external, recipient, extra) = ("", "", "");
                let status = status.status;
                Some(put(space, &StatusV1 { ts_us, external, recipient, extra, error, status }))
            }
            RecordView::UserStatus(status) if covered => {
                let (ts_us, state) = (status.ts_us.to_native(), status.state);
                Some(put(space, &UserStatusV1 { ts_us, text: "", state }))
            }
            RecordView::Raw(raw) if self.raw_ids.contains(&raw.id.to_native()) => {
                let (ts_us, id) = (raw.ts_us.to_native(), raw.id.to_native());
                let (part, parts) = (raw.part.to_native(), raw.parts.to_native());
                Some(put(space, &RawV1 { ts_us, id, bytes: &[], part, parts }))
            }
            _ => None,
        }
    }

    fn renamed(&self, name: &str, kind: u8) -> Option<String> {
        match NameKind::from_byte(kind)? {
            NameKind::User => self.target.renamed_user(name, self.pseudonym),
            NameKind::Room => self.target.renamed_room(name, self.pseudonym),
            NameKind::Command => None,
        }
    }

    /// Whether a delivery status is of the subject, or of a message that goes.
    fn is_addressed(&self, status: &rkyv::Archived<StatusV1<'static>>) -> bool {
        self.target.platform_id().is_some_and(|id| *status.recipient == *id)
            || self.externals.contains(&*status.external)
    }
}

fn view<'r>(record: &RawRecord<'r>) -> Option<RecordView<'r>> {
    RecordView::check(record.kind()?, record.payload)
}

fn put<R: Record>(space: &mut Payload, record: &R) -> usize {
    serialize_into(record, space.bytes()).expect("it has lost content, or gained a short name")
}

//! A record as a row: one value per column, borrowed from the log.

use super::fields::{Field, UNKNOWN_CODE};
use crate::log::Entry;
use crate::log::record::{
    ConversationAction, Delivery, Direction, EraseScope, FLAG_ERASED, MemberAction, Outcome,
    RecordView, RoomAction, SessionAction, Source,
};

/// One value. Which variant a column has follows from its type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Value<'a> {
    None,
    Count(u64),
    Number(u32),
    Time(i64),
    Code(&'static str),
    /// Of a name or a text.
    Text(&'a str),
    Bytes(&'a [u8]),
    Flag(bool),
}

/// One value per [`Field`]; most are absent.
#[derive(Debug)]
pub(super) struct Row<'a> {
    values: [Value<'a>; Field::ALL.len()],
}

impl<'a> Row<'a> {
    pub(super) fn of(entry: &Entry<'a>) -> Self {
        let mut row = Self { values: [Value::None; Field::ALL.len()] };
        row.set(Field::Seq, Value::Count(entry.seq));
        row.set(Field::Ts, entry.ts_us().map_or(Value::None, Value::Time));
        row.set_code(Field::Kind, entry.kind().map(|kind| kind.reported().name()));
        row.set_text(Field::Room, entry.room());
        row.set_text(Field::User, entry.user());
        row.set(Field::Erased, Value::Flag(entry.record.header.flags & FLAG_ERASED != 0));
        match entry.view() {
            Some(view) => row.fill_placed(&view, entry),
            // A type of a later version, or damage: what there is of it is still exported.
            None => row.set(Field::Bytes, Value::Bytes(entry.record.payload)),
        }
        row
    }

    pub(super) fn get(&self, field: Field) -> Value<'a> {
        self.values[field as usize]
    }

    fn set(&mut self, field: Field, value: Value<'a>) {
        self.values[field as usize] = value;
    }

    /// Empty stands for absent in the log, but for what somebody said or called.
    fn set_text(&mut self, field: Field, text: &'a str) {
        self.set(field, if text.is_empty() { Value::None } else { Value::Text(text) });
    }

    /// 0 stands for absent.
    fn set_some(&mut self, field: Field, count: u64) {
        self.set(field, if count == 0 { Value::None } else { Value::Count(count) });
    }

    /// 0 stands for absent.
    fn set_number(&mut self, field: Field, number: u32) {
        self.set(field, if number == 0 { Value::None } else { Value::Number(number) });
    }

    fn set_code(&mut self, field: Field, code: Option<&'static str>) {
        self.set(field, Value::Code(code.unwrap_or(UNKNOWN_CODE)));
    }

    /// Records with a position in a room.
    fn fill_placed(&mut self, view: &RecordView<'a>, entry: &Entry<'a>) {
        match view {
            RecordView::Message(message) => {
                self.set(Field::O, Value::Count(message.o.to_native()));
                self.set(Field::Text, Value::Text(&message.text));
                self.set_some(Field::Reply, message.reply.to_native());
                self.set_text(Field::Cid, &message.cid);
                self.set_text(Field::Display, &message.display);
                self.set_text(Field::External, &message.external);
                self.set_text(Field::Extra, &message.extra);
                self.set_code(Field::Source, Source::from_byte(message.source).map(Source::name));
                let direction = Direction::from_byte(message.direction).map(Direction::name);
                self.set_code(Field::Direction, direction);
            }
            RecordView::Edit(edit) => {
                self.set(Field::O, Value::Count(edit.o.to_native()));
                self.set(Field::Target, Value::Count(edit.target.to_native()));
                self.set(Field::Text, Value::Text(&edit.text));
                self.set(Field::Version, Value::Number(edit.version.to_native()));
            }
            RecordView::Delete(delete) => {
                self.set(Field::O, Value::Count(delete.o.to_native()));
                self.set(Field::Target, Value::Count(delete.target.to_native()));
            }
            RecordView::Member(member) => {
                self.set(Field::O, Value::Count(member.o.to_native()));
                self.set_text(Field::Subject, &member.subject);
                self.set(Field::Role, Value::Number(u32::from(member.role)));
                let action = MemberAction::from_byte(member.action).map(MemberAction::name);
                self.set_code(Field::Action, action);
            }
            RecordView::Room(room) => {
                self.set(Field::O, Value::Count(room.o.to_native()));
                self.set_text(Field::Text, &room.text);
                let action = RoomAction::from_byte(room.action).map(RoomAction::name);
                self.set_code(Field::Action, action);
            }
            RecordView::Conversation(change) => {
                self.set_some(Field::O, change.o.to_native());
                self.set_text(Field::Text, &change.value);
                let action = ConversationAction::from_byte(change.action);
                self.set_code(Field::Action, action.map(ConversationAction::name));
            }
            _ => self.fill_unplaced(view, entry),
        }
    }

    fn fill_unplaced(&mut self, view: &RecordView<'a>, entry: &Entry<'a>) {
        match view {
            RecordView::Session(session) => {
                let action = SessionAction::from_byte(session.action).map(SessionAction::name);
                self.set_code(Field::Action, action);
                self.set_text(Field::Sid, &session.sid);
                self.set_text(Field::Device, &session.device);
                self.set_text(Field::Client, &session.client);
                self.set_number(Field::Code, u32::from(session.code.to_native()));
            }
            RecordView::Command(command) => {
                self.set_text(Field::Command, entry.command());
                self.set(Field::Args, Value::Text(&command.args));
                self.set_code(
                    Field::Outcome,
                    Outcome::from_byte(command.outcome).map(Outcome::name),
                );
                self.set(Field::DurationUs, Value::Number(command.duration_us.to_native()));
            }
            RecordView::Call(call) => {
                self.set_text(Field::Command, entry.command());
                self.set(Field::Args, Value::Text(&call.args));
                self.set_code(Field::Outcome, Outcome::from_byte(call.outcome).map(Outcome::name));
                self.set(Field::DurationUs, Value::Number(call.duration_us.to_native()));
                self.set(Field::Cost, Value::Count(call.cost.to_native()));
                self.set_text(Field::Call, &call.call);
                self.set_text(Field::Cid, &call.cid);
            }
            RecordView::Status(status) => {
                self.set_text(Field::External, &status.external);
                self.set_text(Field::Recipient, &status.recipient);
                self.set_text(Field::Extra, &status.extra);
                self.set_number(Field::Error, status.error.to_native());
                self.set_code(
                    Field::Status,
                    Delivery::from_byte(status.status).map(Delivery::name),
                );
            }
            RecordView::Mark(mark) => {
                self.set(Field::Recv, Value::Count(mark.recv.to_native()));
                self.set(Field::Read, Value::Count(mark.read.to_native()));
            }
            RecordView::Epoch(epoch) => {
                self.set(Field::Epoch, Value::Count(epoch.epoch.to_native()));
            }
            RecordView::Raw(raw) => {
                self.set(Field::Id, Value::Count(raw.id.to_native()));
                self.set(Field::Part, Value::Number(u32::from(raw.part.to_native())));
                self.set(Field::Parts, Value::Number(u32::from(raw.parts.to_native())));
                match std::str::from_utf8(&raw.bytes) {
                    Ok(text) => self.set(Field::Text, Value::Text(text)),
                    Err(_) => self.set(Field::Bytes, Value::Bytes(&raw.bytes)),
                }
            }
            RecordView::UserStatus(status) => {
                self.set_text(Field::Text, &status.text);
                self.set(Field::State, Value::Number(u32::from(status.state)));
            }
            _ => self.fill_own(view),
        }
    }

    /// What the server writes about itself and about the log.
    fn fill_own(&mut self, view: &RecordView<'a>) {
        match view {
            RecordView::Metric(metric) => {
                self.set_text(Field::Metric, &metric.name);
                self.set(Field::Shard, Value::Number(u32::from(metric.shard.to_native())));
                self.set(Field::SpanUs, Value::Count(metric.span_us.to_native()));
                self.set(Field::Count, Value::Count(metric.count.to_native()));
                self.set(Field::Sum, Value::Count(metric.sum.to_native()));
                self.set(Field::Max, Value::Count(metric.max.to_native()));
                self.set(Field::Buckets, Value::Bytes(&metric.buckets));
            }
            RecordView::Erasure(erasure) => {
                self.set(Field::Id, Value::Count(erasure.id.to_native()));
                self.set_text(Field::By, &erasure.by);
                self.set_text(Field::Subject, &erasure.subject);
                self.set_text(Field::Reason, &erasure.reason);
                self.set(Field::RecordCount, Value::Count(erasure.record_count.to_native()));
                self.set(Field::SegmentCount, Value::Number(erasure.segment_count.to_native()));
                let scope = EraseScope::from_byte(erasure.scope).map(EraseScope::name);
                self.set_code(Field::Scope, scope);
            }
            RecordView::Name(name) => {
                self.set(Field::Id, Value::Count(u64::from(name.id.to_native())));
                self.set_text(Field::Text, &name.text);
            }
            // Its value may be anything.
            RecordView::State(state) => {
                self.set_text(Field::Text, &state.key);
            }
            // Its body may hold secrets.
            RecordView::Definition(definition) => {
                self.set_text(Field::Text, &definition.name);
                self.set(Field::Id, Value::Count(u64::from(definition.kind)));
            }
            RecordView::Run(run) => {
                self.set(Field::Epoch, Value::Count(run.epoch.to_native()));
                self.set(Field::First, Value::Count(run.first.to_native()));
                self.set(Field::Last, Value::Count(run.last.to_native()));
            }
            RecordView::Seen(seen) => {
                self.set_some(Field::O, seen.o.to_native());
                self.set_text(Field::Cid, &seen.cid);
            }
            _ => {}
        }
    }
}

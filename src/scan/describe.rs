//! A record in words: position, text, and the rest as `name=value`.

use crate::log::record::{
    ConversationAction, Delivery, Direction, EraseScope, EraseV1, MemberAction, NameKind, Outcome,
    RecordView, RoomAction, SessionAction, Source,
};
use crate::log::{Entry, Kind};
use std::fmt::Write;

/// What a row of `tail` says about a record.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Description {
    pub(super) kind: String,
    /// Position in the room; `None` for what has none.
    pub(super) o: Option<u64>,
    pub(super) text: String,
    pub(super) detail: String,
}

/// A record as reports show it.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) seq: u64,
    pub(super) ts_us: Option<i64>,
    pub(super) user: &'a str,
    pub(super) room: &'a str,
    /// The command it is about; may be empty.
    pub(super) command: &'a str,
    /// Type on disk.
    pub(super) tag: u16,
    /// `None`: a type of a later version.
    pub(super) kind: Option<Kind>,
    /// `None`: that, or bytes that are no archive.
    pub(super) view: Option<RecordView<'a>>,
    pub(super) payload_bytes: usize,
}

impl<'a> Shown<'a> {
    pub(super) fn of(entry: &Entry<'a>) -> Self {
        Self {
            seq: entry.seq,
            ts_us: entry.ts_us(),
            user: entry.user(),
            room: entry.room(),
            command: entry.command(),
            tag: entry.record.header.tag,
            kind: entry.kind(),
            view: entry.view(),
            payload_bytes: entry.record.payload.len(),
        }
    }
}

pub(super) fn describe(shown: &Shown<'_>) -> Description {
    let tag = shown.tag;
    let kind =
        shown.kind.map_or_else(|| format!("type-{tag}"), |kind| kind.reported().name().to_owned());
    let mut out = Description { kind, ..Description::default() };
    match &shown.view {
        Some(view) => fill(&mut out, view, shown.command),
        None if shown.kind.is_some() => out.say("damaged", "archive"),
        None => out.say("bytes", shown.payload_bytes),
    }
    out
}

fn fill(out: &mut Description, view: &RecordView<'_>, command_name: &str) {
    match view {
        RecordView::Name(name) => {
            out.text = name.text.to_string();
            out.say("id", name.id);
            out.say("kind", code(NameKind::from_byte(name.kind).map(NameKind::name)));
        }
        RecordView::Message(message) => {
            out.o = Some(message.o.to_native());
            out.text = message.text.to_string();
            out.say("source", code(Source::from_byte(message.source).map(Source::name)));
            let direction = Direction::from_byte(message.direction).map(Direction::name);
            out.say("direction", code(direction));
            out.say_some("reply", message.reply.to_native());
            out.say_text("cid", &message.cid);
            out.say_text("display", &message.display);
            out.say_text("external", &message.external);
            out.say_text("extra", &message.extra);
        }
        RecordView::Edit(edit) => {
            out.o = Some(edit.o.to_native());
            out.text = edit.text.to_string();
            out.say("target", edit.target);
            out.say("version", edit.version);
        }
        RecordView::Delete(delete) => {
            out.o = Some(delete.o.to_native());
            out.say("target", delete.target);
        }
        RecordView::Member(member) => {
            out.o = Some(member.o.to_native());
            out.text = member.subject.to_string();
            let action = MemberAction::from_byte(member.action).map(MemberAction::name);
            out.say("action", code(action));
            out.say("role", member.role);
        }
        RecordView::Room(room) => {
            out.o = Some(room.o.to_native());
            out.text = room.text.to_string();
            out.say("action", code(RoomAction::from_byte(room.action).map(RoomAction::name)));
        }
        RecordView::Conversation(change) => {
            out.o = Some(change.o.to_native()).filter(|o| *o != 0);
            out.text = change.value.to_string();
            let action = ConversationAction::from_byte(change.action);
            out.say("action", code(action.map(ConversationAction::name)));
        }
        _ => fill_unplaced(out, view, command_name),
    }
}

/// Records without a position in a room.
fn fill_unplaced(out: &mut Description, view: &RecordView<'_>, command_name: &str) {
    match view {
        RecordView::Session(session) => {
            let action = SessionAction::from_byte(session.action).map(SessionAction::name);
            out.say("action", code(action));
            out.say_text("sid", &session.sid);
            out.say_text("device", &session.device);
            out.say_text("client", &session.client);
            out.say_some("code", u64::from(session.code.to_native()));
        }
        RecordView::Command(command) => {
            out.text = format!("/{command_name} {}", &*command.args);
            out.say("outcome", code(Outcome::from_byte(command.outcome).map(Outcome::name)));
            out.say("duration_us", command.duration_us);
        }
        RecordView::Call(call) => {
            out.text = format!("/{command_name} {}", &*call.args);
            out.say("outcome", code(Outcome::from_byte(call.outcome).map(Outcome::name)));
            out.say("duration_us", call.duration_us);
            out.say_some("cost", call.cost.to_native());
            out.say_text("call", &call.call);
        }
        RecordView::Status(status) => {
            out.say("status", code(Delivery::from_byte(status.status).map(Delivery::name)));
            out.say_text("external", &status.external);
            out.say_text("recipient", &status.recipient);
            out.say_some("error", u64::from(status.error.to_native()));
            out.say_text("extra", &status.extra);
        }
        RecordView::Mark(mark) => {
            out.say("recv", mark.recv);
            out.say("read", mark.read);
        }
        RecordView::Epoch(epoch) => out.say("epoch", epoch.epoch),
        RecordView::Raw(raw) => {
            out.text = String::from_utf8_lossy(&raw.bytes).into_owned();
            out.say("id", raw.id);
            out.say("part", format_args!("{}/{}", u32::from(raw.part.to_native()) + 1, raw.parts));
        }
        RecordView::UserStatus(status) => {
            out.text = status.text.to_string();
            out.say("state", status.state);
        }
        view => fill_own(out, view),
    }
}

/// What the server writes about itself, for operators and for snapshots.
fn fill_own(out: &mut Description, view: &RecordView<'_>) {
    match view {
        RecordView::Metric(metric) => {
            out.text = metric.name.to_string();
            out.say("shard", metric.shard);
            out.say("count", metric.count);
            out.say("sum", metric.sum);
            out.say("max", metric.max);
            out.say("span_us", metric.span_us);
        }
        RecordView::Erasure(erasure) => fill_erasure(out, erasure),
        RecordView::Run(run) => {
            out.say("epoch", run.epoch);
            out.say("first", run.first);
            out.say("last", run.last);
        }
        RecordView::Seen(seen) => {
            out.o = Some(seen.o.to_native()).filter(|o| *o != 0);
            out.say_text("cid", &seen.cid);
        }
        RecordView::State(state) => {
            out.text = state.key.to_string();
            out.say_text("value", &state.value);
        }
        RecordView::Definition(definition) => {
            out.text = definition.name.to_string();
            out.say("kind", definition.kind);
            out.say("version", definition.version);
            out.say("bytes", definition.body.len());
        }
        _ => assert!(view.kind() == Kind::Stop),
    }
}

fn fill_erasure(out: &mut Description, erasure: &rkyv::Archived<EraseV1<'static>>) {
    out.text = erasure.subject.to_string();
    out.say("scope", code(EraseScope::from_byte(erasure.scope).map(EraseScope::name)));
    out.say("by", &*erasure.by);
    out.say_text("reason", &erasure.reason);
    out.say("records", erasure.record_count);
    out.say("segments", erasure.segment_count);
    out.say("id", format_args!("{:016x}", erasure.id.to_native()));
}

fn code(name: Option<&'static str>) -> &'static str {
    name.unwrap_or("?")
}

impl Description {
    fn say(&mut self, name: &str, value: impl std::fmt::Display) {
        let gap = if self.detail.is_empty() { "" } else { " " };
        let _ = write!(self.detail, "{gap}{name}={value}");
    }

    fn say_some(&mut self, name: &str, value: u64) {
        if value != 0 {
            self.say(name, value);
        }
    }

    fn say_text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.say(name, text);
        }
    }
}

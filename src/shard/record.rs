//! Facts of the domain to records of the log, and back.
//!
//! `chat` and `log` do not know each other; this is the one place that knows both. A fact that was
//! written and read again is the same fact, which the tests and the simulator hold it to.

use crate::base::ids::{EpochId, LogPosition, Offset};
use crate::base::names::PLATFORM_PREFIX;
use crate::chat::event::{
    Access, ConversationChange, ConversationState, Direction, Fact, Kept, MemberAction, Name,
    Outcome, Record as ChatRecord, Role, RoomChange, Source, State, Status,
};
use crate::chat::hub;
use crate::log::record::{
    CallV1, ConversationAction, ConversationV1, DefinitionV1, DeleteV1, Delivery,
    Direction as LogDirection, EditV1, MarkV1, MemberV1, MessageV1, Outcome as LogOutcome,
    RoomAction, RoomV1, SessionAction, SessionV1, Source as LogSource, StateV1, StatusV1,
    UserStatusV1,
};
use crate::log::record::{
    FLAG_ERASED, Kind, MemberAction as LogMemberAction, NameId, NameKind, RawRecord, RecordView,
};
use crate::log::{Entry, Producer, RingFull, Told};
use crate::registry;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// In the JSON `extra` of a delivery status: its name, when the log has no number for it.
const STATUS_NAME: &str = "status";
/// In the same JSON: the position of the message in its room, when it was sent from here.
const OF: &str = "of";
/// What an `extra` without it does not contain.
const OF_QUOTED: &str = r#""of":"#;
/// How early versions wrote that name, as the whole `extra`.
const STATUS_PREFIX: &str = "status:";

/// Appends a fact; gives the position at which it is safe.
pub fn append(producer: &mut Producer, record: &ChatRecord) -> Result<LogPosition, RingFull> {
    let user = intern(producer, NameKind::User, &record.user)?;
    let room = intern(producer, NameKind::Room, &record.room)?;
    let ts_us = record.ts_us;
    match &record.fact {
        Fact::Message { o, cid, text, reply, source, direction, name, external, extra } => {
            let message = MessageV1 {
                o: o.0,
                ts_us,
                reply: reply.map_or(0, |reply| reply.0),
                cid,
                text,
                display: name,
                external,
                extra,
                source: source_out(*source) as u8,
                direction: direction_out(*direction) as u8,
            };
            producer.append(user, room, &message)
        }
        Fact::Edit { o, of, version, text } => {
            let edit = EditV1 { o: o.0, target: of.0, ts_us, text, version: version - 1 };
            producer.append(user, room, &edit)
        }
        Fact::Delete { o, of } => {
            producer.append(user, room, &DeleteV1 { o: o.0, target: of.0, ts_us })
        }
        Fact::Member { o, subject, role, action } => {
            let (role, action) = (role_out(*role), member_out(*action) as u8);
            producer.append(user, room, &MemberV1 { o: o.0, ts_us, subject, role, action })
        }
        Fact::Room { o, change } => append_room(producer, (user, room), *o, ts_us, change),
        Fact::SessionStart { sid, device, client } => {
            let action = SessionAction::Start as u8;
            producer.append(user, room, &SessionV1 { ts_us, sid, device, client, code: 0, action })
        }
        Fact::SessionEnd { sid, code } => {
            let action = SessionAction::End as u8;
            let (device, client, code) = ("", "", *code);
            producer.append(user, room, &SessionV1 { ts_us, sid, device, client, code, action })
        }
        Fact::Command { name, .. } => {
            let command = intern(producer, NameKind::Command, name)?;
            append_call(producer, (user, room, command), ts_us, &record.fact)
        }
        Fact::State { key, value } => producer.append(user, room, &StateV1 { ts_us, key, value }),
        Fact::Delivery { of, external, status, error, extra } => {
            let (status, extra) = delivery_out(*of, status, extra);
            let recipient = record.user.strip_prefix(PLATFORM_PREFIX).unwrap_or(&record.user);
            let (extra, error) = (&*extra, *error);
            let status = StatusV1 { ts_us, external, recipient, extra, error, status };
            producer.append(user, room, &status)
        }
        Fact::Mark { recv, read } => {
            producer.append(user, room, &MarkV1 { ts_us, recv: recv.0, read: read.0 })
        }
        Fact::Status(status) => {
            let state = state_out(status.state);
            producer.append(user, room, &UserStatusV1 { ts_us, text: &status.text, state })
        }
        Fact::Conversation { o, change } => {
            let (o, action) = (o.map_or(0, |o| o.0), conversation_out(change) as u8);
            producer.append(user, room, &ConversationV1 { o, ts_us, value: change.value(), action })
        }
        Fact::Definition { kind, name, version, body } => {
            let (kind, version) = (kind.number(), *version);
            producer.append(user, room, &DefinitionV1 { ts_us, version, name, body, kind })
        }
    }
}

fn append_call(
    producer: &mut Producer,
    (user, room, command): (NameId, NameId, NameId),
    ts_us: i64,
    fact: &Fact,
) -> Result<LogPosition, RingFull> {
    let Fact::Command { args, call, cid, outcome, cost, duration_us, .. } = fact else {
        unreachable!("the caller looked");
    };
    let (outcome, duration_us, cost) = (outcome_out(*outcome) as u8, *duration_us, *cost);
    let command = command.0;
    let call = CallV1 { ts_us, cost, args, call, cid, command, duration_us, outcome };
    producer.append(user, room, &call)
}

fn conversation_out(change: &ConversationChange) -> ConversationAction {
    match change {
        ConversationChange::State(_) => ConversationAction::State,
        ConversationChange::Assign(_) => ConversationAction::Assign,
        ConversationChange::Tag(_) => ConversationAction::Tag,
        ConversationChange::Untag(_) => ConversationAction::Untag,
        ConversationChange::Contact(_) => ConversationAction::Contact,
        ConversationChange::Step(_) => ConversationAction::Step,
        ConversationChange::Link(_) => ConversationAction::Link,
        ConversationChange::Turn { .. } => ConversationAction::Turn,
    }
}

fn conversation_in(action: u8, value: &str) -> Option<ConversationChange> {
    Some(match ConversationAction::from_byte(action)? {
        ConversationAction::State => ConversationChange::State(ConversationState::parse(value)?),
        ConversationAction::Assign => {
            ConversationChange::Assign((!value.is_empty()).then(|| value.into()))
        }
        ConversationAction::Tag => ConversationChange::Tag(value.into()),
        ConversationAction::Untag => ConversationChange::Untag(value.into()),
        ConversationAction::Contact => ConversationChange::Contact(value.into()),
        ConversationAction::Step => ConversationChange::Step(value.into()),
        ConversationAction::Link => ConversationChange::Link(value.into()),
        ConversationAction::Turn => ConversationChange::Turn { waiting: value == "waiting" },
    })
}

fn append_room(
    producer: &mut Producer,
    (user, room): (NameId, NameId),
    o: Offset,
    ts_us: i64,
    change: &RoomChange,
) -> Result<LogPosition, RingFull> {
    let settings;
    let (action, text) = match change {
        RoomChange::Created => (RoomAction::Created, ""),
        RoomChange::Topic(topic) => (RoomAction::Topic, &**topic),
        RoomChange::Access(access) => {
            settings = format!(r#"{{"access":"{}"}}"#, access.name());
            (RoomAction::Settings, settings.as_str())
        }
    };
    producer.append(user, room, &RoomV1 { o: o.0, ts_us, text, action: action as u8 })
}

/// The fact that an entry of the log records; `None` for what is not the domain's (names, epochs,
/// raw bodies) or of a type that this version does not know.
pub fn read(entry: &Entry<'_>) -> Option<ChatRecord> {
    let names = (entry.user(), entry.room(), entry.command());
    read_parts(entry.ts_us()?, &entry.view()?, names)
}

/// As [`read`], for an event of a room's history.
pub fn read_told(room: &str, told: &Told<'_>) -> Option<ChatRecord> {
    read_parts(told.record.ts_us()?, &told.view()?, (told.user, room, ""))
}

fn read_parts(
    ts_us: i64,
    view: &RecordView<'_>,
    (user, room, called): (&str, &str, &str),
) -> Option<ChatRecord> {
    let fact = match view {
        RecordView::Message(message) => Fact::Message {
            o: Offset(message.o.to_native()),
            cid: (*message.cid).into(),
            text: (*message.text).into(),
            reply: Some(message.reply.to_native()).filter(|reply| *reply != 0).map(Offset),
            source: source_in(message.source),
            direction: direction_in(message.direction),
            name: (*message.display).into(),
            external: (*message.external).into(),
            extra: (*message.extra).into(),
        },
        RecordView::Edit(edit) => Fact::Edit {
            o: Offset(edit.o.to_native()),
            of: Offset(edit.target.to_native()),
            version: edit.version.to_native() + 1,
            text: (*edit.text).into(),
        },
        RecordView::Delete(delete) => {
            Fact::Delete { o: Offset(delete.o.to_native()), of: Offset(delete.target.to_native()) }
        }
        RecordView::Member(member) => Fact::Member {
            o: Offset(member.o.to_native()),
            subject: Name::from(&*member.subject),
            role: role_in(member.role),
            action: member_in(member.action),
        },
        RecordView::Room(room) => {
            Fact::Room { o: Offset(room.o.to_native()), change: room_in(room.action, &room.text)? }
        }
        RecordView::Session(session) => {
            let starts = session.action == SessionAction::Start as u8;
            let texts = [&*session.sid, &*session.device, &*session.client];
            session_in(starts, texts, session.code.to_native())
        }
        RecordView::Command(command) => Fact::Command {
            name: called.into(),
            args: (*command.args).into(),
            call: "".into(),
            cid: "".into(),
            outcome: outcome_in(command.outcome),
            cost: 0,
            duration_us: command.duration_us.to_native(),
        },
        RecordView::Call(call) => Fact::Command {
            name: called.into(),
            args: (*call.args).into(),
            call: (*call.call).into(),
            cid: (*call.cid).into(),
            outcome: outcome_in(call.outcome),
            cost: call.cost.to_native(),
            duration_us: call.duration_us.to_native(),
        },
        RecordView::Status(record) => {
            let (of, status, extra) = delivery_in(record.status, &record.extra);
            let (external, error) = ((*record.external).into(), record.error.to_native());
            Fact::Delivery { of, external, status, error, extra }
        }
        RecordView::Mark(mark) => {
            Fact::Mark { recv: Offset(mark.recv.to_native()), read: Offset(mark.read.to_native()) }
        }
        _ => read_state(view)?,
    };
    Some(ChatRecord { ts_us, user: user.into(), room: room.into(), fact })
}

/// What is so until another record says otherwise.
fn read_state(view: &RecordView<'_>) -> Option<Fact> {
    Some(match view {
        RecordView::UserStatus(status) => {
            Fact::Status(Status { state: state_in(status.state), text: (*status.text).into() })
        }
        RecordView::Conversation(record) => {
            let o = Some(record.o.to_native()).filter(|o| *o != 0).map(Offset);
            Fact::Conversation { o, change: conversation_in(record.action, &record.value)? }
        }
        RecordView::State(state) => {
            Fact::State { key: (*state.key).into(), value: (*state.value).into() }
        }
        RecordView::Definition(definition) => Fact::Definition {
            kind: registry::Kind::from_number(definition.kind)?,
            name: (*definition.name).into(),
            version: definition.version.to_native(),
            body: (*definition.body).into(),
        },
        _ => return None,
    })
}

fn session_in(starts: bool, [sid, device, client]: [&str; 3], code: u16) -> Fact {
    if starts {
        Fact::SessionStart { sid: sid.into(), device: device.into(), client: client.into() }
    } else {
        Fact::SessionEnd { sid: sid.into(), code }
    }
}

/// What an entry of a snapshot keeps; `None` for what is not the domain's.
pub fn kept(entry: &Entry<'_>) -> Option<Kept> {
    let room = || Name::from(entry.room());
    match entry.view()? {
        RecordView::Run(run) => Some(Kept::Run {
            room: room(),
            epoch: EpochId(run.epoch.to_native()),
            first: Offset(run.first.to_native()),
            last: Offset(run.last.to_native()),
        }),
        RecordView::Seen(seen) if seen.cid.is_empty() => {
            let high = u128::from(seen.print_high.to_native());
            let print = high << 64 | u128::from(seen.print_low.to_native());
            let o = Some(Offset(seen.o.to_native())).filter(|o| o.0 != 0);
            Some(Kept::Taken { ts_us: seen.ts_us.to_native(), room: room(), o, print })
        }
        RecordView::Seen(seen) => Some(Kept::Sent {
            ts_us: seen.ts_us.to_native(),
            room: room(),
            user: entry.user().into(),
            cid: (*seen.cid).into(),
            o: Offset(seen.o.to_native()),
        }),
        _ => read(entry).map(Kept::Fact),
    }
}

/// What the hub remembers a platform's item by, for snapshots: as of what [`read`] gives.
pub fn external_print(entry: &Entry<'_>) -> Option<u128> {
    match entry.view()? {
        RecordView::Message(message) => hub::message_print(entry.room(), &message.external),
        RecordView::Status(status) if status.external.is_empty() => None,
        RecordView::Status(record) => {
            let (room, user, external) = (entry.room(), entry.user(), &*record.external);
            match Delivery::from_byte(record.status) {
                Some(known) => hub::delivery_print(room, user, external, known.name()),
                None => {
                    let (_, status, _) = delivery_in(record.status, &record.extra);
                    hub::delivery_print(room, user, external, &status)
                }
            }
        }
        _ => None,
    }
}

/// Whether the record is a message whose content was erased: it looks like one taken back.
pub fn is_erased_message(record: &RawRecord<'_>) -> bool {
    record.header.flags & FLAG_ERASED != 0 && record.kind() == Some(Kind::Message)
}

fn intern(producer: &mut Producer, kind: NameKind, name: &str) -> Result<NameId, RingFull> {
    if name.is_empty() { Ok(NameId::NONE) } else { producer.intern(kind, name) }
}

const SOURCES: [(Source, LogSource); 6] = [
    (Source::Ws, LogSource::Ws),
    (Source::WhatsApp, LogSource::Whatsapp),
    (Source::Command, LogSource::Command),
    (Source::Handler, LogSource::Handler),
    (Source::Api, LogSource::Api),
    (Source::System, LogSource::System),
];

fn source_out(source: Source) -> LogSource {
    SOURCES.iter().find(|(ours, _)| *ours == source).expect("all sources are listed").1
}

fn source_in(number: u8) -> Source {
    let known = SOURCES.iter().find(|(_, theirs)| *theirs as u8 == number);
    known.map_or(Source::System, |(ours, _)| *ours)
}

const DIRECTIONS: [(Direction, LogDirection); 3] = [
    (Direction::In, LogDirection::In),
    (Direction::Out, LogDirection::Out),
    (Direction::Internal, LogDirection::Internal),
];

fn direction_out(direction: Direction) -> LogDirection {
    DIRECTIONS.iter().find(|(ours, _)| *ours == direction).expect("all directions are listed").1
}

fn direction_in(number: u8) -> Direction {
    let known = DIRECTIONS.iter().find(|(_, theirs)| *theirs as u8 == number);
    known.map_or(Direction::Internal, |(ours, _)| *ours)
}

const OUTCOMES: [(Outcome, LogOutcome); 7] = [
    (Outcome::Ok, LogOutcome::Ok),
    (Outcome::Failed, LogOutcome::Failed),
    (Outcome::Timeout, LogOutcome::Timeout),
    (Outcome::Denied, LogOutcome::Denied),
    (Outcome::BadArguments, LogOutcome::BadArguments),
    (Outcome::Limited, LogOutcome::Limited),
    (Outcome::Lost, LogOutcome::Lost),
];

fn outcome_out(outcome: Outcome) -> LogOutcome {
    OUTCOMES.iter().find(|(ours, _)| *ours == outcome).expect("all outcomes are listed").1
}

fn outcome_in(number: u8) -> Outcome {
    let known = OUTCOMES.iter().find(|(_, theirs)| *theirs as u8 == number);
    known.map_or(Outcome::Failed, |(ours, _)| *ours)
}

const MEMBER_ACTIONS: [(MemberAction, LogMemberAction); 3] = [
    (MemberAction::Join, LogMemberAction::Join),
    (MemberAction::Leave, LogMemberAction::Leave),
    (MemberAction::Role, LogMemberAction::Role),
];

fn member_out(action: MemberAction) -> LogMemberAction {
    MEMBER_ACTIONS.iter().find(|(ours, _)| *ours == action).expect("all actions are listed").1
}

fn member_in(number: u8) -> MemberAction {
    let known = MEMBER_ACTIONS.iter().find(|(_, theirs)| *theirs as u8 == number);
    known.map_or(MemberAction::Role, |(ours, _)| *ours)
}

fn role_out(role: Role) -> u8 {
    Role::ALL.iter().find(|(ours, ..)| *ours == role).expect("all roles are listed").2
}

fn role_in(number: u8) -> Role {
    let known = Role::ALL.iter().find(|(_, _, theirs)| *theirs == number);
    known.map_or(Role::Guest, |(ours, ..)| *ours)
}

fn state_out(state: State) -> u8 {
    State::ALL.iter().find(|(ours, ..)| *ours == state).expect("all states are listed").2
}

fn state_in(number: u8) -> State {
    let known = State::ALL.iter().find(|(_, _, theirs)| *theirs == number);
    known.map_or(State::Online, |(ours, ..)| *ours)
}

fn room_in(action: u8, text: &str) -> Option<RoomChange> {
    if action == RoomAction::Created as u8 {
        Some(RoomChange::Created)
    } else if action == RoomAction::Topic as u8 {
        Some(RoomChange::Topic(text.into()))
    } else {
        let settings: serde_json::Value = serde_json::from_str(text).ok()?;
        let access = settings.get("access")?.as_str()?;
        Access::parse(access).map(RoomChange::Access)
    }
}

/// The log's number of a status and its `extra`: the position goes in there, and a name that has
/// no number.
fn delivery_out<'a>(of: Option<Offset>, status: &str, extra: &'a str) -> (u8, Cow<'a, str>) {
    let known = Delivery::ALL.iter().find(|delivery| delivery.name() == status);
    if of.is_none()
        && let Some(known) = known
    {
        return (*known as u8, Cow::Borrowed(extra));
    }
    let mut words: Map<String, Value> = serde_json::from_str(extra).unwrap_or_default();
    if let Some(of) = of {
        words.insert(OF.to_owned(), of.0.into());
    }
    if known.is_none() {
        words.insert(STATUS_NAME.to_owned(), status.into());
    }
    let number = known.map_or(0, |known| *known as u8);
    (number, Cow::Owned(Value::Object(words).to_string()))
}

fn delivery_in(number: u8, extra: &str) -> (Option<Offset>, Box<str>, Box<str>) {
    let known = Delivery::from_byte(number);
    if let Some(name) = extra.strip_prefix(STATUS_PREFIX)
        && known.is_none()
    {
        return (None, name.into(), "".into());
    }
    if let Some(known) = known
        && !extra.contains(OF_QUOTED)
    {
        return (None, known.name().into(), extra.into());
    }
    let mut words: Map<String, Value> = serde_json::from_str(extra).unwrap_or_default();
    let of = words.remove(OF).and_then(|of| of.as_u64()).filter(|of| *of != 0).map(Offset);
    let name = match known {
        Some(known) => known.name().into(),
        None => {
            let name = words.remove(STATUS_NAME);
            name.as_ref().and_then(Value::as_str).unwrap_or("unknown").into()
        }
    };
    let rest = if words.is_empty() { String::new() } else { Value::Object(words).to_string() };
    (of, name, rest.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_keep_their_name_and_what_came_with_them() {
        check("read", r#"{"pricing":{}}"#, 5, r#"{"pricing":{}}"#);
        check("failed", "", 7, "");
        check("pondered", "", 0, r#"{"status":"pondered"}"#);
        check("a\"b", r#"{"x":1}"#, 0, r#"{"status":"a\"b","x":1}"#);
        // As versions before wrote it, and as nobody writes it.
        assert_eq!(delivery_in(0, "status:pondered"), (None, "pondered".into(), "".into()));
        assert_eq!(delivery_in(0, "nonsense"), (None, "unknown".into(), "".into()));
        assert_eq!(delivery_in(200, ""), (None, "unknown".into(), "".into()));
    }

    #[test]
    fn statuses_keep_the_position_of_their_message() {
        let of = Some(Offset(7));
        for (status, extra, written) in [
            ("accepted", "", r#"{"of":7}"#),
            ("read", r#"{"pricing":{}}"#, r#"{"of":7,"pricing":{}}"#),
            ("pondered", "", r#"{"of":7,"status":"pondered"}"#),
        ] {
            let (number, got) = delivery_out(of, status, extra);
            assert_eq!(&*got, written);
            assert_eq!(delivery_in(number, &got), (of, status.into(), extra.into()));
        }
    }

    #[track_caller]
    fn check(status: &str, extra: &str, number: u8, written: &str) {
        let (got_number, got) = delivery_out(None, status, extra);
        assert_eq!((got_number, &*got), (number, written));
        let (of, name, rest) = delivery_in(number, &got);
        assert_eq!((of, &*name, &*rest), (None, status, extra));
    }
}

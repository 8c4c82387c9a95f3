//! Records of the log as events: the shapes of `docs/PROTOCOL.md`, each with an `id`.

use crate::base::names::{rule_fits, split_conversation};
use crate::log::Entry;
use crate::log::record::{
    ConversationAction, Delivery, Direction, FLAG_ERASED, Kind, MemberAction, MessageV1,
    RecordView, RoomAction, RoomV1, Source, StatusV1,
};
use rkyv::Archived;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// (as definitions name it, its type in the log, `t` of its event)
pub(super) const EVENTS: [(&str, Kind, &str); 8] = [
    ("message", Kind::Message, "msg"),
    ("edit", Kind::Edit, "edit"),
    ("delete", Kind::Delete, "delete"),
    ("member", Kind::Member, "member"),
    ("room", Kind::Room, "room"),
    ("conversation", Kind::Conversation, "conv"),
    ("delivery", Kind::Status, "delivery"),
    ("mark", Kind::Mark, "mark"),
];

/// (number in the log, name in the protocol); the domain's own table, which this module does not
/// see. A test holds both equal.
pub const ROLES: [(u8, &str); 4] = [(0, "guest"), (1, "member"), (2, "moderator"), (3, "owner")];

/// Which events somebody wants. An empty list wants all, except that marks are only told to those
/// who name them.
#[derive(Clone, Default, Debug)]
pub struct Wanted {
    /// Their types.
    pub kinds: Vec<Kind>,
    /// Their rooms: names, or beginnings of names followed by `*`.
    pub rooms: Vec<Box<str>>,
    /// Which way messages go; other events have no direction.
    pub directions: Vec<Direction>,
}

impl Wanted {
    /// Whether a record is told. Looks at what costs least first.
    pub fn fits(&self, entry: &Entry<'_>) -> bool {
        let Some(kind) = entry.kind() else { return false };
        let is_told = match self.kinds.is_empty() {
            true => kind != Kind::Mark && EVENTS.iter().any(|(_, known, _)| *known == kind),
            false => self.kinds.contains(&kind),
        };
        if !is_told {
            return false;
        }
        if kind == Kind::Message && !self.directions.is_empty() {
            let direction = entry.record.direction().unwrap_or(Direction::Internal);
            if !self.directions.contains(&direction) {
                return false;
            }
        }
        self.rooms.is_empty() || self.rooms.iter().any(|rule| rule_fits(rule, entry.room()))
    }
}

/// The event of a record; `None` for bytes that are no archive.
pub(super) fn event(entry: &Entry<'_>) -> Option<String> {
    let kind = entry.kind()?;
    let (.., t) = EVENTS.iter().find(|(_, known, _)| *known == kind)?;
    let user = entry.user();
    let (o, d) = match entry.view()? {
        RecordView::Message(message) => (message.o.to_native(), message_value(entry, message)),
        RecordView::Edit(edit) => {
            let (of, v) = (edit.target.to_native(), edit.version.to_native() + 1);
            let mut d = json!({"of": of, "v": v, "from": user});
            if !is_erased(entry) {
                d["text"] = (*edit.text).into();
            }
            (edit.o.to_native(), d)
        }
        RecordView::Delete(delete) => {
            (delete.o.to_native(), json!({"of": delete.target.to_native(), "from": user}))
        }
        RecordView::Member(member) => {
            let role = ROLES.iter().find(|(number, _)| *number == member.role);
            let action = MemberAction::from_byte(member.action).map_or("", MemberAction::name);
            let d = json!({
                "user": &*member.subject, "by": user, "action": action,
                "role": role.map_or("guest", |(_, name)| name),
            });
            (member.o.to_native(), d)
        }
        RecordView::Room(room) => (room.o.to_native(), room_value(user, room)),
        RecordView::Conversation(change) => {
            let key = match ConversationAction::from_byte(change.action)? {
                ConversationAction::State => "state",
                ConversationAction::Assign => "assign",
                ConversationAction::Tag => "tag",
                ConversationAction::Untag => "untag",
                // The server's own account of a conversation.
                _ => return None,
            };
            (change.o.to_native(), json!({"by": user, (key): &*change.value}))
        }
        RecordView::Status(status) => (0, delivery_value(user, status)),
        RecordView::Mark(mark) => {
            let (recv, read) = (mark.recv.to_native(), mark.read.to_native());
            (0, json!({"marks": [{"user": user, "recv": recv, "read": read}]}))
        }
        _ => return None,
    };
    let mut event = Map::new();
    event.insert("id".into(), format!("evt_{}", entry.seq).into());
    event.insert("t".into(), (*t).into());
    event.insert("room".into(), entry.room().into());
    if o != 0 {
        event.insert("o".into(), o.into());
    }
    event.insert("ts".into(), entry.ts_us()?.div_euclid(1_000).into());
    event.insert("d".into(), d);
    Some(Value::Object(event).to_string())
}

/// Stands for records that are gone: `from` and the ones before `to` in the numbering of the log.
pub(super) fn gap(from: u64, to: u64) -> String {
    json!({"id": format!("gap_{from}"), "t": "gap", "d": {"from": from, "to": to - 1}}).to_string()
}

fn is_erased(entry: &Entry<'_>) -> bool {
    entry.record.header.flags & FLAG_ERASED != 0
}

/// What of a message's `extra` is told.
#[derive(serde::Deserialize, Default)]
struct Extra<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    at: Option<i64>,
}

fn message_value(entry: &Entry<'_>, message: &Archived<MessageV1<'static>>) -> Value {
    let mut d = Map::new();
    d.insert("from".into(), entry.user().into());
    let mut optional = |key: &str, text: &str| {
        if !text.is_empty() {
            d.insert(key.into(), text.into());
        }
    };
    let is_erased = is_erased(entry);
    if !is_erased {
        optional("name", &message.display);
        optional("cid", &message.cid);
        optional("ext", &message.external);
        if split_conversation(entry.room()).is_some() {
            let direction = Direction::from_byte(message.direction);
            optional("dir", direction.map_or("", Direction::name));
        }
    }
    d.insert("src".into(), Source::from_byte(message.source).map_or("", Source::name).into());
    if is_erased {
        d.insert("deleted".into(), true.into());
        return d.into();
    }
    d.insert("text".into(), (*message.text).into());
    if message.reply.to_native() != 0 {
        d.insert("reply".into(), message.reply.to_native().into());
    }
    let extra: Extra<'_> = serde_json::from_str(&message.extra).unwrap_or_default();
    if let Some(content) = extra.content {
        let content = serde_json::from_str(content.get()).unwrap_or(Value::Null);
        d.insert("content".into(), content);
    }
    if let Some(at) = extra.at {
        d.insert("at".into(), at.into());
    }
    d.into()
}

fn room_value(user: &str, room: &Archived<RoomV1<'static>>) -> Value {
    match RoomAction::from_byte(room.action) {
        Some(RoomAction::Topic) => json!({"by": user, "topic": &*room.text}),
        Some(RoomAction::Settings) => {
            let mut settings: Map<String, Value> =
                serde_json::from_str(&room.text).unwrap_or_default();
            settings.insert("by".into(), user.into());
            settings.into()
        }
        Some(RoomAction::Created) | None => json!({"by": user, "created": true}),
    }
}

/// In a status's `extra`, `of` is the position of the message and `status` a name that has no
/// number; the rest is the platform's (pricing, conversation).
fn delivery_value(user: &str, status: &Archived<StatusV1<'static>>) -> Value {
    let mut rest: Map<String, Value> = serde_json::from_str(&status.extra).unwrap_or_default();
    let mut d = Map::new();
    if let Some(of) = rest.remove("of") {
        d.insert("of".into(), of);
    }
    let named = rest.remove("status");
    let known = Delivery::from_byte(status.status).map(|known| known.name().into());
    d.insert("status".into(), known.or(named).unwrap_or_else(|| "unknown".into()));
    d.insert("user".into(), user.into());
    if !status.external.is_empty() {
        d.insert("ext".into(), (*status.external).into());
    }
    if status.error.to_native() != 0 {
        d.insert("error".into(), status.error.to_native().into());
    }
    if !rest.is_empty() {
        d.insert("info".into(), rest.into());
    }
    d.into()
}

//! Replies and events: the JSON a client reads (`docs/PROTOCOL.md`).

use super::event::{
    Access, ConversationChange, Direction, Fact, Frame, JoinedDetail, MemberAction, Record,
    Refusal, Role, RoomChange, Secret, Status,
};
use super::extra::Extra;
use crate::base::codes::{Advice, CloseReason};
use crate::base::ids::{EpochId, Offset};
use crate::base::limits::KIB;
use crate::base::names::split_conversation;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::cell::Cell;
use std::fmt::Write as _;
use std::sync::Arc;

/// All events in the order of `docs/PROTOCOL.md`.
pub const EVENTS: [&str; 16] = [
    "msg", "edit", "delete", "member", "room", "conv", "delivery", "mark", "typing", "presence",
    "cmd", "inbox", "gap", "notice", "ping", "bye",
];

/// The whole text of a `ping` event.
pub const PING: &str = r#"{"t":"ping"}"#;

/// A `msg` event, borrowed to write and owned to read back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, msg")]
pub struct Msg {
    pub from: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<u64>,
    pub src: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub dir: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ext: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Value>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

#[derive(Serialize, Deserialize)]
struct MsgEvent<T> {
    t: String,
    room: String,
    o: u64,
    ts: i64,
    d: T,
}

/// The fields of a new message, for [`msg`].
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, msg")]
pub struct NewMsg<'a> {
    pub room: &'a str,
    pub o: Offset,
    pub ts_ms: i64,
    pub from: &'a str,
    pub name: &'a str,
    pub cid: &'a str,
    pub text: &'a str,
    pub reply: Option<Offset>,
    pub source: &'a str,
    /// Empty for a message that stays in the room and needs no word about that.
    pub direction: &'a str,
    pub external: &'a str,
    /// JSON, or empty.
    pub content: &'a str,
}

/// The event of a new message. The hot path: written straight, with no tree in between.
pub fn msg(new: NewMsg<'_>) -> Frame {
    framed(|out| write_msg(out, new))
}

fn write_msg(out: &mut String, new: NewMsg<'_>) {
    out.push_str(r#"{"t":"msg","room":"#);
    quote(out, new.room);
    out.push_str(r#","o":"#);
    push_number(out, new.o.0);
    out.push_str(r#","ts":"#);
    push_time(out, new.ts_ms);
    out.push_str(r#","d":{"from":"#);
    quote(out, new.from);
    optional(out, r#","name":"#, new.name);
    optional(out, r#","cid":"#, new.cid);
    out.push_str(r#","text":"#);
    quote(out, new.text);
    if let Some(reply) = new.reply {
        let _ = write!(out, r#","reply":{}"#, reply.0);
    }
    out.push_str(r#","src":"#);
    quote(out, new.source);
    optional(out, r#","dir":"#, new.direction);
    optional(out, r#","ext":"#, new.external);
    if !new.content.is_empty() {
        out.push_str(r#","content":"#);
        out.push_str(new.content);
    }
    out.push_str("}}");
}

fn optional(out: &mut String, key: &str, value: &str) {
    if !value.is_empty() {
        out.push_str(key);
        quote(out, value);
    }
}

/// The position and the event of a record, as it was sent when it was new; `None` for a record
/// that has no event.
pub fn frame_of(record: &Record) -> Option<(Offset, Frame)> {
    let ts_ms = record.ts_us.div_euclid(1_000);
    let (room, user) = (&*record.room, &*record.user);
    let (o, frame) = match &record.fact {
        Fact::Message { o, cid, text, reply, source, direction, name, external, extra } => {
            let (source, direction) = (source.name(), shown_direction(room, *direction));
            let (o, from, reply) = (*o, user, *reply);
            let extra = Extra::read(extra);
            let content = extra.content.as_ref().map_or("", |content| content.get());
            let new = NewMsg {
                room,
                o,
                ts_ms,
                from,
                name,
                cid,
                text,
                reply,
                source,
                direction,
                external,
                content,
            };
            (o, msg(new))
        }
        Fact::Edit { o, of, version, text } => {
            (*o, edit(room, (*o, ts_ms), (*of, *version), user, text))
        }
        Fact::Delete { o, of } => (*o, delete(room, (*o, ts_ms), *of, user)),
        Fact::Member { o, subject, role, action } => {
            (*o, member(room, (*o, ts_ms), subject, user, (*action, *role)))
        }
        Fact::Room { o, change: RoomChange::Topic(text) } => {
            (*o, topic(room, (*o, ts_ms), user, text))
        }
        Fact::Room { o, change: RoomChange::Access(rule) } => {
            (*o, access(room, (*o, ts_ms), user, *rule))
        }
        Fact::Conversation { o: Some(o), change } => {
            (*o, conversation(room, (*o, ts_ms), user, change)?)
        }
        Fact::Room { change: RoomChange::Created, .. }
        | Fact::Conversation { o: None, .. }
        | Fact::Definition { .. }
        | Fact::SessionStart { .. }
        | Fact::SessionEnd { .. }
        | Fact::Command { .. }
        | Fact::State { .. }
        | Fact::Delivery { .. }
        | Fact::Mark { .. }
        | Fact::Status(_) => return None,
    };
    Some((o, frame))
}

/// The `d` of a `msg` event that this server wrote. `None` when it is another event.
pub fn read_msg(frame: &str) -> Option<Msg> {
    let event: MsgEvent<Msg> = serde_json::from_str(frame).ok()?;
    (event.t == "msg").then_some(event.d)
}

/// The history form of `frame` (a `msg` event) after an edit.
pub fn msg_edited(frame: &str, text: &str, version: u32, edited_ms: i64) -> Option<Frame> {
    rewrite(frame, |d| {
        d.text = Some(text.to_owned());
        d.v = Some(version);
        d.edited = Some(edited_ms);
    })
}

/// The history form of `frame` (a `msg` event) after it was taken back.
pub fn msg_deleted(frame: &str) -> Option<Frame> {
    rewrite(frame, |d| {
        // One form for all that was taken back: what it was before is nobody's business.
        d.text = None;
        d.v = None;
        d.edited = None;
        d.deleted = true;
    })
}

/// How a message of a conversation is marked: what goes out, and what never does. In other rooms
/// there is nothing to tell apart.
pub fn shown_direction(room: &str, direction: Direction) -> &'static str {
    match direction {
        Direction::In => "",
        Direction::Out => direction.name(),
        Direction::Internal if split_conversation(room).is_some() => direction.name(),
        Direction::Internal => "",
    }
}

/// The history form of `frame` (a `msg` event) after news of its delivery; `None` when it tells
/// nothing new: reports come late, twice and in any order.
pub fn msg_delivery(frame: &str, news: &Delivery<'_>) -> Option<Frame> {
    let mut event: MsgEvent<Msg> = serde_json::from_str(frame).ok()?;
    let d = &mut event.d;
    if d.deleted || !follows(&d.status, news.status) {
        return None;
    }
    d.status = news.status.to_owned();
    d.error = (news.error != 0).then_some(news.error);
    if !news.external.is_empty() {
        d.ext = news.external.to_owned();
    }
    Some(text_of(&event))
}

/// News of a message's delivery.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The message.
    pub of: Option<Offset>,
    /// The platform's id of it; may be empty.
    pub external: &'a str,
    /// How far it is.
    pub status: &'a str,
    /// Error number, 0 for none.
    pub error: u32,
}

/// A `delivery` event.
pub fn delivery(room: &str, ts_ms: i64, user: &str, news: &Delivery<'_>) -> Frame {
    let mut d = json!({"status": news.status, "user": user});
    if let Some(of) = news.of {
        d["of"] = of.0.into();
    }
    if !news.external.is_empty() {
        d["ext"] = news.external.into();
    }
    if news.error != 0 {
        d["error"] = news.error.into();
    }
    passing("delivery", room, ts_ms, d)
}

/// Steps of a message on its way out, in order; `failed` ends the way before it was delivered.
const STEPS: [&str; 8] =
    ["", "queued", "calling", "unknown", "accepted", "sent", "delivered", "read"];

/// Whether a status can come after another.
fn follows(before: &str, after: &str) -> bool {
    let step = |name: &str| match name {
        "played" => Some(STEPS.len()),
        name => STEPS.iter().position(|step| *step == name),
    };
    match (before, after) {
        ("failed", _) => matches!(after, "delivered" | "read" | "played"),
        (_, "failed") => step(before) <= step("sent"),
        _ => step(after) > step(before),
    }
}

/// The platform's statuses after which this one is no news.
pub fn overtakers(status: &str) -> impl Iterator<Item = &'static str> {
    let reported = ["sent", "delivered", "read", "played"].into_iter();
    reported.filter(move |later| !follows(later, status) && *later != status)
}

fn rewrite(frame: &str, change: impl FnOnce(&mut Msg)) -> Option<Frame> {
    let mut event: MsgEvent<Msg> = serde_json::from_str(frame).ok()?;
    change(&mut event.d);
    Some(text_of(&event))
}

/// An `edit` event.
pub fn edit(
    room: &str,
    (o, ts_ms): (Offset, i64),
    (of, version): (Offset, u32),
    from: &str,
    text: &str,
) -> Frame {
    durable("edit", room, o, ts_ms, &json!({"of": of.0, "v": version, "from": from, "text": text}))
}

/// A `delete` event.
pub fn delete(room: &str, (o, ts_ms): (Offset, i64), of: Offset, from: &str) -> Frame {
    durable("delete", room, o, ts_ms, &json!({"of": of.0, "from": from}))
}

/// A `member` event.
pub fn member(
    room: &str,
    (o, ts_ms): (Offset, i64),
    user: &str,
    by: &str,
    (action, role): (MemberAction, Role),
) -> Frame {
    let d = json!({"user": user, "by": by, "action": action.name(), "role": role.name()});
    durable("member", room, o, ts_ms, &d)
}

/// A `room` event for a new topic.
pub fn topic(room: &str, (o, ts_ms): (Offset, i64), by: &str, topic: &str) -> Frame {
    durable("room", room, o, ts_ms, &json!({"by": by, "topic": topic}))
}

/// A `room` event for a new rule of entry.
pub fn access(room: &str, (o, ts_ms): (Offset, i64), by: &str, access: Access) -> Frame {
    durable("room", room, o, ts_ms, &json!({"by": by, "access": access.name()}))
}

/// A `conv` event; `None` for a change that has none.
pub fn conversation(
    room: &str,
    (o, ts_ms): (Offset, i64),
    by: &str,
    change: &ConversationChange,
) -> Option<Frame> {
    let mut d = json!({"by": by});
    let (key, value) = match change {
        ConversationChange::State(state) => ("state", Value::from(state.name())),
        ConversationChange::Assign(user) => {
            ("assign", Value::from(user.as_deref().unwrap_or_default()))
        }
        ConversationChange::Tag(tag) => ("tag", Value::from(&**tag)),
        ConversationChange::Untag(tag) => ("untag", Value::from(&**tag)),
        ConversationChange::Contact(_)
        | ConversationChange::Step(_)
        | ConversationChange::Link(_)
        | ConversationChange::Turn { .. } => return None,
    };
    d[key] = value;
    Some(durable("conv", room, o, ts_ms, &d))
}

fn durable(t: &str, room: &str, o: Offset, ts_ms: i64, d: &Value) -> Frame {
    text_of(&MsgEvent { t: t.to_owned(), room: room.to_owned(), o: o.0, ts: ts_ms, d })
}

/// An `inbox` event: how a conversation stands now.
pub fn inbox(conversation: &Value) -> Frame {
    text_of(&json!({"t": "inbox", "d": conversation}))
}

/// An event of a room that is not durable.
pub fn passing(t: &str, room: &str, ts_ms: i64, d: Value) -> Frame {
    assert!(EVENTS.contains(&t));
    let mut event = Map::new();
    event.insert("t".into(), t.into());
    event.insert("room".into(), room.into());
    event.insert("ts".into(), ts_ms.into());
    event.insert("d".into(), d);
    text_of(&event)
}

/// A `gap` event: the offsets that this connection will not be sent.
pub fn gap(room: &str, from: Offset, to: Offset) -> Frame {
    text_of(&json!({"t": "gap", "room": room, "d": {"from": from.0, "to": to.0}}))
}

/// A `notice` event.
pub fn notice(room: &str, level: &str, msg: &str) -> Frame {
    text_of(&json!({"t": "notice", "room": room, "d": {"level": level, "msg": msg}}))
}

/// A `bye` event, sent before the close frame because that one is cut at 123 bytes by some.
pub fn bye(reason: CloseReason, after_ms: u64) -> Frame {
    let (code, name, advice) = reason.describe();
    let reconnect = matches!(advice, Advice::Reconnect | Advice::BackOff | Advice::Renew);
    let d = json!({"code": code, "reason": name, "reconnect": reconnect, "after_ms": after_ms});
    text_of(&json!({"t": "bye", "d": d}))
}

/// An `ok` reply.
pub fn ok(id: u32, d: &Value) -> Frame {
    text_of(&json!({"t": "ok", "id": id, "d": d}))
}

/// The `ok` of a `send`, which is the only reply on a hot path.
pub fn ok_sent(id: u32, o: Offset, ts_ms: i64, dup: bool) -> Frame {
    framed(|out| {
        out.push_str(r#"{"t":"ok","id":"#);
        push_number(out, id.into());
        out.push_str(r#","d":{"o":"#);
        push_number(out, o.0);
        out.push_str(r#","ts":"#);
        push_time(out, ts_ms);
        out.push_str(if dup { r#","dup":true}}"# } else { r#","dup":false}}"# });
    })
}

/// An `err` reply.
pub fn err(id: Option<u32>, refusal: &Refusal) -> Frame {
    let mut reply = Map::new();
    reply.insert("t".into(), "err".into());
    if let Some(id) = id {
        reply.insert("id".into(), id.into());
    }
    reply.insert("d".into(), refusal_value(refusal));
    text_of(&reply)
}

/// The `d` of an `err`, also used inside the reply to `hello`.
pub fn refusal_value(refusal: &Refusal) -> Value {
    let (code, name, retry) = refusal.code.describe();
    let mut d = json!({"code": code, "name": name, "msg": refusal.text, "retry": retry});
    if let Some(after_ms) = refusal.after_ms {
        d["after_ms"] = after_ms.into();
    }
    d
}

/// The `d` of the reply to a `join`.
pub fn joined_value(detail: &JoinedDetail) -> Value {
    let mut d = json!({
        "e": detail.epoch.to_string(),
        "o": detail.top.0,
        "from": detail.from.0,
        "n": detail.count,
        "recovered": detail.recovered,
        "role": detail.role.name(),
        "topic": detail.topic,
        "present": detail.present,
    });
    if let Some(back_to) = detail.back_to {
        d["back_to"] = back_to.0.into();
    }
    d
}

/// A page of history as the `ok` of `history`. `msgs` are whole `msg` events.
pub fn history(
    id: u32,
    epoch: EpochId,
    msgs: &[Frame],
    (first, top): (Offset, Offset),
    more: bool,
) -> Frame {
    let size: usize = msgs.iter().map(|msg| msg.len() + 1).sum();
    let mut out = String::with_capacity(size + 96);
    let _ = write!(out, r#"{{"t":"ok","id":{id},"d":{{"e":"{epoch}","msgs":["#);
    for (index, msg) in msgs.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(msg);
    }
    let _ = write!(out, r#"],"first":{},"top":{},"more":{more}}}}}"#, first.0, top.0);
    out.into()
}

/// A user's status as it travels.
pub fn status_value(status: &Status) -> Value {
    json!({"state": status.state.name(), "text": status.text})
}

/// A secret as it travels: 32 hexadecimal digits.
pub fn secret_text(secret: Secret) -> String {
    secret.0.iter().fold(String::with_capacity(32), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads what [`secret_text`] wrote.
pub fn secret_parse(text: &str) -> Option<Secret> {
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let value = u128::from_str_radix(text, 16).ok()?;
    Some(Secret(value.to_be_bytes()))
}

/// Appends a number's digits: what formatting costs counts where a message is written.
fn push_number(out: &mut String, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut begin = digits.len();
    loop {
        begin -= 1;
        digits[begin] += (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.push_str(std::str::from_utf8(&digits[begin..]).expect("digits are text"));
}

/// Appends a time, ms since 1970, which a clock may have before that.
fn push_time(out: &mut String, ts_ms: i64) {
    match u64::try_from(ts_ms) {
        Ok(ts_ms) => push_number(out, ts_ms),
        Err(_) => drop(write!(out, "{ts_ms}")),
    }
}

/// Appends `text` as a JSON string.
fn quote(out: &mut String, text: &str) {
    // Most names and texts need no escape: copy them whole.
    // No way out of the loop before its end, so that it goes by many bytes at a time.
    let odd = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    let plain = !text.bytes().fold(false, |any, byte| any | odd(byte));
    if plain {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        serde_json::to_writer(Quoted(out), text).expect("strings serialise");
    }
}

/// What JSON is written into: it comes in pieces that are whole characters.
struct Quoted<'a>(&'a mut String);

impl std::io::Write for Quoted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.push_str(std::str::from_utf8(bytes).expect("a text's pieces are text"));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Drafts longer than this are not worth their memory: hardly any event is.
const DRAFT_BYTES_MAX: usize = 64 * KIB;

thread_local! {
    /// Memory for the frame that is being written; between calls it is empty.
    static DRAFT: Cell<String> = const { Cell::new(String::new()) };
}

/// A frame of exactly its size, written into memory that the last one used: the frame is all that
/// is allocated for it.
fn framed(write: impl FnOnce(&mut String)) -> Frame {
    let mut draft = DRAFT.take();
    write(&mut draft);
    let frame = Frame::from(draft.as_str());
    if draft.capacity() <= DRAFT_BYTES_MAX {
        draft.clear();
        DRAFT.set(draft);
    }
    frame
}

fn text_of<T: Serialize>(value: &T) -> Frame {
    Arc::from(serde_json::to_string(value).expect("our own values serialise"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: NewMsg<'static> = NewMsg {
        room: "general",
        o: Offset(7),
        ts_ms: 1_795_000_000_000,
        from: "alice",
        name: "",
        cid: "c1",
        text: "hi",
        reply: None,
        source: "ws",
        direction: "",
        external: "",
        content: "",
    };

    #[test]
    fn a_message_is_written_as_documented() {
        assert_eq!(
            &*msg(NEW),
            concat!(
                r#"{"t":"msg","room":"general","o":7,"ts":1795000000000,"#,
                r#""d":{"from":"alice","cid":"c1","text":"hi","src":"ws"}}"#,
            )
        );
        let odd = NewMsg {
            room: "a\"b",
            from: "wa:1",
            name: "Ines \\ Alder",
            cid: "",
            text: "line\nline \u{1} é 😀",
            reply: Some(Offset(3)),
            source: "whatsapp",
            direction: "out",
            external: "wamid.x",
            content: r#"{"type":"text","text":"é"}"#,
            ..NEW
        };
        let value: Value = serde_json::from_str(&msg(odd)).expect("valid JSON");
        assert_eq!(value["room"], "a\"b");
        assert_eq!(value["d"]["text"], "line\nline \u{1} é 😀");
        assert_eq!(value["d"]["name"], "Ines \\ Alder");
        assert_eq!(value["d"]["reply"], 3);
        assert_eq!(value["d"]["ext"], "wamid.x");
        assert_eq!(value["d"]["dir"], "out");
        assert_eq!(value["d"]["content"]["text"], "é");
        assert!(value["d"].get("cid").is_none());
    }

    #[test]
    fn numbers_have_all_their_digits() {
        for number in [0, 1, 9, 10, 99, 100, 1_795_000_000_000, u64::MAX - 1, u64::MAX] {
            let mut out = String::from("=");
            push_number(&mut out, number);
            assert_eq!(out, format!("={number}"));
        }
    }

    #[test]
    fn history_shows_the_latest_version() {
        let frame = msg(NEW);
        let edited = msg_edited(&frame, "ho", 2, 1_795_000_001_000).expect("a msg");
        assert_eq!(
            &*edited,
            concat!(
                r#"{"t":"msg","room":"general","o":7,"ts":1795000000000,"#,
                r#""d":{"from":"alice","cid":"c1","text":"ho","src":"ws","#,
                r#""v":2,"edited":1795000001000}}"#,
            )
        );
        let deleted = msg_deleted(&edited).expect("a msg");
        let value: Value = serde_json::from_str(&deleted).expect("valid JSON");
        assert_eq!(value["d"]["deleted"], true);
        assert!(value["d"].get("text").is_none());
        assert!(msg_deleted(PING).is_none());
    }

    #[test]
    fn deliveries_never_go_back() {
        let new = msg(NewMsg { direction: "out", ..NEW });
        let check = |steps: &[&str], want: &str| {
            let mut frame = new.clone();
            for status in steps {
                let news = Delivery { of: None, external: "wamid.1", status, error: 0 };
                frame = msg_delivery(&frame, &news).unwrap_or(frame);
            }
            assert_eq!(read_msg(&frame).expect("a msg").status, want, "{steps:?}");
        };
        check(&["accepted", "sent", "delivered", "read", "played"], "played");
        check(&["read", "delivered", "sent", "accepted"], "read");
        check(&["delivered", "failed"], "delivered");
        check(&["accepted", "failed", "sent"], "failed");
        check(&["failed", "delivered"], "delivered");
        check(&["calling", "unknown", "accepted"], "accepted");
        check(&["sent", "pondered"], "sent");
        assert!(
            msg_delivery(PING, &Delivery { of: None, external: "", status: "sent", error: 0 })
                .is_none()
        );
    }

    #[test]
    fn secrets_travel() {
        let secret = Secret([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        assert!(secret_parse(&secret_text(secret)) == Some(secret));
        for bad in ["", "zz", &"0".repeat(31), &"g".repeat(32), &"+".repeat(32)] {
            assert!(secret_parse(bad).is_none(), "{bad}");
        }
    }
}

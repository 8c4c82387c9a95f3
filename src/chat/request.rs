//! Requests of clients: the envelope and the verbs (`docs/PROTOCOL.md`, "Verbs").
//!
//! The envelope is read first and `d` only by the verb that wants it, so that an unknown verb can
//! still be refused with its `id`.

use super::event::{
    Cid, ConversationChange, ConversationState, Name, Page, Refusal, Replay, Rich, State, Status,
};
use super::inbox;
use crate::base::codes::ErrorCode;
use crate::base::ids::{EpochId, Offset};
use crate::base::limits;
use crate::base::names::{COMMAND_PREFIX, HANDLER_PREFIX, PLATFORM_PREFIX};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// All verbs in the order of `docs/PROTOCOL.md`.
pub const VERBS: [&str; 17] = [
    "hello", "join", "leave", "send", "edit", "delete", "history", "typing", "mark", "who",
    "status", "conv", "inbox", "cmd", "cmds", "pong", "bye",
];

/// The outer object of every frame from a client.
#[derive(Deserialize, Debug)]
pub struct Envelope<'a> {
    /// The verb.
    #[serde(borrow)]
    pub t: Cow<'a, str>,
    /// To be echoed in the reply.
    #[serde(default)]
    pub id: Option<u32>,
    /// The room; empty when the verb has none.
    #[serde(borrow, default)]
    pub room: Cow<'a, str>,
    /// The verb's own fields.
    #[serde(borrow, default)]
    pub d: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    /// Reads the envelope. The error says where the text stops being one.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}

/// `d` of `hello`.
#[derive(Deserialize, Debug, Default)]
#[serde(default)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, hello")]
pub struct Hello {
    pub user: Option<String>,
    pub token: Option<String>,
    pub device: String,
    pub client: String,
    pub resume: Option<String>,
    pub quiet: bool,
    pub echo: Option<bool>,
    pub rooms: BTreeMap<String, Join>,
}

/// `d` of `join`, also each value of `hello.rooms`.
#[derive(Deserialize, Debug, Default, Clone)]
#[serde(default)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, join")]
pub struct Join {
    pub e: Option<String>,
    pub o: Option<u64>,
    pub last: Option<u32>,
    pub member: bool,
}

impl Join {
    /// What is to be replayed; a position needs both of its halves.
    pub fn replay(&self) -> Result<Replay, Refusal> {
        match (&self.e, self.o, self.last) {
            (None, None, None) => Ok(Replay::None),
            (None, None, Some(last)) => Ok(Replay::Last(last)),
            (Some(epoch), Some(o), None) => {
                // An epoch that no server ever printed is simply one we do not know.
                let epoch = EpochId::parse(epoch).unwrap_or(EpochId(u64::MAX));
                Ok(Replay::After(epoch, offset(o)?))
            }
            _ => Err(bad("join: give `e` with `o`, or `last`, or none of them")),
        }
    }
}

/// A verb with its fields checked.
#[derive(Debug)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, Verbs")]
pub enum Request {
    Hello(Box<Hello>),
    Join(Join),
    Leave { member: bool },
    Send { cid: Cid, text: Box<str>, reply: Option<Offset>, rich: Option<Box<Rich>> },
    Edit { of: Offset, text: Box<str> },
    Delete { of: Offset },
    History { page: Page, limit: u32 },
    Typing,
    Mark { recv: Offset, read: Offset },
    Who { after: Box<str>, limit: usize },
    SetStatus(Status),
    AskStatus { users: Vec<String> },
    Converse { changes: Vec<ConversationChange> },
    Inbox { query: Box<inbox::Query>, watch: Option<bool> },
    Command { name: Box<str>, text: Box<str>, cid: Cid, v: Option<u64> },
    Commands { prefix: Box<str> },
    Pong,
    Bye,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Leave {
    member: bool,
}

#[derive(Deserialize)]
struct Send<'a> {
    // Without an escape these lie in the request, and are copied once they are wanted.
    #[serde(borrow, default)]
    cid: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Cow<'a, str>,
    #[serde(default)]
    reply: Option<u64>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(default)]
    note: bool,
}

#[derive(Deserialize)]
struct Edit {
    o: u64,
    text: Box<str>,
}

#[derive(Deserialize)]
struct Delete {
    o: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct History {
    before: Option<u64>,
    after: Option<u64>,
    around: Option<u64>,
    since_ts: Option<i64>,
    limit: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Mark {
    recv: u64,
    read: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Who {
    after: Box<str>,
    limit: Option<usize>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct StatusFields {
    state: Option<String>,
    text: Box<str>,
    users: Option<Vec<String>>,
}

/// `d` of `conv`, also the body of the API's change of a conversation.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, conv")]
pub struct Conv {
    pub state: Option<Box<str>>,
    pub assign: Option<Box<str>>,
    pub tag: Vec<Box<str>>,
    pub untag: Vec<Box<str>>,
}

/// `d` of `inbox`, also the query of the API's list of conversations.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, inbox")]
pub struct InboxFields {
    pub state: Option<Box<str>>,
    pub assignee: Option<Box<str>>,
    pub tag: Option<Box<str>>,
    pub number: Option<Box<str>>,
    pub waiting_before: Option<i64>,
    pub after: Option<Box<str>>,
    pub limit: Option<usize>,
    pub watch: Option<bool>,
}

#[derive(Deserialize)]
struct Command {
    name: Box<str>,
    #[serde(default)]
    text: Box<str>,
    #[serde(default)]
    cid: Box<str>,
    v: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Commands {
    prefix: Box<str>,
}

impl Request {
    /// Reads the verb's fields and checks their bounds.
    pub fn parse(envelope: &Envelope<'_>) -> Result<Self, Refusal> {
        let d = envelope.d;
        match &*envelope.t {
            "hello" => Ok(Self::Hello(Box::new(or_default::<Hello>("hello", d)?))),
            "join" => Ok(Self::Join(or_default::<Join>("join", d)?)),
            "leave" => Ok(Self::Leave { member: or_default::<Leave>("leave", d)?.member }),
            "send" => send(required("send", d)?),
            "edit" => edit(required("edit", d)?),
            "delete" => Ok(Self::Delete { of: offset(required::<Delete>("delete", d)?.o)? }),
            "history" => history(&or_default("history", d)?),
            "typing" => Ok(Self::Typing),
            "mark" => {
                let fields: Mark = or_default("mark", d)?;
                Ok(Self::Mark { recv: offset(fields.recv)?, read: offset(fields.read)? })
            }
            "who" => {
                let fields: Who = or_default("who", d)?;
                let limit = fields.limit.unwrap_or(100).clamp(1, limits::WHO_LIMIT_MAX);
                Ok(Self::Who { after: fields.after, limit })
            }
            "status" => status(or_default("status", d)?),
            "conv" => conv(or_default("conv", d)?),
            "inbox" => inbox_query(or_default("inbox", d)?),
            "cmd" => called(required("cmd", d)?),
            "cmds" => Ok(Self::Commands { prefix: or_default::<Commands>("cmds", d)?.prefix }),
            "pong" => Ok(Self::Pong),
            "bye" => Ok(Self::Bye),
            other => Err(Refusal {
                code: ErrorCode::NoSuchVerb,
                text: format!("no verb {:?}; verbs are {}", cut(other), VERBS.join(" ")).into(),
                after_ms: None,
            }),
        }
    }
}

fn called(fields: Command) -> Result<Request, Refusal> {
    let Command { name, text, cid, v } = fields;
    within("name", name.len(), limits::DEFINITION_NAME_BYTES_MAX)?;
    within("text", text.len(), limits::TEXT_BYTES_MAX)?;
    within("cid", cid.len(), limits::CID_BYTES_MAX)?;
    Ok(Request::Command { name, text, cid: cid.into(), v })
}

/// Reads a call of a command that came by the API.
pub fn command(json: &str) -> Result<Request, Refusal> {
    called(serde_json::from_str(json).map_err(|error| bad(&format!("no command: {error}")))?)
}

fn send(fields: Send<'_>) -> Result<Request, Refusal> {
    if fields.cid.is_empty() {
        return Err(bad("send: `cid` must not be empty; it is your own id of this message"));
    }
    sent(fields)
}

/// A message of the HTTP API: the `d` of `send`, whose `cid` may be absent.
pub fn post(body: &str) -> Result<Request, Refusal> {
    let fields = serde_json::from_str(body).map_err(|error| bad(&error.to_string()))?;
    sent(fields)
}

/// A change of a conversation by the HTTP API: the `d` of `conv`.
pub fn converse(body: &str) -> Result<Vec<ConversationChange>, Refusal> {
    let fields: Conv = serde_json::from_str(body).map_err(|error| bad(&error.to_string()))?;
    fields.changes()
}

fn sent(fields: Send<'_>) -> Result<Request, Refusal> {
    within("cid", fields.cid.len(), limits::CID_BYTES_MAX)?;
    within("text", fields.text.len(), limits::TEXT_BYTES_MAX)?;
    let content = fields.content.map(RawValue::get).filter(|content| *content != "null");
    if fields.text.is_empty() && content.is_none() {
        return Err(bad("send: `text` must not be empty"));
    }
    let size = content.map_or(0, str::len);
    within("content", size, limits::CONTENT_BYTES_MAX)?;
    let rich = (size > 0 || fields.note)
        .then(|| Box::new(Rich { content: content.map(Into::into), note: fields.note }));
    // Offsets begin at 1: an answer to 0 is an answer to nothing.
    let reply = fields.reply.map(offset).transpose()?.filter(|reply| *reply > Offset(0));
    Ok(Request::Send { cid: fields.cid.into(), text: fields.text.into(), reply, rich })
}

fn conv(fields: Conv) -> Result<Request, Refusal> {
    Ok(Request::Converse { changes: fields.changes()? })
}

impl Conv {
    /// What is to be changed.
    pub fn changes(self) -> Result<Vec<ConversationChange>, Refusal> {
        if self.tag.len() + self.untag.len() > 2 * limits::TAGS_MAX {
            return Err(bad(&format!(
                "conv: a conversation has at most {} tags",
                limits::TAGS_MAX
            )));
        }
        let mut changes = Vec::new();
        if let Some(state) = self.state {
            changes.push(ConversationChange::State(conversation_state("conv", &state)?));
        }
        if let Some(user) = self.assign {
            let user = (!user.is_empty()).then(|| Name::from(user));
            changes.push(ConversationChange::Assign(user));
        }
        changes.extend(self.untag.into_iter().map(ConversationChange::Untag));
        changes.extend(self.tag.into_iter().map(ConversationChange::Tag));
        Ok(changes)
    }
}

fn conversation_state(verb: &str, name: &str) -> Result<ConversationState, Refusal> {
    let wrong = || bad(&format!("{verb}: `state` must be open, pending or resolved"));
    ConversationState::parse(name).ok_or_else(wrong)
}

fn inbox_query(fields: InboxFields) -> Result<Request, Refusal> {
    let watch = fields.watch;
    Ok(Request::Inbox { query: Box::new(fields.query()?), watch })
}

impl InboxFields {
    /// Which page is wanted; its user is not known here.
    pub fn query(self) -> Result<inbox::Query, Refusal> {
        let state = self.state.map(|state| conversation_state("inbox", &state)).transpose()?;
        let wrong = || bad("inbox: `after` is what the page before said as `after`");
        let after = self.after.map(|text| inbox::Place::parse(&text).ok_or_else(wrong));
        let filter = inbox::Filter {
            state,
            assignee: self.assignee.map(Name::from),
            tag: self.tag,
            number: self.number,
            waiting_before_ms: self.waiting_before,
        };
        let limit = self.limit.unwrap_or(50).clamp(1, limits::INBOX_LIMIT_MAX);
        Ok(inbox::Query { filter, after: after.transpose()?, limit, user: "".into() })
    }
}

fn edit(fields: Edit) -> Result<Request, Refusal> {
    within("text", fields.text.len(), limits::TEXT_BYTES_MAX)?;
    if fields.text.is_empty() {
        return Err(bad("edit: `text` must not be empty; `delete` takes a message back"));
    }
    Ok(Request::Edit { of: offset(fields.o)?, text: fields.text })
}

fn history(fields: &History) -> Result<Request, Refusal> {
    let page = match (fields.before, fields.after, fields.around, fields.since_ts) {
        (None, None, None, None) => Page::Newest,
        (Some(o), None, None, None) => Page::Before(offset(o)?),
        (None, Some(o), None, None) => Page::After(offset(o)?),
        (None, None, Some(o), None) => Page::Around(offset(o)?),
        (None, None, None, Some(ts_ms)) => Page::Since(ts_ms),
        _ => return Err(bad("history: give one of `before`, `after`, `around`, `since_ts`")),
    };
    let limit = fields.limit.unwrap_or(limits::HISTORY_LIMIT_DEFAULT);
    Ok(Request::History { page, limit: limit.clamp(1, limits::HISTORY_LIMIT_MAX) })
}

fn status(fields: StatusFields) -> Result<Request, Refusal> {
    if let Some(users) = fields.users {
        if users.len() > 100 {
            return Err(bad("status: ask for at most 100 users"));
        }
        return Ok(Request::AskStatus { users });
    }
    within("text", fields.text.len(), limits::STATUS_BYTES_MAX)?;
    let Some(state) = fields.state.as_deref().and_then(State::parse) else {
        return Err(bad("status: `state` must be online, away or dnd; or ask with `users`"));
    };
    Ok(Request::SetStatus(Status { state, text: fields.text }))
}

/// Checks a user name: 1 to 160 bytes, no control characters, no white space at the ends, and not
/// the `wa:` and `erased-` names, which belong to contacts and to people who were erased.
pub fn check_user(name: &str) -> Result<(), Refusal> {
    within("user", name.len(), limits::USER_NAME_BYTES_MAX)?;
    if name.is_empty() || name.trim() != name || name.chars().any(char::is_control) {
        return Err(bad("`user` must be a name without control characters or outer white space"));
    }
    if name.starts_with(PLATFORM_PREFIX) {
        return Err(bad("`user` names that begin with wa: belong to WhatsApp contacts"));
    }
    if name.starts_with(HANDLER_PREFIX) {
        return Err(bad("`user` names that begin with handler: belong to handlers"));
    }
    if name.starts_with(COMMAND_PREFIX) {
        return Err(bad("`user` names that begin with command: belong to commands"));
    }
    if name.starts_with(limits::ERASED_NAME_PREFIX) {
        return Err(bad("`user` names that begin with erased- stand for people who were erased"));
    }
    Ok(())
}

/// Checks a room name: 1 to 240 bytes, no control characters, no white space at the ends.
pub fn check_room(name: &str) -> Result<(), Refusal> {
    within("room", name.len(), limits::ROOM_NAME_BYTES_MAX)?;
    if name.is_empty() || name.trim() != name || name.chars().any(char::is_control) {
        return Err(bad("`room` must be a name without control characters or outer white space"));
    }
    Ok(())
}

/// A refusal with [`ErrorCode::BadRequest`].
pub fn bad(text: &str) -> Refusal {
    refuse(ErrorCode::BadRequest, text)
}

/// A refusal with `code`.
pub fn refuse(code: ErrorCode, text: &str) -> Refusal {
    Refusal { code, text: text.into(), after_ms: None }
}

fn within(field: &str, size: usize, max: usize) -> Result<(), Refusal> {
    if size <= max {
        return Ok(());
    }
    let text = format!("`{field}` has {size} bytes; the limit is {max}");
    Err(Refusal { code: ErrorCode::TooLarge, text: text.into(), after_ms: None })
}

fn offset(value: u64) -> Result<Offset, Refusal> {
    if value > Offset::MAX.0 {
        return Err(bad("offsets are below 2^53"));
    }
    Ok(Offset(value))
}

fn or_default<'a, T: Deserialize<'a> + Default>(
    verb: &str,
    d: Option<&'a RawValue>,
) -> Result<T, Refusal> {
    match d {
        None => Ok(T::default()),
        Some(d) if d.get() == "null" => Ok(T::default()),
        Some(_) => required(verb, d),
    }
}

fn required<'a, T: Deserialize<'a>>(verb: &str, d: Option<&'a RawValue>) -> Result<T, Refusal> {
    let Some(d) = d else {
        return Err(bad(&format!("{verb}: `d` is missing")));
    };
    serde_json::from_str(d.get()).map_err(|error| bad(&format!("{verb}: `d`: {error}")))
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(40)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &str) {
        let got = match Envelope::parse(text) {
            Err(_) => "no envelope".to_owned(),
            Ok(envelope) => match Request::parse(&envelope) {
                Ok(request) => format!("{request:?}"),
                Err(refusal) => format!("{}: {}", refusal.code.describe().0, refusal.text),
            },
        };
        assert!(got.starts_with(want), "input {text}\n got {got}\nwant {want}");
    }

    #[test]
    fn verbs_and_their_fields() {
        check(r#"{"t":"pong"}"#, "Pong");
        check(r#"{"t":"typing","room":"a","x":[1,2]}"#, "Typing");
        check(r#"{"t":"join"}"#, "Join(Join { e: None");
        check(r#"{"t":"join","d":null}"#, "Join(Join { e: None");
        check(r#"{"t":"send","d":{"cid":"a","text":"h\u00e9"}}"#, r#"Send { cid: "a", text: "hé""#);
        check(r#"{"t":"send"}"#, "400: send: `d` is missing");
        check(r#"{"t":"send","d":{"cid":"a"}}"#, "400: send: `text` must not be empty");
        check(
            r#"{"t":"send","d":{"cid":"a","content":{"type":"x"},"note":true}}"#,
            r#"Send { cid: "a", text: "", reply: None, rich: Some(Rich { content: Some("{\"type\""#,
        );
        check(r#"{"t":"send","d":{"cid":"","text":"x"}}"#, "400: send: `cid` must not");
        check(r#"{"t":"send","d":{"cid":"a","text":""}}"#, "400: send: `text` must not");
        check(r#"{"t":"send","d":{"cid":"a","text":"x","reply":9007199254740992}}"#, "400: off");
        check(
            r#"{"t":"history","d":{"before":3,"limit":999}}"#,
            "History { page: Before(Offset(3)), limit: 300",
        );
        check(r#"{"t":"history"}"#, "History { page: Newest, limit: 50");
        check(r#"{"t":"history","d":{"before":3,"after":1}}"#, "400: history: give one");
        check(r#"{"t":"history","d":{"since_ts":-5}}"#, "History { page: Since(-5), limit: 50");
        check(r#"{"t":"history","d":{"since_ts":1,"after":1}}"#, "400: history: give one");
        check(r#"{"t":"status","d":{"state":"dnd"}}"#, "SetStatus");
        check(r#"{"t":"status","d":{"state":"asleep"}}"#, "400: status: `state`");
        check(r#"{"t":"status","d":{"users":["a"]}}"#, "AskStatus");
        check(r#"{"t":"dance","id":1}"#, "405: no verb \"dance\"");
        check(r#"{"id":1}"#, "no envelope");
        check("[]", "no envelope");
        check("hello", "no envelope");
        check(r#"{"t":"pong"} x"#, "no envelope");
    }

    #[test]
    fn bounds() {
        let long = "x".repeat(limits::TEXT_BYTES_MAX + 1);
        check(&format!(r#"{{"t":"send","d":{{"cid":"a","text":"{long}"}}}}"#), "413: `text` has");
        let cid = "c".repeat(limits::CID_BYTES_MAX + 1);
        check(&format!(r#"{{"t":"send","d":{{"cid":"{cid}","text":"x"}}}}"#), "413: `cid` has");
        let deep = format!(r#"{{"t":"send","d":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
        check(&deep, "400: send: `d`: invalid type");
    }

    #[test]
    fn names() {
        for good in ["alice", "Ines Alder", "名前", "a/b:c"] {
            assert!(check_user(good).is_ok() && check_room(good).is_ok(), "{good:?}");
        }
        for bad in ["", " a", "a ", "a\nb", "\u{9b}x"] {
            assert!(check_user(bad).is_err() && check_room(bad).is_err(), "{bad:?}");
        }
        assert!(check_user("wa:123").is_err());
        assert!(check_room("wa:1:2").is_ok());
    }
}

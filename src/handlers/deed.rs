//! `do`: the things that a handler does, as a definition says them.

use super::condition::{Budget, TextTest};
use super::template::{Known, Placeholder, Template};
use crate::base::limits::{
    HANDLER_ACTION_DEPTH_MAX, HANDLER_ACTIONS_MAX, HANDLER_ASK_TIMEOUT_MIN,
    HANDLER_ASK_TIMEOUT_MIN_MAX, HANDLER_CALL_TIMEOUT_S, HANDLER_CALL_TIMEOUT_S_MAX,
    HANDLER_VALUES_MAX, ROOM_NAME_BYTES_MAX, TEXT_BYTES_MAX, USER_NAME_BYTES_MAX,
};
use crate::registry::Fault;
use crate::registry::part::{Fields, Part};
use crate::registry::sign::SigningKey;
use std::collections::BTreeSet;

/// One thing to do.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    Reply { message: Message, quote: bool },
    Post { room: Box<str>, text: Template },
    Note(Template),
    Assign(Option<Template>),
    Tag { add: Vec<Template>, remove: Vec<Template> },
    State(&'static str),
    Command { name: Box<str>, args: Option<Template> },
    Call(Box<Call>),
    Ask(Box<Ask>),
    End,
    Read,
    Typing,
}

/// A text, or the JSON of something richer.
#[derive(Clone, Debug)]
pub(super) enum Message {
    Text(Template),
    /// With where it stands, for whoever checks it.
    Content(Template, Box<Fault>),
}

/// Posts a body to an address and goes on when that is answered.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub url: Box<str>,
    pub key: Option<SigningKey>,
    /// `None`: the occasion.
    pub body: Option<Template>,
    pub timeout_ms: u64,
    pub next: Next,
}

/// Asks a question and goes on when that is answered.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub message: Message,
    /// The answer's placeholder: `answers.<name>`.
    pub key: String,
    pub timeout_ms: i64,
    pub expect: Option<TextTest>,
    /// What is said to an answer that is not as expected.
    pub again: Option<Message>,
    pub tries: u32,
    pub next: Next,
}

/// What follows.
#[derive(Clone, Debug, Default)]
pub(super) struct Next {
    pub then: Vec<Deed>,
    pub otherwise: Vec<Deed>,
}

/// Verbs, and what may stand beside them.
pub(super) const VERBS: [(&str, &[&str]); 13] = [
    ("reply", &["quote"]),
    ("post", &["to"]),
    ("note", &[]),
    ("assign", &[]),
    ("tag", &["untag"]),
    ("untag", &[]),
    ("state", &[]),
    ("command", &["args"]),
    ("call", &["secret", "body", "timeout_s", "then", "else"]),
    ("ask", &["as", "timeout_min", "expect", "again", "tries", "then", "else"]),
    ("end", &[]),
    ("read", &[]),
    ("typing", &[]),
];

const STATES: [(&str, &str); 3] =
    [("open", "open"), ("pending", "pending"), ("resolved", "resolved")];

/// Reads `do`.
pub(super) fn parse(part: &Part<'_>, known: &Known) -> Result<Vec<Deed>, Fault> {
    Reader { left: HANDLER_ACTIONS_MAX, budget: Budget::default() }.deeds(part, known, 0)
}

struct Reader {
    left: usize,
    budget: Budget,
}

impl Reader {
    fn deeds(&mut self, part: &Part<'_>, known: &Known, depth: usize) -> Result<Vec<Deed>, Fault> {
        if depth > HANDLER_ACTION_DEPTH_MAX {
            let problem = format!("actions nest at most {HANDLER_ACTION_DEPTH_MAX} deep");
            return Err(part.fault(problem));
        }
        let items = part.one_or_more()?;
        let mut deeds = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let problem = format!("a handler has at most {HANDLER_ACTIONS_MAX} actions");
            self.left = self.left.checked_sub(1).ok_or_else(|| item.fault(problem))?;
            let deed = self.deed(item, known, depth)?;
            if index + 1 < items.len() && deed.is_last() {
                let problem = "what follows an answer stands in its `then`: nothing comes behind";
                return Err(item.fault(problem));
            }
            deeds.push(deed);
        }
        Ok(deeds)
    }

    fn deed(&mut self, part: &Part<'_>, known: &Known, depth: usize) -> Result<Deed, Fault> {
        let fields = part.object()?;
        let verbs = || VERBS.iter().map(|(verb, _)| *verb);
        let found = VERBS.iter().find(|(verb, _)| fields.get(verb).is_some());
        let Some((verb, beside)) = found else {
            fields.only(verbs())?;
            let names = verbs().collect::<Vec<_>>().join(", ");
            return Err(part.fault(format!("names no action; there are {names}")));
        };
        fields.only([*verb].into_iter().chain(beside.iter().copied()))?;
        let value = fields.need(verb)?;
        match *verb {
            "reply" => Ok(Deed::Reply {
                message: Message::parse(value, known)?,
                quote: fields.get("quote").map_or(Ok(false), Part::flag)?,
            }),
            "post" => Ok(Deed::Post {
                room: fields.need("to")?.text(ROOM_NAME_BYTES_MAX)?.into(),
                text: text(value, known)?,
            }),
            "note" => Ok(Deed::Note(text(value, known)?)),
            "assign" if value.is_null() => Ok(Deed::Assign(None)),
            "assign" => Ok(Deed::Assign(Some(text(value, known)?))),
            "tag" | "untag" => tags(&fields, known),
            "state" => Ok(Deed::State(value.one_of(&STATES)?)),
            "command" => command(&fields, known),
            "call" => self.call(&fields, known, depth),
            "ask" => self.ask(&fields, known, depth),
            "end" => only_true(value, Deed::End),
            "read" => only_true(value, Deed::Read),
            "typing" => only_true(value, Deed::Typing),
            other => unreachable!("{other} is not among the verbs"),
        }
    }

    fn call(&mut self, fields: &Fields<'_>, known: &Known, depth: usize) -> Result<Deed, Fault> {
        let key = |part: &Part<'_>| {
            let text = part.text(256)?;
            SigningKey::parse(&text).map_err(|fault| part.fault(fault.problem))
        };
        let timeout_s = match fields.get("timeout_s") {
            Some(part) => part.number(1..=HANDLER_CALL_TIMEOUT_S_MAX)?,
            None => HANDLER_CALL_TIMEOUT_S,
        };
        let after = Known { has_reply: true, ..known.clone() };
        let call = Call {
            url: url(fields.need("call")?)?,
            key: fields.get("secret").map(key).transpose()?,
            body: fields.get("body").map(|part| Template::json(part, known)).transpose()?,
            timeout_ms: timeout_s.unsigned_abs() * 1_000,
            next: self.next(fields, (&after, &after), depth)?,
        };
        Ok(Deed::Call(Box::new(call)))
    }

    fn ask(&mut self, fields: &Fields<'_>, known: &Known, depth: usize) -> Result<Deed, Fault> {
        let part = fields.need("as")?;
        let name = part.text(32)?;
        if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
            return Err(part.fault("wants small letters, digits and _"));
        }
        let mut after = known.clone();
        after.answers.push(name.clone());
        let timeout_min = match fields.get("timeout_min") {
            Some(part) => part.number(1..=HANDLER_ASK_TIMEOUT_MIN_MAX)?,
            None => HANDLER_ASK_TIMEOUT_MIN,
        };
        let expect = match fields.get("expect") {
            Some(part) => Some(TextTest::parse(part, &mut self.budget)?),
            None => None,
        };
        if let (None, Some(part)) = (&expect, fields.get("again").or(fields.get("tries"))) {
            return Err(
                part.fault("is for answers that are not as `expect` says, which is missing")
            );
        }
        let ask = Ask {
            message: Message::parse(fields.need("ask")?, known)?,
            key: format!("answers.{name}"),
            timeout_ms: timeout_min * 60_000,
            expect,
            again: fields.get("again").map(|part| Message::parse(part, known)).transpose()?,
            tries: fields.get("tries").map_or(Ok(3), |part| part.number(1..=10))? as u32,
            next: self.next(fields, (&after, known), depth)?,
        };
        Ok(Deed::Ask(Box::new(ask)))
    }

    fn next(
        &mut self,
        fields: &Fields<'_>,
        (then, otherwise): (&Known, &Known),
        depth: usize,
    ) -> Result<Next, Fault> {
        let mut read = |name: &str, known: &Known| match fields.get(name) {
            Some(part) => self.deeds(part, known, depth + 1),
            None => Ok(Vec::new()),
        };
        let next = Next { then: read("then", then)?, otherwise: read("else", otherwise)? };
        if next.keys().len() > HANDLER_VALUES_MAX {
            let problem =
                format!("what follows uses more than {HANDLER_VALUES_MAX} different placeholders");
            return Err(fields.part().fault(problem));
        }
        Ok(next)
    }
}

impl Deed {
    /// As definitions call it.
    pub(super) fn verb(&self) -> &'static str {
        match self {
            Self::Reply { .. } => "reply",
            Self::Post { .. } => "post",
            Self::Note(_) => "note",
            Self::Assign(_) => "assign",
            Self::Tag { add, .. } if add.is_empty() => "untag",
            Self::Tag { .. } => "tag",
            Self::State(_) => "state",
            Self::Command { .. } => "command",
            Self::Call(_) => "call",
            Self::Ask(_) => "ask",
            Self::End => "end",
            Self::Read => "read",
            Self::Typing => "typing",
        }
    }

    /// Whether it must stand last, because what follows it waits.
    fn is_last(&self) -> bool {
        match self {
            Self::Ask(_) => true,
            Self::Call(call) => !call.next.is_empty(),
            _ => false,
        }
    }

    /// What follows it, if it is one that waits.
    pub(super) fn next(&self) -> Option<&Next> {
        match self {
            Self::Ask(ask) => Some(&ask.next),
            Self::Call(call) => Some(&call.next),
            _ => None,
        }
    }

    /// What it says to people, if that is all there is to be checked.
    pub(super) fn messages(&self) -> Vec<&Message> {
        match self {
            Self::Reply { message, .. } => vec![message],
            Self::Ask(ask) => {
                [Some(&ask.message), ask.again.as_ref()].into_iter().flatten().collect()
            }
            _ => Vec::new(),
        }
    }

    fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Post { text, .. } | Self::Note(text) | Self::Assign(Some(text)) => vec![text],
            Self::Tag { add, remove } => add.iter().chain(remove).collect(),
            Self::Command { args, .. } => args.iter().collect(),
            Self::Call(call) => call.body.iter().collect(),
            _ => self.messages().into_iter().map(Message::template).collect(),
        }
    }
}

impl Next {
    pub(super) fn is_empty(&self) -> bool {
        self.then.is_empty() && self.otherwise.is_empty()
    }

    /// All placeholders in it.
    pub(super) fn placeholders(&self) -> Vec<&Placeholder> {
        let mut found = Vec::new();
        self.see(&mut |deed| {
            found.extend(deed.templates().into_iter().flat_map(Template::placeholders));
        });
        found
    }

    fn keys(&self) -> BTreeSet<&str> {
        self.placeholders().into_iter().map(|placeholder| &*placeholder.key).collect()
    }

    fn see<'n>(&'n self, see: &mut dyn FnMut(&'n Deed)) {
        see_all(&self.then, see);
        see_all(&self.otherwise, see);
    }
}

/// Shows all deeds, with those that follow them.
pub(super) fn see_all<'d>(deeds: &'d [Deed], see: &mut dyn FnMut(&'d Deed)) {
    for deed in deeds {
        see(deed);
        if let Some(next) = deed.next() {
            next.see(see);
        }
    }
}

impl Message {
    fn parse(part: &Part<'_>, known: &Known) -> Result<Self, Fault> {
        if part.is_object() {
            part.object()?.need("type")?.text(64)?;
            let place = Box::new(part.fault(""));
            return Ok(Self::Content(Template::json(part, known)?, place));
        }
        Ok(Self::Text(text(part, known)?))
    }

    pub(super) fn template(&self) -> &Template {
        match self {
            Self::Text(template) | Self::Content(template, _) => template,
        }
    }
}

fn text(part: &Part<'_>, known: &Known) -> Result<Template, Fault> {
    Template::text(&part.text(TEXT_BYTES_MAX)?, part, known)
}

fn tags(fields: &Fields<'_>, known: &Known) -> Result<Deed, Fault> {
    let read = |name: &str| -> Result<Vec<Template>, Fault> {
        let Some(part) = fields.get(name) else { return Ok(Vec::new()) };
        part.one_or_more()?.iter().map(|item| text(item, known)).collect()
    };
    Ok(Deed::Tag { add: read("tag")?, remove: read("untag")? })
}

fn command(fields: &Fields<'_>, known: &Known) -> Result<Deed, Fault> {
    let part = fields.need("command")?;
    let name = part.text(USER_NAME_BYTES_MAX)?;
    if name.starts_with('/') || name.contains(char::is_whitespace) {
        return Err(part.fault("wants the word behind the slash, and what follows it in `args`"));
    }
    let args = fields.get("args").map(|part| text(part, known)).transpose()?;
    Ok(Deed::Command { name: name.into(), args })
}

/// Whether the address may be called at all is asked when it is called: names change their place.
fn url(part: &Part<'_>) -> Result<Box<str>, Fault> {
    let url = part.text(2_048)?;
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or("");
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    if host.is_empty() || host.contains('@') || url.contains("{{") || !is_plain {
        return Err(part.fault("wants a fixed address, https://host/path, without a password"));
    }
    Ok(url.into())
}

fn only_true(part: &Part<'_>, deed: Deed) -> Result<Deed, Fault> {
    if part.flag()? { Ok(deed) } else { Err(part.fault("wants true, or leave it out")) }
}

//! Texts and JSON with placeholders: `Hello {{name|friend}}`.
//!
//! What a placeholder may name is known when a definition is read, so a wrong one is a fault there
//! and never an odd text in front of a customer. Within JSON a placeholder stands inside a text,
//! and its value is escaped: nobody can write a field into somebody else's message.

use super::action::CallReply;
use super::occasion::Occasion;
use crate::base::nearest::nearest;
use crate::registry::Fault;
use crate::registry::part::Part;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What an occasion can tell.
pub(super) type Field = for<'o> fn(&Occasion<'o>) -> Cow<'o, str>;

/// (name, value)
pub(super) const FIELDS: [(&str, Field); 14] = [
    ("name", |occasion| occasion.display().into()),
    ("sender", |occasion| occasion.sender.into()),
    ("contact", |occasion| contact(occasion).into()),
    ("text", |occasion| occasion.text.into()),
    ("choice", |occasion| occasion.choice.unwrap_or("").into()),
    ("room", |occasion| occasion.room.into()),
    ("number", |occasion| occasion.number.unwrap_or("").into()),
    ("event", |occasion| occasion.kind.name().into()),
    ("state", |occasion| occasion.state.into()),
    ("assignee", |occasion| occasion.assignee.into()),
    ("tags", |occasion| occasion.tags.join(", ").into()),
    ("status", |occasion| occasion.status.into()),
    ("error", |occasion| occasion.error.to_string().into()),
    ("unanswered_min", |occasion| (occasion.unanswered_ms / 60_000).to_string().into()),
];

/// The contact's own id: what stands behind our number in the name of a conversation.
fn contact<'o>(occasion: &Occasion<'o>) -> &'o str {
    let split = crate::base::names::split_conversation(occasion.room);
    split.map_or("", |(_, contact)| contact)
}

/// What placeholders may stand in a text beside the fields of an occasion.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Groups of the regular expressions in `when`, by number and name.
    pub groups: Vec<String>,
    /// `when` names a command.
    pub has_command: bool,
    /// Answers to questions that were asked before.
    pub answers: Vec<String>,
    /// A call was answered before.
    pub has_reply: bool,
}

/// A text or JSON with placeholders.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pieces: Vec<Piece>,
    is_json: bool,
}

#[derive(Clone, Debug)]
enum Piece {
    Plain(String),
    Placeholder(Placeholder),
}

/// `{{key|otherwise}}`
#[derive(Clone, Debug)]
pub(super) struct Placeholder {
    /// As it was written.
    pub key: Box<str>,
    origin: Origin,
    otherwise: Box<str>,
}

#[derive(Clone, Copy, Debug)]
enum Origin {
    Field(Field),
    /// Groups, arguments and answers.
    Kept,
    /// Of the answer to a call.
    Reply,
}

/// What was put aside for later actions: values by the names of their placeholders.
pub(super) type Kept = BTreeMap<String, String>;

/// Where values come from.
#[derive(Clone, Debug, Default)]
pub(super) struct Values<'v> {
    /// What happens now; `None` when a call is answered.
    pub occasion: Option<&'v Occasion<'v>>,
    /// From before.
    pub kept: Kept,
    /// The answer to a call.
    pub reply: Option<Answer>,
}

/// The answer to a call, read.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub error: String,
    pub body: String,
    /// The body, when it is JSON.
    pub json: Option<Value>,
}

impl Template {
    /// Reads a text.
    pub(super) fn text(text: &str, part: &Part<'_>, known: &Known) -> Result<Self, Fault> {
        let mut pieces = Vec::new();
        read(text, part, known, false, &mut pieces)?;
        Ok(Self { pieces, is_json: false })
    }

    /// Reads JSON.
    pub(super) fn json(part: &Part<'_>, known: &Known) -> Result<Self, Fault> {
        let mut pieces = Vec::new();
        read_json(&part.value(), part, known, &mut pieces)?;
        Ok(Self { pieces, is_json: true })
    }

    /// Its placeholders.
    pub(super) fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Placeholder(placeholder) => Some(placeholder),
            Piece::Plain(_) => None,
        })
    }

    /// With all values in their places. A text that is too long is cut; `None` for JSON that is.
    pub(super) fn render(&self, values: &Values<'_>, bytes_max: usize) -> Option<Box<str>> {
        self.fill(bytes_max, |placeholder| values.get(placeholder))
    }

    /// With `sample` in all places.
    pub(super) fn sample(&self, sample: &str) -> Box<str> {
        self.fill(usize::MAX, |_| sample.into()).expect("no bound")
    }

    fn fill<'p>(
        &'p self,
        bytes_max: usize,
        value: impl Fn(&'p Placeholder) -> Cow<'p, str>,
    ) -> Option<Box<str>> {
        let mut filled = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Plain(text) => filled.push_str(text),
                Piece::Placeholder(placeholder) if self.is_json => {
                    escape(&value(placeholder), &mut filled);
                }
                Piece::Placeholder(placeholder) => filled.push_str(&value(placeholder)),
            }
            if filled.len() > bytes_max {
                if self.is_json {
                    return None;
                }
                filled.truncate(filled.floor_char_boundary(bytes_max));
                break;
            }
        }
        Some(filled.into())
    }
}

impl Values<'_> {
    /// The value of a placeholder; what is not known is its `otherwise`.
    pub(super) fn get<'p>(&'p self, placeholder: &'p Placeholder) -> Cow<'p, str> {
        match self.known(placeholder) {
            Some(value) if !value.is_empty() => value,
            _ => Cow::Borrowed(&*placeholder.otherwise),
        }
    }

    /// The same without `otherwise`.
    pub(super) fn known<'p>(&'p self, placeholder: &'p Placeholder) -> Option<Cow<'p, str>> {
        let kept = || self.kept.get(&*placeholder.key).map(|text| Cow::Borrowed(text.as_str()));
        match (placeholder.origin, self.occasion, &self.reply) {
            // Nobody speaks when a question times out: what follows speaks of who was asked.
            (Origin::Field(field), Some(occasion), _) if !occasion.is_timeout() => {
                Some(field(occasion))
            }
            (Origin::Reply, _, Some(answer)) => Some(answer.get(&placeholder.key)),
            _ => kept(),
        }
    }
}

impl Answer {
    /// Reads the answer to a call.
    pub(super) fn read(reply: &CallReply<'_>) -> Self {
        Self {
            status: reply.status,
            error: reply.error.to_owned(),
            body: reply.body.to_owned(),
            json: serde_json::from_str(reply.body).ok(),
        }
    }

    /// As the body of the next call, which names no other.
    pub(super) fn json(&self) -> Box<str> {
        let body = self.json.clone().unwrap_or_else(|| self.body.as_str().into());
        serde_json::json!({"status": self.status, "reply": body}).to_string().into()
    }

    fn get(&self, key: &str) -> Cow<'_, str> {
        match key {
            "reply" => return Cow::Borrowed(&self.body),
            "call.status" => return self.status.to_string().into(),
            "call.error" => return Cow::Borrowed(&self.error),
            _ => {}
        }
        let path = key.strip_prefix("reply.").unwrap_or(key);
        let found = self.json.as_ref().and_then(|json| path.split('.').try_fold(json, member));
        match found {
            None | Some(Value::Null) => "".into(),
            Some(Value::String(text)) => Cow::Borrowed(text),
            Some(other) => other.to_string().into(),
        }
    }
}

/// A field of an object, or an item of a list by its number from 0.
fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        value => value.get(name),
    }
}

fn read(
    text: &str,
    part: &Part<'_>,
    known: &Known,
    is_json: bool,
    pieces: &mut Vec<Piece>,
) -> Result<(), Fault> {
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        if let Some(before) = rest[..at].strip_suffix('\\') {
            push_plain(before, is_json, pieces);
            push_plain("{{", is_json, pieces);
            rest = &rest[at + 2..];
            continue;
        }
        push_plain(&rest[..at], is_json, pieces);
        let inside = &rest[at + 2..];
        let Some(end) = inside.find("}}") else {
            return Err(part.fault("`{{` without `}}`; write `\\\\{{` for two braces"));
        };
        pieces.push(Piece::Placeholder(placeholder(&inside[..end], part, known)?));
        rest = &inside[end + 2..];
    }
    push_plain(rest, is_json, pieces);
    Ok(())
}

fn read_json(
    value: &Value,
    part: &Part<'_>,
    known: &Known,
    pieces: &mut Vec<Piece>,
) -> Result<(), Fault> {
    match value {
        Value::String(text) => {
            push_raw("\"", pieces);
            read(text, part, known, true, pieces)?;
            push_raw("\"", pieces);
        }
        Value::Array(items) => {
            push_raw("[", pieces);
            for (index, item) in items.iter().enumerate() {
                push_raw(if index == 0 { "" } else { "," }, pieces);
                read_json(item, part, known, pieces)?;
            }
            push_raw("]", pieces);
        }
        Value::Object(fields) => {
            push_raw("{", pieces);
            for (index, (name, field)) in fields.iter().enumerate() {
                push_raw(if index == 0 { "" } else { "," }, pieces);
                push_raw(&format!("{}:", Value::from(name.as_str())), pieces);
                read_json(field, part, known, pieces)?;
            }
            push_raw("}", pieces);
        }
        other => push_raw(&other.to_string(), pieces),
    }
    Ok(())
}

fn push_plain(text: &str, is_json: bool, pieces: &mut Vec<Piece>) {
    if is_json {
        let mut escaped = String::new();
        escape(text, &mut escaped);
        push_raw(&escaped, pieces);
    } else {
        push_raw(text, pieces);
    }
}

fn push_raw(text: &str, pieces: &mut Vec<Piece>) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Plain(before)) => before.push_str(text),
        _ => pieces.push(Piece::Plain(text.to_owned())),
    }
}

/// As it stands between the quotes of a JSON text.
fn escape(text: &str, out: &mut String) {
    let quoted = Value::from(text).to_string();
    out.push_str(&quoted[1..quoted.len() - 1]);
}

fn placeholder(inside: &str, part: &Part<'_>, known: &Known) -> Result<Placeholder, Fault> {
    let (key, otherwise) = inside.split_once('|').unwrap_or((inside, ""));
    let (key, otherwise) = (key.trim(), otherwise.trim().into());
    let origin = origin(key, known).map_err(|problem| part.fault(problem))?;
    Ok(Placeholder { key: key.into(), origin, otherwise })
}

fn origin(key: &str, known: &Known) -> Result<Origin, String> {
    if let Some((_, field)) = FIELDS.iter().find(|(name, _)| *name == key) {
        return Ok(Origin::Field(*field));
    }
    let (family, name) = key.split_once('.').unwrap_or((key, ""));
    let (is_known, problem) = match family {
        "match" => (
            known.groups.iter().any(|group| group == name),
            "no regular expression in `when` has this group".to_owned(),
        ),
        "args" | "arg" if !known.has_command => (false, "`when` names no `command`".to_owned()),
        "args" => (name.is_empty(), "the arguments are `args`, one of them `arg.1`".to_owned()),
        "arg" => (
            name.parse::<u8>().is_ok_and(|number| (1..=9).contains(&number)),
            "the arguments are `arg.1` to `arg.9`".to_owned(),
        ),
        "answers" => (
            known.answers.iter().any(|answer| answer == name),
            "no `ask` before it keeps an answer `as` this".to_owned(),
        ),
        "reply" | "call" if !known.has_reply => {
            (false, "only what follows a `call` knows its reply".to_owned())
        }
        "reply" => return Ok(Origin::Reply),
        "call" if matches!(name, "status" | "error") => return Ok(Origin::Reply),
        _ => {
            let names = FIELDS.iter().map(|(name, _)| *name);
            let families = ["match.1", "args", "arg.1", "answers", "reply", "call.status"];
            let near = nearest(key, names.clone().chain(families));
            let names: Vec<_> = names.collect();
            let hint = match near {
                Some(near) => format!("did you mean `{{{{{near}}}}}`?"),
                None => format!("there are {}, match.1, args, answers.x, reply", names.join(", ")),
            };
            (false, hint)
        }
    };
    if is_known {
        Ok(Origin::Kept)
    } else {
        Err(format!("`{{{{{key}}}}}` is not known: {problem}"))
    }
}

/// The front of `text` whose JSON has at most `bytes_max` bytes.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut cut = &text[..text.floor_char_boundary(bytes_max)];
    loop {
        let escaped = Value::from(cut).to_string().len() - 2;
        if escaped <= bytes_max {
            return cut;
        }
        // A letter takes up to six bytes of JSON, so a few rounds are enough.
        let fewer = (escaped - bytes_max).div_ceil(6);
        cut = &cut[..cut.floor_char_boundary(cut.len().saturating_sub(fewer))];
    }
}

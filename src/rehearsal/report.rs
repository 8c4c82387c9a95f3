//! What a rehearsal shows: each firing with what would have been done, and how often in all.

use crate::base::escape;
use crate::base::letters::is_unsafe;
use crate::base::moment;
use crate::handlers::{Action, Counts, Handler, Handlers, Occasion, Say};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Letters of a text that are shown to people.
const TEXT_LETTERS_MAX: usize = 160;

/// How it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// For people.
    Words,
    /// `{"firings":[…],"handlers":[…],"events":…}`, one firing a line.
    Json,
}

/// A handler that fired.
pub(super) struct Fired<'f> {
    pub(super) ts_us: i64,
    /// The record; `None` when time passed.
    pub(super) seq: Option<u64>,
    pub(super) handler: &'f str,
    pub(super) occasion: &'f Occasion<'f>,
}

/// A report on its way out.
pub(super) struct Report<'r> {
    out: &'r mut dyn Write,
    form: Form,
    /// Firings that are shown at most.
    shown_max: u64,
    event_count: u64,
    fired_count: u64,
}

/// One of the counts.
type Count = fn(&Counts) -> u64;

/// Columns of the table at the end: name, value.
const COLUMNS: [(&str, Count); 6] = [
    ("matched", |counts| counts.matched),
    ("fired", |counts| counts.fired),
    ("limited", |counts| counts.limited),
    ("answered", |counts| counts.answered),
    ("unanswered", |counts| counts.unanswered),
    ("failed", |counts| counts.failed),
];

impl<'r> Report<'r> {
    /// Shows so many firings; 0: all.
    pub(super) fn begin(
        out: &'r mut dyn Write,
        form: Form,
        shown_count: usize,
    ) -> io::Result<Self> {
        if form == Form::Json {
            out.write_all(b"{\"firings\":[")?;
        }
        let shown_max = if shown_count == 0 { u64::MAX } else { shown_count as u64 };
        Ok(Self { out, form, shown_max, event_count: 0, fired_count: 0 })
    }

    /// Something happened.
    pub(super) fn seen(&mut self) {
        self.event_count += 1;
    }

    /// A handler did something about it.
    pub(super) fn fired(&mut self, fired: &Fired<'_>, actions: &[Action]) -> io::Result<()> {
        self.fired_count += 1;
        if self.fired_count > self.shown_max {
            return Ok(());
        }
        let occasion = fired.occasion;
        if self.form == Form::Json {
            let mut value = occasion.json();
            value["time"] = moment::format(fired.ts_us).into();
            value["seq"] = fired.seq.into();
            value["handler"] = fired.handler.into();
            value["actions"] = actions.iter().map(action_value).collect();
            let gap = if self.fired_count == 1 { "\n" } else { ",\n" };
            return write!(self.out, "{gap}{}", shown_json(&value));
        }
        let time = seconds(fired.ts_us);
        let room = shown(occasion.room);
        writeln!(self.out, "{time}  {}  {room}  {}", fired.handler, what(occasion))?;
        for action in actions {
            writeln!(self.out, "    {}", action_words(action))?;
        }
        Ok(())
    }

    /// Shows the counts. Gives how many firings there were.
    pub(super) fn end(mut self, handlers: &Handlers, since_us: i64) -> io::Result<u64> {
        match self.form {
            Form::Words => self.end_in_words(handlers, since_us)?,
            Form::Json => {
                let all: Vec<Value> = handlers.iter().map(handler_value).collect();
                let all = shown_json(&Value::from(all));
                let (events, since) = (self.event_count, moment::format(since_us));
                let tail = format!("\"handlers\":{all},\"events\":{events},\"since\":\"{since}\"");
                writeln!(self.out, "\n],{tail}}}")?;
            }
        }
        self.out.flush()?;
        Ok(self.fired_count)
    }

    fn end_in_words(&mut self, handlers: &Handlers, since_us: i64) -> io::Result<()> {
        let hidden = self.fired_count.saturating_sub(self.shown_max);
        if hidden > 0 {
            writeln!(self.out, "… and {hidden} more; -n 0 shows all")?;
        }
        if self.fired_count > 0 {
            writeln!(self.out)?;
        }
        let names = handlers.iter().map(|(handler, _)| handler.name().len());
        let width = names.max().unwrap_or(0).max("handler".len());
        let mut head = format!("{:width$}", "handler");
        for (name, _) in COLUMNS {
            let _ = write!(head, "  {name:>7}");
        }
        writeln!(self.out, "{head}")?;
        for (handler, counts) in handlers.iter() {
            let mut row = format!("{:width$}", handler.name());
            for (name, value) in COLUMNS {
                let _ = write!(row, "  {:>1$}", value(counts), name.len().max(7));
            }
            let off = if handler.is_enabled() { "" } else { "  (not enabled)" };
            let why = if counts.failed > 0 { shown(&counts.last_error) } else { String::new() };
            let why = if why.is_empty() { why } else { format!("  {why}") };
            writeln!(self.out, "{row}{off}{why}")?;
        }
        let (events, since) = (self.event_count, seconds(since_us));
        let (events, firings) = (counted(events, "event"), counted(self.fired_count, "firing"));
        writeln!(self.out, "{events} since {since}, {firings}")
    }
}

fn handler_value((handler, counts): (&Handler, &Counts)) -> Value {
    let mut value = json!({"name": handler.name(), "enabled": handler.is_enabled()});
    for (name, column) in COLUMNS {
        value[name] = column(counts).into();
    }
    if counts.failed > 0 {
        value["last_error"] = (*counts.last_error).into();
    }
    value
}

/// `message of Ada: "Where is it?"`
fn what(occasion: &Occasion<'_>) -> String {
    let mut words = occasion.kind.name().to_owned();
    let name = if occasion.name.is_empty() { occasion.sender } else { occasion.name };
    if !name.is_empty() {
        words += &format!(" of {}", shown(name));
    }
    if occasion.content_type != "text" {
        words += &format!(" ({})", shown(occasion.content_type));
    }
    let value = [occasion.text, occasion.status].into_iter().find(|text| !text.is_empty());
    if let Some(value) = value {
        words += &format!(": \"{}\"", shown(value));
    } else if occasion.unanswered_ms > 0 {
        words += &format!(" for {} min", occasion.unanswered_ms / 60_000);
    }
    words
}

fn action_words(action: &Action) -> String {
    let quoted = |text: &str| format!("\"{}\"", shown(text));
    let rest = match action {
        Action::Reply { say, quote } => {
            let say = match say {
                Say::Text(text) => quoted(text),
                Say::Content(json) => shown(json),
            };
            if *quote { format!("(quoting) {say}") } else { say }
        }
        Action::Post { room, text } => format!("in {}: {}", shown(room), quoted(text)),
        Action::Note { text } => quoted(text),
        Action::Assign(user) => user.as_deref().map_or("nobody".to_owned(), shown),
        Action::Tag { add, remove } => {
            let add = add.iter().map(|tag| format!("+{}", shown(tag)));
            let all = add.chain(remove.iter().map(|tag| format!("-{}", shown(tag))));
            all.collect::<Vec<_>>().join(" ")
        }
        Action::State(state) => (*state).to_owned(),
        Action::Command { name, args } => format!("/{} {}", shown(name), shown(args)),
        Action::Call { url, key, body, .. } => {
            let signed = if key.is_some() { " (signed)" } else { "" };
            format!("{}{signed} {}", shown(url), shown(body))
        }
        Action::Step { until_ms, .. } => {
            format!("and wait for an answer until {}", seconds(until_ms.saturating_mul(1_000)))
        }
        Action::EndStep | Action::Read | Action::Typing => String::new(),
    };
    format!("{} {rest}", action.name()).trim_end().to_owned()
}

fn action_value(action: &Action) -> Value {
    let mut value = match action {
        Action::Reply { say: Say::Text(text), quote } => json!({"text": &**text, "quote": quote}),
        Action::Reply { say: Say::Content(json), quote } => {
            let content: Value = serde_json::from_str(json).expect("a template is JSON");
            json!({"content": content, "quote": quote})
        }
        Action::Post { room, text } => json!({"to": &**room, "text": &**text}),
        Action::Note { text } => json!({"text": &**text}),
        Action::Assign(user) => json!({"user": user.as_deref()}),
        Action::Tag { add, remove } => json!({"tag": texts(add), "untag": texts(remove)}),
        Action::State(state) => json!({"state": state}),
        Action::Command { name, args } => json!({"command": &**name, "args": &**args}),
        Action::Call { url, key, body, timeout_ms, .. } => {
            let body: Value = serde_json::from_str(body).expect("a template is JSON");
            json!({"url": &**url, "signed": key.is_some(), "body": body, "timeout_ms": timeout_ms})
        }
        Action::Step { until_ms, .. } => json!({"until": until_ms}),
        Action::EndStep | Action::Read | Action::Typing => json!({}),
    };
    value["do"] = action.name().into();
    value
}

fn texts(texts: &[Box<str>]) -> Vec<&str> {
    texts.iter().map(|text| &**text).collect()
}

fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// `2026-11-22T18:01:03Z`
fn seconds(ts_us: i64) -> String {
    let text = moment::format(ts_us);
    format!("{}Z", text.split('.').next().expect("a text has a front"))
}

/// For a terminal: in one line, cut, and nothing that could deceive.
fn shown(text: &str) -> String {
    let mut letters = text.chars();
    let front: String = letters.by_ref().take(TEXT_LETTERS_MAX).collect();
    let mut shown = String::new();
    escape::terminal(&front, &mut shown);
    if letters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// JSON on one line, with what could deceive a terminal as `\u` escapes: it stands in texts only.
fn shown_json(value: &Value) -> String {
    let mut shown = String::new();
    for letter in value.to_string().chars() {
        if is_unsafe(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(letter);
        }
    }
    shown
}

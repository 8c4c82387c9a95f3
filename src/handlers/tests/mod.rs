//! What definitions mean, as tables.

mod conditions;
mod conversations;
mod examples;
mod faults;
mod properties;

use super::{Action, CallReply, EventKind, Handler, Handlers, Occasion, Planned, Say, Source};

/// Monday, 2026-11-23T10:00:00Z.
pub(super) const NOW_MS: i64 = 1_795_428_000_000;

/// A conversation with a contact.
pub(super) const ROOM: &str = "wa:1102:447700900123";

/// Somebody who talks to handlers, and keeps what they ask to be kept.
#[derive(Default)]
pub(super) struct Desk {
    pub handlers: Handlers,
    pub step: Option<(String, i64)>,
    resumes: Vec<String>,
}

impl Desk {
    /// With these handlers: (name, definition).
    pub fn with(definitions: &[(&str, &str)]) -> Self {
        let mut desk = Self::default();
        for (name, json) in definitions {
            let handler =
                Handler::parse(name, json).unwrap_or_else(|fault| panic!("{name}: {fault}"));
            desk.handlers.put(handler);
        }
        desk
    }

    /// What is done when the contact writes.
    pub fn hear(&mut self, text: &str) -> String {
        self.hear_at(NOW_MS, text)
    }

    pub fn hear_at(&mut self, now_ms: i64, text: &str) -> String {
        let occasion = Occasion { text, ..contact(now_ms) };
        self.meet(&occasion)
    }

    /// What is done about an occasion, in one line; what is kept comes with it.
    pub fn meet(&mut self, occasion: &Occasion<'_>) -> String {
        let step = self.step.as_ref().map(|(stored, _)| stored.clone());
        let mut out = Vec::new();
        self.handlers.consider(&Occasion { step: step.as_deref(), ..*occasion }, &mut out);
        self.describe(&out)
    }

    /// The question was not answered in time.
    pub fn time_out(&mut self) -> String {
        let (_, until_ms) = self.step.as_ref().expect("a question");
        self.meet(&Occasion::new(EventKind::Timeout, *until_ms, ROOM))
    }

    /// The answer to the oldest call that waits for one.
    pub fn reply(&mut self, status: u16, body: &str) -> String {
        let resume = self.resumes.remove(0);
        let error = if status == 0 { "nobody is there" } else { "" };
        let mut out = Vec::new();
        let reply = CallReply { status, body, error, took_ms: 20 };
        self.handlers.replied(&resume, &reply, NOW_MS, &mut out);
        self.describe(&out)
    }

    fn describe(&mut self, planned: &[Planned]) -> String {
        let mut words = Vec::new();
        for plan in planned {
            assert!(!plan.actions.is_empty());
            let actions: Vec<_> = plan.actions.iter().map(|action| self.perform(action)).collect();
            words.push(format!("{}: {}", plan.handler, actions.join(" + ")));
        }
        words.join("; ")
    }

    fn perform(&mut self, action: &Action) -> String {
        match action {
            Action::Reply { say: Say::Text(text) | Say::Content(text), quote } => {
                format!("{}{text:?}", if *quote { "quoting " } else { "" })
            }
            Action::Post { room, text } => format!("in {room} {text:?}"),
            Action::Note { text } => format!("note {text:?}"),
            Action::Assign(user) => format!("assign {}", user.as_deref().unwrap_or("nobody")),
            Action::Tag { add, remove } => format!("tag +{} -{}", add.join(","), remove.join(",")),
            Action::State(state) => format!("state {state}"),
            Action::Command { name, args } => format!("/{name} {args}"),
            Action::Call { url, key, body, timeout_ms, resume } => {
                self.resumes.extend(resume.iter().map(|resume| resume.to_string()));
                let key = if key.is_some() { "signed " } else { "" };
                format!("{key}call {url} {body} for {timeout_ms}")
            }
            Action::Step { stored, until_ms } => {
                self.step = Some((stored.to_string(), *until_ms));
                format!("wait {} min", (until_ms - NOW_MS) / 60_000)
            }
            Action::EndStep => {
                self.step = None;
                "end".to_owned()
            }
            Action::Read | Action::Typing => action.name().to_owned(),
        }
    }
}

/// A message of the contact without a text.
pub(super) fn contact(now_ms: i64) -> Occasion<'static> {
    Occasion {
        sender: "wa:447700900123",
        name: "Ada",
        source: Source::Contact,
        state: "open",
        ..Occasion::new(EventKind::Message, now_ms, ROOM)
    }
}

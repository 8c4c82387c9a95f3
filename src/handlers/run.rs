//! From what a definition says to what is to be done now.

use super::action::{Action, Say};
use super::deed::{Ask, Call, Deed, Message};
use super::handler::Handler;
use super::step::{Stored, keep};
use super::template::{Template, Values};
use crate::base::limits::{CONTENT_BYTES_MAX, HTTP_BODY_BYTES_MAX, TEXT_BYTES_MAX};

/// One handler at work.
pub(super) struct Run<'r> {
    pub handler: &'r Handler,
    pub values: Values<'r>,
    /// Who is asked, if something is; empty: the contact of the conversation.
    pub who: &'r str,
    pub now_ms: i64,
    pub depth: u8,
    pub actions: Vec<Action>,
    /// What could not be done.
    pub error: Option<&'static str>,
}

impl Run<'_> {
    /// Does what a list says. `place` is that of the list: see [`Stored::at`].
    pub(super) fn all(&mut self, deeds: &[Deed], place: &[u8]) {
        for (index, deed) in deeds.iter().enumerate() {
            let index = u8::try_from(index).expect("a definition has fewer actions");
            let at = [place, &[index]].concat();
            match self.one(deed, at) {
                Some(action) => self.actions.push(action),
                None => self.error = Some("with these values a message would be empty or too long"),
            }
        }
    }

    fn one(&mut self, deed: &Deed, at: Vec<u8>) -> Option<Action> {
        Some(match deed {
            Deed::Reply { message, quote } => {
                Action::Reply { say: self.say(message)?, quote: *quote }
            }
            Deed::Post { room, text } => {
                Action::Post { room: room.clone(), text: self.text(text)? }
            }
            Deed::Note(text) => Action::Note { text: self.text(text)? },
            Deed::Assign(None) => Action::Assign(None),
            Deed::Assign(Some(user)) => Action::Assign(Some(self.text(user)?)),
            Deed::Tag { add, remove } => {
                let all =
                    |tags: &[Template]| tags.iter().filter_map(|tag| self.text(tag)).collect();
                Action::Tag { add: all(add), remove: all(remove) }
            }
            Deed::State(state) => Action::State(state),
            Deed::Command { name, args } => {
                let args = args.as_ref().and_then(|args| self.text(args)).unwrap_or_default();
                Action::Command { name: name.clone(), args }
            }
            Deed::Call(call) => self.call(call, deed, at)?,
            Deed::Ask(ask) => {
                let say = self.say(&ask.message)?;
                self.actions.push(Action::Reply { say, quote: false });
                self.wait(ask, self.stored(deed, at))
            }
            Deed::End => Action::EndStep,
            Deed::Read => Action::Read,
            Deed::Typing => Action::Typing,
        })
    }

    fn call(&self, call: &Call, deed: &Deed, at: Vec<u8>) -> Option<Action> {
        let body = match (&call.body, self.values.occasion) {
            (Some(body), _) => body.render(&self.values, HTTP_BODY_BYTES_MAX)?,
            (None, Some(occasion)) => occasion.json().to_string().into(),
            // Behind another call: what that one answered.
            (None, None) => self.values.reply.as_ref()?.json(),
        };
        let waits = !call.next.is_empty();
        let resume = waits.then(|| self.stored(deed, at).write());
        let (url, key) = (call.url.clone(), call.key.clone());
        Some(Action::Call { url, key, body, timeout_ms: call.timeout_ms, resume })
    }

    /// Waits for the answer to a question that is asked.
    pub(super) fn wait(&self, ask: &Ask, stored: Stored) -> Action {
        let until_ms = self.now_ms.saturating_add(ask.timeout_ms);
        Action::Step { stored: stored.write(), until_ms }
    }

    fn stored(&self, deed: &Deed, at: Vec<u8>) -> Stored {
        Stored {
            handler: self.handler.name().to_owned(),
            print: self.handler.print(),
            at,
            who: self.who.to_owned(),
            tries: 0,
            depth: self.depth,
            kept: keep(deed, &self.values),
        }
    }

    pub(super) fn say(&self, message: &Message) -> Option<Say> {
        match message {
            Message::Text(text) => self.text(text).map(Say::Text),
            Message::Content(json, _) => {
                json.render(&self.values, CONTENT_BYTES_MAX).map(Say::Content)
            }
        }
    }

    /// `None` when nothing is left of it.
    fn text(&self, template: &Template) -> Option<Box<str>> {
        let text = template.render(&self.values, TEXT_BYTES_MAX)?;
        (!text.trim().is_empty()).then_some(text)
    }
}

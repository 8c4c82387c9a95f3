//! Owner: a call that outlives the event it came with, whoever carries it out: another server, a
//! process, or a script or module that takes turns on this shard.
//!
//! Its beginning is in the log before anything happens, and its end before anybody is answered. So
//! one that the server did not survive is known, and not made again.

use super::Hub;
use super::commanding::{Caller, speaker};
use super::keeping::kept_key;
use crate::base::clock::Now;
use crate::base::limits::{
    COMMAND_KEYS_MAX, COMMAND_STATE_BYTES_MAX, HANDLER_CALL_REPLY_BYTES_MAX,
};
use crate::base::names::is_contact;
use crate::chat::event::{Asker, Cid, Effect, Name, Outcome, Refusal, Source};
use crate::commands::Entry;
use crate::commands::arguments::Given;
use crate::commands::program::{Failed, Output, State, UNDER_WAY};
use serde_json::json;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    pub id: Box<str>,
    /// As it was typed.
    pub name: Box<str>,
    pub given: Given,
    pub entry: Arc<Entry>,
    pub by: Asker,
    pub room: Name,
    pub cid: Cid,
    pub since_us: u64,
    /// What it has cost.
    pub cost: u64,
}

impl Call {
    pub fn new(caller: &Caller<'_>, entry: &Arc<Entry>, name: &str, given: Given) -> Self {
        Self {
            id: caller.call.clone(),
            name: name.into(),
            given,
            entry: Arc::clone(entry),
            by: caller.by.clone(),
            room: caller.room.clone(),
            cid: caller.cid.clone(),
            since_us: caller.since_us,
            cost: 0,
        }
    }

    pub fn caller(&self) -> Caller<'_> {
        Caller {
            call: self.id.clone(),
            by: &self.by,
            room: &self.room,
            cid: self.cid.clone(),
            version: None,
            since_us: self.since_us,
            confirmed: true,
            depth: 0,
        }
    }

    /// How long one step of it may take, ms.
    pub fn time_ms(&self) -> u64 {
        self.entry.manifest.limits.time_ms
    }

    /// Under which its beginning is kept until its end.
    fn state_key(&self) -> String {
        kept_key(&self.entry.key, &format!("{UNDER_WAY}{}", self.id))
    }
}

/// What somebody answered, as text and no more of it than is read.
pub(super) fn reply_text(body: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(body);
    let end = text.floor_char_boundary(HANDLER_CALL_REPLY_BYTES_MAX);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

impl Hub {
    /// Writes down that a call is under way. Gives the append.
    pub(super) fn note_beginning(
        &mut self,
        now: Now,
        call: &Call,
        effects: &mut Vec<Effect>,
    ) -> Result<u64, Refusal> {
        let (user, name, line) = (&*call.by.user, &*call.name, &*call.given.line);
        let value = json!({"user": user, "name": name, "args": line, "cid": *call.cid});
        let by = (&call.room, &call.by.user);
        self.keep(now, by, &call.state_key(), &value.to_string(), effects)
    }

    /// Writes the record of a call that has ended.
    pub(super) fn conclude(
        &mut self,
        now: Now,
        call: &Call,
        outcome: Outcome,
        effects: &mut Vec<Effect>,
    ) {
        let line = (&*call.name, &*call.given.line);
        self.note_call(now, &call.caller(), line, (outcome, call.cost), effects);
        // What a full log cannot forget now is forgotten at the next start.
        let by = (&call.room, &call.by.user);
        let _ = self.keep(now, by, &call.state_key(), "", effects);
    }

    /// Tells whoever asked; a contact reads only what is sent to it.
    pub(super) fn tell_caller(
        &mut self,
        now: Now,
        call: &Call,
        kind: &str,
        text: String,
        effects: &mut Vec<Effect>,
    ) {
        if !is_contact(&call.by.user) {
            self.whisper(now, &call.caller(), kind, text, effects);
        } else if !text.is_empty() {
            self.tell_room(now, call, text.into(), effects);
        }
    }

    /// Tells everybody who is where it was called.
    pub(super) fn tell_room(
        &mut self,
        now: Now,
        call: &Call,
        text: Box<str>,
        effects: &mut Vec<Effect>,
    ) {
        let place = (&call.room, &speaker(&call.entry.name));
        let done = self.write(now, place, Source::Command, (text, None), None, effects);
        if let Err(refusal) = done {
            let text = format!("/{} said what cannot be shown: {}", call.name, refusal.text);
            self.whisper(now, &call.caller(), "error", text, effects);
        }
    }

    /// Whether such a call has begun and not ended.
    pub(super) fn is_under_way(&self, is_it: impl Fn(&Call) -> bool) -> bool {
        self.commanding.leaving.under_way().chain(self.working.under_way()).any(is_it)
    }

    /// Gives up what was called by somebody, or somewhere, that is forgotten: nobody is answered,
    /// and nothing more is written of it.
    pub(super) fn forget_calls(&mut self, is_gone: impl Fn(&str, &str) -> bool) {
        let is_gone = |user: &Name, room: &Name| is_gone(user, room);
        self.commanding.forget(is_gone);
        self.working.forget_calls(|call| is_gone(&call.by.user, &call.room));
    }

    /// What a command keeps where it was called.
    pub(super) fn state_of(&self, entry: &Entry, room: &Name) -> State {
        let room = &self.rooms[room];
        if !room.keeps_anything() {
            return State::default();
        }
        let begin = kept_key(&entry.key, "");
        let all = room.kept_of(&begin).map(|(key, value)| (&key[begin.len()..], value));
        let own = all.filter(|(key, _)| !key.starts_with(UNDER_WAY));
        State(own.map(|(key, value)| (key.into(), value.into())).collect())
    }

    /// Keeps what a program wants kept: all of it or nothing.
    pub(super) fn keep_all(
        &mut self,
        now: Now,
        call: &Call,
        output: &Output,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Failed> {
        if output.keep.is_empty() {
            return Ok(());
        }
        let known = self.state_of(&call.entry, &call.room);
        let mut all: BTreeMap<&str, &str> =
            known.0.iter().map(|(key, value)| (&**key, &**value)).collect();
        for (key, value) in &output.keep {
            match value {
                Some(value) => drop(all.insert(key, value)),
                None => drop(all.remove(&**key)),
            }
        }
        let bytes: usize = all.iter().map(|(key, value)| key.len() + value.len()).sum();
        // Calls under way stand beside what is kept.
        let count_max =
            COMMAND_KEYS_MAX - call.entry.manifest.limits.at_once.min(COMMAND_KEYS_MAX / 2);
        if all.len() > count_max || bytes > COMMAND_STATE_BYTES_MAX {
            let text = format!(
                "it keeps more than {count_max} values, or {COMMAND_STATE_BYTES_MAX} bytes, here"
            );
            return Err(Failed::Broken(text));
        }
        let full = |refusal: Refusal| Failed::Broken(refusal.text.into());
        let value_bytes = |value: &Option<Box<str>>| value.as_ref().map_or(0, |value| value.len());
        let sizes = output
            .keep
            .iter()
            .map(|(key, value)| super::RECORD_OVERHEAD_BYTES + key.len() + value_bytes(value));
        self.check_log(sizes.sum()).map_err(full)?;
        for (key, value) in &output.keep {
            let key = kept_key(&call.entry.key, key);
            let value = value.as_deref().unwrap_or_default();
            self.keep(now, (&call.room, &call.by.user), &key, value, effects).map_err(full)?;
        }
        Ok(())
    }
}

//! One joined room: how far it has been read, and what is still known of its messages. Pure.

use super::note::{Message, Note};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// Messages of a room that are remembered, for edits, replies and `/edit`.
const REMEMBERED_MAX: usize = 500;
/// Lines kept of a room that nobody looks at.
const BACKLOG_MAX: usize = 300;
/// Events kept while history is being paged. Beyond, they are dropped and paged too.
const HELD_MAX: usize = 10_000;

/// Where this client stands in a room.
///
/// Invariant: every event up to `position` has been shown or told as missed, none beyond it.
#[derive(Debug, Default)]
pub struct Room {
    /// Offset of the last event taken; `None` until the first join.
    pub position: Option<u64>,
    /// Whether the server has us in the room now.
    pub joined: bool,
    /// Messages not looked at yet.
    pub unread: u32,
    /// Offset of the newest own message.
    pub last_own: Option<u64>,
    /// Whether a page of history is under way that leads up to the live events.
    pub filling: bool,
    held: Vec<Value>,
    backlog: VecDeque<Note>,
    texts: BTreeMap<u64, (String, String)>,
}

/// What to do with a durable event.
#[derive(Clone, PartialEq, Debug)]
pub enum Turn {
    /// It is the next one: show it.
    Take(Value),
    /// It was taken before, or waits for history.
    Nothing,
    /// Events before it are missing: page history from the position on.
    Fill,
}

impl Room {
    /// Judges a durable event by its offset.
    pub fn arrive(&mut self, o: u64, event: Value) -> Turn {
        let Some(position) = self.position else { return Turn::Nothing };
        if o <= position {
            return Turn::Nothing;
        }
        if !self.filling && o == position + 1 {
            self.position = Some(o);
            return Turn::Take(event);
        }
        let fill = !self.filling;
        if self.held.len() < HELD_MAX {
            self.held.push(event);
        }
        if fill { Turn::Fill } else { Turn::Nothing }
    }

    /// History has been paged up to `top`: gives the live events that waited for it.
    pub fn filled(&mut self, top: u64) -> Vec<Value> {
        self.filling = false;
        self.position = self.position.max(Some(top));
        std::mem::take(&mut self.held)
    }

    /// The connection is gone; what was held will be replayed.
    pub fn cut(&mut self) {
        self.joined = false;
        self.filling = false;
        self.held.clear();
    }

    /// The server lost what was beyond `o`.
    pub fn roll_back(&mut self, o: u64) {
        self.position = self.position.min(Some(o));
        self.texts.split_off(&(o + 1));
        self.last_own = self.last_own.filter(|own| *own <= o);
    }

    /// Remembers a message for later edits and replies.
    pub fn remember(&mut self, message: &Message) {
        self.texts.insert(message.o, (message.from.clone(), message.text.clone()));
        if self.texts.len() > REMEMBERED_MAX {
            self.texts.pop_first();
        }
        if message.own {
            self.last_own = self.last_own.max(Some(message.o));
        }
    }

    /// Author and text of a remembered message.
    pub fn recall(&self, o: u64) -> Option<(&str, &str)> {
        self.texts.get(&o).map(|(from, text)| (from.as_str(), text.as_str()))
    }

    /// A message has a new text; gives the old one.
    pub fn change(&mut self, o: u64, text: &str) -> Option<String> {
        let (_, own) = self.texts.get_mut(&o)?;
        Some(std::mem::replace(own, text.to_string()))
    }

    /// A message is gone; gives its text.
    pub fn erase(&mut self, o: u64) -> Option<String> {
        self.last_own = self.last_own.filter(|own| *own != o);
        self.texts.remove(&o).map(|(_, text)| text)
    }

    /// Keeps a line for when somebody looks.
    pub fn put_aside(&mut self, note: Note) {
        if self.backlog.len() == BACKLOG_MAX {
            self.backlog.pop_front();
        }
        self.backlog.push_back(note);
    }

    /// Somebody looks: gives the lines kept.
    pub fn look(&mut self) -> Vec<Note> {
        self.unread = 0;
        self.backlog.drain(..).collect()
    }
}

//! Owner: how far conversations with contacts are, whose they are, and the inbox that shows them.

use super::Hub;
use super::owner::event;
use crate::base::clock::Now;
use crate::base::codes::ErrorCode;
use crate::base::ids::{Address, ConnId, Offset, ShardId};
use crate::base::limits::{INBOX_LOOKS_MAX, PRESENCE_TICK_MS, TAG_BYTES_MAX};
use crate::base::names::{rule_fits, split_conversation};
use crate::chat::conversation::Contact;
use crate::chat::event::{
    Asker, ConversationChange, ConversationState, Direction, Effect, Fact, Frame, Message, Name,
    OutboxOrder, Record, Refusal, Source,
};
use crate::chat::inbox::{self, Asked, Page, Query};
use crate::chat::reply;
use crate::chat::request::{bad, check_user, refuse};
use crate::handlers::EventKind;
use serde_json::Value;
use std::collections::BTreeSet;

/// Somebody of the server: no user has an empty name.
pub(super) const SERVER: &str = "";

impl Hub {
    /// Whether a user may see conversations with contacts.
    pub(super) fn is_agent(&self, user: &str) -> bool {
        let agents = &self.options.agents;
        (self.options.dev && agents.is_empty()) || agents.iter().any(|rule| rule_fits(rule, user))
    }

    /// Refuses those who may not see conversations.
    pub(super) fn check_agent(&self, by: &Asker) -> Result<(), Refusal> {
        if by.api || self.is_agent(&by.user) {
            return Ok(());
        }
        let text = "conversations with contacts are for agents; see the setting `whatsapp.agents`";
        Err(refuse(ErrorCode::Forbidden, text))
    }

    /// Changes a conversation and answers with how it stands.
    pub(super) fn converse(
        &mut self,
        now: Now,
        name: &Name,
        by: &Asker,
        changes: &[ConversationChange],
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        if split_conversation(name).is_none() {
            return Err(bad("conv: this room is no conversation with a contact"));
        }
        if !changes.is_empty() {
            self.check_log(changes.iter().map(|change| change.value().len() + 512).sum())?;
        }
        for change in changes {
            check_change(change)?;
        }
        let appends = changes
            .iter()
            .map(|change| self.change_conversation(now, name, &by.user, change.clone(), effects));
        let last = appends.collect::<Vec<_>>().into_iter().flatten().last();
        let d = self.conversation_value(name, Some(&by.user));
        match last {
            Some(append) => self.confirm(by, append, &d, effects),
            None => self.grant_value(by, &d, effects),
        }
        Ok(())
    }

    /// Carries out one change: into the log, and to the room where it has an event. Gives the
    /// number of its record, if there was anything to change.
    pub(super) fn change_conversation(
        &mut self,
        now: Now,
        name: &Name,
        by: &Name,
        change: ConversationChange,
        effects: &mut Vec<Effect>,
    ) -> Option<u64> {
        let room = self.rooms.get_mut(name).expect("the caller found it");
        let o = room.tail.top().next();
        let outside = room.outside();
        if outside.is_idle(&change) {
            return None;
        }
        outside.apply(&change, now.wall_ms());
        self.inbox.mark(name, outside);
        let kind = match &change {
            ConversationChange::State(_) => Some(EventKind::State),
            ConversationChange::Assign(_) => Some(EventKind::Assigned),
            ConversationChange::Tag(_) | ConversationChange::Untag(_) => Some(EventKind::Tagged),
            _ => None,
        };
        kind.into_iter().for_each(|kind| self.note(kind, name, by));
        let user = by.clone();
        Some(match reply::conversation(name, (o, now.wall_ms()), by, &change) {
            Some(frame) => {
                let fact = Fact::Conversation { o: Some(o), change };
                self.commit(now, name, user, event(frame), (fact, None), effects)
            }
            None => {
                let (room, fact) = (name.clone(), Fact::Conversation { o: None, change });
                self.append(Record { ts_us: now.wall_us, user, room, fact }, effects)
            }
        })
    }

    /// A message of the contact is in the room: the conversation goes on.
    pub(super) fn contact_wrote(
        &mut self,
        now: Now,
        name: &Name,
        (at_ms, o): (i64, Offset),
        external: Box<str>,
        effects: &mut Vec<Effect>,
    ) {
        let outside = self.rooms.get_mut(name).expect("the caller found it").outside();
        // The first turn of all is seen from the message itself.
        let again = outside.waiting_ms.is_none() && !outside.is_new();
        outside.heard(at_ms, o, external);
        // The window is open again.
        effects.push(Effect::Outbox(OutboxOrder::Heard { room: name.clone(), at_ms }));
        self.inbox.mark(name, outside);
        let is_open = outside.state == ConversationState::Open;
        let server = Name::default();
        if again {
            outside.waiting_ms = None;
            let turn = ConversationChange::Turn { waiting: true };
            self.change_conversation(now, name, &server, turn, effects);
        }
        if !is_open {
            let open = ConversationChange::State(ConversationState::Open);
            self.change_conversation(now, name, &server, open, effects);
        }
        if self.cares(EventKind::Unanswered) {
            self.set_alarm(name);
        }
    }

    /// Something is known of who the contact is.
    pub(super) fn know_contact(
        &mut self,
        now: Now,
        name: &Name,
        newer: &Contact,
        effects: &mut Vec<Effect>,
    ) {
        let outside = self.rooms.get_mut(name).expect("the caller found it").outside();
        let mut contact = outside.contact.clone();
        if contact.learn(newer) {
            let change = ConversationChange::Contact(contact.text());
            self.change_conversation(now, name, &SERVER.into(), change, effects);
            self.link_ids(name, &contact, effects);
        }
    }

    /// A message went to the contact: answered, unless a machine did it.
    pub(super) fn we_wrote(
        &mut self,
        now: Now,
        name: &Name,
        source: Source,
        direction: Direction,
        effects: &mut Vec<Effect>,
    ) {
        if direction != Direction::Out {
            return;
        }
        let outside = self.rooms.get_mut(name).expect("the caller found it").outside();
        outside.active_ms = outside.active_ms.max(now.wall_ms());
        self.inbox.mark(name, outside);
        // A person in the platform's own app is one too.
        if matches!(source, Source::Ws | Source::Api | Source::WhatsApp) {
            let turn = ConversationChange::Turn { waiting: false };
            self.change_conversation(now, name, &SERVER.into(), turn, effects);
        }
    }

    /// How a conversation stands, for the protocol.
    pub(super) fn conversation_value(&self, name: &Name, user: Option<&Name>) -> Value {
        let room = &self.rooms[name];
        let read = user.map(|user| room.marks.get(user).copied().unwrap_or_default().read);
        let nothing = Default::default();
        let outside = room.conversation.as_deref().unwrap_or(&nothing);
        inbox::value(name, outside, (&room.topic, room.visible), read)
    }

    /// Front: asks all shards for a page of the inbox.
    pub(super) fn ask_inbox(
        &mut self,
        by: (Address, Option<u32>),
        query: &Query,
        effects: &mut Vec<Effect>,
    ) {
        self.inbox_number += 1;
        let (number, from) = (self.inbox_number, self.options.shard);
        let waiting = usize::from(self.options.shard_count);
        let asked = Asked { by, limit: query.limit, waiting, pages: Vec::new() };
        self.inbox_asked.insert(number, asked);
        for shard in 0..self.options.shard_count {
            let query = Box::new(query.clone());
            self.tell(ShardId(shard), Message::AskInbox { from, number, query }, effects);
        }
    }

    /// Front: a shard has answered.
    pub(super) fn inbox_told(&mut self, number: u64, page: Page, effects: &mut Vec<Effect>) {
        let Some(asked) = self.inbox_asked.get_mut(&number) else {
            return;
        };
        asked.pages.push(page);
        asked.waiting -= 1;
        if asked.waiting == 0 {
            let asked = self.inbox_asked.remove(&number).expect("it was there");
            let (to, id) = asked.by;
            if let Some(id) = id {
                self.send(to.conn, reply::ok(id, &asked.value()), effects);
            }
        }
    }

    /// Owner: looks for its part of a page.
    pub(super) fn look_into_inbox(&mut self, query: &Query) -> Page {
        self.place_dirty();
        let mut page = Page::default();
        let places = self.inbox.behind(query.after.as_ref());
        for (looked, place) in places.enumerate() {
            if page.found.len() == query.limit || looked == INBOX_LOOKS_MAX {
                page.more = page.found.last().map(|(place, _)| place.clone());
                if looked == INBOX_LOOKS_MAX {
                    page.more = Some(place.clone());
                }
                break;
            }
            let found = self.rooms.get(&place.room).and_then(|room| room.conversation.as_deref());
            let fits = |outside| query.filter.fits(&place.room, outside);
            if found.is_some_and(fits) && self.goes_on_in(&place.room).is_none() {
                let value = self.conversation_value(&place.room, Some(&query.user));
                page.found.push((place.clone(), value));
            }
        }
        page
    }

    fn place_dirty(&mut self) {
        for name in std::mem::take(&mut self.inbox.dirty) {
            let room = self.rooms.get_mut(&name);
            if let Some(outside) = room.and_then(|room| room.conversation.as_mut()) {
                self.inbox.place(&name, outside);
                self.inbox_news.push(name);
            }
        }
    }

    /// Tells those who follow the inbox what changed since the last time.
    pub(super) fn tell_inbox(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.place_dirty();
        if now.mono_ms() < self.inbox_next_ms || self.inbox_news.is_empty() {
            return;
        }
        self.inbox_next_ms = now.mono_ms() + PRESENCE_TICK_MS;
        let news = std::mem::take(&mut self.inbox_news);
        let watching: Vec<_> = self.watching.iter().copied().collect();
        if watching.is_empty() {
            return;
        }
        let news: BTreeSet<_> = news.into_iter().collect();
        for name in &news {
            if !self.rooms.contains_key(name) {
                continue;
            }
            let frame = reply::inbox(&self.conversation_value(name, None));
            for shard in &watching {
                self.tell(*shard, Message::InboxNews { frame: frame.clone() }, effects);
            }
        }
    }

    /// Front: a session follows the inbox, or does not any more.
    pub(super) fn watch_inbox(&mut self, conn: ConnId, on: bool, effects: &mut Vec<Effect>) {
        let before = self.watchers.is_empty();
        if on {
            self.watchers.insert(conn);
        } else {
            self.watchers.remove(&conn);
        }
        if before != self.watchers.is_empty() {
            let from = self.options.shard;
            for shard in 0..self.options.shard_count {
                self.tell(ShardId(shard), Message::Watch { from, on }, effects);
            }
        }
    }

    /// Front: what changed in the inbox, to those who follow it.
    pub(super) fn inbox_changed(&mut self, frame: &Frame, effects: &mut Vec<Effect>) {
        let watchers = self.watchers.iter();
        let lagging = |conn: &ConnId| self.sessions.get(*conn).is_none_or(|one| one.lagging);
        let conns = watchers.filter(|conn| !lagging(conn));
        effects.extend(conns.map(|conn| Effect::Send { conn: *conn, frame: frame.clone() }));
    }

    /// Files every conversation that the log knew.
    pub(super) fn begin_inbox(&mut self) {
        for (name, room) in &mut self.rooms {
            if let Some(outside) = &mut room.conversation {
                self.inbox.place(name, outside);
            }
        }
    }
}

/// Whether what a client wrote into a change can be taken.
fn check_change(change: &ConversationChange) -> Result<(), Refusal> {
    match change {
        ConversationChange::Assign(Some(user)) => check_user(user),
        ConversationChange::Tag(tag) | ConversationChange::Untag(tag) => {
            let fits = (1..=TAG_BYTES_MAX).contains(&tag.len()) && tag.trim() == &**tag;
            if fits && !tag.chars().any(char::is_control) {
                return Ok(());
            }
            let text = format!("conv: a tag has 1 to {TAG_BYTES_MAX} bytes and no outer space");
            Err(bad(&text))
        }
        _ => Ok(()),
    }
}

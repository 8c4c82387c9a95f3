//! Owner: what handlers do in rooms, and the calls that they make.

use super::Hub;
use super::calls::reply_text;
use super::commanding::Line;
use super::occasions::Hand;
use super::owner::Post;
use crate::base::clock::Now;
use crate::base::codes::ErrorCode;
use crate::base::ids::{Address, ConnId, Offset};
use crate::base::limits::{CALL_GRACE_MS, HANDLER_CALLS_MAX};
use crate::base::names::HANDLER_PREFIX;
use crate::chat::event::{
    Asker, ConversationChange, ConversationState, Effect, Fact, Message, Name, Record, Refusal,
    Rich, Source,
};
use crate::chat::request::{check_room, refuse};
use crate::chat::room::Step;
use crate::handlers::{self, Action, CallReply, Planned, Say};
use crate::registry::sign::{SigningKey, signed_headers};
use std::sync::Arc;

/// A call that is under way.
#[derive(Debug)]
pub struct Calling {
    handler: Arc<str>,
    room: Name,
    o: Option<Offset>,
    resume: Option<Box<str>>,
    since_ms: u64,
    due_ms: u64,
}

/// One plan being carried out.
struct Actor<'a> {
    handler: &'a Arc<str>,
    /// As whom it writes.
    user: Name,
    depth: u8,
    room: &'a Name,
    /// The message that it is about.
    o: Option<Offset>,
}

impl Hub {
    /// Does what a handler wants done. What cannot be done is counted, and the rest done all the
    /// same.
    pub(super) fn act(
        &mut self,
        now: Now,
        (room, o): (&Name, Option<Offset>),
        plan: Planned,
        effects: &mut Vec<Effect>,
    ) {
        let Planned { handler, depth, actions } = plan;
        let user = user_of(&handler);
        let actor = Actor { handler: &handler, user, depth, room, o };
        let hand = Hand { source: handlers::Source::Handler, depth };
        let before = std::mem::replace(&mut self.rules.hand, hand);
        let mut actions = actions.into_iter().peekable();
        while let Some(action) = actions.next() {
            let name = action.name();
            // What was not asked has no answer, and what has not ended would come again.
            let is_end = matches!(action, Action::EndStep);
            let is_vital = is_end || matches!(actions.peek(), Some(Action::Step { .. }));
            if let Err(refusal) = self.act_one(now, &actor, action, effects) {
                let why = format!("{name} in {room}: {}", refusal.text);
                self.rules.handlers.failed(&handler, now.wall_ms(), &why);
                if is_end {
                    self.ring_again(room);
                }
                if is_vital {
                    break;
                }
            }
        }
        self.rules.hand = before;
    }

    fn act_one(
        &mut self,
        now: Now,
        actor: &Actor<'_>,
        action: Action,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let name = actor.room;
        // What needs no room comes first: news of the platform have none.
        match action {
            Action::Post { room, text } => self.post_to(actor, &room, text, effects),
            Action::Call { url, key, body, timeout_ms, resume } => {
                let call = Wanted { url, key, body, timeout_ms, resume };
                self.call(now, actor, call, effects)
            }
            _ if !self.rooms.contains_key(name) => {
                Err(refuse(ErrorCode::NoSuchRoom, "it happened in no room"))
            }
            Action::Reply { say, quote } => {
                let reply = actor.o.filter(|_| quote);
                let (text, rich) = match say {
                    Say::Text(text) => (text, None),
                    Say::Content(json) => ("".into(), Some(Rich::of_content(json))),
                };
                self.write(now, (name, &actor.user), Source::Handler, (text, rich), reply, effects)
            }
            Action::Note { text } => {
                let note = (text, Some(Rich { content: None, note: true }));
                self.write(now, (name, &actor.user), Source::Handler, note, None, effects)
            }
            Action::Assign(user) => {
                let change = ConversationChange::Assign(user.map(|user| (*user).into()));
                self.change_by(now, actor, [change], effects)
            }
            Action::Tag { add, remove } => {
                let add = add.into_iter().map(ConversationChange::Tag);
                let remove = remove.into_iter().map(ConversationChange::Untag);
                self.change_by(now, actor, add.chain(remove), effects)
            }
            Action::State(state) => {
                let state = ConversationState::parse(state).expect("a handler names known states");
                self.change_by(now, actor, [ConversationChange::State(state)], effects)
            }
            Action::Command { name: command, args } => {
                let by = self.nobody(&actor.user);
                let (cid, version, since_us) = (Default::default(), None, now.mono_us);
                let line = Line { name: &command, args: &args, cid, version, since_us };
                self.take_command(now, name, &by, line, effects)
            }
            Action::Step { stored, until_ms } => {
                self.log_step(now, actor, Some(Step { until_ms, stored }), effects)
            }
            Action::EndStep => self.log_step(now, actor, None, effects),
            Action::Read | Action::Typing => {
                self.check_number(name)?;
                let visible = self.rooms[name].visible;
                match action {
                    Action::Read => self.signal_read(name, visible, effects),
                    _ => self.signal_typing(name, now, effects),
                }
                Ok(())
            }
        }
    }

    /// Nobody who is connected, with all rights: the operator wrote what is done.
    pub(super) fn nobody(&self, user: &Name) -> Asker {
        let conn = ConnId { index: 0, generation: 0 };
        let from = Address { shard: self.options.shard, conn };
        Asker { from, user: user.clone(), id: None, api: true }
    }

    /// The server writes into a room in the name of somebody: to the contact, when it is a
    /// conversation and no note.
    pub(super) fn write(
        &mut self,
        now: Now,
        (name, user): (&Name, &Name),
        source: Source,
        (text, rich): (Box<str>, Option<Rich>),
        reply: Option<Offset>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let (text, direction, extra) = self.letter(now, name, text, reply, rich.map(Box::new))?;
        self.check_log(text.len() + extra.text_bytes())?;
        let post = Post { reply, extra, ..Post::plain(user, text, source, direction) };
        self.post_letter(now, name, post, effects);
        Ok(())
    }

    fn change_by(
        &mut self,
        now: Now,
        actor: &Actor<'_>,
        changes: impl IntoIterator<Item = ConversationChange>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let changes: Vec<_> = changes.into_iter().collect();
        self.converse(now, actor.room, &self.nobody(&actor.user), &changes, effects)
    }

    fn log_step(
        &mut self,
        now: Now,
        actor: &Actor<'_>,
        step: Option<Step>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        self.check_log(step.as_ref().map_or(0, |step| step.stored.len()))?;
        if let Some(text) = self.keep_step(actor.room, step) {
            let fact = Fact::Conversation { o: None, change: ConversationChange::Step(text) };
            let (user, room) = (actor.user.clone(), actor.room.clone());
            self.append(Record { ts_us: now.wall_us, user, room, fact }, effects);
        }
        Ok(())
    }

    /// A handler writes into another room, of whichever shard.
    fn post_to(
        &mut self,
        actor: &Actor<'_>,
        room: &str,
        text: Box<str>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        check_room(room)?;
        let (room, handler): (Name, _) = (room.into(), actor.handler.clone());
        let say = Message::Say { room: room.clone(), handler, depth: actor.depth, text };
        self.tell(self.owner_of(&room), say, effects);
        Ok(())
    }

    /// Owner: a handler of some shard writes into this room.
    pub(super) fn said(
        &mut self,
        now: Now,
        room: Name,
        (handler, depth): (Arc<str>, u8),
        text: Box<str>,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(target) = self.goes_on_in(&room) {
            let room = target.clone();
            let say = Message::Say { room: room.clone(), handler, depth, text };
            return self.tell(self.owner_of(&room), say, effects);
        }
        let user = user_of(&handler);
        let hand = Hand { source: handlers::Source::Handler, depth };
        let before = std::mem::replace(&mut self.rules.hand, hand);
        let made = self.need_room(now, &room, &"".into(), effects);
        let done = made.and_then(|()| {
            self.write(now, (&room, &user), Source::Handler, (text, None), None, effects)
        });
        if let Err(refusal) = done {
            let why = format!("post in {room}: {}", refusal.text);
            self.rules.handlers.failed(&handler, now.wall_ms(), &why);
        }
        self.rules.hand = before;
    }

    fn call(
        &mut self,
        now: Now,
        actor: &Actor<'_>,
        wanted: Wanted,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let most = (HANDLER_CALLS_MAX / usize::from(self.options.shard_count)).max(8);
        if self.calling.len() >= most {
            let text = format!("{most} calls of handlers are under way here already");
            return Err(refuse(ErrorCode::Overloaded, &text));
        }
        let Wanted { url, key, body, timeout_ms, resume } = wanted;
        self.calling_number += 1;
        let ticket = self.calling_number;
        let id = format!("call_{}_{}_{ticket}", self.epochs.current(), self.options.shard.0);
        let at_s = now.wall_us.div_euclid(1_000_000);
        let headers = key.map_or_else(Vec::new, |key| {
            let signed = signed_headers(&id, at_s, body.as_bytes(), &[key]);
            signed.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
        });
        let since_ms = now.mono_ms();
        let (handler, room) = (actor.handler.clone(), actor.room.clone());
        let due_ms = since_ms + timeout_ms + CALL_GRACE_MS;
        let calling = Calling { handler, room, o: actor.o, resume, since_ms, due_ms };
        self.calling.insert(ticket, calling);
        let (mime, body) = ("application/json", Some(body));
        effects.push(Effect::Fetch { ticket, url, headers, body, mime, due_ms });
        Ok(())
    }

    /// A call was answered, or failed.
    pub(super) fn fetched(
        &mut self,
        now: Now,
        ticket: u64,
        result: Result<(u16, Vec<u8>), Box<str>>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(calling) = self.calling.remove(&ticket) else {
            // Or of a menu, or a command; or it came too late.
            return match self.publishing.remove(&ticket) {
                Some(publishing) => self.menu_published(publishing, &result, effects),
                None => self.callback_answered(now, ticket, result, effects),
            };
        };
        let text;
        let (status, body, error) = match &result {
            Ok((status, body)) => {
                text = reply_text(body);
                (*status, &*text, "")
            }
            Err(error) => (0, "", &**error),
        };
        let took_ms = now.mono_ms().saturating_sub(calling.since_ms);
        let reply = CallReply { status, body, error, took_ms };
        let mut planned = Vec::new();
        let handlers = &mut self.rules.handlers;
        match &calling.resume {
            Some(resume) => handlers.replied(resume, &reply, now.wall_ms(), &mut planned),
            None if reply.is_success() => {}
            None => {
                let why = match error {
                    "" => format!("the call was answered with {status}"),
                    error => error.to_owned(),
                };
                handlers.failed(&calling.handler, now.wall_ms(), &why);
            }
        }
        for plan in planned {
            self.act(now, (&calling.room, calling.o), plan, effects);
        }
    }

    /// Gives up the calls whose time is over.
    pub(super) fn expire_calls(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.calling.is_empty() {
            return;
        }
        let late = self.calling.iter().filter(|(_, one)| one.due_ms <= now.mono_ms());
        let mut late: Vec<_> = late.map(|(ticket, one)| (*ticket, one.due_ms)).collect();
        late.sort_unstable();
        for (ticket, _) in late {
            self.fetched(now, ticket, Err("there was no answer in time".into()), effects);
        }
    }
}

/// As whom a handler writes.
fn user_of(handler: &str) -> Name {
    format!("{HANDLER_PREFIX}{handler}").into()
}

/// A call that a handler wants.
struct Wanted {
    url: Box<str>,
    key: Option<SigningKey>,
    body: Box<str>,
    timeout_ms: u64,
    resume: Option<Box<str>>,
}

//! Owner: messages that leave by a platform, from the client's wish to the last report.
//!
//! A message out is in the log before the outbox knows of it, that it is about to be called is in
//! the log before it is called, and its outcome after: at any moment the log says enough to go on
//! after a crash without sending anything twice.

use super::inbound::Print;
use super::occasions::Happening;
use super::owner::Post;
use super::{Hub, Waiting};
use crate::base::clock::Now;
use crate::base::codes::ErrorCode;
use crate::base::ids::Offset;
use crate::base::names::split_conversation;
use crate::chat::conversation::{ACCEPTED, CALLING, QUEUED, contact_of};
use crate::chat::dedup::Taken;
use crate::chat::event::{
    Direction, Effect, Fact, Name, OutboxEvent, OutboxOrder, Record, Refusal, Rich, Sent, Source,
};
use crate::chat::extra::Extra;
use crate::chat::reply;
use crate::chat::request::{bad, refuse};
use crate::handlers::EventKind;
use serde_json::value::RawValue;

/// Messages of the time before the start that are handed on in one call.
const UNSENT_PER_TICK: usize = 256;

impl Hub {
    /// Whether the number of a conversation can send; always, for a room that is none.
    pub(super) fn check_number(&self, room: &str) -> Result<(), Refusal> {
        let Some((number, _)) = split_conversation(room) else {
            return Ok(());
        };
        if self.options.platform.numbers.iter().any(|known| **known == *number) {
            return Ok(());
        }
        let text = format!(
            "nothing is sent by number {number}, which is not in `whatsapp.numbers`; \
             a note (`\"note\":true`) stays in this room"
        );
        Err(refuse(ErrorCode::CannotSend, &text))
    }

    /// Decides where a message goes and what it carries.
    pub(super) fn letter(
        &mut self,
        now: Now,
        name: &Name,
        text: Box<str>,
        reply: Option<Offset>,
        rich: Option<Box<Rich>>,
    ) -> Result<(Box<str>, Direction, Extra), Refusal> {
        let (content, note) = rich.map_or((None, false), |rich| (rich.content, rich.note));
        if split_conversation(name).is_none() {
            return match (content, note) {
                (None, false) => Ok((text, Direction::In, Extra::default())),
                _ => Err(bad("send: `content` and `note` belong into conversations with contacts")),
            };
        }
        if note {
            return match content {
                None => Ok((text, Direction::Internal, Extra::default())),
                Some(_) => Err(bad("send: a note has a `text` and no `content`")),
            };
        }
        self.check_number(name)?;
        if content.is_some() && !text.is_empty() {
            return Err(bad("send: give `text` or `content`"));
        }
        let letter = (self.options.platform.read)(&text, content.as_deref())
            .map_err(|problem| bad(&format!("send: {problem}")))?;
        if !self.outbox_has_room {
            let text = "too many messages wait for the platform; try again in a minute";
            let refusal = refuse(ErrorCode::Overloaded, text);
            return Err(Refusal { after_ms: Some(60_000), ..refusal });
        }
        let room = self.rooms.get_mut(name).expect("admitted");
        if letter.needs_window && room.outside().window_until_ms() <= now.wall_ms() {
            let text = "the contact wrote nothing in the last 24 hours: only a template can be \
                        sent, `\"content\":{\"type\":\"template\",\"name\":…,\"language\":…}`";
            return Err(refuse(ErrorCode::WindowClosed, text));
        }
        let about = reply.and_then(|reply| room.tail.get(reply)).and_then(|entry| {
            let msg = reply::read_msg(entry.latest.as_ref().unwrap_or(&entry.frame))?;
            (!msg.ext.is_empty()).then(|| msg.ext.into())
        });
        let content = content.map(|json| {
            RawValue::from_string(json.into()).expect("it was read as JSON with the request")
        });
        Ok((letter.text, Direction::Out, Extra { content, about, at: None }))
    }

    /// The outbox gets a message that is in the log.
    pub(super) fn hand_on(&mut self, name: &Name, o: Offset, effects: &mut Vec<Effect>) {
        let Some(outside) = self.rooms.get(name).and_then(|room| room.conversation.as_ref()) else {
            return;
        };
        let room = name.clone();
        // An erasure may have been quicker.
        let Some(pending) = outside.pending.get(&o) else {
            return;
        };
        let order = if pending.called {
            OutboxOrder::Lost { room, o }
        } else {
            let extra = Extra::read(&pending.extra);
            OutboxOrder::Send {
                room,
                o,
                to: outside.address().map(Into::into),
                at_ms: pending.at_ms,
                text: pending.text.clone(),
                content: extra.content.map(|content| content.get().into()),
                about: extra.about,
                window_until_ms: outside.window_until_ms(),
            }
        };
        effects.push(Effect::Outbox(order));
    }

    /// Hands on what the log had without an outcome at start, a piece at each call.
    pub(super) fn hand_on_unsent(&mut self, effects: &mut Vec<Effect>) {
        for _ in 0..UNSENT_PER_TICK {
            let Some((room, o)) = self.unsent.pop_front() else {
                return;
            };
            self.hand_on(&room, o, effects);
        }
    }

    /// All records have been restored: what has no outcome goes on, the oldest of each room first,
    /// and the inbox is in order.
    pub fn begin_outgoing(&mut self) {
        let rooms = self.rooms.values().filter_map(|room| {
            let pending = &room.conversation.as_ref()?.pending;
            Some(pending.keys().map(|o| (room.name.clone(), *o)))
        });
        self.unsent = rooms.flatten().collect();
        self.begin_inbox();
        self.begin_handlers();
        self.find_lost_calls();
    }

    pub(super) fn outbox_said(&mut self, now: Now, event: OutboxEvent, effects: &mut Vec<Effect>) {
        if self.check_log(0).is_err() || !self.rooms.contains_key(event.room()) {
            effects.push(Effect::Outbox(OutboxOrder::Later(event)));
            return;
        }
        let name = event.room().clone();
        match event {
            OutboxEvent::Calling { o, .. } => {
                let append = self.append_delivery(now, &name, delivery(o, "", CALLING, 0), effects);
                self.set_called(&name, o, true);
                self.when_durable(append, Waiting::Call { event }, effects);
            }
            OutboxEvent::Waits { o, .. } => {
                self.append_delivery(now, &name, delivery(o, "", QUEUED, 0), effects);
                self.set_called(&name, o, false);
            }
            OutboxEvent::Outcome { o, sent, .. } => self.take_outcome(now, &name, o, sent, effects),
        }
    }

    fn set_called(&mut self, name: &Name, o: Offset, called: bool) {
        let outside = self.rooms.get_mut(name).expect("checked").outside();
        if let Some(pending) = outside.pending.get_mut(&o) {
            pending.called = called;
        }
    }

    fn take_outcome(
        &mut self,
        now: Now,
        name: &Name,
        o: Offset,
        sent: Sent,
        effects: &mut Vec<Effect>,
    ) {
        let (external, status, error, words) = match sent {
            Sent::Accepted { external } => (external, ACCEPTED, 0, None),
            Sent::Failed { error, why } => ("".into(), "failed", error, Some(why)),
            Sent::Unknown => {
                let words = "the connection broke before the platform had answered, so it may have \
                             been sent or not; it is not sent again";
                ("".into(), "unknown", 0, Some(words.into()))
            }
        };
        let append =
            self.append_delivery(now, name, delivery(o, &external, status, error), effects);
        let outside = self.rooms.get_mut(name).expect("the caller found it").outside();
        outside.pending.remove(&o);
        let taken = Taken { append, o: Some(o) };
        self.note_external(name, &external, taken, now.wall_ms());
        let news = reply::Delivery { of: Some(o), external: &external, status, error };
        self.show_delivery(now, name, news, effects);
        if let Some(words) = words {
            self.say_failed(now, name, o, &words, effects);
        }
    }

    /// A status came from the platform. Gives the number of its record.
    pub(super) fn told(
        &mut self,
        now: Now,
        name: &Name,
        user: Name,
        (news, print, extra): (reply::Delivery<'_>, &Print, Box<str>),
        effects: &mut Vec<Effect>,
    ) -> u64 {
        let reply::Delivery { of, external, status, error } = news;
        let failed = status == "failed";
        let title = if failed { title(&extra) } else { String::new() };
        // Looking for later reports costs more than all the rest, so not when nobody is told.
        let hears = !self.rooms[name].shards.is_empty() || self.cares(EventKind::Status);
        let overtaken = (failed || hears) && self.is_overtaken(name, &user, (&news, print));
        let (room, external) = (name.clone(), Box::from(external));
        let fact = Fact::Delivery { of, external, status: status.into(), error, extra };
        let append = self.append(Record { ts_us: now.wall_us, user, room, fact }, effects);
        let is_new = !overtaken && self.show_delivery(now, name, news, effects);
        if let Some(o) = of {
            if failed && is_new {
                let words =
                    if title.is_empty() { "the platform did not deliver it" } else { &title };
                self.say_failed(now, name, o, &format!("{words} ({error})"), effects);
            }
            let (room, external) = (name.clone(), news.external.into());
            let error = failed.then_some(error);
            effects.push(Effect::Outbox(OutboxOrder::Told { room, o, external, error }));
        }
        append
    }

    /// Whether a later report on a message that is not in memory came before this one.
    fn is_overtaken(
        &self,
        name: &Name,
        user: &Name,
        (news, print): (&reply::Delivery<'_>, &Print),
    ) -> bool {
        let tail = &self.rooms[name].tail;
        if news.of.is_some_and(|o| tail.get(o).is_some()) {
            return false;
        }
        let known = |later| self.externals.get(print.status(later, user));
        reply::overtakers(news.status).any(|later| known(later).is_some())
    }

    /// Tells the room how far a message is, and keeps it with the message while that is in memory.
    /// Gives whether it is news.
    fn show_delivery(
        &mut self,
        now: Now,
        name: &Name,
        news: reply::Delivery<'_>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let room = self.rooms.get_mut(name).expect("the callers found it");
        if let Some(entry) = news.of.and_then(|o| room.tail.get_mut(o)) {
            match reply::msg_delivery(entry.latest.as_ref().unwrap_or(&entry.frame), &news) {
                Some(latest) => entry.latest = Some(latest),
                None => return false,
            }
        }
        // Nobody reads it later: it is written for those who are here.
        if !room.shards.is_empty() {
            let frame = reply::delivery(name, now.wall_ms(), &contact_of(name), &news);
            self.publish(name, Offset(0), frame, (None, None), effects);
        }
        if self.cares(EventKind::Status) {
            let contact = contact_of(name);
            let mut happening = Happening::new(EventKind::Status, name, &contact, self.rules.hand);
            (happening.status, happening.error) = (news.status.into(), news.error);
            happening.o = news.of;
            self.happened(happening);
        }
        true
    }

    fn append_delivery(
        &mut self,
        now: Now,
        name: &Name,
        fact: Fact,
        effects: &mut Vec<Effect>,
    ) -> u64 {
        let (user, room) = (contact_of(name), name.clone());
        self.append(Record { ts_us: now.wall_us, user, room, fact }, effects)
    }

    /// What somebody must know who wrote a message that does not arrive stands in the room, for
    /// those too who are not here now.
    fn say_failed(
        &mut self,
        now: Now,
        name: &Name,
        o: Offset,
        why: &str,
        effects: &mut Vec<Effect>,
    ) {
        let (user, text) = ("".into(), format!("Not delivered: {why}").into());
        let post = Post::plain(&user, text, Source::System, Direction::Internal);
        self.post(now, name, Post { reply: Some(o), ..post }, effects);
    }

    /// Posts what [`Hub::letter`] has let pass, and sends it on its way if it leaves. Gives its
    /// position and the number of its record.
    pub(super) fn post_letter(
        &mut self,
        now: Now,
        name: &Name,
        post: Post<'_>,
        effects: &mut Vec<Effect>,
    ) -> (Offset, u64) {
        let (source, direction) = (post.source, post.direction);
        let (o, append) = self.post(now, name, post, effects);
        if direction == Direction::Out {
            let room = name.clone();
            self.when_durable(append, Waiting::Letter { room, o }, effects);
            self.we_wrote(now, name, source, direction, effects);
        }
        (o, append)
    }

    /// Somebody has read: the contact sees it.
    pub(super) fn signal_read(&mut self, name: &Name, read: Offset, effects: &mut Vec<Effect>) {
        if self.check_number(name).is_err() {
            return;
        }
        let outside = self.rooms.get_mut(name).and_then(|room| room.conversation.as_mut());
        if let Some(read) = outside.and_then(|outside| outside.take_read(read)) {
            let order = OutboxOrder::Signal { room: name.clone(), read, typing: false };
            effects.push(Effect::Outbox(order));
        }
    }

    /// Somebody types: the contact sees it, and that its message was read.
    pub(super) fn signal_typing(&mut self, name: &Name, now: Now, effects: &mut Vec<Effect>) {
        if self.check_number(name).is_err() {
            return;
        }
        let Some(outside) = self.rooms.get(name).and_then(|room| room.conversation.as_ref()) else {
            return;
        };
        if let Some(read) = outside.newest()
            && outside.window_until_ms() > now.wall_ms()
        {
            let (room, read) = (name.clone(), read.into());
            effects.push(Effect::Outbox(OutboxOrder::Signal { room, read, typing: true }));
        }
    }
}

fn delivery(o: Offset, external: &str, status: &str, error: u32) -> Fact {
    let (external, status) = (external.into(), status.into());
    Fact::Delivery { of: Some(o), external, status, error, extra: "".into() }
}

/// The platform's words in the `extra` of a failed delivery.
fn title(extra: &str) -> String {
    let extra: serde_json::Value = serde_json::from_str(extra).unwrap_or_default();
    extra["error"]["title"].as_str().unwrap_or_default().to_owned()
}

//! Owner: what is written into a room, and what its members are told.

use super::changes::Change;
use super::commanding::Line;
use super::identity::Item;
use super::inbound::{Print, external_key};
use super::occasions::{Hand, Happening};
use super::{Hub, Waiting, mark_dirty};
use crate::base::clock::Now;
use crate::base::codes::ErrorCode;
use crate::base::hash::place;
use crate::base::ids::{Address, Offset};
use crate::chat::conversation::Pending;
use crate::chat::dedup::Seen;
use crate::chat::event::{
    Ask, Asker, Cid, Direction, Effect, Fact, Frame, Inbound, MemberAction, Message, Name, Record,
    Refusal, Rich, Role, Source,
};
use crate::chat::extra::Extra;
use crate::chat::reply::{self, NewMsg};
use crate::chat::request::refuse;
use crate::chat::room::Marks;
use crate::chat::tail::Entry;
use crate::handlers::{self, EventKind};
use serde_json::{Value, json};

/// What a client wants to be said.
struct Wish {
    cid: Cid,
    text: Box<str>,
    reply: Option<Offset>,
    mute: bool,
    rich: Option<Box<Rich>>,
}

/// A message on its way into a room.
pub(super) struct Post<'a> {
    pub user: &'a Name,
    pub cid: Cid,
    pub text: Box<str>,
    pub reply: Option<Offset>,
    pub source: Source,
    pub direction: Direction,
    pub name: Box<str>,
    pub external: Box<str>,
    pub extra: Extra,
    pub skip: Option<Address>,
}

impl<'a> Post<'a> {
    /// One that has nothing but its text.
    pub fn plain(user: &'a Name, text: Box<str>, source: Source, direction: Direction) -> Self {
        Self {
            user,
            // Shared by all: a message of a client has its own and takes nothing from the allocator
            // for this one.
            cid: Cid::default(),
            text,
            reply: None,
            source,
            direction,
            name: "".into(),
            external: "".into(),
            extra: Extra::default(),
            skip: None,
        }
    }
}

impl Hub {
    pub(super) fn ask(
        &mut self,
        now: Now,
        room: Name,
        by: Asker,
        ask: Ask,
        effects: &mut Vec<Effect>,
    ) {
        assert!(place(&room, self.options.shard_count) == self.options.shard);
        let source = match ask {
            Ask::Inbound { .. } => handlers::Source::Contact,
            _ if by.api => handlers::Source::Api,
            _ => handlers::Source::Person,
        };
        self.rules.hand = Hand { source, depth: 0 };
        self.carry_out(now, room, by, ask, effects);
        self.rules.hand = Hand::default();
    }

    fn carry_out(&mut self, now: Now, room: Name, by: Asker, ask: Ask, effects: &mut Vec<Effect>) {
        match ask {
            Ask::Join(wish) => self.enter(now, room, by, wish, effects),
            Ask::Leave { said, counted, member } => {
                self.exit(now, &room, &by, (said, counted, member), effects);
            }
            Ask::Inbound { ticket, item } => {
                self.take_inbound(now, (by.from, ticket, *item), effects)
            }
            Ask::Status(status) => {
                // A refused join may have left no room behind.
                if let Some(room) = self.rooms.get_mut(&room) {
                    room.presence.set_status(&by.user, &status);
                    mark_dirty(&mut self.dirty, room);
                }
            }
            // Whoever is attached is fed, as live members are: a rule of entry asks nobody to go.
            Ask::CatchUp { after } => self.catch_up(room, by, after, effects),
            other => {
                let (to, id) = (by.from, by.id);
                if let Err(refusal) = self.ask_inside(now, room, by, other, effects) {
                    self.refuse(to, id, &refusal, effects);
                }
            }
        }
    }

    /// What only those may ask who are in the room.
    fn ask_inside(
        &mut self,
        now: Now,
        name: Name,
        by: Asker,
        ask: Ask,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        if by.api {
            self.make_for_api(now, &name, &ask, effects)?;
        }
        let admitted = self.rooms.get(&name).is_some_and(|room| room.admits(&by.user));
        if !admitted && !by.api {
            return Err(refuse(ErrorCode::Forbidden, "this room is for its members"));
        }
        match ask {
            Ask::Send { cid, text, reply, mute, rich, since_us } => {
                let wish = Wish { cid, text, reply, mute, rich };
                self.take_message(now, &name, &by, wish, since_us, effects)
            }
            Ask::Edit { of, text } => {
                self.take_change(now, name, by, of, Change::Edit(text), effects)
            }
            Ask::Delete { of } => self.take_change(now, name, by, of, Change::Delete, effects),
            Ask::History { page, limit } => self.take_history(name, by, page, limit, effects),
            Ask::Typing => {
                let room = self.rooms.get_mut(&name).expect("admitted");
                let told = room.presence.take_typing(&by.user, now.mono_ms());
                if told && !room.presence.is_crowd() {
                    let d = json!({"user": &*by.user});
                    let frame = reply::passing("typing", &name, now.wall_ms(), d);
                    self.publish(&name, Offset(0), frame, (Some(by.from), None), effects);
                    self.signal_typing(&name, now, effects);
                }
                self.grant_empty(&by, effects);
                Ok(())
            }
            Ask::Mark { recv, read } => {
                let room = self.rooms.get_mut(&name).expect("admitted");
                if room.mark(&by.user, Marks { recv, read }) {
                    mark_dirty(&mut self.dirty, room);
                    self.signal_read(&name, read, effects);
                }
                self.grant_empty(&by, effects);
                Ok(())
            }
            Ask::Who { after, limit } => {
                self.tell_who(&name, &by, &after, limit, effects);
                Ok(())
            }
            Ask::Converse { changes } => {
                self.check_agent(&by)?;
                self.converse(now, &name, &by, &changes, effects)
            }
            Ask::Command { name: command, text, cid, v, since_us } => {
                let line = Line { name: &command, args: &text, cid, version: v, since_us };
                self.take_command(now, &name, &by, line, effects)
            }
            Ask::Join(_)
            | Ask::Leave { .. }
            | Ask::Inbound { .. }
            | Ask::Status(_)
            | Ask::CatchUp { .. } => {
                unreachable!("taken by the caller")
            }
        }
    }

    fn grant_empty(&mut self, by: &Asker, effects: &mut Vec<Effect>) {
        self.grant_value(by, &json!({}), effects);
    }

    /// Answers a request that needed no record.
    pub(super) fn grant_value(&mut self, by: &Asker, d: &Value, effects: &mut Vec<Effect>) {
        if let Some(id) = by.id {
            self.answer(by.from, reply::ok(id, d), effects);
        }
    }

    fn take_message(
        &mut self,
        now: Now,
        name: &Name,
        by: &Asker,
        wish: Wish,
        since_us: u64,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let Wish { cid, text, reply, mute, rich } = wish;
        let room = self.rooms.get_mut(name).expect("admitted");
        room.cids.forget(now.mono_ms() as i64);
        if let Some(seen) = room.cids.get(&by.user, &cid) {
            if let Some(id) = by.id {
                let frame = reply::ok_sent(id, seen.o, seen.ts_ms, true);
                let what = Waiting::Reply { to: by.from, id: by.id, frame, since_us: None };
                self.when_durable(seen.append, what, effects);
            }
            return Ok(());
        }
        self.take_room_send(now, name, by)?;
        self.check_may_speak(now, name, by)?;
        let room = self.rooms.get_mut(name).expect("admitted");
        let own_cid = cid.is_empty().then(|| room.tail.top().next());
        if reply.is_some_and(|reply| reply > room.visible) {
            return Err(refuse(ErrorCode::BadRequest, "`reply` names an offset beyond the top"));
        }
        let (text, direction, extra) = self.letter(now, name, text, reply, rich)?;
        self.check_log(text.len() + extra.text_bytes())?;
        let room = self.rooms.get_mut(name).expect("admitted");
        room.presence.clear_typing(&by.user);
        let cid = own_cid.map_or(cid, |o| self.own_cid(o));
        let source = if by.api { Source::Api } else { Source::Ws };
        let post = Post {
            cid: cid.clone(),
            reply,
            name: self.rooms[name].nick(&by.user).into(),
            extra,
            skip: mute.then_some(by.from),
            ..Post::plain(&by.user, text, source, direction)
        };
        let (o, append) = self.post_letter(now, name, post, effects);
        let room = self.rooms.get_mut(name).expect("admitted");
        let ts_ms = now.wall_ms();
        let seen = Seen { o, ts_ms, at_ms: now.mono_ms() as i64, append };
        room.cids.insert(by.user.clone(), cid, seen);
        if let Some(id) = by.id {
            let frame = reply::ok_sent(id, o, ts_ms, false);
            let since_us = Some(since_us);
            let what = Waiting::Reply { to: by.from, id: by.id, frame, since_us };
            self.when_durable(append, what, effects);
        }
        Ok(())
    }

    /// Counts one durable event against the user's rate in the room.
    pub(super) fn take_room_send(
        &mut self,
        now: Now,
        name: &Name,
        by: &Asker,
    ) -> Result<(), Refusal> {
        if by.api {
            return Ok(());
        }
        let rate = self.options.room_sends;
        let room = self.rooms.get_mut(name).expect("admitted");
        room.presence.take_send(&by.user, rate, now.mono_ms()).map_err(|after_ms| {
            let text =
                format!("{} messages a second in a room, bursts of {}", rate.per_s, rate.burst);
            Refusal { after_ms: Some(after_ms), ..refuse(ErrorCode::RateLimited, &text) }
        })
    }

    /// Gives a message its place in the room, logs it and publishes it.
    pub(super) fn post(
        &mut self,
        now: Now,
        name: &Name,
        post: Post<'_>,
        effects: &mut Vec<Effect>,
    ) -> (Offset, u64) {
        let room = self.rooms.get_mut(name).expect("the caller found it");
        let o = room.tail.top().next();
        let is_asked = room.step.is_some();
        let frame = reply::msg(NewMsg {
            room: name,
            o,
            ts_ms: now.wall_ms(),
            from: post.user,
            name: &post.name,
            cid: &post.cid,
            text: &post.text,
            reply: post.reply,
            source: post.source.name(),
            direction: reply::shown_direction(name, post.direction),
            external: &post.external,
            content: post.extra.content.as_ref().map_or("", |content| content.get()),
        });
        let entry = Entry {
            frame: frame.clone(),
            author: Some(post.user.clone()),
            latest: None,
            version: 1,
            deleted: false,
        };
        let skip = post.skip;
        let user = post.user.clone();
        let extra = post.extra.text();
        // What came back from the platform has left already.
        if post.direction == Direction::Out && post.source != Source::WhatsApp {
            let (text, extra) = (post.text.clone(), extra.clone());
            let waits = Pending { at_ms: now.wall_ms(), text, extra, called: false };
            room.outside().pending.insert(o, waits);
        }
        if is_asked || self.cares(EventKind::Message) {
            self.note_message(name, o, &post);
        }
        let fact = Fact::Message {
            o,
            cid: post.cid,
            text: post.text,
            reply: post.reply,
            source: post.source,
            direction: post.direction,
            name: post.name,
            external: post.external,
            extra,
        };
        let append = self.commit(now, name, user, entry, (fact, skip), effects);
        (o, append)
    }

    /// Tells handlers of a message.
    fn note_message(&mut self, name: &Name, o: Offset, post: &Post<'_>) {
        let hand = self.hand_of(post.source, post.direction);
        let of_contact = hand.source == handlers::Source::Contact;
        let outside = self.rooms[name].conversation.as_ref();
        let is_new = outside.is_none_or(|outside| outside.is_new());
        let content = post.extra.content.as_ref().map(|content| content.get().into());
        let happening = Happening::new(EventKind::Message, name, post.user, hand);
        self.happened(Happening {
            name: post.name.clone(),
            o: Some(o),
            text: post.text.clone(),
            content,
            is_first_contact: of_contact && is_new,
            ..happening
        });
    }

    /// The one way a durable event comes into being: order, log, fan-out.
    pub(super) fn commit(
        &mut self,
        now: Now,
        name: &Name,
        user: Name,
        entry: Entry,
        (fact, skip): (Fact, Option<Address>),
        effects: &mut Vec<Effect>,
    ) -> u64 {
        let room = self.rooms.get_mut(name).expect("the caller found it");
        let waits = self.options.fanout_durable;
        // In an empty room there is nobody to show it to, and no more to do than to say so.
        let shown = (waits || !room.shards.is_empty()).then(|| entry.frame.clone());
        let o = room.push(&self.epochs, entry);
        if shown.is_none() {
            room.show(o);
        }
        let record = Record { ts_us: now.wall_us, user, room: name.clone(), fact };
        let append = self.append(record, effects);
        match shown {
            None => {}
            Some(frame) if waits => {
                let (room, since_us) = (name.clone(), now.mono_us);
                let what = Waiting::Publish { room, o, frame, skip, since_us };
                self.when_durable(append, what, effects);
            }
            Some(frame) => self.make_visible(name, o, frame, (skip, now.mono_us), effects),
        }
        append
    }

    pub(super) fn make_visible(
        &mut self,
        name: &Name,
        o: Offset,
        frame: Frame,
        (skip, since_us): (Option<Address>, u64),
        effects: &mut Vec<Effect>,
    ) {
        let room = self.rooms.get_mut(name).expect("rooms are never forgotten");
        room.show(o);
        self.publish(name, o, frame, (skip, Some(since_us)), effects);
    }

    /// One frame to each shard that has sessions in the room.
    pub(super) fn publish(
        &mut self,
        name: &Name,
        o: Offset,
        frame: Frame,
        (skip, since_us): (Option<Address>, Option<u64>),
        effects: &mut Vec<Effect>,
    ) {
        let found = self.rooms.get_mut(name).expect("rooms are never forgotten");
        // Lent, not copied: telling changes no room.
        let shards = std::mem::take(&mut found.shards);
        for (shard, _) in &shards {
            let (room, frame) = (name.clone(), frame.clone());
            self.tell(*shard, Message::Publish { room, o, frame, skip, since_us }, effects);
        }
        self.rooms.get_mut(name).expect("it was there").shards = shards;
    }

    /// Answers a request when its record is durable.
    pub(super) fn confirm(
        &mut self,
        by: &Asker,
        append: u64,
        d: &Value,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(id) = by.id {
            let frame = reply::ok(id, d);
            let what = Waiting::Reply { to: by.from, id: by.id, frame, since_us: None };
            self.when_durable(append, what, effects);
        }
    }

    /// Changes a durable membership. The caller has checked the log and the right to do it.
    pub(super) fn change_member(
        &mut self,
        now: Now,
        name: &Name,
        subject: &Name,
        by: &Name,
        action: MemberAction,
        effects: &mut Vec<Effect>,
    ) -> u64 {
        let role = match action {
            MemberAction::Leave => Role::Guest,
            MemberAction::Join => Role::Member,
            MemberAction::Role => self.rooms[name].role(subject),
        };
        self.set_role(now, name, (subject, by), (action, role), effects)
    }

    pub(super) fn set_role(
        &mut self,
        now: Now,
        name: &Name,
        (subject, by): (&Name, &Name),
        (action, role): (MemberAction, Role),
        effects: &mut Vec<Effect>,
    ) -> u64 {
        let room = self.rooms.get_mut(name).expect("the caller found it");
        let o = room.tail.top().next();
        if role == Role::Guest {
            room.members.remove(subject);
        } else {
            room.members.insert(subject.clone(), role);
        }
        let here = room.presence.has(subject);
        let frame = reply::member(name, (o, now.wall_ms()), subject, by, (action, role));
        match action {
            MemberAction::Join if !here => self.note(EventKind::Joined, name, subject),
            MemberAction::Leave if !here => self.note(EventKind::Left, name, subject),
            _ => {}
        }
        let fact = Fact::Member { o, subject: subject.clone(), role, action };
        self.commit(now, name, by.clone(), event(frame), (fact, None), effects)
    }

    fn tell_who(
        &mut self,
        name: &Name,
        by: &Asker,
        after: &str,
        limit: usize,
        effects: &mut Vec<Effect>,
    ) {
        let room = self.rooms.get_mut(name).expect("admitted");
        room.presence.witness();
        let mut users: Vec<Value> = Vec::new();
        let mut more = false;
        for (user, status) in room.presence.page(after) {
            if users.len() == limit {
                more = true;
                break;
            }
            let marks = room.marks.get(user).copied().unwrap_or_default();
            let mut value = json!({
                "user": &**user,
                "role": room.role(user).name(),
                "recv": marks.recv.0,
                "read": marks.read.0,
            });
            if let Some(status) = status {
                value["state"] = status.state.name().into();
                value["text"] = (&*status.text).into();
            }
            users.push(value);
        }
        let d = json!({"users": users, "n": room.presence.count(), "more": more});
        self.grant_value(by, &d, effects);
    }

    /// Tells rooms their presence and receipts, as far as they are due.
    pub(super) fn tell_changes(&mut self, now: Now, effects: &mut Vec<Effect>) {
        for name in std::mem::take(&mut self.dirty) {
            let room = self.rooms.get_mut(&name).expect("rooms are never forgotten");
            let presence = room.presence.flush(now.mono_ms());
            let marks = room.take_marks(now.mono_ms());
            let crowd = room.presence.is_crowd();
            room.in_dirty_list = false;
            if room.presence.is_dirty() || !room.marks_moved.is_empty() {
                mark_dirty(&mut self.dirty, room);
            }
            if let Some(d) = presence {
                let frame = reply::passing("presence", &name, now.wall_ms(), d);
                self.publish(&name, Offset(0), frame, (None, None), effects);
            }
            if !marks.is_empty() && !crowd {
                let list = marks.iter().map(|(user, marks)| {
                    json!({"user": &**user, "recv": marks.recv.0, "read": marks.read.0})
                });
                let d = json!({"marks": list.collect::<Vec<_>>()});
                let frame = reply::passing("mark", &name, now.wall_ms(), d);
                self.publish(&name, Offset(0), frame, (None, None), effects);
            }
            for (user, marks) in marks {
                let fact = Fact::Mark { recv: marks.recv, read: marks.read };
                let room = name.clone();
                self.append(Record { ts_us: now.wall_us, user, room, fact }, effects);
            }
        }
    }

    /// Front: an item of a webhook goes to the owner of its room.
    pub(super) fn inbound(
        &mut self,
        now: Now,
        ticket: u64,
        item: Inbound,
        effects: &mut Vec<Effect>,
    ) {
        let nobody = crate::base::ids::ConnId { index: 0, generation: 0 };
        let from = Address { shard: self.options.shard, conn: nobody };
        let owner = self.owner_of(&item.room);
        if owner == self.options.shard && self.own.is_empty() {
            // What it would say to itself it may as well do.
            self.rules.hand = Hand { source: handlers::Source::Contact, depth: 0 };
            self.take_inbound(now, (from, ticket, item), effects);
            self.rules.hand = Hand::default();
            return;
        }
        let (room, user) = (item.room.clone(), item.user.clone());
        let by = Asker { from, user, id: None, api: false };
        let ask = Ask::Inbound { ticket, item: Box::new(item) };
        self.tell(owner, Message::Ask { room, by, ask }, effects);
    }

    fn take_inbound(&mut self, now: Now, item: Item, effects: &mut Vec<Effect>) {
        let (from, ticket, _) = item;
        let print = Print::of_item(&item.2);
        if let Some(item) = self.leads_elsewhere(item, &print, effects) {
            self.take_inbound_here(now, (from, ticket, item), &print, effects);
        }
    }

    /// Takes in an item of whose room it is known that this shard owns it.
    pub(super) fn take_inbound_here(
        &mut self,
        now: Now,
        (from, ticket, item): Item,
        print: &Print,
        effects: &mut Vec<Effect>,
    ) {
        let key = external_key(&item, print);
        if let Some(taken) = self.externals.get(key) {
            self.when_item_durable(taken.append, (from.shard, ticket), effects);
            return;
        }
        if self.check_log(item.text_bytes()).is_err() {
            let refused = Message::InboundDone { ticket, count: 1, accepted: false };
            self.tell(from.shard, refused, effects);
            return;
        }
        let name = item.room.clone();
        if !self.rooms.contains_key(&name) {
            self.make_room(now, &name, &"".into(), effects);
        }
        let taken = self.take_item(now, item, print, effects);
        self.externals.insert(key, taken, now.wall_ms());
        self.when_item_durable(taken.append, (from.shard, ticket), effects);
    }
}

/// A durable event that is not a message.
pub(super) fn event(frame: Frame) -> Entry {
    Entry { frame, author: None, latest: None, version: 1, deleted: false }
}

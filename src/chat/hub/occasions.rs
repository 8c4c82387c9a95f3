//! Owner: what handlers are told, and when.
//!
//! What happens in a room is noted while an event is carried out, and considered when that is done:
//! so a handler sees the room as it is after the event, and what it does is an event of its own.

use super::Hub;
use super::games::next_reminder_ms;
use crate::base::clock::Now;
use crate::base::ids::Offset;
use crate::base::names::{HANDLER_PREFIX, split_conversation};
use crate::chat::dedup::Taken;
use crate::chat::event::{Direction, Effect, Message, Name, PlatformNews, Source};
use crate::chat::room::Step;
use crate::handlers::{self, Content, EventKind, Handler, Handlers, Occasion, Planned};
use crate::registry::Definition;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// Rooms whose alarms ring in one tick; the others follow in the next.
const ALARMS_PER_TICK: usize = 1_024;

/// The handlers of a shard, and what is to be told them.
#[derive(Debug, Default)]
pub struct Rules {
    pub(super) handlers: Handlers,
    /// What happened in this event, oldest first.
    happened: VecDeque<Happening>,
    /// Who or what causes what happens now.
    pub(super) hand: Hand,
    /// When rooms are to be looked at, ms since 1970.
    alarms: BTreeSet<(i64, Name)>,
    /// The newest record that was restored, ms since 1970.
    pub(super) restored_ms: i64,
}

/// Who or what causes something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hand {
    pub(super) source: handlers::Source,
    /// See [`Occasion::depth`].
    pub(super) depth: u8,
}

impl Default for Hand {
    fn default() -> Self {
        Self { source: handlers::Source::System, depth: 0 }
    }
}

/// Something that happened: an [`Occasion`] in the making.
#[derive(Debug)]
pub struct Happening {
    pub(super) kind: EventKind,
    pub(super) room: Name,
    pub(super) hand: Hand,
    pub(super) sender: Name,
    pub(super) name: Box<str>,
    /// Of a message: where it stands.
    pub(super) o: Option<Offset>,
    pub(super) text: Box<str>,
    /// Of a message: its content, JSON.
    pub(super) content: Option<Box<str>>,
    pub(super) is_first_contact: bool,
    pub(super) status: Box<str>,
    pub(super) error: u32,
    /// Of `unanswered`: from and to which wait, ms.
    pub(super) waited_ms: (i64, i64),
    /// Of a question that nobody answered in time: which.
    pub(super) late: Option<Step>,
    /// Of news of the platform: our number, and the field.
    pub(super) platform: Option<(Box<str>, Box<str>)>,
}

impl Happening {
    pub(super) fn new(kind: EventKind, room: &Name, sender: &Name, hand: Hand) -> Self {
        Self {
            kind,
            room: room.clone(),
            hand,
            sender: sender.clone(),
            name: "".into(),
            o: None,
            text: "".into(),
            content: None,
            is_first_contact: false,
            status: "".into(),
            error: 0,
            waited_ms: (0, 0),
            late: None,
            platform: None,
        }
    }
}

impl Hub {
    /// Whether any handler wants to know of such things.
    pub(super) fn cares(&self, kind: EventKind) -> bool {
        self.rules.handlers.wants(kind)
    }

    /// Notes what happened, to be considered when the event is done.
    pub(super) fn happened(&mut self, happening: Happening) {
        self.rules.happened.push_back(happening);
    }

    /// Something without words happened to `who`.
    pub(super) fn note(&mut self, kind: EventKind, room: &Name, who: &Name) {
        if self.cares(kind) {
            let hand = self.rules.hand;
            self.happened(Happening::new(kind, room, who, hand));
        }
    }

    /// Whether news of the platform are worth an [`Event::Platform`](crate::chat::event::Event).
    pub fn wants_news(&self) -> bool {
        self.cares(EventKind::Platform)
    }

    /// Front: news of one kind go to one shard, so that it knows which were told before, and how
    /// long their handlers rest.
    pub(super) fn heard_of_platform(&mut self, news: Box<PlatformNews>, effects: &mut Vec<Effect>) {
        let to = self.owner_of(&format!("{} {}", news.number, news.field));
        self.tell(to, Message::News { news }, effects);
    }

    /// Tells handlers what the platform told, unless it came again. What was told before the start
    /// is not known here any more: the platform repeats only what it was not answered in time.
    pub(super) fn take_news(&mut self, now: Now, news: PlatformNews) {
        let PlatformNews { print, number, field, json } = news;
        if !self.wants_news() || self.externals.get(print).is_some() {
            return;
        }
        self.externals.insert(print, Taken::default(), now.wall_ms());
        let nowhere: Name = "".into();
        let happening = Happening::new(EventKind::Platform, &nowhere, &nowhere, Hand::default());
        self.happened(Happening { text: json, platform: Some((number, field)), ..happening });
    }

    /// Who or what wrote a message.
    pub(super) fn hand_of(&self, source: Source, direction: Direction) -> Hand {
        let hand = self.rules.hand;
        let source = match (source, direction) {
            (Source::WhatsApp, Direction::In) => handlers::Source::Contact,
            // An echo: somebody wrote in the platform's own app.
            (Source::Ws | Source::WhatsApp, _) => handlers::Source::Person,
            (Source::Api, _) => handlers::Source::Api,
            (Source::Command, _) => handlers::Source::Command,
            (Source::Handler, _) => handlers::Source::Handler,
            (Source::System, _) => handlers::Source::System,
        };
        Hand { source, ..hand }
    }

    /// Lets handlers consider what happened, and what comes of what they do about it.
    pub(super) fn consider(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some(happening) = self.rules.happened.pop_front() {
            // Another question took its place, or there is none any more.
            let step = self.rooms.get(&happening.room).and_then(|room| room.step.as_ref());
            if happening.late.is_some() && happening.late.as_ref() != step {
                continue;
            }
            let mut planned = Vec::new();
            self.ask_handlers(now, &happening, &mut planned);
            for plan in planned {
                self.act(now, (&happening.room, happening.o), plan, effects);
            }
        }
    }

    pub(super) fn is_considered(&self) -> bool {
        self.rules.happened.is_empty()
    }

    fn ask_handlers(&mut self, now: Now, happening: &Happening, planned: &mut Vec<Planned>) {
        let Self { rules, rooms, .. } = self;
        let room = rooms.get(&happening.room);
        let outside = room.and_then(|room| room.conversation.as_deref());
        let content = happening.content.as_deref().map(Content::read).unwrap_or_default();
        let is_conversation = split_conversation(&happening.room).is_some();
        let outside = outside.filter(|_| is_conversation);
        let tags: Vec<Arc<str>> =
            outside.iter().flat_map(|one| &one.tags).map(|tag| Arc::from(&**tag)).collect();
        let platform = happening.platform.as_ref();
        let field = platform.map(|(_, field)| &**field);
        let new = Occasion::new(happening.kind, now.wall_ms(), &happening.room);
        let occasion = Occasion {
            number: platform.map(|(number, _)| &**number).or(new.number),
            sender: &happening.sender,
            name: &happening.name,
            source: happening.hand.source,
            depth: happening.hand.depth,
            text: &happening.text,
            content_type: field.unwrap_or(content.type_name()),
            choice: content.choice(),
            is_first_contact: happening.is_first_contact,
            state: outside.map_or("", |outside| outside.state.name()),
            assignee: outside.and_then(|outside| outside.assignee.as_deref()).unwrap_or(""),
            tags: &tags,
            status: &happening.status,
            error: happening.error,
            unanswered_from_ms: happening.waited_ms.0,
            unanswered_ms: happening.waited_ms.1,
            step: room.and_then(|room| room.step.as_ref()).map(|step| &*step.stored),
            ..new
        };
        rules.handlers.consider(&occasion, planned);
    }

    /// A definition holds from now on, or none of this name does.
    pub(super) fn adopt(&mut self, definition: &Definition) {
        match Handler::parse(&definition.name, &definition.body) {
            Ok(handler) if !definition.body.is_empty() => self.rules.handlers.put(handler),
            // What another version took may be wrong by the rules of this one.
            _ => self.rules.handlers.remove(&definition.name),
        }
        if self.rules.handlers.wants(EventKind::Unanswered) {
            self.set_alarms();
        }
    }

    /// Looks in time at every room in which somebody waits.
    pub(super) fn set_alarms(&mut self) {
        let waits = |room: &crate::chat::room::Room| {
            let outside = room.conversation.as_ref();
            let waits = outside.is_some_and(|outside| outside.waiting_ms.is_some());
            waits || room.step.is_some() || next_reminder_ms(room).is_some()
        };
        let rooms = self.rooms.values().filter(|room| waits(room));
        let names: Vec<_> = rooms.map(|room| room.name.clone()).collect();
        names.iter().for_each(|name| self.set_alarm(name));
    }

    /// Looks at a room again when the first thing in it is due.
    pub(super) fn set_alarm(&mut self, name: &Name) {
        let Self { rules, rooms, .. } = self;
        let Some(room) = rooms.get_mut(name) else { return };
        let step = room.step.as_ref().filter(|_| !room.step_rung);
        let step_ms = step.map(|step| step.until_ms);
        let unanswered_ms = room.conversation.as_ref().and_then(|outside| {
            let since_ms = outside.waiting_ms?;
            let wait_ms = rules.handlers.next_unanswered(outside.considered_ms(since_ms))?;
            Some(since_ms.saturating_add(wait_ms))
        });
        let reminder_ms = next_reminder_ms(room);
        let due_ms = step_ms.into_iter().chain(unanswered_ms).chain(reminder_ms).min();
        if room.alarm_ms != due_ms {
            if let Some(before_ms) = room.alarm_ms {
                rules.alarms.remove(&(before_ms, name.clone()));
            }
            rules.alarms.extend(due_ms.map(|due_ms| (due_ms, name.clone())));
            room.alarm_ms = due_ms;
        }
    }

    /// Notes what is due by now: questions that nobody answered, contacts who wait.
    pub(super) fn ring(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let now_ms = now.wall_ms();
        for _ in 0..ALARMS_PER_TICK {
            if self.rules.alarms.first().is_none_or(|(due_ms, _)| *due_ms > now_ms) {
                return;
            }
            let (_, name) = self.rules.alarms.pop_first().expect("it was there");
            self.ring_room(now_ms, &name);
            self.tell_reminders(now, &name, effects);
            self.set_alarm(&name);
        }
    }

    fn ring_room(&mut self, now_ms: i64, name: &Name) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        room.alarm_ms = None;
        let contact = crate::chat::conversation::contact_of(name);
        let hand = Hand::default();
        let late = room.step.clone().filter(|step| !room.step_rung && step.until_ms <= now_ms);
        room.step_rung |= late.is_some();
        if let Some(outside) = &mut room.conversation
            && let Some(since_ms) = outside.waiting_ms
        {
            let (from_ms, waited_ms) = (outside.considered_ms(since_ms), now_ms - since_ms);
            outside.considered = Some((since_ms, waited_ms));
            if waited_ms > from_ms && self.rules.handlers.wants(EventKind::Unanswered) {
                let mut happening = Happening::new(EventKind::Unanswered, name, &contact, hand);
                happening.waited_ms = (from_ms, waited_ms);
                self.happened(happening);
            }
        }
        if late.is_some() {
            let happening = Happening::new(EventKind::Timeout, name, &contact, hand);
            self.happened(Happening { late, ..happening });
        }
    }

    /// The records of the log are restored: what came due before the last of them was considered
    /// then.
    pub(super) fn begin_handlers(&mut self) {
        let until_ms = self.rules.restored_ms;
        for room in self.rooms.values_mut() {
            if let Some(outside) = &mut room.conversation
                && let Some(since_ms) = outside.waiting_ms
            {
                outside.considered = Some((since_ms, (until_ms - since_ms).max(0)));
            }
        }
        self.set_alarms();
    }

    /// A message in the log was written by a handler, which may want to rest after that.
    pub(super) fn restore_firing(&mut self, room: &str, user: &str, at_ms: i64) {
        if let Some(handler) = user.strip_prefix(HANDLER_PREFIX) {
            let contact = crate::chat::conversation::contact_of(room);
            self.rules.handlers.fired_before(handler, room, &contact, at_ms);
        }
    }

    /// Keeps a question with its room, or nothing any more. Gives the text for the log when that
    /// is news.
    pub(super) fn keep_step(&mut self, name: &Name, step: Option<Step>) -> Option<Box<str>> {
        let room = self.rooms.get_mut(name)?;
        if room.step == step {
            return None;
        }
        room.step = step;
        room.step_rung = false;
        let text = room.step.as_ref().map_or("".into(), Step::text);
        self.set_alarm(name);
        Some(text)
    }

    /// The end of a question could not be written down: it is tried again.
    pub(super) fn ring_again(&mut self, name: &Name) {
        if let Some(room) = self.rooms.get_mut(name)
            && std::mem::take(&mut room.step_rung)
        {
            self.set_alarm(name);
        }
    }

    /// What each handler did on this shard.
    pub fn handler_counts(&self) -> impl Iterator<Item = (&str, &handlers::Counts)> {
        self.rules.handlers.iter().map(|(handler, counts)| (handler.name(), counts))
    }
}

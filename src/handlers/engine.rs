//! All handlers of a shard: which of them an occasion concerns, and what they want done.

use super::action::{Action, CallReply, Planned};
use super::condition::{Look, fold, front};
use super::counts::Counts;
use super::deed::{Ask, Deed};
use super::guard::Guards;
use super::handler::Handler;
use super::occasion::{EventKind, Occasion};
use super::run::Run;
use super::step::Stored;
use super::template::{Answer, Kept, Values, cut};
use crate::base::limits::{HANDLER_CHAIN_MAX, HANDLER_FIRED_MAX, HANDLER_VALUE_BYTES_MAX};
use crate::base::names::split_conversation;
use std::sync::Arc;

/// The handlers, what they did so far, and how often.
#[derive(Debug, Default)]
pub struct Handlers {
    /// In the order in which they are asked.
    entries: Vec<Entry>,
    /// By event: indexes into `entries`, enabled ones only, in their order.
    lists: [Vec<u32>; EventKind::COUNT],
    /// By event: whether somebody needs the text in small letters.
    folds: [bool; EventKind::COUNT],
    guards: Guards,
    /// The text in small letters; kept for its memory.
    folded: String,
}

#[derive(Debug)]
struct Entry {
    handler: Arc<Handler>,
    counts: Counts,
}

/// A question that the occasion answers.
struct Waiting {
    stored: Stored,
    handler: Arc<Handler>,
    index: usize,
}

impl Handlers {
    /// Takes a definition in, in the place of the one with its name.
    pub fn put(&mut self, handler: Handler) {
        let counts = self.take(handler.name()).unwrap_or_default();
        self.entries.push(Entry { handler: Arc::new(handler), counts });
        self.arrange();
    }

    /// Forgets one. Its questions end when somebody answers, or in time.
    pub fn remove(&mut self, name: &str) {
        self.take(name);
        self.arrange();
    }

    /// Whether any handler waits for this: else nobody needs to make an occasion of it.
    pub fn wants(&self, kind: EventKind) -> bool {
        !self.lists[kind as usize].is_empty()
    }

    /// After how long without an answer to a contact somebody wants to know next, ms, if the
    /// contact has waited `after_ms` already.
    pub fn next_unanswered(&self, after_ms: i64) -> Option<i64> {
        let list = &self.lists[EventKind::Unanswered as usize];
        let waits = list.iter().map(|index| self.entries[*index as usize].handler.when());
        waits.map(|when| when.unanswered_ms).filter(|wait_ms| *wait_ms > after_ms).min()
    }

    /// All handlers with their counters, in the order in which they are asked.
    pub fn iter(&self) -> impl Iterator<Item = (&Handler, &Counts)> {
        self.entries.iter().map(|entry| (&*entry.handler, &entry.counts))
    }

    /// Notes that an action of a handler could not be performed.
    pub fn failed(&mut self, name: &str, now_ms: i64, why: &str) {
        if let Some(index) = self.find(name) {
            self.entries[index].counts.fail(now_ms, why);
        }
    }

    /// Notes that a handler fired before the start, so that its cooldown goes on.
    pub fn fired_before(&mut self, name: &str, room: &str, sender: &str, at_ms: i64) {
        self.guards.note((name, room, one_of(room, sender)), at_ms);
    }

    /// Says what handlers want done about something that happened.
    pub fn consider(&mut self, occasion: &Occasion<'_>, out: &mut Vec<Planned>) {
        let list = occasion.kind as usize;
        if self.lists[list].is_empty() && occasion.step.is_none() {
            return;
        }
        if occasion.kind == EventKind::Timeout {
            return self.time_out(occasion, out);
        }
        if occasion.depth > HANDLER_CHAIN_MAX {
            return;
        }
        let waiting = self.waiting(occasion, out);
        let mut folded = std::mem::take(&mut self.folded);
        let text = front(occasion.text);
        if self.folds[list] {
            fold(text, &mut folded);
        }
        let look = Look::of_text(text, &folded);
        self.ask_all(occasion, &look, waiting, out);
        self.folded = folded;
    }

    fn ask_all(
        &mut self,
        occasion: &Occasion<'_>,
        look: &Look<'_>,
        mut waiting: Option<Waiting>,
        out: &mut Vec<Planned>,
    ) {
        let list = occasion.kind as usize;
        let mut fired = 0;
        for position in 0..self.lists[list].len() {
            let index = self.lists[list][position] as usize;
            let entry = &mut self.entries[index];
            let priority = entry.handler.priority();
            // The answer belongs to who asked, and to those who are asked before.
            let is_answer = |it: &mut Waiting| priority <= it.handler.priority();
            if let Some(waiting) = waiting.take_if(is_answer) {
                return self.answer(occasion, waiting, out);
            }
            let wants = entry.handler.wants(occasion, look);
            if look.is_exhausted.take() {
                entry.counts.limited += 1;
                let why = "the regular expressions before it had looked at too much text";
                entry.counts.fail(occasion.now_ms, why);
                continue;
            }
            if !wants {
                continue;
            }
            entry.counts.matched += 1;
            let handler = entry.handler.clone();
            let who = one_of(occasion.room, occasion.sender);
            let key = (handler.name(), occasion.room, who);
            let admitted = fired < HANDLER_FIRED_MAX
                && self.guards.admit(key, &handler.limits(), occasion.now_ms);
            if !admitted {
                self.entries[index].counts.limited += 1;
                continue;
            }
            fired += 1;
            self.fire(index, &handler, occasion, out);
            if handler.stops() {
                return;
            }
        }
        if let Some(waiting) = waiting {
            self.answer(occasion, waiting, out);
        }
    }

    fn fire(
        &mut self,
        index: usize,
        handler: &Handler,
        occasion: &Occasion<'_>,
        out: &mut Vec<Planned>,
    ) {
        let mut kept = Kept::new();
        handler.when().test.capture(occasion, &mut kept);
        let values = Values { occasion: Some(occasion), kept, reply: None };
        let mut run = Run {
            handler,
            values,
            who: one_of(occasion.room, occasion.sender),
            now_ms: occasion.now_ms,
            depth: occasion.depth + 1,
            actions: Vec::new(),
            error: None,
        };
        run.all(handler.deeds(), &[]);
        self.finish(Some(index), run, out);
    }

    /// Counts what a run gave, and hands it out.
    fn finish(&mut self, index: Option<usize>, run: Run<'_>, out: &mut Vec<Planned>) {
        if let Some(index) = index {
            let counts = &mut self.entries[index].counts;
            if let Some(why) = run.error {
                counts.fail(run.now_ms, why);
            }
            if !run.actions.is_empty() {
                counts.fired += 1;
                counts.fired_at_ms = run.now_ms;
            }
        }
        if !run.actions.is_empty() {
            let handler = run.handler.shared_name();
            out.push(Planned { handler, depth: run.depth, actions: run.actions });
        }
    }

    /// The question that this occasion answers, if one waits for who speaks.
    fn waiting(&self, occasion: &Occasion<'_>, out: &mut Vec<Planned>) -> Option<Waiting> {
        use super::occasion::Source::{Api, Contact, Person};
        let is_said = occasion.kind == EventKind::Message
            && matches!(occasion.source, Contact | Person | Api);
        let stored = Stored::read(occasion.step.filter(|_| is_said)?)?;
        let is_asked = match &*stored.who {
            "" => occasion.source == Contact,
            who => who == occasion.sender,
        };
        if !is_asked {
            return None;
        }
        match self.asker(&stored) {
            Some((index, handler)) => Some(Waiting { stored, handler, index }),
            None => {
                out.push(ended(&stored));
                None
            }
        }
    }

    /// The handler that asked, when its definition is still the same.
    fn asker(&self, stored: &Stored) -> Option<(usize, Arc<Handler>)> {
        let index = self.find(&stored.handler)?;
        let handler = self.entries[index].handler.clone();
        (handler.is_enabled() && stored.deed(&handler).is_some()).then_some((index, handler))
    }

    fn answer(&mut self, occasion: &Occasion<'_>, waiting: Waiting, out: &mut Vec<Planned>) {
        let Waiting { stored, handler, index } = waiting;
        let Some(Deed::Ask(ask)) = stored.deed(&handler) else {
            return out.push(ended(&stored));
        };
        // A tapped button means what its maker called it.
        let text = occasion.choice.unwrap_or(occasion.text.trim());
        let is_good = ask.expect.as_ref().is_none_or(|test| {
            test.fits(text) || (occasion.choice.is_some() && test.fits(occasion.text))
        });
        let mut values =
            Values { occasion: Some(occasion), kept: stored.kept.clone(), reply: None };
        if is_good {
            let answer = cut(text, HANDLER_VALUE_BYTES_MAX).to_owned();
            values.kept.insert(ask.key.clone(), answer);
        }
        let mut run = Run {
            handler: &handler,
            values,
            who: &stored.who,
            now_ms: occasion.now_ms,
            depth: occasion.depth + 1,
            actions: Vec::new(),
            error: None,
        };
        let counts = &mut self.entries[index].counts;
        counts.answered += 1;
        if is_good {
            run.actions.push(Action::EndStep);
            run.all(&ask.next.then, &[&stored.at[..], &[0]].concat());
        } else if stored.tries + 1 < ask.tries {
            ask_again(&mut run, ask, &stored);
        } else {
            counts.unanswered += 1;
            run.actions.push(Action::EndStep);
            run.all(&ask.next.otherwise, &[&stored.at[..], &[1]].concat());
        }
        self.finish(Some(index), run, out);
    }

    fn time_out(&mut self, occasion: &Occasion<'_>, out: &mut Vec<Planned>) {
        let Some(stored) = occasion.step.and_then(Stored::read) else { return };
        let Some((index, handler)) = self.asker(&stored) else {
            return out.push(ended(&stored));
        };
        let Some(Deed::Ask(ask)) = stored.deed(&handler) else {
            return out.push(ended(&stored));
        };
        self.entries[index].counts.unanswered += 1;
        let kept = stored.kept.clone();
        let mut run = Run {
            handler: &handler,
            values: Values { occasion: Some(occasion), kept, reply: None },
            who: &stored.who,
            now_ms: occasion.now_ms,
            depth: stored.depth,
            actions: vec![Action::EndStep],
            error: None,
        };
        run.all(&ask.next.otherwise, &[&stored.at[..], &[1]].concat());
        self.finish(Some(index), run, out);
    }

    /// Says what follows the answer to a call. `resume` is that of [`Action::Call`]; the actions
    /// are for the room that called.
    pub fn replied(
        &mut self,
        resume: &str,
        reply: &CallReply<'_>,
        now_ms: i64,
        out: &mut Vec<Planned>,
    ) {
        let Some(stored) = Stored::read(resume) else { return };
        let Some(index) = self.find(&stored.handler) else { return };
        let handler = self.entries[index].handler.clone();
        let counts = &mut self.entries[index].counts;
        counts.calls += 1;
        counts.calls_ms += reply.took_ms;
        let Some(Deed::Call(call)) = stored.deed(&handler) else {
            return counts.fail(now_ms, "it was changed while it waited for the answer to a call");
        };
        if !reply.is_success() {
            let why = match reply.error {
                "" => format!("{} answered {}", call.url, reply.status),
                error => format!("{}: {error}", call.url),
            };
            counts.fail(now_ms, &why);
        }
        let (list, branch) = match reply.is_success() {
            true => (&call.next.then, 0),
            false => (&call.next.otherwise, 1),
        };
        let answer = Some(Answer::read(reply));
        let mut run = Run {
            handler: &handler,
            values: Values { occasion: None, kept: stored.kept.clone(), reply: answer },
            who: &stored.who,
            now_ms,
            depth: stored.depth,
            actions: Vec::new(),
            error: None,
        };
        run.all(list, &[&stored.at[..], &[branch]].concat());
        self.finish(Some(index), run, out);
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.handler.name() == name)
    }

    fn take(&mut self, name: &str) -> Option<Counts> {
        let index = self.find(name)?;
        Some(self.entries.remove(index).counts)
    }

    fn arrange(&mut self) {
        self.entries.sort_by(|left, right| left.handler.order(&right.handler));
        for list in &mut self.lists {
            list.clear();
        }
        self.folds = Default::default();
        for (index, entry) in self.entries.iter().enumerate() {
            let handler = &entry.handler;
            let events = if handler.is_enabled() { handler.events() } else { &[] };
            for kind in events {
                let list = &mut self.lists[*kind as usize];
                let index = u32::try_from(index).expect("fewer definitions than that");
                if list.last() != Some(&index) {
                    list.push(index);
                }
                self.folds[*kind as usize] |= handler.when().test.folds();
            }
        }
    }
}

/// Whom questions and cooldowns are about: empty for the contact of a conversation, who may be
/// known under several ids and need not have given the reason.
fn one_of<'o>(room: &str, sender: &'o str) -> &'o str {
    if split_conversation(room).is_some() { "" } else { sender }
}

fn ask_again(run: &mut Run<'_>, ask: &Ask, stored: &Stored) {
    let message = ask.again.as_ref().unwrap_or(&ask.message);
    match run.say(message) {
        Some(say) => run.actions.push(Action::Reply { say, quote: false }),
        None => run.error = Some("with these values a question would be empty or too long"),
    }
    let stored = Stored { tries: stored.tries + 1, ..stored.clone() };
    run.actions.push(run.wait(ask, stored));
}

/// Nobody waits for this answer any more.
fn ended(stored: &Stored) -> Planned {
    let handler = stored.handler.as_str().into();
    Planned { handler, depth: stored.depth, actions: vec![Action::EndStep] }
}

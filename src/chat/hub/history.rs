//! Owner: pages of history, from memory where it reaches and from the log where it does not.

use super::Hub;
use super::entering::JoinJob;
use crate::base::codes::ErrorCode;
use crate::base::ids::Offset;
use crate::base::limits::{HISTORY_BYTES_MAX, HISTORY_LIMIT_MAX, RECALLS_MAX};
use crate::chat::event::{Asker, Effect, Frame, Name, Page, Recalled, Refusal};
use crate::chat::reply;
use crate::chat::request::refuse;
use std::collections::VecDeque;

/// A question to the log, and what to do with the answer.
#[derive(Debug)]
pub enum Recall {
    Join { room: Name, job: JoinJob },
    CatchUp { room: Name, by: Asker, after: Offset },
    History { room: Name, job: HistoryJob },
}

/// A page being put together. It walks back first, then forward.
#[derive(Debug)]
pub struct HistoryJob {
    by: Asker,
    /// The room's top when it was asked: what comes later is not part of the page.
    top: Offset,
    /// Oldest first.
    msgs: VecDeque<Frame>,
    /// Bytes that `msgs` may still grow by in this walk.
    budget: usize,
    /// The walk to do now.
    walk: Walk,
    /// The walk after it (`around` has two).
    then: Option<Walk>,
    /// Whether messages remain beyond a finished walk.
    more: bool,
}

/// Messages wanted in one direction.
#[derive(Clone, Copy, Debug)]
struct Walk {
    back: bool,
    /// The next offset to look at.
    cursor: Offset,
    /// Messages still wanted.
    wanted: usize,
}

/// Cold events asked for at once: more than a page, since edits lie between messages.
const COLD_SLICE: u64 = 2 * HISTORY_LIMIT_MAX as u64;

impl Hub {
    pub(super) fn take_history(
        &mut self,
        name: Name,
        by: Asker,
        page: Page,
        limit: u32,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        if self.recalls.len() >= RECALLS_MAX {
            let text = "too many questions wait for old history; try again in a moment";
            let refusal = refuse(ErrorCode::Overloaded, text);
            return Err(Refusal { after_ms: Some(1_000), ..refusal });
        }
        let top = self.rooms[&name].visible;
        let wanted = limit as usize;
        let back = |cursor: u64, wanted| {
            let cursor = Offset(cursor.min(top.0));
            Walk { back: true, cursor, wanted }
        };
        let forward = |o: Offset, wanted| Walk { back: false, cursor: Offset(o.0 + 1), wanted };
        let mut budget = HISTORY_BYTES_MAX;
        let (walk, then) = match page {
            Page::Newest => (back(top.0, wanted), None),
            Page::Before(o) => (back(o.0.saturating_sub(1), wanted), None),
            Page::After(o) => (forward(o, wanted), None),
            Page::Around(o) => {
                budget /= 2;
                // What the first walk does not find is left to the second.
                (back(o.0, wanted.div_ceil(2)), Some(forward(o, wanted)))
            }
        };
        let msgs = VecDeque::new();
        let job = HistoryJob { by, top, msgs, budget, walk, then, more: false };
        self.advance_history(name, job, effects);
        Ok(())
    }

    /// Walks through memory; asks the log for what lies before it.
    fn advance_history(&mut self, name: Name, mut job: HistoryJob, effects: &mut Vec<Effect>) {
        loop {
            let room = &self.rooms[&name];
            let (cursor, kept) = (job.walk.cursor, room.tail.first());
            if job.walk.is_done(job.top) {
                if !job.next_walk() {
                    break;
                }
            } else if cursor >= kept {
                let events = if job.walk.back {
                    room.tail.recall(kept, cursor)
                } else {
                    room.tail.recall(cursor, job.top)
                };
                job.take(events);
            } else {
                let range = if job.walk.back {
                    (Offset(cursor.0.saturating_sub(COLD_SLICE - 1).max(1)), cursor)
                } else {
                    (cursor, Offset((cursor.0 + COLD_SLICE - 1).min(kept.0 - 1).min(job.top.0)))
                };
                self.recall(name, range, |room| Recall::History { room, job }, effects);
                return;
            }
        }
        let first = Offset(job.top.0.min(1));
        let Some(id) = job.by.id else {
            return;
        };
        let msgs: Vec<Frame> = job.msgs.into();
        let epoch = self.epochs.current();
        let frame = reply::history(id, epoch, &msgs, (first, job.top), job.more);
        self.answer(job.by.from, frame, effects);
    }

    /// Asks the log for `first..=last` of a room, to continue with `then`.
    pub(super) fn recall(
        &mut self,
        room: Name,
        (first, last): (Offset, Offset),
        then: impl FnOnce(Name) -> Recall,
        effects: &mut Vec<Effect>,
    ) {
        assert!(Offset(1) <= first && first <= last);
        self.recall_number += 1;
        let ticket = self.recall_number;
        self.recalls.insert(ticket, (last, then(room.clone())));
        effects.push(Effect::Archive { ticket, room, first, last });
    }

    pub(super) fn archived(
        &mut self,
        ticket: u64,
        events: Vec<Recalled>,
        effects: &mut Vec<Effect>,
    ) {
        let Some((last, recall)) = self.recalls.remove(&ticket) else {
            return;
        };
        match recall {
            Recall::Join { room, job } => self.join_recalled(room, job, last, events, effects),
            Recall::CatchUp { room, by, after } => {
                self.caught_from_log(room, &by, (after, last), events, effects);
            }
            Recall::History { room, mut job } => {
                let cursor = job.walk.cursor;
                job.take(events);
                // Holes in the log must not stop the walk.
                if job.walk.wanted == 0 {
                    // Done: the cursor tells whether more remain.
                } else if job.walk.back {
                    let begin = Offset(cursor.0.saturating_sub(COLD_SLICE - 1).max(1));
                    job.walk.cursor = job.walk.cursor.min(Offset(begin.0 - 1));
                } else {
                    job.walk.cursor = job.walk.cursor.max(last.next());
                }
                self.advance_history(room, job, effects);
            }
        }
    }

    fn caught_from_log(
        &mut self,
        room: Name,
        by: &Asker,
        (after, last): (Offset, Offset),
        events: Vec<Recalled>,
        effects: &mut Vec<Effect>,
    ) {
        if events.is_empty() {
            // Nothing readable in the whole slice: pass over it, and say so.
            let gap = reply::gap(&room, after.next(), last);
            let hole = Recalled { o: last, frame: gap, latest: None, is_message: false };
            self.caught(room, by, Offset(last.0 - 1), vec![hole], effects);
        } else {
            self.caught(room, by, after, events, effects);
        }
    }
}

impl Walk {
    fn is_done(&self, top: Offset) -> bool {
        let over = if self.back { self.cursor == Offset(0) } else { self.cursor > top };
        self.wanted == 0 || over
    }
}

impl HistoryJob {
    /// Takes messages in the direction of the walk until it has enough.
    fn take(&mut self, events: Vec<Recalled>) {
        if self.walk.back {
            events.into_iter().rev().for_each(|event| self.take_one(event));
        } else {
            events.into_iter().for_each(|event| self.take_one(event));
        }
    }

    fn take_one(&mut self, event: Recalled) {
        let walk = &mut self.walk;
        if walk.wanted == 0 {
            return;
        }
        if event.is_message {
            let msg = event.latest.unwrap_or(event.frame);
            // A page has at least one message, so that the next one can be asked for.
            if msg.len() > self.budget && !self.msgs.is_empty() {
                walk.wanted = 0;
                return;
            }
            self.budget = self.budget.saturating_sub(msg.len());
            walk.wanted -= 1;
            if walk.back { self.msgs.push_front(msg) } else { self.msgs.push_back(msg) }
        }
        walk.cursor = if walk.back { Offset(event.o.0 - 1) } else { event.o.next() };
    }

    /// Goes on with the second walk, if there is one.
    fn next_walk(&mut self) -> bool {
        let walk = self.walk;
        let beyond = if walk.back { walk.cursor > Offset(0) } else { walk.cursor <= self.top };
        self.more |= beyond;
        match self.then.take() {
            Some(then) => {
                self.walk = Walk { wanted: then.wanted - self.msgs.len(), ..then };
                self.budget += HISTORY_BYTES_MAX / 2;
                true
            }
            None => false,
        }
    }
}

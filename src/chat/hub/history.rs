//! Owner: pages of history, from memory where it reaches and from the log where it does not.

use super::Hub;
use super::changes::Change;
use super::entering::JoinJob;
use crate::base::clock::Now;
use crate::base::codes::ErrorCode;
use crate::base::ids::Offset;
use crate::base::limits::{HISTORY_BYTES_MAX, HISTORY_LIMIT_MAX, RECALLS_MAX};
use crate::chat::event::{Asker, Effect, Found, Frame, Name, Page, Recalled, Refusal, Want};
use crate::chat::reply;
use crate::chat::request::refuse;
use std::collections::VecDeque;

/// A question to the log, and what to do with the answer.
#[derive(Debug)]
pub enum Recall {
    Join { room: Name, job: JoinJob },
    CatchUp { room: Name, by: Asker, after: Offset },
    History { room: Name, job: HistoryJob },
    Since { room: Name, by: Asker, limit: u32 },
    Change { room: Name, by: Asker, of: Offset, change: Change },
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
        let (top, newest) = (self.rooms[&name].visible, self.rooms[&name].tail.top());
        if let Page::Since(ts_ms) = page {
            // The clock may have gone back: only the log knows the first one.
            let then = |room| Recall::Since { room, by, limit };
            self.recall(name, Want::Since { ts_ms }, newest, then, effects);
            return Ok(());
        }
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
            Page::Since(_) => unreachable!("asked above"),
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
            job.walk.pass_over(room.oldest);
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
                let (first, last) = if job.walk.back {
                    (Offset(cursor.0.saturating_sub(COLD_SLICE - 1)).max(room.oldest), cursor)
                } else {
                    (cursor, Offset((cursor.0 + COLD_SLICE - 1).min(kept.0 - 1).min(job.top.0)))
                };
                let (back, bytes_max) = (job.walk.back, job.budget);
                let want = Want::Events { first, last, back, bytes_max };
                self.recall(name, want, last, |room| Recall::History { room, job }, effects);
                return;
            }
        }
        let first = self.rooms[&name].oldest.min(job.top);
        let Some(id) = job.by.id else {
            return;
        };
        let msgs: Vec<Frame> = job.msgs.into();
        let epoch = self.epochs.current();
        let frame = reply::history(id, epoch, &msgs, (first, job.top), job.more);
        self.answer(job.by.from, frame, effects);
    }

    /// Asks the log about a room, to continue with `then`.
    pub(super) fn recall(
        &mut self,
        room: Name,
        want: Want,
        upto: Offset,
        then: impl FnOnce(Name) -> Recall,
        effects: &mut Vec<Effect>,
    ) {
        if let Want::Events { first, last, .. } = want {
            assert!(Offset(1) <= first && first <= last);
        }
        self.recall_number += 1;
        let ticket = self.recall_number;
        self.recalls.insert(ticket, (want, then(room.clone())));
        effects.push(Effect::Archive { ticket, room, want, upto });
    }

    pub(super) fn archived(
        &mut self,
        now: Now,
        ticket: u64,
        found: Found,
        effects: &mut Vec<Effect>,
    ) {
        let Some((want, recall)) = self.recalls.remove(&ticket) else {
            return;
        };
        let (Recall::Join { room, .. }
        | Recall::CatchUp { room, .. }
        | Recall::History { room, .. }
        | Recall::Since { room, .. }
        | Recall::Change { room, .. }) = &recall;
        let known = self.rooms.get_mut(room).expect("rooms are never forgotten");
        known.oldest = known.oldest.max(found.oldest);
        match recall {
            Recall::Join { room, job } => self.join_recalled(room, job, want, found, effects),
            Recall::CatchUp { room, by, after } => {
                self.caught_from_log(room, &by, after, found, effects);
            }
            Recall::History { room, mut job } => {
                job.take(found.events);
                // Holes in the log must not stop the walk.
                job.walk.continue_behind(found.reached);
                self.advance_history(room, job, effects);
            }
            Recall::Change { room, by, of, change } => {
                self.change_recalled(now, (room, &by, of), change, &found, effects);
            }
            Recall::Since { room, by, limit } => {
                let top = self.rooms[&room].visible;
                let walk = Walk { back: false, cursor: found.reached, wanted: limit as usize };
                let (msgs, budget) = (VecDeque::new(), HISTORY_BYTES_MAX);
                let job = HistoryJob { by, top, msgs, budget, walk, then: None, more: false };
                self.advance_history(room, job, effects);
            }
        }
    }

    fn caught_from_log(
        &mut self,
        room: Name,
        by: &Asker,
        after: Offset,
        found: Found,
        effects: &mut Vec<Effect>,
    ) {
        if found.events.is_empty() {
            // Nothing readable in the whole slice, or before the oldest: pass over it, and say so.
            let last = found.reached.max(Offset(found.oldest.0.saturating_sub(1)));
            let last = last.min(self.rooms[&room].visible);
            let gap = reply::gap(&room, after.next(), last);
            let hole = Recalled { o: last, frame: gap, latest: None, is_message: false };
            self.caught(room, by, Offset(last.0 - 1), vec![hole], effects);
        } else {
            self.caught(room, by, after, found.events, effects);
        }
    }
}

impl Walk {
    fn is_done(&self, top: Offset) -> bool {
        let over = if self.back { self.cursor == Offset(0) } else { self.cursor > top };
        self.wanted == 0 || over
    }

    /// There is nothing before `oldest`.
    fn pass_over(&mut self, oldest: Offset) {
        if self.back && self.cursor < oldest {
            self.cursor = Offset(0);
        } else if !self.back {
            self.cursor = self.cursor.max(oldest);
        }
    }

    /// All up to `reached` was looked at.
    fn continue_behind(&mut self, reached: Offset) {
        if self.wanted == 0 {
            // Done: the cursor tells whether more remain.
        } else if self.back {
            self.cursor = self.cursor.min(Offset(reached.0.saturating_sub(1)));
        } else {
            self.cursor = self.cursor.max(reached.next());
        }
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

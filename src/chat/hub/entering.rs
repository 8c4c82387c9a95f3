//! Owner: sessions that enter, leave and catch up.

use super::history::Recall;
use super::{Hub, Waiting, mark_dirty};
use crate::base::clock::Now;
use crate::base::codes::ErrorCode;
use crate::base::ids::Offset;
use crate::base::limits::{
    HISTORY_LIMIT_MAX, LAG_EVENTS_MAX, LAG_SLICE_BYTES, RESUME_BYTES_MAX, ROOMS_PER_SHARD_MAX,
};
use crate::base::names::split_conversation;
use crate::chat::event::{
    Asker, Effect, Fact, Found, Frame, JoinWish, JoinedDetail, MemberAction, Message, Name,
    Recalled, Record, Refusal, Replay, Role, RoomChange, Want,
};
use crate::chat::presence::Exit;
use crate::chat::reply;
use crate::chat::request::refuse;
use crate::chat::room::{ReplayPlan, Room};
use crate::handlers::EventKind;
use serde_json::json;

/// A join whose replay is being put together.
#[derive(Debug)]
pub struct JoinJob {
    by: Asker,
    plan: ReplayPlan,
    /// Events wanted: while the log is asked for them, more may come.
    wanted: usize,
    frames: Vec<Frame>,
    /// The next offset to replay.
    next: Offset,
    bytes: usize,
    /// Nothing was missing so far.
    whole: bool,
}

impl Hub {
    pub(super) fn enter(
        &mut self,
        now: Now,
        name: Name,
        by: Asker,
        wish: JoinWish,
        effects: &mut Vec<Effect>,
    ) {
        if let Err(refusal) = self.may_enter(now, &name, &by, wish, effects) {
            self.refused.insert((by.from, name.clone()));
            self.refuse_join(name, &by, refusal, effects);
            return;
        }
        let news = wish.member && self.rooms[&name].role(&by.user) == Role::Guest;
        let append = news.then(|| {
            self.change_member(now, &name, &by.user, &by.user, MemberAction::Join, effects)
        });
        let room = self.rooms.get_mut(&name).expect("made above");
        room.count_shard(by.from.shard, 1);
        if wish.counted {
            let came = room.presence.enter(&by.user);
            mark_dirty(&mut self.dirty, room);
            if came {
                self.note(EventKind::Joined, &name, &by.user);
            }
        }
        match append {
            Some(append) => {
                let what = Waiting::Join { room: name, by, replay: wish.replay };
                self.when_durable(append, what, effects);
            }
            None => self.begin_join(name, by, wish.replay, effects),
        }
    }

    /// Nothing stands in the way of the answer but its replay.
    pub(super) fn begin_join(
        &mut self,
        name: Name,
        by: Asker,
        replay: Replay,
        effects: &mut Vec<Effect>,
    ) {
        let plan = self.rooms[&name].plan(&self.epochs, replay);
        let wanted = match replay {
            Replay::Last(count) => count.min(HISTORY_LIMIT_MAX) as usize,
            Replay::None | Replay::After(..) => usize::MAX,
        };
        let (next, frames) = (plan.from, Vec::new());
        let job = JoinJob { by, plan, wanted, frames, next, bytes: 0, whole: true };
        self.advance_join(name, job, effects);
    }

    /// A join that cannot be promised any more. Its session is counted here until its front has
    /// answered with a leave.
    pub(super) fn refuse_join(
        &mut self,
        room: Name,
        by: &Asker,
        refusal: Refusal,
        effects: &mut Vec<Effect>,
    ) {
        let (to, id, outcome) = (by.from.conn, by.id, Err(refusal));
        let joined = Message::Joined { to, id, room, outcome, replay: Vec::new() };
        self.tell(by.from.shard, joined, effects);
    }

    /// Makes the room if need be, and checks that the user may be in it.
    fn may_enter(
        &mut self,
        now: Now,
        name: &Name,
        by: &Asker,
        wish: JoinWish,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        if wish.member {
            self.check_log(0)?;
        }
        if split_conversation(name).is_some() {
            self.check_agent(by)?;
        }
        // What was said here before is read here.
        if let Some(room) = self.rooms.get(name) {
            self.check_not_banned(now, name, by)?;
            if !room.admits(&by.user) {
                let text = "this room is for its members; ask one of them for an invitation";
                return Err(refuse(ErrorCode::Forbidden, text));
            }
            return Ok(());
        }
        self.check_goes_on_here(name)?;
        self.need_room(now, name, &by.user, effects)
    }

    /// Makes the room unless it is there. An empty `owner` leaves it without one.
    pub(super) fn need_room(
        &mut self,
        now: Now,
        name: &Name,
        owner: &Name,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        if self.rooms.contains_key(name) {
            return Ok(());
        }
        if self.rooms.len() >= ROOMS_PER_SHARD_MAX {
            return Err(refuse(ErrorCode::TooLarge, "the server has as many rooms as it may"));
        }
        self.check_log(0)?;
        self.make_room(now, name, owner, effects);
        Ok(())
    }

    /// A new room. An empty `owner` leaves it without one.
    pub(super) fn make_room(
        &mut self,
        now: Now,
        name: &Name,
        owner: &Name,
        effects: &mut Vec<Effect>,
    ) {
        let mut room = Room::new(name.clone());
        if !owner.is_empty() {
            room.members.insert(owner.clone(), Role::Owner);
        }
        self.rooms.insert(name.clone(), room);
        let fact = Fact::Room { o: Offset(0), change: RoomChange::Created };
        let (user, room) = (owner.clone(), name.clone());
        self.append(Record { ts_us: now.wall_us, user, room, fact }, effects);
    }

    /// Adds what can be added to the replay; asks the log for what is no longer in memory.
    pub(super) fn advance_join(&mut self, name: Name, mut job: JoinJob, effects: &mut Vec<Effect>) {
        let room = &self.rooms[&name];
        let first_kept = room.tail.first();
        if job.next <= room.visible && job.next < first_kept && job.bytes <= RESUME_BYTES_MAX {
            let last = Offset((first_kept.0 - 1).min(room.visible.0));
            let (first, back, bytes_max) = (job.next, false, RESUME_BYTES_MAX - job.bytes);
            let want = Want::Events { first, last, back, bytes_max };
            self.recall(name, want, last, |room| Recall::Join { room, job }, effects);
            return;
        }
        for (o, entry) in room.tail.since(job.next) {
            if o > room.visible {
                break;
            }
            job.take(o, entry.frame.clone());
        }
        self.finish_join(name, job, effects);
    }

    /// Cold events for a join arrived.
    pub(super) fn join_recalled(
        &mut self,
        name: Name,
        mut job: JoinJob,
        want: Want,
        found: Found,
        effects: &mut Vec<Effect>,
    ) {
        for event in found.events {
            job.take(event.o, event.frame);
        }
        if let Want::Events { last, .. } = want
            && job.next <= last
        {
            // The log has a hole here, or too much to replay; the client pages history instead of
            // being told "all".
            job.whole = false;
            job.next = last.next();
        }
        self.advance_join(name, job, effects);
    }

    fn finish_join(&mut self, name: Name, mut job: JoinJob, effects: &mut Vec<Effect>) {
        let room = self.rooms.get_mut(&name).expect("rooms are never forgotten");
        room.presence.witness();
        if job.bytes > RESUME_BYTES_MAX || !job.whole {
            job.frames.clear();
            job.plan.recovered = false;
        }
        let excess = job.frames.len().saturating_sub(job.wanted);
        job.frames.drain(..excess);
        let count = job.frames.len() as u32;
        // What is replayed ends at the top.
        let from = Offset(room.visible.0 + 1 - u64::from(count));
        let detail = JoinedDetail {
            epoch: self.epochs.current(),
            top: room.visible,
            from,
            count,
            recovered: job.plan.recovered,
            back_to: job.plan.back_to,
            role: room.role(&job.by.user),
            topic: room.topic.clone(),
            present: room.presence.count() as u32,
        };
        let JoinJob { by, frames: replay, .. } = job;
        let (to, id) = (by.from.conn, by.id);
        let joined = Message::Joined { to, id, room: name, outcome: Ok(detail), replay };
        self.tell(by.from.shard, joined, effects);
    }

    pub(super) fn exit(
        &mut self,
        now: Now,
        name: &Name,
        by: &Asker,
        (said, counted, member): (bool, bool, bool),
        effects: &mut Vec<Effect>,
    ) {
        if self.refused.remove(&(by.from, name.clone())) {
            return;
        }
        if member {
            self.end_membership(now, name, by, effects);
        }
        let room = self.rooms.get_mut(name).expect("a session was in it");
        room.count_shard(by.from.shard, -1);
        if counted {
            let exit = room.presence.exit(&by.user, said, now.mono_ms());
            mark_dirty(&mut self.dirty, room);
            match exit {
                Exit::Settled => {}
                Exit::Left => self.note(EventKind::Left, name, &by.user),
                Exit::Grace(due_ms) => {
                    self.leaving.push_back((due_ms, name.clone(), by.user.clone()));
                }
            }
        }
    }

    /// Answers for itself: its front has let the session go already.
    fn end_membership(&mut self, now: Now, name: &Name, by: &Asker, effects: &mut Vec<Effect>) {
        if self.rooms[name].role(&by.user) == Role::Guest {
            return self.grant_value(by, &json!({}), effects);
        }
        if let Err(refusal) = self.check_log(0) {
            return self.refuse(by.from, by.id, &refusal, effects);
        }
        let action = MemberAction::Leave;
        let append = self.change_member(now, name, &by.user, &by.user, action, effects);
        self.confirm(by, append, &json!({}), effects);
    }

    /// Feeds a connection that fell behind with the next slice.
    pub(super) fn catch_up(
        &mut self,
        name: Name,
        by: Asker,
        after: Offset,
        effects: &mut Vec<Effect>,
    ) {
        let room = &self.rooms[&name];
        let top = room.visible;
        let first_kept = room.tail.first();
        if top.0.saturating_sub(after.0) > LAG_EVENTS_MAX {
            let gap = reply::gap(&name, after.next(), top);
            self.tell_caught_up(name, &by, vec![gap], (top, true), effects);
        } else if after < top && after.next() < first_kept {
            // 256 events of an ordinary size are about one slice.
            let last = Offset((after.0 + 256).min(first_kept.0 - 1).min(top.0));
            let (first, back, bytes_max) = (after.next(), false, LAG_SLICE_BYTES);
            let want = Want::Events { first, last, back, bytes_max };
            self.recall(name, want, last, |room| Recall::CatchUp { room, by, after }, effects);
        } else {
            let events = room.tail.recall(after.next(), top);
            self.caught(name, &by, after, events, effects);
        }
    }

    /// Events for a connection that fell behind are at hand: send one slice.
    pub(super) fn caught(
        &mut self,
        name: Name,
        by: &Asker,
        after: Offset,
        events: Vec<Recalled>,
        effects: &mut Vec<Effect>,
    ) {
        let top = self.rooms[&name].visible;
        let mut upto = after;
        let mut bytes = 0;
        let mut frames = Vec::new();
        for event in events {
            if bytes > 0 && bytes + event.frame.len() > LAG_SLICE_BYTES {
                break;
            }
            if event.o != upto.next() {
                // The log has a hole here: say so, never skip in silence.
                frames.push(reply::gap(&name, upto.next(), Offset(event.o.0 - 1)));
            }
            bytes += event.frame.len();
            upto = event.o;
            frames.push(event.frame);
        }
        if frames.is_empty() && upto < top {
            frames.push(reply::gap(&name, upto.next(), top));
            upto = top;
        }
        self.tell_caught_up(name, by, frames, (upto, upto >= top), effects);
    }

    fn tell_caught_up(
        &mut self,
        room: Name,
        by: &Asker,
        frames: Vec<Frame>,
        (upto, live): (Offset, bool),
        effects: &mut Vec<Effect>,
    ) {
        let caught_up = Message::CaughtUp { to: by.from.conn, room, frames, upto, live };
        self.tell(by.from.shard, caught_up, effects);
    }
}

impl JoinJob {
    fn take(&mut self, o: Offset, frame: Frame) {
        if o < self.next {
            return;
        }
        self.whole &= o == self.next;
        self.bytes += frame.len();
        self.next = o.next();
        // Beyond the bound the frames are dropped at the end; do not hold them until then.
        if self.bytes <= RESUME_BYTES_MAX {
            self.frames.push(frame);
        }
    }
}

//! Owner: commands that are programs of others and run on this shard, in slices between its other
//! work.
//!
//! ```text
//!  a call ──▶ now? ──▶ ended: answered in the same event
//!               │
//!               └─▶ pending: written down ──▶ waiting ──▶ running ─┬─▶ ended: answered later
//!                       ▲                                ▲  slices │
//!                       └────── fetch: asked ◀───────────┴─────────┘
//! ```
//!
//! What ends within its first slice is answered at once, as long as such calls take no more than a
//! quarter of the shard's time. The others take turns: one slice at a time, and while the shard has
//! anything else to do a slice is followed by three times as long without one. So what everybody
//! else waits for is at most one slice, however many calls there are.

use super::Hub;
use super::calls::{Call, reply_text};
use super::commanding::{Caller, Done, Said, speaker};
use crate::base::clock::Now;
use crate::base::codes::ErrorCode;
use crate::base::hash::Map;
use crate::base::limits::{
    CALL_GRACE_MS, COMMAND_CALLS_MAX, COMMAND_FETCHES_MAX, COMMAND_NAMES_MAX,
    COMMAND_STATE_BYTES_MAX,
};
use crate::base::names::split_conversation;
use crate::chat::event::{Effect, Outcome, Refusal};
use crate::chat::request::refuse;
use crate::commands::arguments::Given;
use crate::commands::program::{Failed, Fetch, Input, Names, Output, Reply};
use crate::commands::{Backend, Engines, Entry, Run, Shown, Step};
use std::collections::VecDeque;
use std::sync::Arc;

/// What calls may take at once of the time that they share, µs: a message that came with them
/// waits no longer.
const SPARE_US_MAX: u64 = 500;
/// Of the time that passes, calls may take one part in this many.
const SHARE: u64 = 4;
/// Calls of modules that have begun and not ended, each with its memory.
const BEGUN_MAX: usize = 4;
const NUMBER_MAX: u64 = 1 << 53;

/// Calls of programs on this shard.
#[derive(Debug)]
pub struct Working {
    engines: Engines,
    /// Until their beginning is in the log.
    held: Map<u64, (Job, Option<Box<Run>>)>,
    /// Until somebody has answered what they ask.
    asking: Map<u64, Job>,
    /// Until others have ended, oldest first.
    waiting: VecDeque<Job>,
    /// Between two slices, next first.
    running: VecDeque<(Job, Box<Run>)>,
    /// The last slice was a beginning.
    begins: bool,
    /// How long calls may still run in the events that they come with, and since when that is so.
    spare_us: u64,
    spare_since_us: u64,
    /// When the next slice may be while there is other work.
    due_us: u64,
}

/// A call that takes turns.
#[derive(Debug)]
struct Job {
    call: Call,
    /// When its run must have ended, or its question be answered, ms of the monotonic clock.
    due_ms: u64,
    fetches_left: u8,
    /// What its last fetch brought.
    reply: Option<Reply>,
    /// What it asks next.
    fetch: Option<Fetch>,
    /// Its beginning is written down.
    is_known: bool,
}

impl Job {
    /// Whether both use the same state, so that one must not begin before the other has ended.
    fn shares(&self, other: &Self) -> bool {
        self.call.entry.key == other.call.entry.key && self.call.room == other.call.room
    }
}

/// What a call does next.
enum Turn {
    /// It begins, with this.
    First(Box<Input>),
    /// It goes on.
    Next(Box<Run>),
}

impl Working {
    pub(super) fn new(clock: fn() -> u64) -> Self {
        Self {
            engines: Engines::new(clock),
            held: Map::default(),
            asking: Map::default(),
            waiting: VecDeque::new(),
            running: VecDeque::new(),
            begins: false,
            spare_us: SPARE_US_MAX,
            spare_since_us: 0,
            due_us: 0,
        }
    }

    /// A call whose beginning will never be in the log does not go on.
    pub(super) fn forget(&mut self, ticket: u64) {
        self.held.remove(&ticket);
    }

    /// Calls that have not ended.
    pub(super) fn under_way(&self) -> impl Iterator<Item = &Call> {
        self.jobs().map(|job| &job.call)
    }

    /// Gives up calls that are gone from the log.
    pub(super) fn forget_calls(&mut self, is_gone: impl Fn(&Call) -> bool) {
        self.held.retain(|_, (job, _)| !is_gone(&job.call));
        self.asking.retain(|_, job| !is_gone(&job.call));
        self.waiting.retain(|job| !is_gone(&job.call));
        self.running.retain(|(job, _)| !is_gone(&job.call));
    }

    /// All that run, or will before anybody answers them something.
    fn in_turn(&self) -> impl Iterator<Item = &Job> {
        let held = self.held.values().map(|(job, _)| job);
        let running = self.running.iter().map(|(job, _)| job);
        held.chain(&self.waiting).chain(running)
    }

    fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.in_turn().chain(self.asking.values())
    }

    fn count(&self) -> usize {
        self.held.len() + self.asking.len() + self.waiting.len() + self.running.len()
    }

    /// Calls that hold a run.
    fn begun(&self) -> usize {
        self.running.len() + self.held.values().filter(|(_, run)| run.is_some()).count()
    }

    /// Whether a call may run in the event that it came with.
    fn may_run(&mut self, now: Now, job: &Job) -> bool {
        let passed_us = now.mono_us.saturating_sub(self.spare_since_us);
        if passed_us >= SHARE {
            self.spare_us = (self.spare_us + passed_us / SHARE).min(SPARE_US_MAX);
            self.spare_since_us = now.mono_us;
        }
        let is_free = self.count() == 0 || !self.in_turn().any(|other| other.shares(job));
        self.spare_us > 0 && self.may_begin(job) && is_free
    }

    /// A script ends with its slice; a module may need memory for longer.
    fn may_begin(&self, job: &Job) -> bool {
        !matches!(job.call.entry.manifest.backend, Backend::Wasm(_)) || self.begun() < BEGUN_MAX
    }

    /// Takes the next call that may run: in turn one that has not begun and one that has, so that
    /// a short one need not wait for a long one, nor a long one for all that come after it.
    fn next(&mut self) -> Option<(Job, Option<Box<Run>>)> {
        self.begins = !self.begins;
        if self.begins || self.running.is_empty() {
            let is_free = |job: &Job| {
                self.may_begin(job) && !self.running.iter().any(|(other, _)| other.shares(job))
            };
            if let Some(at) = self.waiting.iter().position(is_free) {
                return self.waiting.remove(at).map(|job| (job, None));
            }
        }
        self.running.pop_front().map(|(job, run)| (job, Some(run)))
    }

    /// A call that waits though its time is over.
    fn take_late(&mut self, now_ms: u64) -> Option<Job> {
        let mut asking = self.asking.iter();
        if let Some((&ticket, _)) = asking.find(|(_, job)| job.due_ms + CALL_GRACE_MS <= now_ms) {
            return self.asking.remove(&ticket);
        }
        let at = self.waiting.iter().position(|job| job.due_ms <= now_ms)?;
        self.waiting.remove(at)
    }

    /// Runs a call for one slice. Gives how long that took, too.
    fn step(&mut self, job: &mut Job, turn: Turn, clock: fn() -> u64) -> (Step, u64) {
        let began_us = clock();
        let step = match turn {
            Turn::First(input) => self.engines.begin(&job.call.entry, *input, &mut job.call.cost),
            Turn::Next(run) => Engines::go_on(run, &mut job.call.cost),
        };
        let took_us = clock().saturating_sub(began_us);
        self.spare_us = self.spare_us.saturating_sub(took_us);
        (step, took_us)
    }
}

impl Hub {
    /// When the next slice of a program may be even if there is other work, µs of the monotonic
    /// clock; nothing when there is none.
    pub fn work_due_us(&self) -> Option<u64> {
        let working = &self.working;
        // Modules that have begun and wait for the log keep others from beginning until it answers.
        let is_idle =
            working.running.is_empty() && !working.waiting.iter().any(|job| working.may_begin(job));
        // What ends has a record, and one that says so cannot be refused.
        (!is_idle && self.check_log(COMMAND_STATE_BYTES_MAX).is_ok()).then_some(working.due_us)
    }

    /// Runs a program, or lets it wait for its turn.
    pub(super) fn work(
        &mut self,
        now: Now,
        caller: &Caller<'_>,
        (entry, name): (&Arc<Entry>, &str),
        given: Given,
        effects: &mut Vec<Effect>,
    ) -> Result<Done, Refusal> {
        if !Engines::has(&entry.manifest.backend) {
            let text = format!("this server was built without {}", entry.manifest.backend.name());
            return Err(refuse(ErrorCode::CommandFailed, &text));
        }
        self.check_room_for(entry, name)?;
        let mut job = Job {
            call: Call::new(caller, entry, name, given),
            due_ms: now.mono_ms() + entry.manifest.limits.time_ms,
            fetches_left: COMMAND_FETCHES_MAX,
            reply: None,
            fetch: None,
            is_known: false,
        };
        if !self.working.may_run(now, &job) {
            return self.pend(now, job, None, effects).map(Done::Pending);
        }
        let turn = Turn::First(self.input_of(now, &job));
        let (step, _) = self.working.step(&mut job, turn, self.options.clock);
        let ended = match step {
            Step::More(run) => return self.pend(now, job, Some(run), effects).map(Done::Pending),
            Step::Ended(ended) => ended,
        };
        match ended.and_then(|output| self.heed(now, &mut job, output, effects)) {
            Ok(None) => self.pend(now, job, None, effects).map(Done::Pending),
            Ok(Some(said)) => Ok(Done::Ended(said)),
            Err(failed) => {
                self.commanding.cost = job.call.cost;
                self.command_failed(now, &job.call.entry.key, failed.why(), effects);
                let (code, text) = described(&job, &failed);
                Err(refuse(code, &text))
            }
        }
    }

    fn check_room_for(&self, entry: &Entry, name: &str) -> Result<(), Refusal> {
        let (count, at_once) = (self.working.count(), entry.manifest.limits.at_once);
        let overloaded = |text: &str| Err(refuse(ErrorCode::Overloaded, text));
        if count >= COMMAND_CALLS_MAX {
            return overloaded("too many calls of commands are under way");
        }
        let of_it = || self.working.jobs().filter(|job| job.call.entry.key == entry.key).count();
        if count >= at_once && of_it() >= at_once {
            return overloaded(&format!("/{name} is busy with {at_once} calls"));
        }
        Ok(())
    }

    /// What a program is told of a call.
    pub(super) fn input(
        &mut self,
        now: Now,
        caller: &Caller<'_>,
        (entry, name): (&Entry, &str),
        given: &Given,
    ) -> Input {
        let random = self.random() % NUMBER_MAX;
        let (user, room) = (&caller.by.user, &self.rooms[caller.room]);
        let display = room.display(user);
        let present = room.presence.page("").map(|(name, _)| name.clone());
        let members = room.members.keys().cloned();
        let between = split_conversation(caller.room);
        let text = |text: &str| Box::from(text);
        Input {
            text: given.line.clone(),
            call: caller.call.clone(),
            name: name.into(),
            words: given.words.clone(),
            args: given.values.clone(),
            user: text(user),
            display: text(display),
            role: self.rank(caller.room, caller.by).name(),
            room: text(caller.room),
            topic: room.topic.clone(),
            present: Names(present.take(COMMAND_NAMES_MAX).collect()),
            present_count: room.presence.count(),
            members: Names(members.take(COMMAND_NAMES_MAX).collect()),
            member_count: room.members.len(),
            number: between.map(|(number, _)| text(number)),
            contact: between.map(|(_, contact)| text(contact)),
            now_ms: now.wall_ms(),
            random,
            state: self.state_of(entry, caller.room),
            reply: None,
        }
    }

    /// What the program of a call is told.
    fn input_of(&mut self, now: Now, job: &Job) -> Box<Input> {
        let Call { entry, name, given, .. } = &job.call;
        let input = self.input(now, &job.call.caller(), (entry, name), given);
        Box::new(Input { reply: job.reply.clone(), ..input })
    }

    /// Does what a program asks for beside its answer. Gives the answer; nothing when it wants to
    /// fetch something first.
    fn heed(
        &mut self,
        now: Now,
        job: &mut Job,
        output: Output,
        effects: &mut Vec<Effect>,
    ) -> Result<Option<Said>, Failed> {
        let broken = Failed::Broken;
        if let Some(fetch) = &output.fetch {
            fetch.check(&job.call.entry.manifest).map_err(broken)?;
            if job.fetches_left == 0 {
                return Err(broken(format!("it fetches more than {COMMAND_FETCHES_MAX} times")));
            }
        }
        self.keep_all(now, &job.call, &output, effects)?;
        for text in output.progress {
            self.tell_caller(now, &job.call, "progress", text, effects);
        }
        if output.fetch.is_some() {
            job.fetches_left -= 1;
            job.fetch = output.fetch;
            job.due_ms = now.mono_ms() + job.call.time_ms();
            return Ok(None);
        }
        let shown = output.shown.unwrap_or(job.call.entry.manifest.shown);
        let mut said = Said { privately: output.privately, cost: job.call.cost, publicly: None };
        match shown {
            _ if output.text.is_empty() => {}
            Shown::InChannel => {
                said.publicly = Some((speaker(&job.call.entry.name), output.text.into()));
            }
            Shown::Ephemeral => {
                let gap = if said.privately.is_empty() { "" } else { "\n" };
                said.privately = output.text + gap + &*said.privately;
            }
        }
        Ok(Some(said))
    }

    /// Writes down that a call is under way. It goes on when that is in the log. Gives the append.
    fn pend(
        &mut self,
        now: Now,
        mut job: Job,
        run: Option<Box<Run>>,
        effects: &mut Vec<Effect>,
    ) -> Result<u64, Refusal> {
        let append = match job.is_known {
            true => self.log.appends,
            false => self.note_beginning(now, &job.call, effects)?,
        };
        job.is_known = true;
        self.calling_number += 1;
        let ticket = self.calling_number;
        self.working.held.insert(ticket, (job, run));
        self.leave_when_durable(append, ticket, effects);
        Ok(append)
    }

    /// The beginning of a call is in the log: it waits for its turn, or asks its question.
    pub(super) fn go_to_work(&mut self, ticket: u64, effects: &mut Vec<Effect>) {
        let Some((mut job, run)) = self.working.held.remove(&ticket) else { return };
        match (job.fetch.take(), run) {
            (Some(fetch), _) => {
                let (mime, due_ms) = (fetch.mime(), job.due_ms);
                let Fetch { url, body, headers } = fetch;
                self.working.asking.insert(ticket, job);
                effects.push(Effect::Fetch { ticket, url, headers, body, mime, due_ms });
            }
            (None, Some(run)) => self.working.running.push_back((job, run)),
            (None, None) => self.working.waiting.push_back(job),
        }
    }

    /// What a program asked was answered, or was not.
    pub(super) fn work_answered(
        &mut self,
        now: Now,
        ticket: u64,
        result: Result<(u16, Vec<u8>), Box<str>>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(mut job) = self.working.asking.remove(&ticket) else { return };
        job.due_ms = now.mono_ms() + job.call.time_ms();
        job.reply = Some(match result {
            Ok((status, body)) => Reply::Answer { status, body: reply_text(&body).into() },
            Err(error) => Reply::Failed { error },
        });
        if self.working.may_run(now, &job) {
            self.go_on(now, job, None, effects);
        } else {
            self.working.waiting.push_back(job);
        }
    }

    /// One slice of what is under way.
    pub(super) fn work_on(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.work_due_us().is_none() {
            return;
        }
        let Some((job, run)) = self.working.next() else { return };
        let took_us = self.go_on(now, job, run, effects);
        self.working.due_us = now.mono_us + SHARE * took_us;
    }

    fn go_on(
        &mut self,
        now: Now,
        mut job: Job,
        run: Option<Box<Run>>,
        effects: &mut Vec<Effect>,
    ) -> u64 {
        if job.due_ms <= now.mono_ms() {
            let has_begun = run.is_some() || job.reply.is_some();
            self.end_late(now, job, has_begun, effects);
            return 0;
        }
        let turn = match run {
            Some(run) => Turn::Next(run),
            None => Turn::First(self.input_of(now, &job)),
        };
        let (step, took_us) = self.working.step(&mut job, turn, self.options.clock);
        let ended = match step {
            Step::More(run) => {
                self.working.running.push_back((job, run));
                return took_us;
            }
            Step::Ended(ended) => ended,
        };
        match ended.and_then(|output| self.heed(now, &mut job, output, effects)) {
            // It is known, so this writes nothing that could be refused.
            Ok(None) => drop(self.pend(now, job, None, effects)),
            Ok(Some(said)) => self.end_job(now, &job, said, effects),
            Err(failed) => self.job_failed(now, &job, &failed, effects),
        }
        took_us
    }

    /// A call has ended well: its record, and what it says.
    fn end_job(&mut self, now: Now, job: &Job, said: Said, effects: &mut Vec<Effect>) {
        self.conclude(now, &job.call, Outcome::Ok, effects);
        if let Some((_, text)) = said.publicly {
            self.tell_room(now, &job.call, text, effects);
        }
        self.tell_caller(now, &job.call, "ephemeral", said.privately, effects);
    }

    fn job_failed(&mut self, now: Now, job: &Job, failed: &Failed, effects: &mut Vec<Effect>) {
        let (code, text) = described(job, failed);
        self.conclude(now, &job.call, Outcome::of_refusal(code), effects);
        self.tell_caller(now, &job.call, "error", text, effects);
        self.command_failed(now, &job.call.entry.key, failed.why(), effects);
    }

    /// Time is over for a call; one that has not had a turn has not failed by itself.
    fn end_late(&mut self, now: Now, job: Job, has_begun: bool, effects: &mut Vec<Effect>) {
        if has_begun {
            let text = format!("its {} ms were over", job.call.time_ms());
            return self.job_failed(now, &job, &Failed::Spent(text), effects);
        }
        self.conclude(now, &job.call, Outcome::Timeout, effects);
        let text = format!("/{} did not get its turn in time; try again", job.call.name);
        self.tell_caller(now, &job.call, "error", text, effects);
    }

    /// Gives up calls whose time is over, as many as the log takes records of now.
    pub(super) fn tend_work(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let now_ms = now.mono_ms();
        while self.check_log(COMMAND_STATE_BYTES_MAX).is_ok() {
            let Some(job) = self.working.take_late(now_ms) else { return };
            let has_begun = job.fetches_left < COMMAND_FETCHES_MAX;
            self.end_late(now, job, has_begun, effects);
        }
    }
}

/// What whoever asked is told of a failure.
fn described(job: &Job, failed: &Failed) -> (ErrorCode, String) {
    let (code, verb) = match failed {
        Failed::Broken(_) => (ErrorCode::CommandFailed, "failed"),
        Failed::Spent(_) => (ErrorCode::CommandTimeout, "was stopped"),
    };
    (code, format!("/{} {verb}: {}", job.call.name, failed.why()))
}

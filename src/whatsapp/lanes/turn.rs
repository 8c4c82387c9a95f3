//! What each input does, and the step that hands out calls.

use super::breaker::Change;
use super::lane::{Flight, Lane, Queued, State};
use super::number::Number;
use super::*;
use crate::base::limits::CONTACT_WINDOW_MS;
use crate::whatsapp::graph_error::Action;

/// First wait before a message is tried again, and the longest.
const RETRY_US: u64 = 1_000_000;
const RETRY_US_MAX: u64 = 300_000_000;
/// Longest wait of a recipient who gets too much: 4^6 seconds.
const PAIR_FAILURES_MAX: u32 = 6;

// --- inputs --------------------------------------------------------------------------------------

impl Lanes {
    pub(super) fn send(&mut self, now: Now, outgoing: Outgoing, out: &mut Vec<Output>) {
        let message = outgoing.message;
        let Some(&number) = self.number_of.get(&outgoing.number) else {
            self.failed(message, Failure::NoSuchNumber, out);
            return;
        };
        self.counts.queued += 1;
        self.counts.queued_bytes += outgoing.body.len();
        let at = self.lane_for(number, &outgoing.conversation);
        let lane = self.lane_mut(at);
        lane.window_until_ms = lane.window_until_ms.max(outgoing.window_until_ms);
        lane.queue.push_back(Queued {
            message,
            body: outgoing.body,
            needs_window: outgoing.needs_window,
            expires_ms: outgoing.expires_ms,
            attempts: 0,
            counted: 0,
            accepted_then: 0,
        });
        if lane.state == State::Idle {
            self.settle(now, at);
        }
    }

    pub(super) fn answer(
        &mut self,
        now: Now,
        flight: FlightId,
        answer: Answer,
        out: &mut Vec<Output>,
    ) {
        // An answer after its time limit, or after a status that told the same.
        let Some(Flight { lane, sent_us, mut timer, .. }) = self.flights.remove(&flight) else {
            return;
        };
        self.timers.set(Timer::Flight(flight), &mut timer, None);
        let number = self.land(lane, flight);
        let change = match &answer {
            Answer::Accepted { .. } => self.breaker.answered(),
            Answer::Refused { http_status, error }
                if graph_error::action(*http_status, error.code) != Action::Retry =>
            {
                self.breaker.answered()
            }
            _ => {
                let jitter = &mut self.jitter;
                self.breaker.failed(flight, now.mono_us, |wait_us| jitter.stretch(wait_us))
            }
        };
        self.breaker_changed(change, out);
        match answer {
            Answer::Accepted { wamid } => self.took(lane, wamid, sent_us, out),
            Answer::Refused { http_status, error } => {
                let action = graph_error::action(http_status, error.code);
                let times = (sent_us, now.mono_us);
                self.act(action, number, lane, &error, times, out);
                if matches!(action, Action::NeedsTemplate | Action::Permanent) {
                    self.runs(number, sent_us, out);
                }
                self.refused(now, lane, action, error, out);
            }
            Answer::NotSent => self.retry_later(now, lane),
            Answer::Lost => {
                let queued = self.pop(lane);
                self.unknown(queued.message, out);
            }
        }
        self.settle(now, lane);
        self.list(number);
    }

    pub(super) fn status(
        &mut self,
        now: Now,
        (number, conversation): (&Arc<str>, &Arc<str>),
        message: Option<MessageId>,
        wamid: Box<str>,
        error: Option<u32>,
        out: &mut Vec<Output>,
    ) {
        let at = self.number_of.get(number).copied();
        let lane = at.and_then(|at| self.numbers[at as usize].lanes.get(conversation).copied());
        let error = error.map(|code| {
            let meaning = graph_error::look_up(code).map_or("", |row| row.0);
            GraphError { code, details: meaning.to_owned() }
        });
        if let (Some(message), Some(lane)) = (message, lane)
            && let State::Flying(flight) = self.lane_mut(lane).state
            && self.flights[&flight].message == message
        {
            // The webhook was faster than the answer.
            let answer = match error {
                None => Answer::Accepted { wamid },
                Some(error) => Answer::Refused { http_status: 400, error },
            };
            self.answer(now, flight, answer, out);
            return;
        }
        if let (Some(error), Some(number)) = (&error, at) {
            let action = graph_error::action(400, error.code);
            let times = (now.mono_us, now.mono_us);
            if let Some(lane) = lane {
                self.act(action, number, lane, error, times, out);
                // A ready one is looked at again when its turn comes.
                if matches!(self.lane_mut(lane).state, State::Idle | State::Waiting) {
                    self.settle(now, lane);
                }
            }
        }
        let Some(message) = message.filter(|message| self.unknowns.remove(*message)) else {
            return;
        };
        match error {
            None => {
                self.counts.accepted += 1;
                out.push(Output::Outcome { message, outcome: Outcome::Accepted { wamid } });
            }
            Some(error) => self.failed(message, Failure::Platform(error), out),
        }
    }

    pub(super) fn heard(
        &mut self,
        now: Now,
        number: &Arc<str>,
        conversation: &Arc<str>,
        at_ms: i64,
    ) {
        let Some(&at) = self.number_of.get(number) else { return };
        let number = &mut self.numbers[at as usize];
        // What comes in counts with what goes out, but a day's webhooks at once silence nobody.
        if number.pace.ready_us(number.rate) <= now.mono_us + 1_000_000 {
            number.pace.take(number.rate, now.mono_us);
        }
        let Some(&lane) = number.lanes.get(conversation) else { return };
        let lane = self.lane_mut(lane);
        lane.window_until_ms = lane.window_until_ms.max(at_ms.saturating_add(CONTACT_WINDOW_MS));
    }

    pub(super) fn resume(&mut self, now: Now, number: &Arc<str>, out: &mut Vec<Output>) {
        let Some(&at) = self.number_of.get(number) else { return };
        if self.numbers[at as usize].resume() {
            out.push(Output::Resumed { number: number.clone() });
        }
        self.wake_number(now, at);
    }

    pub(super) fn signal(
        &mut self,
        now: Now,
        number: &Arc<str>,
        body: Arc<str>,
        out: &mut Vec<Output>,
    ) {
        let known = self.number_of.get(number).copied();
        let free = known.filter(|at| {
            let number = &self.numbers[*at as usize];
            number.ready_us() <= now.mono_us && number.stopped.is_none()
        });
        let Some(at) = free.filter(|_| !self.breaker.is_open()) else {
            self.counts.signals_dropped += 1;
            return;
        };
        let state = &mut self.numbers[at as usize];
        state.pace.take(state.rate, now.mono_us);
        out.push(Output::Signal { number: number.clone(), body });
    }

    pub(super) fn unknown(&mut self, message: MessageId, out: &mut Vec<Output>) {
        self.counts.unknown += 1;
        self.unknowns.insert(message);
        out.push(Output::Outcome { message, outcome: Outcome::Unknown });
    }
}

// --- endings of a flight -------------------------------------------------------------------------

impl Lanes {
    /// The lane's flight is over, however. The lane must be settled after.
    fn land(&mut self, at: u32, flight: FlightId) -> u32 {
        let lane = self.lane_mut(at);
        assert_eq!(lane.state, State::Flying(flight));
        lane.state = State::Idle;
        let number = lane.number;
        self.numbers[number as usize].flights -= 1;
        number
    }

    fn took(&mut self, at: u32, wamid: Box<str>, sent_us: u64, out: &mut Vec<Output>) {
        let queued = self.pop(at);
        let lane = self.lane_mut(at);
        lane.pair_failures = 0;
        let number = lane.number;
        self.numbers[number as usize].took();
        self.runs(number, sent_us, out);
        self.counts.accepted += 1;
        let outcome = Outcome::Accepted { wamid };
        out.push(Output::Outcome { message: queued.message, outcome });
    }

    /// The platform has looked at a message of this number.
    fn runs(&mut self, at: u32, sent_us: u64, out: &mut Vec<Output>) {
        let number = &mut self.numbers[at as usize];
        if number.runs(sent_us) {
            out.push(Output::Resumed { number: number.id.clone() });
        }
    }

    /// What an error means for those who wait behind.
    fn act(
        &mut self,
        action: Action,
        number: u32,
        lane: u32,
        error: &GraphError,
        times: (u64, u64),
        out: &mut Vec<Output>,
    ) {
        let jitter = &mut self.jitter;
        let mut stretch = |wait_us| jitter.stretch(wait_us);
        match action {
            Action::StopAccount => {
                let number = &mut self.numbers[number as usize];
                if number.stop(error.clone(), times, stretch) {
                    out.push(Output::Stopped { number: number.id.clone(), error: error.clone() });
                }
            }
            Action::BackOffNumber { base_ms } => {
                self.numbers[number as usize].back_off(base_ms, times, stretch);
            }
            Action::BackOffPair => {
                let lane = self.lanes[lane as usize].as_mut().expect("a lane in use");
                let exponent = lane.pair_failures.min(PAIR_FAILURES_MAX);
                let wait_us = grown(1_000_000, 4, exponent, u64::MAX / 2);
                lane.pair_failures += 1;
                lane.not_before_us = lane.not_before_us.max(times.1 + stretch(wait_us));
            }
            Action::NeedsTemplate | Action::Permanent | Action::Retry => {}
        }
    }

    /// What it means for the message itself, the first of its lane.
    fn refused(
        &mut self,
        now: Now,
        at: u32,
        action: Action,
        error: GraphError,
        out: &mut Vec<Output>,
    ) {
        match action {
            Action::NeedsTemplate | Action::Permanent => {
                let message = self.pop(at).message;
                self.failed(message, Failure::Platform(error), out);
            }
            Action::StopAccount | Action::BackOffNumber { .. } | Action::BackOffPair => {
                self.counts.retried += 1;
            }
            Action::Retry => {
                let number = self.lane_mut(at).number;
                let accepted = self.numbers[number as usize].accepted;
                let first = self.lane_mut(at).queue.front_mut().expect("the refused one");
                // Counts only if the platform takes what others send.
                if accepted > first.accepted_then {
                    first.counted += 1;
                }
                first.accepted_then = accepted;
                if first.counted > RETRIES_MAX {
                    let message = self.pop(at).message;
                    self.failed(message, Failure::Platform(error), out);
                } else {
                    self.retry_later(now, at);
                }
            }
        }
    }

    fn retry_later(&mut self, now: Now, at: u32) {
        self.counts.retried += 1;
        let jitter = &mut self.jitter;
        let lane = self.lanes[at as usize].as_mut().expect("a lane in use");
        let first = lane.queue.front_mut().expect("one to try again");
        let wait_us = grown(RETRY_US, 2, first.attempts, RETRY_US_MAX);
        first.attempts += 1;
        lane.not_before_us = lane.not_before_us.max(now.mono_us + jitter.stretch(wait_us));
    }

    fn failed(&mut self, message: MessageId, failure: Failure, out: &mut Vec<Output>) {
        self.counts.failed += 1;
        out.push(Output::Outcome { message, outcome: Outcome::Failed(failure) });
    }

    fn breaker_changed(&mut self, change: Change, out: &mut Vec<Output>) {
        match change {
            Change::None | Change::Wait => {}
            Change::Opened => {
                self.numbers.iter_mut().for_each(Number::slow_start);
                out.push(Output::PlatformDown);
            }
            Change::Closed => out.push(Output::PlatformUp),
        }
        self.timers.set(Timer::Breaker, &mut self.breaker_timer, self.breaker.timer_us());
    }
}

// --- lanes and numbers ---------------------------------------------------------------------------

impl Lanes {
    fn lane_mut(&mut self, at: u32) -> &mut Lane {
        self.lanes[at as usize].as_mut().expect("a lane in use")
    }

    fn lane_for(&mut self, number: u32, conversation: &Arc<str>) -> u32 {
        if let Some(&at) = self.numbers[number as usize].lanes.get(conversation) {
            return at;
        }
        let lane = Some(Lane::new(number, conversation.clone()));
        let at = match self.free.pop() {
            Some(at) => {
                self.lanes[at as usize] = lane;
                at
            }
            None => {
                self.lanes.push(lane);
                (self.lanes.len() - 1) as u32
            }
        };
        self.numbers[number as usize].lanes.insert(conversation.clone(), at);
        at
    }

    fn pop(&mut self, at: u32) -> Queued {
        let queued = self.lane_mut(at).queue.pop_front().expect("a first message");
        self.counts.queued -= 1;
        self.counts.queued_bytes -= queued.body.len();
        queued
    }

    /// Gives a lane that is not in flight the state it should have. An idle one without a memory
    /// worth keeping is forgotten.
    fn settle(&mut self, now: Now, at: u32) {
        let lane = self.lanes[at as usize].as_mut().expect("a lane in use");
        assert!(!matches!(lane.state, State::Flying(_) | State::Ready));
        let due_us = lane.due_us();
        let (number, waits) = (lane.number, !lane.queue.is_empty());
        if due_us > now.mono_us {
            lane.state = if waits { State::Waiting } else { State::Idle };
            self.timers.set(Timer::Lane(at), &mut lane.timer, Some(due_us));
            return;
        }
        self.timers.set(Timer::Lane(at), &mut lane.timer, None);
        if waits {
            lane.state = State::Ready;
            self.numbers[number as usize].ready.push_back(at);
            self.list(number);
        } else {
            let lane = self.lanes[at as usize].take().expect("a lane in use");
            self.numbers[number as usize].lanes.remove(&lane.conversation);
            self.free.push(at);
        }
    }

    /// Puts a number into the turn if it may have something to send.
    fn list(&mut self, at: u32) {
        let number = &mut self.numbers[at as usize];
        if !number.listed && !number.ready.is_empty() && number.timer.is_none() {
            number.listed = true;
            self.turn.push_back(at);
        }
    }

    fn wake_number(&mut self, now: Now, at: u32) {
        let number = &mut self.numbers[at as usize];
        if number.ready_us() <= now.mono_us {
            self.timers.set(Timer::Number(at), &mut number.timer, None);
        }
        self.list(at);
    }
}

// --- the step ------------------------------------------------------------------------------------

impl Lanes {
    /// Looks at what is due, then hands out calls.
    pub(super) fn step(&mut self, now: Now, out: &mut Vec<Output>) {
        for _ in 0..TIMERS_PER_STEP_MAX {
            match self.timers.pop(now.mono_us) {
                None => break,
                Some(Timer::Breaker) => self.breaker_timer = None,
                Some(Timer::Number(at)) => {
                    self.numbers[at as usize].timer = None;
                    self.list(at);
                }
                Some(Timer::Lane(at)) => {
                    self.lane_mut(at).timer = None;
                    self.settle(now, at);
                }
                Some(Timer::Flight(flight)) => {
                    self.flights.get_mut(&flight).expect("a call under way").timer = None;
                    self.answer(now, flight, Answer::Lost, out);
                }
            }
        }
        self.more = false;
        for _ in 0..CALLS_PER_STEP_MAX {
            if !self.breaker.lets_pass(now.mono_us)
                || self.flights.len() >= self.options.flights_max
            {
                return;
            }
            let Some(number) = self.turn.pop_front() else { return };
            self.numbers[number as usize].listed = false;
            self.call_next(now, number, out);
        }
        self.more = !self.turn.is_empty();
    }

    /// Lets the next message of a number leave, if anything lets it.
    fn call_next(&mut self, now: Now, at: u32, out: &mut Vec<Output>) {
        let number = &mut self.numbers[at as usize];
        let ready_us = number.ready_us();
        if number.flights >= number.flights_allowed || number.ready.is_empty() {
            // Listed again when a flight ends, or when a lane is ready.
            return;
        }
        if ready_us > now.mono_us {
            self.timers.set(Timer::Number(at), &mut number.timer, Some(ready_us));
            return;
        }
        let lane_at = number.ready.pop_front().expect("not empty");
        let lane = self.lanes[lane_at as usize].as_mut().expect("a lane in use");
        assert_eq!(lane.state, State::Ready);
        lane.state = State::Idle;
        if lane.due_us() > now.mono_us {
            // A status told of trouble since it became ready.
            self.settle(now, lane_at);
            self.list(at);
            return;
        }
        let first = lane.queue.front().expect("a ready lane has a message");
        let wall_ms = now.wall_ms();
        let failure = if wall_ms >= first.expires_ms {
            Some(Failure::Expired)
        } else if first.needs_window && wall_ms >= lane.window_until_ms {
            Some(Failure::WindowClosed)
        } else {
            None
        };
        if let Some(failure) = failure {
            let message = self.pop(lane_at).message;
            self.failed(message, failure, out);
            self.settle(now, lane_at);
            self.list(at);
            return;
        }
        self.flight_last += 1;
        let flight = FlightId(self.flight_last);
        lane.state = State::Flying(flight);
        lane.pace.take(super::lane::PAIR, now.mono_us);
        number.pace.take(number.rate, now.mono_us);
        number.flights += 1;
        let (message, body) = (first.message, first.body.clone());
        let mut timer = None;
        let late_us = now.mono_us + ANSWER_TIMEOUT_US;
        self.timers.set(Timer::Flight(flight), &mut timer, Some(late_us));
        let sent_us = now.mono_us;
        self.flights.insert(flight, Flight { lane: lane_at, message, sent_us, timer });
        out.push(Output::Call { flight, message, number: number.id.clone(), body });
        self.breaker.called(flight);
        let timer_us = self.breaker.timer_us();
        self.timers.set(Timer::Breaker, &mut self.breaker_timer, timer_us);
        self.list(at);
    }
}

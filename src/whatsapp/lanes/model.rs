//! A model of the platform (its limits and errors as documented), and a clock that drives the lanes
//! against it. Everything follows from a seed.

use super::*;
use crate::base::limits::CONTACT_WINDOW_MS;
use std::collections::{BTreeMap, BTreeSet};

/// Wall clock at the monotonic clock's zero.
pub(super) const EPOCH_US: i64 = 1_795_000_000_000_000;

pub(super) fn at(mono_us: u64) -> Now {
    Now { wall_us: EPOCH_US + mono_us as i64, mono_us }
}

/// What the platform is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Weather {
    Fine,
    /// Nobody listens.
    Refusing,
    /// Takes requests and says nothing.
    Silent,
    /// Says that it is unavailable.
    Unavailable,
    /// The token is no longer valid.
    Expired,
}

/// What goes wrong with single calls, in 10,000.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    pub(super) transient: u64,
    pub(super) permanent: u64,
    pub(super) lost: u64,
    pub(super) rate_limited: u64,
    pub(super) pair_limited: u64,
}

pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A bucket as the platform counts: `spent` drains at one in `interval_us`.
#[derive(Default)]
struct Bucket {
    spent_us: u64,
    at_us: u64,
}

impl Bucket {
    fn take(&mut self, now_us: u64, interval_us: u64, capacity: u64) -> bool {
        self.spent_us = self.spent_us.saturating_sub(now_us - self.at_us);
        self.at_us = now_us;
        let fits = self.spent_us + interval_us <= capacity * interval_us;
        self.spent_us += if fits { interval_us } else { 0 };
        fits
    }
}

enum Coming {
    Answer(FlightId, Answer),
    Input(Input),
    Weather(Weather),
}

pub(super) struct World {
    pub(super) lanes: Lanes,
    pub(super) now_us: u64,
    pub(super) random: Random,
    pub(super) weather: Weather,
    pub(super) faults: Faults,
    per_s: BTreeMap<Arc<str>, u64>,
    coming: BTreeMap<(u64, u64), Coming>,
    coming_count: u64,
    numbers: BTreeMap<Arc<str>, Bucket>,
    pairs: BTreeMap<(Arc<str>, String), Bucket>,
    /// Until when each window is open, ms since 1970.
    windows: BTreeMap<(Arc<str>, Arc<str>), i64>,
    /// What the platform took, in order: conversation and message.
    pub(super) taken: Vec<(String, u64)>,
    taken_set: BTreeSet<u64>,
    doomed: BTreeSet<u64>,
    /// Every call: when, and which message.
    pub(super) calls: Vec<(u64, u64)>,
    /// Limits that our own pace should have kept.
    pub(super) limits_met: u32,
    pub(super) outcomes: BTreeMap<MessageId, Vec<Outcome>>,
    pub(super) told: Vec<Output>,
}

impl World {
    pub(super) fn new(seed: u64, options: LanesOptions) -> Self {
        Self {
            lanes: Lanes::new(LanesOptions { seed, ..options }),
            now_us: 1_000,
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            weather: Weather::Fine,
            faults: Faults::default(),
            per_s: BTreeMap::new(),
            coming: BTreeMap::new(),
            coming_count: 0,
            numbers: BTreeMap::new(),
            pairs: BTreeMap::new(),
            windows: BTreeMap::new(),
            taken: Vec::new(),
            taken_set: BTreeSet::new(),
            doomed: BTreeSet::new(),
            calls: Vec::new(),
            limits_met: 0,
            outcomes: BTreeMap::new(),
            told: Vec::new(),
        }
    }

    pub(super) fn number(&mut self, number: &str, per_s: u32) {
        self.per_s.insert(number.into(), per_s.into());
        self.lanes.set_number(&number.into(), per_s);
    }

    fn come(&mut self, at_us: u64, coming: Coming) {
        self.coming_count += 1;
        self.coming.insert((at_us.max(self.now_us), self.coming_count), coming);
    }

    pub(super) fn weather_at(&mut self, at_us: u64, weather: Weather) {
        self.come(at_us, Coming::Weather(weather));
    }

    pub(super) fn input_at(&mut self, at_us: u64, input: Input) {
        self.come(at_us, Coming::Input(input));
    }

    /// The customer writes, which opens the window.
    pub(super) fn heard_at(&mut self, at_us: u64, number: &str, conversation: &str) {
        let (number, conversation): (Arc<str>, Arc<str>) = (number.into(), conversation.into());
        let at_ms = at(at_us).wall_ms();
        self.input_at(at_us, Input::Heard { number, conversation, at_ms });
    }

    pub(super) fn send_at(&mut self, at_us: u64, message: u64, number: &str, conversation: &str) {
        self.input_at(at_us, Input::Send(outgoing(message, number, conversation)));
    }

    /// One thing in, and everything that follows at this moment.
    pub(super) fn step(&mut self, input: Input) {
        let input = match input {
            Input::Heard { number, conversation, at_ms } => {
                let until_ms = at_ms + CONTACT_WINDOW_MS;
                let key = (number.clone(), conversation.clone());
                let known = self.windows.entry(key).or_insert(0);
                *known = (*known).max(until_ms);
                Input::Heard { number, conversation, at_ms }
            }
            Input::Send(mut outgoing) => {
                let key = (outgoing.number.clone(), outgoing.conversation.clone());
                let known = self.windows.get(&key).copied().unwrap_or(0);
                outgoing.window_until_ms = outgoing.window_until_ms.max(known);
                Input::Send(outgoing)
            }
            other => other,
        };
        let mut out = Vec::new();
        self.lanes.handle(at(self.now_us), input, &mut out);
        let calls = out.iter().filter(|output| matches!(output, Output::Call { .. })).count();
        assert!(calls <= CALLS_PER_STEP_MAX);
        for output in out {
            match output {
                Output::Call { flight, message, number, body } => {
                    self.call(flight, message, number, &body);
                }
                Output::Outcome { message, outcome } => {
                    self.outcomes.entry(message).or_default().push(outcome);
                }
                other => self.told.push(other),
            }
        }
    }

    fn call(&mut self, flight: FlightId, message: MessageId, number: Arc<str>, body: &str) {
        self.calls.push((self.now_us, message.0));
        let (conversation, free) = body.split_once(' ').expect("a body of ours");
        let delay_us = 50_000 + self.random.below(400_000);
        let refused = |http_status, code| {
            let error = GraphError { code, details: String::new() };
            Answer::Refused { http_status, error }
        };
        let answer = match self.weather {
            Weather::Refusing => Answer::NotSent,
            Weather::Silent => {
                self.come(self.now_us + 30_000_000, Coming::Answer(flight, Answer::Lost));
                return;
            }
            Weather::Unavailable => refused(503, 131_016),
            Weather::Expired => refused(401, 190),
            Weather::Fine => match self.judge(message.0, &number, conversation, free == "free") {
                Some((http_status, code)) => refused(http_status, code),
                None => {
                    self.take(flight, message, number, conversation, delay_us);
                    return;
                }
            },
        };
        self.come(self.now_us + delay_us, Coming::Answer(flight, answer));
    }

    /// The platform's reasons to refuse: HTTP status and code.
    fn judge(
        &mut self,
        message: u64,
        number: &Arc<str>,
        conversation: &str,
        free: bool,
    ) -> Option<(u16, u32)> {
        let per_s = self.per_s[number];
        let bucket = self.numbers.entry(number.clone()).or_default();
        if !bucket.take(self.now_us, 1_000_000 / per_s, per_s) {
            self.limits_met += 1;
            return Some((400, 130_429));
        }
        let pair = self.pairs.entry((number.clone(), conversation.to_owned())).or_default();
        if !pair.take(self.now_us, 6_000_000, 45) {
            self.limits_met += 1;
            return Some((400, 131_056));
        }
        let window = (number.clone(), Arc::from(conversation));
        let open = self.windows.get(&window).copied().unwrap_or(0);
        if free && at(self.now_us).wall_ms() >= open {
            self.limits_met += 1;
            return Some((400, 131_047));
        }
        let faults = self.faults;
        let dice = self.random.below(10_000);
        let mut edge = 0;
        let mut falls = |share: u64| {
            edge += share;
            dice < edge
        };
        if self.doomed.contains(&message) || falls(faults.permanent) {
            self.doomed.insert(message);
            return Some((400, 131_026));
        }
        if falls(faults.transient) {
            return Some((500, 131_000));
        }
        if falls(faults.rate_limited) {
            return Some((400, 130_429));
        }
        falls(faults.pair_limited).then_some((400, 131_056))
    }

    fn take(
        &mut self,
        flight: FlightId,
        message: MessageId,
        number: Arc<str>,
        conversation: &str,
        delay_us: u64,
    ) {
        let lost = self.random.below(10_000) < self.faults.lost;
        if lost && self.random.below(2) == 0 {
            // Lost before the platform looked at it.
            self.come(self.now_us + 30_000_000, Coming::Answer(flight, Answer::Lost));
            return;
        }
        assert!(self.taken_set.insert(message.0), "{message:?} was taken twice");
        self.taken.push((conversation.to_owned(), message.0));
        let wamid: Box<str> = format!("wamid.{}", message.0).into();
        // Statuses may be faster than the answer.
        for status in 0..2 {
            let after_us = self.random.below(if status == 0 { 500_000 } else { 60_000_000 });
            let (conversation, wamid) = (conversation.into(), wamid.clone());
            let (number, message, error) = (number.clone(), Some(message), None);
            let input = Input::Status { number, conversation, message, wamid, error };
            self.come(self.now_us + after_us, Coming::Input(input));
        }
        let (wait_us, answer) = match lost {
            true => (30_000_000, Answer::Lost),
            false => (delay_us, Answer::Accepted { wamid }),
        };
        self.come(self.now_us + wait_us, Coming::Answer(flight, answer));
    }

    /// Lets time pass until nothing is to come before `until_us`.
    pub(super) fn run_until(&mut self, until_us: u64) {
        loop {
            let coming = self.coming.first_key_value().map(|(key, _)| key.0);
            let deadline = self.lanes.deadline_us().map(|at_us| at_us.max(self.now_us));
            let next = coming.into_iter().chain(deadline).min();
            let Some(next) = next.filter(|next| *next <= until_us) else { break };
            self.now_us = next;
            if coming != Some(next) {
                self.step(Input::Tick);
                continue;
            }
            match self.coming.pop_first().expect("something to come").1 {
                Coming::Answer(flight, answer) => self.step(Input::Answer { flight, answer }),
                Coming::Input(input) => self.step(input),
                Coming::Weather(weather) => self.weather = weather,
            }
        }
        self.now_us = self.now_us.max(until_us);
    }

    /// The last that was told of a message.
    pub(super) fn outcome(&self, message: u64) -> Option<&Outcome> {
        self.outcomes.get(&MessageId(message))?.last()
    }

    pub(super) fn was_taken(&self, message: u64) -> bool {
        self.taken_set.contains(&message)
    }

    /// What the platform took of each conversation, it took in the order of sending.
    pub(super) fn check_order(&self) {
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for (conversation, message) in &self.taken {
            let before = last.insert(conversation, *message);
            assert!(before.is_none_or(|before| before < *message), "{conversation}: {message}");
        }
    }
}

/// A free-form message that has no use for a window yet.
pub(super) fn outgoing(message: u64, number: &str, conversation: &str) -> Outgoing {
    Outgoing {
        message: MessageId(message),
        number: number.into(),
        conversation: conversation.into(),
        body: format!("{conversation} free").into(),
        needs_window: true,
        window_until_ms: 0,
        expires_ms: i64::MAX,
    }
}

//! The numbers of the page: one pass over the messages, one each over statuses, metrics and
//! commands.

use super::window::Window;
use crate::log::record::Source;
use crate::log::sidecar::{NameSet, TableKind};
use crate::scan::activity::{Activity, Cohort, Engaged, Newness};
use crate::scan::bucket::{Bucket, week_hour};
use crate::scan::conversations::{Rules, State, Talk, Talks};
use crate::scan::deliveries::fates;
use crate::scan::facts::{self, Said};
use crate::scan::fates::{Fates, Reach, Step};
use crate::scan::filter::Filter;
use crate::scan::latency::latencies;
use crate::scan::period::Period;
use crate::scan::response_times::{Between, Per, Waits};
use crate::scan::zone::Clock;
use crate::scan::{Job, volume};
use std::collections::BTreeMap;

/// Names in a list of the busiest.
const TOP_COUNT: usize = 10;
/// Up to this many days latencies are shown by the hour.
const HOURLY_DAYS_MAX: i32 = 7;
/// And up to this many by the day, then by the week.
const DAILY_DAYS_MAX: i32 = 120;

/// Everything that the page says.
pub(super) struct Numbers {
    pub(super) window: Window,
    /// Wall clock, microseconds since 1970.
    pub(super) now_us: i64,
    pub(super) now: Totals,
    /// Of as many days before; `None` when the log does not reach back that far.
    pub(super) before: Option<Totals>,
    /// Messages by day of the window.
    pub(super) volume: Vec<u64>,
    /// Messages by hour of the week, from Monday.
    pub(super) heat: [u64; 168],
    /// By day of the window.
    pub(super) engaged: Vec<Engaged>,
    /// By day of the window.
    pub(super) newness: Vec<Newness>,
    /// By week of the window.
    pub(super) newness_weeks: Vec<Newness>,
    /// Whether nobody wrote before the window, as far as the log reaches back.
    pub(super) begins_here: bool,
    /// By week, those of the window.
    pub(super) cohorts: Vec<Cohort>,
    pub(super) last_week: i32,
    pub(super) users: Vec<(String, u64)>,
    pub(super) rooms: Vec<(String, u64)>,
    pub(super) commands: Vec<(String, u64)>,
    /// By hour of the day of the question.
    pub(super) wait_hours: Vec<(u32, WaitsOf)>,
    /// By user who answered, most answers first.
    pub(super) agents: Vec<(String, WaitsOf)>,
    /// Median by day of the window; `None` without an answer.
    pub(super) wait_days: Vec<Option<u64>>,
    /// Most urgent first, with the names of room and last speaker.
    pub(super) talks: Vec<(State, Talk, String, String)>,
    pub(super) fates: Fates,
    /// What a point of a latency stands for.
    pub(super) latency_bucket: Bucket,
    /// By metric: number of the piece of time, p50 and p99 in microseconds.
    pub(super) latencies: BTreeMap<String, Vec<(i64, u64, u64)>>,
}

/// Headline numbers of a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Totals {
    pub(super) messages: u64,
    pub(super) users: u64,
    /// `None`: the log does not reach back far enough to tell who is new.
    pub(super) new_users: Option<u64>,
    pub(super) waits: WaitsOf,
    pub(super) reach: Reach,
}

/// How long answers took, microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct WaitsOf {
    pub(super) answers: u64,
    pub(super) median_us: u64,
    pub(super) p95_us: u64,
}

/// What the pass over the messages gathers.
struct Pass {
    window: Window,
    prior: Window,
    days: Activity,
    weeks: Activity,
    volume: Vec<u64>,
    prior_messages: u64,
    heat: [u64; 168],
    users: Vec<u64>,
    rooms: Vec<u64>,
    waits: [Waits; 3],
    prior_waits: Waits,
    day_waits: Waits,
    talks: Talks,
}

/// The window of the page, and its numbers. `None` when no message passes the filters.
pub(super) fn gather(job: &Job<'_>, day_count: i32) -> Option<Numbers> {
    let active = volume::count(job, Bucket::Day);
    let window = Window::choose(job, &active, day_count)?;
    let prior = window.prior(&job.zone);
    let rules = Rules {
        now_us: job.now_us.min(window.until_us),
        over_us: Rules::OVER_US,
        gap_us: Rules::GAP_US,
    };
    let mut pass = Pass::new(job, window, prior);
    // Who is new is decided by the whole past.
    let filter = Filter { since_us: i64::MIN, until_us: window.until_us, ..job.filter.clone() };
    let clock = job.zone.clock();
    facts::messages(&job.scan, &filter, |said| pass.message(said, &clock));
    pass.days.finish();
    pass.weeks.finish();
    let within = |window: Window| Filter {
        since_us: window.since_us,
        until_us: window.until_us,
        ..job.filter.clone()
    };
    let fates_now = fates(job, &within(window));
    let fates_before = fates(job, &within(prior)).all;
    let bucket = match window.day_count() {
        days if days <= HOURLY_DAYS_MAX => Bucket::Hour,
        days if days <= DAILY_DAYS_MAX => Bucket::Day,
        _ => Bucket::Week,
    };
    let mut numbers = pass.finish(job, rules, fates_now, fates_before);
    numbers.latency_bucket = bucket;
    numbers.commands = commands(job, &within(window));
    for ((number, name), values) in latencies(job, &within(window), bucket) {
        let buckets = values.buckets();
        let point = (number, buckets.percentile(0.5), buckets.percentile(0.99));
        numbers.latencies.entry(name).or_default().push(point);
    }
    Some(numbers)
}

impl Pass {
    fn new(job: &Job<'_>, window: Window, prior: Window) -> Self {
        let waits = |per| Waits::new(per, Between::Customers, None, job.zone.clone());
        Self {
            window,
            prior,
            days: Activity::default(),
            weeks: Activity::default(),
            volume: vec![0; window.day_count() as usize],
            prior_messages: 0,
            heat: [0; 168],
            users: Vec::new(),
            rooms: Vec::new(),
            waits: [waits(Per::All), waits(Per::Hour), waits(Per::Agent)],
            prior_waits: waits(Per::All),
            day_waits: waits(Per::Day),
            talks: Talks::new(Rules::GAP_US),
        }
    }

    fn message(&mut self, said: Said, clock: &Clock<'_>) {
        // Answers of everybody count.
        let is_agent = |_: u32, _: &str| true;
        let day = Period::Day.of(said.ts_us, clock);
        if said.user != 0 {
            self.days.note(day, said.user);
            self.weeks.note(Period::Week.of(said.ts_us, clock), said.user);
        }
        if self.prior.holds(day) {
            self.prior_messages += 1;
            self.prior_waits.message(said, is_agent);
        }
        if !self.window.holds(day) {
            return;
        }
        self.volume[(day - self.window.first_day) as usize] += 1;
        self.heat[week_hour(clock.wall_us(said.ts_us))] += 1;
        // What the server itself says is nobody's.
        if said.source != Some(Source::System) {
            bump(&mut self.users, said.user);
        }
        bump(&mut self.rooms, said.room);
        for waits in &mut self.waits {
            waits.message(said, is_agent);
        }
        self.day_waits.message(said, is_agent);
        self.talks.message(said);
    }

    fn finish(self, job: &Job<'_>, rules: Rules, fates: Fates, fates_before: Reach) -> Numbers {
        let window = self.window;
        let newness = self.days.newness();
        let [all, hours, agents] = self.waits.map(waits_of);
        let one = |all: &[(u32, WaitsOf)]| all.first().map_or_else(WaitsOf::default, |one| one.1);
        let totals = |window: Window, messages, waits, reach| Totals {
            messages,
            users: self.days.users_in(window.first_day..=window.last_day),
            new_users: Some(new_users(&newness, window)),
            waits,
            reach,
        };
        let now = totals(window, self.volume.iter().sum(), one(&all), fates.all);
        let prior_waits = one(&waits_of(self.prior_waits));
        let mut before = (self.prior_messages > 0)
            .then(|| totals(self.prior, self.prior_messages, prior_waits, fates_before));
        // At the beginning of a log everybody is new: that is no news.
        let first_day = newness.first().map_or(0, |one| one.period);
        if let Some(before) = &mut before
            && first_day > self.prior.first_day.saturating_sub(window.day_count())
        {
            before.new_users = None;
        }
        let day_waits: BTreeMap<u32, WaitsOf> = waits_of(self.day_waits).into_iter().collect();
        let (users, rooms) = (job.scan.names(NameSet::Users), job.scan.names(NameSet::Rooms));
        let user = |code| users.text(code).to_owned();
        let room = |code| rooms.text(code).to_owned();
        let mut agents: Vec<_> =
            agents.into_iter().map(|(code, waits)| (user(code), waits)).collect();
        agents.sort_by(|a, b| (b.1.answers, &a.0).cmp(&(a.1.answers, &b.0)));
        agents.truncate(TOP_COUNT);
        let talks = self.talks.finish(rules, &rooms).into_iter();
        let talks = talks.map(|(state, talk)| (state, talk, room(talk.room), user(talk.last_user)));
        let weeks = self.weeks.cohorts();
        let first_week = Period::Week.of_day(window.first_day);
        Numbers {
            window,
            now_us: rules.now_us,
            now,
            before,
            volume: self.volume,
            heat: self.heat,
            engaged: self.days.engaged(window.first_day..=window.last_day),
            newness: filled(&newness, window.first_day, window.last_day),
            newness_weeks: filled(
                &self.weeks.newness(),
                first_week,
                Period::Week.of_day(window.last_day),
            ),
            begins_here: first_day >= window.first_day,
            cohorts: weeks.into_iter().filter(|cohort| cohort.period >= first_week).collect(),
            last_week: self.weeks.last_period().unwrap_or(first_week),
            users: top(&self.users, user),
            rooms: top(&self.rooms, room),
            commands: Vec::new(),
            wait_hours: hours,
            agents,
            wait_days: (window.first_day..=window.last_day)
                .map(|day| day_waits.get(&(day as u32)).map(|waits| waits.median_us))
                .collect(),
            talks: talks.collect(),
            fates,
            latency_bucket: Bucket::Day,
            latencies: BTreeMap::new(),
        }
    }
}

fn waits_of(waits: Waits) -> Vec<(u32, WaitsOf)> {
    let of = |(key, mut spans): (u32, crate::scan::quantiles::Quantiles)| {
        let (median_us, p95_us) = (spans.at_us(0.5), spans.at_us(0.95));
        (key, WaitsOf { answers: spans.count(), median_us, p95_us })
    };
    let mut all: Vec<_> = waits.by_key.into_iter().map(of).collect();
    all.sort_unstable_by_key(|(key, _)| *key);
    all
}

fn new_users(newness: &[Newness], window: Window) -> u64 {
    let inside = newness.iter().filter(|one| window.holds(one.period));
    inside.map(|one| one.new_count).sum()
}

/// Every day or week from `first` to `last`, those without anybody too.
fn filled(newness: &[Newness], first: i32, last: i32) -> Vec<Newness> {
    let mut all: Vec<_> =
        (first..=last).map(|period| Newness { period, ..Newness::default() }).collect();
    for one in newness.iter().filter(|one| (first..=last).contains(&one.period)) {
        all[(one.period - first) as usize] = *one;
    }
    all
}

fn bump(counts: &mut Vec<u64>, code: u32) {
    let index = code as usize;
    if counts.len() <= index {
        counts.resize(index + 1, 0);
    }
    counts[index] += 1;
}

/// The largest counts with their names; equal ones by name.
fn top(counts: &[u64], name: impl Fn(u32) -> String) -> Vec<(String, u64)> {
    let mut all: Vec<_> =
        counts.iter().enumerate().skip(1).filter(|(_, count)| **count > 0).collect();
    all.sort_by(|a, b| b.1.cmp(a.1));
    // Names decide between those that tie with the last place.
    let least = all.get(TOP_COUNT - 1).map_or(0, |(_, count)| **count);
    let near = all.into_iter().take_while(|(_, count)| **count >= least);
    let mut near: Vec<_> = near.map(|(code, count)| (name(code as u32), *count)).collect();
    near.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
    near.truncate(TOP_COUNT);
    near
}

fn commands(job: &Job<'_>, filter: &Filter) -> Vec<(String, u64)> {
    let mut counts = Vec::new();
    job.scan.run(
        filter,
        |view| {
            let table = view.table(TableKind::Commands);
            if table.len() == 0 {
                return Vec::new();
            }
            let (codes, numbers) =
                (table.codes(NameSet::Commands), view.numbers(NameSet::Commands));
            table.rows().map(|row| numbers[codes.at(row)]).collect()
        },
        |part: Vec<u32>| part.into_iter().for_each(|number| bump(&mut counts, number)),
    );
    let names = job.scan.names(NameSet::Commands);
    top(&counts, |number| names.text(number).to_owned())
}

/// The share of a step among all messages to the platform.
pub(super) fn share(reach: Reach, step: Step) -> Option<f64> {
    (reach.messages > 0).then(|| reach.of(step) as f64 / reach.messages as f64)
}

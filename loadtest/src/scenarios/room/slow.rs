//! `slow`: in each room some members stop reading. The others must get everything as before, and as
//! fast; what became of the slow is told.
//!
//! For the first third of the measured time all read. Then the slow ones stop; they are read again
//! when the last message is with all others. A server may send them away, may leave messages out or
//! may keep everything for them: only what comes twice is a fault.

use super::{Plan, make};
use crate::driver::gate::Schedule;
use crate::driver::{Nanos, Outbox};
use crate::latency::{Latency, human};
use crate::order::{Arrival, Order};
use crate::scenarios::{Outcome, Scenario, Settings, number_of};
use std::collections::BTreeMap;

/// A slow reader that gets nothing for this long, while it is read again, has got all it will get.
const QUIET_NS: Nanos = 3_000_000_000;
/// How long the slow may take to catch up.
const RELEASE_NS: Nanos = 20_000_000_000;

/// What both kernels may keep for a reader that does not read, on a usual machine.
const KEPT_BYTES: u64 = 5 << 20;

/// The table's entry.
pub const SCENARIO: Scenario = Scenario {
    name: "slow",
    summary: "--slow percent of all members stop reading, the others must not feel it",
    rate_default: 200.0,
    describe: |settings| {
        let (slow, rooms) = (slow_count(settings), settings.rooms);
        format!("{}, {} stop reading", super::describe(settings), slow * rooms)
    },
    share: |settings, share, gate| {
        let slow = Slow::new(slow_count(settings), share.of(settings.rooms).len(), settings.size);
        let plan = Plan { idle: None, slow: Some(slow) };
        Box::new(make(settings, share, gate, plan))
    },
    ..super::SCENARIO
};

/// Slow members of each room: at least one, and one that reads is left.
fn slow_count(settings: &Settings) -> usize {
    let part = (settings.members * settings.slow_percent).div_ceil(100);
    part.clamp(1, settings.members - 1)
}

/// One slow reader.
#[derive(Debug, Default)]
struct Reader {
    order: Order,
    got: u64,
    gap: bool,
    /// Why it was lost.
    lost: Option<String>,
    last_at: Nanos,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Reading,
    Paused,
    Released(Nanos),
}

/// All slow readers of a thread.
pub struct Slow {
    /// Slow members of each room: the last ones.
    pub per_room: usize,
    readers: Vec<Reader>,
    stage: Stage,
    /// By room: messages sent when the reading stopped.
    sent_before: Vec<u64>,
    /// Bytes of a message.
    size: usize,
    /// Messages due before this have all readers.
    pause_at: Nanos,
    /// Latency while all read.
    pub before: Latency,
}

impl Slow {
    fn new(per_room: usize, rooms: usize, size: usize) -> Self {
        Self {
            per_room,
            readers: (0..per_room * rooms).map(|_| Reader::default()).collect(),
            stage: Stage::Reading,
            sent_before: vec![0; rooms],
            size,
            pause_at: Nanos::MAX,
            before: Latency::new("before", "to last member while all read"),
        }
    }

    /// Sets the time at which they stop reading.
    pub fn begin(&mut self, schedule: Schedule) {
        self.pause_at = schedule.measure + (schedule.stop - schedule.measure) / 3;
    }

    /// Whether a message due then meets slow readers.
    pub fn slows(&self, due: Nanos) -> bool {
        due >= self.pause_at
    }

    /// Stops the reading when it is time; `conns` are those of the slow, in order. Gives when to
    /// ask again.
    pub fn turn(
        &mut self,
        now: Nanos,
        sent_each: impl Fn(usize) -> u64,
        conns: impl Iterator<Item = usize>,
        out: &mut dyn Outbox,
    ) -> Nanos {
        if self.stage == Stage::Reading && now >= self.pause_at {
            self.stage = Stage::Paused;
            self.sent_before = (0..self.sent_before.len()).map(sent_each).collect();
            conns.for_each(|conn| out.pause(conn, true));
        }
        if self.stage == Stage::Reading { self.pause_at } else { Nanos::MAX }
    }

    /// Reads them again; gives whether nothing more is to be waited for.
    pub fn release(
        &mut self,
        now: Nanos,
        sent_each: impl Fn(usize) -> u64,
        conns: impl Iterator<Item = usize>,
        out: &mut dyn Outbox,
    ) -> bool {
        let Stage::Released(at) = self.stage else {
            self.stage = Stage::Released(now);
            conns.for_each(|conn| out.pause(conn, false));
            return false;
        };
        let over = |(index, reader): (usize, &Reader)| {
            let quiet = now > reader.last_at.max(at) + QUIET_NS;
            quiet || reader.lost.is_some() || reader.got == sent_each(index / self.per_room)
        };
        now > at + RELEASE_NS || self.readers.iter().enumerate().all(over)
    }

    /// A message has come to slow reader `index`.
    pub fn took(&mut self, index: usize, text: &[u8], now: Nanos) {
        let reader = &mut self.readers[index];
        reader.last_at = now;
        if let Some(number) = number_of(text)
            && reader.order.arrive(number) != Arrival::Duplicate
        {
            reader.got += 1;
        }
    }

    /// A slow reader was told that it missed something.
    pub fn told(&mut self, index: usize, now: Nanos) {
        let reader = &mut self.readers[index];
        reader.gap = true;
        reader.last_at = now;
    }

    /// A slow reader was sent away.
    pub fn lost(&mut self, index: usize, why: &str) {
        self.readers[index].lost = Some(why.to_string());
    }

    /// The least that was sent to a slow reader while it did not read.
    fn paused_bytes(&self, sent_each: impl Fn(usize) -> u64) -> u64 {
        let before = self.sent_before.iter().enumerate();
        let messages = before.map(|(room, before)| sent_each(room) - before).min().unwrap_or(0);
        messages * self.size as u64
    }

    /// What became of them.
    pub fn tell(&self, sent_each: impl Fn(usize) -> u64, last: &Latency, outcome: &mut Outcome) {
        let (mut fates, mut slowest) = (BTreeMap::<String, u64>::new(), 0);
        let released = if let Stage::Released(at) = self.stage { at } else { Nanos::MAX };
        for (index, reader) in self.readers.iter().enumerate() {
            let whole = reader.got == sent_each(index / self.per_room);
            let fate = match &reader.lost {
                Some(why) => format!("lost ({why})"),
                None if whole => "got everything".to_string(),
                None if reader.gap => "were told of a gap".to_string(),
                None => "got nothing more for 3 s and were told nothing".to_string(),
            };
            if whole && released != Nanos::MAX {
                slowest = slowest.max(reader.last_at.saturating_sub(released));
            }
            *fates.entry(fate).or_default() += 1;
            if reader.order.duplicated > 0 {
                outcome.duplicated += reader.order.duplicated;
                outcome.find(|| format!("slow reader {index} got messages again"));
            }
        }
        let fates = fates.iter().map(|(fate, count)| format!("{count} {fate}"));
        let mut text = fates.collect::<Vec<_>>().join(", ");
        if self.paused_bytes(&sent_each) < KEPT_BYTES {
            text += &format!(
                "; {} KiB were sent to each meanwhile, which the kernels may keep, so that the \
                 server never met a slow reader: raise --size, --rate or --duration",
                self.paused_bytes(&sent_each) >> 10
            );
        }
        if slowest > 0 {
            text += &format!("; the last had it {} after it read again", human(slowest));
        }
        outcome.lines.push(("Slow", text));
        let (with, without) = (last.quantile(0.99), self.before.quantile(0.99));
        outcome.figures.push(("p99_ratio".into(), with as f64 / without.max(1) as f64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios::fill;

    #[test]
    fn fates_are_told_apart() {
        let mut slow = Slow::new(2, 2, 3 << 20);
        let mut say = |reader: usize, numbers: &[u64]| {
            for &number in numbers {
                let mut text = Vec::new();
                fill(&mut text, 1, number, 8);
                slow.took(reader, &text, 5);
            }
        };
        say(0, &[0, 1]);
        say(1, &[0, 0]);
        say(3, &[1]);
        slow.told(1, 9);
        slow.lost(2, "closed with 4101 slow");
        let mut outcome = Outcome::default();
        slow.tell(|_| 2, &Latency::new("last", ""), &mut outcome);
        assert_eq!(outcome.duplicated, 1);
        assert!(
            outcome.lines[0].1.starts_with(
                "1 got everything, 1 got nothing more for 3 s and were told nothing, \
                 1 lost (closed with 4101 slow), 1 were told of a gap"
            ),
            "{:?}",
            outcome.lines
        );
        assert!(!outcome.lines[0].1.contains("raise --size"), "6 MiB: {:?}", outcome.lines);
        slow.size = 1_024;
        slow.tell(|_| 2, &Latency::new("last", ""), &mut outcome);
        assert!(outcome.lines[1].1.contains("; 2 KiB were sent to each meanwhile"));
    }
}

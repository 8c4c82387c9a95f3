//! `idle`: connections that sit in rooms and say nothing. What they cost the server is read at
//! steps, and at the end one message per room shows that all of them are still there.
//!
//! Resident memory is what is told: what the kernel keeps for a socket is not in it.

use super::{Plan, Rooms, make};
use crate::driver::{Nanos, Outbox};
use crate::process;
use crate::scenarios::{Outcome, Scenario, Settings};

/// From a step's last connection to the reading, so that what a handshake needs is given back.
const SETTLE_NS: Nanos = 300_000_000;

/// The table's entry.
pub const SCENARIO: Scenario = Scenario {
    name: "idle",
    summary: "connections that wait: memory at --steps, and none lost (--dialect)",
    rate_default: 0.0,
    describe: |settings| {
        let Settings { members, dialect, .. } = settings;
        let steps: Vec<_> = settings.steps.iter().map(usize::to_string).collect();
        format!("{} connections, rooms of {members}, {}", steps.join(", "), dialect.name)
    },
    // The steps are of all connections.
    threads_max: |_| 1,
    share: |settings, share, gate| {
        let last = *settings.steps.last().expect("checked: at least one");
        let rooms = last.div_ceil(settings.members);
        // The last word is one message per room: no rate that a limit could forbid.
        let settings = Settings { rooms, rate: f64::MIN_POSITIVE, ..settings.clone() };
        let plan = Plan { idle: Some(Idle::new(&settings)), slow: None };
        Box::new(make(&settings, share, gate, plan))
    },
    ..super::SCENARIO
};

/// The steps, and what was read at them.
pub struct Idle {
    /// Connections at each step; the last is all of them.
    steps: Vec<usize>,
    /// The step that is under way.
    at: usize,
    /// Connections asked for so far.
    asked: usize,
    /// When the step was complete.
    complete_at: Option<Nanos>,
    server_pid: Option<u32>,
    /// Connections, and resident bytes with them.
    readings: Vec<(usize, u64)>,
    /// Whether the last messages were sent.
    pub probed: bool,
}

impl Idle {
    fn new(settings: &Settings) -> Self {
        let all = settings.rooms * settings.members;
        let mut steps = settings.steps.clone();
        *steps.last_mut().expect("checked: at least one") = all;
        Self {
            steps,
            at: 0,
            asked: 0,
            complete_at: None,
            server_pid: settings.server_pid,
            readings: Vec::new(),
            probed: false,
        }
    }

    fn read(&mut self) {
        if let Some(usage) = self.server_pid.and_then(process::usage) {
            self.readings.push((self.asked, usage.rss_bytes));
        }
    }

    /// Opens the next step when the one before is in place and has been read; whether all are.
    pub fn turn(&mut self, ready_count: usize, now: Nanos, out: &mut dyn Outbox) -> bool {
        if ready_count < self.asked {
            return false;
        }
        let complete_at = *self.complete_at.get_or_insert(now);
        if self.asked > 0 && now < complete_at + SETTLE_NS {
            return false;
        }
        self.read();
        self.complete_at = None;
        let Some(&step) = self.steps.get(self.at) else { return true };
        self.at += 1;
        (self.asked..step).for_each(|conn| out.open(conn));
        self.asked = step;
        false
    }

    /// What the readings say.
    pub fn tell(&self, outcome: &mut Outcome) {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let Some(&(_, empty)) = self.readings.first() else {
            let text = "not read; --server-pid names the server's process".to_string();
            outcome.lines.push(("Idle", text));
            return;
        };
        outcome.lines.push(("Idle", format!("0 connections: {:.1} MiB", mib(empty))));
        for pair in self.readings.windows(2) {
            let [(before, bytes_before), (count, bytes)] = *pair else { continue };
            let each = |bytes: u64, from: u64, count: usize| {
                (bytes as f64 - from as f64) / count.max(1) as f64
            };
            let (all, since) =
                (each(bytes, empty, count), each(bytes, bytes_before, count - before));
            let text = format!(
                "{count}: {:.1} MiB, {all:.0} B each, {since:.0} B each since {before}",
                mib(bytes)
            );
            outcome.lines.push(("", text));
            outcome.figures.push((format!("rss_bytes_each_{count}"), all));
            outcome.figures.push((format!("rss_bytes_each_since_{before}"), since));
        }
    }
}

impl Rooms {
    /// The last word: one message to each room.
    pub(super) fn probe(&mut self, due: Nanos, out: &mut dyn Outbox) {
        for room in 0..self.rooms.len() {
            self.send(room, due, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Opened(usize);

    impl Outbox for Opened {
        fn text(&mut self, _conn: usize, _payload: &[u8]) {}
        fn binary(&mut self, _conn: usize, _payload: &[u8]) {}
        fn open(&mut self, conn: usize) {
            assert_eq!(conn, self.0);
            self.0 += 1;
        }
        fn close(&mut self, _conn: usize) {}
        fn hang_up(&mut self, _conn: usize) {}
        fn pause(&mut self, _conn: usize, _paused: bool) {}
    }

    #[test]
    fn steps_wait_for_each_other() {
        let mut out = Opened(0);
        let mut idle = Idle {
            steps: vec![2, 5],
            at: 0,
            asked: 0,
            complete_at: None,
            server_pid: None,
            readings: Vec::new(),
            probed: false,
        };
        let mut check = |ready: usize, now: Nanos, want: (bool, usize)| {
            let done = idle.turn(ready, now, &mut out);
            assert_eq!((done, out.0), want, "{ready} at {now}");
        };
        check(0, 1, (false, 2));
        check(1, 2, (false, 2));
        check(2, 3, (false, 2));
        check(2, 2 + SETTLE_NS, (false, 2));
        check(2, 3 + SETTLE_NS, (false, 5));
        check(4, 4 + SETTLE_NS, (false, 5));
        check(5, 5 + SETTLE_NS, (false, 5));
        check(5, 5 + 2 * SETTLE_NS, (true, 5));
    }

    #[test]
    fn memory_is_told_per_connection_and_per_step() {
        let readings = vec![(0, 1 << 20), (100, (1 << 20) + 100_000), (300, (1 << 20) + 200_000)];
        let idle = Idle {
            steps: vec![100, 300],
            at: 2,
            asked: 300,
            complete_at: None,
            server_pid: None,
            readings,
            probed: true,
        };
        let mut outcome = Outcome::default();
        idle.tell(&mut outcome);
        assert_eq!(outcome.lines[1].1, "100: 1.1 MiB, 1000 B each, 1000 B each since 0");
        assert_eq!(outcome.lines[2].1, "300: 1.2 MiB, 667 B each, 500 B each since 100");
    }
}

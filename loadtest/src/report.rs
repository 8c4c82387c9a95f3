//! The report of a run, as text for people and as JSON for scripts. Pure.

use crate::latency::{Bound, Expectation, Latency, QUANTILES, human};
use crate::process::Memory;
use crate::scenarios::Outcome;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;

/// Above this share of its cores the client may be what is measured.
const CLIENT_SHARE_MAX: f64 = 0.8;
/// A schedule lag at p99 above this much makes the figures doubtful.
const LAG_NS_MAX: u64 = 1_000_000;

/// What the server used in the measured time.
#[derive(Clone, Copy, Debug)]
pub struct ServerUse {
    /// CPU time of all its threads.
    pub cpu: Duration,
    /// Resident memory at the end, bytes.
    pub rss_bytes: u64,
}

/// The rate at one moment of the measured time.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Since the measured time began.
    pub at: Duration,
    /// Messages received since the sample before, per second.
    pub received_per_s: f64,
}

/// Everything a report says.
#[derive(Clone, Debug)]
pub struct Report {
    /// Name of the scenario.
    pub scenario: &'static str,
    /// What was done, in words.
    pub description: String,
    /// Measured time.
    pub duration: Duration,
    /// Time before it.
    pub warmup: Duration,
    /// Seed of contents and phases.
    pub seed: u64,
    /// The verdict.
    pub outcome: Outcome,
    /// Messages sent in the measured time.
    pub sent: u64,
    /// Messages received in the measured time.
    pub received: u64,
    /// How that went over the measured time.
    pub samples: Vec<Sample>,
    /// When `--server-pid` was given.
    pub server: Option<ServerUse>,
    /// Its memory over the measured time; empty without `--server-pid`.
    pub memory: Memory,
    /// CPU time of this process in the measured time.
    pub client_cpu: Duration,
    /// Driving threads: each can use one core.
    pub threads: usize,
    /// Which client.
    pub client: &'static str,
    /// Bounds that were to be kept.
    pub expectations: Vec<Expectation>,
}

impl Report {
    /// Bounds that were missed, with what was measured.
    pub fn missed(&self) -> Vec<(&Expectation, String)> {
        let judged = self.expectations.iter().map(|expectation| {
            let (kept, got) = match &expectation.bound {
                Bound::Latency { name, fraction, below_ns } => {
                    let measured = self.latency(name).filter(|l| !l.histogram.is_empty());
                    let time = measured.map(|latency| latency.quantile(*fraction));
                    (time.is_some_and(|time| time < *below_ns), time.map(human))
                }
                Bound::Growth { below_percent } => {
                    let growth = self.memory.growth_percent();
                    let kept = growth.is_some_and(|growth| growth < *below_percent);
                    (kept, growth.map(|growth| format!("{growth:.2} %")))
                }
            };
            (expectation, kept, got)
        });
        judged
            .filter(|(_, kept, _)| !kept)
            .map(|(bound, _, got)| (bound, got.unwrap_or("nothing measured".into())))
            .collect()
    }

    /// The latency with a name; the first when the name is empty.
    pub fn latency(&self, name: &str) -> Option<&Latency> {
        let mut all = self.outcome.latencies.iter();
        all.find(|latency| name.is_empty() || latency.name == name)
    }

    /// 0: everything was delivered as promised and every bound kept. 1: not so.
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.outcome.clean() || !self.missed().is_empty())
    }

    /// Server CPU per received message, microseconds.
    pub fn server_cpu_us(&self) -> Option<f64> {
        let server = self.server.filter(|_| self.received > 0)?;
        Some(server.cpu.as_secs_f64() * 1e6 / self.received as f64)
    }

    /// The part of its cores that the client used.
    pub fn client_share(&self) -> f64 {
        self.client_cpu.as_secs_f64() / self.duration.as_secs_f64() / self.threads as f64
    }

    /// Messages received in a second.
    pub fn received_per_s(&self) -> f64 {
        self.per_s(self.received)
    }

    fn per_s(&self, count: u64) -> f64 {
        count as f64 / self.duration.as_secs_f64()
    }

    /// The report for people. A broken promise comes first.
    pub fn text(&self) -> String {
        let mut out = self.faults();
        let (outcome, warmup) = (&self.outcome, self.warmup.as_secs_f64());
        let seconds = self.duration.as_secs_f64();
        let shown = (seconds * 10.0).round() / 10.0;
        let mut line = |title: &str, text: String| {
            writeln!(out, "{title:<10} {text}").expect("memory takes it");
        };
        let (name, what, seed) = (self.scenario, &self.description, self.seed);
        line(
            "Scenario",
            format!("{name}: {what}, {shown} s after {warmup} s warm-up, seed {seed}"),
        );
        line("Delivered", delivered(outcome));
        if outcome.disagreed > 0 {
            let what = "deliveries came in another order than other members got them";
            line("Order", format!("{} {what}; each sender's were in order", outcome.disagreed));
        }
        if outcome.refused > 0 {
            line("Refused", format!("{} sends", outcome.refused));
        }
        let (sent, received) = (self.per_s(self.sent), self.per_s(self.received));
        line("Rate", format!("{sent:.0} msg/s sent, {received:.0} msg/s received"));
        let shown =
            |(index, latency): &(usize, &Latency)| *index == 0 || !latency.histogram.is_empty();
        for (index, latency) in outcome.latencies.iter().enumerate().filter(shown) {
            line(if index == 0 { "Latency" } else { "" }, quantiles(latency));
        }
        if let Some(server) = self.server {
            let each = match self.server_cpu_us() {
                Some(us) => format!("{us:.2} µs CPU per received message"),
                None => "no message received".to_string(),
            };
            let cores = server.cpu.as_secs_f64() / seconds;
            let rss = server.rss_bytes as f64 / f64::from(1 << 20);
            line("Server", format!("{each}, {cores:.2} cores, {rss:.1} MiB"));
        }
        if let Some(growth) = self.growth() {
            line("Memory", growth);
        }
        for (title, text) in &outcome.lines {
            line(title, text.clone());
        }
        line("Client", self.client_line());
        for warning in self.warnings() {
            write!(out, "\n{warning}").expect("memory takes it");
        }
        out
    }

    /// What failed and which bounds were missed, in lines; empty when nothing was.
    pub fn faults(&self) -> String {
        let mut out = String::new();
        self.write_faults(&mut out);
        out
    }

    fn growth(&self) -> Option<String> {
        let ((first, last), growth) = self.memory.ends().zip(self.memory.growth_percent())?;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let (first, last, count) = (mib(first), mib(last), self.memory.samples.len());
        let ends = format!("{first:.1} MiB in the first tenth, {last:.1} MiB in the last");
        Some(format!("{ends}, {growth:+.2} %, {count} samples"))
    }

    fn write_faults(&self, out: &mut String) {
        let outcome = &self.outcome;
        let mut line = |text: String| writeln!(out, "{text}").expect("memory takes it");
        if !outcome.clean() {
            let (missing, lost) = (outcome.missing(), outcome.broken);
            let Outcome { duplicated, misordered, corrupt, .. } = outcome;
            line(format!(
                "FAILED     {missing} missing, {duplicated} duplicated, {misordered} out of order, \
                 {corrupt} corrupt, {lost} other promises broken"
            ));
            for finding in &outcome.findings {
                line(format!("           {finding}"));
            }
        }
        for (bound, got) in self.missed() {
            line(format!("MISSED     {bound}: {got}"));
        }
    }

    fn client_line(&self) -> String {
        let (client, threads, share) = (self.client, self.threads, self.client_share() * 100.0);
        let cores = if threads == 1 { "core" } else { "cores" };
        let mut line = format!("{client} driver, {share:.0} % of {threads} {cores}");
        if let Some(lag) = &self.outcome.lag {
            let (typical, most) = (human(lag.quantile(0.99)), human(lag.quantile(1.0)));
            write!(line, ", schedule lag p99 {typical} max {most}").expect("memory takes it");
        }
        line
    }

    /// Why the figures may say less than they seem to.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.client_share() > CLIENT_SHARE_MAX {
            warnings.push(
                "warning: client cores were above 80 %; these numbers may describe the client\n\
                 hint: add `--threads 2`, pin with `--cpus`, or lower `--rate`; CPU per message \
                 (`--server-pid`) stays valid\n"
                    .to_string(),
            );
        }
        if let Some(lag) = &self.outcome.lag
            && lag.quantile(0.99) > LAG_NS_MAX
        {
            warnings.push(format!(
                "warning: messages left up to {} late (p99 {}); that is in the latencies above\n\
                 hint: give the client a core of its own with `--cpus`\n",
                human(lag.quantile(1.0)),
                human(lag.quantile(0.99)),
            ));
        }
        if self.outcome.refused > 0 {
            warnings.push(format!(
                "warning: the server refused {} sends; the load was lower than asked for\n\
                 hint: {}\n",
                self.outcome.refused,
                self.outcome.findings.first().map_or("", String::as_str),
            ));
        }
        warnings
    }

    /// The report for scripts: one object. Times are in microseconds.
    pub fn json(&self) -> Value {
        let outcome = &self.outcome;
        let times = |latency: &Latency| {
            let mut times = serde_json::Map::new();
            times.insert("count".into(), latency.histogram.len().into());
            times.insert("mean".into(), json!(latency.histogram.mean() / 1e3));
            for (name, fraction) in QUANTILES {
                times.insert(name.into(), json!(latency.quantile(fraction) as f64 / 1e3));
            }
            Value::Object(times)
        };
        let latencies = outcome.latencies.iter().map(|l| (l.name.to_string(), times(l)));
        let server = self.server.map(|server| {
            json!({
                "cpu_us_per_message": self.server_cpu_us(),
                "cores": server.cpu.as_secs_f64() / self.duration.as_secs_f64(),
                "rss_bytes": server.rss_bytes,
                "rss_growth_percent": self.memory.growth_percent(),
                "rss_samples": self.memory.samples.iter()
                    .map(|(at, bytes)| json!([at.as_secs_f64(), bytes])).collect::<Vec<_>>(),
            })
        });
        json!({
            "scenario": self.scenario,
            "description": self.description,
            "ok": self.exit_code() == 0,
            "duration_s": self.duration.as_secs_f64(),
            "warmup_s": self.warmup.as_secs_f64(),
            "seed": self.seed,
            "server": server,
            "expected": outcome.expected,
            "delivered": outcome.delivered,
            "missing": outcome.missing(),
            "duplicated": outcome.duplicated,
            "misordered": outcome.misordered,
            "disagreed": outcome.disagreed,
            "corrupt": outcome.corrupt,
            "broken": outcome.broken,
            "refused": outcome.refused,
            "findings": outcome.findings,
            "figures": outcome.figures.iter().map(|(name, figure)| (name.clone(), json!(figure)))
                .collect::<serde_json::Map<_, _>>(),
            "sent_per_s": self.per_s(self.sent),
            "received_per_s": self.per_s(self.received),
            "latency_us": latencies.collect::<serde_json::Map<_, _>>(),
            "expectations_missed":
                self.missed().iter().map(|(bound, _)| bound.text.clone()).collect::<Vec<_>>(),
            "client": {
                "driver": self.client,
                "threads": self.threads,
                "share_of_cores": self.client_share(),
                "schedule_lag_us": outcome.lag.as_ref().map(times),
            },
        })
    }
}

fn delivered(outcome: &Outcome) -> String {
    let share = match outcome.expected {
        0 => 0.0,
        expected => outcome.delivered as f64 * 100.0 / expected as f64,
    };
    let Outcome { delivered, expected, duplicated, misordered, .. } = outcome;
    format!(
        "{delivered} of {expected} expected ({share:.3} %), {duplicated} duplicated, \
         {misordered} out of order"
    )
}

fn quantiles(latency: &Latency) -> String {
    if latency.histogram.is_empty() {
        return format!("nothing measured     {}", latency.title);
    }
    let mut line = String::new();
    for (name, fraction) in QUANTILES {
        let time = human(latency.quantile(fraction));
        write!(line, "{name} {time}   ").expect("memory takes it");
    }
    line.push_str("  ");
    line.push_str(latency.title);
    line
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A run of two seconds.
    pub fn report(outcome: Outcome) -> Report {
        Report {
            scenario: "echo",
            description: "2 connections".into(),
            duration: Duration::from_secs(2),
            warmup: Duration::from_secs(1),
            seed: 42,
            outcome,
            sent: 2_000,
            received: 2_000,
            samples: vec![Sample { at: Duration::from_secs(1), received_per_s: 1e3 }],
            server: Some(ServerUse { cpu: Duration::from_millis(7), rss_bytes: 3 << 20 }),
            memory: Memory::default(),
            client_cpu: Duration::from_millis(1_900),
            threads: 1,
            client: "thin",
            expectations: vec![Expectation::parse("p99<1ms").expect("valid")],
        }
    }

    /// Nothing wrong.
    pub fn good() -> Outcome {
        let mut latency = Latency::new("echo", "from intended send to reply");
        latency.record(20_000);
        let latencies = vec![latency];
        Outcome { expected: 10, delivered: 10, latencies, ..Outcome::default() }
    }

    #[test]
    fn a_clean_run() {
        let report = report(good());
        let text = report.text();
        let want = "\
Scenario   echo: 2 connections, 2 s after 1 s warm-up, seed 42
Delivered  10 of 10 expected (100.000 %), 0 duplicated, 0 out of order
Rate       1000 msg/s sent, 1000 msg/s received
Latency    p50 20.0 µs   p90 20.0 µs   p99 20.0 µs   p99.9 20.0 µs   p99.99 20.0 µs   \
max 20.0 µs     from intended send to reply
Server     3.50 µs CPU per received message, 0.00 cores, 3.0 MiB
Client     thin driver, 95 % of 1 core

warning: client cores were above 80 %; these numbers may describe the client
";
        assert!(text.starts_with(want), "{text}");
        assert_eq!(report.exit_code(), 0);
        assert_eq!(report.json()["server"]["cpu_us_per_message"], 3.5);
        assert_eq!(report.json()["latency_us"]["echo"]["count"], 1);
    }

    #[test]
    fn a_broken_promise_comes_first() {
        let mut outcome = good();
        outcome.delivered = 8;
        outcome.misordered = 1;
        outcome.find(|| "connection 1: Early reply 5, due was 3".into());
        let report = report(outcome);
        let text = report.text();
        assert!(text.starts_with("FAILED     2 missing, 0 duplicated, 1 out of order"), "{text}");
        assert!(text.contains("due was 3"), "{text}");
        assert_eq!(report.exit_code(), 1);
        assert_eq!(report.json()["ok"], false);
    }

    #[test]
    fn a_missed_bound_fails() {
        let mut report = report(good());
        report.expectations = vec![
            Expectation::parse("p50<10us").expect("valid"),
            Expectation::parse("ack.p50<10us").expect("valid"),
            Expectation::parse("rss-growth<5%").expect("valid"),
        ];
        let grown = |n: u64| (Duration::from_secs(n), 100 + n);
        report.memory.samples = (0..10).map(grown).collect();
        let text = report.text();
        assert!(
            text.starts_with("MISSED     p50<10us: 20.0 µs\nMISSED     ack.p50<10us: nothing"),
            "{text}"
        );
        assert!(text.contains("\nMISSED     rss-growth<5%: 9.00 %\n"), "{text}");
        assert_eq!(report.exit_code(), 1);
    }
}

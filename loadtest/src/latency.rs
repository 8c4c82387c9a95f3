//! Latency histograms, their quantiles, and what a run was told to expect of them.

use hdrhistogram::Histogram;
use std::fmt;
use std::io::{self, Write};

/// Three digits of precision up to two minutes, nanoseconds.
const LATENCY_NS_MAX: u64 = 120_000_000_000;

/// The quantiles of every report: name and fraction.
pub const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)];

/// One named distribution of times.
#[derive(Clone, Debug)]
pub struct Latency {
    /// Short name, as `--expect` and the JSON report use it.
    pub name: &'static str,
    /// From what to what.
    pub title: &'static str,
    /// Nanoseconds.
    pub histogram: Histogram<u64>,
}

impl Latency {
    /// An empty distribution.
    pub fn new(name: &'static str, title: &'static str) -> Self {
        let histogram = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("valid bounds");
        Self { name, title, histogram }
    }

    /// Counts one time; beyond two minutes it counts as two minutes.
    pub fn record(&mut self, ns: u64) {
        self.histogram.saturating_record(ns);
    }

    /// Adds what another thread measured.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.name, other.name);
        self.histogram.add(&other.histogram).expect("equal bounds");
    }

    /// The time at a fraction between 0 and 1, nanoseconds.
    pub fn quantile(&self, fraction: f64) -> u64 {
        self.histogram.value_at_quantile(fraction)
    }

    /// Writes the percentile table that HdrHistogram plotters read, in microseconds.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_hgrm(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "{:>12} {:>14} {:>10} {:>14}\n",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        )?;
        let mut seen = 0;
        for step in self.histogram.iter_quantiles(5) {
            seen += step.count_since_last_iteration();
            let fraction = step.quantile_iterated_to();
            let value = step.value_iterated_to() as f64 / 1e3;
            write!(out, "{value:>12.3} {fraction:>14.12} {seen:>10}")?;
            if fraction < 1.0 {
                writeln!(out, " {:>14.2}", 1.0 / (1.0 - fraction))?;
            } else {
                writeln!(out)?;
            }
        }
        let (mean, deviation) = (self.histogram.mean() / 1e3, self.histogram.stdev() / 1e3);
        let (max, total) = (self.histogram.max() as f64 / 1e3, self.histogram.len());
        writeln!(out, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]")?;
        writeln!(out, "#[Max     = {max:>12.3}, Total count    = {total:>12}]")?;
        writeln!(
            out,
            "#[Buckets = {:>12}, SubBuckets     = {:>12}]",
            1,
            self.histogram.distinct_values()
        )
    }
}

/// A time as a person reads it: three digits and the unit.
pub fn human(ns: u64) -> String {
    let (value, unit) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (ns as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

/// What a bound is about.
#[derive(Clone, PartialEq, Debug)]
pub enum Bound {
    /// A latency.
    Latency {
        /// Which; the first of the report when empty.
        name: String,
        /// The fraction.
        fraction: f64,
        /// The time at that fraction must be below this, nanoseconds.
        below_ns: u64,
    },
    /// How much the server's memory grows in the measured time, percent.
    Growth {
        /// Must be below this.
        below_percent: f64,
    },
}

/// A bound that a run must keep: `p99<5ms`, `ack.p99.9<20ms` for a latency by name, or
/// `rss-growth<5%` for the server's memory.
#[derive(Clone, PartialEq, Debug)]
pub struct Expectation {
    /// What must hold.
    pub bound: Bound,
    /// As it was written.
    pub text: String,
}

impl Expectation {
    /// Reads one expectation.
    ///
    /// # Errors
    /// A sentence that shows the right form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "cannot read {text:?}: write it like p99<5ms, max<0.1s, ack.p99.9<800us or \
                 rss-growth<5%"
            )
        };
        let (left, right) = text.split_once('<').ok_or_else(wrong)?;
        let right = right.trim();
        let unit_at = right.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, unit) = right.split_at(unit_at);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let text = text.to_string();
        if left.trim() == "rss-growth" {
            return match unit.trim() {
                "%" => Ok(Self { bound: Bound::Growth { below_percent: number }, text }),
                _ => Err(wrong()),
            };
        }
        let (name, quantile) = match left.trim().split_once('.') {
            Some((name, quantile)) if !name.starts_with('p') => (name, quantile),
            _ => ("", left.trim()),
        };
        let known = QUANTILES.iter().find(|(own, _)| *own == quantile);
        let (_, fraction) = *known.ok_or_else(wrong)?;
        let scale = match unit.trim() {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            _ => return Err(wrong()),
        };
        let (name, below_ns) = (name.to_string(), (number * scale) as u64);
        Ok(Self { bound: Bound::Latency { name, fraction, below_ns }, text })
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expectations() {
        check("p99<5ms", Some(("", 0.99, 5_000_000)));
        check("max < 0.1s", Some(("", 1.0, 100_000_000)));
        check("ack.p99.9<800us", Some(("ack", 0.999, 800_000)));
        check("p99.99<20µs", Some(("", 0.9999, 20_000)));
        check("rss-growth<2.5%", Some(("rss-growth", 2.5, 0)));
        check("rss-growth<2", None);
        check("p98<5ms", None);
        check("p99<5", None);
        check("p99>5ms", None);
        check("p99<fast", None);
    }

    #[track_caller]
    fn check(text: &str, want: Option<(&str, f64, u64)>) {
        let got = Expectation::parse(text).ok();
        let got = got.as_ref().map(|e| match &e.bound {
            Bound::Latency { name, fraction, below_ns } => (name.as_str(), *fraction, *below_ns),
            Bound::Growth { below_percent } => ("rss-growth", *below_percent, 0),
        });
        assert_eq!(got, want, "{text}");
    }

    #[test]
    fn times_for_people() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_234, "1.23 µs"),
            (56_700, "56.7 µs"),
            (999_000, "999 µs"),
            (1_500_000, "1.50 ms"),
            (2_000_000_000, "2.00 s"),
        ];
        for (ns, want) in cases {
            assert_eq!(human(ns), want);
        }
    }

    #[test]
    fn a_table_for_plotters() {
        let mut latency = Latency::new("echo", "from send to reply");
        latency.record(5_000_000);
        let mut table = Vec::new();
        latency.write_hgrm(&mut table).expect("memory takes it");
        let table = String::from_utf8(table).expect("text");
        assert!(table.contains("Total count"), "{table}");
    }
}

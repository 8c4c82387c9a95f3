//! Several targets in turn, and their figures beside each other. Pure.

use crate::latency::Latency;
use crate::report::Report;
use serde_json::{Value, json};
use std::fmt::Write;

/// What one target showed, turn by turn.
#[derive(Clone, Debug)]
pub struct Column {
    /// As it was called; empty when there is only one.
    pub name: String,
    /// Its URL.
    pub target: String,
    /// One per turn; never empty.
    pub reports: Vec<Report>,
}

/// A figure that targets are compared by.
pub struct Metric {
    /// In the JSON report.
    pub name: &'static str,
    /// For people, with the unit.
    pub title: &'static str,
    /// From one turn; `None` when it was not measured.
    pub of: fn(&Report) -> Option<f64>,
}

/// The figures, the one that depends least on the machine first.
pub const METRICS: [Metric; 6] = [
    Metric {
        name: "cpu_us_per_message",
        title: "Server CPU per received message, µs, less is better",
        of: Report::server_cpu_us,
    },
    Metric {
        name: "received_per_s",
        title: "Received messages a second, more is better",
        of: |report| Some(report.received_per_s()),
    },
    Metric { name: "p50_us", title: "p50, µs, less is better", of: |report| at(report, 0.5) },
    Metric { name: "p99_us", title: "p99, µs, less is better", of: |report| at(report, 0.99) },
    Metric {
        name: "p99_9_us", title: "p99.9, µs, less is better", of: |report| at(report, 0.999)
    },
    Metric {
        name: "rss_mib",
        title: "Server memory, MiB, less is better",
        of: |report| Some(report.server?.rss_bytes as f64 / f64::from(1 << 20)),
    },
];

fn at(report: &Report, fraction: f64) -> Option<f64> {
    let latency = report.latency("").filter(|latency| !latency.histogram.is_empty())?;
    Some(latency.quantile(fraction) as f64 / 1e3)
}

/// The middle of several values, and how far they lie apart.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spread {
    /// Half of them are below.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[half - 1], values[half]),
            _ => values[half],
        };
        Some(Self { median, min, max })
    }

    fn json(self) -> Value {
        json!({"median": self.median, "min": self.min, "max": self.max})
    }
}

impl Column {
    /// A figure over all turns.
    pub fn spread(&self, metric: &Metric) -> Option<Spread> {
        Spread::of(self.reports.iter().filter_map(metric.of).collect())
    }

    /// A figure as a multiple of another target's, compared turn by turn: what disturbed the
    /// machine in one turn is in both.
    pub fn ratio(&self, base: &Self, metric: &Metric) -> Option<Spread> {
        let turns = self.reports.iter().zip(&base.reports);
        let ratios = turns.filter_map(|(own, base)| Some((metric.of)(own)? / (metric.of)(base)?));
        Spread::of(ratios.filter(|ratio| ratio.is_finite()).collect())
    }

    /// The latencies of all turns together.
    pub fn latencies(&self) -> Vec<Latency> {
        let mut reports = self.reports.iter();
        let Some(first) = reports.next() else { return Vec::new() };
        let mut all = first.outcome.latencies.clone();
        for report in reports {
            for (own, more) in all.iter_mut().zip(&report.outcome.latencies) {
                own.merge(more);
            }
        }
        all
    }

    /// Whether a turn failed.
    pub fn failed(&self) -> bool {
        self.reports.iter().any(|report| report.exit_code() != 0)
    }
}

/// A number with three digits that matter.
pub fn three(value: f64) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// The comparison for people: what failed first, then each figure with its spread and its ratio to
/// the first target.
pub fn text(columns: &[Column]) -> String {
    let mut out = String::new();
    let mut line = |text: String| writeln!(out, "{text}").expect("memory takes it");
    for column in columns {
        for (turn, report) in column.reports.iter().enumerate() {
            if report.exit_code() != 0 {
                let faults = report.faults();
                line(format!("{} in turn {}:\n{}", column.name, turn + 1, faults.trim_end()));
            }
        }
    }
    let (base, report) = (&columns[0], &columns[0].reports[0]);
    let (turns, seconds) = (base.reports.len(), report.duration.as_secs_f64());
    let scenario = report.scenario;
    line(format!(
        "Compared   {scenario}: {turns} turns of {seconds:.1} s each, one target after the other"
    ));
    line(format!("           {}", report.description));
    let width = columns.iter().map(|column| column.name.len()).max().unwrap_or(0);
    for metric in &METRICS {
        let rows: Vec<_> = columns.iter().map(|column| (column, column.spread(metric))).collect();
        if rows.iter().all(|(_, spread)| spread.is_none()) {
            continue;
        }
        line(format!("\n{}", metric.title));
        for (column, spread) in rows {
            let name = &column.name;
            let Some(Spread { median, min, max }) = spread else {
                line(format!("  {name:<width$}  not measured"));
                continue;
            };
            let range = format!("({} to {})", three(min), three(max));
            let mut row = format!("  {name:<width$}  {:>9}  {range:<22}", three(median));
            if let Some(ratio) = column.ratio(base, metric).filter(|_| column.name != base.name) {
                let (least, most) = (three(ratio.min), three(ratio.max));
                let times = format!("{} × {}", three(ratio.median), base.name);
                write!(row, "  {times} ({least} to {most})").expect("memory takes it");
            }
            line(row.trim_end().to_string());
        }
    }
    for column in columns {
        if let Some(warning) = column.reports.iter().flat_map(Report::warnings).next() {
            line(format!("\n{}: {}", column.name, warning.trim_end()));
        }
    }
    out
}

/// The comparison for scripts: one object, with every run's own report in it.
pub fn json(columns: &[Column]) -> Value {
    let base = &columns[0];
    let target = |column: &Column| {
        let mut object = json!({
            "name": column.name,
            "target": column.target,
            "ok": !column.failed(),
            "turns": column.reports.iter().map(Report::json).collect::<Vec<_>>(),
        });
        for metric in &METRICS {
            let Some(spread) = column.spread(metric) else { continue };
            let mut told = spread.json();
            if let Some(ratio) = column.ratio(base, metric) {
                told["ratio_to_first"] = ratio.json();
            }
            object[metric.name] = told;
        }
        object
    };
    json!({
        "scenario": base.reports[0].scenario,
        "description": base.reports[0].description,
        "ok": !columns.iter().any(Column::failed),
        "targets": columns.iter().map(target).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{good, report};
    use std::time::Duration;

    fn column(name: &str, cpu_ms: &[u64]) -> Column {
        let reports = cpu_ms.iter().map(|ms| {
            let mut report = report(good());
            report.client_cpu = Duration::ZERO;
            report.server.as_mut().expect("given").cpu = Duration::from_millis(*ms);
            report
        });
        Column { name: name.into(), target: "ws://x".into(), reports: reports.collect() }
    }

    #[test]
    fn spreads() {
        let check = |values: &[f64], median: f64| {
            assert_eq!(Spread::of(values.to_vec()).expect("some").median, median, "{values:?}");
        };
        check(&[3.0], 3.0);
        check(&[4.0, 1.0], 2.5);
        check(&[9.0, 1.0, 2.0], 2.0);
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn ratios_are_those_of_the_same_turn() {
        let columns = [column("ours", &[2, 4, 8]), column("theirs", &[3, 8, 8])];
        let text = text(&columns);
        let want = "\
Compared   echo: 3 turns of 2.0 s each, one target after the other
           2 connections

Server CPU per received message, µs, less is better
  ours         2.00  (1.00 to 4.00)
  theirs       4.00  (1.50 to 4.00)          1.50 × ours (1.00 to 2.00)
";
        assert!(text.starts_with(want), "{text}");
        let json = json(&columns);
        assert_eq!(json["ok"], true);
        assert_eq!(json["targets"][1]["cpu_us_per_message"]["ratio_to_first"]["median"], 1.5);
        assert_eq!(json["targets"][1]["turns"][0]["delivered"], 10);
        assert_eq!(columns[0].latencies()[0].histogram.len(), 3);
    }

    #[test]
    fn a_failure_comes_first() {
        let mut columns = [column("ours", &[2, 4]), column("theirs", &[3, 8])];
        columns[1].reports[1].outcome.delivered -= 1;
        let text = text(&columns);
        assert!(text.starts_with("theirs in turn 2:\nFAILED     1 missing"), "{text}");
        assert_eq!(json(&columns)["ok"], false);
        assert_eq!(json(&columns)["targets"][0]["ok"], true);
    }
}

//! `latency`: what the server measured of itself, over time.

use super::bucket::Bucket;
use super::engine::View;
use super::filter::Filter;
use super::render::{Cell, Column};
use super::{Found, Job, Report, ScanError};
use crate::log::record::RecordView;
use crate::log::sidecar::TableKind;
use crate::metrics::Buckets;
use clap::{Arg, Command};
use std::collections::BTreeMap;

pub(super) const REPORT: Report = Report {
    name: "latency",
    about: "Shows the server's own latencies over time",
    filtered: true,
    options,
    run,
};

const COLUMNS: &[Column] = &[
    Column { name: "time", width: 16 },
    Column { name: "metric", width: 17 },
    Column { name: "count", width: 0 },
    Column { name: "p50_us", width: 0 },
    Column { name: "p95_us", width: 0 },
    Column { name: "p99_us", width: 0 },
    Column { name: "max_us", width: 0 },
    Column { name: "", width: 0 },
];

/// Gathered bytes that are added up, so that a year of minutes fits in memory.
const GATHERED_MAX: usize = 8 * 1_024;

/// Values of one metric, as metric records hold them.
#[derive(Clone, Debug, Default)]
pub(super) struct Gathered {
    bytes: Vec<u8>,
    sum: u64,
    max: u64,
}

impl Gathered {
    fn add(&mut self, other: &Self) {
        self.bytes.extend_from_slice(&other.bytes);
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
        if self.bytes.len() > GATHERED_MAX {
            let buckets = self.buckets();
            self.bytes.clear();
            buckets.encode(&mut self.bytes);
        }
    }

    pub(super) fn buckets(&self) -> Buckets {
        let mut buckets = Buckets::default();
        buckets.merge_encoded(&self.bytes, self.sum, self.max);
        buckets
    }
}

/// Values by metric and piece of time.
pub(super) type Latencies = BTreeMap<(i64, String), Gathered>;

/// Adds up the metric records that the filters let through. A record belongs to the piece of time
/// in which its while ended.
pub(super) fn latencies(job: &Job<'_>, filter: &Filter, bucket: Bucket) -> Latencies {
    let clock = job.zone.clock();
    let mut all = Latencies::new();
    job.scan.run(filter, metrics, |part| {
        for (ts_us, name, values) in part {
            let number = bucket.of(clock.wall_us(ts_us));
            all.entry((number, name)).or_default().add(&values);
        }
    });
    all
}

/// The metric records of a segment.
fn metrics(view: &View<'_>) -> Vec<(i64, String, Gathered)> {
    let table = view.table(TableKind::Metrics);
    if table.len() == 0 {
        return Vec::new();
    }
    let offs = table.offs();
    let read = |row: usize| match view.record(offs[row].to_native()) {
        Some((_, RecordView::Metric(metric))) => {
            let (sum, max) = (metric.sum.to_native(), metric.max.to_native());
            let values = Gathered { bytes: metric.buckets.to_vec(), sum, max };
            Some((metric.ts_us.to_native(), metric.name.to_string(), values))
        }
        _ => None,
    };
    table.rows().filter_map(read).collect()
}

fn options(command: Command) -> Command {
    let metric = Arg::new("metric").long("metric").value_name("NAME").help("Only this metric");
    command.arg(Bucket::argument(Bucket::Hour)).arg(metric)
}

fn run(job: &mut Job<'_>) -> Result<Found, ScanError> {
    let bucket = Bucket::parse(job.matches);
    let mut all = latencies(job, &job.filter, bucket);
    if let Some(metric) = job.matches.get_one::<String>("metric") {
        all.retain(|(_, name), _| name == metric);
    }
    let mut slowest: BTreeMap<&str, u64> = BTreeMap::new();
    for ((_, name), values) in &all {
        let slow = slowest.entry(name).or_default();
        *slow = (*slow).max(values.buckets().percentile(0.99));
    }
    let mut rows = job.rows(COLUMNS)?;
    for ((number, name), values) in &all {
        let buckets = values.buckets();
        let p99 = buckets.percentile(0.99);
        rows.row(&[
            Cell::Text(bucket.label(*number)),
            name.as_str().into(),
            Cell::Count(buckets.count()),
            Cell::Count(buckets.percentile(0.5)),
            Cell::Count(buckets.percentile(0.95)),
            Cell::Count(p99),
            Cell::Count(buckets.max()),
            Cell::Bar(p99 as f64 / slowest[name.as_str()].max(1) as f64),
        ])?;
    }
    Ok(if rows.end()? > 0 { Found::Something } else { Found::Nothing })
}

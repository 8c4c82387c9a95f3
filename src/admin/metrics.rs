//! `/metrics`, in the text format of Prometheus 0.0.4: one table, from which page and documents are
//! made.

use crate::metrics::{Buckets, Histograms, INTAKE, Metric};
use std::fmt::Write as _;
use std::ops::Deref;

/// What the node knows of itself beside its latencies.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Every shard turns.
    pub is_healthy: bool,
    /// Open connections.
    pub connection_count: u64,
    /// Times that a shard slept for too long and was woken by force.
    pub rescue_count: u64,
    /// The log takes records.
    pub log_takes_records: bool,
    /// Records written since the start.
    pub log_record_count: u64,
    /// Bytes written since the start.
    pub log_written_bytes: u64,
    /// Syncs since the start.
    pub log_sync_count: u64,
    /// Segments begun since the start.
    pub log_segment_count: u64,
    /// Segments given up for a failed write or sync since the start.
    pub log_segment_failure_count: u64,
    /// Messages that wait for the platform or are being called.
    pub outbox_queued: u64,
    /// Calls under way.
    pub outbox_calls: u64,
    /// Numbers that send nothing until somebody mends what is wrong.
    pub outbox_stopped_numbers: u64,
    /// The platform does not answer.
    pub outbox_platform_down: bool,
    /// Messages that the platform took since the start.
    pub outbox_accepted: u64,
    /// Messages given up since the start.
    pub outbox_failed: u64,
    /// Messages of unknown outcome since the start.
    pub outbox_unknown: u64,
    /// Attempts that were repeated since the start.
    pub outbox_retried: u64,
}

/// How a subscription stands.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionReading {
    /// Its name, of letters, digits, `-` and `_`.
    pub name: String,
    /// It is told what happens, and its receiver takes it.
    pub is_up: bool,
    /// Records of the log that it was not told of yet.
    pub lag_records: u64,
    /// Age of the oldest event that it was not told of yet.
    pub lag_ms: u64,
    /// Events taken since the start.
    pub event_count: u64,
    /// Posts that failed since the start.
    pub failure_count: u64,
    /// Dead letters.
    pub dead_count: u64,
}

/// One number of each subscription: name, `gauge` or `counter`, help, value.
type Labelled = (&'static str, &'static str, &'static str, fn(&SubscriptionReading) -> f64);

const SUBSCRIPTION_NUMBERS: [Labelled; 6] = [
    ("up", "gauge", "1 while its receiver takes what it is told", |it| it.is_up.into()),
    ("lag_records", "gauge", "records of the log that it was not told of yet", |it| {
        it.lag_records as f64
    }),
    ("lag_seconds", "gauge", "age of the oldest event that it was not told of yet", |it| {
        it.lag_ms as f64 / 1e3
    }),
    ("events_total", "counter", "events that its receiver took", |it| it.event_count as f64),
    ("failures_total", "counter", "posts that failed", |it| it.failure_count as f64),
    ("dead_letters", "gauge", "batches that were given up and wait for a replay", |it| {
        it.dead_count as f64
    }),
];

/// What a handler did since the start.
#[derive(Clone, Debug, Default)]
pub struct HandlerReading {
    /// Its name, of letters, digits, `-` and `_`.
    pub name: String,
    /// Times that it did something.
    pub fired: u64,
    /// Times that limits kept it from that.
    pub limited: u64,
    /// Calls that were answered or failed.
    pub calls: u64,
    /// How long these took together.
    pub calls_ms: u64,
    /// Actions and calls that failed.
    pub failed: u64,
}

/// One number of each handler: name, help, value. All are counters.
type OfHandler = (&'static str, &'static str, fn(&HandlerReading) -> f64);

const HANDLER_NUMBERS: [OfHandler; 5] = [
    ("fired_total", "times that it did something", |it| it.fired as f64),
    ("limited_total", "times that limits kept it from that", |it| it.limited as f64),
    ("calls_total", "calls that were answered or failed", |it| it.calls as f64),
    ("call_seconds_total", "how long these took together", |it| it.calls_ms as f64 / 1e3),
    ("failed_total", "actions and calls that failed", |it| it.failed as f64),
];

/// One number of the page.
struct Number {
    name: &'static str,
    /// `gauge` or `counter`.
    kind: &'static str,
    help: &'static str,
    of: fn(&Reading) -> u64,
}

/// Updates of the platform, with the webhook's field as label `field`.
const UPDATES: (&str, &str) = (
    "ringpost_whatsapp_updates_total",
    "messages, statuses and other items of webhooks, by `field`",
);

const NUMBERS: [Number; 18] = [
    Number {
        name: "ringpost_healthy",
        kind: "gauge",
        help: "1 while every shard turns",
        of: |reading| reading.is_healthy.into(),
    },
    Number {
        name: "ringpost_connections",
        kind: "gauge",
        help: "open connections",
        of: |reading| reading.connection_count,
    },
    Number {
        name: "ringpost_shard_rescues_total",
        kind: "counter",
        help: "times that a shard slept for too long and was woken by force; tell us if it rises",
        of: |reading| reading.rescue_count,
    },
    Number {
        name: "ringpost_log_takes_records",
        kind: "gauge",
        help: "1 while the log takes records; 0 when it is full or has failed",
        of: |reading| reading.log_takes_records.into(),
    },
    Number {
        name: "ringpost_log_records_total",
        kind: "counter",
        help: "records written to the log",
        of: |reading| reading.log_record_count,
    },
    Number {
        name: "ringpost_log_written_bytes_total",
        kind: "counter",
        help: "bytes written to the log",
        of: |reading| reading.log_written_bytes,
    },
    Number {
        name: "ringpost_log_syncs_total",
        kind: "counter",
        help: "syncs of the log",
        of: |reading| reading.log_sync_count,
    },
    Number {
        name: "ringpost_log_segments_total",
        kind: "counter",
        help: "segments of the log begun",
        of: |reading| reading.log_segment_count,
    },
    Number {
        name: "ringpost_log_segment_failures_total",
        kind: "counter",
        help: "segments given up for a failed write or sync",
        of: |reading| reading.log_segment_failure_count,
    },
    Number {
        name: "ringpost_outbox_queued",
        kind: "gauge",
        help: "messages to WhatsApp that wait or are being called",
        of: |reading| reading.outbox_queued,
    },
    Number {
        name: "ringpost_outbox_calls",
        kind: "gauge",
        help: "calls to the Graph API under way",
        of: |reading| reading.outbox_calls,
    },
    Number {
        name: "ringpost_outbox_stopped_numbers",
        kind: "gauge",
        help: "numbers that send nothing until somebody mends what is wrong",
        of: |reading| reading.outbox_stopped_numbers,
    },
    Number {
        name: "ringpost_outbox_platform_down",
        kind: "gauge",
        help: "1 while the Graph API does not answer",
        of: |reading| reading.outbox_platform_down.into(),
    },
    Number {
        name: "ringpost_outbox_accepted_total",
        kind: "counter",
        help: "messages that WhatsApp took",
        of: |reading| reading.outbox_accepted,
    },
    Number {
        name: "ringpost_outbox_failed_total",
        kind: "counter",
        help: "messages to WhatsApp given up",
        of: |reading| reading.outbox_failed,
    },
    Number {
        name: "ringpost_outbox_unknown_total",
        kind: "counter",
        help: "messages to WhatsApp of unknown outcome",
        of: |reading| reading.outbox_unknown,
    },
    Number {
        name: "ringpost_outbox_retried_total",
        kind: "counter",
        help: "attempts at a message to WhatsApp that were repeated",
        of: |reading| reading.outbox_retried,
    },
    Number {
        name: "ringpost_whatsapp_refused_total",
        kind: "counter",
        help: "webhooks without a signature of the app, answered with 401",
        of: |_| INTAKE.refused(),
    },
];

/// Upper ends of the buckets of a latency on the page: µs, and the same in seconds as text.
const LIMITS: [(u64, &str); 15] = [
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (10_000_000, "10"),
];

/// The page: the numbers, then the latencies of each shard, in the order of the shards.
pub fn metrics_page<T: Deref<Target = Histograms>>(
    reading: &Reading,
    subscriptions: &[SubscriptionReading],
    handlers: &[HandlerReading],
    shards: impl Iterator<Item = T>,
) -> String {
    let mut page = String::new();
    for Number { name, kind, help, of } in NUMBERS {
        let value = of(reading);
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
    let (name, help) = UPDATES;
    let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} counter");
    for (field, count) in INTAKE.updates() {
        let _ = writeln!(page, "{name}{{field=\"{field}\"}} {count}");
    }
    for (name, kind, help, of) in SUBSCRIPTION_NUMBERS {
        let name = format!("ringpost_subscription_{name}");
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for it in subscriptions {
            let _ = writeln!(page, "{name}{{subscription=\"{}\"}} {}", it.name, of(it));
        }
    }
    for (name, help, of) in HANDLER_NUMBERS {
        let name = format!("ringpost_handler_{name}");
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} counter");
        for it in handlers {
            let _ = writeln!(page, "{name}{{handler=\"{}\"}} {}", it.name, of(it));
        }
    }
    // Copies, so that no shard finds its own locked for longer than that takes.
    let shards: Vec<Histograms> = shards.map(|totals| totals.clone()).collect();
    for metric in Metric::ALL {
        let (name, help) = (series(metric), metric.describe().1);
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} histogram");
        for (shard, histograms) in shards.iter().enumerate() {
            write_histogram(&mut page, &name, shard, histograms.of(metric));
        }
    }
    page
}

fn series(metric: Metric) -> String {
    format!("ringpost_{}_seconds", metric.name())
}

fn write_histogram(page: &mut String, name: &str, shard: usize, buckets: &Buckets) {
    let count = buckets.count();
    for (limit_us, limit) in LIMITS {
        let within = buckets.count_up_to(limit_us);
        let _ = writeln!(page, "{name}_bucket{{shard=\"{shard}\",le=\"{limit}\"}} {within}");
    }
    let _ = writeln!(page, "{name}_bucket{{shard=\"{shard}\",le=\"+Inf\"}} {count}");
    let sum_s = buckets.sum() as f64 / 1e6;
    let _ = writeln!(page, "{name}_sum{{shard=\"{shard}\"}} {sum_s}");
    let _ = writeln!(page, "{name}_count{{shard=\"{shard}\"}} {count}");
}

/// The table of the manual, Markdown.
pub fn metrics_table() -> String {
    let mut text = String::from("| metric | type | meaning |\n| --- | --- | --- |\n");
    for Number { name, kind, help, .. } in NUMBERS {
        let _ = writeln!(text, "| `{name}` | {kind} | {help} |");
    }
    let (name, help) = UPDATES;
    let _ = writeln!(text, "| `{name}` | counter | {help} |");
    for (name, kind, help, _) in SUBSCRIPTION_NUMBERS {
        let name = format!("ringpost_subscription_{name}{{subscription}}");
        let _ = writeln!(text, "| `{name}` | {kind} | {help} |");
    }
    for (name, help, _) in HANDLER_NUMBERS {
        let name = format!("ringpost_handler_{name}{{handler}}");
        let _ = writeln!(text, "| `{name}` | counter | {help} |");
    }
    for metric in Metric::ALL {
        let (name, help) = (series(metric), metric.describe().1);
        let _ = writeln!(text, "| `{name}` | histogram | {help} |");
    }
    text
}

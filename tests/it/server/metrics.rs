//! The server's own latencies in its log.

use super::client::Client;
use super::history::fill;
use super::process::{Plan, Server};
use super::raw::{exchange, get};
use super::webhook;
use ringpost::log::record::RecordView;
use ringpost::log::{Log, Trust};
use ringpost::metrics::{Buckets, Metric};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Per metric: its values over all shards and whiles, and their exact number and sum.
fn logged(data: &Path) -> BTreeMap<String, (Buckets, u64, u64)> {
    let log = Log::open(&data.join("log"), Trust::Checksum).expect("a log");
    let mut found: BTreeMap<String, (Buckets, u64, u64)> = BTreeMap::new();
    for entry in log.entries() {
        let Some(RecordView::Metric(metric)) = entry.view() else { continue };
        assert!((1..100_000_000).contains(&metric.span_us.to_native()), "{}", metric.span_us);
        let all = found.entry((*metric.name).to_owned()).or_default();
        let (sum, max) = (metric.sum.to_native(), metric.max.to_native());
        all.0.merge_encoded(&metric.buckets, sum, max);
        all.1 += metric.count.to_native();
        all.2 += sum;
    }
    found
}

#[test]
fn what_was_done_is_in_the_log_with_how_long_it_took() {
    let mut server = webhook::plan().unlimited().shards(2).set("metrics.log_every_s", "1").start();
    let room = json!({"user": "alice", "echo": false, "rooms": {"room": {}}});
    let mut alice = Client::greet(&server, room);
    let mut bob = Client::member(&server, "bob", "room");
    // More than memory keeps, so that a page is cold; and over a second, so that two records of
    // one metric must be added up.
    fill(&mut alice, "room", 1, 600, 10);
    bob.take(600);
    std::thread::sleep(Duration::from_millis(1_200));
    fill(&mut alice, "room", 601, 700, 10);
    bob.take(100);
    bob.granted("history", "room", json!({"before": 20, "limit": 10}));
    assert_eq!(webhook::post(&server, "01_text.json").status, 200);
    check_page(&server);
    alice.close();
    bob.close();
    assert_eq!(server.terminate(), 0);
    let metrics = logged(server.data());
    let check = |metric: Metric, least: u64, most: u64| {
        let (buckets, count, sum) = &metrics[metric.name()];
        assert!((least..=most).contains(count), "{metric:?}: {count}");
        assert_eq!((buckets.count(), buckets.sum()), (*count, *sum), "{metric:?}");
        assert!(buckets.percentile(0.5) <= buckets.max());
        assert!(buckets.max() < 20_000_000, "{metric:?}: {buckets:?}");
    };
    check(Metric::SendToAck, 700, 700);
    check(Metric::Deliver, 700, 3_000);
    check(Metric::AppendToDurable, 700, 3_000);
    check(Metric::Turn, 10, 100_000);
    check(Metric::Intake, 1, 1);
    check(Metric::HistoryCold, 1, 10);
}

#[test]
fn a_server_that_is_told_not_to_logs_nothing_about_itself() {
    let mut server = webhook::plan().set("metrics.log_every_s", "0").start();
    let mut alice = Client::member(&server, "alice", "room");
    alice.send("room", "1", "hi");
    alice.close();
    assert_eq!(server.terminate(), 0);
    assert!(logged(server.data()).is_empty());
}

/// Every sample belongs to a series that was announced, and buckets of a histogram add up.
fn check_page(server: &Server) {
    std::thread::sleep(Duration::from_millis(1_200));
    let response = get(server, "/metrics");
    let page = response.text();
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    let mut within: f64 = 0.0;
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').expect("a name and a value");
        let name = series.split('{').next().expect("a name");
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let base = base.unwrap_or(name);
        assert!(page.contains(&format!("# TYPE {base} ")), "{line}");
        let value: f64 = value.parse().expect("a number");
        if name.ends_with("_bucket") {
            assert!(value >= within, "{line}");
            within = if series.contains("+Inf") { 0.0 } else { value };
        }
        *sums.entry(name).or_default() += value;
    }
    assert_eq!(sums["ringpost_send_to_ack_seconds_count"], 700.0);
    assert_eq!(sums["ringpost_intake_seconds_count"], 1.0);
    assert!(sums["ringpost_send_to_ack_seconds_sum"] > 0.0);
    assert!(sums["ringpost_log_records_total"] > 700.0);
    assert_eq!((sums["ringpost_healthy"], sums["ringpost_log_takes_records"]), (1.0, 1.0));
}

#[test]
fn metrics_are_shown_to_those_they_are_meant_for() {
    let secret = "a secret of more than thirty-two bytes";
    let server = Plan::new().with_tokens(secret).start();
    assert_eq!(get(&server, "/metrics").status, 404);
    let server = Plan::new().with_tokens(secret).set("metrics.endpoint", "true").start();
    assert_eq!(get(&server, "/metrics").status, 200);
    assert_eq!(exchange(&server, "POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n").status, 405);
}

//! What the server measures about itself, as its own records say it.

use super::dice::Dice;
use super::story::Sink;
use ringpost::log::record::{MetricV1, NameId};
use ringpost::metrics::{Buckets, Metric};

/// The usual value of each metric, microseconds.
fn median_us(metric: Metric) -> f64 {
    match metric {
        Metric::SendToAck => 1_400.0,
        Metric::AppendToDurable => 900.0,
        Metric::Turn => 35.0,
        Metric::Deliver => 60.0,
        Metric::Intake => 1_800.0,
        Metric::HistoryCold => 2_500.0,
    }
}

/// Writes one shard's measurements of a while.
pub fn append<S: Sink>(
    sink: &mut S,
    dice: &mut Dice,
    shard: usize,
    at_us: i64,
    span_us: u64,
) -> Result<(), String> {
    // Some whiles are slower than others.
    let slow = dice.skewed(1.0, 0.3);
    let mut encoded = Vec::new();
    for metric in Metric::ALL {
        let mut buckets = Buckets::default();
        for _ in 0..20 + dice.below(400) {
            buckets.record(dice.skewed(median_us(metric) * slow, 0.8) as u64);
        }
        encoded.clear();
        buckets.encode(&mut encoded);
        let record = MetricV1 {
            ts_us: at_us,
            span_us,
            count: buckets.count(),
            sum: buckets.sum(),
            max: buckets.max(),
            name: metric.name(),
            buckets: &encoded,
            shard: shard as u16,
        };
        sink.append(shard, (NameId::NONE, NameId::NONE), &record)?;
    }
    Ok(())
}

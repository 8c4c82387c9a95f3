//! What the loop measures about itself, and how that gets into the log.
//!
//! While a turn runs, waits that end with it are only noted; one more look at the clock at its end
//! serves them all. A wait therefore lasts until its bytes are queued and given to the kernel.

use super::turn::Shard;
use crate::base::hash::Map;
use crate::chat::hub::LOG_RESERVE_BYTES;
use crate::log::record::{MetricV1, NameId};
use crate::metrics::{BUCKET_COUNT, Metric, Recorder};
use std::collections::BTreeSet;

/// A metric record at its largest: its histogram, and a KiB for all the rest.
const METRIC_RECORD_BYTES_MAX: usize = BUCKET_COUNT * 6 + 1_024;
const _: () = assert!(METRIC_RECORD_BYTES_MAX <= crate::base::limits::RECORD_BYTES_MAX);

/// What a shard has measured and not yet logged.
#[derive(Debug)]
pub struct Meter {
    recorder: Recorder,
    /// Waits that end with this turn, and when they began.
    ending: Vec<(Metric, u64)>,
    /// When this turn began; `None` between turns.
    turn_began_us: Option<u64>,
    /// This turn has done something.
    busy: bool,
    /// When each open question to the archive was asked.
    asked: Map<u64, u64>,
    /// The second in which totals were last brought up to date.
    settled_s: u64,
    encoded: Vec<u8>,
}

impl Meter {
    pub(super) fn new(now_us: u64) -> Self {
        Self {
            recorder: Recorder::new(now_us),
            ending: Vec::new(),
            turn_began_us: None,
            busy: false,
            asked: Map::default(),
            settled_s: 0,
            encoded: Vec::new(),
        }
    }

    /// The clock was read, for a new turn or for more of the present one.
    pub(super) fn begin_turn(&mut self, now_us: u64) {
        self.turn_began_us.get_or_insert(now_us);
    }

    /// There is something to do in this turn.
    pub(super) fn be_busy(&mut self) {
        self.busy = true;
    }

    /// Whether there was, so far.
    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// Something waited from then to the end of this turn.
    pub(super) fn note(&mut self, metric: Metric, since_us: u64) {
        self.ending.push((metric, since_us));
    }

    /// Something took this long.
    pub(super) fn record(&mut self, metric: Metric, value_us: u64) {
        self.recorder.record(metric, value_us);
    }

    /// The archive was asked.
    pub(super) fn asked(&mut self, ticket: u64, now_us: u64) {
        self.asked.insert(ticket, now_us);
    }

    /// The archive has answered.
    pub(super) fn answered(&mut self, ticket: u64, now_us: u64) {
        if let Some(asked_us) = self.asked.remove(&ticket) {
            self.record(Metric::HistoryCold, now_us.saturating_sub(asked_us));
        }
    }
}

impl Shard {
    /// The turn is over and its bytes are with the kernel.
    pub(super) fn measure_turn(&mut self) {
        let meter = &mut self.meter;
        let began_us = meter.turn_began_us.take().unwrap_or(self.now.mono_us);
        if !std::mem::take(&mut meter.busy) && meter.ending.is_empty() {
            return;
        }
        let now_us = self.world.clock.mono_us();
        meter.recorder.record(Metric::Turn, now_us.saturating_sub(began_us));
        for (metric, since_us) in meter.ending.drain(..) {
            meter.recorder.record(metric, now_us.saturating_sub(since_us));
        }
    }

    /// Once a second shows what was measured to `/metrics`, and logs it when a while is over. A
    /// log that is nearly full is left to records that cannot wait: then the while goes on, and its
    /// record will say how long it was.
    pub(super) fn tend_metrics(&mut self) {
        let now_s = self.now.mono_us / 1_000_000;
        if self.meter.settled_s == now_s {
            return;
        }
        self.meter.settled_s = now_s;
        self.settle_metrics();
        self.tell_handler_counts();
        let every_us = self.world.config.metrics.log_every_s * 1_000_000;
        if every_us > 0 && self.meter.recorder.span_us(self.now.mono_us) >= every_us {
            self.log_metrics();
        }
    }

    fn settle_metrics(&mut self) {
        // Somebody is reading them now: the next second will do, and a shard waits for nobody.
        if let Ok(mut totals) = self.world.totals[usize::from(self.id.0)].try_lock() {
            self.meter.recorder.settle(&mut totals);
        }
    }

    /// Leaves what handlers did here for those who ask.
    fn tell_handler_counts(&mut self) {
        let Ok(mut told) = self.world.handler_counts[usize::from(self.id.0)].try_lock() else {
            return;
        };
        let mut known = 0;
        for (name, counts) in self.hub.handler_counts() {
            known += 1;
            match told.get_mut(name) {
                Some(told) if told == counts => {}
                Some(told) => told.clone_from(counts),
                None => drop(told.insert(name.into(), counts.clone())),
            }
        }
        if told.len() > known {
            let names: BTreeSet<_> = self.hub.handler_counts().map(|(name, _)| name).collect();
            told.retain(|name, _| names.contains(&**name));
        }
    }

    /// The last while ends with the shard.
    pub(super) fn end_metrics(&mut self) {
        self.settle_metrics();
        self.log_metrics();
        self.producer.wake();
    }

    /// Logs what was measured since the last time. Nothing, when it is switched off.
    fn log_metrics(&mut self) {
        let room = LOG_RESERVE_BYTES + Metric::ALL.len() * METRIC_RECORD_BYTES_MAX;
        let is_off = self.world.config.metrics.log_every_s == 0;
        if is_off || !self.unlogged.is_empty() || self.producer.free_bytes() < room {
            return;
        }
        let meter = &mut self.meter;
        for metric in Metric::ALL {
            let buckets = meter.recorder.settled(metric);
            if buckets.count() == 0 {
                continue;
            }
            meter.encoded.clear();
            buckets.encode(&mut meter.encoded);
            let record = MetricV1 {
                ts_us: self.now.wall_us,
                span_us: meter.recorder.span_us(self.now.mono_us),
                count: buckets.count(),
                sum: buckets.sum(),
                max: buckets.max(),
                name: metric.name(),
                buckets: &meter.encoded,
                shard: self.id.0,
            };
            // Room was looked for above; a log that has failed since takes nothing of anyone.
            let _ = self.producer.append(NameId::NONE, NameId::NONE, &record);
        }
        meter.recorder.begin(self.now.mono_us);
    }
}

//! What a shard measures about itself: histograms of latencies, and the one list of what there is.
//!
//! ```text
//!  the loop ─ Recorder::record ─▶ Buckets ─ each minute ─▶ a metric record of the log, then empty
//!                                         └ once a second ─▶ totals, for `/metrics`
//! ```
//!
//! **Never:** a clock, a lock, an allocation while recording.

mod buckets;

mod intake;

mod metric;

mod recorder;

pub use buckets::{BUCKET_COUNT, Buckets, bounds, index_of};
pub use intake::{INTAKE, Intake};
pub use metric::Metric;
pub use recorder::{Histograms, Recorder};

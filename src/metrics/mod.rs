//! Counters and latency histograms of the running server, and their snapshots.

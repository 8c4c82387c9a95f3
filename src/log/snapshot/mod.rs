//! Snapshots: the records of the log that still matter, so that a start does not read all of it.
//!
//! ```text
//!  log:       | seg 0 | seg 1 | seg 2 | seg 3 | seg 4 (open) |
//!              ╰── fold ──╯
//!  snapshot:  <base of seg 2>.snap                             start reads: snapshot, 2, 3, 4
//!              ╰────── fold with seg 2, 3 ──────╮
//!             <base of seg 4>.snap  <───────────╯              start reads: snapshot, 4
//! ```
//!
//! A snapshot is a file in the format of a segment, and its records are records of the log: the
//! newest for each key of [`rules`]. Two kinds exist only here: a run (the positions that a room
//! had in an epoch) and something seen (that must not be taken twice). It is written on the seal
//! thread from the snapshot before it and the segments behind that, both in order of key, so it
//! takes memory for what is new and not for what is.
//!
//! It is derived: without it, or when it is damaged, a start reads the older one, or the whole log.
//! Only where retention has unlinked segments is it the only one that knows what they said.

mod file;
mod fold;
mod job;
mod rules;

#[cfg(test)]
mod tests;

pub use file::{Snapshot, covered_seq, list};
pub use fold::{FoldOptions, Folded, fold};
pub use job::FoldJob;
pub use rules::Print;

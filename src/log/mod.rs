//! The append-only log: its format, ring, writer thread, recovery and memory-mapped readers.
//!
//! ```text
//!  shard k ── Producer ──▶ ring k ──┐                       ┌─▶ fdatasync ─▶ durable
//!                                   ├─▶ log thread ─ pwrite ─┴─▶ committed
//!  shard m ── Producer ──▶ ring m ──┘       │
//!                                           ▼
//!                        <data>/log/<base_seq>.seg ◀── Log, Archive, scan (read-only maps)
//! ```
//!
//! A shard serialises a record straight into memory that no file backs; one thread frames what all
//! shards appended into checksummed batches and writes them. So a shard never takes a page fault,
//! never waits for a disk and never meets SIGBUS, and one sync serves every shard.
//!
//! `docs/LOG_FORMAT.md` draws the bytes. [`batch`], [`recovery`] and [`format`] are pure, so that a
//! simulator can put a failing disk under them.
//!
//! **Never:** a write to a mapped page; a file that shrinks; a retry of a failed sync; an ack of a
//! record that is not where its policy says; a record whose meaning changes (a new version gets a
//! new type).

pub mod record;

pub mod format;

pub mod batch;

pub mod recovery;

pub mod directory;

mod names;

pub mod reader;

pub mod sidecar;

pub mod catalog;

pub mod archive;

pub mod snapshot;

pub mod recovered;

pub mod heap;

mod ring;

mod prompt;
pub use prompt::be_prompt;

pub mod disk;

mod handle;

pub mod ctl;

pub mod producer;

mod segment;

mod spare;

pub mod sealer;

pub mod writer;

pub mod rewrite;

pub mod erase;

pub mod retention;

#[cfg(test)]
pub(crate) mod scratch;

pub use archive::{Archive, HistoryEvent, Told};
pub use directory::{DataDir, LogError};
pub use producer::{Producer, RingFull};
pub use reader::{Cursor, Entry, Log, RecordPosition, Trust};
pub use record::{Kind, NameId, NameKind, Record, RecordView};
pub use recovered::Recovered;
pub use sealer::{Job, SealContext};
pub use writer::{AckPolicy, LogHandle, LogOptions, LogState, LogWriter};

//! The right to be forgotten: takes what belongs to a subject out of sealed segments, while the
//! server and its readers go on.
//!
//! ```text
//! request ─▶ forget (sessions, rooms, memory) ─▶ seal ─▶ plan ─▶ per file: rewrite, sync, rename
//!         ─▶ tombstone ─▶ the request names nobody any more
//! ```
//!
//! Bodies stay searchable in place for everybody else, which is why they are not encrypted under a
//! key per person. What is rewritten and why it is safe: [`rewrite`](super::rewrite); the steps and
//! their crashes: [`run`].
//!
//! **Not promised:** texts of other people that mention the subject stay. The old file is unlinked,
//! so a file system, a disk or a backup may keep its bytes.

pub mod kin;
pub mod offline;
pub mod plan;
pub mod redact;
pub mod request;
pub mod run;
pub mod target;

#[cfg(test)]
mod tests;

pub use kin::Links;
pub use offline::Offline;
pub use plan::{Finds, Survey};
pub use request::{Request, Stage};
pub use run::{EraseError, Host, Step, carry_out, survey_all};
pub use target::{AgeRule, Target};

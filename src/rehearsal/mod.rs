//! Definitions against their rules and against the past: `ringpost handlers check` and `test`.
//!
//! ```text
//!  files ─▶ definitions ─┬─▶ check: what is wrong, where, and what was meant
//!  log ──────────────────┴─▶ replay: which handler would have fired on what ─▶ report
//! ```
//!
//! A rehearsal reads the log as the scanner does, beside a running server or without one, and
//! performs nothing. What it cannot know it leaves out: what follows a question that nobody was
//! asked, or a call that nobody answered.
//!
//! **Never:** a write, a call, a clock; a control character of a stranger on somebody's terminal.

mod check;
pub use check::check;

mod definitions;
pub use definitions::read;

mod past;

mod replay;
pub use replay::{Options, replay};

mod report;

#[cfg(test)]
mod tests;

/// Everything is good, or something was found.
pub const EXIT_FOUND: u8 = 0;
/// A definition is wrong, or nothing was found.
pub const EXIT_NOT: u8 = 1;
/// What was asked for cannot be read.
pub const EXIT_ERROR: u8 = 2;

//! Those who are told what happens, by signed webhooks.
//!
//! ```text
//! log ─ Source ─▶ select, make events ─▶ Subscriptions ─ Deed::Call ─▶ egress ─▶ receiver
//!                       cursor, dead letters ◀─┘  ▲─────── reply ──────────┘
//! ```
//!
//! A subscription is a cursor in the log and a rule of what it wants. What lies behind the cursor
//! was taken by the receiver, or is a dead letter; what lies before it is still to be told. One
//! batch is under way at a time, so a room's events arrive in the order of its log; subscriptions
//! do not wait for each other. Each event has an `id` that is the same whenever it is told: a
//! receiver that has seen it passes over it.
//!
//! Batches that failed and dead letters are kept as places in the log and never as texts: they are
//! read again when they are told again, so what was erased meanwhile is not told.
//!
//! **Never:** a socket or a file but the log, read-only; a clock (time is an argument); an event
//! that the disk does not have yet.

mod definition;
pub use definition::Spec;

mod event;
pub use event::{ROLES, Wanted};

mod item;
pub use item::{Answer, Item, Question};

mod memory;

mod source;
pub use source::{Found, LogSource, Source};

mod state;
pub use state::{Dead, Deed, File, Standing, Subscriptions};

#[cfg(test)]
mod tests;

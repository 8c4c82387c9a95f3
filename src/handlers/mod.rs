//! Rules of operators: when this happens, do that.
//!
//! ```text
//!  definition (JSON) ─▶ Handler::parse ─▶ Handlers::put
//!                                              │
//!  what happened ─▶ Occasion ─▶ Handlers::consider ─▶ Planned { handler, actions }
//!  answer of a call ─────────▶ Handlers::replied ──▶      〃
//! ```
//!
//! The owner of a room considers each event in its turn, so an event that no handler wants must
//! cost next to nothing: handlers stand in lists by event, in the order in which they are asked,
//! and their cheap conditions come first. What a handler remembers of a room (the question that
//! waits for an answer) is the room's to store: it comes back with the next occasion as the text
//! that [`Action::Step`] gave.
//!
//! Handlers do not react to what handlers, commands or the server itself said unless a definition
//! asks for it with `from`; then chains are short ([`HANDLER_CHAIN_MAX`]) and firings of one
//! handler in one room are counted ([`Limits`]). A status of a message is no message, and fires
//! only what waits for statuses.
//!
//! **Never:** a clock, a socket, the log: time comes with the occasion, and actions are performed
//! by whoever asked.
//!
//! [`HANDLER_CHAIN_MAX`]: crate::base::limits::HANDLER_CHAIN_MAX

mod action;
pub use action::{Action, CallReply, Planned, Say};

mod condition;

mod content;
pub use content::Content;

mod counts;
pub use counts::Counts;

mod deed;

mod engine;
pub use engine::Handlers;

mod guard;
pub use guard::Limits;

mod handler;
pub use handler::Handler;

mod occasion;
pub use occasion::{EventKind, Occasion, Source};

mod run;

mod step;

mod template;

mod words;
pub use words::Words;

#[cfg(test)]
mod tests;

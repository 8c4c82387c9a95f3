//! The pure side of WhatsApp: webhook signature, verification and model, the room of a message, and
//! the messages out: their model, the platform's errors, and the lanes in which they wait.
//!
//! A webhook passes three doors, in this order, and the caller answers 200 only after the raw body
//! is durable:
//!
//! ```text
//! POST body ─▶ signature::verify ─▶ webhook::parse ─▶ one Update per message and status
//! GET query ─▶ verification::answer ─▶ the challenge, as plain text
//! ```
//!
//! Meta sends a batch again for up to 7 days when the answer is not 200, so one strange item must
//! not refuse its neighbours: what this model does not know becomes [`webhook::Update::Unknown`],
//! is logged and passed on.
//!
//! **Never:** a socket, a clock, a room's state; de-duplication by message id is the domain's.

pub mod signature;

pub mod verification;

pub mod webhook;

pub mod limits;

pub mod media;

pub mod send;

pub mod graph_error;

pub mod lanes;

pub mod callback;

mod field;

mod room;
pub use room::room_name;

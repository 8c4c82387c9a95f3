//! The event loop of a shard: the only place where net, wire, chat and log meet.
//!
//! ```text
//!  collect completions ─▶ decode ─▶ hub ─▶ effects ─┬▶ log ring
//!  take mail (shards, archive, log) ────▲           ├▶ fan-out buffers ─▶ one slice per member
//!  tick (deadlines, presence) ──────────┘           └▶ mail to other shards
//!  end of turn: distribute, wake the log, ring peers, submit once, sleep
//! ```
//!
//! **Never:** a wait for a channel, a disk or one socket; a task per connection; a read of the
//! clock outside [`clock`].

/// Facts of the domain to records of the log, and back.
pub mod record;

/// Cold history, read on a thread of its own.
pub mod archive;

/// The two clocks of a shard.
pub mod clock;

/// Files of the platform on their way to a client.
pub mod media;

/// What shards share: settings, mailboxes, bells, heartbeats.
pub mod world;

/// How many connections each address has.
pub mod sources;

/// One connection as the loop knows it.
mod link;

/// The members of each local room and the bytes of this turn.
mod fan;

/// HTTP requests: routes and answers.
mod http;

/// WebSocket connections: chat and echo; the way to the others.
mod socket;

/// Raw rooms, for load generators.
mod raw;

/// Definitions in use.
pub mod definitions;

/// The HTTP API.
mod api;

/// Letters at hooks.
mod hook;

/// WhatsApp webhooks on their way to the log.
mod webhook;

/// Effects of the hub, performed.
mod perform;

/// Deadlines of connections, and readers that fall behind.
mod deadlines;

/// What the loop measures about itself.
mod measure;

/// The loop.
mod turn;

pub use turn::{Shard, ShardParts};

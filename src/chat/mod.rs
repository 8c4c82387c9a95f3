//! The pure domain: sessions, rooms, presence, receipts, history; events in, effects out.
//!
//! One [`hub::Hub`] per shard plays three parts, and parts on different shards talk only through
//! [`event::Message`]s:
//!
//! * **front**: the sessions whose sockets are on this shard;
//! * **owner**: the rooms placed on this shard; it alone assigns offsets, so a room has one order;
//! * **home**: the users placed on this shard; it alone knows all sessions of a user.
//!
//! **Never:** a socket, a clock, randomness, the log's format. Time comes as an argument, secrets
//! from a key given at the start, and a record leaves as a value, so that the simulator can own all
//! of them.

/// What goes into a hub and what comes out.
pub mod event;

/// What a platform's webhooks tell rooms.
pub mod inbound;

/// Old events, read back from the log.
pub mod recall;

/// What the log is told, and tells at start.
pub mod record;

/// What a message carries in the log beside its text.
pub mod extra;

/// What a hub and the outbox say to each other.
pub mod outbox;

/// What a room with a contact of a platform knows beside its messages.
pub mod conversation;

/// Which conversations there are, and questions about them.
pub mod inbox;

/// What the HTTP API asks of a hub.
pub mod api;

/// Requests of clients: the envelope and the verbs.
pub mod request;

/// Replies and events: the JSON a client reads.
pub mod reply;

/// Tokens that prove a user name outside development mode.
pub mod token;

/// The end of a room's history that is kept in memory.
pub mod tail;

/// Which message ids were seen, for as long as the promise says.
pub mod dedup;

/// Which epoch each offset of a room belongs to.
pub mod epochs;

/// Who is in a room now, and what the others are told of it.
pub mod presence;

/// A room as its owner knows it.
pub mod room;

/// A session as its front knows it.
pub mod session;

/// A user as its home knows it.
pub mod home;

/// The three parts together: one per shard.
pub mod hub;

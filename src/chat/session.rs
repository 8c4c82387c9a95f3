//! A session as its front knows it.
//!
//! Everything a client could lose with its session it keeps itself: its position in each room. So
//! an idle session is small, and killing one leaves nothing to clean but its seats.

use super::event::{LocalRoom, Name};
use crate::base::ids::Offset;
use crate::base::rate::Bucket;
use serde_json::{Map, Value};

/// One chat connection.
#[derive(Debug)]
pub struct Session {
    /// Who it is; `None` before its `hello` was accepted.
    pub user: Option<Name>,
    /// Number on this shard, for the session id.
    pub number: u64,
    /// Where it stands in its life.
    pub phase: Phase,
    /// Rooms it is in.
    pub seats: Vec<Seat>,
    /// Frames of any kind.
    pub frames: Bucket,
    /// Messages.
    pub sends: Bucket,
    /// The log knows of its beginning, and wants to hear of its end.
    pub started: bool,
    /// Wants its own messages.
    pub echo: bool,
    /// Is not shown as present.
    pub quiet: bool,
    /// More is queued than it takes: fed from history until it has caught up.
    pub lagging: bool,
    /// A `hello` or `status` in the making.
    pub pending: Option<Box<Pending>>,
}

/// Where a session stands in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// No `hello` yet.
    New,
    /// The home was asked.
    Greeting,
    /// In use.
    Live,
    /// Told to go; the socket still flushes.
    Closing,
}

/// A session's place in one room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seat {
    /// The room, among those of this shard.
    pub room: LocalRoom,
    /// What it gets.
    pub state: SeatState,
}

/// What a seat gets of what is published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SeatState {
    /// Nothing yet: the owner was asked.
    Joining {
        /// As part of `hello`.
        greeting: bool,
        /// And told to leave right after: the request id, and whether durably.
        leave: Option<(Option<u32>, bool)>,
        /// And was removed from the room meanwhile, which the client is told after its answer.
        evicted: bool,
    },
    /// Everything, live.
    Live,
    /// Nothing: it has everything up to here and will be fed.
    Lagging {
        /// Position.
        upto: Offset,
        /// The owner was asked for more.
        asked: bool,
    },
}

/// Replies that several shards answer together.
#[derive(Debug, Default)]
pub struct Pending {
    /// The `hello` that is being answered.
    pub greeting: Option<Greeting>,
    /// `status` questions.
    pub queries: Vec<Query>,
    /// Number of the last question.
    pub query_number: u32,
}

/// A `hello` in the making.
#[derive(Debug)]
pub struct Greeting {
    /// The request.
    pub id: Option<u32>,
    /// Rooms wanted.
    pub rooms: Vec<(Name, super::request::Join)>,
    /// The client's device and program, for the log.
    pub device: Box<str>,
    /// See `device`.
    pub client: Box<str>,
    /// Owners that have not answered.
    pub waiting: usize,
    /// What the others answered.
    pub results: Map<String, Value>,
    /// The `d` of the reply so far.
    pub reply: Map<String, Value>,
    /// Bytes that may still be replayed.
    pub budget: usize,
}

/// A `status` question in the making.
#[derive(Debug)]
pub struct Query {
    /// Its number.
    pub number: u32,
    /// The request.
    pub id: Option<u32>,
    /// Homes that have not answered.
    pub waiting: usize,
    /// What the others answered.
    pub users: Map<String, Value>,
}

impl Session {
    /// A connection that has not said anything.
    pub fn new(number: u64) -> Self {
        Self {
            user: None,
            number,
            phase: Phase::New,
            seats: Vec::new(),
            frames: Bucket::default(),
            sends: Bucket::default(),
            started: false,
            echo: true,
            quiet: false,
            lagging: false,
            pending: None,
        }
    }

    /// Its seat in a room.
    pub fn seat(&mut self, room: LocalRoom) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.room == room)
    }

    /// What several shards are answering, made on first use.
    pub fn pending(&mut self) -> &mut Pending {
        self.pending.get_or_insert_default()
    }

    /// Frees what is no longer pending.
    pub fn settle(&mut self) {
        if self.pending.as_ref().is_some_and(|p| p.greeting.is_none() && p.queries.is_empty()) {
            self.pending = None;
        }
    }
}

const _: () = assert!(size_of::<Session>() <= 128, "ten thousand idle sessions are the rule");

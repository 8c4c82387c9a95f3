//! One connection as the loop knows it. The socket is net's, the session the hub's; between them
//! stands a decoder.

use super::api::Route;
use super::hook::Door;
use super::sources::Source;
use crate::base::codes::CloseReason;
use crate::chat::event::LocalRoom;
use crate::wire::http;
use crate::wire::http::response::Persistence;
use crate::wire::ws::encode::Encoder;
use crate::wire::ws::message::Decoder;

/// A connection's place in the loop.
#[derive(Debug)]
pub struct Link {
    /// What it speaks.
    pub protocol: Protocol,
    /// When bytes last came, ms of the monotonic clock; 0: never.
    pub heard_ms: u64,
    /// When its state last changed or its peer last took bytes; deadlines count from here.
    pub since_ms: u64,
    /// Bytes its peer had taken at `since_ms`, while it closes; wraps.
    pub sent_bytes: u32,
    /// The tick of its one valid entry in the wheel.
    pub due_tick: u32,
    /// How it ended, as a WebSocket close code.
    pub close_code: u16,
    /// A ping is out.
    pub pinged: bool,
    /// Under what its address is counted.
    pub source: Option<Source>,
}

/// What a connection speaks.
#[derive(Debug)]
pub enum Protocol {
    /// HTTP/1.1, not yet upgraded.
    Http(Box<HttpLink>),
    /// The chat protocol.
    Chat(ChatLink),
    /// The echo of `/echo`.
    Echo(Box<EchoLink>),
    /// A raw room.
    Raw(RawLink),
    /// Flushing its last bytes.
    Closing {
        /// Whether a session must be told when it is gone.
        chat: bool,
    },
}

/// An HTTP connection.
#[derive(Debug, Default)]
pub struct HttpLink {
    /// Bytes to requests.
    pub decoder: http::Decoder,
    /// The request whose end has not come, or whose answer waits.
    pub request: Option<PendingRequest>,
    /// Waits for an answer that is not ours to give yet; input is stashed.
    pub busy: bool,
    /// Input that came while busy.
    pub stash: Vec<u8>,
    /// The peer's bytes have ended: no request follows the one that is being answered.
    pub ended: bool,
}

/// A request between its head and its answer.
#[derive(Debug)]
pub struct PendingRequest {
    /// What is to be done with it.
    pub plan: Plan,
    /// How to deliver the answer.
    pub persistence: Persistence,
    /// Answer without the body.
    pub head_only: bool,
    /// The body so far.
    pub body: Vec<u8>,
}

/// What a request asks for, decided at its head and carried out at its end.
#[derive(Debug)]
pub enum Plan {
    /// Answer with these bytes of an embedded file, or "not modified".
    Asset {
        /// Its path.
        path: &'static str,
        /// The client has it already.
        fresh: bool,
    },
    /// A finished answer.
    Text {
        /// The status.
        status: u16,
        /// The body, as plain text.
        text: String,
    },
    /// A refusal.
    Error {
        /// The status.
        status: u16,
        /// Stable name.
        reason: &'static str,
        /// What to do about it.
        hint: &'static str,
        /// The value of `Allow`, for 405.
        allow: Option<&'static str>,
    },
    /// Send the body back.
    EchoBody,
    /// A request of the API.
    Api(Box<Route>),
    /// A letter at a hook.
    Hook(Box<Door>),
    /// A WhatsApp webhook with its signature header.
    Webhook {
        /// The header's value; `None` when it is missing or was sent twice.
        signature: Option<Box<[u8]>>,
    },
}

impl Plan {
    /// Whether the body is kept for it.
    pub fn wants_body(&self) -> bool {
        matches!(self, Self::EchoBody | Self::Webhook { .. } | Self::Api(_) | Self::Hook(_))
    }
}

/// A chat connection.
#[derive(Debug)]
pub struct ChatLink {
    /// Bytes to messages.
    pub decoder: Decoder,
    /// Bytes held back until the reply to `hello`.
    #[expect(clippy::box_collection, reason = "16 bytes less in every idle connection")]
    pub corked: Option<Box<Vec<u8>>>,
    /// Wants RFC 6455 pings instead of `ping` events.
    pub frame_ping: bool,
    /// Is fed from history.
    pub lagging: bool,
}

/// A member of a raw room.
#[derive(Debug)]
pub struct RawLink {
    /// Bytes to messages.
    pub decoder: Decoder,
    /// Its room among those of the shard.
    pub room: LocalRoom,
}

/// An echo connection.
#[derive(Debug)]
pub struct EchoLink {
    /// Bytes to messages.
    pub decoder: Decoder,
    /// Compression of what goes back.
    pub encoder: Option<Encoder>,
    /// Its peer does not read: nor do we.
    pub paused: bool,
}

impl Link {
    /// A fresh connection.
    pub fn new(now_ms: u64) -> Self {
        Self {
            protocol: Protocol::Http(Box::default()),
            heard_ms: 0,
            since_ms: now_ms,
            sent_bytes: 0,
            due_tick: 0,
            close_code: ABNORMAL,
            pinged: false,
            source: None,
        }
    }

    /// Remembers why it ends.
    pub fn end_with(&mut self, reason: CloseReason) {
        self.close_code = reason.code();
    }
}

/// The close code of a socket that ended without a close frame (RFC 6455 §7.1.5).
pub const ABNORMAL: u16 = 1006;

const _: () = assert!(size_of::<Link>() <= 112, "every idle connection pays for this");

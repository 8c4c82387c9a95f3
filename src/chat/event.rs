//! What goes into a [`Hub`](super::hub::Hub) and what comes out.

use super::api::ApiRequest;
pub use super::inbound::{ContactIds, Inbound, InboundBody, PlatformNews};
use super::inbox;
pub use super::outbox::{Letter, OutboxEvent, OutboxOrder, Sent};
pub use super::recall::{Found, Recalled, Want};
pub use super::record::{
    Access, Cid, ConversationChange, ConversationState, Direction, Fact, Kept, MemberAction, Name,
    Outcome, Record, Role, RoomChange, Source, State, Status,
};
use crate::base::codes::CloseReason;
pub use crate::base::ids::Address;
use crate::base::ids::{ConnId, EpochId, Offset, ShardId};
use crate::metrics::Metric;
use crate::registry::Definition;
use std::sync::Arc;

/// A JSON text as a client reads it, encoded once and shared by every reader on every shard.
pub type Frame = Arc<str>;

/// Something happened to this shard.
#[derive(Debug)]
pub enum Event<'a> {
    /// A WebSocket opened on `/ws`.
    Opened {
        /// The new connection.
        conn: ConnId,
    },
    /// A text message arrived.
    Text {
        /// From this connection.
        conn: ConnId,
        /// The whole message.
        text: &'a str,
    },
    /// The connection is gone; nothing more can be sent to it.
    Closed {
        /// Which one.
        conn: ConnId,
        /// How it ended, as a WebSocket close code.
        code: u16,
    },
    /// The connection has more queued than it may: it gets no live frames until it has drained.
    Lagging {
        /// Which one.
        conn: ConnId,
    },
    /// A lagging connection has taken what was queued.
    Drained {
        /// Which one.
        conn: ConnId,
    },
    /// Another shard says something.
    Peer {
        /// What it says.
        message: Message,
    },
    /// The log has made this many of this hub's [`Effect::Append`]s as durable as the policy asks.
    Durable {
        /// Counted from the start of the process.
        appends: u64,
    },
    /// The log can take nothing for now: nobody who waits can be promised anything. Appends in
    /// flight may become durable yet, which is told with [`Event::Durable`] as ever; when they
    /// never can, the process must end, so that nobody keeps what the log lacks.
    LogFailed,
    /// Cold history that [`Effect::Archive`] asked for.
    Archived {
        /// The ticket of the question.
        ticket: u64,
        /// The answer.
        found: Found,
    },
    /// Messages of a webhook, each to its room. Answered with [`Effect::InboundDone`].
    Inbound {
        /// The webhook request they came with.
        ticket: u64,
        /// Room and message.
        item: Inbound,
    },
    /// A request of the HTTP API. Answered with one `ok` or `err` to the connection.
    Api {
        /// Whose answer it is.
        conn: ConnId,
        /// In whose name.
        user: Name,
        /// What.
        request: ApiRequest,
    },
    /// The platform told something that belongs into no room, and the log has it.
    Platform {
        /// What.
        news: Box<PlatformNews>,
    },
    /// The shard has time for programs of commands: one slice of them.
    Work,
    /// What became of an [`Effect::Fetch`].
    Fetched {
        /// Of the call.
        ticket: u64,
        /// Status and body, or why there is none.
        result: Result<(u16, Vec<u8>), Box<str>>,
    },
    /// The outbox says something.
    Outbox {
        /// What.
        event: OutboxEvent,
    },
    /// Time passed: at least every [`TICK_MS`](crate::base::wheel::TICK_MS).
    Tick,
}

/// What an erasure takes out of everything that is remembered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Forget {
    /// A user, under every name.
    User {
        /// Who.
        user: Name,
        /// What they are called from now on.
        alias: Name,
        /// Of a contact of WhatsApp: the id that ends the names of their rooms.
        contact: Option<Box<str>>,
    },
    /// What was said in a room.
    Room {
        /// Which.
        room: Name,
        /// Whether the log has another name for it from now on.
        renamed: bool,
    },
    /// One message.
    Message {
        /// Of which room.
        room: Name,
        /// Where in it.
        o: Offset,
    },
    /// What was said in some rooms before a time.
    Aged {
        /// A room's name, or the beginning of names followed by `*`; and ms since 1970.
        rules: Vec<(Box<str>, i64)>,
    },
}

/// How far a hub is with [`Forget`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forgetting {
    /// Sessions of the user were told to go and are not gone yet.
    Sessions,
    /// There are more rooms to go through.
    Rooms,
    /// What was said before waits for room in the log. Only a shard says so, who hands it on.
    Unlogged,
    /// Nothing is left here.
    Done,
}

/// Something to do, in the order given.
#[derive(Debug)]
pub enum Effect {
    /// Send one text message to one connection.
    Send {
        /// To whom.
        conn: ConnId,
        /// What.
        frame: Frame,
    },
    /// Hold back everything for this connection until [`Effect::Uncork`].
    Cork {
        /// Whose.
        conn: ConnId,
    },
    /// Send `first`, then what was held back.
    Uncork {
        /// To whom.
        conn: ConnId,
        /// The reply that must come first.
        first: Frame,
    },
    /// From now on this connection gets what is published to the local room.
    Attach {
        /// Who.
        conn: ConnId,
        /// To what.
        room: LocalRoom,
    },
    /// This connection no longer gets what is published from now on.
    Detach {
        /// Who.
        conn: ConnId,
        /// From what.
        room: LocalRoom,
    },
    /// One frame for every connection attached to the room.
    Publish {
        /// Which room.
        room: LocalRoom,
        /// What.
        frame: Frame,
        /// Whether slow readers may miss it.
        class: Class,
        /// A connection that does not want its own messages.
        skip: Option<ConnId>,
    },
    /// Say goodbye with a `bye` event and this close code, after what is queued.
    Close {
        /// Whose socket.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
    },
    /// Tell another shard. Never this shard: a hub talks to itself directly.
    ToShard {
        /// To whom.
        to: ShardId,
        /// What.
        message: Message,
    },
    /// Write a record. The shard promised space with [`Hub::grant`](super::hub::Hub::grant).
    Append(Record),
    /// Read cold history off the loop; answered with [`Event::Archived`] when the log holds the
    /// room up to `upto`: what has left memory may not be written yet.
    Archive {
        /// To find the question again.
        ticket: u64,
        /// The room.
        room: Name,
        /// What is asked.
        want: Want,
        /// What must be written before it can be answered.
        upto: Offset,
    },
    /// Some [`Event::Inbound`] are as durable as the policy asks, or were refused.
    InboundDone {
        /// Their webhook request.
        ticket: u64,
        /// How many.
        count: u32,
        /// Whether they are safe; if not the platform must send it again.
        accepted: bool,
    },
    /// A definition was put or removed, and every shard is told.
    Defined(Arc<Definition>),
    /// Tell the outbox.
    Outbox(OutboxOrder),
    /// Ask an address of an operator's choice; answered with [`Event::Fetched`].
    Fetch {
        /// To find the call again.
        ticket: u64,
        /// Where.
        url: Box<str>,
        /// Headers besides `Content-Type`.
        headers: Vec<(Box<str>, Box<str>)>,
        /// What is posted; without it the address is got.
        body: Option<Box<str>>,
        /// Its `Content-Type`.
        mime: &'static str,
        /// When nobody waits for the answer any more, ms of the monotonic clock.
        due_ms: u64,
    },
    /// Show a menu of commands to the contacts of a number; answered with [`Event::Fetched`].
    Menu {
        /// To find the call again.
        ticket: u64,
        /// `phone_number_id`.
        number: Arc<str>,
        /// What the platform is told.
        body: Arc<str>,
    },
    /// Run a program of the operator; answered with [`Event::Fetched`], as a call with status 200.
    Execute {
        /// To find the call again.
        ticket: u64,
        /// Its file name.
        program: Arc<str>,
        /// For its standard input.
        input: Box<str>,
        /// When nobody waits for the answer any more, ms of the monotonic clock.
        due_ms: u64,
        /// What it may use of memory, bytes.
        memory_bytes: u64,
        /// What it may say, bytes.
        output_bytes: usize,
    },
    /// What was pushed before this has been waited for since then: count how long, once it is
    /// queued to its sockets.
    Measure {
        /// As which measurement.
        metric: Metric,
        /// When the waiting began, µs of the monotonic clock that all shards share.
        since_us: u64,
    },
}

/// Index of a room among those with sessions on this shard. Reused when a room has none left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LocalRoom(pub u32);

/// How much a slow reader needs a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Carries an offset; a reader that misses it is told.
    Durable,
    /// Typing, presence, receipts: dropped for slow readers.
    Droppable,
}

/// What hubs say to each other. Channels between two shards keep order.
#[derive(Debug)]
pub enum Message {
    /// Front to owner: do something in a room.
    Ask {
        /// Which room; the receiver owns it.
        room: Name,
        /// On whose behalf.
        by: Asker,
        /// What.
        ask: Ask,
    },
    /// Owner to owner: a handler of one room writes into another.
    Say {
        /// Which room; the receiver owns it.
        room: Name,
        /// Which handler.
        handler: Arc<str>,
        /// See [`Occasion::depth`](crate::handlers::Occasion::depth).
        depth: u8,
        /// What.
        text: Box<str>,
    },
    /// Front to the shard that knows which news of this kind were told before.
    News {
        /// What the platform told.
        news: Box<PlatformNews>,
    },
    /// Owner or home to front: a finished reply for one connection.
    Reply {
        /// To whom.
        to: ConnId,
        /// The text.
        frame: Frame,
        /// When the message came in that this is the `ok` of; see [`Effect::Measure`].
        since_us: Option<u64>,
    },
    /// Owner to front: the answer to [`Ask::Join`].
    Joined {
        /// Who asked.
        to: ConnId,
        /// The request id to answer.
        id: Option<u32>,
        /// Which room.
        room: Name,
        /// The `d` of the reply, or the refusal.
        outcome: Result<JoinedDetail, Refusal>,
        /// What the client has missed, to be sent after the reply.
        replay: Vec<Frame>,
    },
    /// Owner to front: the answer to [`Ask::CatchUp`].
    CaughtUp {
        /// Who asked.
        to: ConnId,
        /// Which room.
        room: Name,
        /// What comes next for it.
        frames: Vec<Frame>,
        /// The last offset in `frames`, or skipped with a gap.
        upto: Offset,
        /// Whether that is the top: the connection is live again from here on.
        live: bool,
    },
    /// Owner to front: one frame for all local sessions of a room.
    Publish {
        /// Which room.
        room: Name,
        /// Its offset, or 0 for the droppable class.
        o: Offset,
        /// The text.
        frame: Frame,
        /// The session that does not want it.
        skip: Option<Address>,
        /// When the owner had it, for the durable class; see [`Effect::Measure`].
        since_us: Option<u64>,
    },
    /// Owner to front: the user lost the right to be here.
    Evict {
        /// Which room.
        room: Name,
        /// Which user.
        user: Name,
    },
    /// Front to owners: a page of the inbox.
    AskInbox {
        /// Who wants to know.
        from: ShardId,
        /// Which question of that shard.
        number: u64,
        /// What.
        query: Box<inbox::Query>,
    },
    /// Owner to front: its part of the page.
    TellInbox {
        /// Which question.
        number: u64,
        /// What was found.
        page: inbox::Page,
    },
    /// Front to owners: whether sessions there follow the inbox.
    Watch {
        /// Which shard.
        from: ShardId,
        /// Whether any does.
        on: bool,
    },
    /// Owner to front: a conversation changed.
    InboxNews {
        /// The event.
        frame: Frame,
    },
    /// Owner to owner: is a contact's conversation there?
    Seek {
        /// In this room, or wherever its name leads.
        room: Name,
        /// For what was to go into this one.
        wanted: Name,
        /// Who asks.
        from: ShardId,
    },
    /// Owner to owner: it is there, or is not.
    Found {
        /// What was to go into this room
        wanted: Name,
        /// goes into that one.
        at: Option<Name>,
    },
    /// Owner to owner: a name leads to a room from now on.
    Alias {
        /// The name.
        name: Name,
        /// The room.
        target: Name,
        /// The contact's id that does not go to anybody else, as far as it is known.
        user_id: Box<str>,
    },
    /// Front to shard 0, where definitions have one order: put one.
    Define {
        /// Who asks.
        by: Asker,
        /// What.
        request: Box<ApiRequest>,
        /// What they are told when it is durable.
        told: Option<Frame>,
    },
    /// Front to owner: a later answer of a command; see [`ApiRequest::Respond`].
    Respond {
        /// Who posted it.
        by: Asker,
        /// Which call.
        ticket: u64,
        /// That the address was given by us.
        proof: Box<str>,
        /// What was posted.
        body: Box<str>,
    },
    /// To a home: tell all sessions of a user.
    Whisper {
        /// Who.
        user: Name,
        /// What.
        frame: Frame,
    },
    /// Shard 0 to all: a definition was put or removed.
    Defined {
        /// Which.
        definition: Arc<Definition>,
    },
    /// Owner to front: inbound items are safe or refused.
    InboundDone {
        /// Their webhook request.
        ticket: u64,
        /// How many.
        count: u32,
        /// See [`Effect::InboundDone`].
        accepted: bool,
    },
    /// Front to home: a session wants to begin.
    Hello {
        /// The socket.
        from: Address,
        /// Proven name.
        user: Name,
        /// The secret of a session to take over.
        resume: Option<Secret>,
    },
    /// Home to front: it may.
    Welcome {
        /// Which connection.
        to: ConnId,
        /// Its own secret.
        secret: Secret,
    },
    /// Home to front: it may not.
    Unwelcome {
        /// Which connection.
        to: ConnId,
        /// Why.
        reason: CloseReason,
    },
    /// Home to front: another connection took this session over.
    Replaced {
        /// The old connection.
        conn: ConnId,
        /// What its client is told.
        reason: CloseReason,
    },
    /// Front to home: a session ended.
    Goodbye {
        /// The socket.
        from: Address,
        /// Its user.
        user: Name,
    },
    /// Front to home: the user set its status.
    SetStatus {
        /// Whose.
        user: Name,
        /// New value.
        status: Status,
    },
    /// Front to home: how is this user?
    AskStatus {
        /// Who asks.
        from: Address,
        /// Which question of that connection.
        query: u32,
        /// About whom.
        user: Name,
    },
    /// Home to front: so it is.
    TellStatus {
        /// Who asked.
        to: ConnId,
        /// Which question.
        query: u32,
        /// About whom.
        user: Name,
        /// How it is.
        status: Wellbeing,
    },
}

/// The answer to [`Message::AskStatus`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wellbeing {
    /// Has sessions now.
    pub online: bool,
    /// Says of itself.
    pub status: Status,
    /// Last session end, ms since 1970, 0 when not known.
    pub seen_ms: i64,
}

/// Who asks an owner for something.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The connection.
    pub from: Address,
    /// Its proven user.
    pub user: Name,
    /// The request's id.
    pub id: Option<u32>,
    /// The HTTP API asks, which may do anything.
    pub api: bool,
}

/// What a front asks of a room's owner.
#[derive(Debug)]
pub enum Ask {
    /// Attach.
    Join(JoinWish),
    /// Detach.
    Leave {
        /// The user said so (or vanished).
        said: bool,
        /// Was shown as present.
        counted: bool,
        /// End the durable membership too.
        member: bool,
    },
    /// Post a message.
    Send {
        /// The client's id.
        cid: Cid,
        /// The text.
        text: Box<str>,
        /// The offset it answers.
        reply: Option<Offset>,
        /// The sender does not want its own event.
        mute: bool,
        /// What few messages have.
        rich: Option<Box<Rich>>,
        /// When it came in; see [`Effect::Measure`].
        since_us: u64,
    },
    /// Change a message.
    Edit {
        /// Which.
        of: Offset,
        /// New text.
        text: Box<str>,
    },
    /// Take a message back.
    Delete {
        /// Which.
        of: Offset,
    },
    /// A page of history.
    History {
        /// Which page.
        page: Page,
        /// At most this many messages.
        limit: u32,
    },
    /// The user is typing.
    Typing,
    /// Move the user's watermarks.
    Mark {
        /// Received up to.
        recv: Offset,
        /// Read up to.
        read: Offset,
    },
    /// Who is here.
    Who {
        /// Names after this one.
        after: Box<str>,
        /// At most this many.
        limit: usize,
    },
    /// The user's status changed.
    Status(Status),
    /// Run a command.
    Command {
        /// Its name, without the slash.
        name: Box<str>,
        /// The rest of the line.
        text: Box<str>,
        /// The client's id of the call; may be empty.
        cid: Cid,
        /// The version that the client knows, if it says so.
        v: Option<u64>,
        /// When it came in, µs of the monotonic clock that all shards share.
        since_us: u64,
    },
    /// Feed a lagging connection.
    CatchUp {
        /// It has everything up to here.
        after: Offset,
    },
    /// Change a conversation; nothing to change asks how it stands.
    Converse {
        /// What.
        changes: Vec<ConversationChange>,
    },
    /// A platform's item.
    Inbound {
        /// Its webhook request.
        ticket: u64,
        /// What.
        item: Box<Inbound>,
    },
}

/// What few messages have besides their text.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rich {
    /// What is to be sent to the contact instead of a plain text: a JSON object with a `type`.
    pub content: Option<Box<str>>,
    /// For those in the room only: never sent to the contact.
    pub note: bool,
}

impl Rich {
    /// A content, for the contact.
    pub fn of_content(json: Box<str>) -> Self {
        Self { content: Some(json), note: false }
    }
}

/// How a session wants to enter a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JoinWish {
    /// What it wants replayed.
    pub replay: Replay,
    /// Become a durable member.
    pub member: bool,
    /// Be shown as present.
    pub counted: bool,
}

/// What a joining session wants replayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replay {
    /// Nothing.
    None,
    /// The last n events.
    Last(u32),
    /// What came after a position.
    After(EpochId, Offset),
}

/// Which page of history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Page {
    /// The newest.
    Newest,
    /// Below this offset.
    Before(Offset),
    /// Above this offset.
    After(Offset),
    /// This offset and its neighbours.
    Around(Offset),
    /// From the first event at or after this moment on, ms since 1970.
    Since(i64),
}

/// The `d` of a reply to `join`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinedDetail {
    /// Epoch of the positions that follow.
    pub epoch: EpochId,
    /// Top offset.
    pub top: Offset,
    /// First replayed offset (top + 1 when none).
    pub from: Offset,
    /// Replayed events.
    pub count: u32,
    /// Whether the client misses nothing.
    pub recovered: bool,
    /// Drop everything beyond this offset.
    pub back_to: Option<Offset>,
    /// The user's role here.
    pub role: Role,
    /// The room's topic.
    pub topic: Box<str>,
    /// Users present.
    pub present: u32,
}

/// A refused request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Which of the closed list.
    pub code: crate::base::codes::ErrorCode,
    /// What was wrong and what to do.
    pub text: Box<str>,
    /// When it may succeed.
    pub after_ms: Option<u64>,
}

/// 128 random bits that take a session over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; 16]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secret(…)")
    }
}

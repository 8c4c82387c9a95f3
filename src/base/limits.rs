//! Every bound and timer of the server in one place, related to each other at compile time.
//!
//! A peer that meets a bound gets an error that names it; nothing a stranger sends grows beyond it.

/// 2^10 bytes.
pub const KIB: usize = 1 << 10;
/// 2^20 bytes.
pub const MIB: usize = 1 << 20;

// --- HTTP ----------------------------------------------------------------------------------------

/// Request line and headers together, bytes. Beyond: 431.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 * KIB;
/// Request line with its CRLF, bytes: a longest target, a longest method, a version. Beyond: 414,
/// or 501 when not even the method ends.
pub const HTTP_REQUEST_LINE_BYTES_MAX: usize = HTTP_TARGET_BYTES_MAX + 64;
/// Header fields of one request. Beyond: 431.
pub const HTTP_HEADERS_MAX: usize = 100;
/// Request target, bytes. Beyond: 414.
pub const HTTP_TARGET_BYTES_MAX: usize = 8 * KIB;
/// Trailer section of a chunked body, bytes. Beyond: 431.
pub const HTTP_TRAILER_BYTES_MAX: usize = 8 * KIB;
/// One chunk-size line with its extensions, bytes. Beyond: 400.
pub const HTTP_CHUNK_LINE_BYTES_MAX: usize = 256;
/// All chunk extensions of one body, bytes: they are read and dropped, so they are pure cost.
/// Beyond: 400.
pub const HTTP_CHUNK_EXTENSION_BYTES_MAX: usize = 16 * KIB;
/// Body of a webhook: Meta sends at most 3 MB ("Webhooks overview"). Beyond: 413.
pub const HTTP_WEBHOOK_BODY_BYTES_MAX: usize = 3 * 1_000_000 + 64 * KIB;
/// Body of any other request. Beyond: 413.
pub const HTTP_BODY_BYTES_MAX: usize = MIB;
/// From accept (or the previous response) to the end of the head.
pub const HTTP_HEAD_TIMEOUT_MS: u64 = 10_000;
/// From the end of the head to the end of the body.
pub const HTTP_BODY_TIMEOUT_MS: u64 = 30_000;
/// Idle keep-alive connection.
pub const HTTP_IDLE_TIMEOUT_MS: u64 = 60_000;

// --- WebSocket -----------------------------------------------------------------------------------

/// A message of the chat protocol, bytes after inflating. Beyond: close 1009.
pub const WS_MESSAGE_BYTES_MAX: usize = 64 * KIB;
/// A message on `/echo`, bytes after inflating. Beyond: close 1009.
pub const WS_ECHO_MESSAGE_BYTES_MAX: usize = 16 * MIB;
/// Bytes a shard keeps of a raw room for the room's owner while that takes no mail. Beyond: the
/// sender is closed with 4101.
pub const WS_RAW_FORWARD_BYTES_MAX: usize = MIB;
/// Frames of one chat message. Beyond: close 1008.
pub const WS_FRAGMENTS_MAX: u32 = 1_024;
/// Frames of one message on `/echo`: public suites send 4 MiB in 64-byte fragments.
pub const WS_ECHO_FRAGMENTS_MAX: u32 = 128 * 1_024;
/// Final blocks (RFC 7692 §7.2.3.4) in one deflated message. Each makes us begin a new stream,
/// which costs much more than its two bytes; honest senders have one. Beyond: close 1007.
pub const WS_DEFLATE_STREAMS_MAX: u32 = 16;
/// Control frame payload (RFC 6455 §5.5).
pub const WS_CONTROL_BYTES_MAX: usize = 125;
/// From our close frame to the peer's, or to the end of the socket.
pub const WS_CLOSE_TIMEOUT_MS: u64 = 2_000;

// --- Connections ---------------------------------------------------------------------------------

/// Bytes queued to one connection before it is cut or set to lag mode.
pub const SEND_QUEUE_BYTES_MAX: usize = MIB;
/// From here on the droppable class (typing, presence, receipts) is not queued.
pub const SEND_QUEUE_SHED_BYTES: usize = SEND_QUEUE_BYTES_MAX / 4;
/// From here on a chat connection is in lag mode: it gets no live messages, one cursor per room.
pub const SEND_QUEUE_LAG_BYTES: usize = SEND_QUEUE_BYTES_MAX / 2;
/// Below this a lagging connection is fed from history again.
pub const SEND_QUEUE_RESUME_BYTES: usize = SEND_QUEUE_BYTES_MAX / 10;
/// One slice of history fed to a lagging connection, bytes.
pub const LAG_SLICE_BYTES: usize = 64 * KIB;
/// A connection further behind than this skips to the top and is told with a `gap` event.
pub const LAG_EVENTS_MAX: u64 = 10_000;
/// Bytes are queued and the peer has taken none for this long: cut.
pub const WRITE_STALL_TIMEOUT_MS: u64 = 5_000;
/// Completions of one turn before the loop flushes, so that a flood cannot starve sends.
pub const TURN_COMPLETIONS_MAX: usize = 8_192;
/// Items waiting in one shard-to-shard channel.
pub const MAILBOX_ITEMS_MAX: usize = 8_192;

// --- Sockets and rings of one shard --------------------------------------------------------------

/// Connections of one shard; more are closed at accept. Bounded by the bits of a ring entry's user
/// data that hold a slot's index.
pub const SHARD_CONNECTIONS_MAX: usize = 1 << 20;
/// Entries of a shard's submission queue (64 bytes each). A fuller turn submits in several calls.
pub const RING_SUBMISSIONS: u32 = 1_024;
/// Entries of a shard's completion queue (16 bytes each).
pub const RING_COMPLETIONS: u32 = 8_192;
/// Receive buffers that all connections of a shard share; a power of two.
pub const RECEIVE_BUFFERS: u16 = 256;
/// One receive buffer. Longer messages arrive in pieces.
pub const RECEIVE_BUFFER_BYTES: usize = 4 * KIB;
/// Small outgoing messages are packed into chunks of this size.
pub const SEND_CHUNK_BYTES: usize = 16 * KIB;
/// Bytes that the kernel takes for one connection before the network has taken them. Without it a
/// slow peer holds megabytes of kernel memory, and no progress of it is seen until a third of that
/// is free again, which at tens of KiB a second takes longer than [`WRITE_STALL_TIMEOUT_MS`].
pub const SOCKET_UNSENT_BYTES: u32 = 128 * KIB as u32;
/// Pieces that one send gathers. The rest waits for the next send.
pub const SEND_SLICES_MAX: usize = 64;
/// Pause of accepting when the process has no file descriptors left.
pub const ACCEPT_RETRY_MS: u64 = 50;
/// Backlog of a listening socket: a shorter one overflows in a reconnect storm and costs every
/// client a second (the kernel caps it at net.core.somaxconn).
pub const LISTEN_BACKLOG: u32 = 4_096;

// --- Sessions (all told to the client in the reply to `hello`) -----------------------------------

/// From the WebSocket handshake to `hello`. Beyond: close 4502.
pub const HELLO_TIMEOUT_MS: u64 = 10_000;
/// A quiet connection is pinged after this long.
pub const PING_INTERVAL_MS: u64 = 25_000;
/// A pinged connection that says nothing for this long is closed with 4102.
pub const PONG_TIMEOUT_MS: u64 = 8_000;
/// An abruptly lost user is shown as gone after this long; back within it, nobody is told.
pub const LEAVE_GRACE_MS: u64 = 15_000;
/// How long `resume` takes a session over. Positions themselves never expire.
pub const RESUME_WINDOW_MS: u64 = 120_000;
/// Sessions of one user at a time. Beyond: close 4505.
pub const SESSIONS_PER_USER_MAX: usize = 10;
/// Rooms of one session. Beyond: `err 413`.
pub const ROOMS_PER_SESSION_MAX: usize = 128;
/// Frames from one connection: rate and burst. Beyond: close 4129.
pub const FRAMES_PER_S: u32 = 50;
/// See [`FRAMES_PER_S`].
pub const FRAMES_BURST: u32 = 200;
/// `send`, `edit`, `delete` of one session: rate and burst. Beyond: `err 429`.
pub const SENDS_PER_S: u32 = 10;
/// See [`SENDS_PER_S`].
pub const SENDS_BURST: u32 = 30;
/// `send`, `edit`, `delete` of one user in one room: rate and burst. Beyond: `err 429`.
pub const ROOM_SENDS_PER_S: u32 = 5;
/// See [`ROOM_SENDS_PER_S`].
pub const ROOM_SENDS_BURST: u32 = 20;

// --- Names and texts -----------------------------------------------------------------------------

/// A user or device name, bytes.
pub const USER_NAME_BYTES_MAX: usize = 160;
/// Begins the name of whoever and whatever was erased; nobody may call themselves so.
pub const ERASED_NAME_PREFIX: &str = "erased-";
/// A room name, bytes: fits `wa:` with two platform ids.
pub const ROOM_NAME_BYTES_MAX: usize = 240;
/// The client's own message id, bytes.
pub const CID_BYTES_MAX: usize = 64;
/// A message text, bytes.
pub const TEXT_BYTES_MAX: usize = 32 * KIB;
/// How long after a contact's last message anything may be sent to it: Meta's customer service
/// window, <https://developers.facebook.com/docs/whatsapp/cloud-api/guides/send-messages>.
pub const CONTACT_WINDOW_MS: i64 = 24 * 3_600 * 1_000;
/// `content` of a `send`: what is sent to a contact instead of a plain text, as JSON. A room shows
/// a text made from it, and both must fit one record.
pub const CONTENT_BYTES_MAX: usize = 12 * KIB;
/// A room topic, bytes.
pub const TOPIC_BYTES_MAX: usize = KIB;
/// A user's status text, bytes.
pub const STATUS_BYTES_MAX: usize = 256;

// --- Rooms ---------------------------------------------------------------------------------------

/// How long a `cid` is remembered.
pub const CID_WINDOW_MS: u64 = 300_000;
/// How many `cid`s one room remembers.
pub const CIDS_PER_ROOM_MAX: usize = 4_096;
/// Events one resume replays per room. Beyond: `recovered:false`, and the client pages history.
pub const RESUME_EVENTS_MAX: u64 = 300;
/// Bytes one resume replays over all rooms: a reader that takes nothing while it is queued must
/// not be cut for it.
pub const RESUME_BYTES_MAX: usize = MIB / 2;
/// Messages in a history page.
pub const HISTORY_LIMIT_MAX: u32 = 300;
/// Bytes of a history page, unless its first message is longer. Beyond: the page ends early, and
/// says that there is more.
pub const HISTORY_BYTES_MAX: usize = 256 * KIB;
/// Messages in a history page when the client names no limit.
pub const HISTORY_LIMIT_DEFAULT: u32 = 50;
/// Events of a room that its owner keeps in memory; older ones are read from the log.
pub const ROOM_TAIL_EVENTS_MAX: usize = 512;
/// Bytes of a room's tail in memory.
pub const ROOM_TAIL_BYTES_MAX: usize = 512 * KIB;
/// Questions to the log that one shard keeps open; `history` is refused beyond, since each holds
/// what its page has so far.
pub const RECALLS_MAX: usize = 4_096;
/// Rooms of one shard. They are never forgotten, so a stranger could make them without end; a room
/// beyond is refused.
pub const ROOMS_PER_SHARD_MAX: usize = 1 << 20;
/// Users that a shard remembers before it forgets those who are offline and have no status.
pub const USERS_PER_SHARD_KEPT: usize = 1 << 18;
/// Presence and receipts of a room are sent at most this often.
pub const PRESENCE_TICK_MS: u64 = 1_000;
/// With more present users only their number is announced, and neither `typing` nor `mark` is: all
/// telling all would cost the square of them.
pub const PRESENCE_NAMES_MAX: usize = 200;
/// How often the number alone is announced.
pub const PRESENCE_COUNT_TICK_MS: u64 = 5_000;
/// A user's `typing` in a room is relayed at most this often.
pub const TYPING_THROTTLE_MS: u64 = 5_000;
/// Clients forget a `typing` after this long.
pub const TYPING_TTL_MS: u64 = 8_000;
/// Users in one page of `who`.
pub const WHO_LIMIT_MAX: usize = 500;
/// Platform message ids remembered per shard for duplicate webhooks, and for how long: Meta retries
/// for 7 days.
pub const INBOUND_IDS_MAX: usize = 1 << 20;
/// See [`INBOUND_IDS_MAX`].
pub const INBOUND_WINDOW_MS: i64 = 7 * 24 * 3_600 * 1_000;
/// Of these, how many a snapshot of the log carries over a restart, of all shards together.
pub const SNAPSHOT_EXTERNALS_MAX: usize = 2 * INBOUND_IDS_MAX;
/// Updates in one webhook. Meta batches at most 1000; the rest is room for what it may change, and
/// the bound keeps three bytes of JSON from becoming a hundred bytes of update a million times.
pub const WEBHOOK_UPDATES_MAX: usize = 16_384;
/// The challenge of a webhook verification, bytes; Meta sends about ten digits.
pub const WEBHOOK_CHALLENGE_BYTES_MAX: usize = 1_024;
/// Messages a second that WhatsApp takes from one number unless it has raised that.
pub const WHATSAPP_NUMBER_PER_S: u32 = 80;
/// The slowest number: one that is used with the WhatsApp Business app too.
pub const WHATSAPP_NUMBER_PER_S_MIN: u32 = 20;
/// The fastest number: after the platform's upgrade.
pub const WHATSAPP_NUMBER_PER_S_MAX: u32 = 1_000;

/// Tags of one conversation.
pub const TAGS_MAX: usize = 32;
/// A tag, bytes.
pub const TAG_BYTES_MAX: usize = 64;
/// Messages of a contact that are counted as unread; then it is that many or more.
pub const UNREAD_MAX: usize = 100;
/// Conversations in one page of the inbox.
pub const INBOX_LIMIT_MAX: usize = 200;
/// Conversations that one shard looks at for one page.
pub const INBOX_LOOKS_MAX: usize = 10_000;
/// The JSON of one definition (handler, hook, subscription), bytes: it must fit a record.
pub const DEFINITION_BYTES_MAX: usize = 32 * KIB;
/// The name of a definition, bytes.
pub const DEFINITION_NAME_BYTES_MAX: usize = 64;
/// Definitions of one kind.
pub const DEFINITIONS_MAX: usize = 1_000;
/// Commands that were added to those that are built in.
pub const COMMANDS_MAX: usize = 16_384;
/// Commands in one list.
pub const COMMANDS_LISTED_MAX: usize = 200;
/// Other names of a command; examples of its use.
pub const COMMAND_ALIASES_MAX: usize = 16;
/// Arguments of a command.
pub const COMMAND_ARGUMENTS_MAX: usize = 25;
/// Choices of an argument; users who may use a command.
pub const COMMAND_CHOICES_MAX: usize = 100;
/// A line of help for people.
pub const COMMAND_HELP_BYTES_MAX: usize = 512;
/// Seconds of a cooldown: a day.
pub const COMMAND_COOLDOWN_S_MAX: i64 = 24 * 3_600;
/// Milliseconds until the first answer.
pub const COMMAND_TIME_MS_MAX: u64 = 30_000;
/// Bytes of a module, unpacked.
pub const COMMAND_MODULE_BYTES_MAX: usize = 256 * KIB;
/// Fuel of a module in one call.
pub const COMMAND_FUEL_MAX: u64 = 1_000_000_000;
/// Operations of a script in one call.
pub const COMMAND_OPERATIONS_MAX: u64 = 1_000_000;
/// Memory of a module or program, KiB.
pub const COMMAND_MEMORY_KB_MAX: u64 = 2 << 20;
/// Bytes of one answer of a command.
pub const COMMAND_OUTPUT_BYTES_MAX: usize = 16 * KIB;
/// Calls of one command under way on a shard.
pub const COMMAND_AT_ONCE_MAX: usize = 256;
/// Calls of all commands under way on a shard.
pub const COMMAND_CALLS_MAX: usize = 1_024;
/// Milliseconds after which a call out whose reply was lost is given up, beyond its own time.
pub const CALL_GRACE_MS: u64 = 250;
/// Commands that call each other.
pub const COMMAND_DEPTH_MAX: u8 = 4;
/// Texts that say how far one run of a program is.
pub const COMMAND_PROGRESS_MAX: usize = 16;
/// Fetches that follow from one call.
pub const COMMAND_FETCHES_MAX: u8 = 4;
/// Bytes of all that a script or module keeps in a room: each run is told all of it.
pub const COMMAND_STATE_BYTES_MAX: usize = 64 * KIB;
/// Names of users that a script or module is told.
pub const COMMAND_NAMES_MAX: usize = 100;
/// Bytes that a script or module may say in one run, with all that it keeps.
pub const PROGRAM_OUTPUT_BYTES_MAX: usize = 128 * KIB;
/// How often the address for later answers may be used; as Slack has it.
pub const COMMAND_RESPONSES_MAX: u8 = 5;
/// How long that address holds, milliseconds; as Slack has it.
pub const COMMAND_RESPONSE_MS: u64 = 30 * 60_000;
/// How long a command waits for `/yes`, milliseconds.
pub const COMMAND_CONFIRM_MS: u64 = 60_000;
/// Failures within [`COMMAND_FAILURE_WINDOW_MS`] that switch a command off.
pub const COMMAND_FAILURES_MAX: usize = 3;
/// See [`COMMAND_FAILURES_MAX`].
pub const COMMAND_FAILURE_WINDOW_MS: u64 = 60_000;
/// Values that one command keeps in a room.
pub const COMMAND_KEYS_MAX: usize = 256;
/// Bytes of what a command calls a value.
pub const COMMAND_KEY_BYTES_MAX: usize = 200;
/// Bytes of a value that a command keeps.
pub const COMMAND_VALUE_BYTES_MAX: usize = 4 * KIB;

// --- Handlers ------------------------------------------------------------------------------------

/// `all`, `any` and `not` within each other.
pub const HANDLER_CONDITION_DEPTH_MAX: usize = 8;
/// Conditions, words and patterns of one handler, counted together.
pub const HANDLER_CONDITIONS_MAX: usize = 512;
/// Actions of one handler, counted through all `then` and `else`.
pub const HANDLER_ACTIONS_MAX: usize = 64;
/// `then` and `else` within each other.
pub const HANDLER_ACTION_DEPTH_MAX: usize = 8;
/// How much of a text is looked at: twice what WhatsApp takes when every letter has two bytes.
pub const HANDLER_TEXT_BYTES_MAX: usize = 8 * KIB;
/// A regular expression, bytes.
pub const HANDLER_REGEX_BYTES_MAX: usize = 1_024;
/// A compiled regular expression, bytes: time grows with this times the text.
pub const HANDLER_REGEX_COMPILED_MAX: usize = 64 * KIB;
/// Bytes that all regular expressions together look at for one event. Beyond, handlers whose turn
/// has not come do not match, which their counters tell.
pub const HANDLER_SEARCH_BYTES_MAX: usize = 128 * KIB;
/// Handlers that fire for one event.
pub const HANDLER_FIRED_MAX: usize = 16;
/// Handlers that fire for what handlers did, one after another.
pub const HANDLER_CHAIN_MAX: u8 = 4;
/// Firings of a handler in one room within [`HANDLER_WINDOW_S`] unless its `limits` say otherwise.
pub const HANDLER_FIRINGS_DEFAULT: u32 = 20;
/// See [`HANDLER_FIRINGS_DEFAULT`].
pub const HANDLER_WINDOW_S: u32 = 60;
/// Pairs of handler and room (or sender) whose firings a shard remembers. Beyond, those that fired
/// longest ago are forgotten.
pub const HANDLER_GUARDS_MAX: usize = 1 << 16;
/// A value that is kept for a later action, bytes as JSON. Longer ones are cut.
pub const HANDLER_VALUE_BYTES_MAX: usize = KIB;
/// Values that one question or call keeps for what follows.
pub const HANDLER_VALUES_MAX: usize = 16;
/// How long a call may take unless it says otherwise.
pub const HANDLER_CALL_TIMEOUT_S: i64 = 5;
/// The longest that it may say.
pub const HANDLER_CALL_TIMEOUT_S_MAX: i64 = 30;
/// What is read of the answer to a call, bytes.
pub const HANDLER_CALL_REPLY_BYTES_MAX: usize = 64 * KIB;
/// Calls of handlers that are under way on all shards together. With
/// [`SUBSCRIPTION_FLIGHTS_MAX`] it leaves room for messages to the platform, whoever hangs.
pub const HANDLER_CALLS_MAX: usize = 256;
/// How long a question waits for its answer unless it says otherwise.
pub const HANDLER_ASK_TIMEOUT_MIN: i64 = 60;
/// The longest that it may say: a week.
pub const HANDLER_ASK_TIMEOUT_MIN_MAX: i64 = 7 * 24 * 60;
/// The longest wait of `unanswered_min` and `cooldown_min`: 30 days.
pub const HANDLER_WAIT_MIN_MAX: i64 = 30 * 24 * 60;

// --- Hooks ---------------------------------------------------------------------------------------

/// The body of a post to a hook: as much as the largest of the usual senders write.
pub const HOOK_BODY_BYTES_MAX: usize = 256 * KIB;
/// Conditions of one hook.
pub const HOOK_CONDITIONS_MAX: usize = 32;

// --- Subscriptions -------------------------------------------------------------------------------

/// An address that is called, bytes.
pub const URL_BYTES_MAX: usize = 2_048;
/// Events of one post to a subscriber.
pub const SUBSCRIPTION_BATCH_MAX: usize = 100;
/// Bytes of the events of one post; the last one may go beyond.
pub const SUBSCRIPTION_BATCH_BYTES: usize = 256 * KIB;
/// Rules for rooms of one subscription.
pub const SUBSCRIPTION_RULES_MAX: usize = 64;
/// Headers of one subscription.
pub const SUBSCRIPTION_HEADERS_MAX: usize = 16;
/// Waits between attempts of one subscription.
pub const SUBSCRIPTION_RETRIES_MAX: usize = 20;
/// Dead letters that one subscription keeps; beyond, the oldest is forgotten.
pub const SUBSCRIPTION_DEAD_MAX: usize = 1_000;
/// Posts to subscribers that are under way.
pub const SUBSCRIPTION_FLIGHTS_MAX: usize = 128;

// --- Files of the platform -----------------------------------------------------------------------

/// Files that are fetched at a time.
pub const MEDIA_DOWNLOADS_MAX: usize = 32;
/// A file that is sent to the platform through the API. It is in memory for a moment.
pub const MEDIA_UPLOAD_BYTES_MAX: usize = 16 * MIB;
/// Bytes that are read of a file at a time, for one connection.
pub const MEDIA_CHUNK_BYTES: usize = 128 * KIB;

// --- Log -----------------------------------------------------------------------------------------

/// A segment file.
pub const SEGMENT_BYTES: usize = 64 * MIB;
/// One batch: what a random read must check before it may trust a record.
pub const BATCH_BYTES_MAX: usize = 64 * KIB;
/// One record with its header. Larger bodies (raw webhooks) are split by their writer.
pub const RECORD_BYTES_MAX: usize = 48 * KIB;
/// A shard's ring to the log thread.
pub const LOG_RING_BYTES: usize = 8 * MIB;
/// Segments in a row that could not be written or synced before the server gives up: a disk that
/// refuses this often does not come back by asking.
pub const SEGMENT_FAILURES_MAX: u32 = 3;

const _: () = assert!(WS_MESSAGE_BYTES_MAX > TEXT_BYTES_MAX, "a longest text must fit a message");
const _: () =
    assert!(TEXT_BYTES_MAX + 4 * KIB <= RECORD_BYTES_MAX, "a longest text must be logged");
const _: () = assert!(2 * CONTENT_BYTES_MAX + 4 * KIB <= RECORD_BYTES_MAX);
const _: () = assert!(TEXT_BYTES_MAX + CONTENT_BYTES_MAX + 4 * KIB <= RECORD_BYTES_MAX);
const _: () = assert!(
    HANDLER_VALUES_MAX * (HANDLER_VALUE_BYTES_MAX + 256) + 4 * KIB <= RECORD_BYTES_MAX,
    "what a question keeps must be logged"
);
const _: () = assert!(RECORD_BYTES_MAX + KIB <= BATCH_BYTES_MAX, "a record must fit a batch");
const _: () = assert!(BATCH_BYTES_MAX * 64 <= SEGMENT_BYTES, "rotation must waste little");
const _: () = assert!(BATCH_BYTES_MAX * 16 <= LOG_RING_BYTES, "the ring must outlast a sync");
const _: () = assert!(SEND_QUEUE_RESUME_BYTES + LAG_SLICE_BYTES < SEND_QUEUE_LAG_BYTES);
const _: () = assert!(SEND_QUEUE_SHED_BYTES < SEND_QUEUE_LAG_BYTES);
const _: () = assert!(SEND_QUEUE_RESUME_BYTES + MEDIA_CHUNK_BYTES < SEND_QUEUE_LAG_BYTES);
const _: () = assert!(RESUME_BYTES_MAX + SEND_QUEUE_SHED_BYTES < SEND_QUEUE_BYTES_MAX);
const _: () = assert!(RESUME_BYTES_MAX >= LAG_SLICE_BYTES, "a resume replays no less than a lag");
const _: () = assert!(HISTORY_BYTES_MAX + 6 * TEXT_BYTES_MAX < SEND_QUEUE_BYTES_MAX);
const _: () = assert!(SHARD_CONNECTIONS_MAX <= 1 << 24, "an index must fit the user data");
const _: () = assert!(RECEIVE_BUFFERS.is_power_of_two(), "the kernel masks with it");
const _: () = assert!(RING_COMPLETIONS >= 2 * RING_SUBMISSIONS, "a full submission must fit");
const _: () = assert!(RING_COMPLETIONS as usize >= 2 * RECEIVE_BUFFERS as usize);
const _: () = assert!(ROOM_TAIL_EVENTS_MAX as u64 >= RESUME_EVENTS_MAX);
const _: () = assert!(ROOM_TAIL_EVENTS_MAX >= HISTORY_LIMIT_MAX as usize);
const _: () =
    assert!(PING_INTERVAL_MS + PONG_TIMEOUT_MS < 60_000, "proxies cut at 60 s of silence");

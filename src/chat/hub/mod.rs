//! The three parts of a shard's domain together: front, owner and home.
//!
//! One call of [`Hub::handle`] is one event, whole: it changes plain state and pushes [`Effect`]s
//! in the order in which they must happen. Messages that a hub sends to itself are handled before
//! the call returns, so a node of one shard behaves like a node of many with instant channels.

mod authoring;
mod built_in;
mod callbacks;
mod calls;
mod changes;
mod commanding;
mod conversing;
mod defining;
mod entering;
mod erasing;
mod front;
mod games;
mod handling;
mod history;
mod homes;
mod identity;
mod inbound;
mod joining;
mod keeping;
mod menus;
mod occasions;
mod outgoing;
mod owner;
mod restore;
#[cfg(test)]
mod tests;
mod working;

use super::api::CheckDefinition;
use super::dedup::Externals;
use super::epochs::Epochs;
use super::event::{
    Address, Asker, Class, Effect, Event, Frame, Message, Name, OutboxEvent, OutboxOrder, Record,
    Refusal, Replay, Secret, Want,
};
use super::home::User;
use super::inbox::{Asked, Inbox};
use super::outbox::Platform;
use super::reply;
use super::request::refuse;
use super::room::Room;
use super::session::Session;
use crate::base::clock::Now;
use crate::base::codes::ErrorCode;
use crate::base::hash::{Map, Set, place};
use crate::base::ids::{ConnId, EpochId, Offset, ShardId};
use crate::base::limits::RECORD_BYTES_MAX;
use crate::base::rate::Rate;
use crate::base::table::Table;
use crate::base::wheel::Wheel;
use crate::commands::Book;
use crate::handlers::EventKind;
use crate::metrics::Metric;
use crate::registry::{Definition, Registry};
use hmac::{Hmac, KeyInit, Mac};
pub use restore::{delivery_print, external_print, message_print};
use sha2::Sha256;
use std::collections::VecDeque;
use std::sync::Arc;

/// What a hub needs to know of the node.
#[derive(Clone)]
pub struct HubOptions {
    /// This shard.
    pub shard: ShardId,
    /// All shards of the node.
    pub shard_count: u16,
    /// A `hello` may name its own user.
    pub dev: bool,
    /// Secret of the tokens that name users otherwise; empty refuses them all.
    pub token_secret: Vec<u8>,
    /// Random bytes of this process: session secrets are made from them.
    pub key: [u8; 32],
    /// Start of the process, ms since 1970: makes ids of sessions and calls unique over restarts,
    /// which may follow each other within a second.
    pub boot_ms: u64,
    /// The ack policy as clients are told.
    pub ack: &'static str,
    /// Deliver only what is durable.
    pub fanout_durable: bool,
    /// Frames of one connection.
    pub frames: Rate,
    /// Messages of one session.
    pub sends: Rate,
    /// Messages of one user in one room.
    pub room_sends: Rate,
    /// Sessions of one user.
    pub sessions_per_user_max: usize,
    /// How messages leave by a platform.
    pub platform: Platform,
    /// Who may see conversations with contacts: names of users, or their beginnings followed by
    /// `*`. None: everybody in development mode, nobody otherwise.
    pub agents: Vec<Box<str>>,
    /// Reads definitions before they are put.
    pub check: CheckDefinition,
    /// µs of a monotonic clock, by which programs of commands are held to their budget.
    pub clock: fn() -> u64,
}

impl HubOptions {
    /// A hub of tests and benches: development mode, no limits, nothing random.
    pub fn unlimited(shard: ShardId, shard_count: u16) -> Self {
        Self {
            shard,
            shard_count,
            dev: true,
            token_secret: Vec::new(),
            key: [7; 32],
            boot_ms: 1,
            ack: "fsync",
            fanout_durable: false,
            frames: Rate::UNLIMITED,
            sends: Rate::UNLIMITED,
            room_sends: Rate::UNLIMITED,
            sessions_per_user_max: 10,
            platform: Platform::default(),
            agents: Vec::new(),
            check: |_, _, _| Ok(()),
            clock: || 0,
        }
    }
}

/// A shard's share of the domain.
pub struct Hub {
    options: HubOptions,
    epochs: Epochs,
    log: LogAccount,
    waiting: VecDeque<(u64, Waiting)>,
    /// Messages to this very hub.
    own: VecDeque<Message>,

    sessions: Table<Session>,
    session_number: u64,
    locals: Map<Name, LocalIndex>,
    local: Vec<front::Local>,
    local_free: Vec<LocalIndex>,
    hello_deadlines: Wheel<ConnId>,
    /// When this hub was made: the clocks that old records are placed by.
    begin: Now,

    rooms: Map<Name, Room>,
    /// Rooms with presence or receipts to tell.
    dirty: Vec<Name>,
    /// Vanished users, in order of the end of their grace.
    leaving: VecDeque<(u64, Name, Name)>,
    externals: Externals,
    /// Refused joins whose balancing leave is still to come.
    refused: Set<(Address, Name)>,
    recalls: Map<u64, (Want, history::Recall)>,
    recall_number: u64,

    /// Messages out that the log had at start without an outcome, and behind them what was written
    /// since: still to be handed on, in this order.
    unsent: VecDeque<(Name, Offset)>,
    /// The outbox takes messages out.
    outbox_has_room: bool,

    inbox: Inbox,
    /// Conversations that changed since those who follow the inbox were told.
    inbox_news: Vec<Name>,
    /// When they may be told next, ms of the monotonic clock.
    inbox_next_ms: u64,
    /// Shards with sessions that follow the inbox.
    watching: Set<ShardId>,
    /// Sessions here that do.
    watchers: Set<ConnId>,
    inbox_asked: Map<u64, Asked>,
    inbox_number: u64,

    /// Names of conversations that go on in other rooms.
    links: Map<Name, Name>,
    /// Items that wait until it is known where their contact's conversation is.
    seeking: Map<Name, Vec<identity::Item>>,

    registry: Registry,
    /// The commands of the registry.
    book: Book,
    commanding: commanding::Commanding,
    working: working::Working,
    rules: occasions::Rules,
    /// Calls of handlers, by ticket.
    calling: Map<u64, handling::Calling>,
    calling_number: u64,
    /// Menus on their way to the platform, by ticket.
    publishing: Map<u64, menus::Publishing>,
    /// Connections that wait for an answer of the API.
    api_conns: Set<ConnId>,

    users: Map<Name, User>,
    forgets: erasing::Forgets,
    secret_number: u64,
}

type LocalIndex = u32;

/// What this hub has written and may write.
#[derive(Debug, Default)]
struct LogAccount {
    /// Appends so far.
    appends: u64,
    /// Of these, durable.
    durable: u64,
    /// Bytes that may still be appended before the next grant.
    grant: usize,
    failed: bool,
}

/// Something that must not happen before a record is durable.
#[derive(Debug)]
enum Waiting {
    Reply {
        to: Address,
        id: Option<u32>,
        frame: Frame,
        since_us: Option<u64>,
    },
    /// So many items of one webhook.
    Inbound {
        to: ShardId,
        ticket: u64,
        count: u32,
    },
    Join {
        room: Name,
        by: Asker,
        replay: Replay,
    },
    Publish {
        room: Name,
        o: Offset,
        frame: Frame,
        skip: Option<Address>,
        since_us: u64,
    },
    Letter {
        room: Name,
        o: Offset,
    },
    Call {
        event: OutboxEvent,
    },
    Define {
        definition: Arc<Definition>,
    },
    /// A call of a command leaves.
    Leave {
        ticket: u64,
    },
}

/// What a record costs in the log beyond its text: headers, padding, names on first use.
const RECORD_OVERHEAD_BYTES: usize = 640;
/// Kept back for records that cannot be refused, such as session ends: a grant of this much lets
/// those through and nothing else.
pub const LOG_RESERVE_BYTES: usize = 2 * RECORD_BYTES_MAX;

impl Hub {
    /// A hub that knows nobody. Restore the log's records into it, then begin its epoch.
    pub fn new(options: HubOptions, now: Now) -> Self {
        assert!(options.shard.0 < options.shard_count);
        let working = working::Working::new(options.clock);
        Self {
            options,
            epochs: Epochs::default(),
            log: LogAccount::default(),
            waiting: VecDeque::new(),
            own: VecDeque::new(),
            sessions: Table::default(),
            session_number: 0,
            locals: Map::default(),
            local: Vec::new(),
            local_free: Vec::new(),
            hello_deadlines: Wheel::new(now.mono_ms()),
            begin: now,
            rooms: Map::default(),
            dirty: Vec::new(),
            leaving: VecDeque::new(),
            externals: Externals::default(),
            refused: Set::default(),
            recalls: Map::default(),
            recall_number: 0,
            unsent: VecDeque::new(),
            outbox_has_room: true,
            inbox: Inbox::default(),
            inbox_news: Vec::new(),
            inbox_next_ms: 0,
            watching: Set::default(),
            watchers: Set::default(),
            inbox_asked: Map::default(),
            inbox_number: 0,
            links: Map::default(),
            seeking: Map::default(),
            registry: Registry::default(),
            book: Book::default(),
            commanding: commanding::Commanding::default(),
            working,
            rules: occasions::Rules::default(),
            calling: Map::default(),
            calling_number: 0,
            publishing: Map::default(),
            api_conns: Set::default(),
            users: Map::default(),
            forgets: erasing::Forgets::default(),
            secret_number: 0,
        }
    }

    /// Where others reach this server: the beginning of addresses that it gives away.
    pub fn set_public_url(&mut self, url: &str) {
        self.commanding.leaving.public_url = url.into();
    }

    /// The hub may append this many bytes until the next grant. Called before each event or batch
    /// of events with the free space of the log's ring.
    pub fn grant(&mut self, bytes: usize) {
        self.log.grant = bytes;
    }

    /// The log works again.
    pub fn log_recovered(&mut self) {
        self.log.failed = false;
    }

    /// Sessions on this shard.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Whether a connection is still fed from history.
    pub fn is_lagging(&self, conn: ConnId) -> bool {
        self.sessions.get(conn).is_some_and(|session| session.lagging)
    }

    /// Whether nothing of a session is left here: no seat, no question, no refusal that waits for
    /// its leave. Must hold some time after the last session ended.
    pub fn is_at_rest(&self) -> bool {
        let seats = self.locals.is_empty() && self.local_free.len() == self.local.len();
        let owed = self.refused.is_empty() && self.recalls.is_empty() && self.waiting.is_empty();
        let users = self.users.values().all(|user| !user.is_online());
        self.sessions.is_empty()
            && seats
            && owed
            && users
            && self.leaving.is_empty()
            && self.seeking.is_empty()
    }

    /// A room of this shard, for tests and tools.
    pub fn room(&self, name: &str) -> Option<&Room> {
        self.rooms.get(name)
    }

    /// Handles one event, and everything it makes this hub say to itself.
    pub fn handle(&mut self, now: Now, event: Event<'_>, effects: &mut Vec<Effect>) {
        match event {
            Event::Opened { conn } => self.opened(now, conn),
            Event::Text { conn, text } => self.text(now, conn, text, effects),
            Event::Closed { conn, code } => self.closed(now, conn, code, effects),
            Event::Lagging { conn } => self.lagging(conn, effects),
            Event::Drained { conn } => self.drained(conn, effects),
            Event::Peer { message } => self.message(now, message, effects),
            Event::Durable { appends } => self.durable(appends, effects),
            Event::LogFailed => self.log_failed(effects),
            Event::Archived { ticket, found } => self.archived(now, ticket, found, effects),
            Event::Inbound { ticket, item } => self.inbound(now, ticket, item, effects),
            Event::Outbox { event } => self.outbox_said(now, event, effects),
            Event::Platform { news } => self.heard_of_platform(news, effects),
            Event::Fetched { ticket, result } => self.fetched(now, ticket, result, effects),
            Event::Api { conn, user, request } => self.api(conn, user, request, effects),
            Event::Work => self.work_on(now, effects),
            Event::Tick => self.tick(now, effects),
        }
        while !self.own.is_empty() || !self.is_considered() {
            while let Some(message) = self.own.pop_front() {
                self.message(now, message, effects);
            }
            self.consider(now, effects);
        }
    }

    fn message(&mut self, now: Now, message: Message, effects: &mut Vec<Effect>) {
        match message {
            Message::Ask { room, by, ask } => self.ask(now, room, by, ask, effects),
            Message::Say { room, handler, depth, text } => {
                self.said(now, room, (handler, depth), text, effects);
            }
            Message::News { news } => self.take_news(now, *news),
            Message::Reply { to, frame, since_us } => {
                self.send(to, frame, effects);
                measure(Metric::SendToAck, since_us, effects);
            }
            Message::Joined { to, id, room, outcome, replay } => {
                self.joined(to, id, &room, outcome, replay, effects);
            }
            Message::CaughtUp { to, room, frames, upto, live } => {
                self.caught_up(to, &room, frames, (upto, live), effects);
            }
            Message::Publish { room, o, frame, skip, since_us } => {
                self.published(&room, o, frame, skip, effects);
                measure(Metric::Deliver, since_us, effects);
            }
            Message::AskInbox { from, number, query } => {
                let page = self.look_into_inbox(&query);
                self.tell(from, Message::TellInbox { number, page }, effects);
            }
            Message::TellInbox { number, page } => self.inbox_told(number, page, effects),
            Message::Watch { from, on: true } => drop(self.watching.insert(from)),
            Message::Watch { from, on: false } => drop(self.watching.remove(&from)),
            Message::InboxNews { frame } => self.inbox_changed(&frame, effects),
            Message::Seek { room, wanted, from } => self.sought(&room, (wanted, from), effects),
            Message::Found { wanted, at } => self.found(now, &wanted, at, effects),
            Message::Alias { name, target, user_id } => {
                self.alias(now, (name, target), user_id, effects);
            }
            Message::Define { by, request, told } => {
                self.define(now, &by, (*request, told), effects);
            }
            Message::Respond { by, ticket, proof, body } => {
                self.respond(now, &by, (ticket, &proof), &body, effects);
            }
            Message::Whisper { user, frame } => self.whisper_to_all(&user, &frame, effects),
            Message::Defined { definition } => self.defined(definition, effects),
            Message::Evict { room, user } => self.evict(&room, &user, effects),
            Message::InboundDone { ticket, count, accepted } => {
                effects.push(Effect::InboundDone { ticket, count, accepted });
            }
            Message::Hello { from, user, resume } => self.admit(from, user, resume, effects),
            Message::Welcome { to, secret } => self.welcome(now, to, secret, effects),
            Message::Unwelcome { to, reason } | Message::Replaced { conn: to, reason } => {
                self.dismiss(to, reason, effects);
            }
            Message::Goodbye { from, user } => self.goodbye(now, from, &user),
            Message::SetStatus { user, status } => self.home_of(&user).set_status(status),
            Message::AskStatus { from, query, user } => {
                self.tell_status(from, query, user, effects);
            }
            Message::TellStatus { to, query, user, status } => {
                self.status_told(to, query, &user, status, effects);
            }
        }
    }

    fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.expire_hellos(now, effects);
        while self.leaving.front().is_some_and(|(due_ms, ..)| *due_ms <= now.mono_ms()) {
            let (_, room, user) = self.leaving.pop_front().expect("front was there");
            if let Some(found) = self.rooms.get_mut(&room) {
                let left = found.presence.grace_over(&user, now.mono_ms());
                mark_dirty(&mut self.dirty, found);
                if left {
                    self.note(EventKind::Left, &room, &user);
                }
            }
        }
        self.ring(now, effects);
        self.tend_flights(now, effects);
        self.tend_work(now, effects);
        self.expire_calls(now, effects);
        self.tell_changes(now, effects);
        self.tell_inbox(now, effects);
        self.hand_on_unsent(effects);
    }

    /// Whether the outbox takes messages out. Called when that changes.
    pub fn set_outbox_has_room(&mut self, has_room: bool) {
        self.outbox_has_room = has_room;
    }

    /// Sends to another shard, or to this hub.
    fn tell(&mut self, to: ShardId, message: Message, effects: &mut Vec<Effect>) {
        assert!(to.0 < self.options.shard_count);
        if to == self.options.shard {
            self.own.push_back(message);
        } else {
            effects.push(Effect::ToShard { to, message });
        }
    }

    fn owner_of(&self, room: &str) -> ShardId {
        place(room, self.options.shard_count)
    }

    fn home_shard(&self, user: &str) -> ShardId {
        place(user, self.options.shard_count)
    }

    fn send(&mut self, conn: ConnId, frame: Frame, effects: &mut Vec<Effect>) {
        if self.sessions.get(conn).is_some() || self.end_api(conn) {
            effects.push(Effect::Send { conn, frame });
        }
    }

    /// Answers a request wherever it came from.
    fn answer(&mut self, to: Address, frame: Frame, effects: &mut Vec<Effect>) {
        self.tell(to.shard, Message::Reply { to: to.conn, frame, since_us: None }, effects);
    }

    /// Refuses a request wherever it came from.
    fn refuse(
        &mut self,
        to: Address,
        id: Option<u32>,
        refusal: &Refusal,
        effects: &mut Vec<Effect>,
    ) {
        self.answer(to, reply::err(id, refusal), effects);
    }

    /// Whether a record with this much text can be written now.
    fn check_log(&self, text_bytes: usize) -> Result<(), Refusal> {
        if self.log.failed {
            return Err(refuse(ErrorCode::LogFull, "the log can take nothing now; try again"));
        }
        if self.log.grant < text_bytes + RECORD_OVERHEAD_BYTES + LOG_RESERVE_BYTES {
            let text = "the log is behind; try again in a moment";
            return Err(Refusal { after_ms: Some(100), ..refuse(ErrorCode::Overloaded, text) });
        }
        Ok(())
    }

    /// Writes a record and gives its number. A record that nobody waits for is dropped when even
    /// the reserve is used up, which a failed log is the only cause of.
    fn append(&mut self, record: Record, effects: &mut Vec<Effect>) -> u64 {
        let cost = record.text_bytes() + RECORD_OVERHEAD_BYTES;
        if self.log.grant < cost {
            return self.log.appends;
        }
        self.log.grant -= cost;
        self.log.appends += 1;
        effects.push(Effect::Append(record));
        self.log.appends
    }

    /// Does `what` when append number `append` is durable.
    fn when_durable(&mut self, append: u64, what: Waiting, effects: &mut Vec<Effect>) {
        if append <= self.log.durable {
            self.perform(what, effects);
            return;
        }
        // Almost always the newest; a repeated message waits for an older record.
        let index = self.waiting.partition_point(|(number, _)| *number <= append);
        self.waiting.insert(index, (append, what));
    }

    /// Tells a webhook's shard of one of its items when append number `append` is durable. Items
    /// that come one after the other wait together, for the last of them: only then is their
    /// request answered.
    fn when_item_durable(
        &mut self,
        append: u64,
        (to, ticket): (ShardId, u64),
        effects: &mut Vec<Effect>,
    ) {
        if append > self.log.durable
            && let Some((newest, Waiting::Inbound { to: shard, ticket: known, count })) =
                self.waiting.back_mut()
            && (*shard, *known) == (to, ticket)
        {
            *newest = append.max(*newest);
            *count += 1;
            return;
        }
        self.when_durable(append, Waiting::Inbound { to, ticket, count: 1 }, effects);
    }

    fn durable(&mut self, appends: u64, effects: &mut Vec<Effect>) {
        assert!(appends <= self.log.appends);
        self.log.durable = self.log.durable.max(appends);
        while self.waiting.front().is_some_and(|(number, _)| *number <= appends) {
            let (_, what) = self.waiting.pop_front().expect("front was there");
            self.perform(what, effects);
        }
    }

    fn perform(&mut self, what: Waiting, effects: &mut Vec<Effect>) {
        match what {
            Waiting::Reply { to, frame, since_us, .. } => {
                let reply = Message::Reply { to: to.conn, frame, since_us };
                self.tell(to.shard, reply, effects);
            }
            Waiting::Inbound { to, ticket, count } => {
                self.tell(to, Message::InboundDone { ticket, count, accepted: true }, effects);
            }
            Waiting::Join { room, by, replay } => self.begin_join(room, by, replay, effects),
            Waiting::Publish { room, o, frame, skip, since_us } => {
                self.make_visible(&room, o, frame, (skip, since_us), effects);
            }
            // Nothing overtakes what waits since before the start.
            Waiting::Letter { room, o } if !self.unsent.is_empty() => {
                self.unsent.push_back((room, o));
            }
            Waiting::Letter { room, o } => self.hand_on(&room, o, effects),
            Waiting::Call { event: OutboxEvent::Calling { flight, .. } } => {
                effects.push(Effect::Outbox(OutboxOrder::Go { flight }));
            }
            Waiting::Call { .. } => unreachable!("only calls wait"),
            Waiting::Define { definition } => self.tell_defined(&definition, effects),
            Waiting::Leave { ticket } => self.take_off(ticket, effects),
        }
    }

    /// Nobody can be promised anything now: say so to everyone who waits. What waits to be shown
    /// goes on waiting, since its offset is taken: if the log heals it is shown, and if it does not
    /// the process ends and nobody has seen it.
    fn log_failed(&mut self, effects: &mut Vec<Effect>) {
        self.log.failed = true;
        let refusal = refuse(ErrorCode::LogFull, "the log failed before this was safe; try again");
        for (append, what) in std::mem::take(&mut self.waiting) {
            match what {
                // What answers no request goes with one that is refused here too.
                Waiting::Reply { id: None, .. } => {}
                Waiting::Reply { to, id, .. } => self.refuse(to, id, &refusal, effects),
                Waiting::Inbound { to, ticket, count } => {
                    self.tell(to, Message::InboundDone { ticket, count, accepted: false }, effects);
                }
                Waiting::Join { room, by, .. } => {
                    self.refuse_join(room, &by, refusal.clone(), effects);
                }
                // If it is in the log after all it is sent then, or after the next start.
                Waiting::Publish { .. } | Waiting::Letter { .. } | Waiting::Define { .. } => {
                    self.waiting.push_back((append, what));
                }
                Waiting::Leave { ticket } => self.stay_down(ticket),
                Waiting::Call { event } => effects.push(Effect::Outbox(OutboxOrder::Later(event))),
            }
        }
    }

    fn new_secret(&mut self) -> Secret {
        self.secret_number += 1;
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.options.key).expect("any length");
        mac.update(&self.options.shard.0.to_le_bytes());
        mac.update(&self.secret_number.to_le_bytes());
        let digest = mac.finalize().into_bytes();
        Secret(digest[..16].try_into().expect("a digest has 32 bytes"))
    }

    /// The epoch of today.
    pub fn epoch(&self) -> EpochId {
        self.epochs.current()
    }
}

/// Files a room among those with something to tell.
fn mark_dirty(dirty: &mut Vec<Name>, room: &mut Room) {
    if !room.in_dirty_list {
        room.in_dirty_list = true;
        dirty.push(room.name.clone());
    }
}

fn measure(metric: Metric, since_us: Option<u64>, effects: &mut Vec<Effect>) {
    effects.extend(since_us.map(|since_us| Effect::Measure { metric, since_us }));
}

/// Frames without an offset may be missed by slow readers.
fn class_of(o: Offset) -> Class {
    if o == Offset(0) { Class::Droppable } else { Class::Durable }
}

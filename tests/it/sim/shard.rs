//! A shard without sockets: a hub, and its effects performed as the server's loop performs them.
//!
//! What is published within a turn reaches the members at its end, replies at once: so the order of
//! the two is as loose here as it is there.

use super::net::{Conn, Slots};
use super::plan::{Plan, Plant};
use ringpost::base::clock::Now;
use ringpost::base::codes::CloseReason;
use ringpost::base::ids::{ConnId, Offset, ShardId};
use ringpost::base::limits::{
    SEND_QUEUE_BYTES_MAX, SEND_QUEUE_LAG_BYTES, SEND_QUEUE_RESUME_BYTES, SEND_QUEUE_SHED_BYTES,
};
use ringpost::chat::event::{Class, Effect, Event, Frame, LocalRoom, Message, Name, Record, Want};
use ringpost::chat::hub::{Hub, HubOptions};
use ringpost::chat::reply;

/// A question to the log.
#[derive(Debug)]
pub struct Question {
    /// To find it again.
    pub ticket: u64,
    /// The room.
    pub room: Name,
    /// What it wants to know.
    pub want: Want,
    /// What must be written before.
    pub upto: Offset,
}

/// What a shard wants from the rest of the world.
#[derive(Debug, Default)]
pub struct Outbox {
    /// For other shards.
    pub mail: Vec<(ShardId, Message)>,
    /// For the log.
    pub records: Vec<Record>,
    /// For the archive.
    pub questions: Vec<Question>,
    /// For webhooks: ticket, and whether it is safe.
    pub done: Vec<(u64, bool)>,
    /// Connections cut at once.
    pub cut: Vec<ConnId>,
}

/// One shard.
pub struct Shard {
    /// The code under test.
    pub hub: Hub,
    /// Its connections.
    pub conns: Slots,
    /// How many appends its hub was told are safe.
    pub durable_told: u64,
    /// Its hub was told that the log failed.
    pub failure_told: bool,
    fans: Vec<Fan>,
    dirty: Vec<LocalRoom>,
    lagging: Vec<ConnId>,
    marks: Marks,
}

/// Bytes queued to a connection at which something changes.
#[derive(Clone, Copy, Debug)]
struct Marks {
    shed: usize,
    lag: usize,
    resume: usize,
}

/// The server's own.
const WIDE: Marks = Marks {
    shed: SEND_QUEUE_SHED_BYTES,
    lag: SEND_QUEUE_LAG_BYTES,
    resume: SEND_QUEUE_RESUME_BYTES,
};
/// Reached by a few frames, so that runs spend time behind them.
const NARROW: Marks = Marks { shed: 400, lag: 900, resume: 200 };

/// The members of a local room and what was published this turn.
#[derive(Debug, Default)]
struct Fan {
    members: Vec<(ConnId, usize)>,
    frames: Vec<(Frame, Class)>,
}

impl Shard {
    /// A shard that knows nobody.
    pub fn new(options: HubOptions, now: Now, plan: &Plan) -> Self {
        Self {
            hub: Hub::new(options, now),
            conns: Slots::new(plan.plant == Plant::Generation),
            durable_told: 0,
            failure_told: false,
            fans: Vec::new(),
            dirty: Vec::new(),
            lagging: Vec::new(),
            marks: if plan.narrow { NARROW } else { WIDE },
        }
    }

    /// Gives the hub one event and performs what it answers.
    pub fn tell(&mut self, now: Now, grant: usize, event: Event<'_>, out: &mut Outbox) {
        let mut effects = Vec::new();
        self.hub.grant(grant);
        self.hub.handle(now, event, &mut effects);
        for effect in effects {
            self.perform(effect, out);
        }
    }

    /// Nobody's queue grows without end, however slow it reads.
    fn check_queues(&self) {
        let over = self.conns.ids(|link| link.bytes > 2 * SEND_QUEUE_BYTES_MAX);
        assert!(over.is_empty(), "queued without bound: {over:?}");
    }

    /// The end of a turn: hand out what was published, and look after slow readers.
    pub fn end_turn(&mut self, now: Now, grant: usize, out: &mut Outbox) {
        self.check_queues();
        for conn in self.distribute() {
            let slow = self.conns.get_mut(conn).filter(|link| !link.lagging);
            let Some(link) = slow else { continue };
            link.lagging = true;
            link.shed = true;
            self.lagging.push(conn);
            self.tell(now, grant, Event::Lagging { conn }, out);
        }
        let resume = self.marks.resume;
        let low = |link: &Conn| link.bytes <= resume;
        for conn in std::mem::take(&mut self.lagging) {
            if self.conns.get(conn).is_some_and(low) {
                self.tell(now, grant, Event::Drained { conn }, out);
            }
            let still = self.hub.is_lagging(conn);
            if let Some(link) = self.conns.get_mut(conn) {
                link.lagging = still;
                if still {
                    self.lagging.push(conn);
                }
            }
        }
    }

    fn perform(&mut self, effect: Effect, out: &mut Outbox) {
        match effect {
            Effect::Send { conn, frame } => self.send(conn, frame, out),
            Effect::Cork { conn } => {
                if let Some(link) = self.conns.get_mut(conn) {
                    link.corked = Some(Vec::new());
                }
            }
            Effect::Uncork { conn, first } => self.uncork(conn, first, out),
            Effect::Attach { conn, room } => match self.conns.get_mut(conn) {
                Some(link) if link.corked.is_some() => link.corked_rooms.push(room),
                Some(_) => self.attach(conn, room),
                None => {}
            },
            Effect::Detach { conn, room } => self.detach(conn, room),
            Effect::Publish { room, frame, class, skip } => {
                for conn in self.conns.ids(|link| link.corked_rooms.contains(&room)) {
                    if Some(conn) != skip {
                        self.send(conn, frame.clone(), out);
                    }
                }
                self.publish(room, frame, class, skip);
            }
            Effect::Close { conn, reason } => self.close(conn, reason),
            Effect::ToShard { to, message } => out.mail.push((to, message)),
            Effect::Append(record) => out.records.push(record),
            Effect::Archive { ticket, room, want, upto } => {
                out.questions.push(Question { ticket, room, want, upto });
            }
            Effect::InboundDone { ticket, count, accepted } => {
                out.done.extend((0..count).map(|_| (ticket, accepted)));
            }
            // Nothing can be sent from here, and what contacts say moves nobody.
            Effect::Outbox(_)
            | Effect::Measure { .. }
            | Effect::Defined(_)
            | Effect::Fetch { .. }
            | Effect::Menu { .. }
            | Effect::Execute { .. } => {}
        }
    }

    fn send(&mut self, conn: ConnId, frame: Frame, out: &mut Outbox) {
        let Some(link) = self.conns.get_mut(conn) else {
            return;
        };
        if let Some(held) = &mut link.corked {
            held.push(frame);
        } else if link.queue(frame) > SEND_QUEUE_BYTES_MAX {
            out.cut.push(conn);
        }
    }

    fn uncork(&mut self, conn: ConnId, first: Frame, out: &mut Outbox) {
        let Some(link) = self.conns.get_mut(conn) else {
            return;
        };
        let held = link.corked.take().unwrap_or_default();
        let rooms = std::mem::take(&mut link.corked_rooms);
        self.send(conn, first, out);
        for frame in held {
            self.send(conn, frame, out);
        }
        for room in rooms {
            self.attach(conn, room);
        }
    }

    fn close(&mut self, conn: ConnId, reason: CloseReason) {
        if let Some(link) = self.conns.get_mut(conn) {
            for frame in link.corked.take().unwrap_or_default() {
                link.queue(frame);
            }
            link.corked_rooms.clear();
            link.queue(reply::bye(reason, 0));
            link.closing = Some(reason.code());
            link.up.clear();
        }
    }

    fn attach(&mut self, conn: ConnId, room: LocalRoom) {
        let index = room.0 as usize;
        if self.fans.len() <= index {
            self.fans.resize_with(index + 1, Fan::default);
        }
        let fan = &mut self.fans[index];
        assert!(!fan.members.iter().any(|(member, _)| *member == conn), "attached twice");
        fan.members.push((conn, fan.frames.len()));
    }

    fn detach(&mut self, conn: ConnId, room: LocalRoom) {
        if let Some(link) = self.conns.get_mut(conn) {
            link.corked_rooms.retain(|corked| *corked != room);
        }
        let Some(fan) = self.fans.get_mut(room.0 as usize) else {
            return;
        };
        let Some(index) = fan.members.iter().position(|(member, _)| *member == conn) else {
            return;
        };
        let (_, from) = fan.members.swap_remove(index);
        if let Some(link) = self.conns.get_mut(conn) {
            for (frame, _) in &fan.frames[from..] {
                link.queue(frame.clone());
            }
        }
    }

    fn publish(&mut self, room: LocalRoom, frame: Frame, class: Class, skip: Option<ConnId>) {
        let Some(fan) = self.fans.get_mut(room.0 as usize) else {
            return;
        };
        if fan.members.is_empty() {
            return;
        }
        if fan.frames.is_empty() {
            self.dirty.push(room);
        }
        let begin = fan.frames.len();
        fan.frames.push((frame, class));
        let skipped = fan.members.iter_mut().find(|(conn, _)| Some(*conn) == skip);
        if let Some((conn, from)) = skipped {
            if let Some(link) = self.conns.get_mut(*conn) {
                for (frame, _) in &fan.frames[*from..begin] {
                    link.queue(frame.clone());
                }
            }
            *from = begin + 1;
        }
    }

    /// Gives every member its part of the turn; names those that have too much queued.
    fn distribute(&mut self) -> Vec<ConnId> {
        let mut behind = Vec::new();
        for room in std::mem::take(&mut self.dirty) {
            let fan = &mut self.fans[room.0 as usize];
            let frames = std::mem::take(&mut fan.frames);
            for (conn, from) in &mut fan.members {
                let from = std::mem::take(from);
                let Some(link) = self.conns.get_mut(*conn) else { continue };
                for (frame, class) in &frames[from..] {
                    if *class == Class::Droppable && link.bytes >= self.marks.shed {
                        link.shed = true;
                        continue;
                    }
                    link.queue(frame.clone());
                }
                if link.bytes >= self.marks.lag {
                    behind.push(*conn);
                }
            }
        }
        behind
    }

    /// The connection is gone: free its slot, and tell the hub.
    pub fn closed(&mut self, now: Now, grant: usize, conn: ConnId, code: u16, out: &mut Outbox) {
        if self.conns.remove(conn).is_some() {
            self.tell(now, grant, Event::Closed { conn, code }, out);
        }
        assert!(
            self.fans.iter().all(|fan| fan.members.iter().all(|(member, _)| *member != conn)),
            "a closed connection is still attached"
        );
    }
}

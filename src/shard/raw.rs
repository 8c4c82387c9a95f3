//! Raw rooms: `/room/N` relays each message byte for byte to all members, the sender included.
//!
//! No greeting, no names, no log: what a neutral load generator can be pointed at. The way through
//! the loop is that of chat: a room has one shard that orders it, a message is framed once, and a
//! member gets one slice of what a turn brought.

use super::fan::Fans;
use super::link::{Link, Protocol, RawLink};
use super::socket::After;
use super::turn::Shard;
use super::world::Mail;
use crate::base::codes::CloseReason;
use crate::base::hash::Map;
use crate::base::ids::{ConnId, ShardId};
use crate::base::limits::{
    SEND_QUEUE_BYTES_MAX, WS_FRAGMENTS_MAX, WS_MESSAGE_BYTES_MAX, WS_RAW_FORWARD_BYTES_MAX,
};
use crate::chat::event::LocalRoom;
use crate::wire::ws::encode::{
    encode_binary, encode_close, encode_close_reply, encode_pong, encode_text,
};
use crate::wire::ws::message::{Item, Limits};
use std::sync::Arc;

/// What is said in raw rooms is as long as in chat at most.
const RAW_LIMITS: Limits =
    Limits { message_bytes_max: WS_MESSAGE_BYTES_MAX, fragments_max: WS_FRAGMENTS_MAX };

/// Between the shards of a raw room.
#[derive(Debug)]
pub enum RawMail {
    /// The sender has members of it: to its owner.
    Follow {
        /// The room.
        number: u32,
        /// The sender.
        shard: ShardId,
    },
    /// The sender's last member has left: to its owner.
    Unfollow {
        /// The room.
        number: u32,
        /// The sender.
        shard: ShardId,
    },
    /// Frames of the sender's members: to its owner, who orders them.
    Publish {
        /// The room.
        number: u32,
        /// Whole frames.
        frames: Box<[u8]>,
    },
    /// Frames in their order: from its owner to those who follow.
    Deliver {
        /// The room.
        number: u32,
        /// Whole frames.
        frames: Arc<[u8]>,
    },
}

/// The raw rooms of one shard: those it has members of, and those it owns.
#[derive(Debug, Default)]
pub struct RawRooms {
    fans: Fans,
    places: Map<u32, LocalRoom>,
    rooms: Vec<RawRoom>,
    vacant: Vec<LocalRoom>,
    /// Rooms whose `outgoing` may not be empty.
    unsent: Vec<LocalRoom>,
    behind: Vec<ConnId>,
}

/// A room that nobody is in and nobody follows is forgotten.
#[derive(Debug, Default)]
struct RawRoom {
    number: u32,
    member_count: u32,
    /// Other shards with members; only its owner knows them.
    followers: Vec<ShardId>,
    /// Frames for its owner.
    outgoing: Vec<u8>,
}

impl RawRooms {
    fn place(&mut self, number: u32) -> LocalRoom {
        let (rooms, vacant) = (&mut self.rooms, &mut self.vacant);
        *self.places.entry(number).or_insert_with(|| {
            let room = vacant.pop().unwrap_or_else(|| {
                rooms.push(RawRoom::default());
                LocalRoom(rooms.len() as u32 - 1)
            });
            rooms[room.0 as usize].number = number;
            room
        })
    }

    fn room(&mut self, room: LocalRoom) -> &mut RawRoom {
        &mut self.rooms[room.0 as usize]
    }

    /// Forgets a room that has come to nothing.
    fn tidy(&mut self, room: LocalRoom) {
        let RawRoom { number, member_count, followers, outgoing } = self.room(room);
        if *member_count == 0 && followers.is_empty() && outgoing.is_empty() {
            let number = *number;
            self.places.remove(&number);
            self.vacant.push(room);
        }
    }
}

/// The shard that orders a raw room.
fn owner(number: u32, shard_count: usize) -> ShardId {
    ShardId((number as usize % shard_count) as u16)
}

impl Shard {
    fn raw_owner(&self, number: u32) -> ShardId {
        owner(number, self.world.mail.len())
    }

    /// A connection has become a WebSocket in the raw room `number`.
    pub(super) fn enter_raw(&mut self, conn: ConnId, number: u32) {
        let room = self.raw.place(number);
        self.raw.fans.attach(room, conn);
        let count = &mut self.raw.room(room).member_count;
        *count += 1;
        let (is_first, owner) = (*count == 1, self.raw_owner(number));
        if is_first && owner != self.id {
            self.post(owner, Mail::Raw(RawMail::Follow { number, shard: self.id }));
        }
        if let Some(Link { protocol: Protocol::Raw(raw), .. }) = self.links.get_mut(conn) {
            raw.room = room;
        }
    }

    /// A member goes; it gets what was said until now.
    pub(super) fn leave_raw(&mut self, conn: ConnId, room: LocalRoom) {
        self.raw.fans.detach(room, conn, &mut self.driver);
        let RawRoom { number, member_count, .. } = self.raw.room(room);
        *member_count -= 1;
        let (number, is_last) = (*number, *member_count == 0);
        if is_last {
            self.forward_raw(room);
            let owner = self.raw_owner(number);
            if owner != self.id {
                self.post(owner, Mail::Raw(RawMail::Unfollow { number, shard: self.id }));
            }
            self.raw.tidy(room);
        }
    }

    /// Bytes of a member.
    pub(super) fn on_raw(&mut self, conn: ConnId, bytes: &mut [u8]) {
        let Some(Link { protocol: Protocol::Raw(raw), .. }) = self.links.get_mut(conn) else {
            return;
        };
        let RawLink { decoder, room } = raw;
        let room = *room;
        let number = self.raw.rooms[room.0 as usize].number;
        let is_owner = owner(number, self.world.mail.len()) == self.id;
        let mut at = 0;
        let after = loop {
            let step = match decoder.next(&mut bytes[at..], &RAW_LIMITS) {
                Ok(step) => step,
                Err(reason) => break After::Refuse(reason),
            };
            at += step.consumed;
            let frame = |out: &mut Vec<u8>| match &step.item {
                Some(Item::Text(text)) => encode_text(out, text),
                Some(Item::Binary(data)) => encode_binary(out, data),
                _ => unreachable!("only messages are relayed"),
            };
            match &step.item {
                None => break After::Wait,
                Some(Item::Text(_) | Item::Binary(_)) if is_owner => {
                    self.raw.fans.relay(room, &mut self.driver, frame);
                }
                Some(Item::Text(_) | Item::Binary(_)) => {
                    let outgoing = &mut self.raw.rooms[room.0 as usize].outgoing;
                    if outgoing.is_empty() {
                        self.raw.unsent.push(room);
                    }
                    frame(outgoing);
                    if outgoing.len() > WS_RAW_FORWARD_BYTES_MAX {
                        break After::Refuse(CloseReason::Slow);
                    }
                }
                Some(Item::Ping(payload)) => {
                    self.scratch.clear();
                    encode_pong(&mut self.scratch, payload);
                    self.driver.queue_copy(conn, &self.scratch);
                }
                Some(Item::Pong(_)) => {}
                Some(Item::Close { code, .. }) => {
                    self.scratch.clear();
                    encode_close_reply(&mut self.scratch, *code);
                    break After::Close(code.unwrap_or(1005));
                }
            }
        };
        match after {
            After::Next | After::Wait => {}
            After::Close(code) => self.close_raw(conn, code),
            After::Refuse(reason) => self.refuse_raw(conn, reason),
        }
    }

    /// Lets a member go for a reason of ours: its close frame stands behind what is queued.
    fn refuse_raw(&mut self, conn: ConnId, reason: CloseReason) {
        let (code, name, _) = reason.describe();
        self.scratch.clear();
        encode_close(&mut self.scratch, code, name);
        self.close_raw(conn, code);
    }

    /// Lets a member go with the close frame in the scratch buffer as its last.
    pub(super) fn close_raw(&mut self, conn: ConnId, code: u16) {
        let Some(link) = self.links.get_mut(conn) else {
            return;
        };
        let before = std::mem::replace(&mut link.protocol, Protocol::Closing { chat: false });
        let Protocol::Raw(raw) = before else {
            unreachable!("asked for members only");
        };
        self.leave_raw(conn, raw.room);
        self.finish(conn, code, false);
    }

    pub(super) fn on_raw_mail(&mut self, mail: RawMail) {
        match mail {
            RawMail::Follow { number, shard } => {
                let room = self.raw.place(number);
                self.raw.room(room).followers.push(shard);
            }
            RawMail::Unfollow { number, shard } => {
                let room = self.raw.place(number);
                // It misses what this turn has framed: nobody is left there to read it.
                self.raw.room(room).followers.retain(|follower| *follower != shard);
                self.raw.tidy(room);
            }
            RawMail::Publish { number, frames } => {
                let room = self.raw.place(number);
                let write = |out: &mut Vec<u8>| out.extend_from_slice(&frames);
                self.raw.fans.relay(room, &mut self.driver, write);
                self.raw.tidy(room);
            }
            RawMail::Deliver { number, frames } => {
                if let Some(room) = self.raw.places.get(&number) {
                    let write = |out: &mut Vec<u8>| out.extend_from_slice(&frames);
                    self.raw.fans.relay(*room, &mut self.driver, write);
                }
            }
        }
    }

    /// End of a turn: frames go to the owners of their rooms, to those who follow, to the members.
    pub(super) fn end_raw_turn(&mut self) {
        if !self.raw.unsent.is_empty() {
            for room in std::mem::take(&mut self.raw.unsent) {
                self.forward_raw(room);
            }
        }
        self.deliver_raw();
        let mut behind = std::mem::take(&mut self.raw.behind);
        self.raw.fans.distribute(&mut self.driver, &mut behind);
        for conn in behind.drain(..) {
            if self.driver.queued_bytes(conn) > SEND_QUEUE_BYTES_MAX {
                // It may read again; one that does not is cut when it has stalled for long.
                self.refuse_raw(conn, CloseReason::Slow);
            }
        }
        self.raw.behind = behind;
    }

    fn forward_raw(&mut self, room: LocalRoom) {
        let RawRoom { number, outgoing, .. } = self.raw.room(room);
        if outgoing.is_empty() {
            return;
        }
        let number = *number;
        let owner = self.raw_owner(number);
        // A full mailbox: they wait here, where they are bounded.
        if !self.outbox[usize::from(owner.0)].is_empty() {
            return self.raw.unsent.push(room);
        }
        let frames = self.raw.room(room).outgoing.as_slice().into();
        self.raw.room(room).outgoing.clear();
        self.post(owner, Mail::Raw(RawMail::Publish { number, frames }));
    }

    fn deliver_raw(&mut self) {
        let Self { raw, .. } = self;
        let mut mail = Vec::new();
        for (room, bytes) in raw.fans.turn() {
            let RawRoom { number, followers, .. } = &raw.rooms[room.0 as usize];
            if followers.is_empty() {
                continue;
            }
            let frames: Arc<[u8]> = bytes.into();
            let to_each = followers.iter().map(|shard| (*shard, *number, Arc::clone(&frames)));
            mail.extend(to_each);
        }
        for (shard, number, frames) in mail {
            self.post(shard, Mail::Raw(RawMail::Deliver { number, frames }));
        }
    }
}

//! The members of each local room and the bytes of this turn.
//!
//! What is published within a turn is framed once into the room's buffer; at the end of the turn
//! every member is given one slice of it. So a turn costs O(members + messages), and a member who
//! came in mid-turn is a position in the buffer.

use crate::base::ids::ConnId;
use crate::base::limits::{SEND_QUEUE_LAG_BYTES, SEND_QUEUE_SHED_BYTES};
use crate::chat::event::{Class, LocalRoom};
use crate::net::{Chunk, ChunkPool, Driver};
use crate::wire::ws::encode::encode_text;

/// All local rooms.
#[derive(Debug, Default)]
pub struct Fans {
    rooms: Vec<Fan>,
    /// Rooms with bytes to distribute.
    dirty: Vec<LocalRoom>,
}

/// One local room.
///
/// Invariant: `member.from <= bytes.len()`; outside a turn `bytes` is empty and all `from` are 0.
#[derive(Debug, Default)]
struct Fan {
    members: Vec<Member>,
    /// What was published this turn.
    bytes: Vec<u8>,
    /// The parts of `bytes` that slow readers may miss.
    droppable: Vec<(u32, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    conn: ConnId,
    /// It has everything before this position of the buffer.
    from: u32,
}

impl Fans {
    /// From now on `conn` gets what is published to `room`. It is no member of it yet: the hub
    /// attaches a seat when that goes live, and looking for it here would make a room's opening
    /// cost the square of its members.
    pub fn attach(&mut self, room: LocalRoom, conn: ConnId) {
        self.reach(room);
        let fan = &mut self.rooms[room.0 as usize];
        fan.members.push(Member { conn, from: fan.bytes.len() as u32 });
    }

    /// `conn` gets what was published until now and nothing after it.
    pub fn detach(&mut self, room: LocalRoom, conn: ConnId, driver: &mut Driver) {
        // Whoever was closing or corked when the hub attached it never became a member.
        let Some(fan) = self.rooms.get_mut(room.0 as usize) else {
            return;
        };
        let Some(index) = fan.members.iter().position(|member| member.conn == conn) else {
            return;
        };
        let member = fan.members.swap_remove(index);
        if (member.from as usize) < fan.bytes.len() {
            driver.queue_copy(conn, &fan.bytes[member.from as usize..]);
        }
        if fan.members.is_empty() {
            fan.members = Vec::new();
        }
    }

    /// Frames one text for all members of `room`.
    pub fn publish(
        &mut self,
        room: LocalRoom,
        text: &str,
        class: Class,
        skip: Option<ConnId>,
        driver: &mut Driver,
    ) {
        if self.rooms.get(room.0 as usize).is_none_or(|fan| fan.members.is_empty()) {
            return;
        }
        let fan = self.dirtied(room, driver);
        let begin = fan.bytes.len() as u32;
        encode_text(&mut fan.bytes, text);
        let end = fan.bytes.len() as u32;
        if class == Class::Droppable {
            fan.droppable.push((begin, end));
        }
        let skipped = skip.and_then(|conn| fan.members.iter_mut().find(|m| m.conn == conn));
        if let Some(member) = skipped {
            // Its slice would have a hole: give it the part before now, and go on after it.
            if member.from < begin {
                let before = &fan.bytes[member.from as usize..begin as usize];
                driver.queue_copy(member.conn, before);
            }
            member.from = end;
        }
    }

    /// Adds whole frames for all members of `room`. Unlike [`Self::publish`] also when it has none
    /// here: [`Self::turn`] is to show them.
    pub fn relay(
        &mut self,
        room: LocalRoom,
        driver: &mut Driver,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.reach(room);
        write(&mut self.dirtied(room, driver).bytes);
    }

    /// Makes place for a room.
    fn reach(&mut self, room: LocalRoom) {
        let index = room.0 as usize;
        if self.rooms.len() <= index {
            self.rooms.resize_with(index + 1, Fan::default);
        }
    }

    /// A room that is about to get bytes, which are to be distributed.
    fn dirtied(&mut self, room: LocalRoom, driver: &Driver) -> &mut Fan {
        let fan = &mut self.rooms[room.0 as usize];
        if fan.bytes.is_empty() {
            fan.bytes = driver.pool().vec();
            self.dirty.push(room);
        }
        fan
    }

    /// What this turn has brought so far, room by room.
    pub fn turn(&self) -> impl Iterator<Item = (LocalRoom, &[u8])> {
        self.dirty.iter().map(|room| (*room, &self.rooms[room.0 as usize].bytes[..]))
    }

    /// Gives every member its slice of the turn. Reports those that have too much queued.
    pub fn distribute(&mut self, driver: &mut Driver, behind: &mut Vec<ConnId>) {
        let pool = driver.pool().clone();
        for room in self.dirty.drain(..) {
            self.rooms[room.0 as usize].distribute(driver, &pool, behind);
        }
    }
}

impl Fan {
    fn distribute(&mut self, driver: &mut Driver, pool: &ChunkPool, behind: &mut Vec<ConnId>) {
        let end = self.bytes.len();
        let chunk = pool.chunk(std::mem::take(&mut self.bytes));
        for member in &mut self.members {
            let from = std::mem::take(&mut member.from) as usize;
            if from == end {
                continue;
            }
            let shed = !self.droppable.is_empty()
                && driver.queued_bytes(member.conn) >= SEND_QUEUE_SHED_BYTES;
            let queued = if shed {
                queue_durable(driver, &chunk, member.conn, (from, end), &self.droppable)
            } else {
                driver.queue(member.conn, chunk.slice(from, end))
            };
            if queued >= SEND_QUEUE_LAG_BYTES {
                behind.push(member.conn);
            }
        }
        self.droppable.clear();
    }
}

/// Queues what lies between the droppable parts.
fn queue_durable(
    driver: &mut Driver,
    chunk: &Chunk,
    conn: ConnId,
    (mut from, end): (usize, usize),
    droppable: &[(u32, u32)],
) -> usize {
    let mut queued = driver.queued_bytes(conn);
    let holes = droppable.iter().map(|(begin, end)| (*begin as usize, *end as usize));
    for (begin, after) in holes.chain([(end, end)]) {
        if from < begin {
            queued = driver.queue(conn, chunk.slice(from, begin));
        }
        from = from.max(after);
    }
    queued
}

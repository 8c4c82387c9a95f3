//! Connections: two queues each, and the slots they live in.

use ringpost::base::ids::ConnId;
use ringpost::chat::event::{Frame, LocalRoom};
use std::collections::VecDeque;

/// One connection as the server knows it.
#[derive(Debug, Default)]
pub struct Conn {
    /// The client at the other end; `None` when it vanished without a word.
    pub client: Option<usize>,
    /// Sent by the client, not yet read by the server.
    pub up: VecDeque<String>,
    /// Queued by the server, not yet read by the client.
    pub down: VecDeque<Frame>,
    /// Bytes in `down`.
    pub bytes: usize,
    /// Held back until the reply to `hello`.
    pub corked: Option<Vec<Frame>>,
    /// Rooms to be a member of when it is uncorked.
    pub corked_rooms: Vec<LocalRoom>,
    /// Is fed from history.
    pub lagging: bool,
    /// Was not sent everything of the droppable class.
    pub shed: bool,
    /// The server ends it with this code when `down` is empty.
    pub closing: Option<u16>,
}

impl Conn {
    /// Queues one frame; gives the bytes queued now.
    pub fn queue(&mut self, frame: Frame) -> usize {
        if self.closing.is_none() {
            self.bytes += frame.len();
            self.down.push_back(frame);
        }
        self.bytes
    }
}

/// The connections of one shard.
#[derive(Debug)]
pub struct Slots {
    slots: Vec<(u32, Option<Conn>)>,
    /// The planted bug: a slot keeps its generation.
    keep_generation: bool,
}

impl Slots {
    /// No connections.
    pub fn new(keep_generation: bool) -> Self {
        Self { slots: Vec::new(), keep_generation }
    }

    /// Opens one in the lowest free slot.
    pub fn insert(&mut self, conn: Conn) -> ConnId {
        let free = self.slots.iter().position(|(_, conn)| conn.is_none());
        let index = free.unwrap_or_else(|| {
            self.slots.push((1, None));
            self.slots.len() - 1
        });
        let slot = &mut self.slots[index];
        slot.1 = Some(conn);
        ConnId { index: index as u32, generation: slot.0 }
    }

    /// The very connection.
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.0 == id.generation { slot.1.as_mut() } else { None }
    }

    /// The very connection.
    pub fn get(&self, id: ConnId) -> Option<&Conn> {
        let slot = self.slots.get(id.index as usize)?;
        if slot.0 == id.generation { slot.1.as_ref() } else { None }
    }

    /// Frees its slot.
    pub fn remove(&mut self, id: ConnId) -> Option<Conn> {
        self.get(id)?;
        let slot = &mut self.slots[id.index as usize];
        if !self.keep_generation {
            slot.0 += 1;
        }
        slot.1.take()
    }

    /// All connections for which `wanted` holds.
    pub fn ids(&self, wanted: impl Fn(&Conn) -> bool) -> Vec<ConnId> {
        let live = self.slots.iter().enumerate().filter_map(|(index, (generation, conn))| {
            let id = ConnId { index: index as u32, generation: *generation };
            conn.as_ref().filter(|conn| wanted(conn)).map(|_| id)
        });
        live.collect()
    }
}

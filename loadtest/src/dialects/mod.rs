//! How rooms are spoken of by different servers: one file per dialect, and the table of all.
//!
//! A dialect says how a connection enters its room, how a text is sent to it, and which part of
//! what comes is a text that somebody sent. It never judges: the scenario does.

pub mod raw;

pub mod ringpost;

pub mod nats;

pub mod centrifugo;

pub mod socketio;

pub mod pusher;

use crate::driver::Outbox;
use crate::scenarios::Settings;
use std::borrow::Cow;

/// Where a connection sits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seat {
    /// The connection, among those of this thread.
    pub conn: usize,
    /// The room, among those of all threads.
    pub room: usize,
    /// The member, within its room.
    pub member: usize,
}

/// What a unit of the server's says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard<'a> {
    /// The connection is in its room.
    Ready,
    /// A text that somebody sent to the room.
    Text(Cow<'a, [u8]>),
    /// The server will not have it, for good.
    Refused(String),
    /// Nothing of interest.
    Other,
}

/// Text or binary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A text message.
    Text,
    /// A binary message.
    Binary,
}

/// Units cut from one message.
#[derive(Debug, Default)]
pub struct Units {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Units {
    /// Adds one.
    pub fn push(&mut self, unit: &[u8]) {
        self.bytes.extend_from_slice(unit);
        self.ends.push(self.bytes.len());
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.bytes[begin..*end])
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// One thread's speaker of a dialect.
pub trait Dialect: Send {
    /// The path of a room's connections, where it is not the target's.
    fn path(&self, _room: usize) -> Option<String> {
        None
    }

    /// Whether who sent a text to a room gets it back.
    fn to_sender(&self) -> bool {
        true
    }

    /// A connection is open: the first words. Gives whether it is in its room by that alone.
    fn opened(&mut self, seat: Seat, out: &mut dyn Outbox) -> bool;

    /// Appends the message that sends `text` to the seat's room. `number` is that of the text in
    /// its room; the text needs no escaping in JSON.
    fn send(&mut self, seat: Seat, number: u64, text: &[u8], out: &mut Vec<u8>) -> Form;

    /// Whether a message of the server can hold several units, or a part of one.
    fn splits(&self) -> bool {
        false
    }

    /// Cuts one message of the server into units. One that is an event must have the same bytes for
    /// all members: that is what makes the tester cheap.
    fn split(&mut self, _conn: usize, message: &[u8], units: &mut Units) {
        units.push(message);
    }

    /// What a unit says. Called once for an event of a room, not once per member.
    fn read<'a>(&mut self, seat: Seat, unit: &'a [u8], out: &mut dyn Outbox) -> Heard<'a>;

    /// Whether a unit can be no event: cheaper than [`Dialect::read`], and called first.
    fn is_noise(&self, _unit: &[u8]) -> bool {
        false
    }
}

/// One dialect.
#[derive(Debug)]
pub struct Entry {
    /// As it is called on the command line.
    pub name: &'static str,
    /// One line for the help.
    pub summary: &'static str,
    /// The path when neither the target nor the dialect names one.
    pub path: &'static str,
    /// The sub-protocol to offer.
    pub protocol: Option<&'static str>,
    /// Makes a speaker.
    pub make: fn(&Settings) -> Box<dyn Dialect>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// All dialects, in the order of the help.
pub const DIALECTS: &[Entry] =
    &[raw::ENTRY, ringpost::ENTRY, nats::ENTRY, centrifugo::ENTRY, socketio::ENTRY, pusher::ENTRY];

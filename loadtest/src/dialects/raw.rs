//! Raw rooms: a WebSocket at `/room/N` gets what any member of room N sends, byte for byte.

use super::{Dialect, Entry, Form, Heard, Seat};
use crate::driver::Outbox;
use std::borrow::Cow;

/// The table's entry.
pub const ENTRY: Entry = Entry {
    name: "raw",
    summary: "a WebSocket at /room/N, relayed byte for byte",
    path: "/room/0",
    protocol: None,
    make: |settings| Box::new(Raw { form: settings.form() }),
};

struct Raw {
    form: Form,
}

impl Dialect for Raw {
    fn path(&self, room: usize) -> Option<String> {
        Some(format!("/room/{room}"))
    }

    fn opened(&mut self, _seat: Seat, _out: &mut dyn Outbox) -> bool {
        true
    }

    fn send(&mut self, _seat: Seat, _number: u64, text: &[u8], out: &mut Vec<u8>) -> Form {
        out.extend_from_slice(text);
        self.form
    }

    fn read<'a>(&mut self, _seat: Seat, unit: &'a [u8], _out: &mut dyn Outbox) -> Heard<'a> {
        Heard::Text(Cow::Borrowed(unit))
    }
}

//! `ringpost.v1.json`, the chat protocol, with its acknowledgements and its log.

use super::{Dialect, Entry, Form, Heard, Seat};
use crate::driver::Outbox;
use crate::scenarios::Settings;
use crate::scenarios::chat::wire;
use crate::scenarios::chat::{limits, wire::Heard as Frame};
use std::borrow::Cow;

/// The table's entry.
pub const ENTRY: Entry = Entry {
    name: "ringpost",
    summary: "the chat protocol, acknowledged and logged",
    path: "/ws",
    protocol: Some("ringpost.v1.json"),
    make: |settings| Box::new(Ringpost { settings: settings.clone() }),
};

const ID_HELLO: u64 = 1;
const ID_JOIN: u64 = 2;
/// The `send` of message n has this id plus n.
const ID_SEND: u64 = 10;

struct Ringpost {
    settings: Settings,
}

fn room_name(room: usize) -> String {
    format!("load-{room}")
}

impl Dialect for Ringpost {
    fn opened(&mut self, seat: Seat, out: &mut dyn Outbox) -> bool {
        let user = seat.room * self.settings.members + seat.member;
        out.text(seat.conn, &wire::hello(ID_HELLO, &format!("load-{user}")));
        false
    }

    fn send(&mut self, seat: Seat, number: u64, text: &[u8], out: &mut Vec<u8>) -> Form {
        let cid = format!("{}-{}-{number}", self.settings.tag, seat.room);
        wire::send(out, ID_SEND + number, &room_name(seat.room), &cid, text);
        Form::Text
    }

    fn read<'a>(&mut self, seat: Seat, unit: &'a [u8], out: &mut dyn Outbox) -> Heard<'a> {
        match wire::parse(unit) {
            Ok(Frame::Ok { id: ID_HELLO, d }) => {
                if let Err(failure) = limits::allow(&d["limits"], &self.settings) {
                    let hint = failure.hint.unwrap_or_default();
                    return Heard::Refused(format!("{}; {hint}", failure.what));
                }
                out.text(seat.conn, &wire::join(ID_JOIN, &room_name(seat.room)));
                Heard::Other
            }
            Ok(Frame::Ok { id: ID_JOIN, .. }) => Heard::Ready,
            Ok(Frame::Refused { name, msg, .. }) => Heard::Refused(format!("{name} {msg}")),
            Ok(Frame::Event { frame, .. }) if frame["t"] == "msg" => {
                let text = frame["d"]["text"].as_str().unwrap_or_default();
                Heard::Text(Cow::Owned(text.as_bytes().to_vec()))
            }
            Ok(Frame::Ping) => {
                out.text(seat.conn, wire::PONG);
                Heard::Other
            }
            Ok(Frame::Bye(why)) => Heard::Refused(format!("sent away: {why}")),
            Ok(Frame::Gap { .. }) => Heard::Refused("told of a gap".to_string()),
            Ok(Frame::Ok { .. } | Frame::Event { .. } | Frame::Other) => Heard::Other,
            Err(why) => Heard::Refused(format!("no frame of the protocol: {why}")),
        }
    }

    fn is_noise(&self, unit: &[u8]) -> bool {
        // The acknowledgement of a send; those of hello and join come before any event is due.
        unit.starts_with(br#"{"t":"ok""#)
            && !unit.starts_with(br#"{"t":"ok","id":1,"#)
            && !unit.starts_with(br#"{"t":"ok","id":2,"#)
    }
}

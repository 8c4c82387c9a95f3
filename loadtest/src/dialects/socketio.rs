//! Socket.IO v4 packets in Engine.IO v4 packets, WebSocket only.
//!
//! Rooms are the application's business there. The one that goes with this tester is
//! `benches/peers/socketio.mjs`: the event `join` with the room's name enters it and is
//! acknowledged; the event `message` with the room's name and a text is told to the room, the
//! sender included, as the event `message` with the text.

use super::{Dialect, Entry, Form, Heard, Seat};
use crate::driver::Outbox;
use serde_json::Value;
use std::borrow::Cow;

/// The table's entry.
pub const ENTRY: Entry = Entry {
    name: "socketio",
    summary: "Socket.IO v4, events join and message",
    path: "/socket.io/?EIO=4&transport=websocket",
    protocol: None,
    make: |_| Box::new(SocketIo),
};

const TEXT_HEAD: &[u8] = br#"42["message",""#;
const TEXT_TAIL: &[u8] = br#""]"#;

struct SocketIo;

impl Dialect for SocketIo {
    fn opened(&mut self, _seat: Seat, _out: &mut dyn Outbox) -> bool {
        // The server speaks first.
        false
    }

    fn send(&mut self, seat: Seat, _number: u64, text: &[u8], out: &mut Vec<u8>) -> Form {
        out.extend_from_slice(format!(r#"42["message","room-{}",""#, seat.room).as_bytes());
        out.extend_from_slice(text);
        out.extend_from_slice(TEXT_TAIL);
        Form::Text
    }

    fn read<'a>(&mut self, seat: Seat, unit: &'a [u8], out: &mut dyn Outbox) -> Heard<'a> {
        match unit {
            [b'0', ..] => out.text(seat.conn, b"40"),
            [b'2', ..] => out.text(seat.conn, b"3"),
            [b'4', b'0', ..] => {
                // With an acknowledgement, number 0, which says that the room is entered.
                out.text(seat.conn, format!(r#"420["join","room-{}"]"#, seat.room).as_bytes());
            }
            [b'4', b'3', b'0', b'[', ..] => return Heard::Ready,
            [b'4', b'2', ..] => return event(unit),
            [b'1', ..] | [b'4', b'1', ..] => return Heard::Refused("sent away".into()),
            [b'4', b'4', why @ ..] => {
                return Heard::Refused(String::from_utf8_lossy(why).into_owned());
            }
            _ => {
                let shown = String::from_utf8_lossy(&unit[..unit.len().min(200)]).into_owned();
                return Heard::Refused(format!("no packet of the protocol: {shown}"));
            }
        }
        Heard::Other
    }
}

/// The text of an event, without a parser where it is written as we would write it.
fn event(unit: &[u8]) -> Heard<'_> {
    let inner = unit.strip_prefix(TEXT_HEAD).and_then(|rest| rest.strip_suffix(TEXT_TAIL));
    if let Some(text) = inner.filter(|text| !text.contains(&b'\\') && !text.contains(&b'"')) {
        return Heard::Text(Cow::Borrowed(text));
    }
    match serde_json::from_slice::<Value>(&unit[2..]) {
        Ok(event) if event[0] == "message" => {
            let text = event[1].as_str().unwrap_or_default();
            Heard::Text(Cow::Owned(text.as_bytes().to_vec()))
        }
        Ok(_) => Heard::Other,
        Err(error) => Heard::Refused(format!("no event of the protocol: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events() {
        let text = |text: &str| Heard::Text(Cow::Owned(text.as_bytes().to_vec()));
        assert_eq!(event(br#"42["message","abc"]"#), text("abc"));
        assert_eq!(event(br#"42["message", "a\"b"]"#), text("a\"b"));
        assert_eq!(event(br#"42["other","abc"]"#), Heard::Other);
        assert!(matches!(event(br#"42["message""#), Heard::Refused(_)));
    }
}

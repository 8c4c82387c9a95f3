//! Centrifugo's bidirectional protocol in JSON; a room is the channel `room-N`.
//!
//! Replies of one WebSocket message stand in lines. Subset of the documented client protocol:
//! connect, subscribe, publish, publications, errors and the empty object as ping and pong. The
//! server must let clients without a token connect and subscribers publish
//! (`client.insecure` does both).

use super::{Dialect, Entry, Form, Heard, Seat, Units};
use crate::driver::Outbox;
use serde_json::Value;
use std::borrow::Cow;

/// The table's entry.
pub const ENTRY: Entry = Entry {
    name: "centrifugo",
    summary: "Centrifugo's JSON protocol, the channel room-N",
    path: "/connection/websocket",
    protocol: None,
    make: |_| Box::new(Centrifugo),
};

const ID_CONNECT: u64 = 1;
const ID_SUBSCRIBE: u64 = 2;
/// The `publish` of message n has this id plus n.
const ID_PUBLISH: u64 = 10;

struct Centrifugo;

impl Dialect for Centrifugo {
    fn opened(&mut self, seat: Seat, out: &mut dyn Outbox) -> bool {
        let words = format!(r#"{{"id":{ID_CONNECT},"connect":{{"name":"ringpost-load"}}}}"#);
        out.text(seat.conn, words.as_bytes());
        false
    }

    fn send(&mut self, seat: Seat, number: u64, text: &[u8], out: &mut Vec<u8>) -> Form {
        let (id, room) = (ID_PUBLISH + number, seat.room);
        let head = format!(r#"{{"id":{id},"publish":{{"channel":"room-{room}","data":""#);
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(text);
        out.extend_from_slice(br#""}}"#);
        Form::Text
    }

    fn splits(&self) -> bool {
        true
    }

    fn split(&mut self, _conn: usize, message: &[u8], units: &mut Units) {
        for line in message.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            units.push(line);
        }
    }

    fn read<'a>(&mut self, seat: Seat, unit: &'a [u8], out: &mut dyn Outbox) -> Heard<'a> {
        if unit == b"{}" {
            out.text(seat.conn, b"{}");
            return Heard::Other;
        }
        let Ok(reply) = serde_json::from_slice::<Value>(unit) else {
            let shown = String::from_utf8_lossy(&unit[..unit.len().min(200)]).into_owned();
            return Heard::Refused(format!("no reply of the protocol: {shown}"));
        };
        if let Some(error) = reply.get("error") {
            return Heard::Refused(format!("error {} {}", error["code"], error["message"]));
        }
        if let Some(text) = reply["push"]["pub"]["data"].as_str() {
            return Heard::Text(Cow::Owned(text.as_bytes().to_vec()));
        }
        if let Some(why) = reply["push"].get("disconnect").or(reply["push"].get("unsubscribe")) {
            return Heard::Refused(format!("sent away: {why}"));
        }
        match reply["id"].as_u64() {
            Some(ID_CONNECT) => {
                let room = seat.room;
                let words =
                    format!(r#"{{"id":{ID_SUBSCRIBE},"subscribe":{{"channel":"room-{room}"}}}}"#);
                out.text(seat.conn, words.as_bytes());
                Heard::Other
            }
            Some(ID_SUBSCRIBE) => Heard::Ready,
            _ => Heard::Other,
        }
    }

    fn is_noise(&self, unit: &[u8]) -> bool {
        unit.ends_with(br#""publish":{}}"#)
    }
}

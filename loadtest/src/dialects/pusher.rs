//! The Pusher protocol, version 7; a room is the channel `private-room-N`.
//!
//! Members speak by client events, which only private channels take and which do not go to the
//! sender. The application (`--app KEY:SECRET`) must allow them. Subset of the documented protocol:
//! connection_established, subscribe with its signature, client events, ping and pong, error.

use super::{Dialect, Entry, Form, Heard, Seat};
use crate::driver::Outbox;
use ringpost::base::secret::Secret;
use ringpost::whatsapp::signature;
use serde_json::Value;
use std::borrow::Cow;

/// The table's entry.
pub const ENTRY: Entry = Entry {
    name: "pusher",
    summary: "Pusher's client events, --app KEY:SECRET; not told to the sender",
    path: "/app/app-key?protocol=7",
    protocol: None,
    make: |settings| {
        let (key, secret) = settings.app.split_once(':').unwrap_or((&settings.app, ""));
        Box::new(Pusher { key: key.to_owned(), secret: Secret::new(secret.as_bytes().to_vec()) })
    },
};

struct Pusher {
    key: String,
    secret: Secret,
}

impl Pusher {
    /// The answer to `connection_established`: the subscription with the proof that the
    /// application's owner allows it.
    fn subscribe(&self, seat: Seat, established: &Value) -> Result<String, String> {
        let data: Value = serde_json::from_str(established.as_str().unwrap_or_default())
            .map_err(|error| format!("no data of the protocol: {error}"))?;
        let socket = data["socket_id"].as_str().ok_or("no socket_id was given")?;
        let channel = format!("private-room-{}", seat.room);
        let signed = signature::sign(format!("{socket}:{channel}").as_bytes(), &self.secret);
        let proof = signed.strip_prefix("sha256=").unwrap_or(&signed);
        let key = &self.key;
        let data = format!(r#"{{"auth":"{key}:{proof}","channel":"{channel}"}}"#);
        Ok(format!(r#"{{"event":"pusher:subscribe","data":{data}}}"#))
    }
}

impl Dialect for Pusher {
    fn path(&self, _room: usize) -> Option<String> {
        let version = env!("CARGO_PKG_VERSION");
        Some(format!("/app/{}?protocol=7&client=ringpost-load&version={version}", self.key))
    }

    fn to_sender(&self) -> bool {
        false
    }

    fn opened(&mut self, _seat: Seat, _out: &mut dyn Outbox) -> bool {
        // The server speaks first.
        false
    }

    fn send(&mut self, seat: Seat, _number: u64, text: &[u8], out: &mut Vec<u8>) -> Form {
        let room = seat.room;
        let head =
            format!(r#"{{"event":"client-message","channel":"private-room-{room}","data":""#);
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(text);
        out.extend_from_slice(br#""}"#);
        Form::Text
    }

    fn read<'a>(&mut self, seat: Seat, unit: &'a [u8], out: &mut dyn Outbox) -> Heard<'a> {
        let frame: Value = match serde_json::from_slice(unit) {
            Ok(frame) => frame,
            Err(error) => return Heard::Refused(format!("no event of the protocol: {error}")),
        };
        match frame["event"].as_str().unwrap_or_default() {
            "client-message" => {
                let text = frame["data"].as_str().unwrap_or_default();
                Heard::Text(Cow::Owned(text.as_bytes().to_vec()))
            }
            "pusher:connection_established" => match self.subscribe(seat, &frame["data"]) {
                Ok(words) => {
                    out.text(seat.conn, words.as_bytes());
                    Heard::Other
                }
                Err(why) => Heard::Refused(why),
            },
            "pusher_internal:subscription_succeeded" => Heard::Ready,
            "pusher:ping" => {
                out.text(seat.conn, br#"{"event":"pusher:pong","data":{}}"#);
                Heard::Other
            }
            "pusher:error" | "pusher:subscription_error" => {
                Heard::Refused(format!("error {}", frame["data"]))
            }
            _ => Heard::Other,
        }
    }
}

//! The frames of `ringpost.v1.json` that this scenario speaks (docs/PROTOCOL.md). Pure.

use serde_json::{Value, json};
use std::io::Write;

/// What a frame of the server says, as far as this scenario cares.
#[derive(Clone, PartialEq, Debug)]
pub enum Heard {
    /// A request was carried out.
    Ok {
        /// The request's id.
        id: u64,
        /// Its result.
        d: Value,
    },
    /// A request was refused.
    Refused {
        /// The request's id, unless it had none.
        id: Option<u64>,
        /// Stable name of the error.
        name: String,
        /// The server's words.
        msg: String,
        /// When to try again, milliseconds.
        after_ms: Option<u64>,
    },
    /// A durable event: it has an offset.
    Event {
        /// The offset in its room.
        o: u64,
        /// The whole event, of any kind.
        frame: Value,
    },
    /// Wants any frame back.
    Ping,
    /// Durable events were skipped; they are to be paged from history.
    Gap {
        /// The last of them.
        to: u64,
    },
    /// The server is about to close.
    Bye(String),
    /// Anything that may be left out.
    Other,
}

/// Reads one frame.
///
/// # Errors
/// A clause about what is no frame of the protocol.
pub fn parse(payload: &[u8]) -> Result<Heard, String> {
    let mut frame: Value = serde_json::from_slice(payload)
        .map_err(|error| format!("{error} in {:?}", String::from_utf8_lossy(payload)))?;
    let id = frame["id"].as_u64();
    let heard = match (frame["t"].as_str().unwrap_or_default(), id) {
        ("ok", Some(id)) => Heard::Ok { id, d: frame["d"].take() },
        ("err", id) => {
            let text = |key: &str| frame["d"][key].as_str().unwrap_or_default().to_string();
            let after_ms = frame["d"]["after_ms"].as_u64();
            Heard::Refused { id, name: text("name"), msg: text("msg"), after_ms }
        }
        ("", _) => return Err(format!("no \"t\" in {frame}")),
        ("ping", _) => Heard::Ping,
        ("gap", _) => Heard::Gap { to: frame["d"]["to"].as_u64().unwrap_or(0) },
        ("bye", _) => Heard::Bye(frame["d"]["reason"].to_string()),
        _ => match frame["o"].as_u64() {
            Some(o) => Heard::Event { o, frame },
            None => Heard::Other,
        },
    };
    Ok(heard)
}

/// `hello` of a user, in development mode.
pub fn hello(id: u64, user: &str) -> Vec<u8> {
    let d = json!({"user": user, "client": concat!("ringpost-load/", env!("CARGO_PKG_VERSION"))});
    json!({"t": "hello", "id": id, "d": d}).to_string().into_bytes()
}

/// `join` without replay.
pub fn join(id: u64, room: &str) -> Vec<u8> {
    json!({"t": "join", "id": id, "room": room, "d": {}}).to_string().into_bytes()
}

/// `history` after an offset.
pub fn history(id: u64, room: &str, after: u64, limit: u64) -> Vec<u8> {
    let d = json!({"after": after, "limit": limit});
    json!({"t": "history", "id": id, "room": room, "d": d}).to_string().into_bytes()
}

/// The answer to a ping.
pub const PONG: &[u8] = br#"{"t":"pong"}"#;

/// Appends a `send`. Names and text must need no escaping in JSON; the scenario makes them so.
pub fn send(out: &mut Vec<u8>, id: u64, room: &str, cid: &str, text: &[u8]) {
    write!(out, r#"{{"t":"send","id":{id},"room":"{room}","d":{{"cid":"{cid}","text":""#)
        .expect("memory takes it");
    out.extend_from_slice(text);
    out.extend_from_slice(br#""}}"#);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_the_server() {
        check(r#"{"t":"ok","id":3,"d":{"o":7}}"#, r#"Ok { id: 3, d: Object {"o": Number(7)} }"#);
        check(
            r#"{"t":"err","id":4,"d":{"code":429,"name":"rate_limited","msg":"m","after_ms":8}}"#,
            r#"Refused { id: Some(4), name: "rate_limited", msg: "m", after_ms: Some(8) }"#,
        );
        check(r#"{"t":"ping"}"#, "Ping");
        check(r#"{"t":"typing","room":"r","d":{"user":"u"}}"#, "Other");
        check(r#"{"t":"gap","room":"r","d":{"from":3,"to":9}}"#, "Gap { to: 9 }");
        check(r#"{"t":"bye","d":{"code":4000,"reason":"drain"}}"#, r#"Bye("\"drain\"")"#);
        check(r#"{"x":1}"#, r#"error: no "t" in {"x":1}"#);
        check("nonsense", r#"error: expected ident at line 1 column 2 in "nonsense""#);
        let event = parse(br#"{"t":"edit","room":"r","o":5,"d":{}}"#);
        assert!(matches!(event, Ok(Heard::Event { o: 5, .. })), "{event:?}");
    }

    #[track_caller]
    fn check(frame: &str, want: &str) {
        let got = match parse(frame.as_bytes()) {
            Ok(heard) => format!("{heard:?}"),
            Err(why) => format!("error: {why}"),
        };
        assert_eq!(got, want);
    }

    #[test]
    fn frames_of_ours_are_json() {
        let mut out = Vec::new();
        send(&mut out, 9, "load-0", "t-0-1", b"hello");
        let frame: Value = serde_json::from_slice(&out).expect("json");
        let d = json!({"cid": "t-0-1", "text": "hello"});
        assert_eq!(frame, json!({"t": "send", "id": 9, "room": "load-0", "d": d}));
    }
}

//! NATS's own protocol in WebSocket messages; a room is the subject `room.N`.
//!
//! The stream of lines pays no heed to the borders of messages: a unit may begin in one and end in
//! another. Subset of the client protocol in the documentation of NATS: INFO, CONNECT, SUB, PUB,
//! MSG, PING, PONG, -ERR. Members of a room use the same subscription id, so that all get the same
//! bytes.

use super::{Dialect, Entry, Form, Heard, Seat, Units};
use crate::driver::Outbox;
use std::borrow::Cow;

/// The table's entry.
pub const ENTRY: Entry = Entry {
    name: "nats",
    summary: "NATS over WebSocket, the subject room.N",
    path: "/",
    protocol: None,
    make: |_| Box::new(Nats { carries: Vec::new() }),
};

/// Answered by PONG when the server has taken what came before.
const CONNECT: &str = concat!(
    r#"CONNECT {"verbose":false,"pedantic":false,"echo":true,"protocol":1,"lang":"rust","#,
    r#""version":""#,
    env!("CARGO_PKG_VERSION"),
    r#"","name":"ringpost-load"}"#,
    "\r\n"
);
/// The longest line without its end that is waited for.
const LINE_BYTES_MAX: usize = 1 << 16;

struct Nats {
    /// By connection: the beginning of a unit that is not whole yet.
    carries: Vec<Vec<u8>>,
}

impl Dialect for Nats {
    fn opened(&mut self, seat: Seat, out: &mut dyn Outbox) -> bool {
        if self.carries.len() <= seat.conn {
            self.carries.resize_with(seat.conn + 1, Vec::new);
        }
        self.carries[seat.conn].clear();
        let words = format!("{CONNECT}SUB room.{} 1\r\nPING\r\n", seat.room);
        out.binary(seat.conn, words.as_bytes());
        false
    }

    fn send(&mut self, seat: Seat, _number: u64, text: &[u8], out: &mut Vec<u8>) -> Form {
        out.extend_from_slice(format!("PUB room.{} {}\r\n", seat.room, text.len()).as_bytes());
        out.extend_from_slice(text);
        out.extend_from_slice(b"\r\n");
        Form::Binary
    }

    fn splits(&self) -> bool {
        true
    }

    fn split(&mut self, conn: usize, message: &[u8], units: &mut Units) {
        let carry = &mut self.carries[conn];
        if carry.is_empty() {
            let taken = cut(message, units);
            carry.extend_from_slice(&message[taken..]);
        } else {
            carry.extend_from_slice(message);
            let taken = cut(carry, units);
            carry.drain(..taken);
        }
    }

    fn read<'a>(&mut self, seat: Seat, unit: &'a [u8], out: &mut dyn Outbox) -> Heard<'a> {
        let shown = || String::from_utf8_lossy(&unit[..unit.len().min(200)]).trim().to_owned();
        match unit.split(|byte| matches!(byte, b' ' | b'\r')).next().unwrap_or_default() {
            b"MSG" => match message(unit) {
                Some(text) => Heard::Text(Cow::Borrowed(text)),
                None => Heard::Refused(format!("no message of the protocol: {}", shown())),
            },
            b"PONG" => Heard::Ready,
            b"PING" => {
                out.binary(seat.conn, b"PONG\r\n");
                Heard::Other
            }
            b"INFO" | b"+OK" => Heard::Other,
            b"-ERR" => Heard::Refused(shown()),
            _ => Heard::Refused(format!("no operation of the protocol: {}", shown())),
        }
    }
}

/// Cuts whole units from the front; gives the bytes taken.
fn cut(bytes: &[u8], units: &mut Units) -> usize {
    let mut taken = 0;
    loop {
        let rest = &bytes[taken..];
        let Some(line) = line_size(rest) else {
            if rest.len() > LINE_BYTES_MAX {
                // It has no end: whoever reads it will say so.
                units.push(rest);
                return bytes.len();
            }
            return taken;
        };
        let size = line + payload_size(&rest[..line]).map_or(0, |size| size + 2);
        if size > rest.len() {
            return taken;
        }
        units.push(&rest[..size]);
        taken += size;
    }
}

/// The size of the first line with its end.
fn line_size(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1)
}

/// What the line `MSG <subject> <sid> [reply-to] <#bytes>` announces.
fn payload_size(line: &[u8]) -> Option<usize> {
    let line = std::str::from_utf8(line).ok()?.strip_prefix("MSG ")?;
    let size = line.trim_end().rsplit(' ').next()?.parse().ok()?;
    (size <= crate::frame::MESSAGE_BYTES_MAX).then_some(size)
}

/// The payload of a whole MSG.
fn message(unit: &[u8]) -> Option<&[u8]> {
    let line = line_size(unit)?;
    payload_size(&unit[..line])?;
    unit[line..].strip_suffix(b"\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_cut_from_a_stream() {
        let stream: &[u8] =
            b"INFO {}\r\nMSG room.1 1 5\r\na\r\nb\n\r\nPING\r\nMSG room.1 1 0\r\n\r\n";
        let want: [&[u8]; 4] = [
            b"INFO {}\r\n",
            b"MSG room.1 1 5\r\na\r\nb\n\r\n",
            b"PING\r\n",
            b"MSG room.1 1 0\r\n\r\n",
        ];
        for first in 0..=stream.len() {
            let mut nats = Nats { carries: vec![Vec::new()] };
            let mut units = Units::default();
            nats.split(0, &stream[..first], &mut units);
            nats.split(0, &stream[first..], &mut units);
            assert_eq!(units.iter().collect::<Vec<_>>(), want, "cut at {first}");
        }
        assert_eq!(message(want[1]), Some(&b"a\r\nb\n"[..]));
        assert_eq!(message(b"MSG room.1 1 x\r\n"), None);
    }

    #[test]
    fn an_endless_line_is_given_up() {
        let mut units = Units::default();
        assert_eq!(cut(&[b'x'; LINE_BYTES_MAX + 1], &mut units), LINE_BYTES_MAX + 1);
        assert_eq!(units.iter().count(), 1);
    }
}

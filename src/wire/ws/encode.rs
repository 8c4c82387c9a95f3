//! Messages to frames.
//!
//! Every function appends to `out`, so a turn's frames gather in one buffer and leave in one send.
//! Frames are whole: nothing here fragments.

use super::close::{cut_reason, is_valid_code};
use super::deflate::Deflater;
use super::frame::{Form, HEADER_BYTES_MAX, Opcode, encode_header};
use super::mask;
use super::negotiate::{Direction, Takeover};

/// The two kinds of messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

impl Kind {
    const fn opcode(self) -> Opcode {
        match self {
            Self::Text => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }
}

/// Appends a text frame.
pub fn encode_text(out: &mut Vec<u8>, payload: &str) {
    encode_frame(out, Opcode::Text, payload.as_bytes());
}

/// Appends a binary frame.
pub fn encode_binary(out: &mut Vec<u8>, payload: &[u8]) {
    encode_frame(out, Opcode::Binary, payload);
}

/// Appends a ping; at most 125 bytes of payload.
pub fn encode_ping(out: &mut Vec<u8>, payload: &[u8]) {
    encode_frame(out, Opcode::Ping, payload);
}

/// Appends a pong; at most 125 bytes of payload, those of the ping (RFC 6455 §5.5.3).
pub fn encode_pong(out: &mut Vec<u8>, payload: &[u8]) {
    encode_frame(out, Opcode::Pong, payload);
}

/// Appends a close frame. A reason over 123 bytes is cut between two characters.
pub fn encode_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    assert!(is_valid_code(code));
    let reason = cut_reason(reason);
    encode_header(out, Opcode::Close, Form::Plain, 2 + reason.len(), None);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// Appends the answer to a peer's close: its code again, or none if it gave none (§5.5.1).
pub fn encode_close_reply(out: &mut Vec<u8>, code: Option<u16>) {
    match code {
        Some(code) => encode_close(out, code, ""),
        None => encode_frame(out, Opcode::Close, &[]),
    }
}

/// Appends a server's frame, uncompressed.
pub fn encode_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    out.reserve(HEADER_BYTES_MAX + payload.len());
    encode_header(out, opcode, Form::Plain, payload.len(), None);
    out.extend_from_slice(payload);
}

/// Appends a client's frame, uncompressed, masked with `key`: for load tools and tests.
///
/// RFC 6455 §5.3 wants a fresh unpredictable key per frame from a client that runs strangers'
/// scripts; who calls this decides.
pub fn encode_masked(out: &mut Vec<u8>, opcode: Opcode, key: [u8; 4], payload: &[u8]) {
    out.reserve(HEADER_BYTES_MAX + payload.len());
    encode_header(out, opcode, Form::Plain, payload.len(), Some(key));
    let begin = out.len();
    out.extend_from_slice(payload);
    let _ = mask::apply(key, &mut out[begin..]);
}

/// The sending half of the agreed compression.
///
/// With [`Takeover::Reset`] an encoder belongs to nobody: keep one per shard and window size, and
/// send what it gives to every connection that agreed on that size or a larger one. With
/// [`Takeover::Keep`] it belongs to one connection: everything it encodes must be sent there, in
/// that order, and nothing that another encoder deflated.
#[derive(Debug)]
pub struct Encoder {
    direction: Direction,
    /// Made for the first message that is compressed: most connections never have one.
    deflater: Option<Box<Deflater>>,
}

impl Encoder {
    /// `direction` is the server's half of the agreed parameters.
    pub const fn new(direction: Direction) -> Self {
        Self { direction, deflater: None }
    }

    /// Appends a whole message as one frame, deflated if it has at least `compress_bytes_min`
    /// bytes. (Every message may choose: RFC 7692 §6.) An empty message is never deflated; one that
    /// does not shrink is, and grows by a few bytes: `compress_bytes_min` is there to prevent it.
    pub fn encode(
        &mut self,
        kind: Kind,
        message: &[u8],
        compress_bytes_min: usize,
        out: &mut Vec<u8>,
    ) {
        if message.len() < compress_bytes_min.max(1) {
            return encode_frame(out, kind.opcode(), message);
        }
        // The length of the header is known after deflating, so deflate behind the longest one
        // and move the result, which is cheaper than a second buffer.
        let begin = out.len();
        let body = begin + HEADER_BYTES_MAX;
        out.resize(body, 0);
        let direction = self.direction;
        let deflater = self.deflater.get_or_insert_with(|| Box::new(Deflater::new(direction)));
        deflater.push(message, out);
        let end = out.len();
        encode_header(out, kind.opcode(), Form::Deflated, end - body, None);
        let header_bytes = out.len() - end;
        assert!(header_bytes <= HEADER_BYTES_MAX);
        out.copy_within(body..end, begin + header_bytes);
        out.copy_within(end.., begin);
        out.truncate(begin + header_bytes + (end - body));
    }

    /// Gives the context's memory back, where no later message needs it.
    pub fn release(&mut self) {
        if self.direction.takeover == Takeover::Reset {
            self.deflater = None;
        }
    }
}

const _: () = assert!(size_of::<Encoder>() <= 16);

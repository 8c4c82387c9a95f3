//! The client's side of WebSocket: opening handshake, masked frames out, unmasked frames in.
//!
//! Written apart from the server's codec on purpose: a fault shared by both ends would be seen by
//! neither. RFC 6455 §4.1 (handshake), §5.2 (frames), §5.3 (masking). Extensions are never offered.

use tungstenite::handshake::derive_accept_key;

/// A message of a server beyond this many bytes ends the run: no scenario asks for more.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// A response head beyond this many bytes is not one of ours.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Any 16 bytes will do (§4.1): the key only proves that the server speaks WebSocket.
const KEY: &str = "cmluZ3Bvc3QtbG9hZC0wMQ==";

/// Opcodes of §11.8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opcode {
    /// Continues a fragmented message.
    Continuation,
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
    /// The sender is about to close.
    Close,
    /// Asks for a pong with the same payload.
    Ping,
    /// Answers a ping.
    Pong,
}

impl Opcode {
    const ALL: [(Self, u8); 6] = [
        (Self::Continuation, 0),
        (Self::Text, 1),
        (Self::Binary, 2),
        (Self::Close, 8),
        (Self::Ping, 9),
        (Self::Pong, 10),
    ];

    fn bits(self) -> u8 {
        Self::ALL.iter().find(|(opcode, _)| *opcode == self).expect("all opcodes are listed").1
    }

    fn from_bits(bits: u8) -> Option<Self> {
        Self::ALL.iter().find(|(_, own)| *own == bits).map(|(opcode, _)| *opcode)
    }
}

/// One frame of the server, its payload still in the input.
#[derive(PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// Whether this frame ends its message.
    pub fin: bool,
    /// What it carries.
    pub opcode: Opcode,
    /// The payload.
    pub payload: &'a [u8],
    /// Bytes of the input that the frame took, head included.
    pub size: usize,
}

/// Reads one frame; `Ok(None)` when the input ends before the frame does.
///
/// # Errors
/// A sentence naming the rule of RFC 6455 §5 that the server broke.
pub fn decode(input: &[u8]) -> Result<Option<Frame<'_>>, String> {
    let [first, second, rest @ ..] = input else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err("the server set reserved bits without an extension".into());
    }
    if second & 0x80 != 0 {
        return Err("the server masked a frame".into());
    }
    let Some(opcode) = Opcode::from_bits(first & 0x0f) else {
        return Err(format!("the server sent the unknown opcode {}", first & 0x0f));
    };
    let (size, rest) = match second & 0x7f {
        126 => match rest.split_first_chunk::<2>() {
            Some((bytes, rest)) => (u64::from(u16::from_be_bytes(*bytes)), rest),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk::<8>() {
            Some((bytes, rest)) => (u64::from_be_bytes(*bytes), rest),
            None => return Ok(None),
        },
        short => (u64::from(short), rest),
    };
    if size > MESSAGE_BYTES_MAX as u64 {
        return Err(format!("the server announced a frame of {size} bytes"));
    }
    let size = size as usize;
    if rest.len() < size {
        return Ok(None);
    }
    let head = input.len() - rest.len();
    let (payload, fin) = (&rest[..size], first & 0x80 != 0);
    Ok(Some(Frame { fin, opcode, payload, size: head + size }))
}

/// Appends one whole, masked frame.
pub fn encode(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: u32) {
    out.push(0x80 | opcode.bits());
    match payload.len() {
        len @ 0..126 => out.push(0x80 | len as u8),
        len @ 126..65_536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    let key = mask.to_ne_bytes();
    out.extend_from_slice(&key);
    let begin = out.len();
    out.extend_from_slice(payload);
    let wide = u64::from(mask) << 32 | u64::from(mask);
    let mut words = out[begin..].chunks_exact_mut(8);
    for word in &mut words {
        let bytes: [u8; 8] = (*word).try_into().expect("chunks of eight");
        word.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ wide).to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// The opening request, offering `protocol` when there is one (§4.1).
pub fn request(host: &str, path: &str, protocol: Option<&str>) -> String {
    let offer = match protocol {
        Some(name) => format!("Sec-WebSocket-Protocol: {name}\r\n"),
        None => String::new(),
    };
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{offer}\r\n"
    )
}

/// Reads the server's answer to [`request`]: the bytes it took, or `None` when it is not complete.
///
/// # Errors
/// A sentence with the status line when the server refused, or with the rule of §4.1 it broke.
pub fn accept(input: &[u8]) -> Result<Option<usize>, String> {
    let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") else {
        if input.len() > HEAD_BYTES_MAX {
            return Err("the answer to the handshake has no end".into());
        }
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&input[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 101") {
        let body = String::from_utf8_lossy(&input[end + 4..]);
        let body = body.lines().next().unwrap_or_default();
        return Err(format!("the server refused the WebSocket: {status:?} {body:?}"));
    }
    let wanted = derive_accept_key(KEY.as_bytes());
    let given = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-accept").then(|| value.trim())
    });
    if given != Some(wanted.as_str()) {
        return Err(format!("the accept key is {given:?}, not {wanted:?}"));
    }
    Ok(Some(end + 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use tungstenite::protocol::Role;
    use tungstenite::{Message, WebSocket};

    /// What the independent codec makes of our frame.
    #[test]
    fn a_foreign_server_reads_our_frames() {
        for size in [0, 1, 7, 8, 9, 125, 126, 127, 65_535, 65_536, 70_001] {
            let payload: Vec<u8> = (0..size).map(|n| b'a' + (n % 26) as u8).collect();
            let mut bytes = Vec::new();
            encode(&mut bytes, Opcode::Text, &payload, 0x1234_5678);
            let mut server = WebSocket::from_raw_socket(Cursor::new(bytes), Role::Server, None);
            let text = String::from_utf8(payload).expect("letters");
            assert_eq!(server.read().expect("a frame"), Message::text(text), "{size}");
        }
    }

    #[test]
    fn every_prefix_of_a_frame_is_incomplete() {
        for size in [0, 1, 125, 126, 300, 65_536] {
            let mut server =
                WebSocket::from_raw_socket(Cursor::new(Vec::new()), Role::Server, None);
            let payload: Vec<u8> = (0..size).map(|n| n as u8).collect();
            server.send(Message::binary(payload.clone())).expect("memory takes it");
            let bytes = server.get_ref().get_ref().clone();
            for end in (0..bytes.len()).step_by(1 + bytes.len() / 200) {
                assert_eq!(decode(&bytes[..end]), Ok(None), "{size} at {end}");
            }
            let frame = decode(&bytes).expect("valid").expect("complete");
            assert_eq!((frame.payload, frame.size), (&payload[..], bytes.len()));
            assert_eq!((frame.fin, frame.opcode), (true, Opcode::Binary));
        }
    }

    #[test]
    fn broken_frames() {
        let check = |input: &[u8], want: &str| {
            let why = decode(input).expect_err("broken");
            assert!(why.contains(want), "{why}");
        };
        check(&[0xc1, 0], "reserved bits");
        check(&[0x81, 0x80], "masked");
        check(&[0x83, 0], "unknown opcode 3");
        check(&[0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0], "announced");
    }

    #[test]
    fn answers_to_the_handshake() {
        let accept_key = derive_accept_key(KEY.as_bytes());
        let good = format!(
            "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-ACCEPT: {accept_key}\r\n\r\n"
        );
        assert_eq!(accept(good.as_bytes()), Ok(Some(good.len())));
        assert_eq!(accept(&good.as_bytes()[..good.len() - 1]), Ok(None));
        let check = |answer: &str, want: &str| {
            let why = accept(answer.as_bytes()).expect_err("refused");
            assert!(why.contains(want), "{why}");
        };
        check("HTTP/1.1 404 Not Found\r\n\r\nno echo here\n", "404 Not Found\" \"no echo here");
        check("HTTP/1.1 101 Ok\r\nSec-WebSocket-Accept: x\r\n\r\n", "accept key");
        check(&"x".repeat(20_000), "no end");
    }
}

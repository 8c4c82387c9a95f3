//! One frame header, in and out (RFC 6455 §5.2).
//!
//! ```text
//!  byte 0              byte 1           then                      then
//! |FIN|RSV1|RSV2|RSV3|opcode:4|MASK|length:7|  0, 2 or 8 bytes length  |  0 or 4 bytes key  |
//! ```
//!
//! **Never:** looks at the payload, or at a limit of the caller: the length is handed over as it
//! was announced, and whoever keeps bytes compares it first.

use crate::base::codes::CloseReason;
use crate::base::limits::WS_CONTROL_BYTES_MAX;

/// The longest header: two bytes, a 64-bit length, a key.
pub const HEADER_BYTES_MAX: usize = 14;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_RSV3: u8 = 0x30;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

const _: () = assert!(WS_CONTROL_BYTES_MAX < LENGTH_16 as usize, "control frames have one length");

/// What a frame is (RFC 6455 §11.8). The other eleven values are reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opcode {
    /// A further fragment of the message that was begun.
    Continuation,
    /// The first fragment of a text.
    Text,
    /// The first fragment of a binary message.
    Binary,
    /// The peer closes, and says why.
    Close,
    /// A question whose answer is a pong with the same bytes.
    Ping,
    /// The answer to a ping, or a heartbeat.
    Pong,
}

impl Opcode {
    /// The four bits on the wire.
    pub const fn to_bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    /// The inverse of [`Opcode::to_bits`]; `None` for a reserved value.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    /// Whether it is close, ping or pong: short, whole, and allowed between fragments (§5.5).
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// Who sent the bytes: clients must mask, servers must not (RFC 6455 §5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sender {
    /// Frames are masked.
    Client,
    /// Frames are not masked.
    Server,
}

/// Whether RSV1 may mark a compressed message (RFC 7692 §6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    /// Not negotiated: RSV1 is a violation.
    Absent,
    /// Negotiated: RSV1 may stand on the first frame of a message.
    Agreed,
}

/// A frame header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Whether this is the last frame of its message.
    pub fin: bool,
    /// RSV1 on the first frame: the message is deflated.
    pub compressed: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// Announced length of the payload: below 2^63, and believed by nobody.
    pub payload_bytes: u64,
    /// The masking key; zero for a server's frame, where XOR with it changes nothing.
    pub key: [u8; 4],
    /// Length of this header on the wire: 2 to [`HEADER_BYTES_MAX`].
    pub header_bytes: u8,
}

/// Running out of input is neither success nor failure: it is the third answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decoded {
    /// The header stands whole at the beginning of the input.
    Complete(Header),
    /// More bytes are needed. Nothing was consumed.
    Incomplete,
}

/// Reads the header at the beginning of `input`.
///
/// Fails with [`CloseReason::Protocol`] as soon as the offending byte has arrived: reserved bits
/// and opcodes, RSV1 on anything but the first frame of a message, a mask that should (not) be
/// there, long or fragmented control frames (§5.5), a length that has a shorter form or bit 63 set
/// (§5.2).
pub fn decode(
    input: &[u8],
    sender: Sender,
    compression: Compression,
) -> Result<Decoded, CloseReason> {
    let Some((&first, rest)) = input.split_first() else {
        return Ok(Decoded::Incomplete);
    };
    let (fin, compressed, opcode) = decode_first(first, compression)?;
    let Some((&second, rest)) = rest.split_first() else {
        return Ok(Decoded::Incomplete);
    };
    let masked = second & MASKED != 0;
    if masked != (sender == Sender::Client) {
        return Err(CloseReason::Protocol);
    }
    if opcode.is_control() && second & LENGTH > WS_CONTROL_BYTES_MAX as u8 {
        return Err(CloseReason::Protocol);
    }
    let Some((payload_bytes, rest)) = decode_length(second & LENGTH, rest)? else {
        return Ok(Decoded::Incomplete);
    };
    let (key, rest) = match (masked, rest.split_first_chunk::<4>()) {
        (true, Some((&key, rest))) => (key, rest),
        (true, None) => return Ok(Decoded::Incomplete),
        (false, _) => ([0; 4], rest),
    };
    let header_bytes = input.len() - rest.len();
    assert!(header_bytes >= 2);
    assert!(header_bytes <= HEADER_BYTES_MAX);
    let header_bytes = header_bytes as u8;
    Ok(Decoded::Complete(Header { fin, compressed, opcode, payload_bytes, key, header_bytes }))
}

fn decode_first(first: u8, compression: Compression) -> Result<(bool, bool, Opcode), CloseReason> {
    let fin = first & FIN != 0;
    let compressed = first & RSV1 != 0;
    if first & RSV2_RSV3 != 0 {
        return Err(CloseReason::Protocol);
    }
    let opcode = Opcode::from_bits(first & OPCODE).ok_or(CloseReason::Protocol)?;
    // RFC 7692 §6.1: "compressed" is a property of the message, told on its first frame only.
    let begins = matches!(opcode, Opcode::Text | Opcode::Binary);
    if compressed && !(begins && compression == Compression::Agreed) {
        return Err(CloseReason::Protocol);
    }
    if opcode.is_control() && !fin {
        return Err(CloseReason::Protocol);
    }
    Ok((fin, compressed, opcode))
}

fn decode_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, CloseReason> {
    let (length, length_min, rest) = match short {
        LENGTH_16 => match rest.split_first_chunk::<2>() {
            Some((&bytes, rest)) => {
                (u64::from(u16::from_be_bytes(bytes)), u64::from(LENGTH_16), rest)
            }
            None => return Ok(None),
        },
        LENGTH_64 => match rest.split_first_chunk::<8>() {
            Some((&bytes, rest)) => (u64::from_be_bytes(bytes), 1 << 16, rest),
            None => return Ok(None),
        },
        _ => (u64::from(short), 0, rest),
    };
    if length < length_min || length >> 63 != 0 {
        return Err(CloseReason::Protocol);
    }
    Ok(Some((length, rest)))
}

/// Length of the unmasked header of a frame with such a payload: 2, 4 or 10.
pub const fn header_bytes(payload_bytes: usize) -> usize {
    match payload_bytes {
        0..126 => 2,
        126..0x1_0000 => 4,
        _ => 10,
    }
}

/// How the payload of an outgoing message stands in its frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// As it is.
    Plain,
    /// As RFC 7692 §7.2.1 makes it; RSV1 says so.
    Deflated,
}

/// Appends the header of a whole message or control frame (FIN set) in its shortest form.
///
/// `key` is `None` for a server.
pub(super) fn encode_header(
    out: &mut Vec<u8>,
    opcode: Opcode,
    form: Form,
    payload_bytes: usize,
    key: Option<[u8; 4]>,
) {
    if opcode.is_control() {
        assert!(payload_bytes <= WS_CONTROL_BYTES_MAX);
        assert_eq!(form, Form::Plain);
    }
    assert!(opcode != Opcode::Continuation);
    let first = FIN | if form == Form::Deflated { RSV1 } else { 0 } | opcode.to_bits();
    let masked = if key.is_some() { MASKED } else { 0 };
    match header_bytes(payload_bytes) {
        2 => out.extend_from_slice(&[first, masked | payload_bytes as u8]),
        4 => {
            out.extend_from_slice(&[first, masked | LENGTH_16]);
            out.extend_from_slice(&(payload_bytes as u16).to_be_bytes());
        }
        _ => {
            out.extend_from_slice(&[first, masked | LENGTH_64]);
            out.extend_from_slice(&(payload_bytes as u64).to_be_bytes());
        }
    }
    if let Some(key) = key {
        out.extend_from_slice(&key);
    }
}

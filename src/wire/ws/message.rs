//! Bytes of a peer to messages.
//!
//! ```text
//!             ┌──────────── header incomplete: kept inline ───────────┐
//!  input ──▶ header ──▶ whole plain message in the input? ── yes ──▶ unmask in place, lend it
//!             ▲              no │
//!             │                 ▼
//!             │   piece ──▶ unmask ──▶ (inflate) ──▶ append ──▶ check UTF-8 ──▶ last? lend it
//!             └───────────────── more fragments, or a control frame between them ─────┘
//! ```
//!
//! An idle decoder is 64 bytes and owns nothing on the heap. Memory is taken for bytes that
//! have arrived, never for bytes that were announced, and given back when the message was read.
//!
//! The answer does not depend on how the input was cut: a frame that arrives whole takes the short
//! path, the same frame byte by byte the long one, and both end in the same item or error.

use super::assembly::Assembly;
use super::close;
use super::deflate::Inflater;
use super::frame::{self, Compression, Decoded, HEADER_BYTES_MAX, Header, Opcode, Sender};
use super::mask;
use super::negotiate::{Direction, Takeover};
use crate::base::codes::CloseReason;
use crate::base::limits::WS_CONTROL_BYTES_MAX;

/// What one peer may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// A message, bytes after inflating. Beyond: [`CloseReason::TooBig`].
    pub message_bytes_max: usize,
    /// Frames of one message. Beyond: [`CloseReason::TooManyFragments`].
    pub fragments_max: u32,
}

/// What a peer said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// A ping of at most 125 bytes, to be answered with a pong of the same bytes.
    Ping(&'a [u8]),
    /// A pong of at most 125 bytes.
    Pong(&'a [u8]),
    /// The peer closes. Nothing comes after it.
    Close {
        /// Its reason as a number, if it gave one; always one that may travel.
        code: Option<u16>,
        /// Its reason in words, at most 123 bytes.
        reason: &'a str,
    },
}

/// The result of one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step<'a> {
    /// Bytes taken from the front of the input: all of them if `item` is `None`.
    pub consumed: usize,
    /// The next item, or `None` if more bytes are needed.
    pub item: Option<Item<'a>>,
}

/// Decodes one direction of one connection.
///
/// Invariants: `header_bytes > 0` only between frames; `frame_rest` counts only while `stage` is
/// in a frame; `assembly` exists while a message or a control frame is partial, and until the next
/// call after it was lent.
#[derive(Debug)]
pub struct Decoder {
    /// The part of a message that has arrived, and of a control frame between its fragments.
    assembly: Option<Box<Assembly>>,
    /// The peer's window: from its first compressed message on if it keeps a context, else only
    /// inside a message.
    inflater: Option<Box<Inflater>>,
    /// Bytes of the current frame's payload that have not arrived.
    frame_rest: u64,
    /// The beginning of a header that was cut.
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: u8,
    /// The masking key, turned to the next byte of the payload.
    key: [u8; 4],
    stage: Stage,
    message: Message,
    lent: Lent,
    sender: Sender,
    /// How the peer compresses, if that was agreed.
    deflate: Option<Direction>,
}

const _: () = assert!(size_of::<Decoder>() <= 64, "an idle connection pays for this");

/// Where in a frame the next byte belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Header,
    /// In the payload of a data frame.
    Data {
        fin: bool,
    },
    /// In the payload of a control frame.
    Control(Opcode),
    /// A close frame was delivered.
    Closed,
    /// The peer broke a rule; every further call says so.
    Failed(CloseReason),
}

/// The message that was begun and whose last frame has not been seen whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Message {
    None,
    Plain(Data),
    Deflated(Data),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Data {
    Text,
    Binary,
}

/// What the last call lent out of `assembly`, and this call may free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lent {
    Nothing,
    Message,
    Control,
}

/// What ends the reading of frames for now, without a borrow.
#[derive(Clone, Copy)]
enum Ready {
    /// The input is used up.
    More,
    /// A whole frame of a plain message, or a control frame, lies unmasked in the input.
    Inline { opcode: Opcode, begin: usize },
    /// The message in `assembly` is whole.
    Message(Data),
    /// The control frame in `assembly` is whole.
    Control(Opcode),
}

impl Decoder {
    /// For the frames of a client. `deflate` is the client's half of what was agreed.
    pub const fn server(deflate: Option<Direction>) -> Self {
        Self::new(Sender::Client, deflate)
    }

    /// For the frames of a server: load tools and tests. `deflate` is the server's half.
    pub const fn client(deflate: Option<Direction>) -> Self {
        Self::new(Sender::Server, deflate)
    }

    const fn new(sender: Sender, deflate: Option<Direction>) -> Self {
        Self {
            assembly: None,
            inflater: None,
            frame_rest: 0,
            header: [0; HEADER_BYTES_MAX],
            header_bytes: 0,
            key: [0; 4],
            stage: Stage::Header,
            message: Message::None,
            lent: Lent::Nothing,
            sender,
            deflate,
        }
    }

    /// Takes bytes from the front of `input` until an item is whole or none are left.
    ///
    /// Call it again with the rest until it gives no item: that call takes the last bytes and
    /// frees what the item before it was lent from. `input` is unmasked in place, so it is
    /// worthless afterwards, up to `consumed`. After [`Item::Close`] everything is ignored
    /// (RFC 6455 §5.5.1); after an error every call gives the same error.
    pub fn next<'a>(
        &'a mut self,
        input: &'a mut [u8],
        limits: &Limits,
    ) -> Result<Step<'a>, CloseReason> {
        self.release();
        let (consumed, ready) = match self.advance(input, limits) {
            Ok(progress) => progress,
            Err(reason) => return Err(self.fail(reason)),
        };
        assert!(consumed <= input.len());
        let (opcode, payload) = match ready {
            Ready::More => {
                assert_eq!(consumed, input.len());
                return Ok(Step { consumed, item: None });
            }
            Ready::Inline { opcode, begin } => (opcode, &input[begin..consumed]),
            Ready::Message(data) => {
                let assembly = self.assembly.as_ref().expect("a message was assembled");
                (data.opcode(), &assembly.bytes[..])
            }
            Ready::Control(opcode) => {
                let assembly = self.assembly.as_ref().expect("a control frame was assembled");
                (opcode, &assembly.control[..])
            }
        };
        match item(opcode, payload) {
            Ok(item) => {
                if opcode == Opcode::Close {
                    self.stage = Stage::Closed;
                }
                Ok(Step { consumed, item: Some(item) })
            }
            Err(reason) => {
                self.stage = Stage::Failed(reason);
                Err(reason)
            }
        }
    }

    /// Whether nothing is partial: no byte of an unfinished header, frame or message is held.
    pub fn is_idle(&self) -> bool {
        self.stage == Stage::Header && self.header_bytes == 0 && self.message == Message::None
    }

    /// About how many bytes of heap this decoder holds: for bounds over all connections.
    pub fn held_bytes(&self) -> usize {
        let assembly = self.assembly.as_ref().map_or(0, |assembly| assembly.held_bytes());
        assembly + self.inflater.as_ref().map_or(0, |inflater| inflater.held_bytes())
    }

    /// Frees what the last item was lent from.
    fn release(&mut self) {
        if self.stage == Stage::Closed {
            self.assembly = None;
            self.inflater = None;
            self.lent = Lent::Nothing;
        }
        match std::mem::replace(&mut self.lent, Lent::Nothing) {
            Lent::Nothing => {}
            Lent::Message => self.assembly = None,
            Lent::Control if self.message == Message::None => self.assembly = None,
            Lent::Control => self.assembly.as_mut().expect("lent").control.clear(),
        }
    }

    /// Ends the connection's reading and frees all.
    #[cold]
    fn fail(&mut self, reason: CloseReason) -> CloseReason {
        self.stage = Stage::Failed(reason);
        self.assembly = None;
        self.inflater = None;
        reason
    }

    /// Reads frames until something is ready; gives how much of the input that took.
    fn advance(
        &mut self,
        input: &mut [u8],
        limits: &Limits,
    ) -> Result<(usize, Ready), CloseReason> {
        let mut at = 0;
        loop {
            match self.stage {
                Stage::Closed => return Ok((input.len(), Ready::More)),
                Stage::Failed(reason) => return Err(reason),
                Stage::Header => {
                    let Some((header, taken)) = self.take_header(&input[at..])? else {
                        return Ok((input.len(), Ready::More));
                    };
                    at += taken;
                    let is_plain_whole = self.begin_frame(&header, limits)?;
                    let rest = input.len() - at;
                    // Compared as u64: a length that does not fit the machine is not whole.
                    if is_plain_whole && header.payload_bytes <= rest as u64 {
                        let (begin, end) = (at, at + header.payload_bytes as usize);
                        let _ = mask::apply(header.key, &mut input[begin..end]);
                        self.stage = Stage::Header;
                        if !header.opcode.is_control() {
                            self.message = Message::None;
                        }
                        return Ok((end, Ready::Inline { opcode: header.opcode, begin }));
                    }
                }
                Stage::Data { .. } | Stage::Control(_) => {
                    if self.frame_rest > 0 && at == input.len() {
                        // Nothing has arrived, so nothing is taken from the heap for it.
                        return Ok((at, Ready::More));
                    }
                    let taken = self.frame_rest.min((input.len() - at) as u64) as usize;
                    let piece = &mut input[at..at + taken];
                    at += taken;
                    self.key = mask::apply(self.key, piece);
                    self.frame_rest -= taken as u64;
                    if let Some(ready) = self.take_piece(piece, limits)? {
                        return Ok((at, ready));
                    }
                }
            }
        }
    }

    /// The next header and how much of the input it took; `None` if it is cut, and then kept.
    fn take_header(&mut self, input: &[u8]) -> Result<Option<(Header, usize)>, CloseReason> {
        let compression =
            if self.deflate.is_some() { Compression::Agreed } else { Compression::Absent };
        let kept = usize::from(self.header_bytes);
        if kept == 0 {
            if let Decoded::Complete(header) = frame::decode(input, self.sender, compression)? {
                return Ok(Some((header, usize::from(header.header_bytes))));
            }
            assert!(input.len() < HEADER_BYTES_MAX);
        }
        let added = input.len().min(HEADER_BYTES_MAX - kept);
        self.header[kept..kept + added].copy_from_slice(&input[..added]);
        match frame::decode(&self.header[..kept + added], self.sender, compression)? {
            Decoded::Complete(header) => {
                self.header_bytes = 0;
                let whole = usize::from(header.header_bytes);
                assert!(whole > kept);
                Ok(Some((header, whole - kept)))
            }
            Decoded::Incomplete => {
                assert_eq!(added, input.len());
                self.header_bytes = (kept + added) as u8;
                Ok(None)
            }
        }
    }

    /// Checks a frame against the message so far and the limits, and goes to its payload. Gives
    /// whether it could be lent from the input: a control frame, or a plain message of one frame.
    fn begin_frame(&mut self, header: &Header, limits: &Limits) -> Result<bool, CloseReason> {
        self.frame_rest = header.payload_bytes;
        self.key = header.key;
        if header.opcode.is_control() {
            assert!(header.payload_bytes <= WS_CONTROL_BYTES_MAX as u64);
            self.stage = Stage::Control(header.opcode);
            return Ok(true);
        }
        match (header.opcode, self.message) {
            (Opcode::Continuation, Message::None) => return Err(CloseReason::Protocol),
            (Opcode::Continuation, _) => {}
            (_, Message::None) => self.message = Message::begun_by(header),
            _ => return Err(CloseReason::Protocol),
        }
        let (had_bytes, had_wire_bytes, had_fragments) = match &self.assembly {
            Some(assembly) => (assembly.bytes.len(), assembly.wire_bytes, assembly.fragment_count),
            None => (0, 0, 0),
        };
        if had_fragments >= limits.fragments_max {
            return Err(CloseReason::TooManyFragments);
        }
        // Subtracting from the limit cannot overflow, whatever was announced.
        let room = match self.message {
            Message::Deflated(_) => wire_bytes_max(limits).saturating_sub(had_wire_bytes),
            _ => limits.message_bytes_max.saturating_sub(had_bytes) as u64,
        };
        if header.payload_bytes > room {
            return Err(CloseReason::TooBig);
        }
        self.stage = Stage::Data { fin: header.fin };
        let is_one_frame = header.fin && header.opcode != Opcode::Continuation;
        if is_one_frame && matches!(self.message, Message::Plain(_)) {
            return Ok(true);
        }
        Ok(false)
    }

    /// Takes an unmasked piece of the current frame's payload; gives what it completed.
    fn take_piece(&mut self, piece: &[u8], limits: &Limits) -> Result<Option<Ready>, CloseReason> {
        let is_whole_frame = self.frame_rest == 0;
        let assembly = self.assembly.get_or_insert_default();
        let fin = match self.stage {
            Stage::Control(opcode) => {
                assembly.control.extend_from_slice(piece);
                assert!(assembly.control.len() <= WS_CONTROL_BYTES_MAX);
                if !is_whole_frame {
                    return Ok(None);
                }
                self.stage = Stage::Header;
                self.lent = Lent::Control;
                return Ok(Some(Ready::Control(opcode)));
            }
            Stage::Data { fin } => fin,
            Stage::Header | Stage::Closed | Stage::Failed(_) => unreachable!("not in a frame"),
        };
        let is_whole = is_whole_frame && fin;
        assembly.wire_bytes += piece.len() as u64;
        let (data, added) = match self.message {
            Message::Plain(data) => {
                assembly.append(piece, limits.message_bytes_max);
                (data, Ok(()))
            }
            Message::Deflated(data) => {
                let direction = self.deflate.expect("agreed, or the header was refused");
                let inflater = self
                    .inflater
                    .get_or_insert_with(|| Box::new(Inflater::new(direction.window_bits)));
                let bytes_max = limits.message_bytes_max;
                let mut added = inflater.push(piece, &mut assembly.bytes, bytes_max);
                if is_whole && added.is_ok() {
                    added = inflater.finish(&mut assembly.bytes, bytes_max);
                }
                if is_whole && direction.takeover == Takeover::Reset {
                    self.inflater = None;
                }
                (data, added)
            }
            Message::None => unreachable!("a data frame belongs to a message"),
        };
        // Before the inflater's own error: what came first in the stream decides, so that the
        // answer does not depend on how the stream was cut.
        if data == Data::Text {
            assembly.check_text()?;
        }
        added?;
        if !is_whole_frame {
            return Ok(None);
        }
        self.stage = Stage::Header;
        assembly.fragment_count += 1;
        if !fin {
            return Ok(None);
        }
        self.message = Message::None;
        self.lent = Lent::Message;
        Ok(Some(Ready::Message(data)))
    }
}

impl Message {
    fn begun_by(header: &Header) -> Self {
        let data = match header.opcode {
            Opcode::Text => Data::Text,
            Opcode::Binary => Data::Binary,
            _ => unreachable!("only these begin a message"),
        };
        if header.compressed { Self::Deflated(data) } else { Self::Plain(data) }
    }
}

impl Data {
    const fn opcode(self) -> Opcode {
        match self {
            Self::Text => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }
}

/// How much deflated input a message may take: incompressible data grows by an eighth in the worst
/// of the fixed codes, and by less in stored blocks. Beyond that it is padding.
fn wire_bytes_max(limits: &Limits) -> u64 {
    let bytes_max = limits.message_bytes_max as u64;
    bytes_max.saturating_add(bytes_max / 8).saturating_add(64)
}

/// A whole frame or message as an item.
fn item(opcode: Opcode, payload: &[u8]) -> Result<Item<'_>, CloseReason> {
    Ok(match opcode {
        Opcode::Text => {
            Item::Text(simdutf8::basic::from_utf8(payload).map_err(|_| CloseReason::BadPayload)?)
        }
        Opcode::Binary => Item::Binary(payload),
        Opcode::Ping => Item::Ping(payload),
        Opcode::Pong => Item::Pong(payload),
        Opcode::Close => {
            let (code, reason) = close::parse(payload)?;
            Item::Close { code, reason }
        }
        Opcode::Continuation => unreachable!("delivered under the opcode of its message"),
    })
}

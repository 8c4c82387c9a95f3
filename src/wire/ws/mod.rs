//! WebSocket: handshake, frames, messages, compression, close (RFC 6455, RFC 7692).
//!
//! The subset spoken: version 13 over HTTP/1.1 (RFC 6455 §4.2), all frame types of §5 and
//! permessage-deflate with all four of its parameters (RFC 7692 §7.1). Everything is strict: the
//! shortest length form, masked clients, zero reserved bits, and text that fails at the first byte
//! that cannot be UTF-8 (§8.1), even in the middle of a frame.
//!
//! **Never:** a socket, a clock, randomness, an allocation from a declared length. Bytes of a
//! stranger never panic; they end in a [`CloseReason`](crate::base::codes::CloseReason).
//!
//! A connection is read like this; the decoder keeps what it could not finish, so the buffer may
//! go back to the ring at the end of the loop:
//!
//! ```
//! use ringpost::wire::ws::message::{Decoder, Item, Limits};
//! # fn main() -> Result<(), ringpost::base::codes::CloseReason> {
//! let mut received = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"; // RFC 6455 §5.7
//! let limits = Limits { message_bytes_max: 65_536, fragments_max: 1_024 };
//! let mut decoder = Decoder::server(None);
//! let mut at = 0;
//! loop {
//!     let step = decoder.next(&mut received[at..], &limits)?;
//!     at += step.consumed;
//!     match step.item {
//!         Some(Item::Text(text)) => assert_eq!(text, "Hello"),
//!         Some(item) => panic!("{item:?}"),
//!         None => break,
//!     }
//! }
//! assert_eq!(at, received.len());
//! # Ok(())
//! # }
//! ```

/// Linear scanning of header lists: tokens, parameters, quoted strings.
pub mod header_list;

/// permessage-deflate: offers in, agreed parameters out (RFC 7692 §7.1).
pub mod negotiate;

/// The opening handshake, server side (RFC 6455 §4.2).
pub mod handshake;

/// XOR with the masking key, in place, at any phase (RFC 6455 §5.3).
pub mod mask;

/// One frame header, in and out (RFC 6455 §5.2).
pub mod frame;

/// Close codes and the body of a close frame (RFC 6455 §5.5.1, §7.4).
pub mod close;

/// Inflating under a cap, and deflating, one message at a time (RFC 7692 §7.2).
pub mod deflate;

/// The part of a message that has arrived.
mod assembly;

/// Bytes of a peer to messages.
pub mod message;

/// Messages to frames.
pub mod encode;

#[cfg(test)]
mod tests;

//! Pure codecs between bytes and protocol: HTTP/1.1 and WebSocket.
//!
//! **Never:** a socket, a clock, an allocation from a declared length.

/// HTTP/1.1, server side: head, body, response (RFC 9110, RFC 9112).
pub mod http;

/// WebSocket: handshake, frames, messages, compression, close (RFC 6455, RFC 7692).
pub mod ws;

//! WebSocket: handshake, frames, messages, compression, close (RFC 6455, RFC 7692).

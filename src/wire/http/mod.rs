//! HTTP/1.1, server side: head, body, response (RFC 9110, RFC 9112).
//!
//! Spoken subset: requests of HTTP/1.0 and HTTP/1.1 in origin-form, absolute-form and `OPTIONS *`;
//! `Content-Length` and `chunked` bodies with trailers; keep-alive, pipelining, `Expect:
//! 100-continue`, and the sight of `Upgrade: websocket`. Not spoken: CONNECT, other transfer
//! codings, HTTP/2.
//!
//! ```text
//!   bytes ─▶ Decoder ─▶ Head(Request)  Body(&[u8])*  End   Head(Request) …
//!               │
//!               └─────▶ Reject: answer it, then close
//! ```
//!
//! Where RFC 9112 lets a server choose between repairing and refusing, this one refuses: whatever
//! two parsers could frame differently is the raw material of request smuggling. After a refusal
//! nothing on the connection is looked at again.
//!
//! **Never:** a socket, a clock, a repair, a copy of a head that arrived in one piece, memory for a
//! length that was only announced.

mod syntax;

/// Every reason to refuse a request, with its status and a hint.
pub mod reject;

mod host;

mod target;

mod scan;

mod fields;

mod request;

mod body;

mod decoder;

/// Form-urlencoded queries (WHATWG URL §5.1).
pub mod query;

/// The `Date` field from a time that is an argument.
pub mod date;

/// Responses into a `Vec<u8>`.
pub mod response;

pub use decoder::{Decoder, Item, Phase, Step};
pub use fields::Fields;
pub use reject::Reject;
pub use request::{BodyKind, Request, Version};
pub use response::{Delivery, Persistence, Response};

#[cfg(test)]
mod tests;

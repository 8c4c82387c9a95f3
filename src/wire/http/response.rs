//! Responses into a `Vec<u8>`: a status line, fields, and always a length or no body at all.
//!
//! Nothing a stranger sent may reach a header unchecked: a CR or LF in a name or value here is our
//! own fault and ends the process before it splits a response.

use std::borrow::Cow;
use std::io::Write as _;

use super::reject::Reject;
use super::request::{Request, Version};
use super::syntax::{is_token_byte, is_value_byte};

/// The interim answer to `Expect: 100-continue` (RFC 9110 §15.2.1), to be sent before the body is
/// waited for.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What a response says about the connection (RFC 9112 §9.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Persistence {
    /// HTTP/1.1 persists without saying so.
    Implied,
    /// HTTP/1.0 persists when both sides say so.
    Stated,
    /// The connection closes after this response.
    Close,
}

/// How a response travels: what depends on the request and the connection, not on the route.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// What to say about the connection.
    pub persistence: Persistence,
    /// Leave the body out and announce its length (HEAD, RFC 9110 §9.3.2).
    pub head_only: bool,
    /// The value of `Date`, see [`super::date::imf_fixdate`]; without it the field is left out.
    pub date: Option<&'a str>,
}

impl<'a> Delivery<'a> {
    /// The last response of a connection, for instance after a [`Reject`].
    pub const LAST: Self = Self { persistence: Persistence::Close, head_only: false, date: None };

    /// What `request` asks for.
    pub fn of(request: &Request<'_>) -> Self {
        let persistence = match (request.keep_alive, request.version) {
            (false, _) => Persistence::Close,
            (true, Version::Http10) => Persistence::Stated,
            (true, Version::Http11) => Persistence::Implied,
        };
        Self { persistence, head_only: request.method == "HEAD", date: None }
    }

    /// With a `Date`.
    pub fn dated<'b>(self, date: &'b str) -> Delivery<'b>
    where
        'a: 'b,
    {
        Delivery { date: Some(date), ..self }
    }
}

/// A response of one route.
#[derive(Clone, Debug)]
pub struct Response<'a> {
    status: u16,
    headers: Vec<(&'a str, Cow<'a, str>)>,
    body: Cow<'a, [u8]>,
    /// Bytes of a body that somebody else writes behind this.
    following: u64,
}

impl<'a> Response<'a> {
    /// A final response without a body. `status` is 200 to 599; 101 belongs to the WebSocket
    /// handshake.
    pub fn new(status: u16) -> Self {
        assert!((200..600).contains(&status));
        Self { status, headers: Vec::new(), body: Cow::Borrowed(b""), following: 0 }
    }

    /// `text/plain` in UTF-8.
    pub fn text(status: u16, text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(status).body("text/plain; charset=utf-8", into_bytes(text.into()))
    }

    /// `application/json`; `json` is a complete JSON text.
    pub fn json(status: u16, json: impl Into<Cow<'a, str>>) -> Self {
        Self::new(status).body("application/json", into_bytes(json.into()))
    }

    /// The error body of all routes: `{"error":{"status":…,"reason":"…","hint":"…"}}`. `reason` is
    /// a stable name and `hint` a sentence of ours, so neither needs escaping.
    pub fn error(status: u16, reason: &'static str, hint: &'static str) -> Self {
        assert!(status >= 400);
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        assert!(reason.bytes().chain(hint.bytes()).all(is_plain));
        Self::json(
            status,
            format!(r#"{{"error":{{"status":{status},"reason":"{reason}","hint":"{hint}"}}}}"#),
        )
    }

    /// The answer to a refused request; deliver it as [`Delivery::LAST`].
    pub fn reject(reject: Reject) -> Self {
        let (status, reason, hint) = reject.describe();
        Self::error(status, reason, hint)
    }

    /// With a body of the given media type.
    pub fn body(mut self, media_type: &'a str, body: impl Into<Cow<'a, [u8]>>) -> Self {
        self.body = body.into();
        self.header("Content-Type", media_type)
    }

    /// With one more header. The framing fields are written by [`Response::write`] alone.
    pub fn header(mut self, name: &'a str, value: impl Into<Cow<'a, str>>) -> Self {
        let value = value.into();
        assert!(!name.is_empty() && name.bytes().all(is_token_byte), "a header name is a token");
        assert!(value.bytes().all(is_value_byte), "a header value has no control bytes");
        for own in ["Content-Length", "Transfer-Encoding", "Connection", "Date"] {
            assert!(!name.eq_ignore_ascii_case(own), "framing is written once");
        }
        self.headers.push((name, value));
        self
    }

    /// With a body of so many bytes, which the caller sends behind what [`Response::write`] writes.
    pub fn body_follows(mut self, bytes: u64) -> Self {
        assert!(self.body.is_empty(), "one body");
        self.following = bytes;
        self
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Appends the response to `out`.
    pub fn write(&self, delivery: Delivery<'_>, out: &mut Vec<u8>) {
        // RFC 9110 §15.3.5, §15.4.5: these end with their head, and 204 must not even say 0.
        let bodiless = matches!(self.status, 204 | 304);
        let length = self.body.len() as u64 + self.following;
        assert!(!bodiless || length == 0);
        out.reserve(160 + 64 * self.headers.len() + self.body.len());
        line(out, format_args!("HTTP/1.1 {} {}", self.status, phrase(self.status)));
        if let Some(date) = delivery.date {
            assert!(date.bytes().all(is_value_byte));
            line(out, format_args!("Date: {date}"));
        }
        for (name, value) in &self.headers {
            line(out, format_args!("{name}: {value}"));
        }
        if !bodiless {
            line(out, format_args!("Content-Length: {length}"));
        }
        match delivery.persistence {
            Persistence::Implied => {}
            Persistence::Stated => line(out, format_args!("Connection: keep-alive")),
            Persistence::Close => line(out, format_args!("Connection: close")),
        }
        out.extend_from_slice(b"\r\n");
        if !delivery.head_only {
            out.extend_from_slice(&self.body);
        }
    }
}

fn line(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every byte");
    out.extend_from_slice(b"\r\n");
}

fn into_bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// The reason phrase (RFC 9110 §15, RFC 6585). It carries no meaning; unknown ones are empty,
/// which RFC 9112 §4 allows.
const fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}

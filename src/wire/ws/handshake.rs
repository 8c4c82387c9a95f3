//! The opening handshake, server side (RFC 6455 §4.2).
//!
//! **Never:** looks at the target, `Host`, `Origin` or a token: who may connect is decided before.

use tungstenite::handshake::derive_accept_key;

use super::header_list::{Malformed, each_token};
use super::negotiate::{self, Parameters, Policy};

/// The one version there is (RFC 6455 §4.1).
const VERSION: &[u8] = b"13";

/// A request as the HTTP layer read it.
#[derive(Clone, Copy, Debug)]
pub struct Handshake<'a, H> {
    /// The method, as sent.
    pub method: &'a str,
    /// `(major, minor)` of the HTTP version.
    pub http_version: (u8, u8),
    /// Names and values of all header fields in their order; names in any case.
    pub headers: H,
}

/// What this server can do.
#[derive(Clone, Copy, Debug)]
pub struct Support {
    /// Names of sub-protocols, compared as they are (RFC 6455 §11.5).
    pub protocols: &'static [&'static str],
    /// How to compress; `None` declines every offer.
    pub deflate: Option<Policy>,
}

/// A handshake that may be answered with [`response`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// The value of `Sec-WebSocket-Accept`: 28 characters.
    pub accept_key: String,
    /// The first sub-protocol of the client's list that the server knows. `None` if the client
    /// named none, or none that is known: the connection is then accepted without one.
    pub protocol: Option<&'static str>,
    /// The agreed compression.
    pub deflate: Option<Parameters>,
}

/// Why a request is no handshake that can be accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HandshakeError {
    /// Not GET (§4.2.1 item 1).
    Method,
    /// Not HTTP/1.1 (§4.2.1 item 1).
    HttpVersion,
    /// `Upgrade` does not name `websocket` (item 3).
    Upgrade,
    /// `Connection` does not name `Upgrade` (item 4).
    Connection,
    /// `Sec-WebSocket-Version` is missing, repeated or not 13 (item 6 and §4.4).
    Version,
    /// `Sec-WebSocket-Key` is missing, repeated, or not 16 bytes in Base64 (item 5).
    Key,
    /// A list header does not follow its grammar (§9.1, §11.3).
    MalformedList,
}

impl HandshakeError {
    /// All errors, in the order in which they are looked for.
    pub const ALL: [Self; 7] = [
        Self::Method,
        Self::HttpVersion,
        Self::MalformedList,
        Self::Upgrade,
        Self::Connection,
        Self::Version,
        Self::Key,
    ];

    /// (HTTP status, text for a person)
    pub const fn describe(self) -> (u16, &'static str) {
        match self {
            Self::Method => (405, "a WebSocket handshake is a GET"),
            Self::HttpVersion => (505, "a WebSocket handshake needs HTTP/1.1"),
            Self::Upgrade => (426, "this is a WebSocket endpoint: Upgrade: websocket is missing"),
            Self::Connection => (400, "Connection: Upgrade is missing"),
            Self::Version => (426, "only Sec-WebSocket-Version: 13 is spoken"),
            Self::Key => (400, "Sec-WebSocket-Key must be 16 bytes in Base64"),
            Self::MalformedList => (400, "a header list of the handshake is malformed"),
        }
    }

    /// Header fields that must go with the status (RFC 6455 §4.4, RFC 9110 §15.5.6, §15.5.22).
    pub const fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Method => &[("Allow", "GET")],
            Self::Upgrade | Self::Version => {
                &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
            }
            Self::HttpVersion | Self::Connection | Self::Key | Self::MalformedList => &[],
        }
    }
}

impl From<Malformed> for HandshakeError {
    fn from(_: Malformed) -> Self {
        Self::MalformedList
    }
}

/// A header that must stand exactly once.
#[derive(Clone, Copy)]
enum Single<'a> {
    Missing,
    Once(&'a [u8]),
    Repeated,
}

impl<'a> Single<'a> {
    fn put(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::Missing => Self::Once(value.trim_ascii()),
            Self::Once(_) | Self::Repeated => Self::Repeated,
        };
    }
}

/// Checks a request against RFC 6455 §4.2.1 and agrees on sub-protocol and compression.
///
/// One pass over the headers. A repeated list header counts as one list (RFC 9110 §5.3).
pub fn accept<'a, H>(
    request: Handshake<'a, H>,
    support: &Support,
) -> Result<Accepted, HandshakeError>
where
    H: IntoIterator<Item = (&'a str, &'a [u8])>,
{
    if request.method != "GET" {
        return Err(HandshakeError::Method);
    }
    if request.http_version != (1, 1) {
        return Err(HandshakeError::HttpVersion);
    }
    let (mut upgrade, mut connection) = (false, false);
    let (mut key, mut version) = (Single::Missing, Single::Missing);
    let (mut protocol, mut deflate) = (None, None);
    for (name, value) in request.headers {
        if name.eq_ignore_ascii_case("upgrade") {
            upgrade |= names(value, b"websocket");
        } else if name.eq_ignore_ascii_case("connection") {
            each_token(value, |token| connection |= token.eq_ignore_ascii_case(b"upgrade"))?;
        } else if name.eq_ignore_ascii_case("sec-websocket-key") {
            key.put(value);
        } else if name.eq_ignore_ascii_case("sec-websocket-version") {
            version.put(value);
        } else if name.eq_ignore_ascii_case("sec-websocket-protocol") {
            each_token(value, |token| protocol = protocol.or(known(token, support.protocols)))?;
        } else if name.eq_ignore_ascii_case("sec-websocket-extensions") {
            let policy = support.deflate.as_ref().unwrap_or(&Policy::STATELESS);
            let offered = negotiate::choose(value, policy)?;
            deflate = deflate.or(offered.filter(|_| support.deflate.is_some()));
        }
    }
    if !upgrade {
        return Err(HandshakeError::Upgrade);
    }
    if !connection {
        return Err(HandshakeError::Connection);
    }
    if !matches!(version, Single::Once(VERSION)) {
        return Err(HandshakeError::Version);
    }
    match key {
        Single::Once(key) if is_key(key) => {
            Ok(Accepted { accept_key: derive_accept_key(key), protocol, deflate })
        }
        _ => Err(HandshakeError::Key),
    }
}

/// Appends the 101 response (RFC 6455 §4.2.2). The frames of the peer may follow at once.
pub fn response(accepted: &Accepted, out: &mut Vec<u8>) {
    assert_eq!(accepted.accept_key.len(), 28);
    out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\n");
    out.extend_from_slice(b"Sec-WebSocket-Accept: ");
    out.extend_from_slice(accepted.accept_key.as_bytes());
    out.extend_from_slice(b"\r\n");
    if let Some(protocol) = accepted.protocol {
        out.extend_from_slice(b"Sec-WebSocket-Protocol: ");
        out.extend_from_slice(protocol.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if let Some(parameters) = &accepted.deflate {
        out.extend_from_slice(b"Sec-WebSocket-Extensions: ");
        parameters.write(out);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether the list has this name. `Upgrade` elements may carry a version (`h2c, foo/2`), which is
/// no token, so they are only compared.
fn names(value: &[u8], wanted: &[u8]) -> bool {
    value.split(|&byte| byte == b',').any(|name| name.trim_ascii().eq_ignore_ascii_case(wanted))
}

fn known(token: &[u8], protocols: &'static [&'static str]) -> Option<&'static str> {
    protocols.iter().copied().find(|protocol| protocol.as_bytes() == token)
}

/// Whether the text is 16 bytes in Base64: 22 digits and two signs of padding.
///
/// The four bits of the last digit that no byte uses are not looked at (RFC 4648 §3.5 leaves that
/// to the decoder): the key is only ever hashed as it stands.
fn is_key(text: &[u8]) -> bool {
    let Some(digits) = text.strip_suffix(b"==") else {
        return false;
    };
    digits.len() == 22
        && digits.iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

//! The header fields of a request: iteration in place, and the ones that frame the message.

use super::host;
use super::reject::Reject;
use super::request::{BodyKind, Version};
use super::syntax::{list, trim};

/// The header section of a checked head: name and value of each field, in order, as received,
/// without the white space around the value.
///
/// Kept as bytes and split again on demand: an array of a hundred slices would be 3 KiB to move
/// for the two or three fields that a route asks for.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// Checked lines, each with its CRLF. The empty line is left out.
    lines: &'a [u8],
}

impl<'a> Fields<'a> {
    /// `lines` must have been accepted by the head parser.
    pub(super) fn new(lines: &'a [u8]) -> Self {
        assert!(lines.is_empty() || lines.ends_with(b"\r\n"));
        Self { lines }
    }

    /// The value of the first field called `name`, whatever the case of its letters.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// The values of all fields called `name`, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let end = memchr::memchr(b'\r', self.lines)?;
        let line = &self.lines[..end];
        self.lines = &self.lines[end + 2..];
        let colon = memchr::memchr(b':', line).expect("a checked field has a colon");
        let name = std::str::from_utf8(&line[..colon]).expect("a checked name is a token");
        Some((name, trim(&line[colon + 1..])))
    }
}

/// What the fields say about the message and the connection (RFC 9112 §6.3, §9.3).
#[derive(Clone, Copy, Debug)]
pub(super) struct Framing<'a> {
    pub host: Option<&'a str>,
    pub body: BodyKind,
    pub keep_alive: bool,
    pub expect_continue: bool,
    pub upgrade_websocket: bool,
}

/// Collects [`Framing`] field by field.
#[derive(Default)]
struct Seen<'a> {
    host: Option<&'a str>,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    websocket: bool,
    expect: bool,
}

impl<'a> Framing<'a> {
    /// Reads the framing fields out of all fields of one head.
    pub(super) fn read(version: Version, headers: &[httparse::Header<'a>]) -> Result<Self, Reject> {
        let mut seen = Seen::default();
        for header in headers {
            seen.field(version, header.name, trim(header.value))?;
        }
        let modern = version == Version::Http11;
        if modern && seen.host.is_none() {
            return Err(Reject::MissingHost);
        }
        let body = match (seen.chunked, seen.length) {
            (true, Some(_)) => return Err(Reject::EncodingAndLength),
            (true, None) if !modern => return Err(Reject::EncodingOnHttp10),
            (true, None) => BodyKind::Chunked,
            (false, Some(length)) => BodyKind::Length(length),
            (false, None) => BodyKind::None,
        };
        Ok(Self {
            host: seen.host,
            body,
            keep_alive: !seen.close && (modern || seen.keep_alive),
            // Without content there is nothing to wait for (RFC 9110 §10.1.1).
            expect_continue: seen.expect && !matches!(body, BodyKind::None | BodyKind::Length(0)),
            // HTTP/1.0 cannot upgrade (RFC 9110 §7.8).
            upgrade_websocket: modern && seen.upgrade && seen.websocket,
        })
    }
}

impl<'a> Seen<'a> {
    fn field(&mut self, version: Version, name: &str, value: &'a [u8]) -> Result<(), Reject> {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        match name.len() {
            4 if is("host") => {
                if self.host.is_some() {
                    return Err(Reject::DuplicateHost);
                }
                self.host = Some(host::parse(value).ok_or(Reject::BadHost)?);
            }
            14 if is("content-length") => {
                if self.length.is_some() {
                    return Err(Reject::DuplicateLength);
                }
                self.length = Some(parse_length(value).ok_or(Reject::BadLength)?);
            }
            17 if is("transfer-encoding") => {
                // Names of codings have no case (RFC 9112 §7); lists, parameters and a second
                // field have no use here.
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Reject::BadEncoding);
                }
                self.chunked = true;
            }
            10 if is("connection") => self.connection(value),
            7 if is("upgrade") => {
                self.websocket |= list(value).any(|name| name.eq_ignore_ascii_case(b"websocket"));
            }
            // A server ignores what HTTP/1.0 expects (RFC 9110 §10.1.1).
            6 if is("expect") && version == Version::Http11 => {
                if !list(value).all(|member| member.eq_ignore_ascii_case(b"100-continue")) {
                    return Err(Reject::Expectation);
                }
                self.expect |= !value.is_empty();
            }
            _ => {}
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        for option in list(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }
}

/// Plain decimal. Leading zeros are valid in the grammar, but some readers take them for octal.
fn parse_length(value: &[u8]) -> Option<u64> {
    let digits_only = value.iter().all(u8::is_ascii_digit);
    let leads_with_zero = value.len() > 1 && value[0] == b'0';
    if !digits_only || leads_with_zero {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

//! A request head: parsed once, in place, when all of it is there.

use std::mem::MaybeUninit;

use super::fields::{Fields, Framing};
use super::reject::Reject;
use super::target;
use crate::base::limits::{HTTP_HEADERS_MAX, HTTP_REQUEST_LINE_BYTES_MAX, HTTP_TARGET_BYTES_MAX};

/// The longest registered method, `UPDATEREDIRECTREF`, has 17 letters.
pub(super) const METHOD_BYTES_MAX: usize = 32;

const _: () = assert!(
    METHOD_BYTES_MAX + HTTP_TARGET_BYTES_MAX + " HTTP/1.1\r\n ".len()
        <= HTTP_REQUEST_LINE_BYTES_MAX,
    "a longest method and a longest target must fit a request line"
);

/// The versions this server speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// HTTP/1.0: closes after one answer unless asked otherwise.
    Http10,
    /// HTTP/1.1: persists unless asked otherwise.
    Http11,
}

/// How the body of a request is framed (RFC 9112 §6.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyKind {
    /// No body.
    None,
    /// As many bytes as `Content-Length` announces: nothing has been allocated for them.
    Length(u64),
    /// Chunks until the last one.
    Chunked,
}

/// One request head, borrowed from the bytes it came in.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// A token of at most 32 bytes, as received: methods have case. It may be none that exists.
    pub method: &'a str,
    /// The whole target as received.
    pub target: &'a str,
    /// Path of the target, as received: begins with `/`, or is `*` of `OPTIONS *`.
    pub path: &'a str,
    /// What follows the first `?`; see [`super::query`].
    pub query: Option<&'a str>,
    /// The version of the request line.
    pub version: Version,
    /// Host and port, checked; present in every HTTP/1.1 request.
    pub host: Option<&'a str>,
    /// Whether the connection may carry another request after this one.
    pub keep_alive: bool,
    /// How the body is framed.
    pub body: BodyKind,
    /// The client waits for [`super::response::CONTINUE`] before it sends the body.
    pub expect_continue: bool,
    /// `Connection: upgrade` and `Upgrade: websocket` are both there.
    pub upgrade_websocket: bool,
    /// All header fields in order.
    pub fields: Fields<'a>,
}

impl<'a> Request<'a> {
    /// The value of the first header called `name`, whatever the case of its letters.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.fields.get(name)
    }

    /// Parses `head`, which ends with its empty line; its request line ends at `line_end`.
    pub(super) fn parse(head: &'a [u8], line_end: usize) -> Result<Self, Reject> {
        assert!(head.ends_with(b"\r\n\r\n"));
        assert!(line_end > 0 && line_end <= head.len() - 2);
        #[cfg(test)]
        super::scan::work::add(head.len());
        let mut headers = [const { MaybeUninit::uninit() }; HTTP_HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(head, &mut headers) {
            Ok(httparse::Status::Complete(size)) if size == head.len() => {}
            Ok(_) => return Err(Reject::BadHeaderName),
            Err(error) => {
                // The request line comes first, also among the reasons: the scanner gives the same
                // answer when the line arrives alone.
                parse_line(&head[..line_end])?;
                return Err(field_error(error));
            }
        }
        let line = RequestLine::check(&parsed)?;
        let target = target::parse(line.method, line.target)?;
        let framing = Framing::read(line.version, parsed.headers)?;
        let host = match (framing.host, target.authority) {
            (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority) => {
                return Err(Reject::HostMismatch);
            }
            (host, authority) => host.or(authority),
        };
        Ok(Self {
            method: line.method,
            target: line.target,
            path: target.path,
            query: target.query,
            version: line.version,
            host,
            keep_alive: framing.keep_alive,
            body: framing.body,
            expect_continue: framing.expect_continue,
            upgrade_websocket: framing.upgrade_websocket,
            fields: Fields::new(&head[line_end..head.len() - 2]),
        })
    }
}

/// Judges a request line on its own, before the rest of the head has come.
pub(super) fn parse_line(line: &[u8]) -> Result<(), Reject> {
    assert!(line.ends_with(b"\r\n"));
    #[cfg(test)]
    super::scan::work::add(line.len());
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse(line) {
        Ok(_) => {
            let line = RequestLine::check(&parsed)?;
            target::parse(line.method, line.target).map(|_| ())
        }
        Err(httparse::Error::Version) if names_other_version(line) => Err(Reject::Version),
        Err(_) => Err(Reject::BadRequestLine),
    }
}

/// The three parts of a request line.
struct RequestLine<'a> {
    method: &'a str,
    target: &'a str,
    version: Version,
}

impl<'a> RequestLine<'a> {
    fn check(parsed: &httparse::Request<'_, 'a>) -> Result<Self, Reject> {
        let (Some(method), Some(target), Some(minor)) =
            (parsed.method, parsed.path, parsed.version)
        else {
            return Err(Reject::BadRequestLine);
        };
        if method.len() > METHOD_BYTES_MAX {
            return Err(Reject::MethodTooLong);
        }
        if target.len() > HTTP_TARGET_BYTES_MAX {
            return Err(Reject::TargetTooLong);
        }
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        Ok(Self { method, target, version })
    }
}

/// `HTTP/` digit `.` digit at the end of the line (RFC 9112 §2.3): a version, if not one of ours.
/// Anything else there is no HTTP at all.
fn names_other_version(line: &[u8]) -> bool {
    let mut words = line[..line.len() - 2].split(|&byte| byte == b' ');
    let version = words.nth(2).unwrap_or_default();
    let is_last = words.next().is_none();
    let is_version =
        matches!(version, [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']);
    is_last && is_version
}

fn field_error(error: httparse::Error) -> Reject {
    match error {
        httparse::Error::TooManyHeaders => Reject::TooManyHeaders,
        httparse::Error::HeaderValue => Reject::BadHeaderValue,
        _ => Reject::BadHeaderName,
    }
}

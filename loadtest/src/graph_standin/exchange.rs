//! HTTP/1.1 from the server's side: requests with a length or in chunks, one after the other.
//!
//! RFC 9112 §3, §6.3, §7.1, §9.3; RFC 9110 §10.1.1 (`100-continue`). Strict enough to tell a
//! broken client, lenient where the platform would be.

use std::io::{self, BufRead, Read, Write};

/// Head of a request.
const HEAD_BYTES_MAX: u64 = 32 << 10;
/// Body: the platform's largest file, and the form around it.
const BODY_BYTES_MAX: usize = 101_000_000;

/// One whole request.
#[derive(Debug, Default)]
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub authorization: Option<String>,
    pub content_type: String,
    pub body: Vec<u8>,
    /// Whether the client closes behind it.
    pub last: bool,
}

/// Whether the connection is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    More,
    Last,
}

fn bad(sentence: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, sentence)
}

/// The next request; `None` when the client has no more.
pub fn read(reader: &mut impl BufRead, mut back: impl Write) -> io::Result<Option<Request>> {
    let mut head = reader.take(HEAD_BYTES_MAX);
    let Some(line) = read_line(&mut head)? else { return Ok(None) };
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    if !words.next().is_some_and(|version| version.starts_with("HTTP/1.")) {
        return Err(bad("no request of HTTP/1.1"));
    }
    let path = target.split('?').next().unwrap_or("").to_owned();
    let mut request = Request { method: method.to_owned(), path, ..Request::default() };
    let (mut length, mut chunked, mut waits) = (0_usize, false, false);
    loop {
        let field = read_line(&mut head)?.ok_or_else(|| bad("the head has no end"))?;
        if field.is_empty() {
            break;
        }
        let (name, value) = field.split_once(':').ok_or_else(|| bad("a field without a colon"))?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().map_err(|_| bad("no length"))?,
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "expect" => waits = value.eq_ignore_ascii_case("100-continue"),
            "connection" => request.last = value.eq_ignore_ascii_case("close"),
            "authorization" => request.authorization = Some(value.to_owned()),
            "content-type" => request.content_type = value.to_owned(),
            _ => {}
        }
    }
    if waits {
        back.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    if chunked {
        request.body = read_chunks(reader)?;
    } else if length > BODY_BYTES_MAX {
        return Err(bad("the body is too long"));
    } else {
        request.body = vec![0; length];
        reader.read_exact(&mut request.body)?;
    }
    Ok(Some(request))
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let line = line.strip_suffix('\n').ok_or_else(|| bad("a line without an end"))?;
    Ok(Some(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut head = reader.take(1_024);
        let line = read_line(&mut head)?.ok_or_else(|| bad("a body without an end"))?;
        let size = line.split(';').next().unwrap_or("").trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| bad("no size of a chunk"))?;
        if body.len() + size > BODY_BYTES_MAX {
            return Err(bad("the body is too long"));
        }
        let begin = body.len();
        body.resize(begin + size, 0);
        reader.read_exact(&mut body[begin..])?;
        let mut rest = reader.take(HEAD_BYTES_MAX);
        // The end of the chunk; behind the last one, trailers that nobody reads.
        while read_line(&mut rest)?.is_some_and(|line| size == 0 && !line.is_empty()) {}
        if size == 0 {
            return Ok(body);
        }
    }
}

/// Writes a response.
pub fn write(
    mut stream: impl Write,
    request: &Request,
    status: u16,
    kind: &str,
    body: &[u8],
) -> io::Result<Sent> {
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        _ => "Error",
    };
    let mut response = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    response.extend_from_slice(body);
    stream.write_all(&response)?;
    Ok(if request.last { Sent::Last } else { Sent::More })
}

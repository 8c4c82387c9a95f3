//! The client's side of HTTP/1.1, as much of it as a webhook's sender needs: requests with a body,
//! responses with a length. Pure.
//!
//! RFC 9112 §3 (request), §4 (response), §6.3 (length of a body), §9.3 (persistence). **Never:**
//! chunked responses, and nothing that would need the request to read the response.

use std::io::Write;

/// A response head beyond this many bytes is not one of ours.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// A body beyond this many bytes neither.
const BODY_BYTES_MAX: usize = 16 << 20;

/// One whole response.
#[derive(PartialEq, Eq, Debug)]
pub struct Response<'a> {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
    /// Bytes of the input that it took, head included.
    pub size: usize,
    /// Whether the server closes the connection behind it.
    pub last: bool,
}

/// Appends a POST of JSON on a connection that is kept, with one more field.
pub fn post(out: &mut Vec<u8>, host: &str, path: &str, field: (&str, &str), body: &[u8]) {
    let (name, value) = field;
    write!(
        out,
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n{name}: {value}\r\n\r\n",
        body.len()
    )
    .expect("memory takes it");
    out.extend_from_slice(body);
}

/// Reads one response; `Ok(None)` when the input ends before the response does.
///
/// # Errors
/// A sentence about what is no response of HTTP/1.1 with a length.
pub fn read(input: &[u8]) -> Result<Option<Response<'_>>, String> {
    let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") else {
        if input.len() > HEAD_BYTES_MAX {
            return Err("the response's head has no end".into());
        }
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&input[..end]);
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let Some(status) = status else { return Err(format!("no response of HTTP/1.1: {line:?}")) };
    let (mut length, mut last) = (None, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().ok();
        } else if name.eq_ignore_ascii_case("connection") {
            last = value.eq_ignore_ascii_case("close");
        }
    }
    let length = match (status, length) {
        (204 | 304, _) => 0,
        (_, Some(length)) if length <= BODY_BYTES_MAX => length,
        _ => return Err(format!("a response without a length that can be read: {line:?}")),
    };
    let size = end + 4 + length;
    let Some(body) = input.get(end + 4..size) else { return Ok(None) };
    Ok(Some(Response { status, body, size, last }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses() {
        check("HTTP/1.1 200 OK\r\ncontent-LENGTH: 2\r\n\r\nok", "200 ok false");
        check("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "200  true");
        check("HTTP/1.1 204 No Content\r\n\r\n", "204  false");
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "error: a response");
        check("SSH-2.0-x\r\n\r\n", "error: no response of HTTP/1.1: \"SSH-2.0-x\"");
        check(&"x".repeat(20_000), "error: the response's head has no end");
    }

    #[track_caller]
    fn check(input: &str, want: &str) {
        let got = match read(input.as_bytes()) {
            Ok(Some(response)) => {
                let body = String::from_utf8_lossy(response.body);
                assert_eq!(response.size, input.len());
                format!("{} {body} {}", response.status, response.last)
            }
            Ok(None) => "incomplete".to_string(),
            Err(why) => format!("error: {why}"),
        };
        assert!(got.starts_with(want), "{input:?}: {got}");
    }

    #[test]
    fn every_prefix_is_incomplete_and_the_next_response_is_left() {
        let first = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";
        for end in 0..first.len() {
            assert_eq!(read(&first.as_bytes()[..end]), Ok(None), "{end}");
        }
        let two = first.repeat(2);
        let response = read(two.as_bytes()).expect("valid").expect("complete");
        assert_eq!((response.status, response.size), (503, first.len()));
    }

    #[test]
    fn a_request() {
        let mut out = Vec::new();
        post(&mut out, "h:1", "/p", ("X-A", "b"), b"{}");
        let want = "POST /p HTTP/1.1\r\nHost: h:1\r\nContent-Type: application/json\r\n\
                    Content-Length: 2\r\nX-A: b\r\n\r\n{}";
        assert_eq!(String::from_utf8(out).expect("text"), want);
    }
}

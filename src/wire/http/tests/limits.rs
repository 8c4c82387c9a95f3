//! Every bound: the longest that is served, the shortest that is refused, and the work in between.

use super::super::Phase;
use super::super::scan::work;
use super::*;
use crate::base::limits::*;

fn first_reject(input: &[u8], body_max: Option<usize>) -> Option<Reject> {
    let whole = drive([input], body_max);
    assert_eq!(whole, drive(input.chunks(7), body_max));
    let reason = whole.rsplit_once('!')?.1;
    Reject::ALL.into_iter().find(|reject| reject.reason() == reason)
}

/// `make(n)` is served up to `max` and refused from `max + 1` on.
#[track_caller]
fn bound(max: usize, reject: Reject, make: impl Fn(usize) -> String) {
    assert_eq!(first_reject(make(max).as_bytes(), None), None, "{max} is allowed");
    assert_eq!(first_reject(make(max + 1).as_bytes(), None), Some(reject), "one more");
}

#[test]
fn heads_have_bounds() {
    let empty = get("X: \r\n").len();
    bound(HTTP_HEAD_BYTES_MAX, Reject::HeadTooLarge, |size| {
        get(&format!("X: {}\r\n", "y".repeat(size - empty)))
    });
    bound(HTTP_HEADERS_MAX, Reject::TooManyHeaders, |count| get(&"X: y\r\n".repeat(count - 1)));
    bound(HTTP_TARGET_BYTES_MAX, Reject::TargetTooLong, |size| {
        format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(size - 1))
    });
    bound(32, Reject::MethodTooLong, |size| {
        format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(size))
    });
    let endless = "x".repeat(HTTP_HEAD_BYTES_MAX);
    for (head, reject) in [
        (endless.clone(), Reject::MethodTooLong),
        (format!("GET /{endless}"), Reject::TargetTooLong),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {endless}"), Reject::HeadTooLarge),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{endless}"), Reject::HeadTooLarge),
    ] {
        assert_eq!(first_reject(head.as_bytes(), None), Some(reject));
    }
}

#[test]
fn chunk_lines_and_trailers_have_bounds() {
    let name = |size: usize| "x".repeat(size);
    bound(HTTP_CHUNK_LINE_BYTES_MAX, Reject::ChunkLineTooLong, |size| {
        chunked(&format!("0;{}\r\n\r\n", name(size - 4)))
    });
    bound(HTTP_TRAILER_BYTES_MAX, Reject::TrailerTooLarge, |size| {
        chunked(&format!("0\r\nX:{}\r\n\r\n", name(size - 6)))
    });
    bound(HTTP_CHUNK_EXTENSION_BYTES_MAX / 128, Reject::ChunkExtensionsTooLong, |count| {
        chunked(&format!("1;{}\r\ny\r\n", name(127)).repeat(count))
    });
}

#[test]
fn bodies_have_bounds() {
    let length = |size: usize| post(&format!("Content-Length: {size}\r\n"), &"x".repeat(size));
    let chunks = |size: usize| chunked(&("1\r\nx\r\n".repeat(size) + "0\r\n\r\n"));
    for max in [0, 1, 10, 1_000] {
        for make in [&length as &dyn Fn(usize) -> String, &chunks] {
            let (fits, over) = (make(max), make(max + 1));
            assert_eq!(first_reject(fits.as_bytes(), Some(max)), None);
            assert_eq!(first_reject(over.as_bytes(), Some(max)), Some(Reject::BodyTooLarge));
        }
    }
    bound(HTTP_BODY_BYTES_MAX, Reject::BodyTooLarge, |size| {
        post(&format!("Content-Length: {size}\r\n"), "x")
    });
    bound(HTTP_BODY_BYTES_MAX, Reject::BodyTooLarge, |size| chunked(&format!("{size:x}\r\nx")));
    for huge in [u64::from(u32::MAX), 1 << 32, (1 << 32) + 1, u64::MAX] {
        let head = post(&format!("Content-Length: {huge}\r\n"), "x");
        assert_eq!(first_reject(head.as_bytes(), Some(3_000_000)), Some(Reject::BodyTooLarge));
    }
}

#[test]
fn an_announced_length_is_refused_before_its_body() {
    let mut decoder = Decoder::new();
    let head = post("Content-Length: 11\r\nExpect: 100-continue\r\n", "");
    assert!(matches!(decoder.next(head.as_bytes()).unwrap().item, Some(Item::Head(_))));
    assert_eq!(decoder.limit_body(10), Err(Reject::BodyTooLarge));
    assert_eq!(decoder.next(b"x").unwrap_err(), Reject::BodyTooLarge);
    assert_eq!(decoder.phase(), Phase::Over);
}

#[test]
fn a_dripping_head_costs_linear_work() {
    let empty = get("X: \r\n").len();
    let long_line = get(&format!("X: {}\r\n", "y".repeat(HTTP_HEAD_BYTES_MAX - empty)));
    let lines = "X: 0123456789012345678901234567890123456789\r\n".repeat(98);
    for head in [long_line, get(&lines), "GET /".to_string() + &*"x".repeat(8_000)] {
        work::take();
        let expect = drive([head.as_bytes()], None);
        let whole = work::take();
        assert_eq!(drive(head.as_bytes().chunks(1), None), expect);
        let dripped = work::take();
        assert!(whole <= 2 * head.len(), "scan and parse: {whole} of {}", head.len());
        assert!(dripped <= whole + 64, "{dripped} byte by byte, {whole} at once");
    }
}

#[test]
fn phases_tell_which_deadline_holds() {
    let mut decoder = Decoder::new();
    let mut step = |input: &[u8]| {
        let item = decoder.next(input).unwrap().item.is_some();
        (item, decoder.phase())
    };
    assert_eq!(step(b""), (false, Phase::Idle));
    assert_eq!(step(b"POST / HTTP/1.1\r\n"), (false, Phase::Head));
    assert_eq!(step(b"Host: a\r\nContent-Length: 1\r\n"), (false, Phase::Head));
    assert_eq!(step(b"\r\n"), (true, Phase::Body));
    assert_eq!(step(b""), (false, Phase::Body));
    assert_eq!(step(b"x"), (true, Phase::Body));
    assert_eq!(step(b""), (true, Phase::Idle));
    assert_eq!(step(b"\r"), (false, Phase::Head));
    assert_eq!(step(b"\n"), (false, Phase::Idle));
    assert_eq!(step(b"GET / HTTP/1.0\r\n\r\n"), (true, Phase::Body));
    assert_eq!(step(b"GET"), (true, Phase::Over));
    assert_eq!(step(b"GET"), (false, Phase::Over));
}

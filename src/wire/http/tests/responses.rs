//! Responses: their bytes, and that nothing can be smuggled into one.

use super::super::response::{CONTINUE, Delivery, Persistence, Response};
use super::*;

const PLAIN: Delivery<'_> =
    Delivery { persistence: Persistence::Implied, head_only: false, date: None };

#[track_caller]
fn check(response: &Response<'_>, delivery: Delivery<'_>, expect: &str) {
    let mut out = b"before".to_vec();
    response.write(delivery, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), format!("before{expect}"));
}

#[test]
fn bytes_of_responses() {
    let text = Response::text(200, "hi");
    let plain = "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n";
    let close = Delivery { persistence: Persistence::Close, ..PLAIN };
    let old = Delivery { persistence: Persistence::Stated, ..PLAIN };
    let head = Delivery { head_only: true, ..PLAIN };
    check(&text, PLAIN, &format!("HTTP/1.1 200 OK\r\n{plain}\r\nhi"));
    check(&text, close, &format!("HTTP/1.1 200 OK\r\n{plain}Connection: close\r\n\r\nhi"));
    check(&text, old, &format!("HTTP/1.1 200 OK\r\n{plain}Connection: keep-alive\r\n\r\nhi"));
    check(&text, head, &format!("HTTP/1.1 200 OK\r\n{plain}\r\n"));
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    check(
        &text,
        PLAIN.dated(date),
        &format!("HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n{plain}\r\nhi"),
    );
    check(&Response::new(404), PLAIN, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let long = Response::new(200).body_follows(5_000_000_000);
    check(&long, PLAIN, "HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n");
    check(&Response::new(299), PLAIN, "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n");
    check(&Response::new(204), PLAIN, "HTTP/1.1 204 No Content\r\n\r\n");
    check(
        &Response::new(304).header("ETag", "\"1\""),
        close,
        "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nConnection: close\r\n\r\n",
    );
    check(
        &Response::json(200, r#"{"a":1}"#).header("Allow", "GET, HEAD"),
        PLAIN,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nAllow: GET, HEAD\r\n\
         Content-Length: 7\r\n\r\n{\"a\":1}",
    );
    assert_eq!(CONTINUE, b"HTTP/1.1 100 Continue\r\n\r\n");
}

#[test]
fn the_answer_to_a_refusal() {
    check(
        &Response::reject(Reject::BodyTooLarge),
        Delivery::LAST,
        "HTTP/1.1 413 Content Too Large\r\nContent-Type: application/json\r\n\
         Content-Length: 79\r\nConnection: close\r\n\r\n\
         {\"error\":{\"status\":413,\"reason\":\"body_too_large\",\
         \"hint\":\"send a smaller body\"}}",
    );
}

#[test]
fn delivery_follows_the_request() {
    for (head, expect) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", (Persistence::Implied, false)),
        ("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", (Persistence::Close, true)),
        ("GET / HTTP/1.0\r\n\r\n", (Persistence::Close, false)),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", (Persistence::Stated, false)),
    ] {
        let mut decoder = Decoder::new();
        let step = decoder.next(head.as_bytes()).unwrap();
        let Some(Item::Head(request)) = step.item else { panic!("no head: {head}") };
        let delivery = Delivery::of(&request);
        assert_eq!((delivery.persistence, delivery.head_only), expect);
    }
}

#[test]
fn every_refusal_has_an_answer_of_its_own() {
    let mut names: Vec<_> = Reject::ALL.iter().map(|reject| reject.reason()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Reject::ALL.len());
    for (index, reject) in Reject::ALL.into_iter().enumerate() {
        assert_eq!(reject as usize, index, "the list is complete and in order");
        let mut out = Vec::new();
        Response::reject(reject).write(Delivery::LAST, &mut out);
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let value: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(value["error"]["status"], reject.status());
        assert_eq!(value["error"]["reason"], reject.reason());
        assert_eq!(value["error"]["hint"], reject.hint());
        let phrase = head.lines().next().unwrap().splitn(3, ' ').nth(2).unwrap();
        assert!(!phrase.is_empty(), "{reject:?} has a status without a phrase");
    }
}

#[test]
fn our_own_injection_ends_the_process() {
    for (name, value) in [
        ("X", "a\r\nSet-Cookie: b"),
        ("X", "a\nb"),
        ("X", "a\rb"),
        ("X", "a\0b"),
        ("X\r\nY", "a"),
        ("X:", "a"),
        ("", "a"),
        ("content-length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
    ] {
        let built = std::panic::catch_unwind(|| Response::new(200).header(name, value));
        assert!(built.is_err(), "{name:?}: {value:?}");
    }
    assert!(std::panic::catch_unwind(|| Response::error(400, "a\"b", "")).is_err());
    assert!(std::panic::catch_unwind(|| Response::new(101)).is_err());
}

//! The decoder against tables, splits, limits and noise.
//!
//! A stream is written down as what came out of it, parts joined by `|`: a head as method, target
//! and whatever is not the default, `body=…`, `end`, and `!reason` for a refusal.

mod heads;

mod bodies;

mod limits;

mod properties;

mod responses;

use super::{BodyKind, Decoder, Item, Reject, Request, Version};

/// Feeds `pieces` one after another, each until the decoder asks for more.
fn drive<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, body_max: Option<usize>) -> String {
    let mut decoder = Decoder::new();
    let mut parts: Vec<String> = Vec::new();
    for piece in pieces {
        if let Err(reject) = feed(&mut decoder, piece, body_max, &mut parts) {
            assert_eq!(decoder.next(b"GET / HTTP/1.1\r\n").unwrap_err(), reject, "it stays so");
            parts.push(format!("!{}", reject.reason()));
            break;
        }
    }
    parts.join("|")
}

fn feed(
    decoder: &mut Decoder,
    mut input: &[u8],
    body_max: Option<usize>,
    parts: &mut Vec<String>,
) -> Result<(), Reject> {
    loop {
        let step = decoder.next(input)?;
        input = &input[step.consumed..];
        match step.item {
            None => {
                assert!(input.is_empty(), "not yet means that all is consumed");
                return Ok(());
            }
            Some(Item::End) => parts.push("end".into()),
            Some(Item::Head(request)) => {
                parts.push(render(&request));
                if let Some(bytes_max) = body_max {
                    decoder.limit_body(bytes_max)?;
                }
            }
            Some(Item::Body(data)) => {
                assert!(!data.is_empty());
                let text = data.escape_ascii().to_string();
                match parts.last_mut().filter(|part| part.starts_with("body=")) {
                    Some(body) => body.push_str(&text),
                    None => parts.push(format!("body={text}")),
                }
            }
        }
    }
}

fn render(request: &Request<'_>) -> String {
    let mut words = vec![request.method.to_string(), request.target.to_string()];
    if request.version == Version::Http10 {
        words.push("1.0".into());
    }
    match request.body {
        BodyKind::None => {}
        BodyKind::Length(length) => words.push(format!("length={length}")),
        BodyKind::Chunked => words.push("chunked".into()),
    }
    let flags = [
        (request.keep_alive == (request.version == Version::Http10), "unusual-persistence"),
        (request.expect_continue, "expect"),
        (request.upgrade_websocket, "upgrade"),
    ];
    words.extend(flags.iter().filter(|(set, _)| *set).map(|(_, name)| name.to_string()));
    words.join(" ")
}

/// The stream gives `expect` in one piece, byte by byte, and cut in two at every place.
#[track_caller]
fn check(input: impl AsRef<[u8]>, expect: &str) {
    let input = input.as_ref();
    let shown = input.escape_ascii();
    assert_eq!(drive([input], None), expect, "whole: {shown}");
    assert_eq!(drive(input.chunks(1), None), expect, "byte by byte: {shown}");
    for at in 0..input.len().min(600) {
        let (head, tail) = input.split_at(at);
        assert_eq!(drive([head, tail], None), expect, "cut at {at}: {shown}");
    }
}

/// A GET with `lines` after its `Host`.
fn get(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

/// A POST with `lines` after its `Host`, then `body`.
fn post(lines: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}")
}

/// A chunked POST.
fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

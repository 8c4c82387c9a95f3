//! Tests are tables of bytes and what they mean; `check` feeds each of them whole and in every cut.

mod bounds;
mod deflate;
mod frame;
mod handshake;
mod message;
mod oracle;
mod properties;

use super::encode::encode_masked;
use super::frame::Opcode;
use super::message::{Decoder, Item, Limits};
use super::negotiate::Direction;
use crate::base::codes::CloseReason;

const LIMITS: Limits = Limits { message_bytes_max: 4_096, fragments_max: 8 };
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// All that came out of a decoder, in words: items and, if it failed, the close code.
fn read(decoder: &mut Decoder, pieces: &mut [Vec<u8>], limits: &Limits) -> Vec<String> {
    let mut said = Vec::new();
    for piece in pieces {
        let mut at = 0;
        loop {
            match decoder.next(&mut piece[at..], limits) {
                Ok(step) => {
                    at += step.consumed;
                    match step.item {
                        Some(item) => said.push(words(&item)),
                        None => break,
                    }
                }
                Err(reason) => {
                    said.push(format!("error {}", reason.code()));
                    assert_eq!(decoder.next(&mut [], limits), Err(reason), "errors last");
                    return said;
                }
            }
        }
        assert_eq!(at, piece.len());
    }
    said
}

fn words(item: &Item<'_>) -> String {
    match item {
        Item::Text(text) => format!("text({text})"),
        Item::Binary(bytes) => format!("binary({})", hex(bytes)),
        Item::Ping(bytes) => format!("ping({})", hex(bytes)),
        Item::Pong(bytes) => format!("pong({})", hex(bytes)),
        Item::Close { code: None, reason } => format!("close({reason})"),
        Item::Close { code: Some(code), reason } => format!("close({code} {reason})"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A client's frame with all bits free: what `encode` refuses to build.
fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_masked(&mut frame, Opcode::Binary, KEY, payload);
    frame[0] = first;
    frame
}

/// Frames of a client as (first byte, payload), and what a server must make of them.
type Sequence<'a> = (&'a [(u8, &'a [u8])], &'a [&'a str]);

fn frames_of(frames: &[(u8, &[u8])]) -> Vec<u8> {
    frames.iter().flat_map(|(first, payload)| client_frame(*first, payload)).collect()
}

/// Checks what `bytes` say to a server: whole, byte by byte, and in every cut into two.
#[track_caller]
fn check_with(deflate: Option<Direction>, limits: &Limits, bytes: &[u8], want: &[&str]) {
    let mut cuts = vec![vec![bytes.to_vec()], bytes.iter().map(|&byte| vec![byte]).collect()];
    for at in 0..bytes.len().min(600) {
        cuts.push(vec![bytes[..at].to_vec(), bytes[at..].to_vec()]);
    }
    for mut cut in cuts {
        let lengths: Vec<_> = cut.iter().map(Vec::len).collect();
        let got = read(&mut Decoder::server(deflate), &mut cut, limits);
        assert_eq!(got, want, "cut into {lengths:?}");
    }
}

#[track_caller]
fn check(bytes: &[u8], want: &[&str]) {
    check_with(None, &LIMITS, bytes, want);
}

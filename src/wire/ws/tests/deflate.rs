use flate2::{Compress, Compression, FlushCompress};

use super::super::encode::*;
use super::super::negotiate::{Takeover, WINDOW_BITS_DEFLATE_MIN, WINDOW_BITS_MAX};
use super::*;

const KEEP: Option<Direction> = Some(Direction::DEFAULT);
const RESET: Option<Direction> =
    Some(Direction { takeover: Takeover::Reset, ..Direction::DEFAULT });

/// RFC 7692 §7.2.3, masked as a client must.
#[test]
fn the_examples_of_the_standard() {
    const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let table: &[Sequence<'_>] = &[
        // 7.2.3.1, whole and in two fragments.
        (&[(0xc1, HELLO)], &["text(Hello)"]),
        (&[(0x41, b"\xf2\x48\xcd"), (0x80, b"\xc9\xc9\x07\x00")], &["text(Hello)"]),
        // 7.2.3.2: the second one refers to the first.
        (&[(0xc1, HELLO), (0xc1, b"\xf2\x00\x11\x00\x00")], &["text(Hello)", "text(Hello)"]),
        // 7.2.3.3: a block without compression.
        (&[(0xc1, b"\x00\x05\x00\xfa\xffHello\x00")], &["text(Hello)"]),
        // 7.2.3.4: a final block.
        (&[(0xc1, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00")], &["text(Hello)"]),
        // 7.2.3.5: two blocks.
        (&[(0xc1, b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00")], &["text(Hello)"]),
        // 7.2.3.6: nothing.
        (&[(0xc1, b"\x00")], &["text()"]),
    ];
    for (frames, want) in table {
        check_with(KEEP, &LIMITS, &frames_of(frames), want);
    }
}

/// An independent use of zlib: level 9, and cut as §7.2.1 says.
fn deflated(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 1_024);
    let mut stream = Compress::new(Compression::new(9), false);
    stream.compress_vec(message, &mut out, FlushCompress::Sync).unwrap();
    assert!(out.len() < out.capacity());
    out.truncate(out.len() - 4);
    out
}

#[test]
fn violations_and_limits() {
    let hello = deflated(b"Hello");
    let bad_text = deflated(b"fine until here \xff and on");
    let cut_text = deflated(b"cut \xf0\x9f");
    let zeros = deflated(&[0; 4_096]);
    let bomb = deflated(&[0; 4_097]);
    let huge = deflated(&[0; 1 << 20]);
    let padding = [b"\x00\x00\x00\xff\xff".repeat(940), b"\x00".to_vec()].concat();
    let streams = |count: usize| [b"\x03\x00".repeat(count), b"\x00".to_vec()].concat();
    let (few, many) = (streams(16), streams(17));
    let zeros_said = format!("binary({})", "00".repeat(4_096));
    let table: &[Sequence<'_>] = &[
        // Marked where it must not be.
        (&[(0x01, b"a"), (0xc0, &hello)], &["error 1002"]),
        (&[(0x41, b"\xf2\x48\xcd"), (0xc0, b"\xc9\xc9\x07\x00")], &["error 1002"]),
        (&[(0xc9, &hello)], &["error 1002"]),
        // Plain messages may stand between compressed ones, and control frames inside.
        (
            &[(0xc1, &hello), (0x81, b"a"), (0xc1, &hello)],
            &["text(Hello)", "text(a)", "text(Hello)"],
        ),
        (
            &[(0x41, b"\xf2\x48\xcd"), (0x89, b"?"), (0x80, b"\xc9\xc9\x07\x00")],
            &["ping(3f)", "text(Hello)"],
        ),
        // Data that does not inflate: a reserved block type, a distance before the beginning.
        (&[(0xc1, b"\x07")], &["error 1007"]),
        (&[(0xc2, b"\xf2\x00\x11\x00\x00")], &["error 1007"]),
        // Text is checked after inflating.
        (&[(0xc1, &bad_text)], &["error 1007"]),
        (&[(0xc1, &cut_text)], &["error 1007"]),
        // The bound holds for what comes out, and for padding that comes in.
        (&[(0xc2, &zeros)], &[&zeros_said]),
        (&[(0xc2, &bomb)], &["error 1009"]),
        (&[(0xc2, &huge)], &["error 1009"]),
        (&[(0xc2, &padding)], &["error 1009"]),
        (&[(0xc2, &few)], &["binary()"]),
        (&[(0xc2, &many)], &["error 1007"]),
    ];
    for (frames, want) in table {
        let bytes = frames_of(frames);
        check_with(RESET, &LIMITS, &bytes, want);
        check_with(KEEP, &LIMITS, &bytes, want);
    }
    check_with(None, &LIMITS, &client_frame(0xc1, &hello), &["error 1002"]);
}

/// The peer inflates with exactly the window that was agreed, so a reference beyond it fails.
#[test]
fn every_window_and_takeover_comes_back() {
    let words = "the same words again and again, and then some that are new: ";
    let messages: Vec<String> = (0..40)
        .map(|n| match n % 4 {
            0 => words.repeat(n),
            1 => format!("{n}"),
            2 => words.chars().rev().collect::<String>().repeat(n * n / 4),
            _ => {
                (0..n * 997 % 9_000).map(|at| char::from(b'a' + (at * at / 7 % 26) as u8)).collect()
            }
        })
        .collect();
    let limits = Limits { message_bytes_max: 64 * 1_024, fragments_max: 1 };
    for window_bits in WINDOW_BITS_DEFLATE_MIN..=WINDOW_BITS_MAX {
        for takeover in [Takeover::Keep, Takeover::Reset] {
            for compress_bytes_min in [0, 100] {
                let direction = Direction { takeover, window_bits };
                let mut encoder = Encoder::new(direction);
                let mut decoder = Decoder::client(Some(direction));
                for message in &messages {
                    let mut frame = Vec::new();
                    encoder.encode(Kind::Text, message.as_bytes(), compress_bytes_min, &mut frame);
                    let step = decoder.next(&mut frame, &limits).unwrap();
                    assert_eq!(step.item, Some(Item::Text(message)), "{direction:?}");
                }
            }
        }
    }
}

#[test]
fn compression_pays_and_noise_costs_little() {
    let sizes = |takeover, message: &[u8], compress_bytes_min| {
        let mut encoder = Encoder::new(Direction { takeover, ..Direction::DEFAULT });
        [0; 2].map(|_| {
            let mut frame = b"before".to_vec();
            encoder.encode(Kind::Binary, message, compress_bytes_min, &mut frame);
            assert!(frame.starts_with(b"before"));
            (frame.len() - 6, frame[6] & 0x40 != 0)
        })
    };
    let text = b"{\"t\":\"msg\",\"room\":\"lobby\",\"d\":{\"text\":\"hello hello hello hello\"}}";
    let mut state = 1u64;
    let noise: Vec<u8> = (0..300)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    let plain = text.len() + 2;
    assert_eq!(sizes(Takeover::Reset, text, 1_000), [(plain, false); 2]);
    assert_eq!(sizes(Takeover::Reset, b"", 0), [(2, false); 2]);
    let [first, second] = sizes(Takeover::Reset, text, 64);
    assert!(first.0 < plain && first.1);
    assert_eq!(first, second, "every message stands alone");
    let [first, second] = sizes(Takeover::Keep, text, 64);
    assert!(second.0 * 3 < first.0, "the second refers to the first: {first:?} {second:?}");
    let [first, second] = sizes(Takeover::Reset, &noise, 0);
    assert!(first.1 && first == second && first.0 <= noise.len() + 4 + 6, "{first:?}");
    let [first, second] = sizes(Takeover::Keep, &noise, 0);
    assert!(second.0 * 10 < first.0, "{first:?} {second:?}");
}

#[test]
fn an_idle_decoder_keeps_a_context_only_if_that_was_agreed() {
    let hello = client_frame(0xc1, &deflated(b"Hello"));
    for (direction, keeps) in [(RESET, false), (KEEP, true)] {
        let mut decoder = Decoder::server(direction);
        assert_eq!(decoder.held_bytes(), 0);
        for _ in 0..3 {
            read(&mut decoder, &mut [hello.clone()], &LIMITS);
            assert!(decoder.is_idle());
            assert_eq!(decoder.held_bytes() > 0, keeps);
            assert!(decoder.held_bytes() < 48 * 1_024);
        }
    }
}

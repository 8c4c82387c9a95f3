use super::*;

/// RFC 6455 §5.7.
#[test]
fn the_examples_of_the_standard() {
    check(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", &["text(Hello)"]);
    check(b"\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", &["ping(48656c6c6f)"]);
    check(b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", &["pong(48656c6c6f)"]);
    let mut fragments = client_frame(0x01, b"Hel");
    fragments.extend(client_frame(0x80, b"lo"));
    check(&fragments, &["text(Hello)"]);
    for (bytes, want) in [
        (&b"\x81\x05Hello"[..], "text(Hello)"),
        (b"\x01\x03Hel\x80\x02lo", "text(Hello)"),
        (b"\x89\x05Hello", "ping(48656c6c6f)"),
    ] {
        let mut pieces: Vec<_> = bytes.iter().map(|&byte| vec![byte]).collect();
        assert_eq!(read(&mut Decoder::client(None), &mut pieces, &LIMITS), [want]);
    }
    for length in [256, 65_536] {
        let limits = Limits { message_bytes_max: length, ..LIMITS };
        let want = format!("binary({})", "41".repeat(length));
        check_with(None, &limits, &client_frame(0x82, &vec![0x41; length]), &[&want]);
    }
}

#[test]
fn sequences() {
    let long = [b'x'; 125];
    let long_hex = hex(&long);
    let table: &[Sequence<'_>] = &[
        (&[(0x81, b"")], &["text()"]),
        (&[(0x82, b"")], &["binary()"]),
        (&[(0x81, b"a"), (0x82, b"b"), (0x81, b"c")], &["text(a)", "binary(62)", "text(c)"]),
        (&[(0x89, b"")], &["ping()"]),
        (&[(0x89, &long)], &[&format!("ping({long_hex})")]),
        (&[(0x01, b""), (0x00, b""), (0x80, b"")], &["text()"]),
        (&[(0x02, b"a"), (0x00, b""), (0x00, b"b"), (0x80, b"")], &["binary(6162)"]),
        // Control frames between fragments.
        (&[(0x01, b"a"), (0x89, b"?"), (0x80, b"b")], &["ping(3f)", "text(ab)"]),
        (
            &[(0x01, b""), (0x8a, b"1"), (0x89, b"2"), (0x00, b"ab"), (0x89, b""), (0x80, b"c")],
            &["pong(31)", "ping(32)", "ping()", "text(abc)"],
        ),
        (&[(0x01, b"a"), (0x88, b"")], &["close()"]),
        // Fragments out of order.
        (&[(0x80, b"a")], &["error 1002"]),
        (&[(0x00, b"a")], &["error 1002"]),
        (&[(0x01, b"a"), (0x81, b"b")], &["error 1002"]),
        (&[(0x01, b"a"), (0x02, b"b")], &["error 1002"]),
        (&[(0x01, b"a"), (0x80, b"b"), (0x80, b"c")], &["text(ab)", "error 1002"]),
        (&[(0x81, b"a"), (0xc1, b"b")], &["text(a)", "error 1002"]),
        // Close.
        (&[(0x88, b"")], &["close()"]),
        (&[(0x88, b"\x03\xe8")], &["close(1000 )"]),
        (&[(0x88, b"\x0f\xa0bye \xc3\xa9")], &["close(4000 bye é)"]),
        (&[(0x88, b"\x03\xe8"), (0x81, b"after"), (0xff, b"")], &["close(1000 )"]),
        (&[(0x88, b"\x03")], &["error 1002"]),
        (&[(0x88, b"\x03\xed")], &["error 1002"]),
        (&[(0x88, b"\x00\x00")], &["error 1002"]),
        (&[(0x88, b"\x13\x88")], &["error 1002"]),
        (&[(0x88, b"\x03\xe8\xff")], &["error 1007"]),
        (&[(0x88, b"\x03\xe8\xc3")], &["error 1007"]),
        // Text that is not UTF-8: at once, at the end, in the middle of a sequence.
        (&[(0x81, b"\xff")], &["error 1007"]),
        (&[(0x81, b"a\xc3")], &["error 1007"]),
        (&[(0x01, b"\xf0\x9f"), (0x00, b"\x92"), (0x80, b"\xa9")], &["text(💩)"]),
        (&[(0x01, b"\xf0\x9f"), (0x89, b""), (0x80, b"a")], &["ping()", "error 1007"]),
        (&[(0x01, b"\xf0\x9f"), (0x80, b"")], &["error 1007"]),
        (&[(0x81, b"\xed\xa0\x80")], &["error 1007"]),
        (&[(0x81, b"\xc0\xaf")], &["error 1007"]),
        (&[(0x81, b"\xf4\x8f\xbf\xbf")], &["text(\u{10ffff})"]),
        (&[(0x81, b"\xf4\x90\x80\x80")], &["error 1007"]),
        (&[(0x82, b"\xff")], &["binary(ff)"]),
    ];
    for (frames, want) in table {
        check(&frames_of(frames), want);
    }
}

/// Autobahn 6.4.1 to 6.4.4: the byte that cannot be is refused although the message goes on.
#[test]
fn bad_text_fails_at_the_offending_byte() {
    let table: &[(&[u8], usize)] = &[
        (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited", 13),
        (b"plain \xff", 7),
        (b"\xed\xa0", 2),
        (b"\xe0\x9f", 2),
        (b"\xf0\x8f", 2),
        (b"\xc3\xc3", 2),
        (b"0123456789012345678901234567890123456789012345678901234567890123456789\x80", 71),
    ];
    for &(payload, offending) in table {
        let frame = client_frame(0x01, payload);
        let header = frame.len() - payload.len();
        let mut decoder = Decoder::server(None);
        let mut before = frame[..header + offending - 1].to_vec();
        assert_eq!(decoder.next(&mut before, &LIMITS).unwrap().item, None, "{payload:02x?}");
        let mut byte = [frame[header + offending - 1]];
        let got = decoder.next(&mut byte, &LIMITS);
        assert_eq!(got, Err(CloseReason::BadPayload), "{payload:02x?}");
    }
}

#[test]
fn limits() {
    let tight = Limits { message_bytes_max: 10, fragments_max: 3 };
    let table: &[Sequence<'_>] = &[
        (&[(0x81, b"0123456789")], &["text(0123456789)"]),
        (&[(0x81, b"0123456789a")], &["error 1009"]),
        (&[(0x01, b"01234"), (0x80, b"56789")], &["text(0123456789)"]),
        (&[(0x01, b"01234"), (0x80, b"56789a")], &["error 1009"]),
        (&[(0x01, b"a"), (0x00, b"b"), (0x80, b"c")], &["text(abc)"]),
        (&[(0x01, b"a"), (0x00, b"b"), (0x00, b"c"), (0x80, b"d")], &["error 1008"]),
        (
            &[(0x01, b""), (0x00, b""), (0x00, b""), (0x89, b""), (0x00, b"")],
            &["ping()", "error 1008"],
        ),
        // Control frames are no part of the message.
        (
            &[(0x01, b"01234"), (0x89, b"01234567890"), (0x80, b"56789")],
            &["ping(3031323334353637383930)", "text(0123456789)"],
        ),
    ];
    for (frames, want) in table {
        check_with(None, &tight, &frames_of(frames), want);
    }
}

#[test]
fn a_whole_plain_frame_is_lent_from_the_input() {
    let mut frame = client_frame(0x82, &[9; 1_000]);
    let range = frame.as_ptr_range();
    let mut decoder = Decoder::server(None);
    let step = decoder.next(&mut frame, &LIMITS).unwrap();
    let Some(Item::Binary(bytes)) = step.item else { panic!("{step:?}") };
    assert!(range.contains(&bytes.as_ptr()));
    assert!(decoder.is_idle());
}

#[test]
fn idle_means_that_nothing_is_held() {
    let mut decoder = Decoder::server(None);
    assert!(decoder.is_idle());
    for byte in client_frame(0x01, b"a") {
        decoder.next(&mut [byte], &LIMITS).unwrap();
        assert!(!decoder.is_idle());
    }
    for byte in client_frame(0x80, b"b") {
        decoder.next(&mut [byte], &LIMITS).unwrap();
    }
    assert!(decoder.is_idle());
}

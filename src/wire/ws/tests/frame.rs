use super::super::close;
use super::super::encode::*;
use super::super::frame::{Compression, Decoded, Header, Opcode, Sender, decode, header_bytes};
use super::super::mask;
use super::*;

#[test]
fn headers() {
    use Compression::{Absent, Agreed};
    let table: &[(&[u8], Compression, &str)] = &[
        (b"\x81\x80abcd", Absent, "fin Text 0 in 6"),
        (b"\x01\xfdabcd", Absent, "Text 125 in 6"),
        (b"\x82\xfe\x00\x7eabcd", Absent, "fin Binary 126 in 8"),
        (b"\x00\xfe\xff\xffabcd", Absent, "Continuation 65535 in 8"),
        (b"\x82\xff\0\0\0\0\0\x01\0\0abcd", Absent, "fin Binary 65536 in 14"),
        (
            b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xffabcd",
            Absent,
            "fin Binary 9223372036854775807 in 14",
        ),
        (b"\x88\x80abcd", Absent, "fin Close 0 in 6"),
        (b"\x89\xfdabcd", Absent, "fin Ping 125 in 6"),
        (b"\x8a\x80abcd", Absent, "fin Pong 0 in 6"),
        (b"\xc1\x80abcd", Agreed, "fin compressed Text 0 in 6"),
        (b"\x42\x80abcd", Agreed, "compressed Binary 0 in 6"),
        // Reserved bits.
        (b"\xc1", Absent, "refused"),
        (b"\xa1", Agreed, "refused"),
        (b"\x91", Agreed, "refused"),
        (b"\xc0", Agreed, "refused"),
        (b"\xc9", Agreed, "refused"),
        // Fragmented or long control frames.
        (b"\x08", Absent, "refused"),
        (b"\x09", Absent, "refused"),
        (b"\x89\xfe", Absent, "refused"),
        (b"\x88\xff", Absent, "refused"),
        // Not masked.
        (b"\x81\x05", Absent, "refused"),
        // Lengths with a shorter form, and bit 63.
        (b"\x82\xfe\x00\x7d", Absent, "refused"),
        (b"\x82\xfe\x00\x00", Absent, "refused"),
        (b"\x82\xff\0\0\0\0\0\0\xff\xff", Absent, "refused"),
        (b"\x82\xff\x80\0\0\0\0\x01\0\0", Absent, "refused"),
        (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", Absent, "refused"),
    ];
    for &(bytes, compression, want) in table {
        for end in 0..bytes.len() {
            let early = decode(&bytes[..end], Sender::Client, compression);
            assert_eq!(early, Ok(Decoded::Incomplete), "{end} of {bytes:02x?}");
        }
        assert_eq!(describe(decode(bytes, Sender::Client, compression)), want, "{bytes:02x?}");
    }
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        let got = decode(&[0x80 | opcode], Sender::Client, Compression::Agreed);
        assert_eq!(got, Err(CloseReason::Protocol), "opcode {opcode}");
    }
    assert_eq!(describe(decode(b"\x81\x05", Sender::Server, Absent)), "fin Text 5 in 2");
    assert_eq!(describe(decode(b"\x81\x85abcd", Sender::Server, Absent)), "refused");
}

fn describe(got: Result<Decoded, CloseReason>) -> String {
    match got {
        Ok(Decoded::Complete(header)) => {
            let Header { fin, compressed, opcode, payload_bytes, key, header_bytes } = header;
            assert!(key == *b"abcd" || key == [0; 4]);
            let fin = if fin { "fin " } else { "" };
            let compressed = if compressed { "compressed " } else { "" };
            format!("{fin}{compressed}{opcode:?} {payload_bytes} in {header_bytes}")
        }
        Ok(Decoded::Incomplete) => "incomplete".into(),
        Err(reason) => {
            assert_eq!(reason, CloseReason::Protocol);
            "refused".into()
        }
    }
}

#[test]
fn encoded_headers_are_the_shortest() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
        let payload = vec![7; length];
        let mut frame = Vec::new();
        encode_binary(&mut frame, &payload);
        let Ok(Decoded::Complete(header)) = decode(&frame, Sender::Server, Compression::Absent)
        else {
            panic!("{length}");
        };
        assert_eq!(header.payload_bytes, length as u64);
        assert_eq!(usize::from(header.header_bytes), header_bytes(length));
        assert_eq!(&frame[header_bytes(length)..], payload);
        let mut frame = Vec::new();
        encode_masked(&mut frame, Opcode::Binary, KEY, &payload);
        let end = header_bytes(length) + 4;
        assert_eq!(frame.len(), end + length);
        let _ = mask::apply(KEY, &mut frame[end..]);
        assert_eq!(&frame[end..], payload);
    }
}

#[test]
fn close_codes() {
    let valid = (0..=u16::MAX).filter(|&code| close::is_valid_code(code)).count();
    assert_eq!(valid, 4 + 8 + 2_000);
    for code in [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 4999] {
        assert!(close::is_valid_code(code), "{code}");
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        assert!(!close::is_valid_code(code), "{code}");
    }
    for reason in CloseReason::ALL {
        assert!(close::is_valid_code(reason.code()), "{reason:?}");
    }
}

#[test]
fn close_reasons_are_cut_between_characters() {
    let table = [("short", 5), (&"a".repeat(200)[..], 123), (&"é".repeat(100)[..], 122)];
    for (reason, want) in table {
        let mut frame = Vec::new();
        encode_close(&mut frame, 4000, reason);
        assert_eq!(frame.len(), 4 + want);
        let (code, cut) = close::parse(&frame[2..]).unwrap();
        assert_eq!((code, cut.len()), (Some(4000), want));
        assert!(reason.starts_with(cut));
    }
    let mut frames = Vec::new();
    encode_close_reply(&mut frames, None);
    encode_close_reply(&mut frames, Some(1001));
    assert_eq!(frames, b"\x88\x00\x88\x02\x03\xe9");
}

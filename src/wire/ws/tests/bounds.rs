use super::*;

const MIB: usize = 1 << 20;

#[test]
fn a_million_empty_fragments_are_counted_and_not_kept() {
    let mut decoder = Decoder::server(None);
    let limits = Limits { fragments_max: 1_000_000, ..LIMITS };
    let mut first = client_frame(0x01, b"");
    decoder.next(&mut first, &limits).unwrap();
    for _ in 1..1_000_000 {
        let mut empty = *b"\x00\x80abcd";
        assert_eq!(decoder.next(&mut empty, &limits).unwrap().item, None);
    }
    assert!(decoder.held_bytes() < 256);
    let mut empty = *b"\x00\x80abcd";
    assert_eq!(decoder.next(&mut empty, &limits), Err(CloseReason::TooManyFragments));
    assert_eq!(decoder.held_bytes(), 0);
}

#[test]
fn an_announced_length_takes_nothing() {
    let limits = Limits { message_bytes_max: 16 * MIB, fragments_max: 8 };
    let header = |length: u64| [&b"\x82\xff"[..], &length.to_be_bytes(), b"abcd"].concat();
    for length in [16 * MIB as u64 + 1, 1 << 30, 1 << 62, (1 << 63) - 1] {
        let mut decoder = Decoder::server(None);
        let mut header = header(length);
        assert_eq!(decoder.next(&mut header, &limits), Err(CloseReason::TooBig), "{length}");
    }
    let mut decoder = Decoder::server(None);
    decoder.next(&mut header(16 * MIB as u64), &limits).unwrap();
    assert_eq!(decoder.held_bytes(), 0);
    decoder.next(&mut [0], &limits).unwrap();
    assert!(decoder.held_bytes() < 256);
}

#[test]
fn memory_follows_what_arrived_up_to_the_bound_and_is_given_back() {
    let limits = Limits { message_bytes_max: MIB + 17, fragments_max: 8 };
    let mut frame = client_frame(0x82, &vec![3; MIB + 17]);
    let mut decoder = Decoder::server(None);
    let mut arrived = 0;
    let (all_but_last, last) = frame.split_at_mut(MIB);
    for piece in all_but_last.chunks_mut(1_000) {
        arrived += piece.len();
        assert_eq!(decoder.next(piece, &limits).unwrap().item, None);
        assert!(decoder.held_bytes() <= 2 * arrived + 2_000);
        assert!(decoder.held_bytes() <= limits.message_bytes_max + 256);
    }
    let step = decoder.next(last, &limits).unwrap();
    assert!(matches!(step.item, Some(Item::Binary(bytes)) if bytes.len() == MIB + 17));
    assert_eq!(decoder.next(&mut [], &limits).unwrap().item, None);
    assert_eq!(decoder.held_bytes(), 0);
}

#[test]
fn a_bomb_takes_its_bound_and_no_more() {
    let mut compressed = Vec::new();
    let mut encoder = super::super::encode::Encoder::new(Direction::DEFAULT);
    let kind = super::super::encode::Kind::Binary;
    encoder.encode(kind, &vec![0; 64 * MIB], 0, &mut compressed);
    let limits = Limits { message_bytes_max: MIB, fragments_max: 8 };
    let mut decoder = Decoder::client(Some(Direction::DEFAULT));
    let mut held_bytes_max = 0;
    let mut got = Ok(());
    for piece in compressed.chunks_mut(16) {
        got = decoder.next(piece, &limits).map(|step| assert_eq!(step.item, None));
        if got.is_err() {
            break;
        }
        held_bytes_max = held_bytes_max.max(decoder.held_bytes());
    }
    assert_eq!(got, Err(CloseReason::TooBig));
    assert!(held_bytes_max < MIB + 64 * 1_024, "{held_bytes_max}");
}

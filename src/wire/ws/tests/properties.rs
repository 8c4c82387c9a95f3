use proptest::prelude::*;

use super::super::deflate::Deflater;
use super::super::encode::*;
use super::super::mask;
use super::super::negotiate::Takeover;
use super::*;

const DEFLATE: Option<Direction> = Some(Direction { takeover: Takeover::Keep, window_bits: 10 });

/// Frames as a peer with bad luck or bad intent would send them.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x81u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a]),
        4 => prop::sample::select(vec![0xc1u8, 0xc2, 0x41, 0x42]),
        1 => Just(0x88),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        4 => "[a-zé💩]{0,40}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => Just(vec![b'x'; 3_000]),
    ];
    let frame = (first, payload, any::<[u8; 4]>()).prop_map(|(first, payload, key)| {
        let payload = if first & 0x40 != 0 && !payload.is_empty() && key[0] % 8 > 0 {
            let mut out = Vec::new();
            Deflater::new(DEFLATE.unwrap()).push(&payload, &mut out);
            out
        } else {
            payload
        };
        let mut frame = Vec::new();
        encode_masked(&mut frame, Opcode::Binary, key, &payload);
        frame[0] = first;
        frame
    });
    prop::collection::vec(frame, 0..8).prop_map(|frames| frames.concat())
}

/// `bytes` cut at the given places, as fractions of its length.
fn cut(bytes: &[u8], places: &[u16]) -> Vec<Vec<u8>> {
    let mut ends: Vec<_> =
        places.iter().map(|&place| bytes.len() * usize::from(place) / 65_535).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let mut begin = 0;
    let piece = |end| bytes[std::mem::replace(&mut begin, end)..end].to_vec();
    ends.into_iter().map(piece).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_cut_says_the_same(
        bytes in frames(),
        places in prop::collection::vec(any::<u16>(), 0..20),
        agreed in any::<bool>(),
    ) {
        let deflate = if agreed { DEFLATE } else { None };
        let whole = read(&mut Decoder::server(deflate), &mut [bytes.clone()], &LIMITS);
        let pieces = read(&mut Decoder::server(deflate), &mut cut(&bytes, &places), &LIMITS);
        prop_assert_eq!(whole, pieces);
    }

    #[test]
    fn any_bytes_are_survived(
        mut bytes in prop::collection::vec(any::<u8>(), 0..400),
        places in prop::collection::vec(any::<u16>(), 0..10),
        first in prop::sample::select(vec![0x81u8, 0xc1, 0xc2, 0x02]),
    ) {
        // A plausible beginning gets further than noise does.
        bytes.splice(0..0, [first, 0x80 | 100]);
        let whole = read(&mut Decoder::server(DEFLATE), &mut [bytes.clone()], &LIMITS);
        let pieces = read(&mut Decoder::server(DEFLATE), &mut cut(&bytes, &places), &LIMITS);
        prop_assert_eq!(whole, pieces);
        read(&mut Decoder::client(None), &mut [bytes], &LIMITS);
    }

    #[test]
    fn masking_is_what_the_standard_says(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        places in prop::collection::vec(any::<u16>(), 0..6),
        key in any::<[u8; 4]>(),
    ) {
        let naive: Vec<_> =
            bytes.iter().enumerate().map(|(index, byte)| byte ^ key[index % 4]).collect();
        let mut turned = key;
        let mut fast = Vec::new();
        for mut piece in cut(&bytes, &places) {
            turned = mask::apply(turned, &mut piece);
            fast.extend(piece);
        }
        prop_assert_eq!(naive, fast);
    }

    #[test]
    fn what_is_encoded_is_decoded(
        messages in prop::collection::vec(("\\PC{0,300}", any::<bool>()), 0..10),
        places in prop::collection::vec(any::<u16>(), 0..10),
        key in any::<[u8; 4]>(),
    ) {
        let mut encoder = Encoder::new(DEFLATE.unwrap());
        let (mut from_server, mut from_client, mut want) = (Vec::new(), Vec::new(), Vec::new());
        for (text, is_text) in &messages {
            let (kind, opcode) = match is_text {
                true => (Kind::Text, Opcode::Text),
                false => (Kind::Binary, Opcode::Binary),
            };
            encoder.encode(kind, text.as_bytes(), 20, &mut from_server);
            encode_masked(&mut from_client, opcode, key, text.as_bytes());
            want.push(match is_text {
                true => words(&Item::Text(text)),
                false => words(&Item::Binary(text.as_bytes())),
            });
        }
        let limits = Limits { message_bytes_max: 1_200, fragments_max: 1 };
        let said = read(&mut Decoder::client(DEFLATE), &mut cut(&from_server, &places), &limits);
        prop_assert_eq!(&said, &want);
        let said = read(&mut Decoder::server(None), &mut cut(&from_client, &places), &limits);
        prop_assert_eq!(&said, &want);
    }
}

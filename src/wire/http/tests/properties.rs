//! Any cut of any stream gives the same answer, and no stream breaks the decoder.

use proptest::prelude::*;

use super::*;

/// Parts that requests are made of, and parts that break them.
const PARTS: [&str; 44] = [
    "GET / HTTP/1.1\r\n",
    "POST /a?b HTTP/1.1\r\n",
    "POST / HTTP/1.0\r\n",
    "OPTIONS * HTTP/1.1\r\n",
    "GET http://a/ HTTP/1.1\r\n",
    "GET / HTTP/2.0\r\n",
    "Host: a\r\n",
    "Host: a\r\n",
    "Host: a\r\n",
    "Host: a\r\n\r\n",
    "Host: a\r\n\r\n",
    "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "Host: a\r\nContent-Length: 5\r\n\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive, upgrade\r\n",
    "Upgrade: websocket\r\n",
    "Expect: 100-continue\r\n",
    "X-Any: value with spaces\r\n",
    "\r\n",
    "\r\n",
    "\r\n\r\n",
    "hello",
    "5\r\nhello\r\n",
    "5\r\nhello\r\n",
    "1;ext=\"a b\"\r\nx\r\n",
    "a;b;c=d\r\n0123456789\r\n",
    "0\r\n\r\n",
    "0\r\n\r\n",
    "0\r\nTrailer: x\r\n\r\n",
    "ffffffff\r\n",
    "GET ",
    "/ ",
    "HTTP/1.1\r\n",
    " ",
    "\t",
    "\n",
    "\r",
    "\0",
    ":",
    ";",
];

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        12 => proptest::sample::select(&PARTS[..]).prop_map(|part| part.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 1..4),
    ];
    proptest::collection::vec(part, 1..14).prop_map(|parts| parts.concat())
}

/// Well-formed requests one after another: random parts rarely get past the first head.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let chunk = proptest::collection::vec(any::<u8>(), 1..40)
        .prop_map(|data| [format!("{:x}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat());
    let length = proptest::collection::vec(any::<u8>(), 0..60).prop_map(|data| {
        [post(&format!("Content-Length: {}\r\n", data.len()), "").as_bytes(), &data].concat()
    });
    let chunks = proptest::collection::vec(chunk, 0..5)
        .prop_map(|chunks| [chunked("").as_bytes(), &chunks.concat(), b"0\r\n\r\n"].concat());
    let request = prop_oneof![Just(get("X: y\r\n").into_bytes()), length, chunks];
    proptest::collection::vec(request, 1..5).prop_map(|requests| requests.concat())
}

fn cut<'a>(input: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = input;
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        let size = (*sizes.next()?).min(rest.len());
        let (piece, tail) = rest.split_at(size);
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn cuts_do_not_matter(
        input in stream(),
        sizes in proptest::collection::vec(1usize..40, 1..8),
        body_max in proptest::option::of(0usize..40),
    ) {
        let whole = drive([&input[..]], body_max);
        prop_assert_eq!(&drive(input.chunks(1), body_max), &whole);
        prop_assert_eq!(&drive(cut(&input, &sizes), body_max), &whole);
    }

    #[test]
    fn good_requests_are_served_however_cut_and_a_broken_byte_never_panics(
        input in requests(),
        sizes in proptest::collection::vec(1usize..40, 1..8),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let whole = drive([&input[..]], None);
        prop_assert!(whole.ends_with("|end"), "{}", whole);
        prop_assert_eq!(&drive(cut(&input, &sizes), None), &whole);
        let mut broken = input.clone();
        broken[at.index(input.len())] = byte;
        let whole = drive([&broken[..]], None);
        prop_assert_eq!(&drive(broken.chunks(1), None), &whole);
        prop_assert_eq!(&drive(cut(&broken, &sizes), None), &whole);
    }

    #[test]
    fn noise_never_panics(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        let whole = drive([&input[..]], None);
        prop_assert_eq!(drive(input.chunks(1), None), whole);
        let text = String::from_utf8_lossy(&input);
        let _ = super::super::query::get(&text, "a");
        for (key, value) in super::super::query::pairs(&text) {
            let _ = (super::super::query::decode(key), super::super::query::decode(value));
        }
    }
}

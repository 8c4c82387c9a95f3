use super::super::handshake::{Accepted, Handshake, HandshakeError, Support, accept, response};
use super::super::negotiate::Policy;

const SUPPORT: Support =
    Support { protocols: &["ringpost.v1.json", "chat"], deflate: Some(Policy::AS_OFFERED) };

const GOOD: [(&str, &str); 5] = [
    ("Host", "example.org"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
];

fn try_accept(support: &Support, headers: &[(&str, &str)]) -> Result<Accepted, HandshakeError> {
    let headers = headers.iter().map(|&(name, value)| (name, value.as_bytes()));
    accept(Handshake { method: "GET", http_version: (1, 1), headers }, support)
}

/// The good request with one header replaced (or taken out, if the value is "-").
fn with<'a>(name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut headers: Vec<_> = GOOD.into_iter().filter(|header| header.0 != name).collect();
    if value != "-" {
        headers.push((name, value));
    }
    headers
}

/// RFC 6455 §1.3, with the key of the standard.
#[test]
fn the_example_of_the_standard() {
    let accepted = try_accept(&SUPPORT, &with("Sec-WebSocket-Protocol", "chat, superchat"));
    let mut out = Vec::new();
    response(&accepted.unwrap(), &mut out);
    let want = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), want);
}

#[test]
fn requests() {
    use HandshakeError::*;
    let table: &[(&str, &str, Option<HandshakeError>)] = &[
        ("Upgrade", "WebSocket", None),
        ("Upgrade", "h2c, foo/2, websocket", None),
        ("Upgrade", "websockets", Some(Upgrade)),
        ("Upgrade", "-", Some(Upgrade)),
        ("Connection", "keep-alive, Upgrade", None),
        ("Connection", "UPGRADE", None),
        ("Connection", ",upgrade ,,", None),
        ("Connection", "keep-alive", Some(Connection)),
        ("Connection", "-", Some(Connection)),
        ("Connection", "keep alive, upgrade", Some(MalformedList)),
        ("Sec-WebSocket-Version", "8", Some(Version)),
        ("Sec-WebSocket-Version", "013", Some(Version)),
        ("Sec-WebSocket-Version", "13, 8", Some(Version)),
        ("Sec-WebSocket-Version", "-", Some(Version)),
        ("Sec-WebSocket-Key", " dGhlIHNhbXBsZSBub25jZQ== ", None),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=", Some(Key)),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZ===", Some(Key)),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQAA", Some(Key)),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j*Q==", Some(Key)),
        ("Sec-WebSocket-Key", "AAAA", Some(Key)),
        ("Sec-WebSocket-Key", "", Some(Key)),
        ("Sec-WebSocket-Key", "-", Some(Key)),
        ("Sec-WebSocket-Protocol", "a b", Some(MalformedList)),
        ("Sec-WebSocket-Protocol", "", None),
        ("Sec-WebSocket-Extensions", "permessage-deflate; =1", Some(MalformedList)),
        ("Sec-WebSocket-Extensions", "x; a=\"1", Some(MalformedList)),
        ("Sec-WebSocket-Extensions", "constructor, __proto__; a=b", None),
    ];
    for (name, value, want) in table {
        let got = try_accept(&SUPPORT, &with(name, value)).err();
        assert_eq!(got, *want, "{name}: {value}");
    }
    for (name, want) in [("Sec-WebSocket-Key", Key), ("Sec-WebSocket-Version", Version)] {
        let value = GOOD.iter().find(|header| header.0 == name).unwrap().1;
        let mut twice = GOOD.to_vec();
        twice.push((name, value));
        assert_eq!(try_accept(&SUPPORT, &twice).err(), Some(want), "{name} twice");
    }
    for (method, http_version, want) in [
        ("POST", (1, 1), Method),
        ("get", (1, 1), Method),
        ("GET", (1, 0), HttpVersion),
        ("GET", (2, 0), HttpVersion),
    ] {
        let headers = GOOD.iter().map(|&(name, value)| (name, value.as_bytes()));
        let got = accept(Handshake { method, http_version, headers }, &SUPPORT);
        assert_eq!(got.err(), Some(want), "{method} {http_version:?}");
    }
}

#[test]
fn a_refusal_says_what_would_help() {
    for error in HandshakeError::ALL {
        let (status, text) = error.describe();
        assert!((400..=505).contains(&status) && !text.is_empty());
        let upgrade = error.headers().iter().any(|header| header.0 == "Sec-WebSocket-Version");
        assert_eq!(status == 426, upgrade, "{error:?}");
    }
}

#[test]
fn the_first_known_protocol_of_the_client_wins() {
    for (offered, want) in [
        ("chat", Some("chat")),
        ("chat, ringpost.v1.json", Some("chat")),
        ("soap,\tringpost.v1.json , chat", Some("ringpost.v1.json")),
        ("Chat", None),
        ("soap", None),
        ("-", None),
    ] {
        let accepted = try_accept(&SUPPORT, &with("Sec-WebSocket-Protocol", offered)).unwrap();
        assert_eq!(accepted.protocol, want, "{offered}");
    }
    let mut twice = with("Sec-WebSocket-Protocol", "soap");
    twice.push(("sec-websocket-protocol", "chat"));
    assert_eq!(try_accept(&SUPPORT, &twice).unwrap().protocol, Some("chat"));
}

#[test]
fn offers() {
    let stateless = Policy::STATELESS;
    let small = Policy { server_window_bits_max: 11, client_window_bits_max: 10, ..stateless };
    let as_offered = Policy::AS_OFFERED;
    let both = "s_reset; c_reset";
    let table: &[(&str, Policy, &str)] = &[
        ("", as_offered, "none"),
        ("x-webkit-deflate-frame", as_offered, "none"),
        ("pmd", as_offered, ""),
        ("PerMessage-Deflate", as_offered, ""),
        ("pmd; c_bits", as_offered, ""),
        ("pmd", stateless, both),
        ("foo; bar=\"a;b,\\\"c\", pmd", as_offered, ""),
        // Each parameter, and its wrong values.
        ("pmd; s_reset", as_offered, "s_reset"),
        ("pmd; c_reset", as_offered, "c_reset"),
        ("pmd; s_reset=1", as_offered, "none"),
        ("pmd; c_reset=1", as_offered, "none"),
        ("pmd; s_bits", as_offered, "none"),
        ("pmd; s_bits=15", as_offered, ""),
        ("pmd; s_bits=9", as_offered, "s_bits=9"),
        ("pmd; s_bits=\"10\"", as_offered, "s_bits=10"),
        ("pmd; s_bits=8", as_offered, "none"),
        ("pmd; s_bits=7", as_offered, "none"),
        ("pmd; s_bits=16", as_offered, "none"),
        ("pmd; s_bits=09", as_offered, "none"),
        ("pmd; s_bits=1000", as_offered, "none"),
        ("pmd; s_bits=\"\"", as_offered, "none"),
        ("pmd; c_bits=8", as_offered, "c_bits=8"),
        ("pmd; c_bits=12", as_offered, "c_bits=12"),
        ("pmd; c_bits=16", as_offered, "none"),
        ("pmd; c_bits=-1", as_offered, "none"),
        ("pmd; unknown", as_offered, "none"),
        ("pmd; s_bits=9; s_bits=9", as_offered, "none"),
        ("pmd; c_bits; c_bits=9", as_offered, "none"),
        // The next offer is looked at.
        (
            "pmd; s_bits=8, pmd; unknown=1, \
             pmd; s_reset",
            as_offered,
            "s_reset",
        ),
        ("pmd; s_bits=9, pmd", as_offered, "s_bits=9"),
        // The server's own wishes: the client's window only where the offer allows it.
        ("pmd", small, "s_reset; s_bits=11; c_reset"),
        ("pmd; c_bits; s_bits=10", small, "s_reset; s_bits=10; c_reset; c_bits=10"),
    ];
    for (value, policy, want) in table {
        let (value, want) = (&long(value)[..], long(want));
        let support = Support { deflate: Some(*policy), ..SUPPORT };
        let headers = with("Sec-WebSocket-Extensions", value);
        let accepted = try_accept(&support, &headers).unwrap();
        let got = match accepted.deflate {
            None => "none".to_string(),
            Some(parameters) => {
                let mut out = Vec::new();
                parameters.write(&mut out);
                let text = String::from_utf8(out).unwrap();
                text.strip_prefix("permessage-deflate").unwrap().trim_start_matches("; ").into()
            }
        };
        assert_eq!(got, want, "{value}");
        let never = Support { deflate: None, ..SUPPORT };
        assert_eq!(try_accept(&never, &headers).unwrap().deflate, None);
    }
}

/// The table's short words as they are on the wire.
fn long(text: &str) -> String {
    text.replace("pmd", "permessage-deflate")
        .replace("s_reset", "server_no_context_takeover")
        .replace("c_reset", "client_no_context_takeover")
        .replace("s_bits", "server_max_window_bits")
        .replace("c_bits", "client_max_window_bits")
}

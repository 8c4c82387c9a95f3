//! Heads: what is served and what is refused.

use super::*;

#[test]
fn request_lines() {
    for (line, expect) in [
        ("GET / HTTP/1.1", "GET /|end"),
        ("GET / HTTP/1.0", "GET / 1.0|end"),
        ("get / HTTP/1.1", "get /|end"),
        ("BREW /pot HTTP/1.1", "BREW /pot|end"),
        ("M-SEARCH!#$%&'*+.^_`|~ /x HTTP/1.1", "M-SEARCH!#$%&'*+.^_`|~ /x|end"),
        ("HEAD /a/b HTTP/1.1", "HEAD /a/b|end"),
        ("GET /a?b=c&d=%20 HTTP/1.1", "GET /a?b=c&d=%20|end"),
        ("GET /?a={b}|c^d\\e`f HTTP/1.1", "GET /?a={b}|c^d\\e`f|end"),
        ("GET /a|b;c=1,@:$!'()*+~ HTTP/1.1", "GET /a|b;c=1,@:$!'()*+~|end"),
        ("GET /?? HTTP/1.1", "GET /??|end"),
        ("GET //a//b HTTP/1.1", "GET //a//b|end"),
        ("OPTIONS * HTTP/1.1", "OPTIONS *|end"),
        ("OPTIONS / HTTP/1.1", "OPTIONS /|end"),
        ("GET http://a/x?y HTTP/1.1", "GET http://a/x?y|end"),
        ("GET HTTPS://A HTTP/1.1", "GET HTTPS://A|end"),
        ("GET http://a?y HTTP/1.1", "GET http://a?y|end"),
        ("GET http://b/ HTTP/1.1", "!host_mismatch"),
        ("GET http://a:80/ HTTP/1.1", "!host_mismatch"),
        ("GET http://u@a/ HTTP/1.1", "!bad_target"),
        ("GET http:///x HTTP/1.1", "!bad_target"),
        ("GET ftp://a/ HTTP/1.1", "!bad_target"),
        ("GET http:/a HTTP/1.1", "!bad_target"),
        ("GET * HTTP/1.1", "!bad_target"),
        ("OPTIONS ** HTTP/1.1", "!bad_target"),
        ("GET a HTTP/1.1", "!bad_target"),
        ("GET a:80 HTTP/1.1", "!bad_target"),
        ("GET ?a HTTP/1.1", "!bad_target"),
        ("GET /a#b HTTP/1.1", "!bad_target"),
        ("GET /?a#b HTTP/1.1", "!bad_target"),
        ("GET /\u{e9} HTTP/1.1", "!bad_target"),
        ("GET /?\u{e9} HTTP/1.1", "!bad_target"),
        ("GET /a\\b HTTP/1.1", "!bad_target"),
        ("GET /\"a\" HTTP/1.1", "!bad_target"),
        ("GET /?<a> HTTP/1.1", "!bad_target"),
        ("GET /{a} HTTP/1.1", "!bad_target"),
        ("CONNECT a:443 HTTP/1.1", "!connect"),
        ("CONNECT a HTTP/1.1", "!bad_target"),
        ("CONNECT /a HTTP/1.1", "!bad_target"),
        ("CONNECT http://a:1/ HTTP/1.1", "!bad_target"),
        ("GET / HTTP/1.2", "!version"),
        ("GET / HTTP/0.9", "!version"),
        ("GET / HTTP/2.0", "!version"),
        ("GET / HTTP/3.0", "!version"),
        ("GET / HTTP/9.9", "!version"),
        ("GET / HTTP/11", "!bad_request_line"),
        ("GET / HTTP/1.10", "!bad_request_line"),
        ("GET / HTTP/01.1", "!bad_request_line"),
        ("GET / HTTP/1.", "!bad_request_line"),
        ("GET / HTTP/1", "!bad_request_line"),
        ("GET / HTTP/", "!bad_request_line"),
        ("GET / http/1.1", "!bad_request_line"),
        ("GET / HTTPS/1.1", "!bad_request_line"),
        ("GET / HTTP 1.1", "!bad_request_line"),
        ("GET / HTTP/1,1", "!bad_request_line"),
        ("GET / HTTP/1.1 ", "!bad_request_line"),
        ("GET / HTTP/2.0 x", "!bad_request_line"),
        ("GET / x HTTP/1.1", "!bad_request_line"),
        ("GET  / HTTP/1.1", "!bad_request_line"),
        ("GET /  HTTP/1.1", "!bad_request_line"),
        ("GET\t/\tHTTP/1.1", "!bad_request_line"),
        ("GET /\t HTTP/1.1", "!bad_request_line"),
        ("GET /a\0b HTTP/1.1", "!bad_request_line"),
        ("GET /a\u{7f}b HTTP/1.1", "!bad_request_line"),
        ("GET / ", "!bad_request_line"),
        ("GET /", "!bad_request_line"),
        ("GET", "!bad_request_line"),
        ("GET HTTP/1.1", "!bad_request_line"),
        (" GET / HTTP/1.1", "!bad_request_line"),
        ("\tGET / HTTP/1.1", "!bad_request_line"),
        ("G(T / HTTP/1.1", "!bad_request_line"),
        ("G\u{e9}T / HTTP/1.1", "!bad_request_line"),
        (": / HTTP/1.1", "!bad_request_line"),
        ("\0", "!bad_request_line"),
        ("{\"t\":\"hello\"}", "!bad_request_line"),
        ("\u{16}\u{3}\u{1}", "!bad_request_line"),
    ] {
        check(format!("{line}\r\nHost: a\r\n\r\n"), expect);
    }
}

#[test]
fn other_protocols_get_their_answer_without_a_whole_head() {
    for (input, expect) in [
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "!version"),
        ("PRI * HTTP/2.0\r\n", "!version"),
        ("GET /\r\n", "!bad_request_line"),
        ("\x16\x03\x01\x02\x00", "!bad_request_line"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "!bad_request_line"),
        ("GET / HTTP/1.1\n", "!bare_lf"),
        ("GET / HTTP/1.1\rH", "!bare_cr"),
        ("GET / HTTP/2.0\r\nHost: a\n", "!version"),
        ("GET / HTTP/1.1\r\nHost: a\n", "!bare_lf"),
    ] {
        check(input, expect);
    }
}

#[test]
fn line_ends() {
    for (input, expect) in [
        ("", ""),
        ("\r", ""),
        ("\r\n", ""),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /|end"),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "!bad_request_line"),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "!bare_lf"),
        ("\r\n\nGET / HTTP/1.1\r\n", "!bare_lf"),
        ("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "!bare_cr"),
        ("GET / HTTP/1.1\nHost: a\n\n", "!bare_lf"),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", "!bare_lf"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", "!bare_lf"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\nY: c\r\n\r\n", "!bare_lf"),
        ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "!bare_cr"),
        ("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", "!bare_cr"),
        ("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", "!bare_cr"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n", "!bare_cr"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \rTransfer-Encoding: chunked\r\n\r\n", "!bare_cr"),
        ("GET / HTTP/1.1\r\nHost: a\r\n", ""),
    ] {
        check(input, expect);
    }
}

#[test]
fn fields_in_general() {
    for (lines, expect) in [
        ("", "GET /|end"),
        ("X: y\r\n", "GET /|end"),
        ("X:y\r\n", "GET /|end"),
        ("X: \t y \t \r\n", "GET /|end"),
        ("X:\r\n", "GET /|end"),
        ("X: \r\n", "GET /|end"),
        ("X: a:b:c\r\n", "GET /|end"),
        ("X: tab\tinside\r\n", "GET /|end"),
        ("X: obs-text \u{e9}\r\n", "GET /|end"),
        ("X_y!#$%&'*+-.^`|~9: z\r\n", "GET /|end"),
        ("Te: trailers\r\n", "GET /|end"),
        ("X y: z\r\n", "!bad_header_name"),
        ("X : y\r\n", "!bad_header_name"),
        ("X\t: y\r\n", "!bad_header_name"),
        (" X: y\r\n", "!bad_header_name"),
        ("\tX: y\r\n", "!bad_header_name"),
        ("X: y\r\n folded\r\n", "!bad_header_name"),
        ("X: y\r\n\tfolded\r\n", "!bad_header_name"),
        ("X: y\r\n \r\n", "!bad_header_name"),
        (": y\r\n", "!bad_header_name"),
        ("X\r\n", "!bad_header_name"),
        ("(X): y\r\n", "!bad_header_name"),
        ("X\u{e9}: y\r\n", "!bad_header_name"),
        ("X\0: y\r\n", "!bad_header_name"),
        ("X@y: z\r\n", "!bad_header_name"),
        ("X: a\0b\r\n", "!bad_header_value"),
        ("X: a\u{1}b\r\n", "!bad_header_value"),
        ("X: a\u{1b}[31m\r\n", "!bad_header_value"),
        ("X: a\u{7f}b\r\n", "!bad_header_value"),
        ("X: a\u{b}\r\n", "!bad_header_value"),
    ] {
        check(get(lines), expect);
    }
    check("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "!bad_header_name");
    check("GET / HTTP/1.1\r\n\tX: y\r\nHost: a\r\n\r\n", "!bad_header_name");
}

#[test]
fn hosts() {
    for host in [
        "a",
        "A",
        "example.com",
        "example.com.",
        "a_b-c.d~e",
        "1.2.3.4",
        "a:1",
        "a:80",
        "a:65535",
        "[::1]",
        "[::1]:8080",
        "[2001:db8::1]",
        "[::ffff:1.2.3.4]:1",
        "xn--bcher-kva.example",
    ] {
        check(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), "GET /|end");
    }
    for host in [
        "",
        " ",
        "a,b",
        "a, b",
        "a b",
        "u@a",
        "u:p@a",
        "a/",
        "a/b",
        "http://a",
        "a?b",
        "a#b",
        "a:",
        ":80",
        ":",
        "a:b",
        "a:-1",
        "a:+1",
        "a: 1",
        "a:1:2",
        "a:65536",
        "a:000080",
        "[::1",
        "::1",
        "[::1]x",
        "[::1]:",
        "[::1]:x",
        "[]",
        "[a]",
        "[::1%25eth0]",
        "[v1.x]",
        "a\\b",
        "%61",
        "a;b",
        "\u{e9}",
        "a\tb",
        "$a",
        "(a)",
        "a=b",
        "*",
    ] {
        check(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), "!bad_host");
    }
    for (head, expect) in [
        ("GET / HTTP/1.1\r\n\r\n", "!missing_host"),
        ("GET / HTTP/1.1\r\nX: y\r\n\r\n", "!missing_host"),
        ("GET http://a/ HTTP/1.1\r\n\r\n", "!missing_host"),
        ("GET / HTTP/1.0\r\n\r\n", "GET / 1.0|end"),
        ("GET http://a/ HTTP/1.0\r\n\r\n", "GET http://a/ 1.0|end"),
        ("GET / HTTP/1.0\r\nHost: a b\r\n\r\n", "!bad_host"),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "!duplicate_host"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "!duplicate_host"),
        ("GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", "!duplicate_host"),
        ("GET http://a:8080/ HTTP/1.1\r\nHost: A:8080\r\n\r\n", "GET http://a:8080/|end"),
        ("GET http://[::1]/ HTTP/1.1\r\nHost: [::1]\r\n\r\n", "GET http://[::1]/|end"),
    ] {
        check(head, expect);
    }
}

#[test]
fn persistence_expectation_and_upgrade() {
    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    for (lines, expect) in [
        ("Connection: close\r\n", "GET / unusual-persistence|end"),
        ("Connection: x, CLOSE , y\r\n", "GET / unusual-persistence|end"),
        ("Connection: keep-alive\r\nConnection: close\r\n", "GET / unusual-persistence|end"),
        ("Connection: keep-alive\r\n", "GET /|end"),
        ("Connection: closed\r\n", "GET /|end"),
        ("Connection: \r\n", "GET /|end"),
        (websocket, "GET / upgrade|end"),
        ("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n", "GET / upgrade|end"),
        ("Connection: upgrade\r\nUpgrade: h2c, websocket\r\n", "GET / upgrade|end"),
        ("Upgrade: websocket\r\n", "GET /|end"),
        ("Connection: Upgrade\r\n", "GET /|end"),
        ("Connection: Upgrade\r\nUpgrade: h2c\r\n", "GET /|end"),
        ("Connection: Upgrade\r\nUpgrade: websockets\r\n", "GET /|end"),
        ("Expect: 100-continue\r\n", "GET /|end"),
        ("Expect: 100-continue\r\nContent-Length: 0\r\n", "GET / length=0|end"),
        ("Expect: 100-continue\r\nContent-Length: 1\r\n", "GET / length=1 expect"),
        ("Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n", "GET / chunked expect"),
        ("Expect: 100-continue, 200-ok\r\n", "!expectation"),
        ("Expect: 100\r\n", "!expectation"),
        ("Expect: 100-continue;q=1\r\n", "!expectation"),
    ] {
        check(get(lines), expect);
    }
    for (lines, expect) in [
        ("Connection: keep-alive\r\n", "GET / 1.0 unusual-persistence|end"),
        ("Connection: keep-alive, close\r\n", "GET / 1.0|end"),
        (websocket, "GET / 1.0|end"),
        ("Expect: 100-continue\r\nContent-Length: 1\r\n", "GET / 1.0 length=1"),
        ("Expect: tea\r\n", "GET / 1.0|end"),
    ] {
        check(format!("GET / HTTP/1.0\r\n{lines}\r\n"), expect);
    }
}

#[test]
fn pipelining_until_somebody_closes() {
    let one = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    let two = "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    let last = "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let old = "GET /4 HTTP/1.0\r\n\r\n";
    let after_two = "GET /1|end|POST /2 length=2|body=hi|end";
    check(format!("{one}{two}"), after_two);
    check(
        format!("{one}{two}\r\n{one}{last}{one}\n\n"),
        &format!("{after_two}|GET /1|end|GET /3 unusual-persistence|end"),
    );
    check(format!("{one}{old}{one}"), "GET /1|end|GET /4 1.0|end");
    check(format!("{one}\r\n\r\n{one}"), "GET /1|end|!bad_request_line");
    check(format!("{two}X{one}"), "POST /2 length=2|body=hi|end|XGET /1|end");
    check(format!("{one}GET / HTTP/1.1\n"), "GET /1|end|!bare_lf");
}

#[test]
fn fields_are_given_in_order_and_as_received() {
    let head = b"GET /p?q HTTP/1.1\r\nhost: a:1\r\nX-B:  one two\t\r\nx-b:\r\nX-\xc3: y\r\n\r\n";
    let bad = Decoder::new().next(head).unwrap_err();
    assert_eq!(bad, Reject::BadHeaderName);
    let head =
        b"GET /p?q HTTP/1.1\r\nhost: a:1\r\nX-B:  one two\t\r\nx-b:\r\nC: \xc3:\xa9\r\n\r\nrest";
    let mut decoder = Decoder::new();
    let step = decoder.next(head).unwrap();
    assert_eq!(step.consumed, head.len() - 4);
    let Some(Item::Head(request)) = step.item else { panic!("no head") };
    let fields: Vec<_> = request.fields.collect();
    let expect: [(&str, &[u8]); 4] =
        [("host", b"a:1"), ("X-B", b"one two"), ("x-b", b""), ("C", b"\xc3:\xa9")];
    assert_eq!(fields, expect);
    assert_eq!(request.header("HOST"), Some(&b"a:1"[..]));
    assert_eq!(request.fields.all("x-B").collect::<Vec<_>>(), [&b"one two"[..], b""]);
    assert_eq!(request.header("x"), None);
    assert_eq!((request.path, request.query, request.host), ("/p", Some("q"), Some("a:1")));
}

#[test]
fn targets_are_taken_apart() {
    for (target, path, query) in [
        ("/", "/", None),
        ("/?", "/", Some("")),
        ("/a?b?c", "/a", Some("b?c")),
        ("/a%2Fb?c%26d", "/a%2Fb", Some("c%26d")),
        ("http://a", "/", None),
        ("http://a?x", "/", Some("x")),
        ("http://a/b/?x", "/b/", Some("x")),
        ("/http://b/", "/http://b/", None),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut decoder = Decoder::new();
        let step = decoder.next(head.as_bytes()).unwrap();
        let Some(Item::Head(request)) = step.item else { panic!("no head: {target}") };
        assert_eq!((request.target, request.path, request.query), (target, path, query));
    }
}

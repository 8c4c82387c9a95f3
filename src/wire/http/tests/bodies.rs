//! Bodies: lengths, chunks, trailers, and the classics of request smuggling.

use super::*;

#[test]
fn lengths() {
    for (lines, body, expect) in [
        ("", "", "POST /|end"),
        ("Content-Length: 0\r\n", "", "POST / length=0|end"),
        ("Content-Length: 5\r\n", "hello", "POST / length=5|body=hello|end"),
        ("content-length:5 \t\r\n", "hello", "POST / length=5|body=hello|end"),
        ("Content-Length: 5\r\n", "hell", "POST / length=5|body=hell"),
        ("Content-Length: 4\r\n", "\r\n\0\n", r"POST / length=4|body=\r\n\x00\n|end"),
        ("Content-Length:\r\n", "", "!bad_length"),
        ("Content-Length: +5\r\n", "hello", "!bad_length"),
        ("Content-Length: -5\r\n", "hello", "!bad_length"),
        ("Content-Length: -0\r\n", "", "!bad_length"),
        ("Content-Length: 05\r\n", "hello", "!bad_length"),
        ("Content-Length: 00\r\n", "", "!bad_length"),
        ("Content-Length: 0x5\r\n", "hello", "!bad_length"),
        ("Content-Length: 5.0\r\n", "hello", "!bad_length"),
        ("Content-Length: 5e0\r\n", "hello", "!bad_length"),
        ("Content-Length: 5 5\r\n", "hello", "!bad_length"),
        ("Content-Length: 1_0\r\n", "hello", "!bad_length"),
        ("Content-Length: 5,5\r\n", "hello", "!bad_length"),
        ("Content-Length: 5, 6\r\n", "hello", "!bad_length"),
        ("Content-Length: 5,\r\n", "hello", "!bad_length"),
        ("Content-Length: \"5\"\r\n", "hello", "!bad_length"),
        ("Content-Length: five\r\n", "hello", "!bad_length"),
        ("Content-Length: \u{665}\r\n", "hello", "!bad_length"),
        ("Content-Length: 18446744073709551616\r\n", "", "!bad_length"),
        ("Content-Length: 99999999999999999999\r\n", "", "!bad_length"),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", "hello", "!duplicate_length"),
        ("Content-Length: 5\r\ncontent-LENGTH: 6\r\n", "hello", "!duplicate_length"),
        ("Content-Length: 0\r\nContent-Length: 0\r\n", "", "!duplicate_length"),
        ("Content-Length : 5\r\n", "hello", "!bad_header_name"),
        ("Content-Length\r\n : 5\r\n", "hello", "!bad_header_name"),
    ] {
        check(post(lines, body), expect);
    }
    check("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi", "POST / 1.0 length=2|body=hi|end");
}

#[test]
fn transfer_encodings() {
    let good = "0\r\n\r\n";
    for (lines, expect) in [
        ("Transfer-Encoding: chunked\r\n", "POST / chunked|end"),
        ("transfer-encoding:\tchunked \r\n", "POST / chunked|end"),
        ("Transfer-Encoding: Chunked\r\n", "POST / chunked|end"),
        ("Transfer-Encoding:\r\n", "!bad_encoding"),
        ("Transfer-Encoding: identity\r\n", "!bad_encoding"),
        ("Transfer-Encoding: gzip\r\n", "!bad_encoding"),
        ("Transfer-Encoding: gzip, chunked\r\n", "!bad_encoding"),
        ("Transfer-Encoding: chunked, gzip\r\n", "!bad_encoding"),
        ("Transfer-Encoding: chunked, chunked\r\n", "!bad_encoding"),
        ("Transfer-Encoding: chunked,\r\n", "!bad_encoding"),
        ("Transfer-Encoding: ,chunked\r\n", "!bad_encoding"),
        ("Transfer-Encoding: chunked, identity\r\n", "!bad_encoding"),
        ("Transfer-Encoding: xchunked\r\n", "!bad_encoding"),
        ("Transfer-Encoding: chunkedx\r\n", "!bad_encoding"),
        ("Transfer-Encoding: chunked;q=1\r\n", "!bad_encoding"),
        ("Transfer-Encoding: \"chunked\"\r\n", "!bad_encoding"),
        ("Transfer-Encoding: 'chunked'\r\n", "!bad_encoding"),
        ("Transfer-Encoding: chun ked\r\n", "!bad_encoding"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "!bad_encoding"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "!bad_encoding"),
        ("Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", "!bad_encoding"),
        ("Transfer-Encoding: \u{b}chunked\r\n", "!bad_header_value"),
        ("Transfer-Encoding: chunked\u{0}\r\n", "!bad_header_value"),
        ("Transfer-Encoding : chunked\r\n", "!bad_header_name"),
        ("Transfer-Encoding\t: chunked\r\n", "!bad_header_name"),
        (" Transfer-Encoding: chunked\r\n", "!bad_header_name"),
        ("X: y\r\n Transfer-Encoding: chunked\r\n", "!bad_header_name"),
        ("Transfer-Encoding:\r\n chunked\r\n", "!bad_header_name"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "!encoding_and_length"),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "!encoding_and_length"),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "!encoding_and_length"),
        ("Content-Length: x\r\nTransfer-Encoding: chunked\r\n", "!bad_length"),
        ("Content-Length: 5\r\nTransfer-Encoding:\r\n", "!bad_encoding"),
        ("Content-Length: 5\r\nTransfer-Encoding: identity\r\n", "!bad_encoding"),
    ] {
        check(post(lines, good), expect);
    }
    // Underscores are another name, which some gateways fold into the hyphen: no body here.
    check(post("Transfer_Encoding: chunked\r\n", ""), "POST /|end");
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    check(old, "!encoding_on_http10");
}

#[test]
fn chunks() {
    for (body, expect) in [
        ("0\r\n\r\n", "|end"),
        ("000\r\n\r\n", "|end"),
        ("5\r\nhello\r\n0\r\n\r\n", "|body=hello|end"),
        ("4\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\n", "|body=Wikipedia|end"),
        ("a\r\n0123456789\r\n0\r\n\r\n", "|body=0123456789|end"),
        ("A\r\n0123456789\r\n0\r\n\r\n", "|body=0123456789|end"),
        ("0000000000000001\r\nx\r\n0\r\n\r\n", "|body=x|end"),
        ("4\r\n\r\n\r\n\r\n0\r\n\r\n", r"|body=\r\n\r\n|end"),
        ("5\r\nhel", "|body=hel"),
        ("5\r\nhello", "|body=hello"),
        ("0\r\n", ""),
        ("\r\n", "|!bad_chunk_size"),
        (" 5\r\nhello\r\n", "|!bad_chunk_size"),
        ("5 \r\nhello\r\n", "|!bad_chunk_size"),
        ("5\t\r\nhello\r\n", "|!bad_chunk_size"),
        ("+5\r\nhello\r\n", "|!bad_chunk_size"),
        ("-5\r\nhello\r\n", "|!bad_chunk_size"),
        ("0x5\r\nhello\r\n", "|!bad_chunk_size"),
        ("5h\r\nhello\r\n", "|!bad_chunk_size"),
        ("1_0\r\nhello\r\n", "|!bad_chunk_size"),
        ("5,\r\nhello\r\n", "|!bad_chunk_size"),
        ("5.0\r\nhello\r\n", "|!bad_chunk_size"),
        ("\"5\"\r\nhello\r\n", "|!bad_chunk_size"),
        ("5\0\r\nhello\r\n", "|!bad_chunk_size"),
        (";a\r\nhello\r\n", "|!bad_chunk_size"),
        ("00000000000000001\r\nx\r\n", "|!bad_chunk_size"),
        ("10000000000000005\r\nhello\r\n", "|!bad_chunk_size"),
        ("ffffffffffffffff\r\n", "|!body_too_large"),
        ("8000000000000000\r\n", "|!body_too_large"),
        ("100000005\r\nhello\r\n", "|!body_too_large"),
        ("ffffffff\r\n", "|!body_too_large"),
        ("5\nhello\r\n", "|!bare_lf"),
        ("\nhello", "|!bare_lf"),
        ("5\rhello", "|!bare_cr"),
        ("5\r\rhello", "|!bare_cr"),
        ("5\r\nhello0\r\n\r\n", "|body=hello|!bad_chunk_end"),
        ("5\r\nhelloXX0\r\n\r\n", "|body=hello|!bad_chunk_end"),
        ("5\r\nhello\n0\r\n\r\n", "|body=hello|!bad_chunk_end"),
        ("5\r\nhello\r0\r\n\r\n", "|body=hello|!bad_chunk_end"),
        ("5\r\nhello \r\n0\r\n\r\n", "|body=hello|!bad_chunk_end"),
        ("5\r\nhello world\r\n0\r\n\r\n", "|body=hello|!bad_chunk_end"),
        ("5\r\nhello\r\n\r\n0\r\n\r\n", "|body=hello|!bad_chunk_size"),
        ("0\n\r\n", "|!bare_lf"),
        ("0\r\n\n", "|!bare_lf"),
        ("0\r\n\rX", "|!bare_cr"),
        ("0\r\n\r\r\n", "|!bare_cr"),
    ] {
        check(chunked(body), &format!("POST / chunked{expect}"));
    }
}

#[test]
fn chunk_extensions() {
    let good = "|body=x|end";
    for (extension, expect) in [
        (";a", good),
        (";a=b", good),
        (";a;b;c=d", good),
        (";a=\"b c;d\r\"", "|!bad_chunk_extension"),
        (";a=\"b c;d=\"", good),
        (";a=\"b\\\"c\"", good),
        (";a=\"\"", good),
        (";a=\"\"=", "|!bad_chunk_extension"),
        (";a=\"b\"c", "|!bad_chunk_extension"),
        (";", "|!bad_chunk_extension"),
        (";;a", "|!bad_chunk_extension"),
        (";a;", "|!bad_chunk_extension"),
        (";a=", "|!bad_chunk_extension"),
        (";=b", "|!bad_chunk_extension"),
        (";a=b=c", "|!bad_chunk_extension"),
        (";a =b", "|!bad_chunk_extension"),
        (";a= b", "|!bad_chunk_extension"),
        ("; a", "|!bad_chunk_extension"),
        (" ;a", "|!bad_chunk_size"),
        (";a ", "|!bad_chunk_extension"),
        (";a\0", "|!bad_chunk_extension"),
        (";a=\"\u{1}\"", "|!bad_chunk_extension"),
        (";a=\"\t\"", "|!bad_chunk_extension"),
        (";a=\"\\\0\"", "|!bad_chunk_extension"),
        (";a\u{7f}", "|!bad_chunk_extension"),
        (";a\n", "|!bare_lf"),
        (";\n", "|!bare_lf"),
        (";a=\"\n", "|!bare_lf"),
        (";a\rb", "|!bare_cr"),
    ] {
        let body = format!("1{extension}\r\nx\r\n0{extension}\r\n\r\n");
        check(chunked(&body), &format!("POST / chunked{expect}"));
    }
}

#[test]
fn trailers() {
    for (trailer, expect) in [
        ("A: b\r\n", "|end"),
        ("A:\r\n", "|end"),
        ("A: b\r\nC:d \t\u{e9}\r\n", "|end"),
        ("Content-Length: 5\r\nTransfer-Encoding: x\r\nHost: b\r\n", "|end"),
        ("A\r\n", "|!bad_trailer"),
        ("A : b\r\n", "|!bad_trailer"),
        (" A: b\r\n", "|!bad_trailer"),
        ("A: b\r\n folded\r\n", "|!bad_trailer"),
        (": b\r\n", "|!bad_trailer"),
        ("A: \0\r\n", "|!bad_trailer"),
        ("A: \u{7f}\r\n", "|!bad_trailer"),
        ("A\0: b\r\n", "|!bad_trailer"),
        ("A: b\n", "|!bare_lf"),
        ("A\n", "|!bare_lf"),
        ("A: b\rC: d\r\n", "|!bare_cr"),
        ("GET / HTTP/1.1\r\n", "|!bad_trailer"),
    ] {
        check(chunked(&format!("0\r\n{trailer}\r\n")), &format!("POST / chunked{expect}"));
    }
}

/// The second request must never be taken out of the first one's body, nor swallowed by it.
#[test]
fn smuggling() {
    let inner = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    for (lines, body, expect) in [
        (
            "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\nG",
            "!encoding_and_length",
        ),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "5c\r\n", "!encoding_and_length"),
        ("Content-Length: 4\r\nTransfer-Encoding: xchunked\r\n", "0\r\n\r\n", "!bad_encoding"),
        ("Transfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n", "0\r\n\r\n", "!bad_encoding"),
        ("X: y\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", "!bare_lf"),
        ("X: y\rContent-Length: 40\r\n", "", "!bare_cr"),
        ("Foo: bar\r\n\rContent-Length: 40\r\n", "", "!bare_cr"),
        ("\0Content-Length: 40\r\n", "", "!bad_header_name"),
        ("Content-Length: 40\u{b}\r\n", "", "!bad_header_value"),
        ("Content-Length: 0\r\nContent-Length: 40\r\n", "", "!duplicate_length"),
        ("Content-Length: 0, 40\r\n", "", "!bad_length"),
    ] {
        check(post(lines, &format!("{body}{inner}")), expect);
    }
    let swallowed = post(&format!("Content-Length: {}\r\n", inner.len()), inner);
    let text = inner.replace("\r\n", r"\r\n");
    check(swallowed, &format!("POST / length={}|body={text}|end", inner.len()));
    // A GET with a body is framed like any other.
    check(get("Content-Length: 2\r\n") + "hi" + inner, "GET / length=2|body=hi|end|GET /admin|end");
    check(chunked("2;a=\"\n\"\r\nhi\r\n0\r\n\r\n"), "POST / chunked|!bare_lf");
    check(chunked("1\r\nZ\r\nQ\r\n\r\n") + inner, "POST / chunked|body=Z|!bad_chunk_size");
    check(chunked("2\r\nhiXY0\r\n\r\n") + inner, "POST / chunked|body=hi|!bad_chunk_end");
}

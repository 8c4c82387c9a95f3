//! HTTP of the running server: what it serves, how connections live on, what ends them.

use super::client::Client;
use super::process::{Plan, Server};
use super::raw::{Raw, exchange, get};
use tungstenite::Error;
use tungstenite::client::IntoClientRequest;

#[test]
fn every_path_answers_as_documented() {
    let server = Server::start_default();
    for (line, status, allow) in [
        ("GET /", 200, ""),
        ("GET /ringpost.js", 200, ""),
        ("GET /healthz", 200, ""),
        ("GET /readyz", 200, ""),
        ("GET /echo", 200, ""),
        ("GET /ws", 426, ""),
        ("GET /nothing", 404, ""),
        ("GET /../etc/passwd", 404, ""),
        ("GET /..%2fetc%2fpasswd", 404, ""),
        ("POST /", 405, "GET, HEAD"),
        ("DELETE /echo", 405, "GET, HEAD, POST"),
        ("PUT /webhook/whatsapp", 405, "GET, HEAD, POST"),
        ("POST /healthz", 405, "GET, HEAD"),
        ("POST /ws", 405, "GET, HEAD"),
        ("GET /webhook/whatsapp", 403, ""),
        ("OPTIONS *", 404, ""),
    ] {
        let response = exchange(&server, format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(response.status, status, "{line}");
        assert_eq!(response.field("allow").unwrap_or(""), allow, "{line}");
        assert!(response.field("date").is_some_and(|date| date.ends_with(" GMT")), "{line}");
        if status >= 400 {
            let hint = response.text();
            assert!(hint.contains("hint") || hint.contains("error"), "{line}: {hint}");
        }
    }
}

#[test]
fn head_is_get_without_the_body() {
    let server = Server::start_default();
    for path in ["/", "/ringpost.js", "/healthz", "/echo", "/nothing"] {
        let want = get(&server, path);
        let mut raw = Raw::connect(&server);
        raw.write(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let got = raw.head_response();
        assert_eq!(
            (got.status, got.field("content-length")),
            (want.status, want.field("content-length"))
        );
        raw.write("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(raw.response().status, 200, "no byte of a body came after HEAD {path}");
    }
}

#[test]
fn connections_live_on_and_pipelined_requests_are_answered_in_order() {
    let server = Server::start_default();
    let mut raw = Raw::connect(&server);
    let post = |body: &str| {
        format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let many: Vec<String> = (0..200).map(|n| format!("request {n}")).collect();
    raw.write(many.iter().map(|body| post(body)).collect::<String>());
    for body in &many {
        assert_eq!(raw.response().text(), body);
    }
    raw.write("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(raw.response().field("connection"), Some("close"));
    assert!(raw.rest().is_empty());
    let mut old = Raw::connect(&server);
    old.write("GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(old.response().status, 200);
    assert!(old.rest().is_empty(), "HTTP/1.0 closes unless asked otherwise");
    let mut half = Raw::connect(&server);
    half.write(post("sent, then shut"));
    half.shut();
    assert_eq!(half.response().text(), "sent, then shut");
}

#[test]
fn bodies_come_back_however_they_were_framed() {
    let server = Server::start_default();
    let mut raw = Raw::connect(&server);
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for byte in format!("{head}5\r\nhello\r\n7;a=b\r\n, world\r\n0\r\nTrailer: x\r\n\r\n").bytes() {
        raw.write([byte]);
    }
    assert_eq!(raw.response().text(), "hello, world");
    let long = "x".repeat(900_000);
    raw.write(format!("{head}{:x}\r\n{long}\r\n0\r\n\r\n", long.len()));
    assert_eq!(raw.response().body.len(), long.len());
    raw.write(
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    );
    assert_eq!(raw.response().status, 100);
    raw.write("ok");
    assert_eq!(raw.response().text(), "ok");
    raw.write("POST /no HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    raw.write("ok");
    assert_eq!(raw.response().status, 404, "a body that is refused is not asked for");
}

#[test]
fn what_two_parsers_could_frame_differently_ends_the_connection() {
    let server = Server::start_default();
    let post = "POST /echo HTTP/1.1\r\nHost: a\r\n";
    for (request, status) in [
        (format!("{post}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400),
        (format!("{post}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), 400),
        (format!("{post}Content-Length: +3\r\n\r\nabc"), 400),
        (format!("{post}Content-Length: 3, 3\r\n\r\nabc"), 400),
        (format!("{post}Content-Length : 3\r\n\r\nabc"), 400),
        (format!("{post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), 400),
        (format!("{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 400),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n"), 400),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n"), 400),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"), 400),
        ("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\nHost: a\n\n".into(), 400),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".into(), 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".into(), 505),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".into(), 501),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9_000)), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(20_000)), 431),
        (format!("{post}Expect: a miracle\r\nContent-Length: 1\r\n\r\nx"), 417),
        (format!("{post}Content-Length: 99999999999\r\n\r\n"), 413),
        (format!("{post}Content-Length: 99999999999999999999999\r\n\r\n"), 400),
    ] {
        let shown: String = request.chars().take(90).collect();
        let mut raw = Raw::connect(&server);
        raw.write(&request);
        raw.write("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = raw.response();
        assert_eq!(response.status, status, "{shown:?}");
        assert_eq!(response.field("connection"), Some("close"), "{shown:?}");
        assert!(raw.rest().is_empty(), "nothing behind {shown:?} is looked at");
    }
}

#[test]
fn a_cached_page_is_not_sent_again() {
    let server = Server::start_default();
    for path in ["/", "/ringpost.js"] {
        let first = get(&server, path);
        let tag = first.field("etag").expect("a tag").to_owned();
        let fields = format!("GET {path} HTTP/1.1\r\nHost: a\r\nIf-None-Match:");
        let mut raw = Raw::connect(&server);
        for (tags, status) in [
            (tag.clone(), 304),
            (format!("\"other\", {tag}"), 304),
            (format!("W/{tag}"), 304),
            ("*".to_owned(), 304),
            ("\"other\"".to_owned(), 200),
        ] {
            raw.write(format!("{fields} {tags}\r\n\r\n"));
            let response = raw.response();
            assert_eq!(response.status, status, "{path} {tags}");
            assert_eq!(response.field("etag"), Some(&*tag), "{path} {tags}");
            assert_eq!(response.body.is_empty(), status == 304);
        }
    }
}

/// The status of a WebSocket handshake with these header lines.
fn shake(server: &Server, path: &str, lines: &[(&'static str, &str)]) -> (u16, Option<String>) {
    let url = format!("ws://{}{path}", server.address());
    let mut request = url.into_client_request().expect("a URL");
    for (name, value) in lines {
        request.headers_mut().append(*name, value.parse().expect("a value"));
    }
    match tungstenite::client(request, server.connect()) {
        Ok((_, response)) => {
            let chosen = response.headers().get("sec-websocket-protocol");
            (101, chosen.map(|value| value.to_str().expect("ASCII").to_owned()))
        }
        Err(tungstenite::HandshakeError::Failure(Error::Http(response))) => {
            (response.status().as_u16(), None)
        }
        Err(error) => panic!("{path} {lines:?}: {error}"),
    }
}

#[test]
fn pages_of_other_origins_may_not_open_a_websocket() {
    let server = Server::start_default();
    let own = format!("http://{}", server.address());
    for (origin, status) in [
        (&*own, 101),
        ("http://localhost:3000", 101),
        ("http://127.0.0.1", 101),
        ("http://[::1]:9", 101),
        ("https://evil.example", 403),
        ("https://127.0.0.1.evil.example", 403),
        ("https://localhost@evil.example", 403),
        ("null", 403),
        ("", 403),
    ] {
        assert_eq!(shake(&server, "/ws", &[("origin", origin)]).0, status, "{origin:?}");
    }
    let server = Plan::new().set("server.origins", "https://chat.example.org").start();
    let own = format!("http://{}", server.address());
    for (origin, status) in [
        ("https://chat.example.org", 101),
        ("https://CHAT.example.org", 101),
        ("http://chat.example.org", 403),
        ("https://evil.example", 403),
        // Documented as "beside the server's own and loopback".
        (&*own, 101),
        ("http://localhost:3000", 101),
    ] {
        assert_eq!(shake(&server, "/ws", &[("origin", origin)]).0, status, "{origin:?}");
    }
}

#[test]
fn the_sub_protocol_is_chosen_from_what_is_offered() {
    let server = Server::start_default();
    let offered = |value| shake(&server, "/ws", &[("sec-websocket-protocol", value)]);
    let ours = Some("ringpost.v1.json".to_owned());
    assert_eq!(shake(&server, "/ws", &[]), (101, None));
    assert_eq!(offered("ringpost.v1.json"), (101, ours.clone()));
    assert_eq!(offered("other, ringpost.v1.json"), (101, ours));
    let mut client = Client::open_at(&server, "/ws?frame_ping=1");
    assert_eq!(client.granted("hello", "", serde_json::json!({"user": "a"}))["user"], "a");
}

#[test]
fn a_handshake_that_is_none_is_refused_with_the_reason() {
    let server = Server::start_default();
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    for (lines, status) in [
        (format!("{upgrade}{key}{version}"), 101),
        (format!("{upgrade}{version}"), 400),
        (format!("{upgrade}Sec-WebSocket-Key: short\r\n{version}"), 400),
        (format!("{upgrade}{key}{key}{version}"), 400),
        (format!("{upgrade}{key}Sec-WebSocket-Version: 8\r\n"), 426),
        (format!("{upgrade}{key}"), 426),
        (format!("{upgrade}{key}{version}Content-Length: 1\r\n"), 400),
        (format!("{key}{version}"), 426),
    ] {
        // The byte after the head is the body that one of them announces.
        let request = format!("GET /ws HTTP/1.1\r\nHost: a\r\n{lines}\r\nx");
        assert_eq!(exchange(&server, request).status, status, "{lines}");
    }
    let post = format!("POST /ws HTTP/1.1\r\nHost: a\r\n{upgrade}{key}{version}\r\n");
    assert!(matches!(exchange(&server, post).status, 400 | 405));
}

#[test]
fn the_echo_is_for_development() {
    let server = Plan::new().with_tokens("0123456789abcdef0123456789abcdef").start();
    assert_eq!(get(&server, "/echo").status, 404);
    assert_eq!(shake(&server, "/echo", &[]).0, 404);
    assert_eq!(shake(&server, "/ws", &[]).0, 101);
}

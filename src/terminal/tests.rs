//! The whole client against a small server on a real socket.

use super::*;
use serde_json::{Value, json};
use std::io::Cursor;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::{Message, WebSocket};

#[test]
fn urls() {
    check("ws://127.0.0.1:8080/ws", "127.0.0.1:8080 /ws");
    check("ws://chat.example", "chat.example:80 /ws");
    check("localhost:1/x?frame_ping=1", "localhost:1 /x?frame_ping=1");
    check("wss://h/ws", "error: wss://h/ws: this client speaks no TLS");
    check("ftp://h", "error: ftp://h: the scheme");
    check("ws://", "error: ws://: there is no host");
}

#[track_caller]
fn check(url: &str, want: &str) {
    let got = match Url::parse(url) {
        Ok(url) => format!("{} {}", url.host, url.path),
        Err(error) => format!("error: {error}"),
    };
    assert!(got.starts_with(want), "{url}: {got}");
}

/// Standard output of a client, for the test to read.
struct Shown(Sender<Vec<u8>>);

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The test may have seen enough.
        let _ = self.0.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn utc(ts: i64) -> LocalTime {
    LocalTime { day: "today".into(), clock: format!("00:00:{:02}", ts / 1_000) }
}

fn link(url: &str, out: Sender<Vec<u8>>) -> Link {
    let options =
        SessionOptions { user: "al".into(), token: None, cid_prefix: "c".into(), all_rooms: true };
    let screen = Screen::new(Output::Text(Box::new(Shown(out))), Renderer::new(Style::Pipe, utc));
    let url = Url::parse(url).expect("a right URL");
    Link::new(url, Session::new(options, "tea"), screen, Arc::default())
}

fn accept(listener: &TcpListener) -> WebSocket<TcpStream> {
    let (stream, _) = listener.accept().expect("a client");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
    // The callback's type is tungstenite's.
    #[allow(clippy::result_large_err)]
    let agree = |request: &Request, mut response: Response| {
        let protocol = request.headers()["sec-websocket-protocol"].clone();
        response.headers_mut().insert("sec-websocket-protocol", protocol);
        Ok(response)
    };
    tungstenite::accept_hdr(stream, agree).expect("a handshake")
}

/// Reads the next frame, which must be this verb.
fn hear(socket: &mut WebSocket<TcpStream>, verb: &str) -> Value {
    let text = socket.read().expect("a frame").into_text().expect("text");
    let frame: Value = serde_json::from_str(&text).expect("json");
    assert_eq!(frame["t"], verb, "{frame}");
    frame
}

fn say(socket: &mut WebSocket<TcpStream>, frame: Value) {
    socket.send(Message::text(frame.to_string())).expect("the client is there");
}

fn welcome(socket: &mut WebSocket<TcpStream>, top: u64, replayed: u64) -> Value {
    let hello = hear(socket, "hello");
    let room = json!({"e": "k1", "o": top, "from": top + 1 - replayed, "n": replayed,
        "recovered": true});
    let d = json!({"user": "al", "e": "k1", "rooms": {"tea": room}});
    say(socket, json!({"t": "ok", "id": hello["id"], "d": d}));
    hello
}

fn message(o: u64, send: &Value) -> Value {
    let d = json!({"from": "al", "cid": send["d"]["cid"], "text": send["d"]["text"]});
    json!({"t": "msg", "room": "tea", "o": o, "ts": 1_000 * o, "d": d})
}

/// Two lines are typed; the server dies after it has taken the first and before it says so.
#[test]
fn a_lost_connection_loses_and_repeats_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}/ws", listener.local_addr().expect("bound"));
    let server = thread::spawn(move || {
        let mut socket = accept(&listener);
        welcome(&mut socket, 0, 0);
        let first = hear(&mut socket, "send");
        drop(socket);

        let mut socket = accept(&listener);
        let hello = welcome(&mut socket, 1, 1);
        assert_eq!(hello["d"]["rooms"]["tea"], json!({"e": "k1", "o": 0}));
        say(&mut socket, message(1, &first));
        let again = hear(&mut socket, "send");
        assert_eq!(again["d"], first["d"]);
        say(&mut socket, json!({"t": "ok", "id": again["id"], "d": {"o": 1, "dup": true}}));
        let second = hear(&mut socket, "send");
        say(&mut socket, message(2, &second));
        say(&mut socket, json!({"t": "ok", "id": second["id"], "d": {"o": 2, "dup": false}}));
        hear(&mut socket, "bye");
    });
    let (out, shown) = channel();
    let ended = pipe(link(&url, out), Cursor::new("hello\nyou \x1b[2J\n"));
    server.join().expect("the server saw what it should");
    assert!(ended.is_ok(), "{ended:?}");
    let shown: Vec<u8> = shown.iter().flatten().collect();
    let shown = String::from_utf8(shown).expect("text");
    assert_eq!(shown, "00:00:01 tea al: hello\n00:00:02 tea al: you \\u{1b}[2J\n");
}

#[test]
fn errors_say_what_to_do() {
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let url = format!("ws://{}/ws", nobody.expect("a free port"));
    let (out, _shown) = channel();
    let refused = pipe(link(&url, out), Cursor::new("")).expect_err("nobody is there");
    assert!(refused.to_string().contains("hint: is the server running?"), "{refused}");

    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}/ws", listener.local_addr().expect("bound"));
    let server = thread::spawn(move || {
        let mut socket = accept(&listener);
        let hello = hear(&mut socket, "hello");
        let d = json!({"code": 401, "name": "unauthorized", "msg": "no token", "retry": false});
        say(&mut socket, json!({"t": "err", "id": hello["id"], "d": d}));
    });
    let (out, _shown) = channel();
    let refused = pipe(link(&url, out), Cursor::new("")).expect_err("not let in");
    server.join().expect("the server saw what it should");
    assert!(refused.to_string().contains("no token (401 unauthorized)"), "{refused}");
}

#[test]
fn a_tab_completes_commands_and_their_arguments() {
    let answer = |question: Question| match question {
        Question::Commands(prefix) if prefix == "kick" || prefix == "k" => {
            Some(json!({"cmds": [{"name": "kick", "usage": "<who> [how]", "args": [
                {"name": "who", "type": "user"},
                {"name": "how", "type": "choice", "choices": ["softly", "so hard", "never"]},
                {"name": "again", "type": "bool"},
                {"name": "days", "type": "int", "min": 1},
            ]}]}))
        }
        Question::Commands(prefix) if prefix.is_empty() => {
            Some(json!({"cmds": [{"name": "who", "usage": ""}, {"name": "z"}]}))
        }
        Question::Commands(_) => Some(json!({"cmds": []})),
        Question::Users => Some(json!({"users": [{"user": "ann"}, {"user": "Al Bo"}]})),
    };
    let keyboard = Keyboard::new(answer);
    for (line, begin, want) in [
        ("/k", 0, &["/kick <who> [how]: /kick "][..]),
        ("/sta", 0, &["/status online|away|dnd [TEXT]: /status "]),
        ("/kick ", 6, &["ann: ann ", "Al Bo: \"Al Bo\" "]),
        ("/kick A", 6, &["ann: ann ", "Al Bo: \"Al Bo\" "]),
        ("/kick ann so", 10, &["softly: softly ", "so hard: \"so hard\" "]),
        ("/kick ann  \"so ", 11, &["so hard: \"so hard\" "]),
        ("/kick \"Al Bo\" n", 14, &["never: never "]),
        ("/kick ann never ", 16, &["true: true ", "false: false "]),
        ("/kick ann never true ", 21, &[]),
    ] {
        let (at, pairs) = keyboard.candidates(line).expect("a command");
        let pairs = pairs.iter().map(|pair| format!("{}: {}", pair.display, pair.replacement));
        assert_eq!(
            (at, pairs.collect::<Vec<_>>()),
            (begin, want.iter().map(|w| w.to_string()).collect()),
            "{line}"
        );
    }
    let names = keyboard.candidates("/").expect("a command").1;
    assert_eq!(names.len(), commands::COMMANDS.len() + 1, "both know /who");
    for none in ["hello", "//k", "/unknown x", "/kick ann never true 1 x"] {
        assert!(keyboard.candidates(none).is_none(), "{none}");
    }
}

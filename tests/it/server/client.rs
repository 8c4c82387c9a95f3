//! A chat client on tungstenite, which shares no code with the server's framing.

use super::process::{PATIENCE, Server};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

/// One connection.
pub struct Client {
    socket: WebSocket<TcpStream>,
    /// Events that came while a reply was awaited.
    events: VecDeque<Value>,
    id: u32,
    /// The reply to `hello`.
    pub welcome: Value,
    /// RFC 6455 pings seen.
    pub pings: u32,
    /// RFC 6455 pongs seen.
    pub pongs: u32,
}

impl Client {
    /// A WebSocket on which nothing has been said.
    pub fn open(server: &Server) -> Self {
        Self::open_at(server, "/ws")
    }

    /// The same on another path.
    pub fn open_at(server: &Server, path: &str) -> Self {
        Self::over(server.connect(), &format!("ws://{}{path}", server.address()))
            .expect("a WebSocket")
    }

    /// Over a socket of the caller's.
    pub fn over(stream: TcpStream, url: &str) -> Result<Self, Box<Error>> {
        let request = url.into_client_request().expect("a URL");
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Self {
                socket,
                events: VecDeque::new(),
                id: 0,
                welcome: Value::Null,
                pings: 0,
                pongs: 0,
            }),
            Err(tungstenite::HandshakeError::Failure(error)) => Err(Box::new(error)),
            Err(tungstenite::HandshakeError::Interrupted(_)) => {
                Err(Box::new(Error::Io(ErrorKind::TimedOut.into())))
            }
        }
    }

    /// A session of `user`.
    pub fn hello(server: &Server, user: &str) -> Self {
        Self::greet(server, json!({"user": user}))
    }

    /// A session with these fields of `hello`.
    pub fn greet(server: &Server, d: Value) -> Self {
        let mut client = Self::open(server);
        let reply = client.request("hello", "", d);
        assert_eq!(reply["t"], "ok", "{reply}");
        client.welcome = reply["d"].clone();
        client
    }

    /// A session of `user` that has joined `room`.
    pub fn member(server: &Server, user: &str, room: &str) -> Self {
        let mut client = Self::hello(server, user);
        client.join(room, json!({}));
        client
    }

    /// Writes one text as it is.
    pub fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("the server takes it");
    }

    /// Writes one message as it is; the connection may end over it.
    pub fn write(&mut self, message: Message) {
        let _ = self.socket.send(message);
    }

    /// The socket below.
    pub fn stream(&self) -> &TcpStream {
        self.socket.get_ref()
    }

    /// Sends a request and gives its id.
    pub fn post(&mut self, verb: &str, room: &str, d: Value) -> u32 {
        self.id += 1;
        let id = self.id;
        self.say(&json!({"t": verb, "id": id, "room": room, "d": d}).to_string());
        id
    }

    /// The same, to a server that may be gone.
    pub fn try_post(&mut self, verb: &str, room: &str, d: Value) -> u32 {
        self.id += 1;
        let id = self.id;
        let text = json!({"t": verb, "id": id, "room": room, "d": d}).to_string();
        self.write(Message::text(text));
        id
    }

    /// Sends a request and waits for its reply; events are kept for [`Client::expect`].
    pub fn request(&mut self, verb: &str, room: &str, d: Value) -> Value {
        let id = self.post(verb, room, d);
        self.reply(id)
    }

    /// Waits for the reply to `id`. A refusal may overtake a grant, which waits for the log.
    pub fn reply(&mut self, id: u32) -> Value {
        let kept = self.events.iter().position(|value| value["id"] == id);
        if let Some(value) = kept.and_then(|index| self.events.remove(index)) {
            return value;
        }
        loop {
            let value = self.next();
            if value["id"] == id {
                return value;
            }
            self.events.push_back(value);
        }
    }

    /// The `d` of a granted request.
    #[track_caller]
    pub fn granted(&mut self, verb: &str, room: &str, d: Value) -> Value {
        let mut reply = self.request(verb, room, d);
        assert_eq!(reply["t"], "ok", "{verb}: {reply}");
        reply["d"].take()
    }

    /// The code of a refused request.
    #[track_caller]
    pub fn refused(&mut self, verb: &str, room: &str, d: Value) -> u64 {
        let reply = self.request(verb, room, d);
        assert_eq!(reply["t"], "err", "{verb}: {reply}");
        assert!(reply["d"]["msg"].as_str().is_some_and(|msg| !msg.is_empty()), "{reply}");
        reply["d"]["code"].as_u64().expect("a number")
    }

    /// Joins a room.
    pub fn join(&mut self, room: &str, d: Value) -> Value {
        self.granted("join", room, d)
    }

    /// Sends a message and waits until it is safe; its offset.
    pub fn send(&mut self, room: &str, cid: &str, text: &str) -> u64 {
        // Into a conversation as a note: most servers here send nothing by its number.
        let note = room.starts_with("wa:");
        let d = self.granted("send", room, json!({"cid": cid, "text": text, "note": note}));
        d["o"].as_u64().expect("an offset")
    }

    /// The next event named `t`; others are passed over.
    pub fn expect(&mut self, t: &str) -> Value {
        loop {
            let event = self.event();
            if event["t"] == t {
                return event;
            }
        }
    }

    /// The next event with an offset, or `gap`: what a client keeps.
    pub fn durable(&mut self) -> Value {
        loop {
            let event = self.event();
            if event["o"].as_u64().is_some_and(|o| o > 0) || event["t"] == "gap" {
                return event;
            }
        }
    }

    /// The next event with an offset; replies must be grants and are passed over.
    pub fn durable_or_ok(&mut self) -> Value {
        loop {
            let event = self.event();
            assert_ne!(event["t"], "err", "{event}");
            if event["o"].as_u64().is_some_and(|o| o > 0) {
                return event;
            }
        }
    }

    /// The offsets and texts of the next `count` durable events.
    pub fn take(&mut self, count: usize) -> Vec<(u64, String)> {
        let event = |event: Value| {
            let text = event["d"]["text"].as_str().unwrap_or("").to_owned();
            (event["o"].as_u64().unwrap_or(0), text)
        };
        (0..count).map(|_| event(self.durable())).collect()
    }

    /// Everything that comes until nothing has come for `quiet`.
    pub fn take_events(&mut self, quiet: Duration) -> Vec<Value> {
        self.socket.get_ref().set_read_timeout(Some(quiet)).expect("a socket");
        let mut taken: Vec<Value> = self.events.drain(..).collect();
        while let Ok(value) = self.read() {
            taken.push(value);
        }
        self.socket.get_ref().set_read_timeout(Some(PATIENCE)).expect("a socket");
        taken
    }

    fn event(&mut self) -> Value {
        let kept = self.events.pop_front();
        kept.unwrap_or_else(|| self.next())
    }

    /// The next frame, whatever it is.
    pub fn next(&mut self) -> Value {
        self.read().unwrap_or_else(|error| panic!("waiting for a frame: {error}"))
    }

    /// The next message of a server that speaks no protocol of ours.
    pub fn message(&mut self) -> Result<Message, Box<Error>> {
        Ok(self.socket.read()?)
    }

    /// The next frame, or how the connection ended.
    pub fn read(&mut self) -> Result<Value, Box<Error>> {
        loop {
            match self.socket.read()? {
                Message::Text(text) => {
                    let value: Value = serde_json::from_str(&text).expect("the server sends JSON");
                    assert!(value["t"].is_string(), "{value}");
                    return Ok(value);
                }
                Message::Ping(_) => self.pings += 1,
                Message::Pong(_) => self.pongs += 1,
                Message::Close(_) => {}
                other => panic!("the server sends texts only: {other:?}"),
            }
        }
    }

    /// Reads to the end: the last event and the close code. 1006 when there was no close frame.
    pub fn ending(&mut self) -> (Value, u16) {
        let begin = Instant::now();
        let mut last = Value::Null;
        let mut code = 1006;
        while begin.elapsed() < PATIENCE {
            match self.socket.read() {
                Ok(Message::Text(text)) => last = serde_json::from_str(&text).expect("JSON"),
                Ok(Message::Close(frame)) => {
                    code = frame.map_or(1005, |frame| u16::from(frame.code));
                }
                Ok(_) => {}
                Err(Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_)) => break,
                Err(Error::Io(error)) if error.kind() != ErrorKind::WouldBlock => break,
                Err(error) => panic!("waiting for the end: {error}"),
            }
        }
        (last, code)
    }

    /// The close code alone.
    pub fn close_code(&mut self) -> u16 {
        self.ending().1
    }

    /// Says goodbye as RFC 6455 wants it, and gives the code that comes back.
    pub fn close(mut self) -> u16 {
        let frame =
            tungstenite::protocol::CloseFrame { code: CloseCode::Normal, reason: "".into() };
        self.socket.close(Some(frame)).expect("open until now");
        self.close_code()
    }
}

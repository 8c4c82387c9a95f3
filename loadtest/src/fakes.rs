//! Small fakes of other people's servers for the tests, each from its protocol's public
//! documentation: what a connection says is answered, what it says to a room is the stand-in's to
//! deliver. Pure.

use ringpost::base::secret::Secret;
use ringpost::whatsapp::signature;
use serde_json::{Value, json};
use tungstenite::Message;

/// What comes of one message.
pub enum Answer {
    /// To this connection.
    Reply(String),
    /// This connection enters a room and is told so.
    Enter { room: String, told: String },
    /// A text for a room.
    Say { room: String, text: String },
}

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fake {
    Nats,
    Centrifugo,
    SocketIo,
    Pusher,
}

/// Key and secret of the fake Pusher's application.
const APP: (&str, &str) = ("app-key", "app-secret");
const SOCKET: &str = "1.2";

impl Fake {
    /// The fake at a path.
    pub fn at(path: &str) -> Option<Self> {
        match path {
            "/" => Some(Self::Nats),
            "/connection/websocket" => Some(Self::Centrifugo),
            "/socket.io/" => Some(Self::SocketIo),
            "/app/app-key" => Some(Self::Pusher),
            _ => None,
        }
    }

    /// What is said first.
    pub fn greeting(self) -> Option<String> {
        match self {
            Self::Nats => Some("INFO {\"server_id\":\"x\",\"max_payload\":1048576}\r\n".into()),
            Self::Centrifugo => None,
            Self::SocketIo => Some(r#"0{"sid":"s","upgrades":[],"pingInterval":25000}"#.into()),
            Self::Pusher => {
                let data = json!({"socket_id": SOCKET, "activity_timeout": 120}).to_string();
                let event = "pusher:connection_established";
                Some(json!({"event": event, "data": data}).to_string())
            }
        }
    }

    /// Whether who spoke hears it.
    pub fn to_sender(self) -> bool {
        self != Self::Pusher
    }

    /// A text as members of a room hear it.
    pub fn event(self, room: &str, text: &str) -> String {
        match self {
            Self::Nats => format!("MSG {room} 1 {}\r\n{text}\r\n", text.len()),
            Self::Centrifugo => {
                json!({"push": {"channel": room, "pub": {"data": text, "offset": 1}}}).to_string()
            }
            Self::SocketIo => format!("42{}", json!(["message", text])),
            Self::Pusher => {
                json!({"event": "client-message", "channel": room, "data": text}).to_string()
            }
        }
    }

    /// Texts for one connection as WebSocket messages, cut and joined as the protocol allows.
    pub fn frames(self, texts: Vec<String>) -> Vec<Message> {
        match self {
            Self::Nats => {
                let bytes = texts.concat().into_bytes();
                bytes.chunks(37).map(|chunk| Message::binary(chunk.to_vec())).collect()
            }
            Self::Centrifugo if texts.is_empty() => Vec::new(),
            Self::Centrifugo => vec![Message::text(texts.join("\n"))],
            Self::SocketIo | Self::Pusher => texts.into_iter().map(Message::text).collect(),
        }
    }

    /// Answers one message.
    pub fn hear(self, message: &str) -> Vec<Answer> {
        match self {
            Self::Nats => nats(message),
            Self::Centrifugo => message.lines().map(|line| centrifugo(&parsed(line))).collect(),
            Self::SocketIo => vec![socketio(message)],
            Self::Pusher => vec![pusher(&parsed(message))],
        }
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("the dialect sends JSON")
}

fn word(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn nats(message: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut rest = message;
    while let Some((line, after)) = rest.split_once("\r\n") {
        rest = after;
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["CONNECT", options] => assert!(parsed(options)["echo"] == true),
            ["SUB", room, "1"] => {
                answers.push(Answer::Enter { room: room.into(), told: String::new() });
            }
            // A ping of its own goes with it.
            ["PING"] => answers.push(Answer::Reply("PONG\r\nPING\r\n".into())),
            ["PONG"] => {}
            ["PUB", room, size] => {
                let size = size.parse().expect("a size");
                let (text, after) = rest.split_at(size);
                rest = after.strip_prefix("\r\n").expect("the end of a payload");
                answers.push(Answer::Say { room: room.into(), text: text.into() });
            }
            _ => panic!("the dialect does not say {line}"),
        }
    }
    assert_eq!(rest, "");
    answers
}

fn centrifugo(command: &Value) -> Answer {
    let id = &command["id"];
    if command.get("connect").is_some() {
        let connect = json!({"client": "c", "version": "0", "ping": 25, "pong": true});
        return Answer::Reply(json!({"id": id, "connect": connect}).to_string());
    }
    if let Some(subscribe) = command.get("subscribe") {
        let told = json!({"id": id, "subscribe": {}}).to_string();
        // A ping of its own goes with it.
        return Answer::Enter { room: word(&subscribe["channel"]), told: format!("{told}\n{{}}") };
    }
    let Some(publish) = command.get("publish") else {
        assert_eq!(*command, json!({}), "a pong");
        return Answer::Reply(String::new());
    };
    Answer::Say { room: word(&publish["channel"]), text: word(&publish["data"]) }
}

fn socketio(packet: &str) -> Answer {
    if packet == "40" {
        return Answer::Reply(r#"40{"sid":"t"}"#.into());
    }
    if packet == "3" {
        return Answer::Reply(String::new());
    }
    if let Some(join) = packet.strip_prefix("420") {
        let join = parsed(join);
        assert_eq!(join[0], "join");
        return Answer::Enter { room: word(&join[1]), told: "430[]".into() };
    }
    let event = parsed(packet.strip_prefix("42").expect("an event"));
    assert_eq!(event[0], "message");
    Answer::Say { room: word(&event[1]), text: word(&event[2]) }
}

fn pusher(frame: &Value) -> Answer {
    let data = &frame["data"];
    match frame["event"].as_str().expect("an event") {
        "pusher:subscribe" => {
            let channel = word(&data["channel"]);
            let secret = Secret::new(APP.1.as_bytes().to_vec());
            let signed = signature::sign(format!("{SOCKET}:{channel}").as_bytes(), &secret);
            if word(&data["auth"]) != signed.replace("sha256=", &format!("{}:", APP.0)) {
                let data = json!({"code": 4009, "message": "not authorized"});
                let error = json!({"event": "pusher:error", "data": data});
                return Answer::Reply(error.to_string());
            }
            let event = "pusher_internal:subscription_succeeded";
            let told = json!({"event": event, "channel": channel, "data": "{}"}).to_string();
            Answer::Enter { room: channel, told }
        }
        "client-message" => Answer::Say { room: word(&frame["channel"]), text: word(data) },
        "pusher:pong" => Answer::Reply(String::new()),
        event => panic!("the dialect does not say {event}"),
    }
}

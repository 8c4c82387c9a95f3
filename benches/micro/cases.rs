//! The cases: each prepares once and gives the same answer whenever it is run.

use super::commands;
use ringpost::base::clock::Now;
use ringpost::base::ids::{ConnId, EpochId, Offset, ShardId};
use ringpost::chat::event::{Effect, Event};
use ringpost::chat::hub::{Hub, HubOptions};
use ringpost::chat::reply::{self, NewMsg};
use ringpost::chat::request::{Envelope, Request};
use ringpost::handlers::{EventKind, Handler, Handlers, Occasion, Source};
use ringpost::whatsapp::webhook;
use ringpost::wire::http;
use ringpost::wire::ws::encode::{encode_masked, encode_text};
use ringpost::wire::ws::frame::Opcode;
use ringpost::wire::ws::mask;
use ringpost::wire::ws::message::{Decoder, Item, Limits};

/// One step of the path.
pub struct Case {
    /// In tables.
    pub name: &'static str,
    /// Makes what it needs, and gives the step.
    pub prepare: fn() -> Box<dyn FnMut() -> u64>,
    /// What each call must give.
    pub answer: u64,
}

/// All of them.
pub const CASES: [Case; 23] = [
    Case { name: "mask 64 bytes", prepare: || masking(64), answer: 64 },
    Case { name: "mask 4 KiB", prepare: || masking(4_096), answer: 4_096 },
    Case { name: "encode a frame of 64 bytes", prepare: || encoding(64), answer: 66 },
    Case { name: "decode a frame of 64 bytes", prepare: || decoding(64), answer: 64 },
    Case { name: "decode a frame of 4 KiB", prepare: || decoding(4_096), answer: 4_096 },
    Case { name: "parse the head of an upgrade", prepare: head, answer: HEAD.len() as u64 },
    Case { name: "read a webhook of 10 messages", prepare: || webhook(10), answer: 10 },
    Case { name: "parse a send", prepare: parsing, answer: TEXT.len() as u64 },
    Case { name: "encode a msg event", prepare: || event(TEXT), answer: 166 },
    Case { name: "encode one with escapes", prepare: || event("a\n\"b\"\\ c"), answer: 130 },
    Case { name: "route a send, 1 member", prepare: || routing(1), answer: 3 },
    Case { name: "route a send, 100 members", prepare: || routing(100), answer: 3 },
    Case { name: "20 handlers, none fires", prepare: || considering(NOTHING), answer: 0 },
    Case { name: "20 handlers, one replies", prepare: || considering("the menu"), answer: 1 },
    Case { name: "a script's echo", prepare: || commands::engine(&commands::script()), answer: 90 },
    Case { name: "a module's echo", prepare: || commands::engine(&commands::module()), answer: 90 },
    Case { name: "say the same", prepare: || commands::typed(1, SAID, SAYS), answer: 1 },
    Case {
        name: "say the same, of 10,000",
        prepare: || commands::typed(MANY, SAID, SAYS),
        answer: 1,
    },
    Case {
        name: "call a built-in command",
        prepare: || commands::typed(1, "/me says so, and so do I, when people ask.", SAYS),
        answer: 1,
    },
    Case { name: "call a template", prepare: || commands::typed(1, "/echo", SAYS), answer: 1 },
    Case {
        name: "call a template, of 10,000",
        prepare: || commands::typed(MANY, "/echo", SAYS),
        answer: 1,
    },
    Case {
        name: "call a script",
        prepare: || commands::typed(1, commands::ECHO, &commands::script()),
        answer: 1,
    },
    Case {
        name: "call a module",
        prepare: || commands::typed(1, commands::ECHO, &commands::module()),
        answer: 1,
    },
];

/// The manifest of a template that says as much as the text below.
const SAYS: &str = r#"{"template": "$user says so, and so do I, when people ask."}"#;
/// What it says.
const SAID: &str = "alice says so, and so do I, when people ask.";
/// So many commands are known.
const MANY: usize = 10_000;
const TEXT: &str = "a text of forty-eight bytes, as people write it.";
const KEY: [u8; 4] = [0x12, 0x9a, 0x5c, 0xf3];

const HEAD: &str = "GET /ws HTTP/1.1\r\n\
    Host: chat.example.org\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: */*\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Origin: https://chat.example.org\r\n\
    Sec-WebSocket-Protocol: ringpost.v1.json\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Connection: keep-alive, Upgrade\r\n\
    Cookie: theme=dark\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    Upgrade: websocket\r\n\r\n";

fn masking(size: usize) -> Box<dyn FnMut() -> u64> {
    let mut bytes = vec![7; size];
    Box::new(move || {
        let key = mask::apply(KEY, &mut bytes);
        // A length that four divides leaves the key as it was.
        if key == KEY { bytes.len() as u64 } else { 0 }
    })
}

fn encoding(size: usize) -> Box<dyn FnMut() -> u64> {
    let (text, mut out) = ("x".repeat(size), Vec::new());
    Box::new(move || {
        out.clear();
        encode_text(&mut out, &text);
        out.len() as u64
    })
}

fn decoding(size: usize) -> Box<dyn FnMut() -> u64> {
    let mut frame = Vec::new();
    encode_masked(&mut frame, Opcode::Text, KEY, "x".repeat(size).as_bytes());
    let mut input = frame.clone();
    let limits = Limits { message_bytes_max: 1 << 20, fragments_max: 16 };
    let mut decoder = Decoder::server(None);
    Box::new(move || {
        // It is unmasked in place.
        input.copy_from_slice(&frame);
        match decoder.next(&mut input, &limits).map(|step| step.item) {
            Ok(Some(Item::Text(text))) => text.len() as u64,
            other => panic!("{other:?}"),
        }
    })
}

fn head() -> Box<dyn FnMut() -> u64> {
    Box::new(|| {
        let mut decoder = http::Decoder::new();
        let step = decoder.next(HEAD.as_bytes()).expect("a good head");
        assert!(matches!(step.item, Some(http::Item::Head(_))));
        step.consumed as u64
    })
}

/// As the platform batches: each message by another contact.
fn webhook(count: u64) -> Box<dyn FnMut() -> u64> {
    let contact = |n: u64| {
        let wa_id = 447_700_900_000 + n;
        format!(
            r#"{{"profile":{{"name":"Contact {n}"}},"wa_id":"{wa_id}","user_id":"GB.{wa_id}"}}"#
        )
    };
    let message = |n: u64| {
        let from = 447_700_900_000 + n;
        format!(
            r#"{{"from":"{from}","from_user_id":"GB.{from}","id":"wamid.SEJnTVRFWDAwMDAwMDA{n}",
            "timestamp":"1795000001","type":"text","text":{{"body":"{TEXT}"}}}}"#
        )
    };
    let list = |one: &dyn Fn(u64) -> String| (0..count).map(one).collect::<Vec<_>>().join(",");
    let (contacts, messages) = (list(&contact), list(&message));
    let value = format!(
        r#"{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550104477",
        "phone_number_id":"110220330440550"}},"contacts":[{contacts}],"messages":[{messages}]}}"#
    );
    let change = format!(r#"{{"value":{value},"field":"messages"}}"#);
    let entry = format!(r#"{{"id":"203040506070801","changes":[{change}]}}"#);
    let body = format!(r#"{{"object":"whatsapp_business_account","entry":[{entry}]}}"#);
    Box::new(move || webhook::parse(body.as_bytes()).map_or(0, |updates| updates.len() as u64))
}

fn parsing() -> Box<dyn FnMut() -> u64> {
    let text = send(1);
    Box::new(move || {
        let envelope = Envelope::parse(&text).expect("a request");
        match Request::parse(&envelope) {
            Ok(Request::Send { text, .. }) => text.len() as u64,
            other => panic!("{other:?}"),
        }
    })
}

fn event(text: &'static str) -> Box<dyn FnMut() -> u64> {
    Box::new(move || {
        let frame = reply::msg(NewMsg {
            room: "general",
            o: Offset(123_456),
            ts_ms: 1_795_000_000_000,
            from: "alice",
            name: "",
            cid: "c00000001",
            text,
            reply: None,
            source: "ws",
            direction: "",
            external: "",
            content: "",
        });
        frame.len() as u64
    })
}

fn send(number: usize) -> String {
    let d = format!(r#"{{"cid":"c{number:08}","text":"{TEXT}"}}"#);
    format!(r#"{{"t":"send","id":{number},"room":"general","d":{d}}}"#)
}

/// A message through the three parts of a hub that holds all members: from its text to an append
/// and one fan-out, however many members there are, and then its durability to an `ok`.
fn routing(members: u32) -> Box<dyn FnMut() -> u64> {
    let now = Now { wall_us: 1_795_000_000_000_000, mono_us: 1_000_000 };
    let mut hub = Hub::new(HubOptions::unlimited(ShardId(0), 1), now);
    hub.begin_epoch(EpochId(1));
    hub.grant(1 << 20);
    let (mut effects, mut appends) = (Vec::new(), 0);
    let mut tell = move |event: Event<'_>| {
        hub.grant(1 << 20);
        hub.handle(now, event, &mut effects);
        appends += effects.iter().filter(|it| matches!(it, Effect::Append(_))).count() as u64;
        let count = effects.drain(..).filter(|it| !matches!(it, Effect::Measure { .. })).count();
        (count as u64, appends)
    };
    for index in 0..members {
        let conn = ConnId { index, generation: 1 };
        tell(Event::Opened { conn });
        let hello = format!(
            r#"{{"t":"hello","id":1,"d":{{"user":"user-{index}","rooms":{{"general":{{}}}}}}}}"#
        );
        let (_, appends) = tell(Event::Text { conn, text: &hello });
        tell(Event::Durable { appends });
    }
    // More than a room remembers, so that none is a repetition.
    let texts: Vec<String> = (0..8_192).map(send).collect();
    let mut turn = 0;
    let conn = ConnId { index: 0, generation: 1 };
    Box::new(move || {
        turn = (turn + 1) % texts.len();
        let (told, appends) = tell(Event::Text { conn, text: &texts[turn] });
        told + tell(Event::Durable { appends }).0
    })
}

/// What none of the handlers below waits for.
const NOTHING: &str = "good morning, I would like to come by tomorrow.";

/// Twenty handlers as operators have them: words, beginnings, commands, buttons, tags, opening
/// hours, two regular expressions, another number. How many of them do something about a message.
fn considering(text: &'static str) -> Box<dyn FnMut() -> u64> {
    let reply = |index: usize| format!(r#"{{"reply": "reply {index} to {{{{name}}}}"}}"#);
    let whens = [
        r#"{"text": {"keyword": ["menu", "help"]}}"#,
        r#"{"text": {"keyword": ["order", "parcel", "delivery"]}}"#,
        r#"{"text": {"keyword": "invoice"}}"#,
        r#"{"text": {"contains": ["refund", "money back"]}}"#,
        r#"{"text": {"prefix": "stop"}}"#,
        r#"{"text": {"equals": ["yes", "no"]}}"#,
        r#"{"text": {"regex": "^status\\s+#?\\d{6}$"}}"#,
        r#"{"text": {"regex": "\\b[A-Z]{2}\\d{4}\\b", "ignore_case": false}}"#,
        r#"{"command": "track"}"#,
        r#"{"choice": "menu/hours"}"#,
        r#"{"choice": ["menu/agent", "agent"]}"#,
        r#"{"first_contact": true}"#,
        r#"{"type": ["image", "document"]}"#,
        r#"{"number": "1103"}"#,
        r#"{"tag": "vip", "text": {"contains": "urgent"}}"#,
        r#"{"state": "resolved"}"#,
        r#"{"assigned": true, "text": {"keyword": "human"}}"#,
        r#"{"any": [{"text": {"keyword": "price"}}, {"text": {"keyword": "cost"}}]}"#,
        r#"{"not": {"number": ["1101", "1102"]}}"#,
        r#"{"not": {"hours": {"zone": "Europe/Berlin", "daily": "00:00-24:00"}}}"#,
    ];
    let mut handlers = Handlers::default();
    for (index, when) in whens.into_iter().enumerate() {
        let limits = r#"{"times": 10000, "per_s": 1}"#;
        let reply = reply(index);
        let json = format!(r#"{{"when": {when}, "do": {reply}, "limits": {limits}}}"#);
        let handler = Handler::parse(&format!("h{index:02}"), &json);
        handlers.put(handler.unwrap_or_else(|fault| panic!("{when}: {fault}")));
    }
    let mut planned = Vec::new();
    // Monday noon. Time passes, so that no limit is met.
    let mut now_ms = 1_795_428_000_000;
    Box::new(move || {
        now_ms += 1;
        let occasion = Occasion {
            sender: "wa:447700900123",
            name: "Ada",
            source: Source::Contact,
            text,
            state: "open",
            ..Occasion::new(EventKind::Message, now_ms, "wa:1102:447700900123")
        };
        handlers.consider(&occasion, &mut planned);
        planned.drain(..).count() as u64
    })
}

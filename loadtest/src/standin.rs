//! A tiny server for the tests: echo, rooms, webhooks, and as much of the chat protocol as the
//! scenarios need, or a fake of somebody else's server, with faults to order. One thread per
//! connection, on tungstenite.

use crate::driver::sys::send_buffer;
use crate::fakes::{Answer, Fake};
use ringpost::base::secret::Secret;
use ringpost::whatsapp::signature;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tungstenite::handshake::server::{Request, Response};
use tungstenite::{Error, Message, WebSocket};

/// What the stand-in does wrong, to the fifth message of a connection or room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    None,
    Drop,
    Repeat,
    Swap,
    Change,
    /// Late by [`DELAY`].
    Delay,
    /// Acks what it then leaves out of history.
    Forget,
    Hangup,
    /// Knows no position of before: another epoch.
    Strange,
    /// Replays nothing: what was missed is to be paged.
    Short,
    /// The same, and history lacks the first event that was missed.
    Amnesia,
    /// Keeps memory for every message.
    Leak,
    /// While one member does not read, nobody gets anything.
    Block,
}

const FAULTY: u64 = 5;
/// What [`Fault::Leak`] keeps.
const LEAK_BYTES: usize = 256 << 10;
/// What the kernel may keep for a member that does not read: the machine's own choice is megabytes
/// on one and little on another, and [`Fault::Block`] begins when it is full.
const SEND_BUFFER_BYTES: usize = 128 << 10;
/// The secret of webhooks.
pub const SECRET: &str = "swordfish";
/// How late [`Fault::Delay`] is.
pub const DELAY: Duration = Duration::from_millis(60);

#[derive(Default)]
struct Room {
    members: Vec<Sender<String>>,
    log: Vec<Value>,
    /// Raw: messages so far.
    said: u64,
    /// For whom, and what.
    held: Option<(usize, String)>,
}

struct Shared {
    fault: Fault,
    limits: Value,
    /// Which message of a room the fault hits.
    faulty: u64,
    stop: AtomicBool,
    /// Connections to `/connect` so far.
    connects: AtomicU64,
    /// Sessions so far.
    sessions: AtomicU64,
    leaked: Mutex<Vec<Vec<u8>>>,
    rooms: Mutex<BTreeMap<String, Room>>,
}

/// A running stand-in; stops when dropped.
pub struct StandIn {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl StandIn {
    pub fn start(fault: Fault, limits: Value) -> Self {
        Self::start_at(FAULTY, fault, limits)
    }

    /// With the fault in message `faulty` of each room.
    pub fn start_at(faulty: u64, fault: Fault, limits: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            fault,
            limits,
            faulty,
            stop: AtomicBool::new(false),
            connects: AtomicU64::new(0),
            sessions: AtomicU64::new(0),
            leaked: Mutex::default(),
            rooms: Mutex::default(),
        });
        let own = shared.clone();
        let acceptor = thread::spawn(move || {
            let mut handlers = Vec::new();
            for stream in listener.incoming() {
                if own.stop.load(Ordering::Acquire) {
                    break;
                }
                let (shared, stream) = (own.clone(), stream.expect("accepted"));
                handlers.push(thread::spawn(move || serve(&shared, stream)));
            }
            for handler in handlers {
                handler.join().expect("a handler panicked");
            }
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        // Wakes the acceptor so that it sees the flag.
        let _ = TcpStream::connect(self.address);
        let joined = self.acceptor.take().expect("started").join();
        if !thread::panicking() {
            joined.expect("the acceptor panicked");
        }
    }
}

fn serve(shared: &Shared, stream: TcpStream) {
    let (mut echo, mut raw, mut fake) = (false, None, None);
    // The callback's type is tungstenite's.
    #[allow(clippy::result_large_err)]
    let look = |request: &Request, mut response: Response| {
        let path = request.uri().path();
        echo = path == "/echo";
        raw = path.starts_with("/room/").then(|| path.to_owned());
        fake = Fake::at(path);
        if let Some(protocol) = request.headers().get("sec-websocket-protocol") {
            response.headers_mut().insert("sec-websocket-protocol", protocol.clone());
        }
        Ok(response)
    };
    stream.set_nodelay(true).expect("a socket");
    send_buffer(&stream, SEND_BUFFER_BYTES);
    if by_the_first_bytes(shared, &stream).is_none() {
        return;
    }
    let Ok(mut socket) = tungstenite::accept_hdr(stream, look) else { return };
    socket.get_ref().set_read_timeout(Some(Duration::from_millis(1))).expect("a socket");
    let (sender, inbox) = channel();
    if let Some(room) = &raw {
        let mut rooms = shared.rooms.lock().expect("no handler panicked");
        rooms.entry(room.clone()).or_default().members.push(sender.clone());
    }
    if let Some(greeting) = fake.and_then(Fake::greeting) {
        sender.send(greeting).expect("the inbox is here");
    }
    let mut taken = 0;
    let mut place = None;
    while !shared.stop.load(Ordering::Acquire) {
        let message = match socket.read() {
            Ok(message) => Some(message),
            Err(Error::Io(e))
                if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
            {
                None
            }
            Err(_) => return,
        };
        let done = match message {
            Some(message) if echo => answer_echo(shared.fault, &mut socket, message, &mut taken),
            Some(Message::Text(text)) if raw.is_some() => {
                let mut rooms = shared.rooms.lock().expect("no handler panicked");
                let room = rooms.get_mut(raw.as_deref().unwrap_or_default()).expect("entered");
                room.said += 1;
                deliver(shared, room, room.said, [&text, &changed(&text)], None);
                Some(())
            }
            Some(message) if fake.is_some() && !message.is_close() => {
                let fake = fake.expect("just seen");
                let text = message.to_text().expect("the dialects send text");
                for answer in fake.hear(text) {
                    answer_fake(shared, fake, answer, &sender, &mut place);
                }
                Some(())
            }
            Some(Message::Text(text)) => answer_chat(shared, &text, &sender),
            _ => Some(()),
        };
        let blocked = (shared.fault == Fault::Block).then(|| shared.rooms.lock());
        let passed = pass_on(fake, &mut socket, &inbox);
        drop(blocked);
        if done.is_none() || passed.is_none() {
            return;
        }
    }
}

/// What is no WebSocket, and handshakes with a fault. `None`: there is nothing more to serve.
fn by_the_first_bytes(shared: &Shared, stream: &TcpStream) -> Option<()> {
    let mut begin = [0; 12];
    let size = stream.peek(&mut begin).unwrap_or(0);
    if begin[..size].starts_with(b"POST ") {
        // A client that goes away is no fault of the server.
        let _ = serve_http(shared, stream);
        return None;
    }
    if begin[..size].starts_with(b"GET /connect")
        && shared.connects.fetch_add(1, Ordering::Relaxed) + 1 == FAULTY
    {
        match shared.fault {
            Fault::Hangup => return None,
            Fault::Delay => thread::sleep(DELAY),
            Fault::Drop => {
                while !shared.stop.load(Ordering::Acquire) {
                    thread::sleep(Duration::from_millis(5));
                }
                return None;
            }
            _ => {}
        }
    }
    Some(())
}

fn pass_on(
    fake: Option<Fake>,
    socket: &mut WebSocket<TcpStream>,
    inbox: &Receiver<String>,
) -> Option<()> {
    let texts: Vec<String> = inbox.try_iter().filter(|text| !text.is_empty()).collect();
    let messages = match fake {
        Some(fake) => fake.frames(texts),
        None => texts.into_iter().map(Message::text).collect(),
    };
    for message in messages {
        socket.write(message).ok()?;
    }
    socket.flush().ok()
}

/// `place` is where the connection stands among the members of its room.
fn answer_fake(
    shared: &Shared,
    fake: Fake,
    answer: Answer,
    own: &Sender<String>,
    place: &mut Option<usize>,
) {
    let mut rooms = shared.rooms.lock().expect("no handler panicked");
    match answer {
        Answer::Reply(text) => own.send(text).expect("the inbox is here"),
        Answer::Enter { room, told } => {
            let room = rooms.entry(room).or_default();
            *place = Some(room.members.len());
            room.members.push(own.clone());
            own.send(told).expect("the inbox is here");
        }
        Answer::Say { room: name, text } => {
            let room = rooms.get_mut(&name).expect("entered");
            room.said += 1;
            let changed = fake.event(&name, &changed(&text));
            let except = place.filter(|_| !fake.to_sender());
            deliver(shared, room, room.said, [&fake.event(&name, &text), &changed], except);
        }
    }
}

/// Webhooks on a connection that is kept.
fn serve_http(shared: &Shared, stream: &TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(50)))?;
    let (mut input, mut out) = (BufReader::new(stream), stream);
    let secrets = [Secret::new(*b"swordfish")];
    let mut taken = 0;
    while !shared.stop.load(Ordering::Acquire) {
        match input.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(_) => {}
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(error) => return Err(error),
        }
        let (mut size, mut mac) = (0, None);
        loop {
            let mut line = String::new();
            input.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some(("Content-Length", value)) => size = value.parse().expect("a number"),
                Some((signature::HEADER, value)) => mac = Some(value.to_owned()),
                None if line == "\r\n" => break,
                _ => {}
            }
        }
        let mut body = vec![0; size];
        input.read_exact(&mut body)?;
        taken += 1;
        let believed = signature::verify(&body, mac.as_ref().map(|m| m.as_bytes()), &secrets);
        let mut status = if believed.is_ok() { "200 OK" } else { "401 Unauthorized" };
        match shared.fault {
            _ if taken != FAULTY => {}
            Fault::Drop => continue,
            Fault::Hangup => return Ok(()),
            Fault::Delay => thread::sleep(DELAY),
            Fault::Change => status = "500 Internal Server Error",
            Fault::Repeat => write!(out, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")?,
            _ => {}
        }
        write!(out, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")?;
    }
    Ok(())
}

fn answer_echo(
    fault: Fault,
    socket: &mut WebSocket<TcpStream>,
    message: Message,
    taken: &mut u64,
) -> Option<()> {
    let Message::Text(text) = &message else {
        return socket.send(message).ok();
    };
    *taken += 1;
    let text = text.to_string();
    let faulty = *taken == FAULTY;
    match fault {
        Fault::Drop if faulty => return Some(()),
        Fault::Hangup if faulty => return None,
        Fault::Delay if faulty => thread::sleep(DELAY),
        Fault::Change if faulty => {
            let changed = format!("{}!", &text[..text.len() - 1]);
            return socket.send(Message::text(changed)).ok();
        }
        Fault::Repeat if faulty => socket.send(Message::text(text.clone())).ok()?,
        Fault::Swap if faulty => {
            let next = socket.read().ok()?;
            socket.send(next).ok()?;
        }
        _ => {}
    }
    socket.send(Message::text(text)).ok()
}

fn answer_chat(shared: &Shared, text: &str, own: &Sender<String>) -> Option<()> {
    let frame: Value = serde_json::from_str(text).expect("the scenario sends JSON");
    let mut rooms = shared.rooms.lock().expect("no handler panicked");
    let name = frame["room"].as_str().unwrap_or_default().to_string();
    let room = rooms.entry(name.clone()).or_default();
    let d = match frame["t"].as_str().expect("a verb") {
        "hello" => {
            drop(rooms);
            return welcome(shared, &frame, own);
        }
        "join" => {
            // The ok must come before the first event, and both go through the same channel.
            room.members.push(own.clone());
            json!({"o": room.log.len(), "e": "k1"})
        }
        "send" => {
            let o = room.log.len() as u64 + 1;
            let d = &frame["d"];
            let event = json!({"t": "msg", "room": name, "o": o, "ts": 1, "d": {
                "from": "u", "cid": d["cid"], "text": d["text"], "src": "ws"}});
            let event_text = event.to_string();
            deliver(shared, room, o, [&event_text, &changed(&event_text)], None);
            room.log.push(event);
            json!({"o": o, "ts": 1, "dup": false})
        }
        "history" => page(shared.fault, room, &frame["d"]),
        "pong" => return Some(()),
        verb => panic!("the scenario does not say {verb}"),
    };
    let ok = json!({"t": "ok", "id": frame["id"], "d": d});
    own.send(ok.to_string()).ok()
}

/// The answer to a `hello`, and what its rooms had meanwhile.
fn welcome(shared: &Shared, frame: &Value, own: &Sender<String>) -> Option<()> {
    let d = &frame["d"];
    let session = match &d["resume"] {
        Value::String(known) => known.clone(),
        _ => shared.sessions.fetch_add(1, Ordering::Relaxed).to_string(),
    };
    if matches!(shared.fault, Fault::Forget | Fault::Short | Fault::Amnesia)
        && d["resume"].is_string()
    {
        // Until there is something to be left out.
        thread::sleep(DELAY);
    }
    let mut rooms = shared.rooms.lock().expect("no handler panicked");
    let mut told = json!({});
    let mut missed = Vec::new();
    for (name, position) in d["rooms"].as_object().into_iter().flatten() {
        let room = rooms.entry(name.clone()).or_default();
        room.members.push(own.clone());
        told[name] = json!({"o": room.log.len(), "e": "k1", "recovered": true});
        if matches!(shared.fault, Fault::Strange | Fault::Short | Fault::Amnesia)
            && position["o"].is_u64()
        {
            told[name]["recovered"] = false.into();
            if shared.fault == Fault::Strange {
                told[name]["e"] = "k2".into();
            }
        } else if let Some(o) = position["o"].as_u64() {
            let mut rest: Vec<_> = room.log[o as usize..].iter().map(Value::to_string).collect();
            if shared.fault == Fault::Forget && !rest.is_empty() {
                rest.remove(0);
            }
            missed.extend(rest);
        }
    }
    let d = json!({"limits": shared.limits, "user": d["user"], "sid": session,
                   "resume": session, "rooms": told});
    own.send(json!({"t": "ok", "id": frame["id"], "d": d}).to_string()).ok()?;
    missed.into_iter().try_for_each(|event| own.send(event).ok())
}

/// The text as it is and as [`Fault::Change`] has it; to all members but one.
fn deliver(
    shared: &Shared,
    room: &mut Room,
    o: u64,
    [text, changed]: [&str; 2],
    except: Option<usize>,
) {
    let Shared { fault, faulty, .. } = *shared;
    if fault == Fault::Leak {
        let mut leaked = shared.leaked.lock().expect("no handler panicked");
        leaked.push(vec![1; LEAK_BYTES]);
    }
    let (text, changed) = (text.to_owned(), changed.to_owned());
    let victim = if except == Some(1) { 0 } else { 1 };
    for (index, member) in room.members.iter().enumerate() {
        if except == Some(index) {
            continue;
        }
        let hit = o == faulty && index == victim;
        // A member that is gone has nobody to tell.
        let send = |text: &String| drop(member.send(text.clone()));
        match fault {
            Fault::Drop if hit => {}
            Fault::Change if hit => send(&changed),
            Fault::Swap if hit => room.held = Some((index, text.clone())),
            Fault::Delay if hit => {
                thread::sleep(DELAY);
                send(&text);
            }
            Fault::Repeat if hit => {
                send(&text);
                send(&text);
            }
            _ => send(&text),
        }
        // Two later, so that the one before it is of the same sender where two take turns.
        if o >= faulty + 2
            && let Some((_, held)) = room.held.take_if(|(held_for, _)| *held_for == index)
        {
            send(&held);
        }
    }
}

/// The same with another last character of the text.
fn changed(text: &str) -> String {
    let begin = text.find("\"text\":\"").map_or(0, |at| at + 8);
    let end = text[begin..].find('"').map_or(text.len(), |size| begin + size);
    format!("{}!{}", &text[..end - 1], &text[end..])
}

fn page(fault: Fault, room: &Room, d: &Value) -> Value {
    let after = d["after"].as_u64().expect("paged upwards");
    let limit = d["limit"].as_u64().expect("given") as usize;
    let forgotten = |event: &&Value| match fault {
        Fault::Forget => event["o"] == FAULTY,
        Fault::Amnesia => event["o"] == after + 1,
        _ => false,
    };
    let rest: Vec<_> =
        room.log.iter().filter(|e| e["o"].as_u64() > Some(after) && !forgotten(e)).collect();
    json!({"e": "k1", "msgs": &rest[..rest.len().min(limit)], "first": 1,
           "top": room.log.len(), "more": rest.len() > limit})
}

//! A client that lives through crashes: it resumes, sends again what was not acknowledged, and
//! holds the server to what it was told.

use crate::server::client::Client;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Messages under way.
const WINDOW: usize = 8;
/// The longest wait for anything; a server that was killed ends the connection at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a message says: another text for each number, of many lengths, begun by its own name.
pub fn text(person: &str, n: u64) -> String {
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let len = match mixed % 16 {
        0 => 8_000 + mixed % 6_000,
        1..4 => 1_000 + mixed % 2_000,
        _ => 20 + mixed % 200,
    };
    let mut text = format!("{person}.{n} ");
    while text.len() < len as usize {
        text.push((b'a' + (text.len() as u64 * 7 + n) as u8 % 26) as char);
    }
    text
}

/// A message on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    /// Its number.
    pub n: u64,
    /// The room, by its index.
    pub room: usize,
}

/// What the client holds of a room.
#[derive(Debug, Default)]
pub struct Held {
    epoch: String,
    /// The position of the last event.
    pub top: u64,
    /// First words of the events, by position.
    pub seen: BTreeMap<u64, String>,
    /// Events that came while history is paged.
    early: Option<BTreeMap<u64, String>>,
    /// What history brought; it may overtake the events.
    paged: u64,
}

/// A client with its memory.
#[derive(Debug)]
pub struct Person {
    /// Its user.
    pub name: String,
    /// Names of the rooms.
    pub rooms: Vec<String>,
    /// What it holds of each.
    pub held: Vec<Held>,
    /// Number of the next new message.
    next: u64,
    /// Not acknowledged, in the order of their numbers.
    pub waiting: VecDeque<Sent>,
    /// Acknowledged since the last audit: the position, and when the `ok` was here.
    pub acked: Vec<(Sent, u64, Instant)>,
    /// How often the log took nothing.
    pub refused: u64,
    /// How often the server said that what was seen is gone.
    pub rolled_back: u64,
}

/// The connection ended, as it must sooner or later.
struct Broken;

/// One connection's requests.
struct Talk<'a> {
    person: &'a mut Person,
    client: Client,
    /// Sent on this connection, by request.
    asked: BTreeMap<u32, Asked>,
    /// Index into `waiting` of the next to send.
    cursor: usize,
    /// Messages on their way on this connection.
    under_way: usize,
}

enum Asked {
    Hello,
    History(usize),
    Send(Sent),
}

impl Person {
    /// One who knows nothing yet.
    pub fn new(name: &str, rooms: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            rooms: rooms.iter().map(|room| (*room).to_owned()).collect(),
            held: rooms.iter().map(|_| Held::default()).collect(),
            next: 0,
            waiting: VecDeque::new(),
            acked: Vec::new(),
            refused: 0,
            rolled_back: 0,
        }
    }

    /// Talks until the connection ends. `calm`: sends nothing new, and leaves when everything is
    /// acknowledged.
    pub fn live(&mut self, address: SocketAddr, calm: bool) {
        let begin = Instant::now();
        while self.live_once(address, calm).is_err() && calm {
            assert!(begin.elapsed() < PATIENCE, "{} is refused forever", self.name);
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn live_once(&mut self, address: SocketAddr, calm: bool) -> Result<(), Broken> {
        // What was refused while a server died went to the end of the queue.
        self.waiting.make_contiguous().sort_by_key(|sent| sent.n);
        let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(|_| Broken)?;
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        let client = Client::over(stream, &format!("ws://{address}/ws")).map_err(|_| Broken)?;
        let asked = BTreeMap::new();
        let mut talk = Talk { person: self, client, asked, cursor: 0, under_way: 0 };
        talk.go(calm)
    }
}

impl Talk<'_> {
    fn go(&mut self, calm: bool) -> Result<(), Broken> {
        self.hello();
        while self.asked.values().any(|asked| matches!(asked, Asked::Hello)) {
            self.hear()?;
        }
        let begin = Instant::now();
        loop {
            while self.under_way < WINDOW && (!calm || self.cursor < self.person.waiting.len()) {
                self.send();
            }
            if calm && self.asked.is_empty() {
                assert!(self.person.waiting.is_empty());
                return Ok(());
            }
            assert!(!calm || begin.elapsed() < PATIENCE, "{} waits forever", self.person.name);
            self.hear()?;
        }
    }

    fn hello(&mut self) {
        let mut rooms = serde_json::Map::new();
        for (name, held) in self.person.rooms.iter().zip(&self.person.held) {
            let known = !held.epoch.is_empty();
            let position = if known { json!({"e": held.epoch, "o": held.top}) } else { json!({}) };
            rooms.insert(name.clone(), position);
        }
        let id =
            self.client.try_post("hello", "", json!({"user": self.person.name, "rooms": rooms}));
        self.asked.insert(id, Asked::Hello);
    }

    fn send(&mut self) {
        let person = &mut *self.person;
        if self.cursor == person.waiting.len() {
            let n = person.next;
            person.next += 1;
            person.waiting.push_back(Sent { n, room: n as usize % person.rooms.len() });
        }
        let sent = person.waiting[self.cursor];
        self.cursor += 1;
        self.under_way += 1;
        let cid = format!("{}.{}", person.name, sent.n);
        let d = json!({"cid": cid, "text": text(&person.name, sent.n)});
        let id = self.client.try_post("send", &person.rooms[sent.room], d);
        self.asked.insert(id, Asked::Send(sent));
    }

    fn hear(&mut self) -> Result<(), Broken> {
        let value = self.client.read().map_err(|_| Broken)?;
        let id = value["id"].as_u64().map(|id| id as u32);
        if let Some(asked) = id.and_then(|id| self.asked.remove(&id)) {
            let granted = value["t"] == "ok";
            match asked {
                Asked::Hello if granted => self.welcome(&value["d"])?,
                Asked::History(room) if granted => self.page(room, &value["d"]),
                Asked::Send(sent) => return self.answer(sent, granted, &value),
                // The server is going down.
                Asked::Hello | Asked::History(_) => return Err(Broken),
            }
            return Ok(());
        }
        match value["t"].as_str() {
            Some("msg") => self.event(&value),
            Some("gap") => panic!("a client that reads is not skipped: {value}"),
            _ => {}
        }
        Ok(())
    }

    fn answer(&mut self, sent: Sent, granted: bool, value: &Value) -> Result<(), Broken> {
        let person = &mut *self.person;
        self.under_way -= 1;
        let index = person.waiting.iter().position(|waiting| *waiting == sent);
        let index = index.expect("it was waiting");
        if granted {
            let o = value["d"]["o"].as_u64().expect("an offset");
            person.waiting.remove(index);
            self.cursor -= 1;
            person.acked.push((sent, o, Instant::now()));
            return Ok(());
        }
        // To be sent again, on a later connection or by the end of this list.
        person.refused += 1;
        let code = value["d"]["code"].as_u64().expect("a number");
        assert!((500..600).contains(&code), "a refusal that no limit explains: {value}");
        std::thread::sleep(Duration::from_millis(10));
        person.waiting.remove(index);
        self.cursor -= 1;
        person.waiting.push_back(sent);
        Ok(())
    }

    /// The reply to `hello`: for each room what became of our position.
    fn welcome(&mut self, d: &Value) -> Result<(), Broken> {
        for name in &self.person.rooms {
            // A new room is a record, which a log without its disk cannot take.
            let code = d["rooms"][name]["err"]["code"].as_u64();
            if code.is_some_and(|code| (500..600).contains(&code)) {
                self.person.refused += 1;
                return Err(Broken);
            }
        }
        for room in 0..self.person.rooms.len() {
            let told = &d["rooms"][&self.person.rooms[room]];
            let (Some(epoch), Some(top)) = (told["e"].as_str(), told["o"].as_u64()) else {
                panic!("a room that nobody may refuse: {d}");
            };
            let held = &mut self.person.held[room];
            let known = !held.epoch.is_empty();
            // The paging of a connection that is gone.
            held.early = None;
            held.epoch = epoch.to_owned();
            if !known {
                held.top = top;
            } else if let Some(back_to) = told["back_to"].as_u64() {
                assert!(told["recovered"] == false && back_to <= held.top, "{told}");
                self.person.rolled_back += u64::from(back_to < held.top);
                held.top = back_to;
                held.seen.retain(|o, _| *o <= back_to);
                held.early = Some(BTreeMap::new());
                self.ask(room);
            } else if told["recovered"] == true {
                let replayed = told["n"].as_u64().expect("a number");
                assert_eq!(held.top + replayed, top, "what is replayed closes the gap: {told}");
            } else {
                held.early = Some(BTreeMap::new());
                self.ask(room);
            }
        }
        Ok(())
    }

    fn ask(&mut self, room: usize) {
        let d = json!({"after": self.person.held[room].top, "limit": 300});
        let id = self.client.try_post("history", &self.person.rooms[room], d);
        self.asked.insert(id, Asked::History(room));
    }

    fn page(&mut self, room: usize, d: &Value) {
        let held = &mut self.person.held[room];
        for msg in d["msgs"].as_array().expect("a list") {
            held.take(offset(msg), words(msg));
        }
        held.paged = held.top;
        if d["more"] == true {
            return self.ask(room);
        }
        for (o, text) in held.early.take().expect("it was paging") {
            held.take_new(o, text);
        }
    }

    fn event(&mut self, value: &Value) {
        let room = self.person.rooms.iter().position(|room| value["room"] == **room);
        let held = &mut self.person.held[room.expect("a room that we are in")];
        match &mut held.early {
            Some(early) => assert!(early.insert(offset(value), words(value)).is_none()),
            None => held.take_new(offset(value), words(value)),
        }
    }
}

impl Held {
    /// The next event, and never one twice.
    fn take(&mut self, o: u64, words: String) {
        assert_eq!(o, self.top + 1, "no gap and no duplicate: {words}");
        self.top = o;
        self.seen.insert(o, words);
    }

    /// An event that history may have brought already.
    fn take_new(&mut self, o: u64, words: String) {
        if o > self.paged {
            self.take(o, words);
        } else {
            assert_eq!(self.seen.get(&o), Some(&words), "history and events tell the same");
        }
    }
}

fn offset(msg: &Value) -> u64 {
    msg["o"].as_u64().expect("an offset")
}

/// The first word of the text, which names the message; the rest must be what was sent.
pub fn words(msg: &Value) -> String {
    let said = msg["d"]["text"].as_str().expect("a text");
    let first = said.split(' ').next().expect("a word");
    let (person, n) = first.rsplit_once('.').expect("a name and a number");
    let n = n.parse().expect("a number");
    assert_eq!(said, text(person, n), "a text arrives as it was sent");
    first.to_owned()
}

//! People who have nothing to do with commands: in rooms of their own they talk at a fixed pace,
//! and measure how long it takes.

use super::caller::listen_once;
use crate::server::client::Client;
use crate::server::process::Server;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Rooms, with two people in each.
const ROOMS: usize = 8;
/// Between two messages of one of them.
const PACE: Duration = Duration::from_millis(20);

/// What all of them look at.
#[derive(Default)]
struct Stage {
    /// The window that messages count for; 0 for none.
    window: AtomicU32,
    over: AtomicBool,
}

/// How long things took within one window, µs.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// From the write of a message until the other has read it.
    pub delivered: Vec<u64>,
    /// From the write of a message until its sender has read that it is safe.
    pub acked: Vec<u64>,
}

/// What one of them has done.
#[derive(Default)]
struct Talk {
    windows: BTreeMap<u32, Times>,
    sent: u64,
    acked: u64,
    heard: u64,
}

/// All of them.
pub struct Talkers {
    stage: Arc<Stage>,
    threads: Vec<JoinHandle<Talk>>,
}

impl Talkers {
    /// They begin to talk.
    pub fn start(server: &Server) -> Self {
        let (stage, begin) = (Arc::<Stage>::default(), Instant::now());
        let people = (0..2 * ROOMS).map(|number| {
            let room = format!("talk-{}", number / 2);
            let name = format!("talker-{number}");
            let client = Client::member(server, &name, &room);
            client.stream().set_nonblocking(true).expect("a socket");
            (number, (name, room), client)
        });
        let people: Vec<_> = people.collect();
        let threads = people.into_iter().map(|(number, place, client)| {
            let stage = stage.clone();
            let first = begin + PACE * number as u32 / (2 * ROOMS) as u32;
            std::thread::spawn(move || talk(&stage, client, &place, begin, first))
        });
        let threads = threads.collect();
        Self { stage, threads }
    }

    /// From now on messages count for this window.
    pub fn window(&self, number: u32) {
        self.stage.window.store(number, Ordering::Relaxed);
    }

    /// They end; what each window was like. Nothing that was said may be missing.
    pub fn stop(self) -> BTreeMap<u32, Times> {
        self.stage.over.store(true, Ordering::Relaxed);
        let mut windows: BTreeMap<u32, Times> = BTreeMap::new();
        let (mut sent, mut acked, mut heard) = (0, 0, 0);
        for thread in self.threads {
            let talk = thread.join().expect("nothing of theirs fails");
            for (window, times) in talk.windows {
                let all = windows.entry(window).or_default();
                all.delivered.extend(times.delivered);
                all.acked.extend(times.acked);
            }
            (sent, acked, heard) = (sent + talk.sent, acked + talk.acked, heard + talk.heard);
        }
        assert_eq!((acked, heard), (sent, sent), "acknowledged and heard of what was sent");
        windows
    }
}

fn talk(
    stage: &Stage,
    mut client: Client,
    (name, room): &(String, String),
    begin: Instant,
    first: Instant,
) -> Talk {
    // They would be on machines of their own: they wait for nobody's slice to end.
    ringpost::log::be_prompt();
    let mut talk = Talk::default();
    let mut asked: HashMap<u64, (u32, Instant)> = HashMap::new();
    let mut due = first;
    let since = |at: Instant| at.elapsed().as_micros() as u64;
    let take = |talk: &mut Talk, asked: &mut HashMap<u64, (u32, Instant)>, frame: &Value| {
        if let Some((window, at)) = frame["id"].as_u64().and_then(|id| asked.remove(&id)) {
            assert_eq!(frame["t"], "ok", "{frame}");
            talk.acked += 1;
            talk.windows.entry(window).or_default().acked.push(since(at));
        } else if frame["t"] == "msg" && frame["d"]["from"] != **name {
            let words = frame["d"]["text"].as_str().expect("a text").split_once(' ');
            let (window, at_us) = words.expect("two numbers");
            let (window, at_us) = (window.parse().expect("one"), at_us.parse().expect("one"));
            talk.heard += 1;
            let times: &mut Times = talk.windows.entry(window).or_default();
            times.delivered.push(since(begin + Duration::from_micros(at_us)));
        }
    };
    while !stage.over.load(Ordering::Relaxed) {
        while listen_once(&mut client, due, |frame| take(&mut talk, &mut asked, &frame)) {}
        let (window, now) = (stage.window.load(Ordering::Relaxed), Instant::now());
        let text = format!("{window} {}", now.duration_since(begin).as_micros());
        let id = client.post("send", room, json!({"cid": talk.sent.to_string(), "text": text}));
        asked.insert(u64::from(id), (window, now));
        talk.sent += 1;
        due = now.max(due + PACE);
    }
    // What is still on its way.
    let until = Instant::now() + Duration::from_secs(1);
    while listen_once(&mut client, until, |frame| take(&mut talk, &mut asked, &frame)) {}
    talk
}

/// The value that `share` per cent of all do not exceed.
pub fn percentile(values: &mut [u64], share: usize) -> u64 {
    values.sort_unstable();
    values[(values.len() * share / 100).min(values.len() - 1)]
}

/// The middle one.
pub fn median(mut values: Vec<u64>) -> u64 {
    percentile(&mut values, 50)
}

//! Several shards are one server: one order for all, wherever a socket landed.

use super::client::Client;
use super::process::{Plan, Server};
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};

const ROOMS: [&str; 4] = ["red", "green", "blue", "grey"];
const CLIENTS: usize = 12;
const MESSAGES: usize = 30;

fn check_order(shards: u32) {
    let server = Plan::new().unlimited().shards(shards).start();
    let rooms: serde_json::Map<_, _> =
        ROOMS.iter().map(|room| ((*room).to_owned(), json!({}))).collect();
    let clients: Vec<Client> = (0..CLIENTS)
        .map(|n| Client::greet(&server, json!({"user": format!("user {n}"), "rooms": rooms})))
        .collect();
    let shards_hit: std::collections::BTreeSet<String> = clients
        .iter()
        .map(|client| client.welcome["sid"].as_str().expect("a session id").to_owned())
        .map(|sid| sid.split('-').nth(1).expect("its shard").to_owned())
        .collect();
    assert!(shards_hit.len() > 1, "the kernel spread {CLIENTS} connections over {shards_hit:?}");
    let views: Vec<_> = thread::scope(|scope| {
        let runs: Vec<_> =
            clients.into_iter().map(|client| scope.spawn(|| talk_and_listen(client))).collect();
        runs.into_iter().map(|run| run.join().expect("it listened")).collect()
    });
    for view in &views[1..] {
        assert_eq!(view, &views[0], "every member saw the same order in every room");
    }
    for room in &views[0] {
        assert!(room.iter().map(|(o, _)| *o).eq(1..=(CLIENTS * MESSAGES) as u64));
    }
}

/// Sends its share to every room and gives what it saw of each.
fn talk_and_listen(mut client: Client) -> Vec<Vec<(u64, String)>> {
    let me = client.welcome["user"].as_str().expect("a name").to_owned();
    let mut ids = Vec::new();
    for n in 0..MESSAGES {
        for room in ROOMS {
            let cid = format!("{me} {n}");
            ids.push(client.post("send", room, json!({"cid": cid, "text": cid})));
        }
    }
    let mut seen = vec![Vec::new(); ROOMS.len()];
    for _ in 0..ROOMS.len() * CLIENTS * MESSAGES {
        let event = client.durable_or_ok();
        let room = ROOMS.iter().position(|room| event["room"] == *room).expect("one of ours");
        let text = event["d"]["text"].as_str().expect("a text").to_owned();
        seen[room].push((event["o"].as_u64().expect("an offset"), text));
    }
    seen
}

#[test]
fn two_shards_keep_one_order_for_all_members() {
    check_order(2);
}

#[test]
fn four_shards_keep_one_order_for_all_members() {
    check_order(4);
}

#[test]
fn a_room_of_another_shard_behaves_like_a_local_one() {
    let server = Plan::new().shards(2).start();
    let on_shard = |wanted: &str| {
        let begin = Instant::now();
        let mut others = Vec::new();
        loop {
            let client = Client::hello(&server, &format!("user {}", others.len()));
            let sid = client.welcome["sid"].as_str().expect("a session id");
            if sid.split('-').nth(1) == Some(wanted) {
                return client;
            }
            others.push(client);
            assert!(begin.elapsed() < Duration::from_secs(10), "shard {wanted} takes connections");
        }
    };
    let (mut zero, mut one) = (on_shard("0"), on_shard("1"));
    // Eight names are on both shards with a probability of 99 percent; each must work from both.
    for room in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        for client in [&mut zero, &mut one] {
            client.join(room, json!({}));
        }
        assert_eq!(zero.send(room, "0", "from zero"), 1);
        assert_eq!(one.send(room, "1", "from one"), 2);
        for client in [&mut zero, &mut one] {
            let want = [(1, "from zero".to_owned()), (2, "from one".to_owned())];
            assert_eq!(client.take(2), want, "{room}");
            assert_eq!(client.granted("history", room, json!({}))["top"], 2, "{room}");
            client.granted("leave", room, json!({}));
        }
    }
}

/// A shard that sleeps must hear the log thread: a lost wake-up would hold an acknowledgement
/// until something else happens.
#[test]
fn no_acknowledgement_waits_for_the_next_event() {
    let server = Plan::new().unlimited().shards(2).start();
    let run = |user: &'static str, seed: u64| {
        let mut client = Client::member(&server, user, user);
        let mut slowest = Duration::ZERO;
        let mut random = seed;
        for n in 0..150 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            thread::sleep(Duration::from_millis(5 + (random >> 33) % 26));
            let begin = Instant::now();
            client.send(user, &n.to_string(), "x");
            slowest = slowest.max(begin.elapsed());
        }
        slowest
    };
    let users = ["ada", "bo", "cy", "dee"];
    thread::scope(|scope| {
        let runs: Vec<_> = users
            .into_iter()
            .zip(1..)
            .map(|(user, seed)| scope.spawn(move || run(user, seed)))
            .collect();
        for run in runs {
            let slowest = run.join().expect("it ran");
            assert!(slowest < Duration::from_secs(2), "an acknowledgement took {slowest:?}");
        }
    });
}

#[test]
fn every_shard_turns_while_nothing_happens() {
    let server = Server::start_default();
    thread::sleep(Duration::from_millis(2_500));
    assert_eq!(super::raw::get(&server, "/readyz").status, 200);
}

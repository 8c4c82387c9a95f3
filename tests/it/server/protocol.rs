//! The protocol as `docs/PROTOCOL.md` describes it: verbs, refusals, limits.

use super::client::Client;
use super::process::{Plan, Server};
use ringpost::chat::token;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const ROOM: &str = "room";
const TOKEN_SECRET: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn a_first_conversation_goes_as_documented() {
    let server = Server::start_default();
    let mut alice = Client::hello(&server, "alice");
    let welcome = &alice.welcome;
    for (key, value) in [("user", json!("alice")), ("ack", json!("fsync"))] {
        assert_eq!(welcome[key], value);
    }
    for key in ["ts", "ping_ms", "pong_ms", "resume_ms"] {
        assert!(welcome[key].as_u64().is_some_and(|n| n > 0), "{key}: {welcome}");
    }
    assert_eq!(welcome["limits"]["text"], 32_768);
    assert_eq!(welcome["resume"].as_str().map(str::len), Some(32));
    let joined = alice.join(ROOM, json!({}));
    assert_eq!(
        (&joined["o"], &joined["n"], &joined["role"]),
        (&json!(0), &json!(0), &json!("owner"))
    );
    let id = alice.post("send", ROOM, json!({"cid": "a1", "text": "anyone?"}));
    let msg = alice.expect("msg");
    assert_eq!(
        (&msg["o"], &msg["d"]["from"], &msg["d"]["cid"]),
        (&json!(1), &json!("alice"), &json!("a1"))
    );
    assert_eq!(alice.reply(id)["d"]["dup"], false);
    let again = alice.granted("send", ROOM, json!({"cid": "a1", "text": "changed"}));
    assert_eq!((&again["o"], &again["dup"]), (&json!(1), &json!(true)));

    let mut bob = Client::hello(&server, "bob");
    let joined = bob.join(ROOM, json!({"last": 50}));
    assert_eq!(
        (&joined["from"], &joined["n"], &joined["role"]),
        (&json!(1), &json!(1), &json!("guest"))
    );
    assert_eq!(bob.expect("msg")["d"]["text"], "anyone?");
    bob.granted("send", ROOM, json!({"cid": "a1", "text": "yes", "reply": 1}));
    let msg = alice.expect("msg");
    assert_eq!((&msg["o"], &msg["d"]["reply"]), (&json!(2), &json!(1)));
    assert_eq!(bob.close(), 1000);
}

#[test]
fn every_verb_does_what_it_says() {
    let server = Server::start_default();
    let mut alice = Client::member(&server, "alice", ROOM);
    let mut bob = Client::member(&server, "bob", ROOM);
    let presence = alice.expect("presence");
    assert!(presence["d"]["n"].as_u64().is_some(), "{presence}");
    assert_eq!(alice.send(ROOM, "1", "one"), 1);
    assert_eq!(alice.send(ROOM, "2", "two"), 2);

    let edited = alice.granted("edit", ROOM, json!({"o": 1, "text": "uno"}));
    assert_eq!((&edited["o"], &edited["v"]), (&json!(3), &json!(2)));
    let edit = bob.expect("edit");
    assert_eq!(
        (&edit["o"], &edit["d"]["of"], &edit["d"]["text"]),
        (&json!(3), &json!(1), &json!("uno"))
    );
    assert_eq!(alice.granted("delete", ROOM, json!({"o": 2}))["o"], 4);
    assert_eq!(bob.expect("delete")["d"]["of"], 2);
    let page = bob.granted("history", ROOM, json!({}));
    let msgs = page["msgs"].as_array().expect("a list");
    assert_eq!(
        (&page["first"], &page["top"], &page["more"]),
        (&json!(1), &json!(4), &json!(false))
    );
    assert_eq!((&msgs[0]["d"]["text"], &msgs[0]["d"]["v"]), (&json!("uno"), &json!(2)));
    assert_eq!((&msgs[1]["d"]["deleted"], &msgs[1]["d"]["text"]), (&json!(true), &Value::Null));

    alice.granted("typing", ROOM, json!({}));
    assert_eq!(bob.expect("typing")["d"]["user"], "alice");
    bob.granted("mark", ROOM, json!({"recv": 4, "read": 2}));
    let marks = alice.expect("mark")["d"]["marks"].clone();
    assert_eq!(marks, json!([{"user": "bob", "recv": 4, "read": 2}]));
    bob.granted("mark", ROOM, json!({"recv": 1, "read": 1}));
    let who = alice.granted("who", ROOM, json!({}));
    assert_eq!(who["n"], 2);
    assert_eq!((&who["users"][1]["user"], &who["users"][1]["read"]), (&json!("bob"), &json!(2)));

    bob.granted("status", "", json!({"state": "dnd", "text": "in a meeting"}));
    let status = alice.granted("status", "", json!({"users": ["bob", "nobody"]}));
    assert_eq!(status["users"]["bob"]["state"], "dnd");
    assert_eq!(status["users"]["bob"]["online"], true);
    assert_eq!(status["users"]["nobody"]["online"], false);

    let cmds = bob.granted("cmds", "", json!({"prefix": "to"}));
    assert_eq!(cmds["cmds"][0]["name"], "topic");
    assert_eq!(
        alice.granted("cmd", ROOM, json!({"name": "topic", "text": "tea"}))["state"],
        "done"
    );
    assert_eq!(bob.expect("room")["d"]["topic"], "tea");
    alice.granted("send", ROOM, json!({"cid": "3", "text": "/help"}));
    assert!(alice.expect("cmd")["d"]["text"].as_str().is_some_and(|text| text.contains("/topic")));
    assert_eq!(alice.send(ROOM, "4", "//slash"), 6);
    assert_eq!(bob.expect("msg")["d"]["text"], "/slash");

    bob.granted("leave", ROOM, json!({}));
    assert_eq!(bob.refused("who", ROOM, json!({})), 411);
    bob.say(r#"{"t":"pong"}"#);
    bob.granted("join", ROOM, json!({"member": true}));
    assert_eq!(alice.expect("member")["d"]["action"], "join");
    bob.granted("bye", "", json!({}));
    assert_eq!(bob.close_code(), 1000);
}

#[test]
fn a_session_can_be_quiet_and_without_echo() {
    let server = Server::start_default();
    let mut alice = Client::member(&server, "alice", ROOM);
    let rooms = json!({"room": {}, "other": {"last": 5}});
    let d = json!({"user": "bot", "quiet": true, "echo": false, "rooms": rooms});
    let mut bot = Client::greet(&server, d);
    assert_eq!(bot.welcome["rooms"]["room"]["recovered"], true);
    assert_eq!(bot.welcome["rooms"]["other"]["role"], "owner");
    assert_eq!(alice.granted("who", ROOM, json!({}))["n"], 1, "a quiet session is not present");
    assert_eq!(bot.send(ROOM, "1", "beep"), 1);
    assert_eq!(alice.send(ROOM, "1", "hello, bot"), 2);
    assert_eq!(bot.durable()["o"], 2, "its own message does not come back");
    assert_eq!(alice.take(2), [(1, "beep".to_owned()), (2, "hello, bot".to_owned())]);
}

#[test]
fn every_refusal_has_its_code_and_changes_nothing() {
    let server = Plan::new().unlimited().start();
    let mut alice = Client::member(&server, "alice", ROOM);
    let mut bob = Client::member(&server, "bob", ROOM);
    for (o, text) in [(1, "alice's"), (2, "taken back")] {
        assert_eq!(alice.send(ROOM, text, text), o);
    }
    alice.granted("delete", ROOM, json!({"o": 2}));
    let long = "x".repeat(32_769);
    let name = "n".repeat(241);
    for (verb, room, d, code) in [
        ("send", ROOM, json!({"text": "no cid"}), 400),
        ("send", ROOM, json!({"cid": "", "text": "x"}), 400),
        ("send", ROOM, json!({"cid": "x", "text": ""}), 400),
        ("send", ROOM, json!({"cid": 7, "text": "x"}), 400),
        ("send", ROOM, json!({"cid": "x", "text": "x", "reply": 99}), 400),
        ("send", ROOM, json!(["x"]), 400),
        ("send", ROOM, json!({"cid": "x", "text": long}), 413),
        ("send", ROOM, json!({"cid": "c".repeat(65), "text": "x"}), 413),
        ("send", "elsewhere", json!({"cid": "x", "text": "x"}), 411),
        ("send", ROOM, json!({"cid": "x", "text": "/dance"}), 422),
        ("cmd", ROOM, json!({"name": "dance"}), 422),
        ("cmd", ROOM, json!({"name": "access", "text": "members"}), 403),
        ("edit", ROOM, json!({"o": 1, "text": "bob was here"}), 403),
        ("edit", ROOM, json!({"o": 99, "text": "x"}), 400),
        ("edit", ROOM, json!({"o": 3, "text": "x"}), 400),
        ("edit", ROOM, json!({"o": 2, "text": "x"}), 410),
        ("edit", ROOM, json!({"o": -1, "text": "x"}), 400),
        ("delete", ROOM, json!({"o": 1}), 403),
        ("delete", ROOM, json!({"o": 2}), 410),
        ("join", ROOM, json!({}), 409),
        ("join", "", json!({}), 400),
        ("join", " outer space ", json!({}), 400),
        ("join", &name, json!({}), 413),
        ("join", "half", json!({"e": "k3"}), 400),
        ("join", "half", json!({"o": 3}), 400),
        ("join", "half", json!({"e": "k3", "o": 3, "last": 4}), 400),
        ("leave", "elsewhere", json!({}), 411),
        ("history", "elsewhere", json!({}), 411),
        ("history", ROOM, json!({"before": 1, "after": 1}), 400),
        ("status", "", json!({"state": "asleep"}), 400),
        ("status", "", json!({"state": "away", "text": "x".repeat(257)}), 413),
        ("hello", "", json!({"user": "bob"}), 400),
        ("dance", ROOM, json!({}), 405),
    ] {
        assert_eq!(bob.refused(verb, room, d.clone()), code, "{verb} {room} {d}");
    }
    for text in ["", "{", "[]", "null", "{}", r#"{"t":7}"#, r#"{"t":"pong"} {"#] {
        bob.say(text);
        let refusal = bob.expect("err");
        assert_eq!((&refusal["d"]["code"], &refusal["id"]), (&json!(400), &Value::Null), "{text}");
    }
    bob.say(r#"{"t":"send","room":"room","d":{}}"#);
    let refusal = bob.expect("err");
    assert!(refusal.get("id").is_none(), "a request without id is refused without one: {refusal}");
    assert_eq!(bob.granted("history", ROOM, json!({}))["top"], 3);
    let mut other = Client::open(&server);
    assert_eq!(other.refused("join", ROOM, json!({})), 401);
    assert_eq!(other.refused("hello", "", json!({})), 400);
    assert_eq!(other.refused("hello", "", json!({"user": "wa:1"})), 400);
    assert_eq!(other.refused("hello", "", json!({"user": "x".repeat(161)})), 413);
    assert_eq!(other.granted("hello", "", json!({"user": "x"}))["user"], "x");
}

#[test]
fn a_session_is_in_a_bounded_number_of_rooms() {
    let server = Plan::new().unlimited().start();
    let rooms = |count: usize| -> Value {
        (0..count)
            .map(|n| (format!("room {n}"), json!({})))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let mut full = Client::greet(&server, json!({"user": "full", "rooms": rooms(128)}));
    assert_eq!(full.refused("join", "one more", json!({})), 413);
    full.granted("leave", "room 7", json!({}));
    full.join("one more", json!({}));
    let mut greedy = Client::open(&server);
    assert_eq!(greedy.refused("hello", "", json!({"user": "greedy", "rooms": rooms(129)})), 413);
}

#[test]
fn a_room_for_members_admits_nobody_else() {
    let server = Server::start_default();
    let mut alice = Client::member(&server, "alice", ROOM);
    let mut bob = Client::member(&server, "bob", ROOM);
    alice.granted("cmd", ROOM, json!({"name": "access", "text": "members"}));
    assert_eq!(bob.expect("room")["d"]["access"], "members");
    let mut eve = Client::hello(&server, "eve");
    assert_eq!(eve.refused("join", ROOM, json!({"last": 10})), 403);
    let eve = Client::greet(&server, json!({"user": "eve", "rooms": {ROOM: {"last": 10}}}));
    assert_eq!(eve.welcome["rooms"][ROOM]["err"]["code"], 403);
    assert_eq!(bob.refused("send", ROOM, json!({"cid": "b", "text": "am I one?"})), 403);
    alice.granted("cmd", ROOM, json!({"name": "invite", "text": "bob"}));
    let o = bob.send(ROOM, "b2", "now I am");
    assert_eq!(alice.expect("msg")["o"], o);
    alice.granted("cmd", ROOM, json!({"name": "kick", "text": "bob"}));
    assert_eq!(bob.expect("notice")["d"]["level"], "warn");
    assert_eq!(bob.refused("history", ROOM, json!({})), 411);
    assert_eq!(bob.refused("join", ROOM, json!({})), 403);
}

#[test]
fn a_fast_sender_is_told_when_to_try_again() {
    let server = Plan::new()
        .set("limits.sends_per_s", "1")
        .set("limits.sends_burst", "3")
        .set("limits.room_sends_per_s", "1")
        .set("limits.room_sends_burst", "2")
        .start();
    let mut alice = Client::member(&server, "alice", ROOM);
    alice.join("other", json!({}));
    let mut post = |room, cid: &str| alice.request("send", room, json!({"cid": cid, "text": "x"}));
    for (room, cid, ok) in
        [(ROOM, "1", true), (ROOM, "2", true), (ROOM, "3", false), ("other", "4", false)]
    {
        let reply = post(room, cid);
        assert_eq!(reply["t"] == "ok", ok, "{room} {cid}: {reply}");
        if !ok {
            assert_eq!((&reply["d"]["code"], &reply["d"]["retry"]), (&json!(429), &json!(true)));
            let after_ms = reply["d"]["after_ms"].as_u64().expect("a time");
            assert!((1..=1_000).contains(&after_ms), "{reply}");
        }
    }
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    assert_eq!(post(ROOM, "3")["t"], "ok", "after_ms holds");
}

#[test]
fn outside_development_mode_only_a_token_proves_a_name() {
    let server = Plan::new().with_tokens(TOKEN_SECRET).start();
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64;
    let mint = |secret: &str, exp_s| token::mint("alice", secret.as_bytes(), exp_s);
    let good = mint(TOKEN_SECRET, now_s + 60);
    let alice = Client::greet(&server, json!({"token": good, "user": "somebody else"}));
    assert_eq!(alice.welcome["user"], "alice", "the token's name counts");
    let mut nameless = Client::open(&server);
    assert_eq!(nameless.refused("hello", "", json!({"user": "alice"})), 401);
    assert_eq!(nameless.granted("hello", "", json!({"token": good}))["user"], "alice");
    let forged = mint("another secret, 32 bytes or more", now_s + 60);
    for (token, code, close) in [
        (mint(TOKEN_SECRET, now_s - 1), 402, 4201),
        (forged, 401, 4501),
        ("junk".to_owned(), 401, 4501),
        (String::new(), 401, 4501),
    ] {
        let mut client = Client::open(&server);
        assert_eq!(client.refused("hello", "", json!({"token": token})), code, "{token}");
        assert_eq!(client.close_code(), close, "{token}");
    }
}

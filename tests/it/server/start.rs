//! Starts that must fail, each with a sentence that says what to do, and stops in order.

use super::client::Client;
use super::process::{Folder, Plan, Server};
use super::raw::{Raw, get};
use serde_json::json;
use std::net::TcpListener;
use std::time::Instant;

#[track_caller]
fn check(plan: Plan, code: i32, words: &[&str]) {
    let (got, said) = plan.refused();
    assert_eq!(got, code, "{said}");
    for word in words {
        assert!(said.contains(word), "wants {word:?} in:\n{said}");
    }
    assert!(said.starts_with("error: "), "{said}");
}

#[test]
fn a_wrong_configuration_is_named_with_its_place_and_a_hint() {
    let set = |key, value| Plan::new().set(key, value);
    let reachable = ["asks nobody for a token", "0.0.0.0:0", "hint: listen on 127.0.0.1"];
    check(set("server.listen", "0.0.0.0:0"), 2, &reachable);
    check(set("server.shard", "1"), 2, &["no such setting", "did you mean `server.shards`"]);
    check(set("log.ack", "perhaps"), 2, &["flag --set", "one of memory, os, fsync"]);
    check(set("log.segment_mib", "2"), 2, &["from 4 to 1024"]);
    check(set("auth.secret", "short"), 2, &["RINGPOST_AUTH_SECRET"]);
    check(set("server.dev", "false"), 2, &["`auth.secret` is not set", "openssl rand"]);
    let env = Plan::new().env("RINGPOST_LIMITS_FRAMES_BURST", "many");
    check(env, 2, &["environment variable RINGPOST_LIMITS_FRAMES_BURST", "a whole number"]);
    let short = Plan::new().with_tokens("short");
    check(short, 2, &["environment variable RINGPOST_AUTH_SECRET", "at least 32 bytes"]);
}

#[test]
fn a_file_of_authorities_that_holds_none_is_named() {
    let folder = Folder::new();
    let file = folder.path().join("ca.pem");
    let name = file.to_str().expect("a path of ours");
    let plan = || Plan::new().set("egress.ca_file", name);
    check(plan(), 2, &["flag --set", "`egress.ca_file`", "cannot be read"]);
    std::fs::write(&file, "-----BEGIN PRIVATE KEY-----").expect("writable");
    check(plan(), 2, &["holds no certificate in PEM"]);
    let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&file, empty).expect("writable");
    check(plan(), 71, &["`egress.ca_file`: certificate 1 is not valid"]);
}

#[test]
fn a_taken_port_is_named_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let words = [&*address, "Address already in use", "hint: `ss -ltnp` shows who"];
    check(Plan::new().set("server.listen", &address), 71, &words);
}

#[test]
fn two_servers_never_share_a_port_by_accident() {
    let server = Server::start_default();
    let address = server.address().to_string();
    check(Plan::new().set("server.listen", &address), 71, &[&address]);
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let server = Server::start_default();
    check(Plan::new().data(server.data()), 74, &["another ringpost uses"]);
    let mut client = Client::member(&server, "alice", "room");
    assert_eq!(client.send("room", "c1", "the first one still works"), 1);
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let folder = Folder::new();
    let file = folder.path().join("a file");
    std::fs::write(&file, "").expect("writable");
    check(Plan::new().data(&file.join("data")), 74, &["a file", "Not a directory"]);
}

#[test]
fn a_stop_in_order_says_goodbye_and_keeps_the_epoch() {
    let mut server = Server::start_default();
    let mut alice = Client::member(&server, "alice", "room");
    let mut bob = Client::member(&server, "bob", "room");
    let idle = Raw::connect(&server);
    let silent = Client::open(&server);
    let epoch = alice.welcome["e"].clone();
    assert_eq!(alice.send("room", "c1", "before"), 1);
    server.ask_to_stop();
    for client in [&mut alice, &mut bob] {
        let (bye, code) = client.ending();
        assert_eq!((&bye["t"], code), (&json!("bye"), 4000), "{bye}");
        assert_eq!(bye["d"]["reconnect"], true, "{bye}");
        assert!(bye["d"]["after_ms"].as_u64().is_some_and(|ms| ms > 0), "{bye}");
    }
    assert_eq!(server.await_stop(), 0, "{}", server.words());
    assert!(idle.rest().is_empty());
    drop(silent);

    server.restart();
    let mut alice =
        Client::greet(&server, json!({"user": "alice", "rooms": {"room": {"e": epoch, "o": 1}}}));
    let room = &alice.welcome["rooms"]["room"];
    assert_eq!(alice.welcome["e"], epoch, "a clean stop keeps the epoch");
    assert_eq!((&room["recovered"], &room["n"], &room["o"]), (&json!(true), &json!(0), &json!(1)));
    assert_eq!(alice.send("room", "c1", "before"), 1, "the same cid across a restart");
    assert_eq!(alice.send("room", "c2", "after"), 2);
}

#[test]
fn a_stop_does_not_wait_for_clients_longer_than_it_was_told() {
    let mut server = Plan::new().set("server.drain_ms", "500").start();
    // It never reads, so it never closes its side.
    let mut deaf = Client::member(&server, "deaf", "room");
    deaf.send("room", "c1", "x");
    let begin = Instant::now();
    assert_eq!(server.terminate(), 0);
    assert!(begin.elapsed().as_secs() < 5, "took {:?}", begin.elapsed());
}

#[test]
fn idle_connections_do_not_hold_up_a_stop() {
    let mut server = Server::start_default();
    let mut raw = Raw::connect(&server);
    raw.write("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(raw.response().text(), "abc");
    assert_eq!(get(&server, "/readyz").status, 200);
    let begin = Instant::now();
    assert_eq!(server.terminate(), 0);
    assert!(begin.elapsed().as_secs() < 5, "took {:?}", begin.elapsed());
    assert!(raw.rest().is_empty());
}

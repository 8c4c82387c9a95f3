//! Messages out: what people write and the Graph API's JSON for it, both written by hand from
//! Meta's pages. `tests/oracles/whatsapp.sh` sends the same with other people's libraries and
//! compares.

use crate::tree::read;
use ringpost::whatsapp::send::{Content, Message, Recipient};
use serde_json::Value;

#[test]
fn messages_are_rendered_as_the_pages_say() {
    let mut kinds = Vec::new();
    for line in read("tests/it/fixtures/whatsapp_send.jsonl").lines() {
        let case: Value = serde_json::from_str(line).expect("a line of JSON");
        let content = Content::from_value(&case["content"]).unwrap_or_else(|why| panic!("{why}"));
        let message = Message {
            to: Recipient::parse("447700900123").expect("a phone number"),
            content,
            about: case["about"].as_str().map(str::to_owned),
            callback: case["name"].as_str().map(|name| format!("rp:{name}")),
        };
        let body = message.render().unwrap_or_else(|why| panic!("{why}"));
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(body, case["body"], "{}", case["name"]);
        kinds.push(case["content"]["type"].as_str().expect("a type").to_owned());
    }
    for kind in Content::TYPES {
        assert!(kinds.iter().any(|known| known == kind), "no line for {kind}");
    }
}

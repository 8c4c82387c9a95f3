//! Conversations of a team: state, assignee, tags, turns, the inbox, and the API.

use super::*;
use crate::chat::api::ApiRequest;
use crate::chat::event::Ask;
use crate::registry::Kind;

const ROOM: &str = "wa:1102:GB.7";
const DAY_MS: u64 = 24 * 3_600 * 1_000;

fn stage() -> Stage {
    let read = |text: &str, _: Option<&str>| {
        Ok(crate::chat::event::Letter { text: text.into(), needs_window: true })
    };
    let platform = Platform { numbers: vec!["1102".into()], read };
    Stage::with(HubOptions { platform, ..options() })
}

impl Stage {
    fn contact_writes(&mut self, external: &str) {
        let item = item(external, message("hi", None, None));
        self.event(Event::Inbound { ticket: 1, item });
        self.sync();
        self.log.clear();
    }

    fn asks(&mut self, verb: &str, d: &str) {
        self.say(1, &format!(r#"{{"t":"{verb}","id":9,"room":"{ROOM}","d":{d}}}"#));
        self.sync();
    }

    fn api(&mut self, request: ApiRequest) {
        self.event(Event::Api { conn: conn(99), user: "boss".into(), request });
        self.sync();
    }

    /// The same records in a server that has just started.
    fn again(&mut self) -> Self {
        let mut stage = stage();
        stage.now_ms = self.now_ms;
        for record in &self.records {
            stage.hub.restore(record.clone());
        }
        stage.hub.begin_outgoing();
        stage
    }
}

#[test]
fn changes_are_events_with_positions_and_answer_with_the_whole() {
    let mut stage = stage();
    stage.contact_writes("w1");
    stage.enter(1, "alice", ROOM);
    stage.enter(2, "bob", ROOM);
    stage.asks("conv", r#"{"state":"pending","assign":"bob","tag":["vip"]}"#);
    let state = r#"{"t":"conv","room":"wa:1102:GB.7","o":2,{}"by":"alice","state":"pending"}"#;
    let assign = r#""o":3,{}"assign":"bob","by":"alice"}"#;
    let tag = r#""o":4,{}"by":"alice","tag":"vip"}"#;
    stage.told(&[
        state,
        state,
        assign,
        assign,
        tag,
        tag,
        r#"1 {}"assignee":"bob"{}"o":4{}"state":"pending","tags":["vip"]{}"t":"ok"}"#,
    ]);
    // What is so already is no event.
    stage.asks("conv", r#"{"state":"pending","tag":["vip"],"untag":["none"]}"#);
    stage.told(&[r#"1 {}"tags":["vip"]{}"id":9,"t":"ok"}"#]);
    stage.asks("conv", r#"{"untag":["vip"],"assign":""}"#);
    stage.told(&[
        r#"1 {"t":"conv",{}"assign":"""#,
        r#"2 {}"assign":"""#,
        r#"1 {}"untag":"vip""#,
        r#"2 {}"untag":"vip""#,
        r#"1 {}"assignee":null{}"tags":[]{}"t":"ok"}"#,
    ]);
}

#[test]
fn what_cannot_be_is_refused() {
    let mut stage = stage();
    stage.enter(1, "alice", ROOM);
    for (d, want) in [
        (r#"{"state":"gone"}"#, "must be open, pending or resolved"),
        (r#"{"assign":"wa:7"}"#, "belong to WhatsApp contacts"),
        (r#"{"tag":[" a"]}"#, "a tag has 1 to 64 bytes"),
    ] {
        stage.asks("conv", d);
        stage.told(&[&format!(r#"1 {{}}{want}{{}}"t":"err"}}"#)]);
    }
    stage.say(1, r#"{"t":"join","id":3,"room":"lobby"}"#);
    stage.log.clear();
    stage.say(1, r#"{"t":"conv","id":4,"room":"lobby"}"#);
    stage.told(&[r#"1 {}no conversation{}"id":4,"t":"err"}"#]);
}

#[test]
fn a_message_of_the_contact_opens_again_and_turns_are_known() {
    let mut stage = stage();
    stage.contact_writes("w1");
    stage.enter(1, "alice", ROOM);
    let text = format!(r#"{{"t":"send","room":"{ROOM}","d":{{"cid":"a","text":"yes"}}}}"#);
    stage.now_ms += 5_000;
    stage.say(1, &text);
    stage.asks("conv", r#"{"state":"resolved"}"#);
    stage.log.clear();
    stage.asks("conv", "{}");
    stage.told(&[r#"1 {}"first_response_ms":5000{}"resolution_ms":5000,"room""#]);
    let mut later = stage.again();
    later.enter(1, "alice", ROOM);
    for stage in [&mut later, &mut stage] {
        stage.now_ms += DAY_MS;
        let since = 1_795_000_000_000 + stage.now_ms;
        stage.contact_writes("w2");
        stage.asks("conv", "{}");
        let want = format!(r#""state":"open","tags":[],"unread":2,"waiting_since":{since}"#);
        stage.told(&[&format!(r#"1 {{}}{want}"#)]);
    }
}

#[test]
fn notes_answer_nobody() {
    let mut stage = stage();
    stage.contact_writes("w1");
    stage.enter(1, "alice", ROOM);
    let note = r#"{"cid":"n","text":"rude","note":true}"#;
    stage.asks("send", note);
    stage.log.clear();
    stage.asks("conv", "{}");
    stage.told(&[r#"1 {}"waiting_since":"#]);
}

#[test]
fn the_inbox_is_for_agents() {
    let agents = vec!["support-*".into()];
    let mut stage = Stage::with(HubOptions { agents, ..options() });
    stage.contact_writes("w1");
    stage.enter(1, "eve", "lobby");
    stage.say(1, r#"{"t":"inbox","id":3}"#);
    stage.say(1, &format!(r#"{{"t":"join","id":4,"room":"{ROOM}"}}"#));
    stage.told(&[r#"1 {}403{}"id":3"#, r#"1 {}403{}"id":4"#]);
    stage.enter(2, "support-7", ROOM);
    stage.say(2, r#"{"t":"inbox","id":3,"d":{"state":"open"}}"#);
    stage.told(&[r#"2 {}"room":"wa:1102:GB.7"{}"id":3,"t":"ok"}"#]);
}

#[test]
fn the_inbox_is_asked_and_followed() {
    let mut stage = stage();
    stage.contact_writes("w1");
    stage.enter(1, "alice", "lobby");
    stage.event(Event::Tick);
    stage.log.clear();
    stage.say(1, r#"{"t":"inbox","id":3,"d":{"watch":true,"assignee":""}}"#);
    stage.told(&[r#"1 {"d":{"after":{}"conversations":[{{}"unread":1{}"more":false"#]);
    stage.say(1, r#"{"t":"inbox","id":4,"d":{"tag":"vip"}}"#);
    stage.told(&[r#""conversations":[],"more":false"#]);
    stage.now_ms += 2_000;
    stage.contact_writes("w2");
    stage.event(Event::Tick);
    stage.told(&[r#"1 {}"room":"wa:1102:GB.7"{}"t":"inbox""#]);
    stage.event(Event::Closed { conn: conn(1), code: 1_000 });
    stage.now_ms += 2_000;
    stage.contact_writes("w3");
    stage.event(Event::Tick);
    stage.told(&[]);
}

#[test]
fn the_api_asks_as_anybody_and_makes_rooms() {
    let mut stage = stage();
    let ask = || Ask::Send {
        cid: "".into(),
        text: "deployed".into(),
        reply: None,
        mute: false,
        rich: None,
        since_us: 0,
    };
    stage.api(ApiRequest::Room { room: "ops".into(), ask: ask() });
    stage.told(&[r#"99 {"t":"ok","id":0,"d":{"o":1,{}"dup":false}}"#]);
    stage.enter(1, "alice", "ops");
    stage.api(ApiRequest::Room { room: "ops".into(), ask: ask() });
    stage.told(&[
        r#"1 {"t":"msg",{}"o":2,{}"from":"boss","cid":"api-1-2","text":"deployed","src":"api"}}"#,
        r#"99 {"t":"ok","id":0,"d":{"o":2"#,
    ]);
    let ask = Ask::Converse { changes: Vec::new() };
    stage.api(ApiRequest::Room { room: "wa:1102:none".into(), ask });
    stage.told(&[r#"99 {"d":{"code":404"#]);
}

#[test]
fn the_api_says_where_a_conversation_is() {
    let mut stage = stage();
    let mut known = item("w1", message("hi", None, None));
    known.ids = ContactIds { wa_id: Some("4477".into()), ..ContactIds::default() };
    stage.event(Event::Inbound { ticket: 1, item: known });
    stage.sync();
    stage.log.clear();
    let (cid, text, reply, mute, rich) = ("a".into(), "x".into(), None, false, None);
    let ask = Ask::Send { cid, text, reply, mute, rich, since_us: 0 };
    stage.api(ApiRequest::Room { room: "wa:1102:4477".into(), ask });
    stage.told(&[r#"99 {"d":{"code":410,{}wa:1102:GB.7{}"#]);
    assert!(stage.hub.room("wa:1102:4477").is_none());
}

#[test]
fn definitions_are_durable_before_they_hold() {
    let mut stage = stage();
    let put = |body: &str, dry_run| ApiRequest::Define {
        kind: Kind::Handler,
        name: "away".into(),
        body: body.into(),
        dry_run,
    };
    stage.api(put("", false));
    stage.told(&[r#"99 {"d":{"code":404"#]);
    stage.api(put(r#"{"a":1}"#, true));
    stage.told(&[r#"99 {"d":{"name":"away","version":1},"id":0,"t":"ok"}"#]);
    assert!(stage.records.is_empty());
    let request = put(r#"{"a":1,"secret":"s"}"#, false);
    stage.event(Event::Api { conn: conn(99), user: "boss".into(), request });
    stage.told(&[]);
    assert!(stage.defined.is_empty(), "not in the log yet");
    stage.sync();
    stage.told(&[r#"99 {"d":{"name":"away","version":1},"id":0,"t":"ok"}"#]);
    assert_eq!(stage.defined, ["away 1"]);
    let mut later = stage.again();
    for stage in [&mut stage, &mut later] {
        let get = |name: Option<&str>| ApiRequest::Definitions {
            kind: Kind::Handler,
            name: name.map(Into::into),
        };
        stage.api(get(Some("away")));
        stage.told(&[r#"99 {}"definition":{"a":1,"secret":"…"},"name":"away","version":1}"#]);
        stage.api(get(Some("other")));
        stage.told(&[r#"99 {"d":{"code":404"#]);
        stage.api(put("", false));
        stage.told(&[r#"99 {"d":{"name":"away","version":2},"id":0,"t":"ok"}"#]);
        stage.api(get(None));
        stage.told(&[r#"99 {"d":{"definitions":[]}"#]);
    }
}

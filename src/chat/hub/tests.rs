mod commanding;
mod conversing;
mod handling;
mod identity;
mod inbound;
mod outgoing;
#[cfg(all(feature = "script", feature = "wasm"))]
mod working;

use super::*;
use crate::base::codes::CloseReason;
use crate::chat::event::{
    ContactIds, ConversationChange, Fact, Forget, Forgetting, Inbound, InboundBody, Outcome,
};

/// One hub that plays all three parts, driven like a conversation.
struct Stage {
    hub: Hub,
    now_ms: u64,
    appends: u64,
    records: Vec<Record>,
    /// Rooms each connection is attached to, as the shard would keep them.
    attached: Vec<(ConnId, crate::chat::event::LocalRoom)>,
    log: Vec<String>,
    /// What the outbox was told.
    orders: Vec<OutboxOrder>,
    /// Definitions that hold, with their versions.
    defined: Vec<String>,
    /// Calls of handlers: ticket, then address, body and headers.
    fetches: Vec<(u64, String)>,
}

fn conn(index: u32) -> ConnId {
    ConnId { index, generation: 1 }
}

fn options() -> HubOptions {
    let room_sends = Rate { per_s: 5, burst: 20 };
    HubOptions { room_sends, ..HubOptions::unlimited(ShardId(0), 1) }
}

fn message(text: &str, content: Option<&str>, about: Option<&str>) -> InboundBody {
    InboundBody::Message {
        name: "Ines".into(),
        text: text.into(),
        at_ms: None,
        content: content.map(Into::into),
        about: about.map(Into::into),
    }
}

/// An item of the contact GB.7 in its conversation with our number 1102.
fn item(external: &str, body: InboundBody) -> Inbound {
    let (room, user) = ("wa:1102:GB.7".into(), "wa:GB.7".into());
    Inbound { room, user, ids: ContactIds::default(), external: external.into(), body }
}

impl Stage {
    fn new() -> Self {
        Self::with(options())
    }

    fn with(options: HubOptions) -> Self {
        let now = Now { wall_us: 1_000_000, mono_us: 0 };
        let mut hub = Hub::new(options, now);
        hub.begin_epoch(EpochId(1));
        let (records, attached, log) = (Vec::new(), Vec::new(), Vec::new());
        let (orders, defined) = (Vec::new(), Vec::new());
        Self {
            hub,
            now_ms: 1_000,
            appends: 0,
            records,
            attached,
            log,
            orders,
            defined,
            fetches: Vec::new(),
        }
    }

    fn event(&mut self, event: Event<'_>) {
        let mut effects = Vec::new();
        self.hub.grant(1 << 20);
        let wall_us = 1_795_000_000_000_000 + self.now_ms as i64 * 1_000;
        let now = Now { wall_us, mono_us: self.now_ms * 1_000 };
        self.hub.handle(now, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Send { conn, frame } | Effect::Uncork { conn, first: frame } => {
                    self.log.push(format!("{} {frame}", conn.index));
                }
                Effect::Cork { .. } | Effect::Measure { .. } => {}
                Effect::Attach { conn, room } => self.attached.push((conn, room)),
                Effect::Detach { conn, room } => {
                    self.attached.retain(|seat| *seat != (conn, room));
                }
                Effect::Publish { room, frame, skip, .. } => {
                    for (member, _) in self.attached.iter().filter(|(_, at)| *at == room) {
                        if Some(*member) != skip {
                            self.log.push(format!("{} {frame}", member.index));
                        }
                    }
                }
                Effect::Close { conn, reason } => {
                    self.log.push(format!("{} closed {}", conn.index, reason.code()));
                }
                Effect::Append(record) => {
                    self.appends += 1;
                    self.records.push(record);
                }
                Effect::InboundDone { ticket, count, accepted } => {
                    let items = (0..count).map(|_| format!("webhook {ticket} {accepted}"));
                    self.log.extend(items);
                }
                Effect::Outbox(order) => self.orders.push(order),
                Effect::Fetch { ticket, url, headers, body, .. } => {
                    let headers = headers.iter().map(|(name, value)| format!(" {name} {value}"));
                    let headers: String = headers.collect();
                    let body = body.unwrap_or_default();
                    self.fetches.push((ticket, format!("{url} {body}{headers}")));
                }
                Effect::Menu { ticket, number, body } => {
                    self.fetches.push((ticket, format!("{number} {body}")));
                }
                Effect::Execute { ticket, program, input, .. } => {
                    self.fetches.push((ticket, format!("{program} {input}")));
                }
                Effect::Defined(one) => self.defined.push(format!("{} {}", one.name, one.version)),
                Effect::ToShard { .. } | Effect::Archive { .. } => panic!("{effect:?}"),
            }
        }
    }

    fn open(&mut self, index: u32) {
        self.event(Event::Opened { conn: conn(index) });
    }

    fn say(&mut self, index: u32, text: &str) {
        self.event(Event::Text { conn: conn(index), text });
    }

    fn sync(&mut self) {
        self.event(Event::Durable { appends: self.appends });
    }

    fn enter(&mut self, index: u32, user: &str, room: &str) {
        self.open(index);
        self.say(index, &format!(r#"{{"t":"hello","id":1,"d":{{"user":"{user}"}}}}"#));
        self.say(index, &format!(r#"{{"t":"join","id":2,"room":"{room}"}}"#));
        self.sync();
        self.log.clear();
    }

    /// Everything that was sent since the last call, one line each; `{}` matches anything.
    #[track_caller]
    fn told(&mut self, want: &[&str]) {
        let got = std::mem::take(&mut self.log);
        let same = got.len() == want.len()
            && got.iter().zip(want).all(|(got, want)| {
                let mut rest = got.as_str();
                want.split("{}").all(|part| match rest.find(part) {
                    Some(at) => {
                        rest = &rest[at + part.len()..];
                        true
                    }
                    None => false,
                })
            });
        assert!(same, "got {got:#?}\nwant {want:#?}");
    }
}

#[test]
fn a_message_is_delivered_at_once_and_acknowledged_when_durable() {
    let mut stage = Stage::new();
    stage.enter(1, "alice", "general");
    stage.enter(2, "bob", "general");
    stage.say(1, r#"{"t":"send","id":3,"room":"general","d":{"cid":"a","text":"hi"}}"#);
    stage.told(&[
        r#"1 {"t":"msg","room":"general","o":1,{}"#,
        r#"2 {"t":"msg",{}"o":1,{}"from":"alice","cid":"a","text":"hi","src":"ws"{}"#,
    ]);
    // The same message again, before the first is safe: no second event, and no early promise.
    stage.say(1, r#"{"t":"send","id":4,"room":"general","d":{"cid":"a","text":"hi"}}"#);
    stage.told(&[]);
    stage.sync();
    stage.told(&[
        r#"1 {"t":"ok","id":3,"d":{"o":1,{}"dup":false}}"#,
        r#"1 {"t":"ok","id":4,"d":{"o":1,{}"dup":true}}"#,
    ]);
}

#[test]
fn verbs_need_a_hello_and_a_seat() {
    let mut stage = Stage::new();
    stage.open(1);
    stage.say(1, r#"{"t":"join","id":1,"room":"general"}"#);
    stage.say(1, "nonsense");
    stage.say(1, r#"{"t":"hello","id":2}"#);
    stage.say(1, r#"{"t":"hello","id":3,"d":{"user":"wa:1"}}"#);
    stage.say(1, r#"{"t":"hello","id":4,"d":{"user":"alice"}}"#);
    stage.say(1, r#"{"t":"hello","id":5,"d":{"user":"alice"}}"#);
    stage.say(1, r#"{"t":"typing","id":6,"room":"general"}"#);
    stage.say(1, r#"{"t":"join","id":7,"room":" "}"#);
    stage.told(&[
        r#"1 {"d":{"code":401{}"id":1{}"#,
        r#"1 {"d":{"code":400{}not a request{}"#,
        r#"1 {"d":{"code":400{}"id":2{}"#,
        r#"1 {"d":{"code":400{}wa:{}"id":3{}"#,
        r#"1 {{}"user":"alice"{}"id":4,"t":"ok"}"#,
        r#"1 {"d":{"code":400{}"id":5{}"#,
        r#"1 {"d":{"code":411{}"id":6{}"#,
        r#"1 {"d":{"code":400{}"id":7{}"#,
    ]);
}

#[test]
fn resume_replays_exactly_what_was_missed() {
    let mut stage = Stage::new();
    stage.enter(1, "alice", "general");
    for n in 1..=5 {
        stage.say(
            1,
            &format!(r#"{{"t":"send","room":"general","d":{{"cid":"{n}","text":"m{n}"}}}}"#),
        );
    }
    stage.log.clear();
    stage.open(2);
    let rooms = r#"{"general":{"e":"1","o":3},"other":{"e":"1"}}"#;
    let d = format!(r#"{{"user":"bob","rooms":{rooms}}}"#);
    stage.say(2, &format!(r#"{{"t":"hello","id":1,"d":{d}}}"#));
    stage.told(&[
        r#"2 {"t":"msg"{}"o":4{}"#,
        r#"2 {"t":"msg"{}"o":5{}"#,
        concat!(
            r#"2 {{}"rooms":{"general":{{}"from":4,"n":2,"o":5,{}"recovered":true{}"#,
            r#""other":{"err":{"code":400{}"#,
        ),
    ]);
    stage.open(3);
    stage.say(3, r#"{"t":"hello","id":1,"d":{"user":"carol"}}"#);
    stage.log.clear();
    stage.say(3, r#"{"t":"join","id":2,"room":"general","d":{"e":"zz","o":3}}"#);
    stage.told(&[r#"3 {"d":{"back_to":0,{}"recovered":false{}"#]);
}

#[test]
fn edits_deletes_and_history() {
    let mut stage = Stage::new();
    stage.enter(1, "alice", "general");
    stage.enter(2, "bob", "general");
    for n in 1..=3 {
        stage.say(
            1,
            &format!(r#"{{"t":"send","room":"general","d":{{"cid":"{n}","text":"m{n}"}}}}"#),
        );
    }
    stage.log.clear();
    stage.say(2, r#"{"t":"edit","id":1,"room":"general","d":{"o":1,"text":"mine"}}"#);
    stage.say(2, r#"{"t":"delete","id":2,"room":"general","d":{"o":1}}"#);
    stage.told(&[r#"2 {"d":{"code":403{}"#, r#"2 {"d":{"code":403{}"#]);
    stage.say(1, r#"{"t":"edit","id":3,"room":"general","d":{"o":1,"text":"better"}}"#);
    stage.say(1, r#"{"t":"delete","id":4,"room":"general","d":{"o":2}}"#);
    stage.log.clear();
    stage.say(1, r#"{"t":"edit","id":5,"room":"general","d":{"o":2,"text":"x"}}"#);
    stage.say(1, r#"{"t":"edit","id":6,"room":"general","d":{"o":4,"text":"x"}}"#);
    stage.told(&[r#"1 {"d":{"code":410{}"#, r#"1 {"d":{"code":400{}"#]);
    stage.sync();
    stage.log.clear();
    stage.say(2, r#"{"t":"history","id":7,"room":"general","d":{"limit":2}}"#);
    stage.told(&[concat!(
        r#"2 {"t":"ok","id":7,"d":{"e":"1","msgs":[{{}"o":2{}"deleted":true}},{{}"o":3{}],"#,
        r#""first":1,"top":5,"more":true}}"#,
    )]);
    stage.say(2, r#"{"t":"history","id":8,"room":"general","d":{"before":2}}"#);
    stage.told(&[r#"2 {"t":"ok","id":8,{}"o":1{}"text":"better"{}"v":2{}"more":false}}"#]);
    stage.say(2, r#"{"t":"history","id":9,"room":"general","d":{"around":2,"limit":3}}"#);
    stage.told(&[r#"2 {{}"id":9{}"o":1{}"o":2{}"o":3{}"more":true}}"#]);
    stage.say(2, r#"{"t":"history","id":10,"room":"general","d":{"after":1,"limit":1}}"#);
    stage.told(&[r#"2 {{}"id":10{}"msgs":[{{}"o":2{}],{}"more":true}}"#]);
}

#[test]
fn a_restart_rebuilds_rooms_from_their_records() {
    let mut stage = Stage::new();
    stage.enter(1, "alice", "general");
    for n in 1..=3 {
        stage.say(
            1,
            &format!(r#"{{"t":"send","room":"general","d":{{"cid":"{n}","text":"m{n}"}}}}"#),
        );
    }
    stage.say(1, r#"{"t":"edit","room":"general","d":{"o":1,"text":"better"}}"#);
    stage.say(1, r#"{"t":"cmd","room":"general","d":{"name":"topic","text":"tea"}}"#);
    stage.say(1, r#"{"t":"mark","room":"general","d":{"read":2}}"#);
    stage.event(Event::Tick);
    let before = format!(
        "{:?}",
        stage.hub.room("general").map(|room| (&room.tail, &room.members, &room.marks, &room.topic))
    );
    let mut again = Hub::new(options(), Now { wall_us: 0, mono_us: 0 });
    again.begin_epoch(EpochId(1));
    for record in stage.records {
        again.restore(record);
    }
    let after = format!(
        "{:?}",
        again.room("general").map(|room| (&room.tail, &room.members, &room.marks, &room.topic))
    );
    assert_eq!(before, after);
}

#[test]
fn a_secret_takes_the_session_over_and_nobody_sees_it() {
    let mut stage = Stage::new();
    stage.enter(2, "bob", "general");
    stage.open(1);
    stage.say(1, r#"{"t":"hello","id":1,"d":{"user":"alice","rooms":{"general":{}}}}"#);
    let reply = stage.log.pop().expect("a reply");
    let value: serde_json::Value = serde_json::from_str(&reply[2..]).expect("JSON");
    let secret = value["d"]["resume"].as_str().expect("a secret").to_owned();
    stage.event(Event::Tick);
    stage.log.clear();
    stage.open(3);
    let rooms = r#"{"general":{}}"#;
    let d = format!(r#"{{"user":"alice","resume":"{secret}","rooms":{rooms}}}"#);
    stage.say(3, &format!(r#"{{"t":"hello","id":1,"d":{d}}}"#));
    stage.told(&["1 closed 4409", r#"3 {{}"rooms":{"general":{{}"#]);
    stage.event(Event::Closed { conn: conn(1), code: 4409 });
    stage.now_ms += 60_000;
    stage.event(Event::Tick);
    stage.told(&[]);
}

#[test]
fn presence_is_told_once_a_second_and_after_the_grace() {
    let mut stage = Stage::new();
    stage.enter(1, "alice", "general");
    stage.enter(2, "bob", "general");
    stage.event(Event::Tick);
    stage.told(&[
        r#"1 {"d":{"join":["alice","bob"],"leave":[],"n":2}{}"presence"{}"#,
        "2 {}presence{}",
    ]);
    stage.event(Event::Closed { conn: conn(2), code: 1006 });
    stage.now_ms += 14_999;
    stage.event(Event::Tick);
    stage.told(&[]);
    stage.now_ms += 1;
    stage.event(Event::Tick);
    stage.told(&[r#"1 {"d":{"join":[],"leave":["bob"],"n":1}{}"#]);
}

#[test]
fn limits_are_answered_with_a_time_to_wait() {
    let mut stage = Stage::new();
    stage.enter(1, "alice", "general");
    for n in 0..21 {
        stage.say(
            1,
            &format!(r#"{{"t":"send","id":9,"room":"general","d":{{"cid":"{n}","text":"x"}}}}"#),
        );
    }
    let last = stage.log.pop().expect("an answer");
    assert!(last.contains(r#""after_ms":200,"code":429"#), "{last}");
}

#[test]
fn a_webhook_is_done_when_durable_and_counted_once() {
    let mut stage = Stage::new();
    stage.enter(1, "alice", "wa:1:2");
    let (name, text) = ("Ines".into(), "Is bay 4 free?".into());
    let body = InboundBody::Message { name, text, at_ms: None, content: None, about: None };
    let item = Inbound {
        room: "wa:1:2".into(),
        user: "wa:2".into(),
        ids: ContactIds::default(),
        external: "wamid.1".into(),
        body,
    };
    stage.event(Event::Inbound { ticket: 5, item: item.clone() });
    stage.told(&[concat!(
        r#"1 {"t":"msg","room":"wa:1:2","o":1,{}"from":"wa:2","name":"Ines","#,
        r#""text":"Is bay 4 free?","src":"whatsapp","ext":"wamid.1"{}"#,
    )]);
    stage.event(Event::Inbound { ticket: 6, item });
    stage.told(&[]);
    stage.sync();
    stage.told(&["webhook 5 true", "webhook 6 true"]);
}

#[test]
fn a_failed_log_refuses_and_never_acknowledges() {
    let mut stage = Stage::new();
    stage.enter(1, "alice", "general");
    stage.say(1, r#"{"t":"send","id":3,"room":"general","d":{"cid":"a","text":"hi"}}"#);
    stage.log.clear();
    stage.event(Event::LogFailed);
    stage.told(&[r#"1 {"d":{"code":507{}"id":3{}"#]);
    stage.say(1, r#"{"t":"send","id":4,"room":"general","d":{"cid":"b","text":"ho"}}"#);
    stage.told(&[r#"1 {"d":{"code":507{}"id":4{}"#]);
    stage.hub.log_recovered();
    stage.say(1, r#"{"t":"send","id":5,"room":"general","d":{"cid":"c","text":"ho"}}"#);
    stage.sync();
    stage.told(&["1 {}msg{}", r#"1 {"t":"ok","id":5{}"#]);
}

#[test]
fn a_slow_reader_is_fed_from_history_and_misses_nothing() {
    let mut stage = Stage::new();
    stage.enter(1, "alice", "general");
    stage.enter(2, "bob", "general");
    stage.say(1, r#"{"t":"send","room":"general","d":{"cid":"1","text":"live"}}"#);
    stage.event(Event::Lagging { conn: conn(2) });
    stage.log.clear();
    for n in 2..=4 {
        stage.say(1, &format!(r#"{{"t":"send","room":"general","d":{{"cid":"{n}","text":"m"}}}}"#));
    }
    stage.told(&["1 {}\"o\":2{}", "1 {}\"o\":3{}", "1 {}\"o\":4{}"]);
    stage.event(Event::Drained { conn: conn(2) });
    stage.say(1, r#"{"t":"send","room":"general","d":{"cid":"5","text":"live"}}"#);
    stage.told(&[
        "2 {}\"o\":2{}",
        "2 {}\"o\":3{}",
        "2 {}\"o\":4{}",
        "1 {}\"o\":5{}",
        "2 {}\"o\":5{}",
    ]);
}

#[test]
fn roles_and_closed_rooms() {
    let mut stage = Stage::new();
    stage.enter(1, "alice", "general");
    stage.enter(2, "bob", "general");
    stage
        .say(2, r#"{"t":"send","id":1,"room":"general","d":{"cid":"1","text":"/access members"}}"#);
    stage.told(&[r#"2 {"d":{"code":403{}"#]);
    stage.say(1, r#"{"t":"cmd","id":2,"room":"general","d":{"name":"access","text":"members"}}"#);
    stage.say(1, r#"{"t":"cmd","id":3,"room":"general","d":{"name":"kick","text":"bob"}}"#);
    stage.sync();
    stage.told(&[
        "1 {}\"access\":\"members\"{}",
        "2 {}access{}",
        "2 {}notice{}",
        "1 {}bob was removed{}",
        "1 {}\"id\":2{}",
        "1 {}\"id\":3{}",
    ]);
    stage.say(2, r#"{"t":"join","id":4,"room":"general"}"#);
    stage.told(&[r#"2 {"d":{"code":403{}"id":4{}"#]);
    stage.say(1, r#"{"t":"cmd","id":5,"room":"general","d":{"name":"invite","text":"bob"}}"#);
    stage.say(2, r#"{"t":"join","id":6,"room":"general"}"#);
    stage.say(2, r#"{"t":"leave","id":7,"room":"general"}"#);
    stage.sync();
    stage.told(&[
        "1 {}\"action\":\"join\"{}\"user\":\"bob\"{}",
        "2 {}\"role\":\"member\"{}\"id\":6{}",
        "2 {}\"id\":7{}",
        "1 {}\"id\":5{}",
    ]);
    stage.say(1, r#"{"t":"cmd","id":8,"room":"general","d":{"name":"dance"}}"#);
    stage.told(&[r#"1 {"d":{"code":422{}/help{}"#]);
}

#[test]
fn a_signed_name_obeys_the_rules_of_names() {
    use crate::chat::token::mint;
    let secret = b"a secret of the operator";
    let mut stage =
        Stage::with(HubOptions { dev: false, token_secret: secret.to_vec(), ..options() });
    let long = "x".repeat(60_000);
    let names = [("alice", "ok"), ("wa:4477", "err"), ("a\nb", "err"), (&*long, "err")];
    for (index, (name, want)) in (1..).zip(names) {
        stage.open(index);
        let token = mint(name, secret, i64::MAX / 2_000_000);
        stage.say(index, &format!(r#"{{"t":"hello","id":1,"d":{{"token":"{token}"}}}}"#));
        let told = std::mem::take(&mut stage.log);
        assert!(told[0].contains(&format!(r#""t":"{want}""#)), "{told:#?}");
        let closed = told.last().is_some_and(|line| line.ends_with("closed 4501"));
        assert_eq!(closed, want == "err", "{told:#?}");
    }
    stage.open(9);
    stage.say(9, r#"{"t":"hello","id":1,"d":{"user":"alice"}}"#);
    let token = mint("alice", secret, 5);
    stage.say(9, &format!(r#"{{"t":"hello","id":2,"d":{{"token":"{token}"}}}}"#));
    stage.told(&[r#"9 {"d":{"code":401{}"#, r#"9 {"d":{"code":402{}"#, "9 closed 4201"]);
}

#[test]
fn edits_and_unseen_users_have_the_rate_of_the_room() {
    let mut stage = Stage::new();
    stage.enter(1, "alice", "general");
    stage.say(1, r#"{"t":"send","room":"general","d":{"cid":"1","text":"x"}}"#);
    for _ in 0..20 {
        stage.say(1, r#"{"t":"edit","id":3,"room":"general","d":{"o":1,"text":"y"}}"#);
    }
    let last = stage.log.pop().expect("an answer");
    assert!(last.contains(r#""code":429"#), "{last}");
    stage.open(2);
    stage.say(2, r#"{"t":"hello","id":1,"d":{"user":"bot","quiet":true}}"#);
    stage.say(2, r#"{"t":"join","id":2,"room":"general"}"#);
    for n in 0..21 {
        stage.say(
            2,
            &format!(r#"{{"t":"send","id":4,"room":"general","d":{{"cid":"{n}","text":"x"}}}}"#),
        );
    }
    let last = stage.log.pop().expect("an answer");
    assert!(last.contains(r#""code":429"#), "{last}");
}

#[test]
fn receipts_are_told_once_a_second_and_not_in_a_crowd() {
    let mut stage = Stage::new();
    stage.enter(1, "alice", "general");
    for n in 1..=3 {
        stage.say(1, &format!(r#"{{"t":"send","room":"general","d":{{"cid":"{n}","text":"x"}}}}"#));
    }
    stage.event(Event::Tick);
    stage.log.clear();
    stage.say(1, r#"{"t":"mark","room":"general","d":{"read":1}}"#);
    stage.event(Event::Tick);
    stage.told(&["1 {}mark{}"]);
    stage.say(1, r#"{"t":"mark","room":"general","d":{"read":2}}"#);
    stage.now_ms += 999;
    stage.event(Event::Tick);
    stage.told(&[]);
    stage.now_ms += 1;
    stage.event(Event::Tick);
    stage.told(&["1 {}mark{}"]);
    for n in 2..=202 {
        stage.enter(n, &format!("user-{n}"), "general");
    }
    stage.now_ms += 10_000;
    stage.event(Event::Tick);
    stage.log.clear();
    stage.say(1, r#"{"t":"mark","room":"general","d":{"read":3}}"#);
    stage.say(1, r#"{"t":"typing","room":"general"}"#);
    stage.now_ms += 10_000;
    stage.event(Event::Tick);
    stage.told(&[]);
    assert!(matches!(stage.records.last().map(|r| &r.fact), Some(Fact::Mark { .. })));
}

#[test]
fn memberships_and_statuses_are_promised_when_they_are_durable() {
    let mut stage = Stage::new();
    stage.enter(1, "alice", "general");
    stage.enter(2, "bob", "other");
    stage.say(2, r#"{"t":"join","id":3,"room":"general","d":{"member":true}}"#);
    stage.say(1, r#"{"t":"send","room":"general","d":{"cid":"a","text":"hi"}}"#);
    // Bob is in neither before his membership is safe: what happened meanwhile is in `o`.
    stage.told(&[r#"1 {"t":"member"{}"#, r#"1 {"t":"msg"{}"#]);
    stage.sync();
    stage.told(&[r#"2 {{}"o":2{}"role":"member"{}"id":3,"t":"ok"}"#]);
    stage.say(2, r#"{"t":"status","id":4,"d":{"state":"away"}}"#);
    stage.say(2, r#"{"t":"leave","id":5,"room":"general","d":{"member":true}}"#);
    stage.told(&[r#"1 {"t":"member"{}"action":"leave"{}"#]);
    stage.sync();
    stage.told(&[r#"2 {{}"id":4{}"t":"ok"}"#, r#"2 {{}"id":5{}"t":"ok"}"#]);
    // News of nothing waits for nothing.
    stage.say(2, r#"{"t":"join","id":6,"room":"general"}"#);
    stage.say(2, r#"{"t":"leave","id":7,"room":"general","d":{"member":true}}"#);
    stage.told(&[r#"2 {{}"role":"guest"{}"id":6{}"#, r#"2 {{}"id":7{}"t":"ok"}"#]);
    stage.say(2, r#"{"t":"join","id":8,"room":"general","d":{"member":true}}"#);
    stage.log.clear();
    stage.event(Event::LogFailed);
    stage.say(2, r#"{"t":"status","id":9,"d":{"state":"online"}}"#);
    stage.told(&[r#"2 {"d":{"code":507{}"id":8{}"#, r#"2 {"d":{"code":507{}"id":9{}"#]);
    stage.event(Event::Closed { conn: conn(1), code: 1000 });
    stage.event(Event::Closed { conn: conn(2), code: 1000 });
    stage.now_ms += 60_000;
    stage.event(Event::Tick);
    assert!(stage.hub.is_at_rest());
}

#[test]
fn the_log_hears_of_the_end_of_sessions_that_began() {
    let mut stage = Stage::with(HubOptions { sessions_per_user_max: 1, ..options() });
    for index in 1..=2 {
        stage.open(index);
        stage.say(index, r#"{"t":"hello","id":1,"d":{"user":"alice"}}"#);
    }
    stage.event(Event::Closed { conn: conn(2), code: 4_109 });
    stage.event(Event::Closed { conn: conn(1), code: 1_000 });
    let facts: Vec<_> = stage.records.iter().map(|record| &record.fact).collect();
    let [Fact::SessionStart { sid: begun, .. }, Fact::SessionEnd { sid: ended, code: 1_000 }] =
        facts.as_slice()
    else {
        panic!("{facts:?}");
    };
    assert_eq!(begun, ended);
}

#[test]
fn commands_are_logged_with_how_they_ended() {
    let mut stage = Stage::new();
    stage.enter(1, "alice", "general");
    stage.enter(2, "bob", "general");
    stage.say(1, r#"{"t":"send","room":"general","d":{"cid":"1","text":"/topic hi"}}"#);
    stage.say(2, r#"{"t":"cmd","room":"general","d":{"name":"access","text":"open"}}"#);
    stage.say(1, r#"{"t":"cmd","room":"general","d":{"name":"access","text":"sometimes"}}"#);
    stage.say(1, r#"{"t":"cmd","room":"general","d":{"name":"dance"}}"#);
    let ended = stage.records.iter().filter_map(|record| match &record.fact {
        Fact::Command { name, outcome, duration_us, .. } => Some((&**name, *outcome, *duration_us)),
        _ => None,
    });
    let want = [
        ("topic", Outcome::Ok, 0),
        ("access", Outcome::Denied, 0),
        ("access", Outcome::BadArguments, 0),
        ("dance", Outcome::Failed, 0),
    ];
    assert_eq!(ended.collect::<Vec<_>>(), want);
}

#[test]
fn an_erased_user_is_gone_from_memory_and_may_come_back_as_somebody_new() {
    let mut stage = Stage::new();
    stage.enter(1, "alice", "general");
    stage.enter(2, "bob", "general");
    let send = |cid: &str, text: &str| {
        format!(r#"{{"t":"send","room":"general","d":{{"cid":"{cid}","text":"{text}"}}}}"#)
    };
    stage.say(1, &send("a", "secret words"));
    stage.say(2, &send("b", "kept words"));
    stage.say(1, r#"{"t":"edit","room":"general","d":{"o":1,"text":"secret edit"}}"#);
    stage.say(1, r#"{"t":"cmd","room":"general","d":{"name":"topic","text":"secret topic"}}"#);
    stage.say(1, r#"{"t":"mark","room":"general","d":{"recv":2,"read":2}}"#);
    stage.sync();
    stage.log.clear();
    let (user, alias) = ("alice".into(), "erased-1".into());
    let what = Forget::User { user, alias, contact: None };
    let mut effects = Vec::new();
    assert_eq!(stage.hub.forget(&what, &mut effects), Forgetting::Sessions);
    let [Effect::Close { conn: ended, reason }] = effects[..] else { panic!("{effects:?}") };
    assert_eq!((ended, reason), (conn(1), CloseReason::Erased));
    stage.event(Event::Closed { conn: conn(1), code: reason.code() });
    // Until it is over nobody comes in by that name.
    stage.open(3);
    stage.say(3, r#"{"t":"hello","id":1,"d":{"user":"alice"}}"#);
    stage.told(&["3 closed 4411"]);
    stage.event(Event::Closed { conn: conn(3), code: 4411 });
    while stage.hub.forget(&what, &mut effects) != Forgetting::Done {}
    let room = stage.hub.room("general").expect("it is there");
    let seen = format!("{:?}", (&room.tail, &room.members, &room.marks, &room.cids, &room.topic));
    for gone in ["alice", "secret"] {
        assert!(!seen.contains(gone), "{gone} in {seen}");
    }
    assert!(seen.contains("kept words") && seen.contains("erased-1"), "{seen}");
    stage.hub.forgotten();
    stage.enter(4, "alice", "general");
    stage.say(4, r#"{"t":"history","id":9,"room":"general","d":{}}"#);
    stage.told(&[r#"4 {{}"from":"erased-1"{}"deleted":true{}kept words{}"#]);
}

#[test]
fn old_texts_and_single_messages_are_forgotten_alone() {
    let mut stage = Stage::new();
    stage.enter(1, "alice", "support/a");
    for text in ["first", "second", "third"] {
        let d = format!(r#"{{"cid":"{text}","text":"{text}"}}"#);
        stage.say(1, &format!(r#"{{"t":"send","room":"support/a","d":{d}}}"#));
        stage.now_ms += 1_000;
    }
    let mut effects = Vec::new();
    let room: Name = "support/a".into();
    stage.hub.forget(&Forget::Message { room: room.clone(), o: Offset(2) }, &mut effects);
    let texts = |stage: &Stage| format!("{:?}", stage.hub.room("support/a").unwrap().tail);
    assert!(!texts(&stage).contains("second") && texts(&stage).contains("first"));
    let rules = vec![("sales".into(), i64::MAX), ("support/*".into(), 1_795_000_001_500)];
    stage.hub.forget(&Forget::Aged { rules }, &mut effects);
    assert!(!texts(&stage).contains("first") && texts(&stage).contains("third"));
    stage.hub.forget(&Forget::Room { room, renamed: false }, &mut effects);
    assert!(!texts(&stage).contains("third") && effects.is_empty());
}

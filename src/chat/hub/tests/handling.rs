//! What handlers do in rooms: each test names the handlers, plays, and reads the log.

use super::*;
use crate::chat::api::ApiRequest;
use crate::chat::event::PlatformNews;
use crate::registry::Kind;

const ROOM: &str = "wa:1102:GB.7";
const MINUTE_MS: u64 = 60_000;

/// A stage with these handlers: (name, definition).
fn stage(rules: &[(&str, &str)]) -> Stage {
    let read = |text: &str, content: Option<&str>| {
        let text = content.map_or(text, |_| "[rich]").into();
        Ok(crate::chat::event::Letter { text, needs_window: true })
    };
    let platform = Platform { numbers: vec!["1102".into()], read };
    let mut stage = Stage::with(HubOptions { platform, ..options() });
    for (name, body) in rules {
        stage.rule(name, body);
    }
    stage.records.clear();
    stage
}

impl Stage {
    fn rule(&mut self, name: &str, body: &str) {
        let (kind, name, body) = (Kind::Handler, name.into(), body.into());
        let request = ApiRequest::Define { kind, name, body, dry_run: false };
        self.event(Event::Api { conn: conn(99), user: "boss".into(), request });
        self.sync();
        let answer = self.log.pop().unwrap_or_default();
        assert!(answer.contains(r#""t":"ok""#), "{answer}");
    }

    fn customer(&mut self, text: &str) {
        self.customer_sends(text, None);
    }

    fn customer_sends(&mut self, text: &str, content: Option<&str>) {
        let external = format!("w{}", self.records.len());
        let item = item(&external, message(text, content, None));
        self.event(Event::Inbound { ticket: 1, item });
        self.sync();
    }

    fn learns(&mut self, number: &str, field: &str, print: u128) {
        let json = r#"{"event":"BAN"}"#.into();
        let (number, field) = (number.into(), field.into());
        let news = Box::new(PlatformNews { print, number, field, json });
        self.event(Event::Platform { news });
    }

    fn passes(&mut self, minutes: u64) {
        self.now_ms += minutes * MINUTE_MS;
        self.event(Event::Tick);
        self.sync();
    }

    /// The same log in a server that has just started.
    fn killed(&self) -> Self {
        let mut next = stage(&[]);
        (next.now_ms, next.records) = (self.now_ms, self.records.clone());
        for record in &next.records {
            next.hub.restore(record.clone());
        }
        next.hub.begin_outgoing();
        next
    }

    /// What the log has got since `from`: what was said by whom, and what changed.
    fn story(&self, from: usize) -> Vec<String> {
        let told = self.records[from..].iter().filter_map(|record| {
            let Record { user, room, fact, .. } = record;
            let place = if &**room == ROOM { "" } else { &format!(" in {room}") };
            Some(match fact {
                Fact::Message { text, reply, direction, extra, .. } => {
                    let about = reply.map_or(String::new(), |o| format!(" about {}", o.0));
                    let note = if direction.name() == "internal" { " notes" } else { ":" };
                    let content = match extra.contains(r#""content""#) {
                        true => format!(" {extra}"),
                        false => String::new(),
                    };
                    format!("{user}{note} {text}{about}{place}{content}")
                }
                Fact::Conversation { change: ConversationChange::Step(step), .. } => {
                    let step = if step.is_empty() { "nothing" } else { "an answer" };
                    format!("waits for {step}")
                }
                Fact::Conversation { change, o: Some(_) } => {
                    format!("{user} sets {:?}", change.value())
                }
                Fact::Command { name, args, outcome, .. } => {
                    format!("{user} /{name} {args} {outcome:?}")
                }
                _ => return None,
            })
        });
        told.collect()
    }

    fn errors(&self) -> Vec<String> {
        let counts = self.hub.handler_counts();
        let failed = counts.filter(|(_, counts)| counts.failed > 0);
        failed.map(|(name, counts)| format!("{name}: {}", counts.last_error)).collect()
    }
}

/// Plays on a stage with these handlers, and compares what the log got.
#[track_caller]
fn check(rules: &[(&str, &str)], play: impl Fn(&mut Stage), want: &[&str]) {
    let mut stage = stage(rules);
    play(&mut stage);
    assert_eq!(stage.story(0), want);
    assert_eq!(stage.errors(), [""; 0]);
}

#[test]
fn a_handler_answers_behind_what_it_answers() {
    let greet = r#"{"when": {"first_contact": true},
        "do": [{"reply": "Welcome {{name}}", "quote": true}, {"tag": "new"}, {"read": true}]}"#;
    let play = |stage: &mut Stage| {
        stage.customer("hello");
        stage.customer("anybody there?");
    };
    check(
        &[("greet", greet)],
        play,
        &[
            "wa:GB.7: hello",
            "handler:greet: Welcome Ines about 1",
            r#"handler:greet sets "new""#,
            "wa:GB.7: anybody there?",
        ],
    );
    let mut stage = stage(&[("greet", greet)]);
    stage.customer("hello");
    let orders: Vec<_> = stage.orders.iter().map(|order| format!("{order:?}")).collect();
    let order = |what: &str| orders.iter().position(|order| order.contains(what));
    assert!(order("Welcome Ines").is_some() && order("Signal").is_some(), "{orders:?}");
    // A machine's answer is none: the contact still waits for a person.
    assert!(stage.hub.rooms[ROOM].conversation.as_ref().unwrap().waiting_ms.is_some());
}

#[test]
fn a_handler_sees_the_state_behind_the_event_and_others_do_not_react_to_it() {
    let sort = r#"{"when": {"text": {"keyword": "refund"}}, "priority": 9,
        "do": [{"tag": "money"}, {"assign": "carol"}, {"note": "Look at {{text}}"}]}"#;
    let tell = r#"{"when": {"event": "assigned", "tag": "money", "from": "handler"},
        "do": {"post": "{{name}} wants money, {{assignee}}", "to": "ops"}}"#;
    let parrot = r#"{"when": {"text": {"keyword": "money"}}, "do": {"reply": "no"}}"#;
    check(
        &[("sort", sort), ("tell", tell), ("parrot", parrot)],
        |stage| stage.customer("a refund"),
        &[
            "wa:GB.7: a refund",
            r#"handler:sort sets "money""#,
            r#"handler:sort sets "carol""#,
            "handler:sort notes Look at a refund",
            "handler:tell: handler:sort wants money, carol in ops",
        ],
    );
}

#[test]
fn what_was_tapped_chooses_and_contents_go_out() {
    let menu = r#"{"when": {"text": {"keyword": "menu"}}, "do": {"reply": {"type": "buttons",
        "text": "What now?", "buttons": [{"id": "hours", "title": "Hours"}]}}}"#;
    let hours = r#"{"when": {"choice": "hours"}, "do": {"reply": "9 to 5"}}"#;
    let play = |stage: &mut Stage| {
        stage.customer("Menu!");
        let content = r#"{"type":"button_reply","id":"hours","title":"Hours"}"#;
        stage.customer_sends("Hours", Some(content));
    };
    check(
        &[("menu", menu), ("hours", hours)],
        play,
        &[
            "wa:GB.7: Menu!",
            concat!(
                r#"handler:menu: [rich] {"content":{"buttons":[{"id":"hours","title":"Hours"}],"#,
                r#""text":"What now?","type":"buttons"}}"#
            ),
            r#"wa:GB.7: Hours {"content":{"type":"button_reply","id":"hours","title":"Hours"}}"#,
            "handler:hours: 9 to 5",
        ],
    );
}

const ORDER: &str = r#"{"when": {"text": {"keyword": "order"}}, "do": {"ask": "Which number?",
    "as": "no", "expect": {"regex": "[0-9]+"}, "again": "Digits, please", "tries": 2,
    "timeout_min": 30, "then": [{"reply": "Looking for {{answers.no}}"}, {"tag": "order"}],
    "else": {"note": "no number"}}}"#;

#[test]
fn a_question_waits_across_a_restart() {
    let mut stage = stage(&[]);
    stage.rule("order", ORDER);
    let begin = stage.records.len();
    stage.customer("my order");
    let mut stage = stage.killed();
    stage.customer("what?");
    let mut stage = stage.killed();
    stage.customer("number 17");
    stage.customer("thanks");
    let want = [
        "wa:GB.7: my order",
        "handler:order: Which number?",
        "waits for an answer",
        "wa:GB.7: what?",
        "handler:order: Digits, please",
        "waits for an answer",
        "wa:GB.7: number 17",
        "waits for nothing",
        "handler:order: Looking for number 17",
        r#"handler:order sets "order""#,
        "wa:GB.7: thanks",
    ];
    assert_eq!(stage.story(begin), want);
}

#[test]
fn a_question_that_nobody_answers_ends_in_time_also_when_that_passes_during_a_stop() {
    for stops in [false, true] {
        let mut stage = stage(&[]);
        stage.rule("order", ORDER);
        let begin = stage.records.len();
        stage.customer("my order");
        stage.passes(29);
        assert_eq!(stage.story(begin).len(), 3);
        if stops {
            stage = stage.killed();
        }
        stage.passes(2);
        stage.passes(60);
        let want = ["waits for nothing", "handler:order notes no number"];
        assert_eq!(stage.story(begin)[3..], want, "with a stop: {stops}");
    }
}

#[test]
fn a_question_behind_a_question_has_its_own_time() {
    let ask = r#"{"when": {"text": {"keyword": "order"}}, "do": {"ask": "Which?", "as": "a",
        "timeout_min": 30, "then": {"reply": "ok"}, "else": {"ask": "Still there?", "as": "b",
        "timeout_min": 30, "then": {"reply": "good"}, "else": {"note": "gone"}}}}"#;
    let mut stage = stage(&[("ask", ask)]);
    stage.customer("order");
    stage.passes(31);
    let want = ["waits for nothing", "handler:ask: Still there?", "waits for an answer"];
    assert_eq!(stage.story(0)[3..], want);
    stage.passes(15);
    assert_eq!(stage.story(0).len(), 6);
    stage.passes(16);
    assert_eq!(stage.story(0)[6..], ["waits for nothing", "handler:ask notes gone"]);
    assert_eq!(stage.errors(), [""; 0]);
}

#[test]
fn nobody_waits_for_the_answer_to_what_could_not_be_asked() {
    let ask = r#"{"when": {"unanswered_min": 1500}, "do": [{"tag": "late"},
        {"ask": "Still there?", "as": "a", "then": {"reply": "good"}}]}"#;
    let mut stage = stage(&[("ask", ask)]);
    stage.customer("hello");
    stage.passes(1_501);
    assert_eq!(stage.story(0), ["wa:GB.7: hello", r#"handler:ask sets "late""#]);
    assert!(stage.errors()[0].contains("24 hours"), "{:?}", stage.errors());
}

#[test]
fn a_contact_who_waits_is_noticed_once() {
    let late = r#"{"when": {"unanswered_min": 15}, "do": [{"tag": "late"},
        {"note": "waits for {{unanswered_min}} minutes"}]}"#;
    let mut stage = stage(&[]);
    stage.rule("late", late);
    let begin = stage.records.len();
    stage.customer("hello");
    stage.passes(14);
    assert_eq!(stage.story(begin).len(), 1);
    stage.passes(2);
    let want = [r#"handler:late sets "late""#, "handler:late notes waits for 16 minutes"];
    assert_eq!(stage.story(begin)[1..], want);
    stage.passes(60);
    let mut stage = stage.killed();
    stage.passes(60);
    assert_eq!(stage.story(begin).len(), 3, "noticed already");
    // Answered, and waiting again: noticed again, also when a stop was in between.
    stage.enter(1, "alice", ROOM);
    stage.say(1, &format!(r#"{{"t":"send","room":"{ROOM}","d":{{"cid":"a","text":"sorry"}}}}"#));
    stage.sync();
    stage.passes(60);
    stage.customer("still here");
    let mut stage = stage.killed();
    stage.passes(20);
    let want = ["alice: sorry", "wa:GB.7: still here", "handler:late notes waits for 20 minutes"];
    assert_eq!(stage.story(begin)[3..], want);
}

#[test]
fn a_definition_that_comes_while_somebody_waits_holds_for_them() {
    let late = |minutes: u64| {
        format!(r#"{{"when": {{"unanswered_min": {minutes}}}, "do": {{"tag": "{minutes}"}}}}"#)
    };
    let mut stage = stage(&[]);
    stage.customer("hello");
    stage.passes(10);
    stage.rule("a", &late(15));
    stage.rule("b", &late(30));
    for _ in 0..40 {
        stage.passes(1);
    }
    let want = ["wa:GB.7: hello", r#"handler:a sets "15""#, r#"handler:b sets "30""#];
    assert_eq!(stage.story(0), want);
    stage.rule("b", "");
    assert_eq!(stage.hub.handler_counts().map(|(name, _)| name).collect::<Vec<_>>(), ["a"]);
}

const CALL: &str = r#"{"when": {"command": "stock"}, "do": {"call": "https://shop.example/stock",
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "body": {"sku": "{{arg.1}}"},
    "timeout_s": 3, "then": {"reply": "{{reply.count}} left"},
    "else": {"note": "{{call.error}}"}}}"#;

#[test]
fn a_call_is_signed_and_its_answer_used() {
    let mut stage = stage(&[("stock", CALL)]);
    stage.customer("/stock a-7");
    let (ticket, call) = stage.fetches.pop().expect("a call");
    assert!(call.starts_with("https://shop.example/stock {\"sku\":\"a-7\"} webhook-id call_1_0_1"));
    assert!(call.contains("webhook-signature v1,"), "{call}");
    let result = Ok((200, br#"{"count": 3}"#.to_vec()));
    stage.event(Event::Fetched { ticket, result });
    stage.event(Event::Fetched { ticket, result: Ok((200, Vec::new())) });
    let want = ["wa:GB.7: /stock a-7", "handler:stock: 3 left"];
    assert_eq!(stage.story(0), want);
    assert_eq!(stage.errors(), [""; 0]);
}

#[test]
fn a_call_that_is_not_answered_is_given_up_and_counted() {
    let mut stage = stage(&[("stock", CALL)]);
    stage.customer("/stock a-7");
    stage.now_ms += 4_000;
    stage.event(Event::Tick);
    let want = ["wa:GB.7: /stock a-7", "handler:stock notes there was no answer in time"];
    assert_eq!(stage.story(0), want);
    let why = "stock: https://shop.example/stock: there was no answer in time";
    assert_eq!(stage.errors(), [why]);
    let (ticket, _) = stage.fetches.pop().expect("a call");
    stage.event(Event::Fetched { ticket, result: Ok((200, Vec::new())) });
    assert_eq!(stage.story(0).len(), 2, "too late");
}

#[test]
fn handlers_that_answer_each_other_come_to_an_end() {
    let ping = r#"{"when": {"text": {"keyword": "ping"}, "from": ["person", "handler"]},
        "do": {"reply": "pong"}}"#;
    let pong = r#"{"when": {"text": {"keyword": "pong"}, "from": "handler"},
        "do": {"reply": "ping"}}"#;
    let mut stage = stage(&[("ping", ping), ("pong", pong)]);
    stage.enter(1, "bob", "games");
    stage.say(1, r#"{"t":"send","room":"games","d":{"cid":"a","text":"ping"}}"#);
    assert_eq!(stage.story(0).len(), 2 + usize::from(crate::base::limits::HANDLER_CHAIN_MAX));
}

#[test]
fn commands_and_what_cannot_be_done() {
    let run = r#"{"when": {"text": {"equals": "party"}}, "do": [
        {"command": "topic", "args": "{{sender}}"}, {"command": "nonsense"}, {"tag": "x"}]}"#;
    let mut stage = stage(&[("run", run)]);
    stage.enter(1, "bob", "games");
    stage.say(1, r#"{"t":"send","room":"games","d":{"cid":"a","text":"party"}}"#);
    let want =
        ["bob: party in games", "handler:run /topic bob Ok", "handler:run /nonsense  Failed"];
    assert_eq!(stage.story(0), want);
    let why = "run: tag in games: conv: this room is no conversation with a contact";
    assert_eq!(stage.errors(), [why]);
}

#[test]
fn a_message_that_may_not_be_sent_is_counted_and_the_rest_is_done() {
    let late = r#"{"when": {"unanswered_min": 1500}, "do": [{"reply": "Sorry"}, {"tag": "x"}]}"#;
    let mut stage = stage(&[("late", late)]);
    stage.customer("hello");
    stage.passes(1501);
    assert_eq!(stage.story(0), ["wa:GB.7: hello", r#"handler:late sets "x""#]);
    assert!(stage.errors()[0].contains("24 hours"), "{:?}", stage.errors());
}

#[test]
fn agents_have_commands_for_conversations() {
    let mut stage = stage(&[]);
    stage.enter(1, "alice", ROOM);
    for line in ["note call back", "assign", "tag vip", "untag vip", "close", "reopen", "tag"] {
        let (name, text) = line.split_once(' ').unwrap_or((line, ""));
        let d = format!(r#"{{"name":"{name}","text":"{text}"}}"#);
        stage.say(1, &format!(r#"{{"t":"cmd","id":9,"room":"{ROOM}","d":{d}}}"#));
    }
    stage.say(1, &format!(r#"{{"t":"cmd","room":"{ROOM}","d":{{"name":"unassign"}}}}"#));
    let want = [
        "alice notes call back",
        "alice /note call back Ok",
        r#"alice sets "alice""#,
        "alice /assign  Ok",
        r#"alice sets "vip""#,
        "alice /tag vip Ok",
        r#"alice sets "vip""#,
        "alice /untag vip Ok",
        r#"alice sets "resolved""#,
        "alice /close  Ok",
        r#"alice sets "open""#,
        "alice /reopen  Ok",
        "alice /tag  BadArguments",
        r#"alice sets """#,
        "alice /unassign  Ok",
    ];
    assert_eq!(stage.story(0), want);
}

#[test]
fn news_of_the_platform_belong_into_no_room_and_can_be_told_elsewhere() {
    let tell = r#"{"when": {"event": "platform", "type": "account_update", "number": "1102"},
        "do": [{"post": "Meta says {{text}}", "to": "ops"}, {"note": "nowhere"}]}"#;
    let mut stage = stage(&[("tell", tell)]);
    for (number, field) in [("1102", "account_update"), ("1103", "account_update"), ("1102", "x")] {
        stage.learns(number, field, 1);
    }
    assert_eq!(stage.story(0), [r#"handler:tell: Meta says {"event":"BAN"} in ops"#]);
    assert_eq!(stage.errors(), ["tell: note in : it happened in no room"]);
}

#[test]
fn news_of_the_platform_that_come_again_are_no_news() {
    let tell = r#"{"when": {"event": "platform"}, "do": {"post": "{{text}}", "to": "ops"}}"#;
    let mut stage = stage(&[("tell", tell)]);
    for (print, in_all) in [(1, 1), (1, 1), (2, 2), (1, 2), (2, 2)] {
        stage.learns("1102", "account_update", print);
        assert_eq!(stage.story(0).len(), in_all, "{print}");
    }
}

#[test]
fn people_who_come_and_go_are_noticed_once() {
    let hello =
        r#"{"when": {"event": ["joined", "left"]}, "do": {"reply": "{{event}} {{sender}}"}}"#;
    let mut stage = stage(&[("hello", hello)]);
    stage.enter(1, "bob", "games");
    stage.enter(2, "bob", "games");
    stage.say(1, r#"{"t":"leave","room":"games"}"#);
    stage.say(2, r#"{"t":"leave","room":"games"}"#);
    let want = ["handler:hello: joined bob in games", "handler:hello: left bob in games"];
    assert_eq!(stage.story(0), want);
}

//! Messages to contacts: what may be sent, and what the log says at each step.

use super::*;
use crate::chat::event::{Letter, Sent};

const ROOM: &str = "wa:1102:GB.7";
const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// Texts go within the window, and anything that says "template" goes always.
fn platform() -> Platform {
    let read = |text: &str, content: Option<&str>| match content {
        None => Ok(Letter { text: text.into(), needs_window: true }),
        Some(json) if json.contains("refuse") => Err("`type` is refused".into()),
        Some(json) => {
            Ok(Letter { text: "[rich]".into(), needs_window: !json.contains("template") })
        }
    };
    Platform { numbers: vec!["1102".into()], read }
}

fn stage() -> Stage {
    let mut stage = Stage::with(HubOptions { platform: platform(), ..options() });
    stage.enter(1, "alice", ROOM);
    stage
}

impl Stage {
    fn hears(&mut self, external: &str) {
        let item = item(external, message("hi", None, None));
        self.event(Event::Inbound { ticket: 1, item });
        self.sync();
        self.log.clear();
        self.orders.clear();
    }

    fn is_told(&mut self, status: &str, external: &str, of: u64, error: u32) {
        let (of, extra) = (Some(Offset(of)), "".into());
        let body = InboundBody::Status { of, status: status.into(), error, extra };
        let (room, user) = (ROOM.into(), "wa:GB.7".into());
        let item =
            Inbound { room, user, ids: ContactIds::default(), external: external.into(), body };
        self.event(Event::Inbound { ticket: 2, item });
        self.sync();
    }

    fn sends(&mut self, cid: &str, d: &str) {
        let text = format!(r#"{{"t":"send","id":9,"room":"{ROOM}","d":{{"cid":"{cid}",{d}}}}}"#);
        self.say(1, &text);
    }

    fn calling(&mut self, o: u64, flight: u64) {
        let (room, o) = (ROOM.into(), Offset(o));
        self.event(Event::Outbox { event: OutboxEvent::Calling { room, o, flight } });
    }

    fn outcome(&mut self, o: u64, sent: Sent) {
        let (room, o) = (ROOM.into(), Offset(o));
        self.event(Event::Outbox { event: OutboxEvent::Outcome { room, o, sent } });
    }

    /// What the outbox was told since the last call, in short.
    #[track_caller]
    fn ordered(&mut self, want: &[&str]) {
        let got: Vec<_> = std::mem::take(&mut self.orders)
            .into_iter()
            .map(|order| match order {
                OutboxOrder::Send { o, text, content, about, .. } => {
                    format!("send {} {text} {content:?} {about:?}", o.0)
                }
                OutboxOrder::Go { flight } => format!("go {flight}"),
                OutboxOrder::Later(_) => "later".to_owned(),
                OutboxOrder::Lost { o, .. } => format!("lost {}", o.0),
                OutboxOrder::Heard { .. } => "heard".to_owned(),
                OutboxOrder::Told { o, external, error, .. } => {
                    format!("told {} {external} {error:?}", o.0)
                }
                OutboxOrder::Signal { read, typing, .. } => format!("signal {read} {typing}"),
            })
            .collect();
        assert_eq!(got, want);
    }

    /// The same records in a hub that has just started.
    fn restarted(&mut self) {
        let mut hub = Hub::new(
            HubOptions { platform: platform(), ..options() },
            Now { wall_us: 1_000_000, mono_us: 0 },
        );
        hub.begin_epoch(EpochId(1));
        for record in &self.records {
            hub.restore(record.clone());
        }
        hub.begin_outgoing();
        self.hub = hub;
        self.appends = 0;
        self.orders.clear();
    }
}

#[test]
fn a_message_is_in_the_log_before_it_leaves_and_its_call_before_it_is_made() {
    let mut stage = stage();
    stage.hears("wamid.in");
    stage.sends("a", r#""text":"Yes, it is","reply":1"#);
    stage.told(&[
        r#"1 {"t":"msg",{}"o":2,{}"text":"Yes, it is","reply":1,"src":"ws","dir":"out"}}"#,
    ]);
    stage.ordered(&[]);
    stage.sync();
    stage.told(&[r#"1 {"t":"ok","id":9{}"#]);
    stage.ordered(&[r#"send 2 Yes, it is None Some("wamid.in")"#]);
    stage.calling(2, 77);
    stage.ordered(&[]);
    stage.sync();
    stage.ordered(&["go 77"]);
    stage.outcome(2, Sent::Accepted { external: "wamid.out".into() });
    stage.told(&[r#"1 {"d":{"ext":"wamid.out","of":2,"status":"accepted","user":"wa:GB.7"}{}"#]);
    // Reports in any order, and each twice: what was known stays known.
    stage.is_told("read", "wamid.out", 2, 0);
    stage.is_told("delivered", "wamid.out", 2, 0);
    stage.is_told("read", "wamid.out", 2, 0);
    stage.told(&[
        r#"1 {"d":{"ext":"wamid.out","of":2,"status":"read"{}"#,
        "webhook 2 true",
        "webhook 2 true",
        "webhook 2 true",
    ]);
    stage.ordered(&["told 2 wamid.out None", "told 2 wamid.out None"]);
    stage.say(1, &format!(r#"{{"t":"history","id":3,"room":"{ROOM}"}}"#));
    stage.told(&[r#"1 {"t":"ok","id":3{}"dir":"out","ext":"wamid.out","status":"read"}}{}"#]);
    let word = |record: &Record| match &record.fact {
        Fact::Delivery { status, .. } => Some(status.to_string()),
        _ => None,
    };
    let words: Vec<_> = stage.records.iter().filter_map(word).collect();
    assert_eq!(words, ["calling", "accepted", "read", "delivered"]);
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let mut stage = stage();
    stage.sends("a", r#""text":"hello""#);
    stage.told(&[r#"1 {"d":{"code":470{}template{}"#]);
    stage.sends("b", r#""content":{"type":"template"}"#);
    stage.told(&[
        r#"1 {"t":"msg",{}"text":"[rich]","src":"ws","dir":"out","content":{"type":"template"}}}"#,
    ]);
    stage.hears("wamid.in");
    stage.sends("c", r#""content":{"type":"refuse"}"#);
    stage.told(&[r#"1 {"d":{"code":400{}`type` is refused{}"#]);
    stage.sends("d", r#""text":"x","content":{"type":"list"}"#);
    stage.told(&[r#"1 {"d":{"code":400{}`text` or `content`{}"#]);
    stage.hub.set_outbox_has_room(false);
    stage.sends("e", r#""text":"x""#);
    stage.told(&[r#"1 {"d":{"after_ms":60000,"code":503{}"#]);
    stage.hub.set_outbox_has_room(true);
    stage.now_ms += DAY_MS;
    stage.sends("f", r#""text":"late""#);
    stage.told(&[r#"1 {"d":{"code":470{}"#]);
    stage.ordered(&[]);
}

#[test]
fn notes_and_other_numbers_stay_here() {
    let mut stage = stage();
    stage.hears("wamid.in");
    stage.sends("a", r#""text":"she is angry","note":true"#);
    stage.sync();
    stage.told(&[r#"1 {"t":"msg",{}"src":"ws","dir":"internal"}}"#, r#"1 {"t":"ok"{}"#]);
    stage.ordered(&[]);
    stage.open(2);
    stage.say(2, r#"{"t":"hello","id":1,"d":{"user":"bob"}}"#);
    stage.say(2, r#"{"t":"join","id":2,"room":"wa:1103:GB.7"}"#);
    stage.say(2, r#"{"t":"send","id":3,"room":"wa:1103:GB.7","d":{"cid":"a","text":"x"}}"#);
    stage.say(2, r#"{"t":"join","id":4,"room":"general"}"#);
    let note = r#"{"t":"send","id":5,"room":"general","d":{"cid":"a","text":"x","note":true}}"#;
    stage.say(2, note);
    stage.sync();
    let told = stage.log.join("\n");
    assert!(told.contains(r#""code":471"#) && told.contains("whatsapp.numbers"), "{told}");
    assert!(told.contains(r#""msg":"send: `content` and `note` belong"#), "{told}");
}

#[test]
fn a_failure_stands_in_the_room() {
    let mut stage = stage();
    stage.hears("wamid.in");
    stage.sends("a", r#""text":"x""#);
    stage.sync();
    stage.log.clear();
    stage.outcome(2, Sent::Failed { error: 131_026, why: "cannot be delivered".into() });
    stage.told(&[
        r#"1 {"d":{"error":131026,"of":2,"status":"failed"{}"#,
        r#"1 {"t":"msg",{}"o":3{}Not delivered: cannot be delivered{}"reply":2,"src":"system"{}"#,
    ]);
    // The platform changed its mind, which it does: a late failure of what it had accepted.
    stage.sends("b", r#""text":"y""#);
    stage.sync();
    stage.outcome(4, Sent::Accepted { external: "wamid.4".into() });
    stage.log.clear();
    stage.is_told("failed", "wamid.4", 4, 131_049);
    stage.told(&[
        r#"1 {"d":{"error":131049,"ext":"wamid.4","of":4,"status":"failed"{}"#,
        r#"1 {"t":"msg",{}(131049){}"#,
        "webhook 2 true",
    ]);
}

#[test]
fn a_restart_sends_what_was_not_called_and_nothing_twice() {
    let mut stage = stage();
    stage.hears("wamid.in");
    for cid in ["a", "b", "c"] {
        stage.sends(cid, &format!(r#""text":"{cid}""#));
    }
    stage.sync();
    stage.calling(2, 1);
    stage.calling(3, 2);
    stage.sync();
    stage.outcome(2, Sent::Accepted { external: "wamid.2".into() });
    stage.restarted();
    stage.event(Event::Tick);
    stage.ordered(&["lost 3", "send 4 c None None"]);
    // It says so once more, until there is an outcome.
    stage.outcome(3, Sent::Unknown);
    stage.restarted();
    stage.event(Event::Tick);
    stage.ordered(&["send 4 c None None"]);
    // Called in vain is not called.
    stage.calling(4, 3);
    let (room, o) = (ROOM.into(), Offset(4));
    stage.event(Event::Outbox { event: OutboxEvent::Waits { room, o } });
    stage.restarted();
    stage.event(Event::Tick);
    stage.ordered(&["send 4 c None None"]);
}

#[test]
fn nothing_overtakes_what_waited_before_the_start() {
    let mut stage = stage();
    stage.hears("wamid.in");
    stage.sends("a", r#""text":"first""#);
    stage.sync();
    stage.restarted();
    stage.attached.clear();
    stage.enter(1, "alice", ROOM);
    stage.sends("b", r#""text":"second""#);
    stage.sync();
    stage.ordered(&[]);
    stage.event(Event::Tick);
    stage.ordered(&["send 2 first None None", "send 3 second None None"]);
}

#[test]
fn what_is_erased_before_it_left_does_not_leave() {
    let mut stage = stage();
    stage.hears("wamid.in");
    stage.sends("a", r#""text":"secret""#);
    let message = Forget::Message { room: ROOM.into(), o: Offset(2) };
    assert_eq!(stage.hub.forget(&message, &mut Vec::new()), Forgetting::Done);
    stage.sync();
    stage.ordered(&[]);
}

#[test]
fn a_log_that_takes_nothing_delays_and_loses_nothing() {
    let mut stage = stage();
    stage.hears("wamid.in");
    stage.sends("a", r#""text":"x""#);
    stage.sync();
    stage.orders.clear();
    stage.calling(2, 1);
    stage.event(Event::LogFailed);
    stage.ordered(&["later"]);
    stage.outcome(2, Sent::Unknown);
    stage.ordered(&["later"]);
    stage.hub.log_recovered();
    stage.calling(2, 1);
    stage.sync();
    stage.ordered(&["go 1"]);
}

#[test]
fn the_contact_sees_what_is_read_and_that_somebody_types() {
    let mut stage = stage();
    stage.hears("wamid.1");
    stage.hears("wamid.2");
    let mark = |read: u64| {
        format!(r#"{{"t":"mark","room":"{ROOM}","d":{{"recv":{read},"read":{read}}}}}"#)
    };
    stage.say(1, &mark(1));
    stage.ordered(&[]);
    stage.say(1, &mark(2));
    stage.say(1, &mark(2));
    stage.ordered(&["signal wamid.2 false"]);
    stage.say(1, &format!(r#"{{"t":"typing","room":"{ROOM}"}}"#));
    stage.ordered(&["signal wamid.2 true"]);
}

#[test]
fn a_report_that_was_overtaken_is_no_news_however_old_the_message() {
    let mut stage = stage();
    stage.hears("wamid.in");
    stage.sends("a", r#""text":"noon?""#);
    stage.sync();
    stage.outcome(2, Sent::Accepted { external: "wamid.out".into() });
    for n in 0..600 {
        stage.hears(&format!("wamid.{n}"));
    }
    let told = |stage: &mut Stage, status: &str| {
        stage.log.clear();
        stage.is_told(status, "wamid.out", 2, 0);
        stage.log.iter().any(|line| line.contains(r#""t":"delivery""#))
    };
    for (status, want) in [
        ("delivered", true),
        ("sent", false),
        ("read", true),
        ("delivered", false),
        ("failed", false),
    ] {
        assert_eq!(told(&mut stage, status), want, "{status}");
    }
    stage.restarted();
    assert!(!told(&mut stage, "sent"), "nor after a start");
}

#[test]
fn what_the_contact_quotes_of_ours_is_named_by_its_position() {
    let mut stage = stage();
    stage.hears("wamid.in");
    stage.sends("a", r#""text":"noon?""#);
    stage.sync();
    stage.calling(2, 1);
    stage.sync();
    stage.outcome(2, Sent::Accepted { external: "wamid.out".into() });
    // The answer to this one was lost; a report tells its name.
    stage.sends("b", r#""text":"or one?""#);
    stage.sync();
    stage.outcome(3, Sent::Unknown);
    stage.is_told("delivered", "wamid.lost", 3, 0);
    for start in 0..2 {
        for (about, o) in [("wamid.out", 2), ("wamid.lost", 3)] {
            stage.log.clear();
            let external = format!("wamid.{about}.{start}");
            let item = item(&external, message("yes", None, Some(about)));
            stage.event(Event::Inbound { ticket: 3, item });
            let mut facts = stage.records.iter().rev().map(|record| &record.fact);
            let said = facts.find(|fact| matches!(fact, Fact::Message { .. }));
            let Some(Fact::Message { reply, .. }) = said else {
                panic!("{:?}", stage.records);
            };
            assert_eq!(*reply, Some(Offset(o)), "{about}");
        }
        stage.restarted();
    }
}

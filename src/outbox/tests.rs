use super::*;

const ROOM: &str = "wa:1102:447700900123";
const SECOND: u64 = 1_000_000;

struct Stage {
    outbox: Outbox,
    now: Now,
    deeds: Vec<Deed>,
    /// How long the window of what is sent stays open.
    window_ms: i64,
}

impl Stage {
    fn new() -> Self {
        let outbox = Outbox::new(LanesOptions::default(), [("1102", 80)]);
        let now = Now { wall_us: 1_795_000_000_000_000, mono_us: SECOND };
        Self { outbox, now, deeds: Vec::new(), window_ms: 3_600_000 }
    }

    fn pass(&mut self, us: u64) {
        self.now.mono_us += us;
        self.now.wall_us += us as i64;
        self.take(Word::Tick);
    }

    fn take(&mut self, word: Word) {
        self.outbox.take(self.now, word, &mut self.deeds);
    }

    fn order(&mut self, order: OutboxOrder) {
        self.take(Word::Order(order));
    }

    fn send(&mut self, o: u64, text: &str, content: Option<&str>) {
        let (room, o, at_ms) = (ROOM.into(), Offset(o), self.now.wall_ms());
        let (text, content) = (text.into(), content.map(Into::into));
        let window_until_ms = at_ms + self.window_ms;
        self.order(OutboxOrder::Send {
            room,
            o,
            to: None,
            at_ms,
            text,
            content,
            about: None,
            window_until_ms,
        });
    }

    fn reply(&mut self, ticket: u64, result: Result<Got, Miss>) {
        self.take(Word::Reply { ticket, result });
    }

    /// What is to be done since the last call, in short; and the last flight asked about.
    #[track_caller]
    fn does(&mut self, want: &[&str]) -> u64 {
        let mut last = 0;
        let short = |deed| match deed {
            Deed::Tell(OutboxEvent::Calling { o, flight, .. }) => {
                last = flight;
                format!("calling {}", o.0)
            }
            Deed::Tell(OutboxEvent::Waits { o, .. }) => format!("waits {}", o.0),
            Deed::Tell(OutboxEvent::Outcome { o, sent, .. }) => match sent {
                Sent::Accepted { external } => format!("accepted {} {external}", o.0),
                Sent::Failed { error, why } => format!("failed {} {error}: {why}", o.0),
                Sent::Unknown => format!("unknown {}", o.0),
            },
            Deed::Call { request: Request::Message { number, body }, .. } => {
                format!("call {number} {body}")
            }
            Deed::Call { request, .. } => panic!("{request:?}"),
            Deed::Remark(words) => words,
        };
        let got: Vec<_> = std::mem::take(&mut self.deeds).into_iter().map(short).collect();
        let fits = |(got, want): (&String, &&str)| {
            let mut rest = got.as_str();
            want.split("{}").all(|part| match rest.find(part) {
                Some(at) => {
                    rest = &rest[at + part.len()..];
                    true
                }
                None => false,
            })
        };
        let same = got.len() == want.len() && got.iter().zip(want).all(fits);
        assert!(same, "got {got:#?}\nwant {want:#?}");
        last
    }

    fn go(&mut self, flight: u64) {
        self.order(OutboxOrder::Go { flight });
    }
}

fn got(status: u16, body: &str) -> Result<Got, Miss> {
    Ok(Got { status, body: body.into(), bytes: body.len() as u64, retry_after_s: None })
}

fn accepted(wamid: &str) -> Result<Got, Miss> {
    got(200, &format!(r#"{{"messages":[{{"id":"{wamid}"}}]}}"#))
}

#[test]
fn nothing_is_called_before_the_log_has_it() {
    let mut stage = Stage::new();
    stage.send(5, "hello", None);
    stage.send(6, "again", None);
    let flight = stage.does(&["calling 5"]);
    stage.go(flight);
    stage.does(&[concat!(
        r#"call 1102 {"biz_opaque_callback_data":"ringpost:5:wa:1102:447700900123",{}"#,
        r#""text":{"body":"hello"{}"to":"+447700900123","type":"text"}"#,
    )]);
    stage.go(flight);
    stage.does(&[]);
    stage.reply(flight, accepted("wamid.5"));
    stage.does(&["accepted 5 wamid.5", "calling 6"]);
    assert!(!stage.outbox.is_at_rest());
}

#[test]
fn a_status_tells_what_a_lost_answer_did_not() {
    let mut stage = Stage::new();
    stage.send(5, "hello", None);
    let flight = stage.does(&["calling 5"]);
    stage.go(flight);
    stage.deeds.clear();
    stage.reply(flight, Err(Miss::Lost("reset".into())));
    stage.does(&["unknown 5"]);
    let told = |error| OutboxOrder::Told {
        room: ROOM.into(),
        o: Offset(5),
        external: "wamid.5".into(),
        error,
    };
    stage.order(told(None));
    stage.does(&["accepted 5 wamid.5"]);
    stage.order(told(None));
    stage.does(&[]);
    // The same after a crash.
    stage.order(OutboxOrder::Lost { room: ROOM.into(), o: Offset(9) });
    stage.does(&["unknown 9"]);
}

#[test]
fn what_the_platform_or_we_refuse_is_told_in_words() {
    let check = |answer: Result<Got, Miss>, want: &[&str]| {
        let mut stage = Stage::new();
        stage.send(5, "hello", None);
        let flight = stage.does(&["calling 5"]);
        stage.go(flight);
        stage.deeds.clear();
        stage.reply(flight, answer);
        stage.does(want);
    };
    let error = |code| got(400, &format!(r#"{{"error":{{"code":{code},"message":"No."}}}}"#));
    check(
        error(131_026),
        &["failed 5 131026: it cannot be delivered to this recipient (131026: No.)"],
    );
    check(error(131_047), &["failed 5 131047: the customer has been silent{}"]);
    check(error(999_999), &["failed 5 999999: an error that is not known here (999999: No.)"]);
    check(error(190), &["waits 5", "number 1102 sends nothing: the token has expired (190: No.)"]);
    check(
        Err(Miss::Refused("no token".into())),
        &["waits 5", "number 1102 sends nothing{}no token)"],
    );
    let mut stage = Stage::new();
    stage.send(5, "", Some(r#"{"type":"buttons","text":"?","buttons":[]}"#));
    stage.does(&["failed 5 0: `buttons`{}"]);
    let room = "wa:1199:447700900123".into();
    let (o, text, window_until_ms) = (Offset(1), "x".into(), i64::MAX);
    let (content, about, at_ms) = (None, None, stage.now.wall_ms());
    let to = None;
    stage.order(OutboxOrder::Send { room, o, to, at_ms, text, content, about, window_until_ms });
    stage.does(&["failed 1 0: its number is no longer in `whatsapp.numbers`"]);
}

#[test]
fn the_window_closes_over_what_waits() {
    let mut stage = Stage::new();
    stage.window_ms = 60_000;
    stage.send(5, "hello", None);
    let flight = stage.does(&["calling 5"]);
    stage.send(6, "too late", None);
    stage.pass(61 * SECOND);
    stage.go(flight);
    stage.deeds.clear();
    stage.reply(flight, accepted("wamid.5"));
    stage.does(&["accepted 5 wamid.5", "failed 6 131047: {}send a template"]);
    // And opens when the contact writes.
    let at_ms = stage.now.wall_ms();
    stage.order(OutboxOrder::Heard { room: ROOM.into(), at_ms });
    stage.send(7, "in time", None);
    stage.does(&["calling 7"]);
}

#[test]
fn a_log_that_is_full_for_long_gives_the_call_back() {
    let mut stage = Stage::new();
    stage.send(5, "hello", None);
    let mut flight = stage.does(&["calling 5"]);
    let later = |flight| {
        let event = OutboxEvent::Calling { room: ROOM.into(), o: Offset(5), flight };
        OutboxOrder::Later(event)
    };
    for _ in 0..3 {
        stage.order(later(flight));
        stage.does(&[]);
        stage.pass(SECOND);
        flight = stage.does(&["calling 5"]);
    }
    stage.pass(60 * SECOND);
    stage.order(later(flight));
    stage.go(flight);
    stage.does(&[]);
    stage.pass(10 * SECOND);
    let second = stage.does(&["calling 5"]);
    assert_ne!(second, flight, "another attempt");
    stage.go(second);
    stage.does(&["call{}"]);
}

#[test]
fn a_stop_calls_nothing_new_and_waits_for_what_was_called() {
    let mut stage = Stage::new();
    stage.send(5, "hello", None);
    let flight = stage.does(&["calling 5"]);
    stage.take(Word::Stop);
    let other: Name = "wa:1102:447700900999".into();
    let (o, text, window_until_ms) = (Offset(1), "x".into(), i64::MAX);
    let (content, about, at_ms) = (None, None, stage.now.wall_ms());
    let (room, to) = (other, None);
    stage.order(OutboxOrder::Send { room, o, to, at_ms, text, content, about, window_until_ms });
    stage.does(&[]);
    assert!(!stage.outbox.is_at_rest());
    stage.go(flight);
    stage.does(&["call{}"]);
    stage.reply(flight, accepted("wamid.5"));
    stage.does(&["accepted 5 wamid.5"]);
    assert!(stage.outbox.is_at_rest());
}

#[test]
fn signals_are_sent_once_and_nobody_waits_for_them() {
    let mut stage = Stage::new();
    let read = "wamid.in".into();
    stage.order(OutboxOrder::Signal { room: ROOM.into(), read, typing: true });
    stage.does(&[r#"call 1102 {"message_id":"wamid.in",{}"typing_indicator":{"type":"text"}}"#]);
    stage.reply(0, Err(Miss::Lost("reset".into())));
    stage.does(&[]);
    assert!(stage.outbox.is_at_rest());
}

//! Conversations as scripts: what the server says and the person types, and what comes of it.

use super::*;
use crate::terminal::commands;

/// A session in `tea`, past its `hello`, at position 2 of epoch k1.
fn begun() -> Play {
    let mut play = Play::new();
    play.session.connected();
    play.frames("hello tea={\"last\":30}");
    play.server(
        r#"{"t":"ok","id":1,"d":{"user":"al","resume":"r1","e":"k1",
        "rooms":{"tea":{"e":"k1","o":2,"from":1,"n":2,"recovered":true}}}}"#,
    );
    play.event(1, "bob", "b1", "one");
    play.event(2, "bob", "b2", "two");
    play.notes("tea #1 bob: one Past|tea #2 bob: two Past");
    play
}

struct Play {
    session: Session,
    now_ms: u64,
}

impl Play {
    fn new() -> Self {
        let options = SessionOptions {
            user: "al".into(),
            token: None,
            cid_prefix: "c".into(),
            all_rooms: false,
        };
        Self { session: Session::new(options, "tea"), now_ms: 0 }
    }

    fn server(&mut self, frame: &str) {
        self.session.receive(frame, self.now_ms);
    }

    fn event(&mut self, o: u64, from: &str, cid: &str, text: &str) {
        self.event_in("tea", o, from, cid, text);
    }

    fn event_in(&mut self, room: &str, o: u64, from: &str, cid: &str, text: &str) {
        self.server(&event(room, o, from, cid, text));
    }

    fn types(&mut self, line: &str) {
        let input = commands::parse(line).expect("a right command").expect("not empty");
        self.session.enter(input, self.now_ms);
    }

    fn reconnect(&mut self) {
        self.session.disconnected();
        self.session.connected();
    }

    /// The frames sent since the last look, in short: verb, then what tells them apart.
    #[track_caller]
    fn frames(&mut self, want: &str) {
        let frames = self.session.take_frames();
        let short = frames.iter().map(|frame| {
            let frame: Value = serde_json::from_str(frame).expect("we send JSON");
            let d = &frame["d"];
            match frame["t"].as_str().expect("a verb") {
                "hello" => {
                    let rooms = d["rooms"].as_object().expect("named");
                    let rooms = rooms.iter().map(|(name, d)| format!(" {name}={d}"));
                    format!("hello{}", rooms.collect::<String>())
                }
                "send" => format!("send {} {} {}", frame["id"], d["cid"], d["text"]),
                verb => format!("{verb} {d}"),
            }
        });
        assert_eq!(short.collect::<Vec<_>>().join("|"), want);
    }

    /// The notes since the last look, in short.
    #[track_caller]
    fn notes(&mut self, want: &str) {
        let notes = self.session.take_notes();
        let short = notes.into_iter().map(|note| match note {
            Note::Message { room, message: Message { o, from, text, reply, .. }, progress } => {
                let reply = reply.map(|(o, quoted)| format!(" re #{o} {quoted:?}"));
                format!("{room} #{o} {from}: {text}{} {progress:?}", reply.unwrap_or_default())
            }
            Note::Kept { o, .. } => format!("kept #{o}"),
            Note::Waiting { text, .. } => format!("waiting {text}"),
            Note::Changed { of, before, text, .. } => format!("changed #{of} {before:?} {text:?}"),
            Note::Aside { text, .. } => format!("aside {text}"),
            Note::RolledBack { to, .. } => format!("back to {to}"),
            Note::Info(text) => format!("info {text}"),
            Note::Error(text) => format!("error {text}"),
        });
        assert_eq!(short.collect::<Vec<_>>().join("|"), want);
    }
}

fn event(room: &str, o: u64, from: &str, cid: &str, text: &str) -> String {
    let d = serde_json::json!({"from": from, "cid": cid, "text": text, "src": "ws"});
    serde_json::json!({"t": "msg", "room": room, "o": o, "ts": 1_000 * o, "d": d}).to_string()
}

#[test]
fn a_message_is_pending_until_its_ok() {
    let mut play = begun();
    play.types("hello");
    play.frames(r#"send 2 "c-1" "hello""#);
    play.event(3, "al", "c-1", "hello");
    play.notes("tea #3 al: hello Pending");
    assert_eq!(play.session.unanswered(), 1);
    play.server(r#"{"t":"ok","id":2,"d":{"o":3,"ts":3,"dup":false}}"#);
    play.notes("kept #3");
    assert_eq!(play.session.unanswered(), 0);
}

#[test]
fn an_ok_may_come_before_the_event() {
    let mut play = begun();
    play.types("hello");
    play.server(r#"{"t":"ok","id":2,"d":{"o":3,"ts":3,"dup":false}}"#);
    play.event(3, "al", "c-1", "hello");
    play.notes("tea #3 al: hello Kept");
}

#[test]
fn repetitions_are_dropped_and_holes_are_filled() {
    let mut play = begun();
    play.event(2, "bob", "b2", "two");
    play.notes("");
    play.event(5, "bob", "b5", "five");
    play.frames(r#"history {"after":2,"limit":300}"#);
    play.event(6, "bob", "b6", "six");
    play.notes("");
    let page = |o: u64, more: bool, id: u64| {
        let msg = event("tea", o, "bob", "b", "page");
        format!(r#"{{"t":"ok","id":{id},"d":{{"e":"k1","msgs":[{msg}],"top":5,"more":{more}}}}}"#)
    };
    play.server(&page(3, true, 2));
    play.frames(r#"history {"after":3,"limit":300}"#);
    // Offset 4 was no message: history leaves it out.
    play.server(&page(5, false, 3));
    play.notes("tea #3 bob: page Past|tea #5 bob: page Past|tea #6 bob: six Past");
    play.event(7, "bob", "b7", "seven");
    play.notes("tea #7 bob: seven Past");
}

#[test]
fn a_gap_is_paged() {
    let mut play = begun();
    play.server(r#"{"t":"gap","room":"tea","d":{"from":3,"to":900}}"#);
    play.frames(r#"history {"after":2,"limit":300}"#);
    play.event(901, "bob", "b", "top");
    play.server(r#"{"t":"ok","id":2,"d":{"e":"k1","msgs":[],"top":900,"more":false}}"#);
    play.notes("tea #901 bob: top Past");
}

#[test]
fn a_new_connection_continues_at_the_position() {
    let mut play = begun();
    play.types("hello");
    play.frames(r#"send 2 "c-1" "hello""#);
    play.reconnect();
    play.types("again");
    play.notes("waiting again");
    play.frames(r#"hello tea={"e":"k1","o":2}"#);
    play.server(
        r#"{"t":"ok","id":3,"d":{"user":"al","e":"k1",
        "rooms":{"tea":{"e":"k1","o":3,"from":3,"n":1,"recovered":true}}}}"#,
    );
    // The same cid again, and one message at a time.
    play.frames(r#"send 4 "c-1" "hello""#);
    play.event(3, "al", "c-1", "hello");
    play.server(r#"{"t":"ok","id":4,"d":{"o":3,"ts":3,"dup":true}}"#);
    play.notes("tea #3 al: hello Pending|kept #3");
    play.frames(r#"send 5 "c-2" "again""#);
}

#[test]
fn what_the_server_lost_is_told() {
    let mut play = begun();
    play.reconnect();
    play.frames(r#"hello tea={"e":"k1","o":2}"#);
    play.server(
        r#"{"t":"ok","id":2,"d":{"user":"al","e":"k2",
        "rooms":{"tea":{"e":"k2","o":2,"n":0,"recovered":false,"back_to":1}}}}"#,
    );
    play.notes("back to 1");
    play.frames(r#"history {"after":1,"limit":300}"#);
    let msg = event("tea", 2, "bob", "b9", "another two");
    let page = format!(r#"{{"t":"ok","id":3,"d":{{"e":"k2","msgs":[{msg}],"top":2}}}}"#);
    play.server(&page);
    play.notes("tea #2 bob: another two Past");
    play.reconnect();
    play.frames(r#"hello tea={"e":"k2","o":2}"#);
}

#[test]
fn too_long_away_is_told_as_a_number() {
    let mut play = begun();
    play.reconnect();
    play.frames(r#"hello tea={"e":"k1","o":2}"#);
    play.server(
        r#"{"t":"ok","id":2,"d":{"user":"al","e":"k1",
        "rooms":{"tea":{"e":"k1","o":9000,"n":0,"recovered":false}}}}"#,
    );
    play.notes("info 8968 events of tea were missed; /history shows the last");
    play.frames(r#"history {"after":8970,"limit":300}"#);
}

#[test]
fn a_refused_message_is_tried_again_or_told() {
    let mut play = begun();
    play.types("hello");
    play.types("second");
    play.frames(r#"send 2 "c-1" "hello""#);
    play.server(
        r#"{"t":"err","id":2,"d":{"code":429,"name":"rate_limited","retry":true,"after_ms":800}}"#,
    );
    play.frames("");
    play.now_ms = 799;
    play.session.tick(799);
    play.frames("");
    play.session.tick(800);
    play.frames(r#"send 3 "c-1" "hello""#);
    play.server(
        r#"{"t":"err","id":3,"d":{"code":451,"name":"moderated","msg":"no","retry":false}}"#,
    );
    play.notes("error not sent: no (451 moderated): hello");
    play.frames(r#"send 4 "c-2" "second""#);
}

#[test]
fn edits_and_deletes_name_the_last_own_message() {
    let mut play = begun();
    play.types("/edit x");
    play.notes("error you have written nothing here yet");
    play.event(3, "al", "elsewhere", "mine");
    play.types("/edit yours");
    play.types("/delete");
    play.types("/reply 2 yes");
    play.frames(r##"edit {"o":3,"text":"yours"}|delete {"o":3}|send 4 "c-1" "yes""##);
    play.server(r#"{"t":"edit","room":"tea","o":4,"ts":4,"d":{"of":3,"v":2,"text":"yours"}}"#);
    play.server(r#"{"t":"delete","room":"tea","o":5,"ts":5,"d":{"of":3,"from":"al"}}"#);
    let reply = r#"{"t":"msg","room":"tea","o":6,"ts":6,"d":{"from":"bob","text":"ok","reply":2}}"#;
    play.server(reply);
    play.notes(
        "tea #3 al: mine Past|changed #3 Some(\"mine\") Some(\"yours\")|\
         changed #3 Some(\"yours\") None|tea #6 bob: ok re #2 Some((\"bob\", \"two\")) Past",
    );
}

#[test]
fn other_rooms_wait_until_somebody_looks() {
    let mut play = begun();
    play.types("/join pub");
    play.frames(r#"join {"last":30}"#);
    play.server(r#"{"t":"ok","id":2,"d":{"e":"k1","o":0,"n":0,"recovered":true}}"#);
    play.event(3, "bob", "b3", "three");
    play.notes("info now in pub");
    assert_eq!(play.session.unread().collect::<Vec<_>>(), [("tea", 1)]);
    play.types("/rooms");
    play.notes("info * pub|info   tea  1 unread");
    play.types("/switch tea");
    play.notes("info now in tea|tea #3 bob: three Past");
    assert_eq!(play.session.unread().count(), 0);
    play.types("/leave pub");
    play.frames("leave {}");
    play.types("/switch pub");
    play.notes("error you are not in pub: /join pub");
}

#[test]
fn words_for_a_closed_room_go_nowhere_else() {
    let mut play = begun();
    play.types("/join pub");
    play.types("for pub only");
    play.frames(r#"join {"last":30}"#);
    play.server(r#"{"t":"err","id":2,"d":{"code":403,"name":"forbidden","msg":"closed"}}"#);
    play.notes(
        "info now in pub|error cannot join pub: closed (403 forbidden)|\
         error not sent: for pub only",
    );
    play.types("and this");
    play.notes("error you are in no room: /join ROOM");
    play.frames("");
    play.types("/switch tea");
    play.types("/leave");
    play.notes("info now in tea");
    play.frames("leave {}");
}

#[test]
fn a_pipe_without_its_room_fails() {
    let mut play = Play::new();
    play.session.options.all_rooms = true;
    play.session.connected();
    let err = r#"{"code":403,"name":"forbidden","msg":""}"#;
    let rooms = format!(r#"{{"tea":{{"err":{err}}}}}"#);
    play.server(&format!(r#"{{"t":"ok","id":1,"d":{{"e":"k1","rooms":{rooms}}}}}"#));
    assert_eq!(play.session.rejected(), Some("cannot join tea: 403 forbidden"));
}

#[test]
fn a_server_that_refuses_us_is_believed() {
    let mut play = Play::new();
    play.session.connected();
    play.server(r#"{"t":"err","id":1,"d":{"code":401,"name":"unauthorized","msg":""}}"#);
    assert!(play.session.rejected().is_some_and(|why| why.contains("wants a token")));

    let mut play = begun();
    play.server(r#"{"t":"bye","d":{"code":4000,"reason":"drain","after_ms":500}}"#);
    play.notes("info the server says bye: drain");
    assert_eq!(play.session.take_bye_after_ms(), Some(500));
}

#[test]
fn commands_of_the_server_are_sent_as_typed() {
    let mut play = begun();
    play.types("/dice 6");
    play.frames(r#"send 2 "c-1" "/dice 6""#);
    play.server(r#"{"t":"ok","id":2,"d":{"state":"done","call":"x"}}"#);
    play.server(
        r#"{"t":"cmd","room":"tea","d":{"call":"x","kind":"ephemeral","text":"you rolled 4"}}"#,
    );
    play.notes("info you rolled 4");
    assert_eq!(play.session.unanswered(), 0);
}

#[test]
fn pings_are_answered_and_noise_does_no_harm() {
    let mut play = begun();
    play.server(r#"{"t":"ping"}"#);
    assert_eq!(play.session.take_frames(), [r#"{"t":"pong"}"#]);
    for noise in ["", "[]", "7", r#"{"t":1}"#, r#"{"t":"ok","id":99}"#, r#"{"t":"msg","o":3}"#] {
        play.server(noise);
    }
    play.server(r#"{"t":"msg","room":"tea","o":3,"d":7}"#);
    play.server(r#"{"t":"new","room":"tea","o":4,"d":{}}"#);
    play.event(5, "bob", "b", "still here");
    let notes = play.session.take_notes();
    assert!(matches!(notes.last(), Some(Note::Message { message, .. }) if message.o == 5));
}

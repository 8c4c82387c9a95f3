//! Items of a platform: what a room shows of each kind, what it answers, and that nothing is taken
//! twice.

use super::*;

const ROOM: &str = "wa:1102:GB.7";
const CUSTOMER: &str = "wa:GB.7";

fn stage() -> Stage {
    let mut stage = Stage::new();
    stage.enter(1, "alice", ROOM);
    stage
}

fn edit(of: &str, text: &str) -> InboundBody {
    let (text, content) = (text.into(), r#"{"type":"edit"}"#.into());
    InboundBody::Edit { of: of.into(), text, content, is_echo: false }
}

fn revoke(of: &str) -> InboundBody {
    let (text, content) = ("[deleted a message]".into(), r#"{"type":"revoke"}"#.into());
    InboundBody::Revoke { of: of.into(), text, content, is_echo: false }
}

/// The same, done by us in the platform's own app.
fn by_us(mut body: InboundBody) -> InboundBody {
    match &mut body {
        InboundBody::Edit { is_echo, .. } | InboundBody::Revoke { is_echo, .. } => *is_echo = true,
        _ => panic!("{body:?}"),
    }
    body
}

fn status(status: &str) -> InboundBody {
    InboundBody::Status { of: None, status: status.into(), error: 0, extra: "".into() }
}

impl Stage {
    fn takes(&mut self, user: &str, external: &str, body: InboundBody) {
        let item = Inbound {
            room: ROOM.into(),
            user: user.into(),
            ids: ContactIds::default(),
            external: external.into(),
            body,
        };
        self.event(Event::Inbound { ticket: 7, item });
        self.sync();
        let done = self.log.pop();
        assert_eq!(done.as_deref(), Some("webhook 7 true"), "{:?}", self.log);
    }

    /// The same records in a hub that has just started, and alice in it.
    fn starts_again(&mut self) {
        let records = std::mem::take(&mut self.records);
        *self = Self::new();
        for record in &records {
            self.hub.restore(record.clone());
        }
        self.hub.begin_outgoing();
        self.records = records;
        self.enter(1, "alice", ROOM);
        self.orders.clear();
    }
}

#[test]
fn a_quoted_message_is_named_by_its_position() {
    let mut stage = stage();
    stage.takes(CUSTOMER, "w1", message("a question", None, None));
    stage.takes(CUSTOMER, "w2", message("about it", None, Some("w1")));
    stage.takes(CUSTOMER, "w3", message("about what nobody knows", None, Some("w0")));
    let reaction = r#"{"type":"reaction","emoji":"👍"}"#;
    stage.takes(CUSTOMER, "w4", message("👍", Some(reaction), Some("w2")));
    stage.told(&[
        r#"1 {"t":"msg",{}"o":1,{}"text":"a question","src":"whatsapp","ext":"w1"}}"#,
        r#"1 {"t":"msg",{}"o":2,{}"text":"about it","reply":1,"src":"whatsapp","ext":"w2"}}"#,
        r#"1 {"t":"msg",{}"o":3,{}"text":"about what nobody knows","src":"whatsapp"{}"#,
        r#"1 {"t":"msg",{}"o":4,{}"text":"👍","reply":2,{}"content":{"type":"reaction",{}}}}"#,
    ]);
    stage.starts_again();
    stage.takes(CUSTOMER, "w5", message("later", None, Some("w4")));
    stage.told(&[r#"1 {"t":"msg",{}"o":5,{}"text":"later","reply":4,{}"#]);
    let Some(Fact::Message { extra, .. }) = stage.records.last().map(|last| &last.fact) else {
        panic!("{:?}", stage.records);
    };
    assert_eq!(&**extra, r#"{"about":"w4"}"#, "the log keeps what the platform said");
}

#[test]
fn what_was_written_in_the_platforms_app_is_ours_and_has_left() {
    let mut stage = stage();
    let echo = |text: &str| InboundBody::Echo { text: text.into(), content: None, about: None };
    stage.takes("wa:15550001102", "w1", echo("from the phone"));
    stage.told(&[concat!(
        r#"1 {"t":"msg",{}"o":1,{}"from":"wa:15550001102","text":"from the phone","#,
        r#""src":"whatsapp","dir":"out","ext":"w1"}}"#
    )]);
    assert!(stage.orders.is_empty(), "neither sent nor a word of the contact: {:?}", stage.orders);
    stage.takes(CUSTOMER, "w1", status("read"));
    stage.told(&[r#"1 {"d":{"ext":"w1","of":1,"status":"read"{}"t":"delivery"{}"#]);
    stage.starts_again();
    stage.takes("wa:15550001102", "w1", echo("from the phone"));
    stage.told(&[]);
    stage.event(Event::Tick);
    assert!(stage.orders.is_empty(), "{:?}", stage.orders);
    let outside = stage.hub.room(ROOM).expect("made").conversation.as_ref();
    assert!(outside.is_none_or(|it| it.window_until_ms() == 0 && it.pending.is_empty()));
}

#[test]
fn an_edit_changes_the_message_and_a_revocation_takes_it_back() {
    let mut stage = stage();
    stage.takes(CUSTOMER, "w1", message("at nnon", None, None));
    stage.takes(CUSTOMER, "w2", edit("w1", "at noon"));
    stage.takes(CUSTOMER, "w3", message("sorry", None, None));
    stage.takes(CUSTOMER, "w4", revoke("w3"));
    stage.told(&[
        r#"1 {"t":"msg",{}"at nnon"{}"#,
        r#"1 {"t":"edit",{}"o":2,{}"d":{"from":"wa:GB.7","of":1,"text":"at noon","v":2}}"#,
        r#"1 {"t":"msg",{}"sorry"{}"#,
        r#"1 {"t":"delete",{}"o":4,{}"d":{"from":"wa:GB.7","of":3}}"#,
    ]);
    for again in ["in the same life", "after a start"] {
        stage.takes(CUSTOMER, "w2", edit("w1", "at noon"));
        stage.takes(CUSTOMER, "w4", revoke("w3"));
        assert!(stage.log.is_empty(), "{again}: {:?}", stage.log);
        stage.starts_again();
    }
    stage.takes(CUSTOMER, "w5", edit("w1", "at one"));
    stage.told(&[r#"1 {"t":"edit",{}"o":5,{}"of":1,"text":"at one","v":3}}"#]);
    stage.takes(CUSTOMER, "w6", edit("w3", "not sorry"));
    stage.told(&[]);
}

#[test]
fn a_change_of_what_is_not_known_is_shown_as_a_message() {
    let mut stage = stage();
    stage.takes(CUSTOMER, "w1", message("mine", None, None));
    stage.log.clear();
    stage.takes(CUSTOMER, "w2", edit("w0", "at noon"));
    stage.takes(CUSTOMER, "w3", revoke("w0"));
    stage.takes("wa:GB.8", "w4", edit("w1", "not yours"));
    stage.takes("wa:GB.8", "w5", revoke("w1"));
    stage.told(&[
        r#"1 {"t":"msg",{}"text":"[edited] at noon","src":{}"content":{"type":"edit"}}}"#,
        r#"1 {"t":"msg",{}"text":"[deleted a message]","src":{}"content":{"type":"revoke"}}}"#,
        r#"1 {"t":"msg",{}"text":"[edited] not yours","reply":1,{}"#,
        r#"1 {"t":"msg",{}"text":"[deleted a message]","reply":1,{}"#,
    ]);
}

#[test]
fn a_change_in_the_platforms_app_of_what_is_not_known_is_ours() {
    let us = "wa:15550001102";
    let mut stage = stage();
    stage.takes(us, "w1", by_us(edit("w0", "at noon")));
    stage.takes(us, "w2", by_us(revoke("w0")));
    stage.told(&[
        r#"1 {"t":"msg",{}"from":"wa:15550001102","text":"[edited] at noon",{}"dir":"out",{}"#,
        r#"1 {"t":"msg",{}"text":"[deleted a message]",{}"dir":"out",{}"#,
    ]);
    assert!(stage.orders.is_empty(), "it has happened already: {:?}", stage.orders);
    stage.starts_again();
    stage.event(Event::Tick);
    assert!(stage.orders.is_empty(), "{:?}", stage.orders);
    let outside = stage.hub.room(ROOM).expect("made").conversation.as_ref();
    assert!(outside.is_none_or(|it| it.window_until_ms() == 0), "the contact has not written");
}

#[test]
fn a_new_name_of_the_contact_is_told_in_the_room_of_the_old_one() {
    let mut stage = stage();
    let (text, content) = ("Ines changed", r#"{"type":"system"}"#);
    let body = || InboundBody::Relink {
        previous: ContactIds { user_id: Some("GB.7".into()), ..ContactIds::default() },
        text: text.into(),
        content: content.into(),
    };
    stage.takes(CUSTOMER, "w1", body());
    stage.told(&[concat!(
        r#"1 {"t":"msg",{}"from":"wa:GB.7","text":"Ines changed","src":"system","#,
        r#""dir":"internal","ext":"w1","content":{"type":"system"}}}"#
    )]);
    assert!(stage.orders.is_empty(), "no word of the contact: {:?}", stage.orders);
    stage.starts_again();
    stage.takes(CUSTOMER, "w1", body());
    stage.told(&[]);
}

#[test]
fn the_same_text_twice_is_two_messages_and_a_status_is_one_for_each_person() {
    let mut stage = stage();
    for external in ["w1", "w2", "w1"] {
        stage.takes(CUSTOMER, external, message("ok", None, None));
    }
    assert_eq!(stage.log.len(), 2, "{:?}", stage.log);
    stage.log.clear();
    for (user, again) in [("wa:GB.7", false), ("wa:JP.8", false), ("wa:GB.7", true)] {
        let before = stage.records.len();
        stage.takes(user, "w9", status("delivered"));
        assert_eq!(stage.records.len() == before, again, "{user}");
    }
}

//! Commands: what is typed, who may, what is said to whom, and what the log knows of it.

use super::*;
use crate::chat::api::ApiRequest;
use crate::registry::Kind;

/// A stage with alice, who owns the room, and bob.
pub(super) fn stage() -> Stage {
    let mut stage = Stage::with(HubOptions { room_sends: Rate::UNLIMITED, ..options() });
    stage.hub.set_public_url("https://chat.example");
    stage.enter(1, "alice", "general");
    stage.enter(2, "bob", "general");
    stage
}

impl Stage {
    pub(super) fn put(&mut self, name: &str, body: &str) {
        let (kind, name, body) = (Kind::Command, name.into(), body.into());
        let request = ApiRequest::Define { kind, name, body, dry_run: false };
        self.event(Event::Api { conn: conn(99), user: "boss".into(), request });
        self.sync();
        let answer = self.log.pop().unwrap_or_default();
        assert!(answer.contains(r#""t":"ok""#), "{answer}");
    }

    /// Types a line; gives what everybody was shown, words only.
    pub(super) fn types(&mut self, index: u32, line: &str) -> Vec<String> {
        let d = serde_json::json!({"text": line, "cid": format!("{}", self.records.len())});
        let frame = serde_json::json!({"t": "send", "id": 5, "room": "general", "d": d});
        self.say(index, &frame.to_string());
        self.sync();
        self.shown()
    }

    /// `1: words` of messages, `1 sees: words` of what only one sees, `1 refused: words`.
    pub(super) fn shown(&mut self) -> Vec<String> {
        let lines = std::mem::take(&mut self.log).into_iter().filter_map(|line| {
            let (who, frame) = line.split_once(' ')?;
            let frame: serde_json::Value = serde_json::from_str(frame).ok()?;
            let text = |name: &str| frame["d"][name].as_str().unwrap_or_default().to_owned();
            match frame["t"].as_str()? {
                "msg" => Some(format!("{who}: {} {}", text("from"), text("text"))),
                "cmd" => Some(format!("{who} sees {}: {}", text("kind"), text("text"))),
                "err" => Some(format!("{who} refused: {}", text("msg"))),
                _ => None,
            }
        });
        lines.collect()
    }

    pub(super) fn calls(&self) -> Vec<String> {
        let calls = self.records.iter().filter_map(|record| match &record.fact {
            Fact::Command { name, args, outcome, .. } => {
                Some(format!("{} /{name} {args} {outcome:?}", record.user))
            }
            _ => None,
        });
        calls.collect()
    }

    pub(super) fn restarted_stage(&self) -> Self {
        let mut next = Stage::with(HubOptions { room_sends: Rate::UNLIMITED, ..options() });
        (next.now_ms, next.records) = (self.now_ms, self.records.clone());
        for record in &next.records {
            next.hub.restore(record.clone());
        }
        next.hub.begin_outgoing();
        next
    }
}

#[test]
fn a_template_answers_everybody_or_whoever_asked() {
    let mut stage = stage();
    stage.put("hi", r#"{"template": "Hello $user, $1! ($count)"}"#);
    stage.put("tip", r#"{"template": "psst $user", "reply": "ephemeral", "aliases": ["t"]}"#);
    let want = ["1: command:hi Hello bob, all! (1)", "2: command:hi Hello bob, all! (1)"];
    assert_eq!(stage.types(2, "/hi all"), want);
    assert_eq!(stage.types(1, "/HI you")[0], "1: command:hi Hello alice, you! (2)");
    assert_eq!(stage.types(1, "/t"), ["1 sees ephemeral: psst alice"]);
    assert_eq!(stage.calls(), ["bob /hi all Ok", "alice /hi you Ok", "alice /t  Ok"]);
    // The record stands before the answer: nobody sees the answer of a call that the log lacks.
    let is_answer = |fact: &Fact| matches!(fact, Fact::Message { .. });
    let answer = stage.records.iter().position(|one| is_answer(&one.fact)).expect("an answer");
    assert!(matches!(stage.records[answer - 1].fact, Fact::Command { .. }));
}

#[test]
fn a_call_that_is_asked_for_again_is_not_made_again() {
    let mut stage = stage();
    stage.put("hi", r#"{"template": "Hello"}"#);
    let call = r#"{"t":"cmd","id":7,"room":"general","d":{"name":"hi","cid":"x"}}"#;
    stage.say(2, call);
    stage.say(2, call);
    stage.sync();
    assert_eq!(stage.calls(), ["bob /hi  Ok"]);
    assert!(stage.log.last().expect("an answer").contains(r#""dup":true"#));
    let mut again = stage.restarted_stage();
    again.enter(2, "bob", "general");
    again.say(2, call);
    again.sync();
    assert_eq!(again.calls(), ["bob /hi  Ok"]);
    assert!(again.log.last().expect("an answer").contains(r#""dup":true"#));
}

#[test]
fn who_may_not_is_told_why() {
    let mut stage = stage();
    stage.put("mods", r#"{"template": "x", "allow": {"role": "moderator"}}"#);
    stage.put("ann", r#"{"template": "x", "allow": {"users": ["ann"]}}"#);
    stage.put("off", r#"{"template": "x", "disabled": "until Monday"}"#);
    stage.put("slow", r#"{"template": "x", "cooldown": {"user_s": 10, "room_s": 1}}"#);
    for (line, want) in [
        ("/mods", "2 refused: /mods is for moderators; you are a guest"),
        ("/ann", "2 refused: /ann is for others"),
        ("/off", "2 refused: /off is off: until Monday"),
        ("/mod", "2 refused: there is no command /mod; did you mean /mods?"),
        ("/xyzzy", "2 refused: there is no command /xyzzy; /help lists what there is"),
        ("/kick alice", "2 refused: /kick is for moderators; you are a guest"),
    ] {
        assert_eq!(stage.types(2, line), [want]);
    }
    assert_eq!(stage.types(2, "/slow").len(), 2);
    assert_eq!(stage.types(2, "/slow"), ["2 refused: /slow rests for 10 s more"]);
    assert_eq!(stage.types(1, "/slow"), ["1 refused: /slow rests for 1 s more"]);
    stage.now_ms += 1_000;
    assert_eq!(stage.types(1, "/slow").len(), 2);
    let denied = stage.calls().iter().filter(|call| call.ends_with("Denied")).count();
    assert_eq!(denied, 3, "{:?}", stage.calls());
}

#[test]
fn what_has_effects_asks_first() {
    let mut stage = stage();
    stage.put("deploy", r#"{"template": "deployed $1", "confirm": true}"#);
    let asked = "2 sees ephemeral: /deploy blue: really? /yes does it, /no does not.";
    assert_eq!(stage.types(2, "/deploy blue"), [asked]);
    assert_eq!(stage.types(1, "/yes"), ["1 refused: nothing waits for a yes"]);
    assert_eq!(stage.types(2, "/yes")[1], "2: command:deploy deployed blue");
    assert_eq!(stage.types(2, "/yes"), ["2 refused: nothing waits for a yes"]);
    stage.types(2, "/deploy red");
    assert_eq!(stage.types(2, "/no"), ["2 sees ephemeral: Then not."]);
    stage.types(2, "/deploy red");
    stage.now_ms += 61_000;
    assert_eq!(stage.types(2, "/yes"), ["2 refused: nothing waits for a yes"]);
}

#[test]
fn moderators_add_commands_in_chat() {
    let mut stage = stage();
    let added = "1 sees ephemeral: /hi works here now; /command show hi shows it";
    assert_eq!(stage.types(1, "/command add hi Hello $user"), [added]);
    assert_eq!(stage.types(2, "/hi")[1], "2: command:hi Hello bob");
    assert!(stage.types(1, "/command alias yo hi")[0].contains("/yo works here now"));
    assert_eq!(stage.types(2, "/yo")[1], "2: command:hi Hello bob");
    for (who, line, want) in [
        (2, "/command add hi Bye", "2 refused: /command is for members; you are a guest"),
        (1, "/command add help x", "1 refused: /help is built in"),
        (1, "/command add hi $usr", "1 refused: $usr is not known: did you mean $user?"),
        (1, "/command rm ho", "1 refused: this room has added no command /ho"),
        (1, "/command disable hi tea time", "1 sees ephemeral: /hi is off"),
        (2, "/hi", "2 refused: /hi is off: tea time"),
        (1, "/command enable hi", "1 sees ephemeral: /hi is on"),
        (1, "/command help hi Greets", "1 sees ephemeral: /hi works here now"),
        (1, "/command list", "1 sees ephemeral: /hi — Greets\n/yo"),
        (1, "/command rm yo", "1 sees ephemeral: /yo is gone from this room"),
        (2, "/yo", "2 refused: there is no command /yo"),
    ] {
        let shown = stage.types(who, line);
        assert!(shown.len() == 1 && shown[0].starts_with(want), "{line}: {shown:?}");
    }
    let mut again = stage.restarted_stage();
    again.enter(2, "bob", "general");
    assert_eq!(again.types(2, "/hi"), ["2: command:hi Hello bob"]);
}

#[test]
fn an_alias_that_leads_to_itself_ends() {
    let mut stage = stage();
    stage.put("a", r#"{"alias": "/b $*"}"#);
    stage.put("b", r#"{"alias": "/a $*"}"#);
    let refused = stage.types(2, "/a x");
    assert!(refused[0].contains("leads to itself"), "{refused:?}");
    assert_eq!(stage.calls(), ["bob /a x Failed"]);
}

#[test]
fn bans_mutes_and_nicks_hold_also_after_a_start() {
    let mut stage = stage();
    assert_eq!(stage.types(2, "/nick Bobby"), ["2 sees ephemeral: others see you as Bobby here"]);
    assert_eq!(stage.types(1, "/nick bob"), ["1 refused: somebody here is called bob already"]);
    stage.say(2, r#"{"t":"send","room":"general","d":{"cid":"n","text":"hi"}}"#);
    assert!(stage.log[0].contains(r#""name":"Bobby""#), "{:?}", stage.log);
    stage.log.clear();
    assert_eq!(stage.types(1, "/mute bob 5"), ["1 sees ephemeral: bob may not write for 5 min"]);
    let muted = "2 refused: you are muted here for 6 min";
    assert_eq!(stage.types(2, "hello"), [muted]);
    assert_eq!(stage.types(2, "/roll"), [muted]);
    let mut again = stage.restarted_stage();
    again.enter(2, "bob", "general");
    again.enter(1, "alice", "general");
    assert_eq!(again.types(2, "hello"), [muted]);
    again.now_ms += 6 * 60_000;
    assert_eq!(again.types(2, "hello").len(), 2);
    let banned = ["1 sees ephemeral: bob may not come back; /unban takes it back"];
    assert_eq!(again.types(1, "/ban bob spam"), banned);
    again.say(2, r#"{"t":"join","id":3,"room":"general"}"#);
    assert_eq!(again.shown(), ["2 refused: you are banned here until a moderator takes it back"]);
    again.types(1, "/unban bob");
    again.say(2, r#"{"t":"join","id":4,"room":"general"}"#);
    assert_eq!(again.shown(), [""; 0]);
}

#[test]
fn people_roll_poll_and_are_reminded() {
    let mut stage = stage();
    let rolled = stage.types(2, "/roll 2d6+1").remove(0);
    assert!(rolled.starts_with("1: command:roll bob rolls 2d6+1: "), "{rolled}");
    assert!(stage.types(2, "/roll 2d1")[0].contains("refused"));
    let asked = stage.types(2, "/poll Lunch? | Pizza | Soup");
    assert_eq!(asked[0], "1: command:poll Lunch?\n1. Pizza\n2. Soup\n/vote 1 chooses");
    stage.types(1, "/vote 2");
    stage.types(1, "/vote 1");
    stage.types(2, "/vote 1");
    assert_eq!(stage.types(1, "/poll"), ["1 sees ephemeral: Lunch?\n1. Pizza: 2\n2. Soup: 0"]);
    assert!(stage.types(2, "/vote 3")[0].contains("from 1 to 2"));
    assert_eq!(
        stage.types(2, "/poll close")[0],
        "1: command:poll The poll is over.\nLunch?\n1. Pizza: 2\n2. Soup: 0"
    );
    stage.types(2, "/remind 10m look at the oven");
    let mut again = stage.restarted_stage();
    again.enter(1, "alice", "general");
    again.now_ms += 599_000;
    again.event(Event::Tick);
    assert_eq!(again.shown(), [""; 0]);
    again.now_ms += 2_000;
    again.event(Event::Tick);
    again.event(Event::Tick);
    assert_eq!(again.shown(), ["1: command:remind @bob look at the oven"]);
}

#[test]
fn a_callback_leaves_when_it_is_written_down_and_may_answer_later() {
    let mut stage = stage();
    stage.put("wx", r#"{"http": {"url": "https://a.example/c", "secret": "s"}}"#);
    stage
        .say(2, r#"{"t":"cmd","id":5,"room":"general","d":{"name":"wx","text":"Oslo","cid":"q"}}"#);
    assert!(stage.fetches.is_empty() && stage.log.is_empty());
    stage.sync();
    assert!(stage.log[0].contains(r#""state":"pending""#), "{:?}", stage.log);
    let (ticket, posted) = stage.fetches.pop().expect("a call");
    assert!(
        posted.contains("command=%2Fwx&text=Oslo&") && posted.contains("X-Slack-Signature v0=")
    );
    let url = posted.split("response_url=https%3A%2F%2Fchat.example%2Frespond%2F").nth(1);
    let token = url.and_then(|url| url.split('&').next()).expect("an address").to_owned();
    stage.log.clear();
    stage.event(Event::Fetched { ticket, result: Ok((200, Vec::new())) });
    assert_eq!((stage.shown(), stage.calls()), (vec![], vec![]));
    let proof = token.split('.').nth(2).expect("a proof").to_owned();
    let respond = |stage: &mut Stage, proof: &str, body: &str| {
        let (shard, proof, body) = (ShardId(0), proof.into(), body.into());
        let request = ApiRequest::Respond { shard, ticket, proof, body };
        stage.event(Event::Api { conn: conn(99), user: "api".into(), request });
        stage.sync();
        stage.shown()
    };
    assert_eq!(respond(&mut stage, "wrong", "x"), ["99 refused: expired_url"]);
    let progress = r#"{"response_type": "progress", "text": "half"}"#;
    assert_eq!(respond(&mut stage, &proof, progress), ["2 sees progress: half"]);
    assert_eq!(respond(&mut stage, &proof, "cold"), ["2 sees ephemeral: cold"]);
    let loud = r#"{"response_type": "in_channel", "text": "cold!"}"#;
    for _ in 0..4 {
        assert_eq!(respond(&mut stage, &proof, loud)[0], "1: command:wx cold!");
    }
    assert_eq!(respond(&mut stage, &proof, loud), ["99 refused: used_url"]);
    assert_eq!(stage.calls(), ["bob /wx Oslo Ok"]);
}

#[test]
fn a_callback_that_fails_again_and_again_is_switched_off() {
    let mut stage = stage();
    stage.enter(3, "boss", "general");
    stage.put("wx", r#"{"http": {"url": "https://a.example/c"}}"#);
    for (answer, want) in [
        (Ok((500, Vec::new())), "2 sees error: /wx failed"),
        (Ok((200, b"{".to_vec())), "2 sees error: /wx failed"),
        (Err("nobody there".into()), "2 sees error: /wx failed"),
    ] {
        stage.types(2, "/wx");
        let (ticket, _) = stage.fetches.pop().expect("a call");
        stage.event(Event::Fetched { ticket, result: answer });
        stage.sync();
        let shown = stage.shown();
        assert_eq!(shown[0], want);
    }
    let refused = stage.types(2, "/wx");
    assert!(refused[0].contains("failed 3 times in a minute, last: nobody there"), "{refused:?}");
    assert_eq!(stage.calls(), vec!["bob /wx  Failed"; 4]);
}

#[test]
fn a_program_of_the_operator_keeps_and_tells_as_others_do() {
    let mut stage = stage();
    stage.put("job", r#"{"exec": "job", "limits": {"output_bytes": 20}}"#);
    let mut run = |said: &str| {
        stage.types(2, "/job");
        let (ticket, input) = stage.fetches.pop().expect("a call");
        let state: serde_json::Value =
            serde_json::from_str(input.split_once(' ').expect("a program and its input").1)
                .expect("JSON");
        stage.event(Event::Fetched { ticket, result: Ok((200, said.as_bytes().to_vec())) });
        stage.sync();
        (state["state"].to_string(), stage.shown().join(", "), stage.calls().pop())
    };
    let keeps = r#"{"text": "done", "response_type": "ephemeral", "progress": ["half"],
        "keep": {"n": "1"}}"#;
    for (said, state, shown, outcome) in [
        ("in words\n", "{}", "1: command:job in words, 2: command:job in words", "Ok"),
        ("", "{}", "", "Ok"),
        (keeps, "{}", "2 sees progress: half, 2 sees ephemeral: done", "Ok"),
        (r#"{"keep": {"n": null}}"#, r#"{"n":"1"}"#, "", "Ok"),
        (
            r#"{"fetch": {"url": "https://a.example/"}}"#,
            "{}",
            "2 sees error: /job failed",
            "Failed",
        ),
        ("more than it may say here", "{}", "2 sees error: /job failed", "Failed"),
    ] {
        let want = (state.to_owned(), shown.to_owned(), Some(format!("bob /job  {outcome}")));
        assert_eq!(run(said), want, "{said}");
    }
}

#[test]
fn a_call_that_the_server_did_not_survive_is_lost_and_not_made_again() {
    let mut stage = stage();
    stage.put("wx", r#"{"http": {"url": "https://a.example/c"}}"#);
    let call = r#"{"t":"cmd","id":5,"room":"general","d":{"name":"wx","text":"Oslo","cid":"q"}}"#;
    stage.say(2, call);
    stage.sync();
    let mut again = stage.restarted_stage();
    again.event(Event::Tick);
    again.sync();
    assert_eq!(again.calls(), ["bob /wx Oslo Lost"]);
    again.enter(2, "bob", "general");
    again.say(2, call);
    again.sync();
    assert!(again.fetches.is_empty());
    assert!(again.log.last().expect("an answer").contains(r#""dup":true"#));
    let mut third = again.restarted_stage();
    third.event(Event::Tick);
    assert_eq!(third.calls().len(), 1);
}

#[test]
fn contacts_use_commands_by_writing_them() {
    let read = |text: &str, _: Option<&str>| {
        Ok(crate::chat::event::Letter { text: text.into(), needs_window: true })
    };
    let platform = Platform { numbers: vec!["1102".into()], read };
    let mut stage = Stage::with(HubOptions { platform, ..options() });
    stage.put(
        "price@wa:1102",
        r#"{"args": [{"name": "item"}], "template": "$item: 5",
        "help": "What it costs"}"#,
    );
    stage.put("greet", r#"{"template": "Hi $name"}"#);
    stage.put("staff", r#"{"template": "x", "allow": {"role": "member"}, "help": "Staff"}"#);
    stage.records.clear();
    let texts = ["/Price tea", "/price", "/staff", "/who", "/ hm", "/greet", "/help"];
    for (index, text) in texts.iter().enumerate() {
        let ids = ContactIds { user_id: Some("GB.7".into()), ..ContactIds::default() };
        let item = Inbound { ids, ..item(&format!("w{index}"), message(text, None, None)) };
        stage.event(Event::Inbound { ticket: 1, item });
        stage.sync();
    }
    let said = stage.records.iter().filter_map(|record| match &record.fact {
        Fact::Message { text, direction, .. } if direction.name() == "out" => {
            Some(format!("{}: {text}", record.user))
        }
        _ => None,
    });
    let want = [
        "command:price: tea: 5",
        "command:price: `item` is missing: a text; for example: /price <item>",
        "command:staff: /staff is for members; you are a guest",
        "command:greet: Hi Ines",
        "command:help: /greet\n/help [NAME] — list the commands, or explain one\n/no — do not do \
         what was asked about\n/ping — see whether the server answers\n/price <item> — What it \
         costs\n/vote NUMBER — choose in the poll\n/yes — do what was asked about",
    ];
    assert_eq!(said.collect::<Vec<_>>(), want);
    assert_eq!(stage.calls()[1], "wa:GB.7 /price  BadArguments");
}

#[cfg(feature = "wasm")]
mod modules;
mod programs;
#[cfg(feature = "script")]
mod scripts;

use super::arguments::{bind, words};
use super::callback::{Posted, Said, headers};
use super::*;
use crate::registry::{Definition, Kind};
use serde_json::json;

fn entry(key: &str, body: &str) -> Result<Entry, Fault> {
    Entry::read(&definition(key, body))
}

fn definition(key: &str, body: &str) -> Definition {
    let (kind, name, version) = (Kind::Command, key.into(), 1);
    Definition { kind, name, version, by: "ann".into(), ts_us: 0, body: body.into() }
}

#[test]
fn words_are_split_as_a_shell_does() {
    for (line, want) in [
        ("", &[][..]),
        ("  a  b ", &["a", "b"]),
        (r#""New York" 3"#, &["New York", "3"]),
        ("'it is' so", &["it is", "so"]),
        ("it's so", &["it's", "so"]),
        (r#"a\ b "say \"hi\"" "c:\dir""#, &["a b", r#"say "hi""#, r"c:\dir"]),
        ("“São Paulo” «x y»", &["São Paulo", "x y"]),
        (r#""" end"#, &["", "end"]),
        (r"\", &[r"\"]),
    ] {
        let got: Vec<_> = words(line).expect(line).into_iter().map(|word| word.text).collect();
        assert_eq!(got, want, "{line}");
    }
    assert_eq!(words("é \"open").unwrap_err(), "the quote at character 3 has no end");
}

const WEATHER: &str = r#"{"help": "Weather for a city", "examples": ["/weather Oslo 3"],
    "args": [{"name": "city", "max": 12}, {"name": "days", "type": "int", "min": 1, "max": 14,
    "default": 1, "help": "how many"}], "template": "$city: $days", "aliases": ["wx"]}"#;

#[test]
fn arguments_are_bound_or_explained() {
    let weather = entry("weather", WEATHER).expect("good").manifest;
    let example = "; for example: /weather Oslo 3";
    for (line, want) in [
        ("Oslo 3", Ok(json!({"city": "Oslo", "days": 3}))),
        ("'New York'", Ok(json!({"city": "New York", "days": 1}))),
        ("", Err("`city` is missing: a text of at most 12 letters")),
        ("Oslo many", Err("`days` is a whole number from 1 to 14, not \"many\"")),
        ("Oslo 15", Err("`days` is a whole number from 1 to 14, not \"15\"")),
        ("Oslo 3 4", Err("\"4\" is one too many")),
        ("'Oslo", Err("the quote at character 1 has no end")),
    ] {
        let got = bind(&weather, "weather", line).map(|given| json!(given.values));
        assert_eq!(got, want.map_err(|why| format!("{why}{example}")), "{line}");
    }
}

#[test]
fn every_type_takes_what_people_write() {
    let kinds = r#"{"template": "x", "args": [
        {"name": "n", "type": "number", "max": 10}, {"name": "yes", "type": "bool"},
        {"name": "who", "type": "user"}, {"name": "where", "type": "room"},
        {"name": "size", "type": "choice", "choices": ["Small", "Large", 3]},
        {"name": "why", "type": "rest", "required": false}]}"#;
    let kinds = entry("k", kinds).expect("good").manifest;
    let given = bind(&kinds, "k", "2,5 On @bob #lobby large it's  \"so\" ").expect("good").values;
    let want = json!({"n": 2.5, "yes": true, "who": "bob", "where": "lobby", "size": "Large",
        "why": "it's  \"so\""});
    assert_eq!(json!(given), want);
    for (line, want) in [
        ("x", "`n` is a number of at most 10, not \"x\""),
        ("1e999", "`n` is a number of at most 10"),
        ("1 perhaps", "`yes` is yes or no, not \"perhaps\""),
        ("1 no @", "`who` is the name of a user"),
        ("1 no b c huge", "`size` is one of Small, Large, 3, not \"huge\""),
    ] {
        let why = bind(&kinds, "k", line).expect_err(line);
        assert!(why.starts_with(want), "{line}: {why}");
        assert!(why.ends_with("; for example: /k <n> <yes> <who> <where> <size> [why…]"), "{why}");
    }
}

#[test]
fn templates_are_filled_in() {
    let facts = Facts {
        user: "ann",
        name: "Ann",
        room: "lobby",
        count: 7,
        wall_ms: 1_795_413_900_000,
        random: 3,
    };
    for (template, line, want) in [
        ("Hello $user, $1 costs $$$2.", "tea 5", "Hello ann, tea costs $5."),
        ("$name in $room: $* ($count)", "a  b", "Ann in lobby: a  b (7)"),
        ("$date $time", "", "2026-11-23 06:05 UTC"),
        ("$9|${1}s", "x", "|xs"),
        ("100 $ or $0", "", "100 $ or $0"),
        ("$1", "$user", "$user"),
        ("$rand(5,5) $rand(red)", "", "5 red"),
        ("", "", ""),
    ] {
        if template.is_empty() {
            continue;
        }
        let body = json!({"template": template}).to_string();
        let manifest = entry("t", &body).expect(template).manifest;
        let Backend::Template(filled) = &manifest.backend else { panic!() };
        let given = bind(&manifest, "t", line).expect("anything goes");
        assert_eq!(filled.render(&given, &facts, 4_096), want, "{template}");
    }
    let manifest = entry("t", r#"{"template": "ééé$*"}"#).expect("good").manifest;
    let Backend::Template(filled) = &manifest.backend else { panic!() };
    let given = bind(&manifest, "t", &"x".repeat(9)).expect("good");
    assert_eq!(filled.render(&given, &facts, 5), "éé", "whole characters");
}

#[test]
fn dice_are_fair_enough() {
    let mut counts = [0; 6];
    for random in 0..6_000 {
        counts[(mixed(random, 0) % 6) as usize] += 1;
    }
    assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
}

#[test]
fn faults_say_what_is_wrong_and_where() {
    for (key, body, want) in [
        ("x", "{", "line 1, column 1: EOF while parsing an object"),
        ("x", "{}", "line 1, column 1: wants one of template, alias, http, script, wasm, exec"),
        (
            "x",
            r#"{"template": "a", "alias": "b"}"#,
            "line 1, column 1: wants one of template, alias",
        ),
        (
            "x",
            "{\n \"template\": \"a $usr\"}",
            "line 2, column 14: `template`: $usr is not known: did you mean $user?",
        ),
        (
            "x",
            r#"{"template": "$rand(2,1)"}"#,
            "line 1, column 14: `template`: $rand( is not known",
        ),
        (
            "x",
            r#"{"templat": "a"}"#,
            r#"line 1, column 2: `templat`: "templat" is not known here; did you mean "template"?"#,
        ),
        (
            "x",
            r#"{"template": "a", "args": [{"name": "n", "type": "int", "default": "z"}]}"#,
            "line 1, column 68: `args[0].default`: `n` is a whole number, not \"z\"",
        ),
        (
            "x",
            r#"{"template": "a", "args": [{"name": "r", "type": "rest"}, {"name": "n"}]}"#,
            "line 1, column 59: `args[1]`: nothing can follow an argument of type rest",
        ),
        ("x", r#"{"exec": "../sh"}"#, "line 1, column 10: `exec`: wants the name of a file"),
        ("x", r#"{"wasm": "AAAA"}"#, "line 1, column 10: `wasm`: is no WebAssembly module"),
        (
            "x",
            r#"{"template": "a", "aliases": ["help"]}"#,
            "line 1, column 30: `aliases`: /help is built in",
        ),
        ("help", r#"{"template": "a"}"#, "`name`: /help is built in"),
        ("x@", r#"{"template": "a"}"#, "`name`: behind @ stands the name of a room"),
        ("X", r#"{"template": "a"}"#, "`name`: a name is 1 to 64 of a-z"),
    ] {
        let fault = entry(key, body).expect_err(body).to_string();
        assert!(fault.starts_with(want), "{body}: {fault}");
    }
}

#[test]
fn a_room_s_command_comes_before_a_number_s_and_that_before_all() {
    let mut book = Book::default();
    for (key, text) in [("hi", "all"), ("hi@lobby", "room"), ("hi@wa:1102", "number")] {
        let body = json!({"template": text, "aliases": ["hey"]}).to_string();
        book.adopt(&definition(key, &body)).expect("good");
    }
    let found =
        |book: &Book, name: &str, room: &str| book.find(name, room).map(|one| one.key.to_string());
    for (room, want) in [
        ("lobby", "hi@lobby"),
        ("wa:1102:GB.7", "hi@wa:1102"),
        ("wa:11022:GB.7", "hi"),
        ("other", "hi"),
    ] {
        assert_eq!(found(&book, "hi", room).as_deref(), Some(want));
        assert_eq!(found(&book, "hey", room).as_deref(), Some(want));
    }
    assert_eq!(book.list("h", "lobby").len(), 3, "help, history, hi");
    assert_eq!(book.near("hu", "lobby"), ["hi"]);
    assert_eq!(book.near("zzz", "lobby"), [""; 0]);
    book.adopt(&definition("hi@lobby", "")).expect("a removal");
    assert_eq!(found(&book, "hi", "lobby").as_deref(), Some("hi"));
    book.adopt(&definition("hi", r#"{"template": "x"}"#)).expect("good");
    assert_eq!(found(&book, "hey", "lobby"), None);
    assert!(book.adopt(&definition("hi", "nonsense")).is_err());
    assert_eq!((found(&book, "hi", "lobby"), book.len()), (None, 1));
}

#[test]
fn callbacks_are_posted_and_signed_as_slack_does() {
    // The example of Slack's page, "Verifying requests from Slack".
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow\
        &channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner\
        &command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands\
        %2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
        &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let secret = "8f742231b10e8888abcd99yyyzzz85a5".into();
    let callback = Callback { url: "https://a.example".into(), secret };
    let headers = headers(&callback, 1_531_420_618, body);
    let want = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    assert_eq!(&*headers[1].1, want);
    let posted = Posted {
        name: "weather",
        text: "São Paulo & more",
        user: "ann",
        display: "Ann",
        room: "a/b",
        response_url: "http://x/respond/1",
        call: "c-1",
    };
    let body = posted.body();
    assert!(body.contains("command=%2Fweather&text=S%C3%A3o+Paulo+%26+more&"), "{body}");
    assert!(body.contains("channel_id=a%2Fb&") && body.contains("user_name=Ann&"), "{body}");
}

#[test]
fn answers_are_words_or_messages_of_slack() {
    let said =
        |text: &str, shown: Option<Shown>| Said { text: text.into(), shown, progress: false };
    for (body, want) in [
        ("  ", said("", None)),
        ("plain words", said("plain words", None)),
        (r#"{"text": "a", "response_type": "in_channel"}"#, said("a", Some(Shown::InChannel))),
        (r#"{"response_type": "ephemeral"}"#, said("", Some(Shown::Ephemeral))),
        (
            r#"{"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "b"}},
                {"type": "divider"}]}"#,
            said("b", None),
        ),
    ] {
        assert_eq!(Said::read(body), Ok(want), "{body}");
    }
    assert!(Said::read(r#"{"text": "50 %", "response_type": "progress"}"#).expect("good").progress);
    assert!(Said::read("{no").is_err());
}

#[test]
fn the_table_of_built_in_commands_is_in_order() {
    let names = BUILT_IN.map(|command| command.name);
    assert!(names.is_sorted(), "{names:?}");
    assert!(BUILT_IN.iter().all(|command| !command.help.is_empty()));
}

#[test]
fn a_menu_holds_what_contacts_may_use() {
    let mut book = Book::default();
    let mut put = |key: &str, body: &str| book.adopt(&definition(key, body)).expect("a manifest");
    put(
        "price@wa:1102",
        r#"{"template": "x", "help": "What 🍕 costs", "args": [{"name": "what"}]}"#,
    );
    put("hours", r#"{"template": "x"}"#);
    put("order@wa:1103", r#"{"template": "x"}"#);
    put("lunch@general", r#"{"template": "x"}"#);
    put("staff", r#"{"template": "x", "allow": {"role": "member"}}"#);
    put("off", r#"{"template": "x", "disabled": "broken"}"#);
    put("a-name-that-is-longer-than-whatsapp-takes", r#"{"template": "x"}"#);
    const HELP: &str = "[NAME] — list the commands, or explain one";
    let all = Menu::of(&book, "1102", &[]).expect("a menu");
    assert_eq!(
        all.body(),
        json!({"commands": [
            {"command_name": "price", "command_description": "<what> — What  costs"},
            {"command_name": "hours", "command_description": "/hours"},
            {"command_name": "help", "command_description": HELP},
        ]})
        .to_string()
    );
    assert_eq!(all.left_out.len(), 1);
    for (wanted, want) in [
        (&["vote", "/price"][..], Ok(&["vote", "price"][..])),
        (&["order"], Err("there is no command /order for contacts of 1102")),
        (&["staff"], Err("there is no command /staff for contacts of 1102")),
        (&["kick"], Err("there is no command /kick for contacts of 1102")),
        (
            &["a-name-that-is-longer-than-whatsapp-takes"],
            Err("/a-name-that-is-longer-than-whatsapp-takes cannot stand in the menu: \
                 its name is longer than 32 letters"),
        ),
    ] {
        let wanted: Vec<Box<str>> = wanted.iter().map(|name| Box::from(*name)).collect();
        let menu = Menu::of(&book, "1102", &wanted);
        let names = menu
            .as_ref()
            .map(|menu| menu.commands.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
        assert_eq!(names.as_deref().map_err(|why| why.as_str()), want);
    }
    for n in 0..40 {
        book.adopt(&definition(&format!("n{n}"), r#"{"template": "x"}"#)).expect("a manifest");
    }
    let full = Menu::of(&book, "1102", &[]).expect("a menu");
    assert_eq!((full.commands.len(), full.left_out.len()), (30, 1 + 13));
    assert_eq!(full.commands[0].0, "price", "the number's own come first");
}

#[test]
fn built_in_commands_tell_their_arguments() {
    let told = |name: &str| {
        let one = BUILT_IN.iter().find(|one| one.name == name).expect("a command");
        let all = Listed::BuiltIn(one).value()["args"].as_array().cloned().expect("a list");
        let words = all.iter().map(|one| {
            let choices = one["choices"].as_array().map_or(String::new(), |all| format!("{all:?}"));
            let mark = if one["required"] == true { "" } else { "?" };
            format!("{}{mark}{choices}", one["type"].as_str().expect("a type"))
        });
        words.collect::<Vec<_>>().join(" ")
    };
    for (name, want) in [
        ("who", ""),
        ("kick", "user"),
        ("ban", "user string? rest?"),
        ("assign", "user?"),
        ("access", r#"choice[String("open"), String("members")]"#),
        ("poll", "string"),
    ] {
        assert_eq!(told(name), want, "{name}");
    }
}

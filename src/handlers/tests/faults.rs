//! What is said of definitions that are wrong.

use crate::base::limits::{HANDLER_ACTIONS_MAX, HANDLER_CONDITIONS_MAX};
use crate::handlers::{Handler, Say};

#[test]
fn faults() {
    for (when, actions, want) in [
        (r#"{"romm": "a"}"#, "", "`when.romm`: \"romm\" is not known here; did you mean \"room\"?"),
        (
            r#"{"event": "mesage"}"#,
            "",
            "`when.event`: \"mesage\" is not known here; did you mean \"message\"?",
        ),
        (
            r#"{"event": "status", "text": {"equals": "x"}}"#,
            "",
            "is known of the event \"message\" only",
        ),
        (r#"{"event": "unanswered"}"#, "", "`when`: `unanswered_min` is missing"),
        (r#"{"event": "message", "unanswered_min": 5}"#, "", "is for the event \"unanswered\""),
        (r#"{"text": "menu"}"#, "", "`when.text`: wants an object that says how to compare"),
        (r#"{"text": {}}"#, "", "wants one of equals"),
        (
            r#"{"text": {"regex": "a(b"}}"#,
            "",
            "`when.text.regex`: no regular expression: unclosed group",
        ),
        (r#"{"text": {"regex": "(a{50}){50}{50}"}}"#, "", "no regular expression: "),
        (r#"{"text": {"regex": "(?=a)"}}"#, "", "look-around"),
        (r#"{"text": {"keyword": [" "]}}"#, "", "`when.text.keyword[0]`: must not be blank"),
        (r#"{"command": "/order"}"#, "", "the word behind the slash"),
        (r#"{"any": []}"#, "", "`when.any`: wants at least one item"),
        (r#"{"not": {}}"#, "", "names no condition"),
        (r#"{"not": {"from": "contact"}}"#, "", "stands directly in `when`"),
        (
            r#"{"state": "closed"}"#,
            "",
            "\"closed\" is not known here, only open, pending, resolved",
        ),
        (r#"{"status": "deliverd"}"#, "", "did you mean \"delivered\"?"),
        (r#"{"error": "131047"}"#, "", "wants a whole number from 1 to 9999999"),
        ("{}", "{}", "`do`: names no action; there are reply, post"),
        (
            "{}",
            r#"{"replay": "x"}"#,
            "`do.replay`: \"replay\" is not known here; did you mean \"reply\"?",
        ),
        (
            "{}",
            r#"{"reply": "x", "note": "y"}"#,
            "`do.note`: \"note\" is not known here, only reply, quote",
        ),
        ("{}", r#"{"reply": ""}"#, "must not be empty"),
        ("{}", r#"{"reply": {"text": "x"}}"#, "`do.reply`: `type` is missing"),
        ("{}", r#"{"reply": "{{nam}}"}"#, "`{{nam}}` is not known: did you mean `{{name}}`?"),
        ("{}", r#"{"reply": {"type": "text", "text": "{{x"}}"#, "`{{` without `}}`"),
        ("{}", r#"{"reply": "{{match.1}}"}"#, "no regular expression in `when` has this group"),
        (r#"{"text": {"regex": "a"}}"#, r#"{"reply": "{{match.1}}"}"#, "has this group"),
        ("{}", r#"{"reply": "{{args}}"}"#, "`when` names no `command`"),
        (r#"{"command": "x"}"#, r#"{"reply": "{{arg.10}}"}"#, "`arg.1` to `arg.9`"),
        ("{}", r#"{"reply": "{{answers.x}}"}"#, "no `ask` before it keeps an answer `as` this"),
        ("{}", r#"{"reply": "{{reply.x}}"}"#, "only what follows a `call` knows its reply"),
        ("{}", r#"{"post": "x"}"#, "`to` is missing"),
        ("{}", r#"{"ask": "x"}"#, "`as` is missing"),
        ("{}", r#"{"ask": "x", "as": "No"}"#, "small letters"),
        ("{}", r#"{"ask": "x", "as": "n", "again": "y"}"#, "`expect` says, which is missing"),
        (
            "{}",
            r#"{"ask": "x", "as": "n", "else": {"reply": "{{answers.n}}"}}"#,
            "no `ask` before it",
        ),
        ("{}", r#"[{"ask": "x", "as": "n"}, {"reply": "y"}]"#, "`do[0]`: what follows an answer"),
        ("{}", r#"{"call": "ftp://x"}"#, "wants a fixed address"),
        ("{}", r#"{"call": "https://u:p@x/"}"#, "wants a fixed address"),
        ("{}", r#"{"call": "https://{{text}}/"}"#, "wants a fixed address"),
        ("{}", r#"{"call": "https://x/", "secret": "x"}"#, "`do.secret`: a signing key is"),
        ("{}", r#"{"end": false}"#, "wants true"),
        ("{}", r#"{"state": "close"}"#, "only open, pending, resolved"),
    ] {
        let actions = if actions.is_empty() { r#"{"note": "x"}"# } else { actions };
        let json = format!(r#"{{"when": {when}, "do": {actions}}}"#);
        let fault = Handler::parse("h", &json).expect_err(&json).to_string();
        assert!(fault.contains(want), "{json}\n got: {fault}\nwant: {want}");
        assert!(fault.starts_with("line 1, column "), "{fault}");
    }
    for (json, want) in [
        ("", "EOF"),
        ("[]", "wants an object, not a list"),
        ("{\"do\": []}", "`when` is missing"),
        ("{\"when\": {}}", "`do` is missing"),
        ("{\"when\": {}, \"do\": {\"note\": \"x\"}, \"priorty\": 1}", "did you mean \"priority\"?"),
        (
            "{\"when\": {}, \"do\": {\"note\": \"x\"}, \"limits\": {\"times\": 0}}",
            "from 1 to 10000",
        ),
    ] {
        let fault = Handler::parse("h", json).expect_err(json).to_string();
        assert!(fault.contains(want), "{json}: {fault}");
    }
    assert!(Handler::parse("No", "{}").expect_err("name").to_string().contains("a name is"));
}

#[test]
fn bounds() {
    let nested = |depth: usize| {
        let when = r#"{"not": "#.repeat(depth) + r#"{"tag": "x"}"# + &*"}".repeat(depth);
        format!(r#"{{"when": {when}, "do": {{"note": "x"}}}}"#)
    };
    assert!(Handler::parse("h", &nested(8)).is_ok());
    assert!(Handler::parse("h", &nested(9)).expect_err("deep").problem.contains("8 deep"));
    let words = |count| {
        let words = vec!["\"w\""; count].join(",");
        format!(r#"{{"when": {{"text": {{"keyword": [{words}]}}}}, "do": {{"note": "x"}}}}"#)
    };
    assert!(Handler::parse("h", &words(HANDLER_CONDITIONS_MAX - 1)).is_ok());
    assert!(Handler::parse("h", &words(HANDLER_CONDITIONS_MAX)).is_err());
    let actions = |count| {
        let actions = vec![r#"{"note": "x"}"#; count].join(",");
        format!(r#"{{"when": {{}}, "do": [{actions}]}}"#)
    };
    assert!(Handler::parse("h", &actions(HANDLER_ACTIONS_MAX)).is_ok());
    assert!(Handler::parse("h", &actions(HANDLER_ACTIONS_MAX + 1)).is_err());
}

#[test]
fn all_that_is_said_can_be_checked_before() {
    let json = r#"{"when": {}, "do": [{"reply": "a {{name}}"}, {"ask": "b", "as": "n",
        "expect": {"prefix": "x"}, "again": {"type": "text", "text": "{{text}}"},
        "then": {"reply": "c"}}]}"#;
    let says = Handler::parse("h", json).expect("good").says("x");
    let want = ["a x", "b", "{\"text\":\"x\",\"type\":\"text\"}", "c"];
    let texts: Vec<_> = says
        .iter()
        .map(|say| match say {
            Say::Text(text) | Say::Content(text) => &**text,
        })
        .collect();
    assert_eq!(texts, want);
}

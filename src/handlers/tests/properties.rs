//! What holds for all definitions and texts.

use super::{Desk, NOW_MS, contact};
use crate::base::limits::RECORD_BYTES_MAX;
use crate::handlers::{Action, Handler, Handlers, Occasion, Say};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_no_definition_or_a_good_one(json in "\\PC{0,60}", name in "[a-z/]{0,4}") {
        let _ = Handler::parse(&name, &json);
        let when = format!(r#"{{"text": {{"regex": {json:?}}}}}"#);
        let json = format!(r#"{{"when": {when}, "do": {{"reply": {json:?}}}}}"#);
        if let Ok(handler) = Handler::parse("h", &json) {
            let mut handlers = Handlers::default();
            handlers.put(handler);
            handlers.consider(&Occasion { text: &name, ..contact(NOW_MS) }, &mut Vec::new());
        }
    }

    /// Nobody writes a field into a message, whatever they are called.
    #[test]
    fn contents_stay_whole(text in any::<String>()) {
        let json = r#"{"when": {}, "do": {"reply":
            {"type": "text", "text": "<{{text}}>", "list": [{"{{x}}": "{{name|n}}"}]}}}"#;
        let mut handlers = Handlers::default();
        handlers.put(Handler::parse("h", json).expect("good"));
        let mut out = Vec::new();
        handlers.consider(&Occasion { text: &text, name: &text, ..contact(NOW_MS) }, &mut out);
        let Action::Reply { say: Say::Content(content), .. } = &out[0].actions[0] else {
            panic!("{out:?}");
        };
        let value: serde_json::Value = serde_json::from_str(content).expect("JSON");
        prop_assert_eq!(&value["text"], &serde_json::Value::from(format!("<{text}>")));
        prop_assert_eq!(value.as_object().expect("an object").len(), 3);
    }

    /// What is found in a text folded once is what one would find word by word.
    #[test]
    fn words_are_found_as_people_see_them(
        before in "[ a,é]{0,4}", word in "[aé]{1,2}", after in "[ a.é]{0,4}"
    ) {
        let when = format!(r#"{{"text": {{"keyword": {word:?}}}}}"#);
        let json = format!(r#"{{"when": {when}, "do": {{"end": true}}}}"#);
        let mut desk = Desk::with(&[("h", &json)]);
        let text = format!("{before}{word}{after}").to_uppercase();
        let words: Vec<_> = text.split(|c: char| !c.is_alphanumeric()).collect();
        let want = words.contains(&&*word.to_uppercase());
        prop_assert_eq!(!desk.hear(&text).is_empty(), want, "{}", text);
    }
}

/// A question fits a record of the log, whatever people say before and after it.
#[test]
fn what_is_kept_is_bounded() {
    let groups = (1..=9).map(|n| format!("{{{{match.{n}}}}} {{{{arg.{n}}}}}")).collect::<Vec<_>>();
    let uses = groups[..7].join("");
    let json = format!(
        r#"{{"when": {{"command": "x", "text": {{"regex": "{}"}}}}, "do":
            {{"ask": "a", "as": "n", "then": {{"reply": "{uses}{{{{answers.n}}}}"}}}}}}"#,
        "((((((((.*)))))))) (.*)".replace(' ', "(?s)")
    );
    let mut desk = Desk::with(&[("h", &json)]);
    let text = format!("/x {}", format!("{} ", "\u{1}".repeat(1_000)).repeat(9));
    let asked = desk.hear(&text);
    assert!(asked.contains("wait"), "{asked}");
    let (stored, _) = desk.step.as_ref().expect("a question");
    assert!(stored.len() > 8_000 && stored.len() < RECORD_BYTES_MAX / 2, "{}", stored.len());
    let long = "é".repeat(40_000);
    assert!(desk.hear(&long).len() < 100_000);
}

//! What is understood, what is refused and where.

use super::*;
use crate::log::record::{Delivery, Outcome, Source};
use crate::scan::zone::Zone;

/// A command of 18:01 on a Sunday, with a source for the sake of the test.
struct Sample;

impl Facts for Sample {
    fn kind(&self) -> Option<Kind> {
        Some(Kind::Command)
    }

    fn ts_us(&self) -> Option<i64> {
        Some(1_795_370_463_000_000)
    }

    fn text(&self, field: TextField) -> Option<&str> {
        match field {
            TextField::User => Some("ann o'neil"),
            TextField::Room => Some("wa:49"),
            TextField::Command => Some("dice"),
            TextField::Text => None,
        }
    }

    fn number(&self, field: NumberField) -> Option<u64> {
        match field {
            NumberField::Source => Some(Source::Ws as u64),
            NumberField::Status => Some(Delivery::Failed as u64),
            NumberField::Outcome => Some(Outcome::Ok as u64),
            NumberField::Size => Some(40),
            NumberField::Duration => Some(2_500),
            _ => None,
        }
    }
}

#[test]
fn conditions() {
    check("kind = command", "true");
    check("kind != command", "false");
    check("user = \"ann o'neil\" and room = wa:49", "true");
    check("user = bob or room ~ ^wa:", "true");
    check("not user = bob", "true");
    check("not (user = bob or size > 39) or hour = 18 and weekday = sun", "true");
    check("size>=40 and size<=40 and size!=41 and not size<40", "true");
    check("duration > 2ms and duration < 1s and duration = 2500us", "true");
    check("source = ws and status = failed and outcome = ok", "true");
    check("weekday != sun", "false");
    // A command has no text and this one no error: every test of those is false.
    check("text ~ . or text != x or error != 5 or error < 10", "false");
    check("not text = x", "true");
}

#[test]
fn refusals_point_at_the_place() {
    check("usr = bob", "--where: \"usr\" is no field\n  usr = bob\n  ^");
    check("size > big", "--where: \"big\" is no number\n  size > big\n         ^");
    check("size ~ 4", "--where: size is not compared with ~\n  size ~ 4\n       ^");
    check("user < a", "--where: user takes = and != and ~ only\n  user < a\n       ^");
    check("kind > name", "--where: kind takes = and != only\n  kind > name\n       ^");
    check("(user = a", "--where: this is not closed\n  (user = a\n  ^");
    check("user = 'a", "--where: this quote is not closed\n  user = 'a\n         ^");
    check("user = a b", "--where: expected `and`, `or` or the end\n  user = a b\n           ^");
    check("user", "--where: expected one of != <= >= = < > ~\n  user\n      ^");
    check("", "--where: expected a field\n  \n  ^");
    check("größe = 1", "--where: \"größe\" is no field\n  größe = 1\n  ^");
    check(
        "weekday = sunday",
        concat!(
            "--where: weekday is one of mon tue wed thu fri sat sun\n",
            "  weekday = sunday\n            ^"
        ),
    );
    assert!(Condition::parse("user ~ \"(\"").unwrap_err().contains("not a regular expression: "));
    assert!(Condition::parse(&"not ".repeat(500)).unwrap_err().contains("too deep"));
}

#[track_caller]
fn check(source: &str, want: &str) {
    let got = match Condition::parse(source) {
        Ok(condition) => condition.holds(&Sample, &Zone::UTC.clock()).to_string(),
        Err(why) => why,
    };
    assert_eq!(got, want, "{source}");
}

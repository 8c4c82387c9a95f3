//! `--where`: conditions on records.
//!
//! ```text
//! condition  = and { "or" and }
//! and        = not { "and" not }
//! not        = "not" not | "(" condition ")" | field operator value
//! operator   = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~"
//! value      = number | word | "text" | 'text'
//! ```
//!
//! | field | value | operators |
//! | --- | --- | --- |
//! | `user` `room` `command` `text` | text | `=` `!=` `~` (regular expression) |
//! | `kind` `source` `direction` `status` `outcome` `weekday` | a name of the list | `=` `!=` |
//! | `size` `error` `hour` | number | all but `~` |
//! | `duration` | number with `us`, `ms` or `s` | all but `~` |
//!
//! A test of a field that a record does not have is false, also with `!=`. Hours and weekdays are
//! those of `--tz`.

mod parse;

#[cfg(test)]
mod tests;

use super::bucket::week_hour;
use super::zone::Clock;
use crate::log::Kind;
use regex::Regex;
use std::cmp::Ordering;

/// A condition that was understood.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    Text(TextField, TextTest),
    Number(NumberField, Comparison, u64),
    Kind(Kind, Equality),
}

/// Fields that are texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TextField {
    User,
    Room,
    Command,
    Text,
}

/// Fields that are numbers, codes of short lists among them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NumberField {
    Source,
    Direction,
    Status,
    Outcome,
    Weekday,
    Size,
    Error,
    Hour,
    Duration,
}

/// Whether a value must be the one named, or must not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Equality {
    Same,
    Other,
}

/// How a text is tested.
#[derive(Clone, Debug)]
pub(super) enum TextTest {
    Is(String, Equality),
    Matches(Regex),
}

/// How a number is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A record as conditions see it; `None`: it has no such field.
pub(super) trait Facts {
    fn kind(&self) -> Option<Kind>;
    fn ts_us(&self) -> Option<i64>;
    fn text(&self, field: TextField) -> Option<&str>;
    fn number(&self, field: NumberField) -> Option<u64>;
}

impl Condition {
    /// Understands a condition, or says what is wrong and where.
    pub(super) fn parse(source: &str) -> Result<Self, String> {
        parse::parse(source)
    }

    /// Whether it holds for a record.
    pub(super) fn holds(&self, facts: &dyn Facts, clock: &Clock<'_>) -> bool {
        match self {
            Self::And(left, right) => left.holds(facts, clock) && right.holds(facts, clock),
            Self::Or(left, right) => left.holds(facts, clock) || right.holds(facts, clock),
            Self::Not(inner) => !inner.holds(facts, clock),
            Self::Text(field, test) => facts.text(*field).is_some_and(|text| test.holds(text)),
            Self::Number(field, comparison, value) => {
                let number = match field {
                    NumberField::Hour | NumberField::Weekday => facts.ts_us().map(|ts_us| {
                        let hour = week_hour(clock.wall_us(ts_us)) as u64;
                        if *field == NumberField::Hour { hour % 24 } else { hour / 24 + 1 }
                    }),
                    _ => facts.number(*field),
                };
                number.is_some_and(|number| comparison.holds(number.cmp(value)))
            }
            Self::Kind(kind, equality) => {
                facts.kind().is_some_and(|one| (one == *kind) == (*equality == Equality::Same))
            }
        }
    }
}

impl TextTest {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Is(wanted, equality) => (text == wanted) == (*equality == Equality::Same),
            Self::Matches(regex) => regex.is_match(text),
        }
    }
}

impl Comparison {
    const fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

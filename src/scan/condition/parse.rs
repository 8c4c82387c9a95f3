//! From the text of a condition to its tree; errors point at the place.

use super::{Comparison, Condition, Equality, NumberField, TextField, TextTest};
use crate::log::Kind;
use crate::log::record::{Delivery, Direction, Outcome, Source};
use regex::Regex;

/// Parentheses and `not` inside each other: bounds the stack.
const DEPTH_MAX: usize = 64;

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A piece of a condition and where it begins, in bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Token {
    at: usize,
    what: What,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum What {
    /// Letters, digits and what names are made of.
    Word(String),
    /// In quotes.
    Quoted(String),
    Operator(&'static str),
    Open,
    Close,
    End,
}

/// What is wrong, and where.
struct Fault {
    at: usize,
    why: String,
}

pub(super) fn parse(source: &str) -> Result<Condition, String> {
    let parsed = tokens(source).and_then(|tokens| {
        let mut parser = Parser { tokens, next: 0, depth: 0 };
        let condition = parser.or()?;
        match parser.peek() {
            Token { what: What::End, .. } => Ok(condition),
            other => Err(Fault { at: other.at, why: "expected `and`, `or` or the end".into() }),
        }
    });
    parsed.map_err(|fault| {
        // A caret below the place; control characters would move it.
        let line: String = source.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let column = source[..fault.at].chars().count();
        format!("--where: {}\n  {line}\n  {}^", fault.why, " ".repeat(column))
    })
}

const OPERATORS: [&str; 7] = ["!=", "<=", ">=", "=", "<", ">", "~"];

fn tokens(source: &str) -> Result<Vec<Token>, Fault> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = source[at..].chars().next() {
        let rest = &source[at..];
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (what, len) = if let Some(found) = OPERATORS.iter().find(|op| rest.starts_with(**op)) {
            (What::Operator(found), found.len())
        } else if first == '(' || first == ')' {
            (if first == '(' { What::Open } else { What::Close }, 1)
        } else if first == '"' || first == '\'' {
            let Some(len) = rest[1..].find(first) else {
                return Err(Fault { at, why: "this quote is not closed".into() });
            };
            (What::Quoted(rest[1..1 + len].to_owned()), len + 2)
        } else {
            let is_end = |c: char| c.is_whitespace() || "()\"'=!<>~".contains(c);
            let len = rest.find(is_end).unwrap_or(rest.len());
            if len == 0 {
                return Err(Fault { at, why: format!("{first:?} means nothing here") });
            }
            (What::Word(rest[..len].to_owned()), len)
        };
        tokens.push(Token { at, what });
        at += len;
    }
    tokens.push(Token { at, what: What::End });
    Ok(tokens)
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.next]
    }

    fn take(&mut self) -> Token {
        let token = self.tokens[self.next].clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let found = matches!(&self.peek().what, What::Word(one) if one == word);
        if found {
            self.take();
        }
        found
    }

    fn or(&mut self) -> Result<Condition, Fault> {
        let mut left = self.and()?;
        while self.takes_word("or") {
            left = Condition::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Condition, Fault> {
        let mut left = self.not()?;
        while self.takes_word("and") {
            left = Condition::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Condition, Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Fault { at: self.peek().at, why: "too deep".into() });
        }
        let condition = if self.takes_word("not") {
            Condition::Not(Box::new(self.not()?))
        } else if self.peek().what == What::Open {
            let open = self.take();
            let inner = self.or()?;
            if self.take().what != What::Close {
                return Err(Fault { at: open.at, why: "this is not closed".into() });
            }
            inner
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn test(&mut self) -> Result<Condition, Fault> {
        let field = self.take();
        let What::Word(name) = &field.what else {
            return Err(Fault { at: field.at, why: "expected a field".into() });
        };
        let operator = self.take();
        let What::Operator(operator_text) = operator.what else {
            let why = format!("expected one of {}", OPERATORS.join(" "));
            return Err(Fault { at: operator.at, why });
        };
        let value = self.take();
        let (What::Word(text) | What::Quoted(text)) = &value.what else {
            return Err(Fault { at: value.at, why: "expected a value".into() });
        };
        let fault = |at| move |why: String| Fault { at, why };
        match name.as_str() {
            "user" => text_test(TextField::User, operator_text, text),
            "room" => text_test(TextField::Room, operator_text, text),
            "command" => text_test(TextField::Command, operator_text, text),
            "text" => text_test(TextField::Text, operator_text, text),
            name => {
                let comparison = comparison(operator_text).ok_or_else(|| {
                    fault(operator.at)(format!("{name} is not compared with {operator_text}"))
                })?;
                return listed(name, comparison, text)
                    .unwrap_or_else(|| numeric(name, comparison, text))
                    .map_err(|wrong| match wrong {
                        Wrong::Field => fault(field.at)(format!("{name:?} is no field")),
                        Wrong::Operator => {
                            fault(operator.at)(format!("{name} takes = and != only"))
                        }
                        Wrong::Value(why) => fault(value.at)(why),
                    });
            }
        }
        .map_err(|wrong| match wrong {
            Wrong::Value(why) => fault(value.at)(why),
            _ => fault(operator.at)(format!("{name} takes = and != and ~ only")),
        })
    }
}

/// Which part of a test is wrong.
enum Wrong {
    Field,
    Operator,
    Value(String),
}

fn comparison(operator: &str) -> Option<Comparison> {
    Some(match operator {
        "=" => Comparison::Equal,
        "!=" => Comparison::Unequal,
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

fn text_test(field: TextField, operator: &str, text: &str) -> Result<Condition, Wrong> {
    let test = match operator {
        "=" => TextTest::Is(text.to_owned(), Equality::Same),
        "!=" => TextTest::Is(text.to_owned(), Equality::Other),
        "~" => TextTest::Matches(Regex::new(text).map_err(|error| {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            Wrong::Value(format!(
                "not a regular expression: {}",
                last.trim_start_matches("error: ")
            ))
        })?),
        _ => return Err(Wrong::Operator),
    };
    Ok(Condition::Text(field, test))
}

/// Fields whose values are the names of a list; `None` for other fields.
fn listed(name: &str, comparison: Comparison, text: &str) -> Option<Result<Condition, Wrong>> {
    let names: Vec<(&str, u64)> = match name {
        "kind" => {
            let own = Kind::ALL.iter().filter(|kind| kind.reported() == **kind);
            own.map(|one| (one.name(), u64::from(one.tag()))).collect()
        }
        "source" => Source::ALL.iter().map(|one| (one.name(), *one as u64)).collect(),
        "direction" => Direction::ALL.iter().map(|one| (one.name(), *one as u64)).collect(),
        "status" => Delivery::ALL.iter().map(|one| (one.name(), *one as u64)).collect(),
        "outcome" => Outcome::ALL.iter().map(|one| (one.name(), *one as u64)).collect(),
        "weekday" => (1..).zip(WEEKDAYS).map(|(number, day)| (day, number)).collect(),
        _ => return None,
    };
    let equality = match comparison {
        Comparison::Equal => Equality::Same,
        Comparison::Unequal => Equality::Other,
        _ => return Some(Err(Wrong::Operator)),
    };
    let Some((_, number)) = names.iter().find(|(one, _)| *one == text) else {
        let all: Vec<_> = names.iter().map(|(one, _)| *one).collect();
        return Some(Err(Wrong::Value(format!("{name} is one of {}", all.join(" ")))));
    };
    let field = match name {
        "kind" => {
            let kind = Kind::from_tag(*number as u16).expect("a tag of the list");
            return Some(Ok(Condition::Kind(kind, equality)));
        }
        "source" => NumberField::Source,
        "direction" => NumberField::Direction,
        "status" => NumberField::Status,
        "outcome" => NumberField::Outcome,
        _ => NumberField::Weekday,
    };
    Some(Ok(Condition::Number(field, comparison, *number)))
}

fn numeric(name: &str, comparison: Comparison, text: &str) -> Result<Condition, Wrong> {
    let field = match name {
        "size" => NumberField::Size,
        "error" => NumberField::Error,
        "hour" => NumberField::Hour,
        "duration" => NumberField::Duration,
        _ => return Err(Wrong::Field),
    };
    let (digits, unit) = match (field, text) {
        (NumberField::Duration, text) => ["us", "ms", "s"]
            .into_iter()
            .zip([1, 1_000, 1_000_000])
            .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))
            .unwrap_or((text, 1)),
        (_, text) => (text, 1),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    let number = number.ok_or_else(|| Wrong::Value(format!("{text:?} is no number")))?;
    Ok(Condition::Number(field, comparison, number))
}

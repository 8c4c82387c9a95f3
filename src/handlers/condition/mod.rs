//! Conditions on an occasion, and how they compose.

mod hours;

mod parse;
pub(super) use parse::{Budget, CONDITIONS, OUTERMOST, STATUSES, When, parse};

mod text;
pub(super) use text::{NAMES, TextTest, fold, front};

use super::occasion::Occasion;
use super::template::Kept;
use crate::base::limits::HANDLER_SEARCH_BYTES_MAX;
use crate::base::names::rule_fits;
use hours::Hours;
use std::cell::Cell;

/// Names, any of which will do.
type Names = Vec<Box<str>>;

/// One condition.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Number(Names),
    Room(Names),
    Sender(Names),
    Text(TextTest),
    Command(Names),
    Content(Names),
    Choice(Names),
    Hours(Hours),
    FirstContact(bool),
    Tag(Names),
    State(Names),
    Assigned(bool),
    Assignee(Names),
    Status(Names),
    Error(Vec<u32>),
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
}

/// The text of an occasion as the tests look at it, and how much may still be looked at.
#[derive(Debug)]
pub(super) struct Look<'l> {
    /// The front of it.
    pub text: &'l str,
    /// The same in small letters; empty when no handler for the event asks for it.
    pub folded: &'l str,
    search_bytes_left: Cell<usize>,
    /// A search was refused: whatever comes of this look is not known.
    pub is_exhausted: Cell<bool>,
}

impl<'l> Look<'l> {
    pub(super) fn of_text(text: &'l str, folded: &'l str) -> Self {
        Self {
            text,
            folded,
            search_bytes_left: Cell::new(HANDLER_SEARCH_BYTES_MAX),
            is_exhausted: Cell::new(false),
        }
    }

    /// Whether one more regular expression may go over the text.
    fn may_search(&self) -> bool {
        match self.search_bytes_left.get().checked_sub(self.text.len().max(64)) {
            Some(left) => self.search_bytes_left.set(left),
            None => self.is_exhausted.set(true),
        }
        !self.is_exhausted.get()
    }
}

impl Test {
    pub(super) fn holds(&self, occasion: &Occasion<'_>, look: &Look<'_>) -> bool {
        let is = |names: &Names, text: &str| names.iter().any(|name| **name == *text);
        let fits = |rules: &Names, text: &str| rules.iter().any(|rule| rule_fits(rule, text));
        match self {
            Self::Number(numbers) => occasion.number.is_some_and(|number| is(numbers, number)),
            Self::Room(rules) => fits(rules, occasion.room),
            Self::Sender(rules) => fits(rules, occasion.sender),
            Self::Text(test) => test.holds(look),
            Self::Command(names) => command(look.text).is_some_and(|(name, _)| is(names, name)),
            Self::Content(types) => is(types, occasion.content_type),
            Self::Choice(rules) => occasion.choice.is_some_and(|choice| fits(rules, choice)),
            Self::Hours(hours) => hours.hold(occasion.now_ms),
            Self::FirstContact(wanted) => occasion.is_first_contact == *wanted,
            Self::Tag(tags) => occasion.tags.iter().any(|tag| is(tags, tag)),
            Self::State(states) => is(states, occasion.state),
            Self::Assigned(wanted) => occasion.assignee.is_empty() != *wanted,
            Self::Assignee(rules) => {
                !occasion.assignee.is_empty() && fits(rules, occasion.assignee)
            }
            Self::Status(names) => is(names, occasion.status),
            Self::Error(errors) => errors.contains(&occasion.error),
            Self::All(tests) => tests.iter().all(|test| test.holds(occasion, look)),
            Self::Any(tests) => tests.iter().any(|test| test.holds(occasion, look)),
            Self::Not(test) => !test.holds(occasion, look),
        }
    }

    /// Puts aside what the conditions found: groups of the first regular expression that fits, and
    /// the arguments of a command.
    pub(super) fn capture(&self, occasion: &Occasion<'_>, kept: &mut Kept) {
        self.capture_groups(occasion.text, kept);
        let mut has_command = false;
        self.visit(&mut |test| has_command |= matches!(test, Self::Command(_)));
        if let Some((_, args)) = command(occasion.text).filter(|_| has_command) {
            kept.insert("args".to_owned(), args.to_owned());
            for (index, arg) in args.split_whitespace().take(9).enumerate() {
                kept.insert(format!("arg.{}", index + 1), arg.to_owned());
            }
        }
    }

    fn capture_groups(&self, text: &str, kept: &mut Kept) -> bool {
        match self {
            Self::Text(test) => test.captures(text, kept),
            Self::All(tests) | Self::Any(tests) => {
                tests.iter().any(|test| test.capture_groups(text, kept))
            }
            // What must not be there has found nothing.
            _ => false,
        }
    }

    /// Itself and all within it, but for what is in a `not`.
    pub(super) fn visit(&self, see: &mut dyn FnMut(&Self)) {
        see(self);
        if let Self::All(tests) | Self::Any(tests) = self {
            tests.iter().for_each(|test| test.visit(see));
        }
    }

    /// Whether it needs the text in small letters.
    pub(super) fn folds(&self) -> bool {
        match self {
            Self::Text(test) => test.folds(),
            Self::All(tests) | Self::Any(tests) => tests.iter().any(Self::folds),
            Self::Not(test) => test.folds(),
            _ => false,
        }
    }

    /// What it costs to ask, in no unit: cheap ones come first.
    fn cost(&self) -> u32 {
        match self {
            Self::Number(_)
            | Self::Content(_)
            | Self::FirstContact(_)
            | Self::State(_)
            | Self::Assigned(_)
            | Self::Status(_)
            | Self::Error(_) => 1,
            Self::Choice(_) | Self::Assignee(_) | Self::Tag(_) | Self::Command(_) => 2,
            Self::Room(_) | Self::Sender(_) => 3,
            Self::Text(test) if test.is_costly() => 200,
            Self::Text(_) => 20,
            Self::Hours(_) => 100,
            Self::All(tests) | Self::Any(tests) => tests.iter().map(Self::cost).sum(),
            Self::Not(test) => test.cost(),
        }
    }
}

/// Name and arguments of `/name arguments`.
pub(super) fn command(text: &str) -> Option<(&str, &str)> {
    let line = text.trim_start().strip_prefix('/')?;
    let (name, args) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (!name.is_empty()).then_some((name, args.trim()))
}

//! Why a message cannot be sent as it is: the field, the bound, and what was given.

use std::fmt;

/// A field and what is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Path of the field in what was given, like `buttons[1].title`.
    pub field: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with a field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// It must be there.
    Missing,
    /// Nothing has such a field; says which there are.
    Unknown(&'static [&'static str]),
    /// It must be something else: "a text".
    NotA(&'static str),
    /// A text has too many characters.
    Long {
        /// Most characters.
        max: usize,
        /// Characters given.
        given: usize,
    },
    /// A list, or several of them together, have too many items.
    Many {
        /// Most items.
        max: usize,
        /// Items given.
        given: usize,
    },
    /// It must not be empty.
    Empty,
    /// Something before it says the same.
    Twice(String),
    /// Exactly one of these must be there.
    OneOf(&'static [&'static str]),
    /// It has another form.
    Form {
        /// Completes "wants …".
        wants: &'static str,
        /// What was given, cut short.
        given: String,
    },
}

impl Refused {
    pub(super) fn new(field: impl Into<String>, problem: Problem) -> Self {
        Self { field: field.into(), problem }
    }

    pub(super) fn form(field: impl Into<String>, wants: &'static str, given: &str) -> Self {
        let end = given.floor_char_boundary(GIVEN_BYTES_MAX);
        let ellipsis = if end < given.len() { "…" } else { "" };
        Self::new(field, Problem::Form { wants, given: format!("{}{ellipsis}", &given[..end]) })
    }
}

/// How much of what was given is told back.
const GIVEN_BYTES_MAX: usize = 64;

/// One sentence for people.
impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = &self.field;
        match &self.problem {
            Problem::Missing => write!(out, "`{field}` is missing"),
            Problem::Unknown(known) => {
                write!(out, "`{field}` is not known here, only {}", known.join(", "))
            }
            Problem::NotA(what) => write!(out, "`{field}` must be {what}"),
            Problem::Long { max, given } => {
                write!(out, "`{field}` takes at most {max} characters, {given} were given")
            }
            Problem::Many { max, given } => {
                write!(out, "`{field}` takes at most {max} items, {given} were given")
            }
            Problem::Empty => write!(out, "`{field}` must not be empty"),
            Problem::Twice(given) => write!(out, "`{field}` is {given:?} a second time"),
            Problem::OneOf(names) => {
                write!(out, "`{field}` wants exactly one of {}", names.join(", "))
            }
            Problem::Form { wants, given } => {
                write!(out, "`{field}` wants {wants}, not {given:?}")
            }
        }
    }
}

impl std::error::Error for Refused {}

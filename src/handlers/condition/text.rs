//! What a text says: words, beginnings, patterns.

use super::Look;
use super::parse::Budget;
use crate::base::limits::{
    HANDLER_REGEX_BYTES_MAX, HANDLER_REGEX_COMPILED_MAX, HANDLER_TEXT_BYTES_MAX,
};
use crate::handlers::template::Kept;
use crate::registry::Fault;
use crate::registry::part::Part;
use memchr::memmem::Finder;
use regex::{Regex, RegexBuilder};

/// All of what it names must hold; of a list, one item.
#[derive(Clone, Debug)]
pub(in crate::handlers) struct TextTest {
    groups: Vec<Vec<Pattern>>,
    ignore_case: bool,
}

#[derive(Clone, Debug)]
enum Pattern {
    Equals(Box<str>),
    Prefix(Box<str>),
    Contains(Finder<'static>),
    Keyword(Finder<'static>),
    Regex(Regex),
}

/// The names of patterns in definitions.
pub(in crate::handlers) const NAMES: [&str; 5] =
    ["equals", "prefix", "contains", "keyword", "regex"];

impl TextTest {
    /// Reads `{"keyword": ["hi", "hello"], "ignore_case": true}`.
    pub(in crate::handlers) fn parse(part: &Part<'_>, budget: &mut Budget) -> Result<Self, Fault> {
        if !part.is_object() {
            let names = NAMES.join(", ");
            let problem = format!(
                "wants an object that says how to compare ({names}), \
                 as in {{\"keyword\": \"menu\"}}"
            );
            return Err(part.fault(problem));
        }
        let fields = part.object()?;
        fields.only(NAMES.into_iter().chain(["ignore_case"]))?;
        let ignore_case = fields.get("ignore_case").map_or(Ok(true), Part::flag)?;
        let mut groups = Vec::new();
        for (name, part) in fields.iter().filter(|(name, _)| *name != "ignore_case") {
            let mut group = Vec::new();
            for item in part.one_or_more()? {
                budget.take(&item)?;
                group.push(Pattern::parse(name, &item, ignore_case)?);
            }
            groups.push(group);
        }
        if groups.is_empty() {
            return Err(part.fault(format!("wants one of {}", NAMES.join(", "))));
        }
        Ok(Self { groups, ignore_case })
    }

    /// Whether the text of the occasion is so.
    pub(super) fn holds(&self, look: &Look<'_>) -> bool {
        let text = if self.ignore_case { look.folded } else { look.text };
        self.groups.iter().all(|group| group.iter().any(|pattern| pattern.fits(text, look)))
    }

    /// Whether a text is so that nobody has folded.
    pub(in crate::handlers) fn fits(&self, text: &str) -> bool {
        let text = front(text);
        let mut folded = String::new();
        fold(text, &mut folded);
        self.holds(&Look::of_text(text, &folded))
    }

    /// Puts what the groups of the first regular expression that fits have found into `kept`, as
    /// `match.1` and `match.name`.
    pub(super) fn captures(&self, text: &str, kept: &mut Kept) -> bool {
        for regex in self.regexes() {
            let Some(found) = regex.captures(front(text)) else { continue };
            for (number, name) in regex.capture_names().enumerate() {
                let group = found.get(number).map_or("", |group| group.as_str());
                for key in [Some(number.to_string()), name.map(str::to_owned)].into_iter().flatten()
                {
                    kept.insert(format!("match.{key}"), group.to_owned());
                }
            }
            return true;
        }
        false
    }

    /// The groups of all its regular expressions.
    pub(super) fn group_names(&self, names: &mut Vec<String>) {
        for regex in self.regexes() {
            names.extend((0..regex.captures_len()).map(|number| number.to_string()));
            names.extend(regex.capture_names().flatten().map(str::to_owned));
        }
    }

    /// Whether it needs the text folded.
    pub(super) fn folds(&self) -> bool {
        let is_literal = |pattern: &Pattern| !matches!(pattern, Pattern::Regex(_));
        self.ignore_case && self.groups.iter().flatten().any(is_literal)
    }

    /// Whether it needs a regular expression: then it comes last.
    pub(super) fn is_costly(&self) -> bool {
        self.regexes().next().is_some()
    }

    fn regexes(&self) -> impl Iterator<Item = &Regex> {
        self.groups.iter().flatten().filter_map(|pattern| match pattern {
            Pattern::Regex(regex) => Some(regex),
            _ => None,
        })
    }
}

impl Pattern {
    fn parse(name: &str, part: &Part<'_>, ignore_case: bool) -> Result<Self, Fault> {
        let text = part.text(HANDLER_REGEX_BYTES_MAX)?;
        if name == "regex" {
            return regex(&text, part, ignore_case);
        }
        let mut wanted = text.trim().to_owned();
        if wanted.is_empty() {
            return Err(part.fault("must not be blank"));
        }
        if ignore_case {
            let mut folded = String::new();
            fold(&wanted, &mut folded);
            wanted = folded;
        }
        Ok(match name {
            "equals" => Self::Equals(wanted.into()),
            "prefix" => Self::Prefix(wanted.into()),
            "contains" => Self::Contains(Finder::new(wanted.as_bytes()).into_owned()),
            "keyword" => Self::Keyword(Finder::new(wanted.as_bytes()).into_owned()),
            other => unreachable!("{other} is not among the names"),
        })
    }

    fn fits(&self, text: &str, look: &Look<'_>) -> bool {
        match self {
            Self::Equals(wanted) => text.trim() == &**wanted,
            Self::Prefix(wanted) => text.trim_start().starts_with(&**wanted),
            Self::Contains(finder) => finder.find(text.as_bytes()).is_some(),
            Self::Keyword(finder) => has_word(text, finder),
            Self::Regex(regex) => look.may_search() && regex.is_match(look.text),
        }
    }
}

/// Linear in the text whatever the pattern (the crate promises that), and the pattern is bounded.
fn regex(pattern: &str, part: &Part<'_>, ignore_case: bool) -> Result<Pattern, Fault> {
    let regex = RegexBuilder::new(pattern)
        .case_insensitive(ignore_case)
        .size_limit(HANDLER_REGEX_COMPILED_MAX)
        .nest_limit(32)
        .build();
    regex.map(Pattern::Regex).map_err(|error| {
        let text = error.to_string();
        // The crate draws the place over several lines; the last one says what is wrong.
        let last = text.lines().last().unwrap_or_default();
        part.fault(format!("no regular expression: {}", last.trim_start_matches("error: ")))
    })
}

/// Whether the word stands alone: no letter, digit or underscore before and behind it.
fn has_word(text: &str, finder: &Finder<'_>) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    finder.find_iter(text.as_bytes()).any(|at| {
        let end = at + finder.needle().len();
        !text[..at].chars().next_back().is_some_and(is_part)
            && !text[end..].chars().next().is_some_and(is_part)
    })
}

/// What is looked at of a text.
pub(in crate::handlers) fn front(text: &str) -> &str {
    &text[..text.floor_char_boundary(HANDLER_TEXT_BYTES_MAX)]
}

/// Makes small letters of large ones: letter by letter, as Unicode has it without a language.
pub(in crate::handlers) fn fold(text: &str, folded: &mut String) {
    folded.clear();
    if text.is_ascii() {
        folded.push_str(text);
        folded.make_ascii_lowercase();
    } else {
        folded.extend(text.chars().flat_map(char::to_lowercase));
    }
}

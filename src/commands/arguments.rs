//! What stands behind the name of a command: words, and the values that they mean.
//!
//! Words are split as a shell does it: white space ends one, quotes keep it together, a backslash
//! takes the next character as it is. The quotes that telephones write by themselves count too.

use super::manifest::{Argument, Manifest, Type};
use crate::base::limits::{ROOM_NAME_BYTES_MAX, USER_NAME_BYTES_MAX};
use serde_json::{Map, Value};

/// A word and where it began, in bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Word {
    /// Without quotes and backslashes.
    pub text: String,
    /// Where it stands in the line.
    pub at: usize,
}

/// The arguments of one call.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Given {
    /// The line as it was typed.
    pub line: Box<str>,
    /// Its words.
    pub words: Vec<String>,
    /// The values, by the names of the manifest; what was left out and has no default is missing.
    pub values: Map<String, Value>,
}

/// Splits a line into words. The error says which quote has no end.
pub fn words(line: &str) -> Result<Vec<Word>, String> {
    let mut words: Vec<Word> = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote: Option<(char, usize)> = None;
    let mut letters = line.char_indices();
    while let Some((at, letter)) = letters.next() {
        let open = word.is_some();
        let current = || Word { text: String::with_capacity((line.len() - at).min(64)), at };
        match (letter, quote) {
            ('\\', None | Some(('"', _))) => {
                let taken = letters.next().map_or('\\', |(_, next)| next);
                // As in a shell, between quotes a backslash is one unless it has to be.
                let keeps = quote.is_some() && !matches!(taken, '"' | '\\');
                let word = word.get_or_insert_with(current);
                if keeps {
                    word.text.push('\\');
                }
                word.text.push(taken);
            }
            (letter, Some((end, _))) if letter == end => quote = None,
            (letter, Some(_)) => word.get_or_insert_with(current).text.push(letter),
            (letter, None) if letter.is_whitespace() => words.extend(word.take()),
            // An apostrophe within a word is one: "it's".
            ('\'', None) if open => word.get_or_insert_with(current).text.push('\''),
            (letter, None) => {
                let word = word.get_or_insert_with(current);
                match closing(letter) {
                    Some(end) => quote = Some((end, at)),
                    None => word.text.push(letter),
                }
            }
        }
    }
    if let Some((_, at)) = quote {
        let column = 1 + line[..at].chars().count();
        return Err(format!("the quote at character {column} has no end"));
    }
    words.extend(word);
    Ok(words)
}

/// What ends a quote that begins so.
fn closing(letter: char) -> Option<char> {
    match letter {
        '"' => Some('"'),
        '\'' => Some('\''),
        '“' | '„' => Some('”'),
        '«' => Some('»'),
        _ => None,
    }
}

/// Reads the arguments of a call. The error says what was expected, with an example.
pub fn bind(manifest: &Manifest, name: &str, line: &str) -> Result<Given, String> {
    let help = |problem: String| match manifest.example(name) {
        example if example.is_empty() => problem,
        example => format!("{problem}; for example: {example}"),
    };
    let line = line.trim();
    if manifest.arguments.is_empty() {
        // Nothing is known of them, so nothing can be wrong with them.
        let plain = || line.split_whitespace().map(str::to_owned).collect();
        let words = words(line)
            .map_or_else(|_| plain(), |words| words.into_iter().map(|w| w.text).collect());
        return Ok(Given { line: line.into(), words, values: Map::new() });
    }
    let found = words(line).map_err(help)?;
    let mut values = Map::new();
    let mut next = 0;
    for argument in &manifest.arguments {
        let value = if argument.ty == Type::Rest {
            let rest = found.get(next).map_or("", |word| &line[word.at..]);
            next = found.len();
            (!rest.is_empty()).then(|| argument.value(rest))
        } else {
            let word = found.get(next);
            next += 1;
            word.map(|word| argument.value(&word.text))
        };
        match value {
            Some(value) => drop(values.insert(argument.name.clone(), value.map_err(help)?)),
            None => match (&argument.default, argument.required) {
                (Some(default), _) => drop(values.insert(argument.name.clone(), default.clone())),
                (None, false) => {}
                (None, true) => {
                    let problem = format!("`{}` is missing: {}", argument.name, argument.wants());
                    return Err(help(problem));
                }
            },
        }
    }
    if let Some(word) = found.get(next) {
        let problem = format!("{:?} is one too many", shortened(&word.text));
        return Err(help(problem));
    }
    let words = found.into_iter().map(|word| word.text).collect();
    Ok(Given { line: line.into(), words, values })
}

impl Argument {
    /// Reads one word.
    pub fn value(&self, word: &str) -> Result<Value, String> {
        let wrong = || format!("`{}` is {}, not {:?}", self.name, self.wants(), shortened(word));
        let value = match self.ty {
            Type::Text | Type::Rest => {
                let length = word.chars().count() as f64;
                Some(Value::from(word)).filter(|_| self.spans(length))
            }
            Type::Int => {
                let number = word.parse::<i64>().ok();
                number.filter(|number| self.spans(*number as f64)).map(Value::from)
            }
            Type::Number => {
                let number = word.replace(',', ".").parse::<f64>().ok();
                number.filter(|number| number.is_finite() && self.spans(*number)).map(Value::from)
            }
            Type::Bool => truth(word).map(Value::from),
            Type::User => name(word, '@', USER_NAME_BYTES_MAX),
            Type::Room => name(word, '#', ROOM_NAME_BYTES_MAX),
        };
        let value = value.ok_or_else(wrong)?;
        if self.choices.is_empty() {
            return Ok(value);
        }
        let is = |choice: &&Value| match (choice, &value) {
            (Value::String(choice), Value::String(value)) => choice.eq_ignore_ascii_case(value),
            (choice, value) => *choice == value || choice.as_f64() == value.as_f64(),
        };
        self.choices.iter().find(is).cloned().ok_or_else(wrong)
    }

    fn spans(&self, size: f64) -> bool {
        self.min.is_none_or(|min| size >= min) && self.max.is_none_or(|max| size <= max)
    }

    /// What it has to be, in words.
    pub fn wants(&self) -> String {
        if !self.choices.is_empty() {
            let choices: Vec<_> = self.choices.iter().map(plain).collect();
            return format!("one of {}", choices.join(", "));
        }
        let bounds = match (self.min, self.max) {
            (None, None) => String::new(),
            (Some(min), None) => format!(" of at least {min}"),
            (None, Some(max)) => format!(" of at most {max}"),
            (Some(min), Some(max)) => format!(" from {min} to {max}"),
        };
        let letters = if bounds.is_empty() { "" } else { " letters" };
        match self.ty {
            Type::Text | Type::Rest => format!("a text{bounds}{letters}"),
            Type::Int => format!("a whole number{bounds}"),
            Type::Number => format!("a number{bounds}"),
            Type::Bool => "yes or no".to_owned(),
            Type::User => "the name of a user".to_owned(),
            Type::Room => "the name of a room".to_owned(),
        }
    }
}

/// A value as people write it.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn truth(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "y" | "true" | "on" | "1" => Some(true),
        "no" | "n" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn name(word: &str, mark: char, bytes_max: usize) -> Option<Value> {
    let name = word.strip_prefix(mark).unwrap_or(word);
    let fits = (1..=bytes_max).contains(&name.len())
        && name.trim() == name
        && !name.chars().any(char::is_control);
    fits.then(|| Value::from(name))
}

/// Enough of a word to know it again.
fn shortened(word: &str) -> &str {
    &word[..word.floor_char_boundary(40)]
}

//! `ringpost handlers check`: whether definitions are good, and where not.

use super::definitions::{files, name_of, read, text};
use super::{EXIT_ERROR, EXIT_FOUND, EXIT_NOT};
use crate::base::escape;
use crate::base::letters::is_unsafe;
use crate::handlers::Handler;
use crate::registry::Fault;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Columns of a line that are shown around a fault.
const LINE_COLUMNS_MAX: usize = 100;
/// Columns before the fault in a line that is longer.
const COLUMNS_BEFORE: usize = 40;

/// Checks files and folders. Gives the exit status: 0 all are good, 1 one is not, 2 one cannot be
/// read.
pub fn check(paths: &[PathBuf], out: &mut dyn Write, words: &mut dyn Write) -> io::Result<u8> {
    let mut status = EXIT_FOUND;
    let (mut good_count, mut bad_count) = (0, 0);
    for path in paths {
        let found = match files(path) {
            Ok(found) => found,
            Err(why) => {
                status = EXIT_ERROR;
                writeln!(words, "error: {why}")?;
                continue;
            }
        };
        for file in found {
            match text(&file) {
                Err(why) => {
                    status = EXIT_ERROR;
                    writeln!(words, "error: {why}")?;
                }
                Ok(json) => match read(name_of(&file), &json) {
                    Ok(handler) => {
                        good_count += 1;
                        writeln!(out, "good   {}: {}", file.display(), in_words(&handler))?;
                    }
                    Err(fault) => {
                        bad_count += 1;
                        status = status.max(EXIT_NOT);
                        write!(out, "{}", place(&file, &json, &fault))?;
                    }
                },
            }
        }
    }
    if good_count + bad_count > 1 {
        writeln!(words, "{good_count} good, {bad_count} wrong")?;
    }
    Ok(status)
}

/// What it is, in a few words: `on message: reply, tag`.
fn in_words(handler: &Handler) -> String {
    let events: Vec<_> = handler.events().iter().map(|event| event.name()).collect();
    let mut verbs: Vec<_> = Vec::new();
    for verb in handler.verbs() {
        if !verbs.contains(&verb) {
            verbs.push(verb);
        }
    }
    let off = if handler.is_enabled() { "" } else { " (not enabled)" };
    format!("on {}: {}{off}", events.join(", "), verbs.join(", "))
}

/// A fault with the line in which it stands, and a mark below the place.
///
/// ```text
/// wrong  menu.json:3:16: `do[0].replay`: "replay" is not known here; did you mean "reply"?
///     3 |     "do": [{"replay": "Hi"}]
///       |             ^
/// ```
pub(super) fn place(file: &Path, json: &str, fault: &Fault) -> String {
    let problem = Fault { line: 0, column: 0, ..fault.clone() };
    let file = file.display();
    if fault.line == 0 {
        return format!("wrong  {file}: {problem}\n");
    }
    let (line, column) = (fault.line, fault.column);
    let mut shown = format!("wrong  {file}:{line}:{column}: {problem}\n");
    let Some(text) = json.lines().nth(line - 1) else { return shown };
    let letters: Vec<char> = text.chars().collect();
    let at = column.saturating_sub(1).min(letters.len());
    let is_long = letters.len() > LINE_COLUMNS_MAX;
    let begin = if is_long { at.saturating_sub(COLUMNS_BEFORE) } else { 0 };
    let end = letters.len().min(begin + LINE_COLUMNS_MAX);
    let piece: String = letters[begin..end].iter().collect();
    let before: String = letters[begin..at.max(begin)].iter().collect();
    let gap = " ".repeat(columns(&before));
    shown += &format!("{line:5} | {}\n      | {gap}^\n", one_line(&piece));
    shown
}

/// With a tab as a space, and what could deceive escaped.
fn one_line(text: &str) -> String {
    let mut shown = String::new();
    for letter in text.chars() {
        match letter {
            '\t' => shown.push(' '),
            letter if is_unsafe(letter) => escape::terminal(&letter.to_string(), &mut shown),
            letter => shown.push(letter),
        }
    }
    shown
}

fn columns(text: &str) -> usize {
    one_line(text).chars().count()
}

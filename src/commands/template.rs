//! Texts with `$` placeholders, as moderators write them in chat: `Hello $user, $1 costs $2`.
//!
//! | placeholder | gives |
//! | --- | --- |
//! | `$user`, `$name` | who asks: the user's name; the name that they go by here |
//! | `$room` | the room |
//! | `$1` to `$9`, `$*` | a word; all that was typed |
//! | `$city`, `${city}` | the argument `city` of the manifest |
//! | `$count` | how often this was used in this room, this time included |
//! | `$time`, `$date` | now, in UTC |
//! | `$rand(1,6)`, `$rand(red,blue)` | a whole number, or one of the words |
//! | `$$` | a dollar |
//!
//! What a placeholder gives is never looked through for placeholders again.

use super::arguments::{Given, plain};
use super::manifest::Argument;
use crate::base::nearest::nearest;
use crate::registry::Fault;
use crate::registry::part::Part;

const NAMES: [&str; 7] = ["user", "name", "room", "count", "time", "date", "rand"];

/// What a template may tell beside its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Who asks.
    pub user: &'a str,
    /// The name they go by in the room.
    pub name: &'a str,
    /// Where.
    pub room: &'a str,
    /// How often it was used there, this time included.
    pub count: u64,
    /// Now, ms since 1970.
    pub wall_ms: i64,
    /// Something nobody can foresee.
    pub random: u64,
}

/// A text with placeholders.
#[derive(Clone, PartialEq, Debug)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, PartialEq, Debug)]
enum Piece {
    Text(String),
    User,
    Name,
    Room,
    Count,
    Time,
    Date,
    All,
    Word(usize),
    Argument(String),
    Range(i64, i64),
    OneOf(Vec<String>),
}

impl Template {
    /// Reads a text.
    pub fn parse(text: &str, part: &Part<'_>, arguments: &[Argument]) -> Result<Self, Fault> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('$') {
            plain.push_str(before);
            let known = |name: &str| arguments.iter().any(|argument| argument.name == name);
            match placeholder(behind, &known) {
                Ok(Some((piece, after))) => {
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(piece);
                    rest = after;
                }
                // A dollar, said by two or by nothing that could be a name.
                Ok(None) => {
                    plain.push('$');
                    rest = behind.strip_prefix('$').unwrap_or(behind);
                }
                Err(word) => {
                    let names = NAMES.iter().copied();
                    let all = names.chain(arguments.iter().map(|argument| &*argument.name));
                    let hint = match nearest(&word, all.clone()) {
                        Some(near) => format!("did you mean ${near}?"),
                        None => {
                            let all: Vec<_> = all.map(|name| format!("${name}")).collect();
                            format!("there are {}, $1 to $9 and $*", all.join(", "))
                        }
                    };
                    let problem = format!("${word} is not known: {hint} $$ writes a dollar");
                    return Err(part.fault(problem));
                }
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { pieces })
    }

    /// Whether it tells how often it was used.
    pub fn counts(&self) -> bool {
        self.pieces.contains(&Piece::Count)
    }

    /// Whether it leaves something to chance.
    pub fn is_random(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Range(..) | Piece::OneOf(_)))
    }

    /// The text, cut at `bytes_max`.
    pub fn render(&self, given: &Given, facts: &Facts<'_>, bytes_max: usize) -> String {
        let mut out = String::new();
        for (index, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::User => out.push_str(facts.user),
                Piece::Name => out.push_str(facts.name),
                Piece::Room => out.push_str(facts.room),
                Piece::Count => out.push_str(&facts.count.to_string()),
                Piece::Time => out.push_str(&time(facts.wall_ms)),
                Piece::Date => out.push_str(&date(facts.wall_ms)),
                Piece::All => out.push_str(&given.line),
                Piece::Word(number) => {
                    out.push_str(given.words.get(number - 1).map_or("", String::as_str));
                }
                Piece::Argument(name) => {
                    out.push_str(&given.values.get(name).map(plain).unwrap_or_default());
                }
                Piece::Range(low, high) => {
                    let span = high.abs_diff(*low).saturating_add(1);
                    let step = mixed(facts.random, index) % span;
                    out.push_str(&low.saturating_add_unsigned(step).to_string());
                }
                Piece::OneOf(words) => {
                    let index = mixed(facts.random, index) % words.len() as u64;
                    out.push_str(&words[index as usize]);
                }
            }
            if out.len() > bytes_max {
                out.truncate(out.floor_char_boundary(bytes_max));
                break;
            }
        }
        out
    }
}

/// Reads what follows a dollar: the piece and the rest, nothing for a plain dollar, or the word
/// that is no placeholder.
fn placeholder<'t>(
    behind: &'t str,
    known: &dyn Fn(&str) -> bool,
) -> Result<Option<(Piece, &'t str)>, String> {
    if let Some(rest) = behind.strip_prefix('*') {
        return Ok(Some((Piece::All, rest)));
    }
    if let Some(inner) = behind.strip_prefix('{') {
        let (word, rest) = inner.split_once('}').ok_or_else(|| "{".to_owned())?;
        let piece = named(word, known).ok_or_else(|| word.to_owned())?;
        return Ok(Some((piece, rest)));
    }
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let len = behind.bytes().take_while(|byte| is_word(*byte)).count();
    let (word, rest) = behind.split_at(len);
    match word.as_bytes() {
        [] => Ok(None),
        [digit @ b'1'..=b'9', ..] => {
            Ok(Some((Piece::Word(usize::from(digit - b'0')), &behind[1..])))
        }
        [b'0', ..] => Ok(None),
        _ if word == "rand" => {
            let wrong = || "rand(".to_owned();
            let inner = rest.strip_prefix('(').ok_or_else(wrong)?;
            let (list, rest) = inner.split_once(')').ok_or_else(wrong)?;
            Ok(Some((random(list).ok_or_else(wrong)?, rest)))
        }
        _ => match named(word, known) {
            Some(piece) => Ok(Some((piece, rest))),
            None => Err(word.to_owned()),
        },
    }
}

fn named(word: &str, known: &dyn Fn(&str) -> bool) -> Option<Piece> {
    // A name of the manifest's own comes first.
    if known(word) {
        return Some(Piece::Argument(word.to_owned()));
    }
    Some(match word {
        "user" => Piece::User,
        "name" => Piece::Name,
        "room" => Piece::Room,
        "count" => Piece::Count,
        "time" => Piece::Time,
        "date" => Piece::Date,
        "*" => Piece::All,
        _ => match word.parse() {
            Ok(number @ 1..=9) => Piece::Word(number),
            _ => return None,
        },
    })
}

fn random(list: &str) -> Option<Piece> {
    let words: Vec<_> = list.split(',').map(|word| word.trim().to_owned()).collect();
    if let [low, high] = words.as_slice()
        && let (Ok(low), Ok(high)) = (low.parse::<i64>(), high.parse::<i64>())
    {
        return (low <= high).then_some(Piece::Range(low, high));
    }
    (!words.iter().any(String::is_empty)).then_some(Piece::OneOf(words))
}

/// Another number for each index, made of one (splitmix64).
pub fn mixed(random: u64, index: usize) -> u64 {
    let mut z = random.wrapping_add((index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// `14:05 UTC`.
fn time(wall_ms: i64) -> String {
    shown(wall_ms, "%H:%M UTC")
}

/// `2026-11-23`.
fn date(wall_ms: i64) -> String {
    shown(wall_ms, "%Y-%m-%d")
}

fn shown(wall_ms: i64, format: &str) -> String {
    let moment = jiff::Timestamp::from_millisecond(wall_ms);
    moment.map(|moment| moment.strftime(format).to_string()).unwrap_or_default()
}

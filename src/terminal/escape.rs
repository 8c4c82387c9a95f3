//! Text of strangers made harmless for a terminal, and the colours of names. Pure.

use crate::base::letters::is_unsafe;
use serde_json::Value;

/// Colours that stand on dark and on light ground.
const COLOURS: [u8; 10] = [31, 32, 33, 34, 35, 36, 91, 92, 94, 95];

/// Shows what [`is_unsafe`] as escapes.
///
/// A newline and a tab are left to the caller's `newline` and a space.
pub fn harmless(text: &str, newline: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' => out.push_str(newline),
            '\t' => out.push(' '),
            '\r' => {}
            _ if is_unsafe(letter) => out.extend(letter.escape_unicode()),
            _ => out.push(letter),
        }
    }
    out
}

/// JSON text in which the same characters stand as `\uXXXX`: the same value for every parser.
pub fn harmless_json(value: &Value) -> String {
    let text = value.to_string();
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_unsafe(letter) {
            let mut units = [0; 2];
            for unit in letter.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(letter);
        }
    }
    out
}

/// The colour of a name: always the same one.
pub fn colour(name: &str) -> u8 {
    let hash = name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    COLOURS[(hash >> 8) as usize % COLOURS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_stranger_writes_moves_the_cursor() {
        let cases = [
            ("plain ünïcode 👍🏽", "plain ünïcode 👍🏽"),
            ("\x1b[31mred", "\\u{1b}[31mred"),
            ("a\u{9b}2Jb", "a\\u{9b}2Jb"),
            ("evil\u{202e}txt.exe", "evil\\u{202e}txt.exe"),
            ("\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}"),
            ("bell\x07\x7f", "bell\\u{7}\\u{7f}"),
            ("two\r\nlines\tand a tab", "two|lines and a tab"),
            ("\u{2028}\u{feff}", "\\u{2028}\\u{feff}"),
        ];
        for (text, want) in cases {
            assert_eq!(harmless(text, "|"), want);
        }
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = serde_json::json!({"a": "x\u{202e}\u{9b}\u{e0001}\n", "b": "ü👍"});
        let text = harmless_json(&value);
        assert!(!text.chars().any(is_unsafe), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("json"), value);
    }

    #[test]
    fn every_character_that_remains_is_printable() {
        for letter in (0..=0x10_ffff).filter_map(char::from_u32) {
            for shown in harmless(&letter.to_string(), "|").chars() {
                assert!(!is_unsafe(shown), "{letter:?} gives {shown:?}");
            }
        }
    }

    #[test]
    fn names_keep_their_colour() {
        assert_eq!(colour("alice"), colour("alice"));
        let distinct: std::collections::BTreeSet<_> =
            (0..100).map(|n| colour(&format!("user{n}"))).collect();
        assert!(distinct.len() >= COLOURS.len() - 2);
    }
}

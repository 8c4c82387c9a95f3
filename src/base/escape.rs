//! Texts of strangers on their way to a terminal or a file.
//!
//! What [`letters`](crate::base::letters) calls unsafe is shown as `\u{..}` instead. Line breaks
//! too: one record is one line.

use crate::base::letters::is_unsafe;
use std::fmt::Write;

/// Appends `text` with every unsafe character, and the backslash that introduces them, escaped.
pub fn terminal(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            _ if is_unsafe(character) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
}

/// Appends `text` as a JSON string (RFC 8259 §7) with unsafe characters as `\uXXXX`.
pub fn json(text: &str, out: &mut String) {
    out.push('"');
    let plain_bytes = plain_prefix(text);
    out.push_str(&text[..plain_bytes]);
    for character in text[plain_bytes..].chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            _ if is_unsafe(character) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

/// Bytes at the beginning of `text` that no format escapes: most texts are nothing else.
fn plain_prefix(text: &str) -> usize {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~' if !matches!(byte, b'"' | b'\\' | b','));
    text.bytes().position(|byte| !plain(&byte)).unwrap_or(text.len())
}

/// Appends `text` as a CSV field (RFC 4180 §2), escaped as for a terminal and quoted if needed.
pub fn csv(text: &str, out: &mut String) {
    if plain_prefix(text) == text.len() {
        out.push_str(text);
        return;
    }
    let mut escaped = String::new();
    terminal(text, &mut escaped);
    if escaped.contains(['"', ',']) {
        out.push('"');
        out.push_str(&escaped.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(&escaped);
    }
}

/// `text` for HTML, between tags or in a quoted attribute, with unsafe characters escaped as for a
/// terminal.
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ if is_unsafe(character) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        check("plain ✓ é", "plain ✓ é", "\"plain ✓ é\"", "plain ✓ é");
        check("a\nb\tc", "a\\nb\\tc", "\"a\\nb\\tc\"", "a\\nb\\tc");
        check("\x1b[31m", "\\u{1b}[31m", "\"\\u001b[31m\"", "\\u{1b}[31m");
        check("\u{9b}x\u{7f}", "\\u{9b}x\\u{7f}", "\"\\u009bx\\u007f\"", "\\u{9b}x\\u{7f}");
        check("\u{202e}abc", "\\u{202e}abc", "\"\\u202eabc\"", "\\u{202e}abc");
        check("\u{e0041}", "\\u{e0041}", "\"\\udb40\\udc41\"", "\\u{e0041}");
        check(
            "say \"hi\", \\",
            "say \"hi\", \\\\",
            "\"say \\\"hi\\\", \\\\\"",
            "\"say \"\"hi\"\", \\\\\"",
        );
    }

    #[track_caller]
    fn check(text: &str, on_terminal: &str, in_json: &str, in_csv: &str) {
        let mut got = [String::new(), String::new(), String::new()];
        terminal(text, &mut got[0]);
        json(text, &mut got[1]);
        csv(text, &mut got[2]);
        assert_eq!(got, [on_terminal, in_json, in_csv], "{text:?}");
    }

    #[test]
    fn nothing_breaks_out_of_html() {
        let evil = "<script>'\"&\u{202e}</script>";
        let want = "&lt;script&gt;&#39;&quot;&amp;\\u{202e}&lt;/script&gt;";
        assert_eq!(html(evil), want);
    }

    #[test]
    fn no_unsafe_character_leaves() {
        for code in 0..0x11_0000 {
            let Some(character) = char::from_u32(code) else { continue };
            let text = character.to_string();
            let mut out = String::new();
            terminal(&text, &mut out);
            json(&text, &mut out);
            csv(&text, &mut out);
            out.push_str(&html(&text));
            assert!(!out.chars().any(is_unsafe), "U+{code:04X}");
        }
    }
}

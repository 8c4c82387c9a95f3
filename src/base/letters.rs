//! Characters that may not reach a person's screen as they are.

/// Whether `letter` could deceive or command whoever reads it.
///
/// A raw control can move the cursor, rename the window or answer in the person's place (CWE-150,
/// CVE-2003-0063); a bidirectional control can make a line read as another (Unicode Technical
/// Report 36, §2.1.4); a letter without a picture can make two names look the same. The joiners
/// U+200C and U+200D stay: Persian, the scripts of India and the emoji of families need them.
pub fn is_unsafe(letter: char) -> bool {
    letter.is_control() // C0, DEL and C1.
        || matches!(letter,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::is_unsafe;

    #[test]
    fn pictures_pass_and_commands_do_not() {
        for letter in "aé✓👍🏽שلم日\u{200d}\u{200c} ".chars() {
            assert!(!is_unsafe(letter), "{letter:?}");
        }
        for letter in "\0\n\t\r\x1b\x7f\u{80}\u{9b}\u{200b}\u{200e}\u{2028}\u{202e}\u{2066}".chars()
        {
            assert!(is_unsafe(letter), "{letter:?}");
        }
        for letter in "\u{61c}\u{2060}\u{2064}\u{206f}\u{feff}\u{fff9}\u{e0001}\u{e007f}".chars() {
            assert!(is_unsafe(letter), "{letter:?}");
        }
    }
}

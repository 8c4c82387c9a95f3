//! What people write: sentences from a vocabulary of 5,000 words, the frequent ones often.

use super::dice::{Dice, Zipf};

/// Words of the vocabulary.
const WORD_COUNT: usize = 5_000;

/// The most frequent ones, in the order of their rank.
const FREQUENT: &str = "the to and a you of is it in for we on can have be my that with this not
at please your are will from me what as when order time so if do was our how about thanks they but
there one today need get hello delivery just yes no know tomorrow any here which who good help
all number send still new would like call price back now week see check where after morning let
account day could before invoice until open Monday address problem want right already table door
something maybe again between team meeting arrived package refund payment early late more great
sorry möchte straße größe café naïve garçon año niño mañana привет спасибо 你好 谢谢 ありがとう
नमस्ते שלום مرحبا";

const EMOJI: [&str; 12] = ["🙂", "👍", "😀", "🎉", "❤️", "😅", "🙏", "🚚", "☕", "👋🏽", "🤔", "👩‍💻"];

const ONSETS: [&str; 20] = [
    "b", "br", "c", "ch", "d", "f", "g", "gl", "h", "l", "m", "n", "p", "pl", "r", "s", "st", "t",
    "tr", "v",
];
const VOWELS: [&str; 9] = ["a", "e", "i", "o", "u", "ai", "ea", "ou", "y"];
const CODAS: [&str; 10] = ["", "", "", "n", "r", "s", "t", "l", "nd", "rk"];

/// A name or word that can be said aloud, another one for each `number`.
pub fn pronounceable(number: usize, syllables: usize) -> String {
    let mut word = String::new();
    let mut rest = number;
    for _ in 0..syllables {
        word.push_str(ONSETS[rest % ONSETS.len()]);
        rest /= ONSETS.len();
        word.push_str(VOWELS[rest % VOWELS.len()]);
        rest /= VOWELS.len();
    }
    word.push_str(CODAS[rest % CODAS.len()]);
    word
}

/// Makes texts.
#[derive(Debug)]
pub struct Words {
    words: Vec<String>,
    zipf: Zipf,
}

impl Words {
    /// The vocabulary.
    pub fn new() -> Self {
        let mut words: Vec<String> = FREQUENT.split_whitespace().map(str::to_owned).collect();
        for number in words.len()..WORD_COUNT {
            // A number coprime with the syllables, so that neighbours do not sound alike.
            words.push(pronounceable(number * 7_919, 2 + number % 2));
        }
        Self { words, zipf: Zipf::new(WORD_COUNT, 1.0) }
    }

    /// Replaces `text` with something said: mostly a short sentence, now and then a paragraph.
    pub fn say(&self, dice: &mut Dice, text: &mut String) {
        text.clear();
        let sentences = if dice.chance(40) { 2 + dice.below(6) } else { 1 };
        for sentence in 0..sentences {
            if sentence > 0 {
                text.push(if dice.chance(150) { '\n' } else { ' ' });
            }
            self.sentence(dice, text);
        }
        if dice.chance(80) {
            text.push(' ');
            text.push_str(EMOJI[dice.below(EMOJI.len())]);
        }
    }

    fn sentence(&self, dice: &mut Dice, text: &mut String) {
        let begin = text.len();
        // Two draws: short sentences are the rule.
        let count = 1 + dice.below(9) + dice.below(7);
        for index in 0..count {
            if index > 0 {
                text.push(' ');
            }
            text.push_str(&self.words[self.zipf.draw(dice)]);
        }
        if let Some(first) = text.get_mut(begin..begin + 1) {
            first.make_ascii_uppercase();
        }
        text.push(match dice.below(8) {
            0 | 1 => '?',
            2 => '!',
            _ => '.',
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_vocabulary_is_as_large_as_it_says() {
        let words = Words::new();
        let distinct: BTreeSet<_> = words.words.iter().collect();
        assert!(distinct.len() > WORD_COUNT * 9 / 10, "{}", distinct.len());
    }

    #[test]
    fn texts_are_short_and_of_many_scripts() {
        let words = Words::new();
        let mut dice = Dice::new(5);
        let (mut text, mut bytes, mut wide) = (String::new(), 0, 0);
        for _ in 0..10_000 {
            words.say(&mut dice, &mut text);
            assert!(!text.is_empty() && text.len() < 4_000);
            bytes += text.len();
            wide += usize::from(!text.is_ascii());
        }
        assert!((30..90).contains(&(bytes / 10_000)), "{}", bytes / 10_000);
        assert!((500..5_000).contains(&wide), "{wide}");
    }
}

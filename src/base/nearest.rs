//! The word that somebody meant who mistyped one.

/// The one of `known` that `word` most likely meant: up to a third of its letters may be wrong.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let distances = known.into_iter().map(|known| (edit_distance(word, known), known));
    let (distance, known) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= known.len().max(3) / 3).then_some(known)
}

/// Letters that are wrong, missing or too many; two that changed places count as one (optimal
/// string alignment). One row at a time, with the two before it.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    let (mut above, mut before) = (row.clone(), None);
    for (index, from) in left.chars().enumerate() {
        let older = std::mem::replace(&mut above, row.clone());
        row[0] = index + 1;
        for (column, to) in right.iter().enumerate() {
            let replaced = above[column] + usize::from(from != *to);
            let mut least = replaced.min(above[column + 1] + 1).min(row[column] + 1);
            if column > 0 && before == Some(*to) && right[column - 1] == from {
                least = least.min(older[column - 1] + 1);
            }
            row[column + 1] = least;
        }
        before = Some(from);
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["room", "sender", "first_contact", "do"];
        for (word, want) in [
            ("rom", Some("room")),
            ("sendr", Some("sender")),
            ("firstcontact", Some("first_contact")),
            ("dp", Some("do")),
            ("romo", Some("room")),
            ("snedre", Some("sender")),
            ("weather", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), want, "{word}");
        }
        assert_eq!(nearest("room", []), None);
    }
}

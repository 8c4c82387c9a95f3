//! Form-urlencoded queries (WHATWG URL §5.1): `a=1&hub.mode=subscribe`, `+` for a space.

use std::borrow::Cow;

/// A name or value with a `%` that two hexadecimal digits do not follow, or that is no UTF-8 once
/// decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadEscape;

/// The decoded value of the first pair called `name`; `None` when there is none. A pair without
/// `=` has an empty value; a pair whose name does not decode has no name.
pub fn get<'a>(query: &'a str, name: &str) -> Option<Result<Cow<'a, str>, BadEscape>> {
    let wanted = |key: &str| decode(key).is_ok_and(|decoded| decoded == name);
    pairs(query).find(|(key, _)| wanted(key)).map(|(_, value)| decode(value))
}

/// All pairs in order, as received; empty ones are skipped.
pub fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Decodes `+` and percent escapes. Borrows when there are none.
pub fn decode(text: &str) -> Result<Cow<'_, str>, BadEscape> {
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        decoded.push(match first {
            b'+' => b' ',
            b'%' => {
                let ([high, low], tail) = tail.split_first_chunk().ok_or(BadEscape)?;
                rest = tail;
                digit(*high)? << 4 | digit(*low)?
            }
            &byte => byte,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| BadEscape)
}

fn digit(byte: u8) -> Result<u8, BadEscape> {
    char::from(byte).to_digit(16).map(|digit| digit as u8).ok_or(BadEscape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, name: &str, expect: Option<Result<&str, BadEscape>>) {
        let got = get(query, name);
        let got = got.as_ref().map(|value| value.as_deref().map_err(|&bad| bad));
        assert_eq!(got, expect, "{name:?} of {query:?}");
    }

    #[test]
    fn finds_and_decodes() {
        let verify = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=a%20b%2Bc";
        check(verify, "hub.mode", Some(Ok("subscribe")));
        check(verify, "hub.challenge", Some(Ok("1158201444")));
        check(verify, "hub.verify_token", Some(Ok("a b+c")));
        check(verify, "hub", None);
        check(verify, "mode", None);
        check("", "", None);
        check("a", "a", Some(Ok("")));
        check("a=", "a", Some(Ok("")));
        check("=x", "", Some(Ok("x")));
        check("a=1&a=2", "a", Some(Ok("1")));
        check("&&a=1&", "a", Some(Ok("1")));
        check("a=b=c", "a", Some(Ok("b=c")));
        check("a=x+y", "a", Some(Ok("x y")));
        check("h%75b%2Emode=1", "hub.mode", Some(Ok("1")));
        check("a=%E2%82%AC", "a", Some(Ok("€")));
        check("a=%e2%82%ac", "a", Some(Ok("€")));
        check("A=1", "a", None);
    }

    #[test]
    fn a_bad_escape_is_an_answer_and_only_where_it_is_asked_for() {
        for bad in ["a=%", "a=%4", "a=%zz", "a=100%", "a=%+1", "a=%ff", "a=%E2%82", "a=%\u{e9}"] {
            check(bad, "a", Some(Err(BadEscape)));
            check(&format!("{bad}&b=1"), "b", Some(Ok("1")));
        }
        check("%zz=1&a=2", "a", Some(Ok("2")));
        check("%zz=1", "%zz", None);
    }
}

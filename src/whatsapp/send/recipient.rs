//! To whom a message goes, in the three ways the platform knows.

use crate::whatsapp::limits::{ID_CHARS_MAX, PHONE_DIGITS, USER_ID_CHARS_MAX};

/// A person or a group.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Recipient {
    /// Phone number with its country code, digits only.
    Phone(String),
    /// Business-scoped user id: people who hide their number have nothing else.
    UserId(String),
    /// A group's id.
    Group(String),
}

impl Recipient {
    /// Reads the conversation part of a room's name (`wa:<number>:<conversation>`), or what an
    /// operator typed. `None` when it can be none of the three.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+').unwrap_or(text);
        if PHONE_DIGITS.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) {
            return Some(Self::Phone(digits.to_owned()));
        }
        if is_user_id(text) {
            return Some(Self::UserId(text.to_owned()));
        }
        let group = !text.is_empty()
            && text.len() <= ID_CHARS_MAX
            && text.bytes().all(|byte| byte.is_ascii_graphic())
            && text.bytes().any(|byte| byte.is_ascii_alphabetic());
        group.then(|| Self::Group(text.to_owned()))
    }
}

/// `^[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$`, from Meta's page on business-scoped user ids.
fn is_user_id(text: &str) -> bool {
    let Some((country, rest)) = text.split_once('.') else { return false };
    let rest = rest.strip_prefix("ENT.").unwrap_or(rest);
    country.len() == 2
        && country.bytes().all(|byte| byte.is_ascii_uppercase())
        && (1..=USER_ID_CHARS_MAX).contains(&rest.len())
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients() {
        check("447700900123", "Phone(\"447700900123\")");
        check("+447700900123", "Phone(\"447700900123\")");
        check("GB.700112", "UserId(\"GB.700112\")");
        check("GB.ENT.700a", "UserId(\"GB.ENT.700a\")");
        check("Y2FwaV9ncm91cA==", "Group(\"Y2FwaV9ncm91cA==\")");
        check("gb.700112", "Group(\"gb.700112\")");
        check("1234", "none");
        check("1234567890123456", "none");
        check("", "none");
        check("GB 7", "none");
        check("é", "none");
    }

    #[track_caller]
    fn check(text: &str, want: &str) {
        let got = Recipient::parse(text).map_or("none".to_owned(), |to| format!("{to:?}"));
        assert_eq!(got, want, "{text}");
    }
}

//! The GET with which Meta asks whether this endpoint is ours, when its URL is set.

use crate::base::limits::WEBHOOK_CHALLENGE_BYTES_MAX;
use crate::base::secret::Secret;

/// Why the endpoint does not confirm. The peer gets 403 for each; only operators see which.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum VerificationError {
    /// No verify token is configured.
    NoToken,
    /// `hub.mode` is not `subscribe`.
    Mode,
    /// `hub.verify_token` is absent or another.
    Token,
    /// `hub.challenge` is absent, empty or too long.
    Challenge,
}

/// Gives the challenge to answer with: 200, `text/plain`, these bytes and nothing else.
///
/// `query` gives the decoded value of a parameter; the names contain dots. The challenge is echoed
/// as opaque text: it is digits today, but documented as a random string.
pub fn answer<T: AsRef<str>>(
    query: impl Fn(&str) -> Option<T>,
    verify_token: Option<&Secret>,
) -> Result<T, VerificationError> {
    let expected = verify_token.ok_or(VerificationError::NoToken)?;
    if query("hub.mode").is_none_or(|mode| mode.as_ref() != "subscribe") {
        return Err(VerificationError::Mode);
    }
    if query("hub.verify_token").is_none_or(|token| !expected.matches(token.as_ref().as_bytes())) {
        return Err(VerificationError::Token);
    }
    let challenge = query("hub.challenge").ok_or(VerificationError::Challenge)?;
    if !(1..=WEBHOOK_CHALLENGE_BYTES_MAX).contains(&challenge.as_ref().len()) {
        return Err(VerificationError::Challenge);
    }
    Ok(challenge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &[(&str, &str)], want: Result<&str, VerificationError>) {
        let token = Secret::new(*b"s3same");
        let find = |name: &str| {
            query.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(answer(find, Some(&token)).as_deref(), want.as_ref().copied(), "{query:?}");
        assert_eq!(answer(find, None), Err(VerificationError::NoToken));
    }

    #[test]
    fn only_the_right_token_gets_the_challenge_back() {
        use VerificationError::*;
        let (mode, token) = (("hub.mode", "subscribe"), ("hub.verify_token", "s3same"));
        check(&[mode, token, ("hub.challenge", "1158201444")], Ok("1158201444"));
        check(&[mode, token, ("hub.challenge", "<b>é&\u{0}")], Ok("<b>é&\u{0}"));
        check(&[mode, ("hub.verify_token", "wrong"), ("hub.challenge", "1")], Err(Token));
        check(&[mode, ("hub.verify_token", ""), ("hub.challenge", "1")], Err(Token));
        check(&[mode, ("hub.challenge", "1")], Err(Token));
        check(&[("hub.mode", "unsubscribe"), token, ("hub.challenge", "1")], Err(Mode));
        check(&[("hub_mode", "subscribe"), token, ("hub.challenge", "1")], Err(Mode));
        check(&[mode, token], Err(Challenge));
        check(&[mode, token, ("hub.challenge", "")], Err(Challenge));
        check(&[mode, token, ("hub.challenge", &"1".repeat(1_025))], Err(Challenge));
        check(&[], Err(Mode));
    }
}

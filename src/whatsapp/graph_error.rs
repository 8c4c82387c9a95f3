//! What the Graph API's errors mean, and what to do about each.
//!
//! One table: code, meaning, action. Logic goes by code: the platform sends a rate limit as HTTP
//! 400, and the same error at once, later as a `failed` status, or both. `docs/WHATSAPP.md` has the
//! same table, and a test compares them.

use super::field::{self, Field};
use serde::Deserialize;

/// What to do about an error.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Nothing of this number can be sent until an operator has done something.
    StopAccount,
    /// This number sends too much: wait so many milliseconds, twice as long each time.
    BackOffNumber {
        /// The first wait.
        base_ms: u64,
    },
    /// This recipient gets too much: wait 4^X seconds, X = 0, 1, 2, …
    BackOffPair,
    /// The customer has been silent for a day: only a template can be sent.
    NeedsTemplate,
    /// This message can never be sent as it is.
    Permanent,
    /// The platform's fault; the same message may be taken later.
    Retry,
}

impl Action {
    /// As the document calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StopAccount => "stop the number",
            Self::BackOffNumber { .. } => "back off, number",
            Self::BackOffPair => "back off, recipient",
            Self::NeedsTemplate => "needs a template",
            Self::Permanent => "give up",
            Self::Retry => "try again",
        }
    }
}

const SECOND: Action = Action::BackOffNumber { base_ms: 1_000 };
const MINUTE: Action = Action::BackOffNumber { base_ms: 60_000 };
const TEN_MINUTES: Action = Action::BackOffNumber { base_ms: 600_000 };

/// Code, meaning, action; by code. Codes 200 to 299 are one row, named by the first.
pub const TABLE: &[(u32, &str, Action)] = &[
    (0, "the token cannot be verified", Action::StopAccount),
    (2, "the platform is overloaded or down", Action::Retry),
    (3, "the app may not do this", Action::StopAccount),
    (4, "too many calls of the app", SECOND),
    (10, "the app lacks a permission", Action::StopAccount),
    (33, "the number's id is wrong or was removed", Action::Permanent),
    (100, "a parameter is wrong", Action::Permanent),
    (190, "the token has expired", Action::StopAccount),
    (200, "the app lacks a permission (200 to 299)", Action::StopAccount),
    (368, "the account is blocked for a breach of policy", Action::StopAccount),
    (80_007, "too many calls of the account", MINUTE),
    (130_429, "too many messages of this number", SECOND),
    (130_497, "businesses may not write to this country", Action::Permanent),
    (131_000, "something went wrong at the platform", Action::Retry),
    (131_005, "the token lacks a permission", Action::StopAccount),
    (131_008, "a parameter is missing", Action::Permanent),
    (131_009, "a parameter's value is wrong", Action::Permanent),
    (131_016, "the platform is unavailable for a while", Action::Retry),
    (131_021, "the recipient is the sender", Action::Permanent),
    (131_026, "it cannot be delivered to this recipient", Action::Permanent),
    (131_030, "a test number may write to listed recipients only", Action::Permanent),
    (131_031, "the account is locked", Action::StopAccount),
    (131_042, "something is wrong with the payment", Action::StopAccount),
    (131_045, "the number's registration is incomplete", Action::StopAccount),
    (131_047, "the customer has been silent for 24 hours", Action::NeedsTemplate),
    (131_048, "too many were blocked or reported as spam", TEN_MINUTES),
    (131_049, "the recipient got enough marketing for now: wait a day", Action::Permanent),
    (131_050, "the recipient takes no marketing of this business", Action::Permanent),
    (131_051, "this type of message is not supported", Action::Permanent),
    (131_052, "the file could not be downloaded", Action::Permanent),
    (131_053, "the file could not be uploaded", Action::Permanent),
    (131_056, "too many messages to this recipient", Action::BackOffPair),
    (131_057, "maintenance of this number, about a minute", Action::Retry),
    (131_060, "this message is unavailable", Action::Permanent),
    (131_062, "this message cannot go to a user id", Action::Permanent),
    (131_064, "the template's category is restricted", Action::Permanent),
    (132_000, "the template wants another number of values", Action::Permanent),
    (132_001, "the template does not exist in this language", Action::Permanent),
    (132_005, "the template's text is too long with these values", Action::Permanent),
    (132_007, "the template breaches a policy", Action::Permanent),
    (132_012, "a value of the template has another form", Action::Permanent),
    (132_015, "the template is paused for low quality", Action::Permanent),
    (132_016, "the template is disabled for low quality", Action::Permanent),
    (132_068, "the flow is blocked", Action::Permanent),
    (132_069, "the flow is throttled", Action::Permanent),
    (133_004, "the platform is unavailable for a while", Action::Retry),
    (133_010, "the number is not registered", Action::StopAccount),
    (135_000, "a parameter is wrong, the platform does not say which", Action::Permanent),
];

/// The meaning and action of a code; `None` for one that is not in the table.
pub fn look_up(code: u32) -> Option<(&'static str, Action)> {
    let code = if (200..300).contains(&code) { 200 } else { code };
    let row = TABLE.binary_search_by_key(&code, |row| row.0).ok()?;
    Some((TABLE[row].1, TABLE[row].2))
}

/// What to do about an answer with this HTTP status and code. A code that nobody told us of goes by
/// the status.
pub fn action(http_status: u16, code: u32) -> Action {
    match look_up(code) {
        Some((_, action)) => action,
        None if http_status == 429 => SECOND,
        None if http_status >= 500 => Action::Retry,
        None => Action::Permanent,
    }
}

/// The error in an answer of the Graph API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GraphError {
    /// Number in the table, or a new one.
    pub code: u32,
    /// `error_data.details`, or else `message`, cut to [`DETAILS_BYTES_MAX`].
    pub details: String,
}

/// How much of the platform's words is kept.
pub const DETAILS_BYTES_MAX: usize = 512;

#[derive(Deserialize, Default)]
struct Body<'a> {
    #[serde(borrow)]
    error: Field<'a>,
}

#[derive(Deserialize, Default)]
struct ErrorFields<'a> {
    #[serde(borrow)]
    code: Field<'a>,
    #[serde(borrow)]
    message: Field<'a>,
    #[serde(borrow)]
    error_data: Field<'a>,
}

#[derive(Deserialize, Default)]
struct Data<'a> {
    #[serde(borrow)]
    details: Field<'a>,
}

impl GraphError {
    /// Reads the body of an answer. `None` when it is no error of the Graph API: then something
    /// else answered, and whether the platform took the message is not known.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let body: Body<'_> = serde_json::from_slice(body).ok()?;
        body.error?;
        let error: ErrorFields<'_> = field::object(body.error);
        let code = field::text(error.code)?.parse().ok()?;
        let data: Data<'_> = field::object(error.error_data);
        let words = field::id(data.details).or_else(|| field::id(error.message));
        let words = words.unwrap_or_default();
        let end = words.floor_char_boundary(DETAILS_BYTES_MAX);
        Some(Self { code, details: words[..end].to_owned() })
    }
}

/// The platform's id of a message that it has taken: `messages[0].id` of the answer. `None` when
/// the body is no such answer.
pub fn accepted(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        messages: Field<'a>,
    }
    #[derive(Deserialize, Default)]
    struct Sent<'a> {
        #[serde(borrow)]
        id: Field<'a>,
    }
    let answer: Answer<'_> = serde_json::from_slice(body).ok()?;
    let first = field::list(answer.messages).into_iter().next();
    let id = field::id(field::object::<Sent<'_>>(first).id)?;
    (id.len() <= super::limits::ID_CHARS_MAX).then(|| id.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_says_something() {
        assert!(TABLE.is_sorted_by(|left, right| left.0 < right.0));
        assert!(TABLE.iter().all(|row| !row.1.contains('|') && !row.1.is_empty()));
    }

    #[test]
    fn actions() {
        for (http, code, want) in [
            (401, 190, Action::StopAccount),
            (403, 299, Action::StopAccount),
            (403, 300, Action::Permanent),
            (400, 130_429, SECOND),
            (400, 131_056, Action::BackOffPair),
            (400, 131_047, Action::NeedsTemplate),
            (400, 131_026, Action::Permanent),
            (500, 131_000, Action::Retry),
            (500, 999_999, Action::Retry),
            (400, 999_999, Action::Permanent),
            (429, 999_999, SECOND),
        ] {
            assert_eq!(action(http, code), want, "{http} {code}");
        }
    }

    #[test]
    fn bodies() {
        let check = |body: &str, want: Option<(u32, &str)>| {
            let got = GraphError::parse(body.as_bytes());
            let got = got.as_ref().map(|error| (error.code, error.details.as_str()));
            assert_eq!(got, want, "{body}");
        };
        check(
            r##"{"error":{"message":"(#130429) Rate limit hit","type":"OAuthException",
                "code":130429,"error_data":{"messaging_product":"whatsapp","details":"Too many"},
                "fbtrace_id":"A"}}"##,
            Some((130_429, "Too many")),
        );
        check(r#"{"error":{"message":"bad \u00e9","code":"190"}}"#, Some((190, "bad é")));
        check(r#"{"error":{"code":-1}}"#, None);
        check(r#"{"error":{}}"#, None);
        check(r#"{"error":null}"#, None);
        check(r#"{"messages":[]}"#, None);
        check("<html>502 Bad Gateway</html>", None);
        check("", None);
    }

    #[test]
    fn acceptances() {
        let check = |body: &str, want: Option<&str>| {
            assert_eq!(accepted(body.as_bytes()).as_deref(), want, "{body}");
        };
        check(
            r#"{"messaging_product":"whatsapp","messages":[{"id":"wamid.A="}]}"#,
            Some("wamid.A="),
        );
        check(r#"{"messages":[{"id":""}]}"#, None);
        check(r#"{"messages":[]}"#, None);
        check(r#"{"success":true}"#, None);
        check("", None);
    }
}

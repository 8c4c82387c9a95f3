//! What Meta's error numbers mean, in a few words of our own.
//!
//! Numbers come from failed statuses and refused sends of the WhatsApp Cloud API; the list is the
//! part of Meta's "Error codes" page that a message of ours can meet.

/// What an error number means; `None` for one that is not listed.
pub(super) const fn meaning(code: u32) -> Option<&'static str> {
    Some(match code {
        0 => "no reason given",
        1 | 2 | 131_000 | 131_016 | 133_004 => "WhatsApp had a passing failure",
        3 | 10 | 200..=299 | 131_005 => "permission missing",
        4 | 80_007 => "too many API calls",
        33 | 100 | 131_008 | 131_009 | 135_000 => "the message was not well formed",
        190 => "access token expired",
        368 | 131_031 => "account blocked for a breach of policy",
        130_429 => "more messages a second than allowed",
        130_472 => "the receiver is part of an experiment of Meta's",
        130_497 => "not allowed in the receiver's country",
        131_021 => "sender and receiver are the same number",
        131_026 => "undeliverable: no WhatsApp, blocked, or an old app",
        131_030 => "the receiver is not on the test number's list",
        131_042 => "payment problem of the account",
        131_045 | 133_010 => "the sending number is not registered",
        131_047 => "more than 24 hours since the customer wrote: needs a template",
        131_048 => "limited because of spam reports",
        131_049 => "held back to keep the receiver from too much marketing",
        131_050 => "the receiver opted out of marketing",
        131_051 => "this type of message is not supported",
        131_052 => "media of the customer could not be fetched",
        131_053 => "media could not be uploaded",
        131_056 => "too many messages to the same receiver",
        131_057 => "account under maintenance",
        131_062 => "this message cannot go to a user id without number",
        131_064 => "restricted because of a template's category",
        132_000 => "wrong number of template parameters",
        132_001 => "no such template in that language",
        132_005 => "template text too long once filled in",
        132_007 => "template breaks a policy",
        132_012 => "wrong form of a template parameter",
        132_015 => "template paused for low quality",
        132_016 => "template disabled for low quality",
        _ => return None,
    })
}

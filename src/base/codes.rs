//! The closed lists of what can go wrong: request errors and endings of a connection.
//!
//! One list each feeds the wire, the metrics, the log and `docs/PROTOCOL.md`; a test keeps the
//! tables in the document equal to these.

/// Why a request was refused. Travels in `err` replies as `code` and `name`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorCode {
    /// The frame is not the JSON the verb wants.
    BadRequest,
    /// The token is missing or wrong.
    Unauthorized,
    /// The token has expired.
    TokenExpired,
    /// The user may not do this here.
    Forbidden,
    /// The room does not exist.
    NoSuchRoom,
    /// The verb does not exist.
    NoSuchVerb,
    /// The session is in this room already.
    AlreadyJoined,
    /// The event no longer exists: another epoch, or trimmed.
    Gone,
    /// The session is not in this room.
    NotJoined,
    /// A bound was exceeded; the message names it.
    TooLarge,
    /// The command does not exist or its arguments are wrong.
    BadCommand,
    /// The command failed.
    CommandFailed,
    /// The command did not answer in time.
    CommandTimeout,
    /// Too many requests; `after_ms` says when to try again.
    RateLimited,
    /// A moderator's rule refused the message.
    Moderated,
    /// The contact has been silent for too long: only a template can be sent.
    WindowClosed,
    /// This server sends nothing by the conversation's number.
    CannotSend,
    /// The server is at fault.
    Internal,
    /// A queue is full; try again.
    Overloaded,
    /// The log cannot take it; try again.
    LogFull,
}

impl ErrorCode {
    /// All codes in the order of their numbers.
    pub const ALL: [Self; 20] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::TokenExpired,
        Self::Forbidden,
        Self::NoSuchRoom,
        Self::NoSuchVerb,
        Self::AlreadyJoined,
        Self::Gone,
        Self::NotJoined,
        Self::TooLarge,
        Self::BadCommand,
        Self::CommandFailed,
        Self::CommandTimeout,
        Self::RateLimited,
        Self::Moderated,
        Self::WindowClosed,
        Self::CannotSend,
        Self::Internal,
        Self::Overloaded,
        Self::LogFull,
    ];

    /// (number, stable name, may the same request succeed later?)
    pub const fn describe(self) -> (u16, &'static str, bool) {
        match self {
            Self::BadRequest => (400, "bad_request", false),
            Self::Unauthorized => (401, "unauthorized", false),
            Self::TokenExpired => (402, "token_expired", false),
            Self::Forbidden => (403, "forbidden", false),
            Self::NoSuchRoom => (404, "no_such_room", false),
            Self::NoSuchVerb => (405, "no_such_verb", false),
            Self::AlreadyJoined => (409, "already_joined", false),
            Self::Gone => (410, "gone", false),
            Self::NotJoined => (411, "not_joined", false),
            Self::TooLarge => (413, "too_large", false),
            Self::BadCommand => (422, "bad_command", false),
            Self::CommandFailed => (424, "command_failed", false),
            Self::CommandTimeout => (425, "command_timeout", false),
            Self::RateLimited => (429, "rate_limited", true),
            Self::Moderated => (451, "moderated", false),
            Self::WindowClosed => (470, "window_closed", false),
            Self::CannotSend => (471, "cannot_send", false),
            Self::Internal => (500, "internal", true),
            Self::Overloaded => (503, "overloaded", true),
            Self::LogFull => (507, "log_full", true),
        }
    }
}

/// What a client should do after its connection was closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Advice {
    /// Connect again now, with the jitter given in `bye`.
    Reconnect,
    /// Connect again with back-off, and resume.
    BackOff,
    /// Get a new token first.
    Renew,
    /// Stay away until the person acts.
    Stay,
    /// The program is wrong; connecting again cannot help.
    Fix,
}

/// Every way the server ends a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CloseReason {
    /// The peer asked for it, or it was ended in order.
    Normal,
    /// RFC 6455 1002: reserved bits, opcodes, masking, lengths, control frames.
    Protocol,
    /// RFC 6455 1003: a binary message on a text protocol.
    BinaryOnText,
    /// RFC 6455 1007: a text that is not UTF-8, or data that does not inflate.
    BadPayload,
    /// RFC 6455 1008: more fragments than allowed.
    TooManyFragments,
    /// RFC 6455 1009: a longer message than allowed.
    TooBig,
    /// The server is stopping.
    Drain,
    /// Our own fault.
    Internal,
    /// The peer does not take what is queued for it.
    Slow,
    /// No answer to a ping.
    NoPong,
    /// More frames a second than allowed.
    RateLimited,
    /// The token ran out.
    TokenExpired,
    /// The same session connected again.
    Replaced,
    /// The user logged out.
    LoggedOut,
    /// All that the user said and was called is being erased.
    Erased,
    /// A frame that is no JSON envelope.
    BadFrame,
    /// The token is wrong.
    BadToken,
    /// No `hello` in time.
    NoHello,
    /// A moderator removed the user.
    Kicked,
    /// The user is banned.
    Banned,
    /// More sessions of one user than allowed.
    ConnectionLimit,
    /// The client wants a protocol this server does not speak.
    UnsupportedVersion,
}

impl CloseReason {
    /// All reasons in the order of their codes.
    pub const ALL: [Self; 22] = [
        Self::Normal,
        Self::Protocol,
        Self::BinaryOnText,
        Self::BadPayload,
        Self::TooManyFragments,
        Self::TooBig,
        Self::Drain,
        Self::Internal,
        Self::Slow,
        Self::NoPong,
        Self::RateLimited,
        Self::TokenExpired,
        Self::Replaced,
        Self::LoggedOut,
        Self::Erased,
        Self::BadFrame,
        Self::BadToken,
        Self::NoHello,
        Self::Kicked,
        Self::Banned,
        Self::ConnectionLimit,
        Self::UnsupportedVersion,
    ];

    /// (WebSocket close code, stable name, what the client should do)
    pub const fn describe(self) -> (u16, &'static str, Advice) {
        match self {
            Self::Normal => (1000, "normal", Advice::Stay),
            Self::Protocol => (1002, "protocol_error", Advice::Fix),
            Self::BinaryOnText => (1003, "binary_on_text", Advice::Fix),
            Self::BadPayload => (1007, "bad_payload", Advice::Fix),
            Self::TooManyFragments => (1008, "too_many_fragments", Advice::Fix),
            Self::TooBig => (1009, "too_big", Advice::Fix),
            Self::Drain => (4000, "drain", Advice::Reconnect),
            Self::Internal => (4100, "internal", Advice::BackOff),
            Self::Slow => (4101, "slow", Advice::BackOff),
            Self::NoPong => (4102, "no_pong", Advice::BackOff),
            Self::RateLimited => (4129, "rate_limited", Advice::BackOff),
            Self::TokenExpired => (4201, "token_expired", Advice::Renew),
            Self::Replaced => (4409, "replaced", Advice::Stay),
            Self::LoggedOut => (4410, "logged_out", Advice::Stay),
            Self::Erased => (4411, "erased", Advice::Stay),
            Self::BadFrame => (4500, "bad_frame", Advice::Fix),
            Self::BadToken => (4501, "bad_token", Advice::Fix),
            Self::NoHello => (4502, "no_hello", Advice::Fix),
            Self::Kicked => (4503, "kicked", Advice::Fix),
            Self::Banned => (4504, "banned", Advice::Fix),
            Self::ConnectionLimit => (4505, "connection_limit", Advice::Fix),
            Self::UnsupportedVersion => (4506, "unsupported_version", Advice::Fix),
        }
    }

    /// The WebSocket close code.
    pub const fn code(self) -> u16 {
        self.describe().0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_names_are_unique() {
        let numbers: Vec<_> = ErrorCode::ALL.iter().map(|code| code.describe().0).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        let codes: Vec<_> = CloseReason::ALL.iter().map(|reason| reason.code()).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
        let mut names: Vec<_> = ErrorCode::ALL.iter().map(|code| code.describe().1).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorCode::ALL.len());
    }

    #[test]
    fn private_codes_carry_their_advice_in_the_hundreds() {
        for reason in CloseReason::ALL {
            let (code, name, advice) = reason.describe();
            let want = match code {
                4000..4100 => Advice::Reconnect,
                4100..4200 => Advice::BackOff,
                4200..4300 => Advice::Renew,
                4400..4500 => Advice::Stay,
                4500..4600 => Advice::Fix,
                _ => continue,
            };
            assert_eq!(advice, want, "{name}");
        }
    }
}

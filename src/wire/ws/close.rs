//! Close codes and the body of a close frame (RFC 6455 §5.5.1, §7.4).

use crate::base::codes::CloseReason;
use crate::base::limits::WS_CONTROL_BYTES_MAX;

/// The longest reason of a close frame, bytes: a control frame without the code.
pub const REASON_BYTES_MAX: usize = WS_CONTROL_BYTES_MAX - 2;

/// Whether a peer may put this code in a close frame.
///
/// RFC 6455 §7.4.1 keeps 1004, 1005, 1006 and 1015 off the wire; 1012 to 1014 came later through
/// the IANA registry (§11.7); §7.4.2 gives 3000 to 4999 to libraries and applications.
pub const fn is_valid_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Takes the body of a received close frame apart: the code, unless the body is empty, and the
/// reason.
///
/// Fails with [`CloseReason::Protocol`] for a body of one byte or a code that may not travel, and
/// with [`CloseReason::BadPayload`] for a reason that is not UTF-8.
pub fn parse(body: &[u8]) -> Result<(Option<u16>, &str), CloseReason> {
    if body.is_empty() {
        return Ok((None, ""));
    }
    let Some((&code, reason)) = body.split_first_chunk::<2>() else {
        return Err(CloseReason::Protocol);
    };
    let code = u16::from_be_bytes(code);
    if !is_valid_code(code) {
        return Err(CloseReason::Protocol);
    }
    let reason = std::str::from_utf8(reason).map_err(|_| CloseReason::BadPayload)?;
    Ok((Some(code), reason))
}

/// The longest beginning of `reason` that fits a close frame and ends between two characters.
pub fn cut_reason(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]
}

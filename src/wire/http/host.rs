//! `Host` and the authority of an absolute target: `uri-host [ ":" port ]` (RFC 9110 §7.2).
//!
//! RFC 3986 §3.2.2 lets a registered name hold commas, `$`, `;` and escapes. None occurs in a name
//! that resolves, and a comma is how two folded `Host` lines look, so the accepted subset is
//! letters, digits, `-`, `.`, `_`, `~`; IPv6 in brackets; a port of 1 to 5 digits.

use std::net::Ipv6Addr;

/// The authority as text, or `None` when it is not one.
pub(super) fn parse(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?;
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            match after {
                "" => return Some(text),
                _ => ("-", Some(after.strip_prefix(':')?)),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let host_is_good = !host.is_empty() && host.bytes().all(is_name_byte);
    let port_is_good = port.is_none_or(is_port);
    (host_is_good && port_is_good).then_some(text)
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Digits first: `u16::from_str` would also take a plus sign.
fn is_port(port: &str) -> bool {
    (1..=5).contains(&port.len())
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok()
}

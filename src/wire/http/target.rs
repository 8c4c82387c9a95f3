//! The request target (RFC 9112 §3.2): origin-form, absolute-form, and `*` for OPTIONS.

use super::host;
use super::reject::Reject;

/// A target taken apart. All parts are ASCII as received: escapes are not decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Target<'a> {
    /// Begins with `/`, or is `*`.
    pub path: &'a str,
    /// What follows the first `?`, if there is one.
    pub query: Option<&'a str>,
    /// Only of an absolute-form target.
    pub authority: Option<&'a str>,
}

/// Takes `target` apart, or says why the server does not serve it.
pub(super) fn parse<'a>(method: &str, target: &'a str) -> Result<Target<'a>, Reject> {
    if method == "CONNECT" {
        let is_authority = host::parse(target.as_bytes()).is_some_and(|text| text.contains(':'));
        return Err(if is_authority { Reject::Connect } else { Reject::BadTarget });
    }
    if target == "*" {
        let whole_server = Target { path: "*", query: None, authority: None };
        return if method == "OPTIONS" { Ok(whole_server) } else { Err(Reject::BadTarget) };
    }
    let (authority, rest) = split_authority(target)?;
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    if !path.bytes().all(is_path_byte) || !query.unwrap_or("").bytes().all(is_query_byte) {
        return Err(Reject::BadTarget);
    }
    // An empty path is written as `/` (RFC 9110 §4.2.3); only an absolute target can have one.
    let path = if path.is_empty() { "/" } else { path };
    assert!(path.starts_with('/'));
    Ok(Target { path, query, authority })
}

/// (authority of an absolute target, the rest, which is empty or begins with `/` or `?`)
fn split_authority(target: &str) -> Result<(Option<&str>, &str), Reject> {
    if target.starts_with('/') {
        return Ok((None, target));
    }
    let (scheme, rest) = target.split_once("://").ok_or(Reject::BadTarget)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Reject::BadTarget);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let authority = host::parse(&rest.as_bytes()[..end]).ok_or(Reject::BadTarget)?;
    Ok((Some(authority), &rest[end..]))
}

/// RFC 3986 §3.3, plus `|`, which browsers do not encode in a path.
const fn is_path_byte(byte: u8) -> bool {
    is_query_byte(byte) && !matches!(byte, b'?' | b'\\' | b'^' | b'`' | b'{' | b'}')
}

/// RFC 3986 §3.4, plus what browsers leave as it is in a query (WHATWG URL §1.3). Not `#`: a
/// fragment is never sent.
const fn is_query_byte(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'#' | b'<' | b'>')
}

//! The console page and the client module for browsers, embedded.
//!
//! Static ES modules without a build step: what is read here is what the browser runs. The page's
//! references are relative, so it also works below a path prefix of a proxy.
//!
//! **Never:** inline script or style (the policy forbids both), a reference to another origin, a
//! stranger's text as markup.

/// Sent with every asset: only our own scripts and styles run, nobody frames the page, and text can
/// never become script (CSP Level 3; Trusted Types).
///
/// `ws:` and `wss:` are named because not every browser counts the page's own WebSocket to
/// `'self'`.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// The value of `Cache-Control`: browsers keep the assets but ask each time, and the tag answers;
/// so page and server never differ after an update.
pub const CACHE_CONTROL: &str = "no-cache";

/// A file that is part of the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asset {
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The whole body.
    pub body: &'static [u8],
    /// A strong validator with its quotes (RFC 9110 §8.8.3), made from the body when compiled.
    pub etag: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";
const TYPES: &str = "application/typescript; charset=utf-8";

/// Declares one row of [`ASSETS`]; the tag's bytes need a place of their own.
macro_rules! asset {
    ($path:literal, $content_type:expr, $file:literal) => {{
        const BODY: &[u8] = include_bytes!($file);
        const TAG: [u8; 18] = etag(BODY);
        const ETAG: &str = match std::str::from_utf8(&TAG) {
            Ok(text) => text,
            Err(_) => panic!("hexadecimal is ASCII"),
        };
        ($path, Asset { content_type: $content_type, body: BODY, etag: ETAG })
    }};
}

/// Every path that a browser may ask for.
pub const ASSETS: [(&str, Asset); 14] = [
    asset!("/", HTML, "console.html"),
    asset!("/console.css", STYLE, "console.css"),
    asset!("/timeline.css", STYLE, "timeline.css"),
    asset!("/narrow.css", STYLE, "narrow.css"),
    asset!("/console.js", SCRIPT, "console.js"),
    asset!("/complete.js", SCRIPT, "complete.js"),
    asset!("/panels.js", SCRIPT, "panels.js"),
    asset!("/room.js", SCRIPT, "room.js"),
    asset!("/store.js", SCRIPT, "store.js"),
    asset!("/text.js", SCRIPT, "text.js"),
    asset!("/timeline.js", SCRIPT, "timeline.js"),
    asset!("/ringpost.js", SCRIPT, "ringpost.js"),
    asset!("/ringpost.d.ts", TYPES, "ringpost.d.ts"),
    asset!("/favicon.svg", PICTURE, "favicon.svg"),
];

/// The asset at a request path (without query), or `None`.
pub fn asset(path: &str) -> Option<Asset> {
    ASSETS.iter().find(|(known, _)| *known == path).map(|(_, asset)| *asset)
}

/// FNV-1a of 64 bits in hexadecimal, quoted. Nobody attacks it: the bodies are our own.
const fn etag(body: &[u8]) -> [u8; 18] {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < body.len() {
        hash = (hash ^ body[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    let mut tag = [b'"'; 18];
    let mut digit = 0;
    while digit < 16 {
        tag[1 + digit] = b"0123456789abcdef"[(hash >> (60 - 4 * digit)) as usize & 15];
        digit += 1;
    }
    tag
}

#[cfg(test)]
mod tests;

//! A secret that cannot slip into a log line.

use std::fmt;
use subtle::ConstantTimeEq;

/// Bytes that only the code that needs them may see: an app secret, a token, a signing key.
///
/// **Never:** shown by `Debug`, and there is no `Display`; whoever writes [`Secret::expose`] says
/// so in the code, where a reviewer finds it.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Wraps the bytes. An empty secret is the caller's mistake: it would be a key known to all.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        let bytes = bytes.into();
        assert!(!bytes.is_empty());
        Self(bytes)
    }

    /// The bytes themselves, to key a MAC with and for nothing else.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether `candidate` is this secret, in a time that tells only whether the lengths differ.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        self.0.ct_eq(candidate).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_itself_only_and_does_not_print() {
        let secret = Secret::new(*b"swordfish");
        assert!(secret.matches(b"swordfish"));
        for other in [&b""[..], b"swordfis", b"swordfish ", b"Swordfish"] {
            assert!(!secret.matches(other));
        }
        assert_eq!(format!("{secret:?} {:#?}", [&secret]).find("sword"), None);
    }
}

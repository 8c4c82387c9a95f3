//! `X-Hub-Signature-256`: proof that Meta wrote exactly these bytes.
//!
//! The MAC carries no time, so a recorded webhook stays valid for ever: replays are caught by
//! message id, not here. Subset: SHA-256 only; the older SHA-1 header is not looked at.

use crate::base::secret::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The header, as it is spelled in Meta's documents; field names compare without case.
pub const HEADER: &str = "X-Hub-Signature-256";

const PREFIX: &[u8] = b"sha256=";
const MAC_BYTES: usize = 32;

/// Why a webhook is not believed. The peer learns nothing of it but 401; operators do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SignatureError {
    /// No app secret is configured, so nothing can be believed.
    NoSecret,
    /// The header is absent.
    Missing,
    /// The header is not `sha256=` and 64 hexadecimal digits.
    Malformed,
    /// The MAC is of other bytes or of another secret.
    Mismatch,
}

impl SignatureError {
    /// A stable name for metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoSecret => "no_secret",
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Mismatch => "mismatch",
        }
    }
}

/// Checks the header against the exact bytes of the body, with every active secret.
///
/// `header` is the one value of [`HEADER`]; a request that repeats the header is refused by the
/// caller. All secrets are tried even after a match, so the time tells how many there are and not
/// which one signed.
pub fn verify(
    body: &[u8],
    header: Option<&[u8]>,
    secrets: &[Secret],
) -> Result<(), SignatureError> {
    if secrets.is_empty() {
        return Err(SignatureError::NoSecret);
    }
    let mac = decode(header.ok_or(SignatureError::Missing)?).ok_or(SignatureError::Malformed)?;
    let mut matches = 0;
    for secret in secrets {
        matches += usize::from(keyed(secret).chain_update(body).verify_slice(&mac).is_ok());
    }
    if matches == 0 {
        return Err(SignatureError::Mismatch);
    }
    Ok(())
}

/// The header value that [`verify`] accepts: for tests and for replaying recorded webhooks.
pub fn sign(body: &[u8], secret: &Secret) -> String {
    use std::fmt::Write as _;
    let mut header = String::from("sha256=");
    for byte in keyed(secret).chain_update(body).finalize().into_bytes() {
        let _ = write!(header, "{byte:02x}");
    }
    header
}

/// The same for the same body, whichever secret signed it, and for no other.
pub fn print(body: &[u8]) -> u128 {
    let digest = Sha256::digest(body);
    u128::from_le_bytes(digest[..16].try_into().expect("a digest has 32 bytes"))
}

fn keyed(secret: &Secret) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret.expose()).expect("HMAC takes a key of any length (RFC 2104 §3)")
}

fn decode(header: &[u8]) -> Option<[u8; MAC_BYTES]> {
    let digits = header.strip_prefix(PREFIX)?;
    if digits.len() != 2 * MAC_BYTES {
        return None;
    }
    let mut mac = [0; MAC_BYTES];
    for (byte, pair) in mac.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = (high << 4 | low) as u8;
    }
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"object":"whatsapp_business_account","entry":[]}"#;
    const DIGITS: &str = "dec6a680679a968e7e0319355b23599cbfc54502c0784668e9618baa0c633756";

    #[track_caller]
    fn check(header: Option<&str>, secrets: &[&str], want: Result<(), SignatureError>) {
        let secrets: Vec<_> = secrets.iter().map(|text| Secret::new(text.as_bytes())).collect();
        let got = verify(BODY, header.map(str::as_bytes), &secrets);
        assert_eq!(got, want, "header: {header:?}");
    }

    #[test]
    fn one_header_form_and_any_active_secret() {
        use SignatureError::*;
        let good = format!("sha256={DIGITS}");
        let ours = ["test_app_secret"];
        check(Some(&good), &ours, Ok(()));
        check(Some(&format!("sha256={}", DIGITS.to_uppercase())), &ours, Ok(()));
        check(Some(&good), &["old", "test_app_secret"], Ok(()));
        check(Some(&good), &["test_app_secret", "new"], Ok(()));
        check(Some(&good), &["old", "new"], Err(Mismatch));
        check(Some(&good), &[], Err(NoSecret));
        check(None, &ours, Err(Missing));
        check(Some(&format!("sha256={}0", &DIGITS[..63])), &ours, Err(Mismatch));
        for malformed in [
            "",
            "sha256=",
            DIGITS,
            &format!("sha1={DIGITS}"),
            &format!("SHA256={DIGITS}"),
            &format!(" {good}"),
            &format!("{good} "),
            &format!("{good},{good}"),
            &good[..70],
            &format!("sha256=+{}", &DIGITS[1..]),
            &format!("sha256=g{}", &DIGITS[1..]),
            &format!("sha256={}é", &DIGITS[..62]),
        ] {
            check(Some(malformed), &ours, Err(Malformed));
        }
    }

    #[test]
    fn signs_what_it_verifies() {
        let secret = Secret::new(*b"test_app_secret");
        assert_eq!(sign(BODY, &secret), format!("sha256={DIGITS}"));
    }
}

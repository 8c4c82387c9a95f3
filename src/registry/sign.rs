//! Signatures of what is posted to others, by the Standard Webhooks specification
//! (<https://www.standardwebhooks.com>, "Signature scheme", symmetric): HMAC-SHA256 over
//! `id.timestamp.body`, as `v1,<base64>`.
//!
//! The id is the receiver's key to recognise a repetition by; the time lets it refuse what somebody
//! recorded. Libraries for a dozen languages check these headers.

use super::Fault;
use crate::base::secret::Secret;
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Begins every key.
pub const KEY_PREFIX: &str = "whsec_";
/// Names a posted event; the same whenever that is posted again.
pub const ID_HEADER: &str = "webhook-id";
/// When it is posted, seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// One or more signatures, parted by spaces.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// Bytes of a key, by the specification.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Names the scheme in front of a signature.
const SCHEME: &str = "v1,";

/// A key: `whsec_` and 24 to 64 bytes in Base64.
#[derive(Clone, Debug)]
pub struct SigningKey(Secret);

impl SigningKey {
    /// Reads one. The fault shows nothing of it.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let bytes = text.strip_prefix(KEY_PREFIX).and_then(|digits| {
            BASE64.decode(digits.as_bytes()).ok().filter(|bytes| KEY_BYTES.contains(&bytes.len()))
        });
        let problem = "a signing key is `whsec_` and 24 to 64 bytes in Base64; \
                       `echo whsec_$(openssl rand -base64 32)` makes one";
        let bytes = bytes.ok_or_else(|| Fault::of("secret", problem))?;
        Ok(Self(Secret::new(bytes)))
    }

    /// Makes one of random bytes, 24 to 64 of them.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        assert!(KEY_BYTES.contains(&bytes.len()));
        Self(Secret::new(bytes))
    }

    /// As [`SigningKey::parse`] reads it: for whoever made it and must be told once.
    pub fn text(&self) -> String {
        format!("{KEY_PREFIX}{}", BASE64.encode(self.0.expose()))
    }

    fn mac(&self, id: &str, timestamp_s: i64, body: &[u8]) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(self.0.expose());
        let mac = mac.expect("HMAC takes a key of any length (RFC 2104 §3)");
        let head = format!("{id}.{timestamp_s}.");
        mac.chain_update(head).chain_update(body)
    }
}

/// The three headers with which `body` is posted. Several keys give several signatures, so that a
/// receiver can change its key without losing anything.
pub fn signed_headers(
    id: &str,
    timestamp_s: i64,
    body: &[u8],
    keys: &[SigningKey],
) -> [(&'static str, String); 3] {
    assert!(!id.contains('.'), "the parts of what is signed must be told from each other");
    let signatures: Vec<String> = keys
        .iter()
        .map(|key| {
            let mac = key.mac(id, timestamp_s, body).finalize().into_bytes();
            format!("{SCHEME}{}", BASE64.encode(&mac))
        })
        .collect();
    [
        (ID_HEADER, id.to_owned()),
        (TIMESTAMP_HEADER, timestamp_s.to_string()),
        (SIGNATURE_HEADER, signatures.join(" ")),
    ]
}

/// Whether one of the signatures in `header` is by one of `keys`. That the time is near to now is
/// the caller's to check.
pub fn is_signed(
    (id, timestamp_s, body): (&str, i64, &[u8]),
    header: &str,
    keys: &[SigningKey],
) -> bool {
    let given = header
        .split(' ')
        .filter_map(|signature| BASE64.decode(signature.strip_prefix(SCHEME)?.as_bytes()).ok());
    // A handful at most: whoever sends more wants us to compute.
    let given: Vec<_> = given.take(8).collect();
    let mut matches = 0;
    for key in keys {
        let mac = key.mac(id, timestamp_s, body);
        let fits = |mac_given: &Vec<u8>| mac.clone().verify_slice(mac_given).is_ok();
        matches += given.iter().filter(|mac_given| fits(mac_given)).count();
    }
    matches > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// The example of the specification's reference libraries.
    #[test]
    fn the_known_example() {
        let key = SigningKey::parse(KEY).expect("a key");
        let body = br#"{"test": 2432232314}"#;
        let (id, at_s) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330);
        let headers = signed_headers(id, at_s, body, std::slice::from_ref(&key));
        assert_eq!(headers[0], ("webhook-id", id.to_owned()));
        assert_eq!(headers[1], ("webhook-timestamp", "1614265330".to_owned()));
        let want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(headers[2], ("webhook-signature", want.to_owned()));
        assert_eq!(key.text(), KEY);
    }

    #[test]
    fn one_of_several_signatures_by_one_of_several_keys_is_enough() {
        let (old, new) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let both = [old.clone(), new.clone()];
        let [_, _, (_, header)] = signed_headers("a", 7, b"x", &both);
        for keys in [&both[..], &[old], &[new]] {
            assert!(is_signed(("a", 7, b"x"), &header, keys));
            assert!(!is_signed(("a", 8, b"x"), &header, keys));
            assert!(!is_signed(("b", 7, b"x"), &header, keys));
            assert!(!is_signed(("a", 7, b"y"), &header, keys));
            for bad in ["", "v1,", "v1,????", "v2,AAAA", " ", &header.replace("v1,", "v2,")] {
                assert!(!is_signed(("a", 7, b"x"), bad, keys), "{bad}");
            }
        }
        assert!(!is_signed(("a", 7, b"x"), &header, &[SigningKey::from_bytes(&[3; 32])]));
        assert!(!is_signed(("a", 7, b"x"), &header, &[]));
    }

    #[test]
    fn keys_of_another_form_are_refused_unseen() {
        for bad in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_ä"]
        {
            let fault = SigningKey::parse(bad).expect_err("no key");
            assert!(bad.len() < 7 || !fault.to_string().contains(bad), "{fault}");
        }
    }
}

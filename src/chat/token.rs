//! Tokens that prove a user name outside development mode: JSON Web Tokens (RFC 7519) signed with
//! HS256 (RFC 7515 §A.1), and nothing else of that family.
//!
//! The header is compared with the few spellings that mean HS256 instead of being interpreted, so
//! no token can choose how it is checked.

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

/// Why a token was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenError {
    /// Not three base64url parts, or the header is not `{"alg":"HS256","typ":"JWT"}`.
    Malformed,
    /// Signed with another secret.
    Signature,
    /// `exp` is in the past.
    Expired,
    /// `nbf` is in the future.
    NotYet,
    /// No usable `sub`.
    Subject,
}

#[derive(Deserialize)]
struct Header<'a> {
    alg: &'a str,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
}

/// The user named by `token`, if `secret` signed it and it is valid at `now_s` (seconds since
/// 1970).
pub fn verify(token: &str, secret: &[u8], now_s: i64) -> Result<String, TokenError> {
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    let header = decode(header).ok_or(TokenError::Malformed)?;
    let header: Header<'_> = serde_json::from_slice(&header).map_err(|_| TokenError::Malformed)?;
    if header.alg != "HS256" {
        return Err(TokenError::Malformed);
    }
    let signature = decode(signature).ok_or(TokenError::Malformed)?;
    mac(signed, secret).verify_slice(&signature).map_err(|_| TokenError::Signature)?;
    let claims = decode(claims).ok_or(TokenError::Malformed)?;
    let claims: Claims = serde_json::from_slice(&claims).map_err(|_| TokenError::Malformed)?;
    if claims.exp.is_some_and(|exp| exp <= now_s as f64) {
        return Err(TokenError::Expired);
    }
    if claims.nbf.is_some_and(|nbf| nbf > now_s as f64) {
        return Err(TokenError::NotYet);
    }
    claims.sub.filter(|sub| !sub.is_empty()).ok_or(TokenError::Subject)
}

/// A token for `user` that ends at `exp_s` (seconds since 1970).
pub fn mint(user: &str, secret: &[u8], exp_s: i64) -> String {
    let claims = serde_json::json!({"sub": user, "exp": exp_s}).to_string();
    let header = encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", encode(claims.as_bytes()));
    let signature = encode(&mac(&signed, secret).finalize().into_bytes());
    format!("{signed}.{signature}")
}

fn mac(signed: &str, secret: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes any key length");
    mac.update(signed.as_bytes());
    mac
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// base64url without padding (RFC 7515 §2).
fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            text.push(ALPHABET[(word >> (18 - 6 * digit)) as usize & 63] as char);
        }
    }
    text
}

/// The inverse of [`encode`]; strict.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for chunk in text.as_bytes().chunks(4) {
        if chunk.len() == 1 {
            return None;
        }
        let mut word = 0u32;
        for byte in chunk {
            word = word << 6 | ALPHABET.iter().position(|digit| digit == byte)? as u32;
        }
        word <<= 6 * (4 - chunk.len());
        let unused = word & ((1 << (8 * (4 - chunk.len()))) - 1);
        if unused != 0 {
            return None;
        }
        bytes.extend_from_slice(&word.to_be_bytes()[1..chunk.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_unexpired_tokens_pass() {
        let token = mint("alice", b"secret", 1_000);
        assert_eq!(verify(&token, b"secret", 999), Ok("alice".to_owned()));
        assert_eq!(verify(&token, b"secret", 1_000), Err(TokenError::Expired));
        assert_eq!(verify(&token, b"other", 999), Err(TokenError::Signature));
        let (signed, _) = token.rsplit_once('.').expect("three parts");
        assert_eq!(verify(signed, b"secret", 999), Err(TokenError::Malformed));
        assert_eq!(verify(&format!("{signed}."), b"secret", 999), Err(TokenError::Signature));
        let none = format!("{}.{}.", encode(br#"{"alg":"none"}"#), encode(br#"{"sub":"x"}"#));
        assert_eq!(verify(&none, b"secret", 999), Err(TokenError::Malformed));
        for junk in ["", ".", "..", "a.b.c", "é.é.é", &"x".repeat(10_000)] {
            assert!(verify(junk, b"secret", 0).is_err(), "{junk:.20}");
        }
    }

    #[test]
    fn rfc_7515_appendix_a_1() {
        let key = decode(concat!(
            "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aK",
            "tMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        ))
        .expect("base64url");
        let token = concat!(
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.",
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6",
            "Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        );
        assert_eq!(verify(token, &key, 1_300_819_379), Err(TokenError::Subject));
        assert_eq!(verify(token, &key, 1_300_819_380), Err(TokenError::Expired));
    }

    #[test]
    fn base64url_round_trips() {
        for size in 0..40u8 {
            let bytes: Vec<u8> = (0..size).map(|n| n.wrapping_mul(37)).collect();
            assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
        for bad in ["A", "AB=", "A+", "AB", "AAAAB"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}

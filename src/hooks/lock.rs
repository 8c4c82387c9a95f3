//! Who may pass: whoever shows the secret, or signs with it.

use super::{Letter, Refused, refused};
use crate::base::secret::Secret;
use crate::registry::Fault;
use crate::registry::part::{Fields, Part};
use crate::registry::sign::{ID_HEADER, SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER, is_signed};
use data_encoding::{BASE64, BASE64URL, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A signed time may be so far from ours: what somebody recorded is of no use later.
const TOLERANCE_S: u64 = 300;
/// Signatures of one header that are looked at.
const SIGNATURES_MAX: usize = 8;

/// A lock.
#[derive(Clone, Debug)]
pub(super) struct Lock {
    headers: Vec<Box<str>>,
    scheme: Scheme,
}

#[derive(Clone, Debug)]
enum Scheme {
    /// The secret itself, as a bearer token, in `X-Hook-Secret` or in the path.
    Shown(Secret),
    /// HMAC-SHA256 over the body, in one header.
    Body { key: Secret, encoding: Encoding, prefix: Box<str> },
    /// `t=…,v1=…` in one header, over `t.body`, as Stripe signs.
    Timed(Secret),
    /// The Standard Webhooks specification.
    Standard(SigningKey),
}

#[derive(Clone, Copy, Debug)]
enum Encoding {
    Hex,
    Base64,
}

#[derive(Clone, Copy)]
enum SchemeName {
    Body,
    Timed,
    Standard,
}

const ALGORITHMS: [(&str, ()); 1] = [("hmac-sha256", ())];
const ENCODINGS: [(&str, Encoding); 2] = [("hex", Encoding::Hex), ("base64", Encoding::Base64)];
const SCHEMES: [(&str, SchemeName); 3] =
    [("body", SchemeName::Body), ("stripe", SchemeName::Timed), ("standard", SchemeName::Standard)];

const UNAUTHORIZED: Refused =
    refused(401, "unauthorized", "this hook wants its secret, or a signature made with it");

impl Lock {
    /// Reads `secret` or `signature` of a hook.
    pub(super) fn parse(whole: &Fields<'_>) -> Result<Self, Fault> {
        match (whole.get("secret"), whole.get("signature")) {
            (Some(secret), None) => Ok(Self {
                headers: vec!["authorization".into(), "x-hook-secret".into()],
                scheme: Scheme::Shown(key(secret)?),
            }),
            (None, Some(signature)) => signed(signature),
            (Some(_), Some(both)) => Err(both.fault("is in place of `secret`; give one of them")),
            (None, None) => {
                let fault = "wants `secret` or `signature`: a door without a lock is everybody's";
                Err(whole.part().fault(fault))
            }
        }
    }

    pub(super) fn headers(&self) -> &[Box<str>] {
        &self.headers
    }

    /// Whether the letter's sender knows the secret.
    pub(super) fn admit(&self, letter: &Letter<'_>) -> Result<(), Refused> {
        let header = |index: usize| letter.headers.get(index).and_then(|value| value.as_deref());
        let is_right = match &self.scheme {
            Scheme::Shown(secret) => {
                let bearer = header(0).and_then(bearer);
                let shown = [bearer, header(1), letter.key.map(str::as_bytes)];
                shown.into_iter().flatten().any(|shown| secret.matches(shown))
            }
            Scheme::Body { key, encoding, prefix } => header(0)
                .and_then(|value| value.strip_prefix(prefix.as_bytes()))
                .and_then(|digits| encoding.decode(digits.trim_ascii()))
                .is_some_and(|mac| is_mac(key, &[letter.body], &mac)),
            Scheme::Timed(key) => header(0).is_some_and(|value| is_timed(key, value, letter)),
            Scheme::Standard(key) => {
                let text = |index| header(index).and_then(|value| std::str::from_utf8(value).ok());
                let (id, at_s, signature) = (text(0), text(1), text(2));
                let at_s = at_s.and_then(|at_s| at_s.parse().ok());
                id.zip(at_s).zip(signature).is_some_and(|((id, at_s), signature)| {
                    let keys = std::slice::from_ref(key);
                    is_near(at_s, letter.now_s)
                        && is_signed((id, at_s, letter.body), signature, keys)
                })
            }
        };
        if is_right { Ok(()) } else { Err(UNAUTHORIZED) }
    }

    /// What the sender calls the letter, the same when it comes again.
    pub(super) fn id(&self, letter: &Letter<'_>) -> Option<String> {
        let Scheme::Standard(_) = &self.scheme else { return None };
        let id = letter.headers.first()?.as_deref()?;
        std::str::from_utf8(id).ok().map(str::to_owned)
    }
}

fn key(part: &Part<'_>) -> Result<Secret, Fault> {
    let text = part.text(512)?;
    if text.len() < 8 {
        return Err(part.fault("wants at least 8 characters, by chance"));
    }
    Ok(Secret::new(text.into_bytes()))
}

fn signed(part: &Part<'_>) -> Result<Lock, Fault> {
    let fields = part.object()?;
    fields.only(["header", "secret", "algorithm", "encoding", "prefix", "scheme"])?;
    if let Some(algorithm) = fields.get("algorithm") {
        algorithm.one_of(&ALGORITHMS)?;
    }
    let name = fields.get("scheme").map_or(Ok(SchemeName::Body), |part| part.one_of(&SCHEMES))?;
    let secret = fields.need("secret")?;
    let header = |preset: Option<&str>| -> Result<Box<str>, Fault> {
        let text = match (fields.get("header"), preset) {
            (None, Some(preset)) => return Ok(preset.into()),
            (None, None) => fields.need("header")?.text(128)?,
            (Some(part), _) => part.text(128)?,
        };
        Ok(text.to_ascii_lowercase().into())
    };
    let others = |known: &[&str]| {
        let stray = |name: &&&str| fields.get(name).is_some() && !known.contains(*name);
        match ["header", "encoding", "prefix"].iter().find(stray) {
            Some(name) => {
                let part = fields.get(name).expect("found");
                Err(part.fault("this scheme sets it"))
            }
            None => Ok(()),
        }
    };
    Ok(match name {
        SchemeName::Body => {
            let prefix = fields.get("prefix").map_or(Ok(String::new()), |part| part.text(64))?;
            let encoding = fields.get("encoding");
            let encoding = encoding.map_or(Ok(Encoding::Hex), |part| part.one_of(&ENCODINGS))?;
            let scheme = Scheme::Body { key: key(secret)?, encoding, prefix: prefix.into() };
            Lock { headers: vec![header(None)?], scheme }
        }
        SchemeName::Timed => {
            others(&["header"])?;
            let header = header(Some("stripe-signature"))?;
            Lock { headers: vec![header], scheme: Scheme::Timed(key(secret)?) }
        }
        SchemeName::Standard => {
            others(&[])?;
            let key = SigningKey::parse(&secret.text(256)?);
            let key = key.map_err(|fault| secret.fault(fault.problem))?;
            let headers = [ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER].map(Box::from).into();
            Lock { headers, scheme: Scheme::Standard(key) }
        }
    })
}

impl Encoding {
    fn decode(self, digits: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Hex => HEXLOWER_PERMISSIVE.decode(digits).ok(),
            Self::Base64 => BASE64.decode(digits).or_else(|_| BASE64URL.decode(digits)).ok(),
        }
    }
}

/// The token of `Bearer …` (RFC 6750 §2.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn is_near(at_s: i64, now_s: i64) -> bool {
    at_s.abs_diff(now_s) <= TOLERANCE_S
}

fn is_mac(key: &Secret, pieces: &[&[u8]], given: &[u8]) -> bool {
    let mac = Hmac::<Sha256>::new_from_slice(key.expose());
    let mut mac = mac.expect("HMAC takes a key of any length (RFC 2104 §3)");
    pieces.iter().for_each(|piece| mac.update(piece));
    mac.verify_slice(given).is_ok()
}

/// `t=1492774577,v1=5257a8…,v1=…`
fn is_timed(key: &Secret, value: &[u8], letter: &Letter<'_>) -> bool {
    let Ok(value) = std::str::from_utf8(value) else { return false };
    let pairs = || value.split(',').filter_map(|pair| pair.trim().split_once('='));
    let Some((_, time)) = pairs().find(|(name, _)| *name == "t") else { return false };
    let is_now = time.parse().is_ok_and(|at_s| is_near(at_s, letter.now_s));
    let given = pairs().filter(|(name, _)| *name == "v1").take(SIGNATURES_MAX);
    let mut given = given.filter_map(|(_, digits)| Encoding::Hex.decode(digits.as_bytes()));
    let pieces = [time.as_bytes(), b".", letter.body];
    is_now && given.any(|mac| is_mac(key, &pieces, &mac))
}

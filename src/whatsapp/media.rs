//! Files of the platform: what it says of one, and how large each kind may be
//! (Cloud API, "Media": `GET /{media-id}`, supported types).

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Bytes of the longest id that is looked up. Those of today have some sixteen digits.
const ID_BYTES_MAX: usize = 200;
/// (beginning of a type, bytes): what the platform itself lets pass.
const BYTES_MAX: [(&str, u64); 3] =
    [("image/", 5 << 20), ("audio/", 16 << 20), ("video/", 16 << 20)];
/// Documents, and what is of no known type.
const OTHER_BYTES_MAX: u64 = 100 << 20;

/// What the platform says of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MediaInfo {
    /// Where it is, for five minutes and with the number's token.
    pub url: String,
    /// Its type, fit for a header; `application/octet-stream` when it says none that is.
    pub mime: String,
    /// Its length, when it says one.
    pub bytes: Option<u64>,
    /// SHA-256 of it, when it says one that reads as such.
    pub hash: Option<[u8; 32]>,
}

impl MediaInfo {
    /// Reads the answer to a request for a file; `None` when it is none.
    pub fn parse(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Fields {
            url: String,
            #[serde(default)]
            mime_type: Option<String>,
            #[serde(default)]
            sha256: Option<String>,
            #[serde(default)]
            file_size: Value,
        }
        let fields: Fields = serde_json::from_slice(body).ok()?;
        let mime = fields.mime_type.filter(|mime| is_mime(mime));
        // A number in some answers, a text in others.
        let size = fields.file_size;
        let bytes = size.as_u64().or_else(|| size.as_str()?.parse().ok());
        Some(Self {
            url: fields.url,
            mime: mime.unwrap_or_else(|| "application/octet-stream".to_owned()),
            bytes,
            hash: fields.sha256.and_then(|text| hash(&text)),
        })
    }

    /// What a file of this type may have.
    pub fn bytes_max(&self) -> u64 {
        let known = BYTES_MAX.iter().find(|(begin, _)| self.mime.starts_with(begin));
        known.map_or(OTHER_BYTES_MAX, |(_, bytes_max)| *bytes_max)
    }
}

/// Whether `id` may be asked for: letters, digits, `-` and `_`.
pub fn is_media_id(id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(fits)
}

/// Whether `text` is a type as it may stand in a header: `type/subtype`, with parameters perhaps.
pub fn is_mime(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-/;= ".contains(&byte);
    let essence = text.split(';').next().unwrap_or("");
    text.len() <= 128 && essence.split('/').count() == 2 && text.bytes().all(fits)
}

/// Hex in some answers of the platform, Base64 in others.
fn hash(text: &str) -> Option<[u8; 32]> {
    let hex = HEXLOWER_PERMISSIVE.decode(text.as_bytes());
    let bytes = hex.or_else(|_| BASE64.decode(text.as_bytes())).ok()?;
    bytes.try_into().ok()
}

/// Checks a file while it is read.
#[derive(Clone, Debug, Default)]
pub struct Checksum(Sha256);

impl Checksum {
    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Whether those were all.
    pub fn is(self, hash: &[u8; 32]) -> bool {
        self.0.finalize()[..] == hash[..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_are_read_in_both_dialects() {
        // Of `hi`.
        let hex = "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4";
        let base64 = "j0NDRmSPa5bfid2pAcUXaxCm2Dlh3TwayItZstwyeqQ=";
        for (answer, bytes, has_hash) in [
            (
                json!({"url": "u", "mime_type": "image/jpeg", "file_size": 7, "sha256": hex}),
                7,
                true,
            ),
            (
                json!({"url": "u", "mime_type": "image/jpeg", "file_size": "7", "sha256": base64}),
                7,
                true,
            ),
            (
                json!({"url": "u", "mime_type": "image/jpeg", "file_size": 7, "sha256": "x"}),
                7,
                false,
            ),
        ] {
            let info = MediaInfo::parse(answer.to_string().as_bytes()).expect("an answer");
            assert_eq!((info.bytes, info.bytes_max()), (Some(bytes), 5 << 20));
            let mut sum = Checksum::default();
            sum.update(b"h");
            sum.update(b"i");
            assert_eq!(info.hash.is_some_and(|hash| sum.is(&hash)), has_hash, "{answer}");
        }
        let bare =
            MediaInfo::parse(br#"{"url":"u","mime_type":"a\r\nb: c/d"}"#).expect("an answer");
        assert_eq!((&*bare.mime, bare.bytes, bare.hash), ("application/octet-stream", None, None));
        assert_eq!(bare.bytes_max(), 100 << 20);
        for bad in ["", "{}", "[]", r#"{"error":{"code":100}}"#] {
            assert_eq!(MediaInfo::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn ids_and_types() {
        for (id, fits) in
            [("123", true), ("aB-_9", true), ("", false), ("a/b", false), ("..", false)]
        {
            assert_eq!(is_media_id(id), fits, "{id}");
        }
        for (mime, fits) in [
            ("image/jpeg", true),
            ("audio/ogg; codecs=opus", true),
            ("image", false),
            ("a/b/c", false),
            ("a/b\r\nc", false),
            ("a/\"b\"", false),
        ] {
            assert_eq!(is_mime(mime), fits, "{mime}");
        }
    }
}

//! Calls of commands that somebody else's program carries out, as Slack makes them: what is posted,
//! what signs it, and what an answer says
//! (<https://docs.slack.dev/interactivity/implementing-slash-commands>,
//! <https://docs.slack.dev/authentication/verifying-requests-from-slack>).

use super::manifest::{Callback, Shown};
use crate::registry::slack;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::fmt::Write as _;

/// The `Content-Type` of a call.
pub const MIME: &str = "application/x-www-form-urlencoded";

/// What a call says.
#[derive(Clone, Copy, Debug)]
pub struct Posted<'a> {
    /// The name as it was typed.
    pub name: &'a str,
    /// What stood behind it.
    pub text: &'a str,
    /// Who asks.
    pub user: &'a str,
    /// The name they go by.
    pub display: &'a str,
    /// Where.
    pub room: &'a str,
    /// Takes later answers.
    pub response_url: &'a str,
    /// The call's id.
    pub call: &'a str,
}

impl Posted<'_> {
    /// The body of the call.
    pub fn body(&self) -> String {
        let command = format!("/{}", self.name);
        let fields = [
            ("team_id", "ringpost"),
            ("team_domain", "ringpost"),
            ("channel_id", self.room),
            ("channel_name", self.room),
            ("user_id", self.user),
            ("user_name", self.display),
            ("command", &command),
            ("text", self.text),
            ("api_app_id", "ringpost"),
            ("is_enterprise_install", "false"),
            ("response_url", self.response_url),
            ("trigger_id", self.call),
        ];
        let mut body = String::new();
        for (name, value) in fields {
            let gap = if body.is_empty() { "" } else { "&" };
            let _ = write!(body, "{gap}{name}=");
            encode(value, &mut body);
        }
        body
    }
}

/// `application/x-www-form-urlencoded` (WHATWG URL §5.2).
fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'*' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                out.push(char::from(byte));
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

/// The headers that sign a call: `v0=` and the HMAC-SHA256 of `v0:time:body`.
pub fn headers(callback: &Callback, at_s: i64, body: &str) -> Vec<(Box<str>, Box<str>)> {
    if callback.secret.is_empty() {
        return Vec::new();
    }
    let mac = Hmac::<Sha256>::new_from_slice(callback.secret.as_bytes());
    let mut mac = mac.expect("HMAC takes a key of any length (RFC 2104 §3)");
    mac.update(format!("v0:{at_s}:{body}").as_bytes());
    let digest = HEXLOWER.encode(&mac.finalize().into_bytes());
    vec![
        ("X-Slack-Request-Timestamp".into(), at_s.to_string().into()),
        ("X-Slack-Signature".into(), format!("v0={digest}").into()),
    ]
}

/// What an answer says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Said {
    /// The words; empty: nothing yet.
    pub text: String,
    /// Who sees them, if it says so.
    pub shown: Option<Shown>,
    /// They are how far it is, and no answer.
    pub progress: bool,
}

impl Said {
    /// Reads a body: a JSON message of Slack's, or plain words. A body of white space says nothing.
    pub fn read(body: &str) -> Result<Self, String> {
        let body = body.trim();
        if !body.starts_with('{') {
            return Ok(Self { text: body.to_owned(), ..Self::default() });
        }
        let value: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
        Ok(Self::of(&value))
    }

    /// Reads a message of Slack's.
    pub fn of(value: &Value) -> Self {
        let shown = match value["response_type"].as_str() {
            Some("in_channel") => Some(Shown::InChannel),
            Some("ephemeral" | "progress") => Some(Shown::Ephemeral),
            _ => None,
        };
        let progress = value["response_type"] == "progress";
        let text = slack::text(value).or_else(|| blocks(value)).unwrap_or_default();
        Self { text, shown, progress }
    }
}

/// The words of a message that has only blocks.
fn blocks(value: &Value) -> Option<String> {
    let blocks = value["blocks"].as_array()?;
    let text = |block: &Value| {
        let fields = block["fields"].as_array().into_iter().flatten();
        let own = block["text"]["text"].as_str().or_else(|| block["text"].as_str());
        let mut lines: Vec<&str> = own.into_iter().collect();
        lines.extend(fields.filter_map(|field| field["text"].as_str()));
        lines.join("\n")
    };
    let lines: Vec<_> = blocks.iter().map(text).filter(|text| !text.is_empty()).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

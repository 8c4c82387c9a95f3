//! What a subscription's JSON may say.

use super::event::{EVENTS, Wanted};
use crate::base::limits::{
    SUBSCRIPTION_BATCH_MAX, SUBSCRIPTION_HEADERS_MAX, SUBSCRIPTION_RETRIES_MAX,
    SUBSCRIPTION_RULES_MAX, URL_BYTES_MAX,
};
use crate::base::network::Network;
use crate::base::secret::Secret;
use crate::egress::check_url;
use crate::log::record::Direction;
use crate::registry::Fault;
use crate::registry::part::{Fields, Part};
use crate::registry::sign::SigningKey;

/// What one subscription wants, and how.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Where events are posted. It may hold a secret: no message names it.
    pub(super) url: Secret,
    /// Each signs; more than one while a receiver changes its key.
    pub(super) keys: Vec<SigningKey>,
    /// Which events.
    pub(super) wanted: Wanted,
    /// Headers of the operator's own.
    pub(super) headers: Vec<(Box<str>, Secret)>,
    /// Most events of one post.
    pub(super) batch_max: usize,
    /// How long a batch may wait to fill, ms.
    pub(super) wait_ms: u64,
    /// Whether a post is the event itself, without a list around it.
    pub(super) is_bare: bool,
    /// Waits between the attempts, seconds.
    pub(super) retry_s: Vec<u32>,
    /// Whether a new subscription begins with the oldest event there is.
    pub(super) is_from_start: bool,
    /// Whether it is told anything.
    pub(super) is_enabled: bool,
}

/// The schedule that the Standard Webhooks specification recommends, seconds after each failure:
/// some three days in all.
pub(super) const RETRY_S: [u32; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

const FIELDS: [&str; 11] = [
    "url",
    "secret",
    "events",
    "rooms",
    "directions",
    "headers",
    "batch",
    "format",
    "retry_s",
    "from",
    "enabled",
];

/// Set by us, or by HTTP.
const OWN_HEADERS: [&str; 8] = [
    "host",
    "content-type",
    "content-length",
    "transfer-encoding",
    "connection",
    "user-agent",
    "upgrade",
    "expect",
];

impl Spec {
    /// Reads a definition. `networks` are those that calls may reach although they are not public.
    pub fn parse(json: &str, networks: &[Network]) -> Result<Self, Fault> {
        let whole = Part::whole(json)?.object()?;
        whole.only(FIELDS)?;
        let url = whole.need("url")?;
        let text = url.text(URL_BYTES_MAX)?;
        check_url(&text, networks).map_err(|error| url.fault(error.to_string()))?;
        let (batch_max, wait_ms) = batch(&whole)?;
        let bare = [("list", false), ("event", true)];
        let is_bare = optional(&whole, "format", false, |part| part.one_of(&bare))?;
        if is_bare && batch_max > 1 {
            let fault = "`format` \"event\" wants `batch` {\"max\": 1}";
            return Err(whole.part().fault(fault));
        }
        let from = [("now", false), ("start", true)];
        Ok(Self {
            url: Secret::new(text.into_bytes()),
            keys: keys(whole.need("secret")?)?,
            wanted: wanted(&whole)?,
            headers: headers(&whole)?,
            batch_max: if is_bare { 1 } else { batch_max },
            wait_ms,
            is_bare,
            retry_s: optional(&whole, "retry_s", RETRY_S.to_vec(), retries)?,
            is_from_start: optional(&whole, "from", false, |part| part.one_of(&from))?,
            is_enabled: optional(&whole, "enabled", true, |part| part.flag())?,
        })
    }
}

fn optional<T>(
    fields: &Fields<'_>,
    name: &str,
    preset: T,
    read: impl FnOnce(&Part<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    fields.get(name).map_or(Ok(preset), read)
}

fn keys(part: &Part<'_>) -> Result<Vec<SigningKey>, Fault> {
    let keys = part.one_or_more()?;
    if keys.len() > 2 {
        return Err(part.fault("takes at most two keys: the old one and the new one"));
    }
    let key = |part: &Part<'_>| {
        let text = part.text(256)?;
        SigningKey::parse(&text).map_err(|fault| part.fault(fault.problem))
    };
    keys.iter().map(key).collect()
}

fn wanted(whole: &Fields<'_>) -> Result<Wanted, Fault> {
    let mut wanted = Wanted::default();
    if let Some(events) = whole.get("events") {
        let table = EVENTS.map(|(name, kind, _)| (name, kind));
        let events = events.one_or_more()?;
        wanted.kinds = events.iter().map(|part| part.one_of(&table)).collect::<Result<_, _>>()?;
    }
    if let Some(rooms) = whole.get("rooms") {
        let rules = rooms.one_or_more()?;
        if rules.len() > SUBSCRIPTION_RULES_MAX {
            let most = format!("takes at most {SUBSCRIPTION_RULES_MAX} rules");
            return Err(rooms.fault(most));
        }
        let rule = |part: &Part<'_>| part.text(256).map(String::into_boxed_str);
        wanted.rooms = rules.iter().map(rule).collect::<Result<_, _>>()?;
    }
    if let Some(directions) = whole.get("directions") {
        let table = [
            (Direction::In.name(), Direction::In),
            (Direction::Out.name(), Direction::Out),
            (Direction::Internal.name(), Direction::Internal),
        ];
        let directions = directions.one_or_more()?;
        let directions = directions.iter().map(|part| part.one_of(&table));
        wanted.directions = directions.collect::<Result<_, _>>()?;
    }
    Ok(wanted)
}

fn headers(whole: &Fields<'_>) -> Result<Vec<(Box<str>, Secret)>, Fault> {
    let Some(part) = whole.get("headers") else { return Ok(Vec::new()) };
    let mut headers = Vec::new();
    for (name, value) in part.object()?.iter() {
        let lower = name.to_ascii_lowercase();
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(&byte);
        if name.is_empty() || name.len() > 128 || !name.bytes().all(is_token) {
            return Err(value.fault("is no name of a header"));
        }
        if OWN_HEADERS.contains(&lower.as_str()) || lower.starts_with("webhook-") {
            return Err(value.fault("is set by the server"));
        }
        let text = value.text(4_096)?;
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(value.fault("takes printable ASCII only"));
        }
        headers.push((name.into(), Secret::new(text.into_bytes())));
    }
    if headers.len() > SUBSCRIPTION_HEADERS_MAX {
        return Err(part.fault(format!("takes at most {SUBSCRIPTION_HEADERS_MAX} headers")));
    }
    Ok(headers)
}

fn batch(whole: &Fields<'_>) -> Result<(usize, u64), Fault> {
    let Some(part) = whole.get("batch") else { return Ok((SUBSCRIPTION_BATCH_MAX, 0)) };
    let fields = part.object()?;
    fields.only(["max", "wait_ms"])?;
    let most = SUBSCRIPTION_BATCH_MAX as i64;
    let max = optional(&fields, "max", most, |part| part.number(1..=most))?;
    let wait_ms = optional(&fields, "wait_ms", 0, |part| part.number(0..=60_000))?;
    Ok((max as usize, wait_ms as u64))
}

fn retries(part: &Part<'_>) -> Result<Vec<u32>, Fault> {
    let waits = part.list()?;
    if waits.len() > SUBSCRIPTION_RETRIES_MAX {
        return Err(part.fault(format!("takes at most {SUBSCRIPTION_RETRIES_MAX} waits")));
    }
    waits.iter().map(|part| Ok(part.number(1..=86_400)? as u32)).collect()
}

//! Letters at hooks: what they say is posted as if by the API.

use super::definitions::Defined;
use super::http::{error, not_allowed, not_found};
use super::link::{PendingRequest, Plan};
use super::turn::Shard;
use crate::base::ids::ConnId;
use crate::base::limits::HOOK_BODY_BYTES_MAX;
use crate::chat::api::ApiRequest;
use crate::chat::event::{Ask, Event};
use crate::hooks::{Hook, Letter};
use crate::wire::http::Request;
use crate::wire::http::response::Response;
use std::sync::Arc;

/// Begins every path of a hook; the name follows, and for senders that know only an address the
/// secret behind it.
pub const PREFIX: &str = "/hook/";

/// A hook, and what of the head it wants to see.
#[derive(Debug)]
pub struct Door {
    hook: Arc<Hook>,
    headers: Vec<Option<Box<[u8]>>>,
    key: Option<Box<str>>,
}

/// What a head under [`PREFIX`] leads to, and how long its body may be.
pub fn route(request: &Request<'_>, defined: &Defined) -> (Plan, usize) {
    let Some(rest) = request.path.strip_prefix(PREFIX) else { return (not_found(), 0) };
    if request.method != "POST" {
        return (not_allowed("POST"), 0);
    }
    let (name, key) = match rest.split_once('/') {
        Some((name, key)) => (name, Some(key.into())),
        None => (rest, None),
    };
    let Some(hook) = defined.hook(name) else {
        return (error(404, "not_found", "there is no hook of this name"), 0);
    };
    // What came twice may have been read otherwise by whoever passed it on.
    let header = |name: &str| {
        let mut values = request.fields.all(name);
        values.next().filter(|_| values.next().is_none()).map(Box::from)
    };
    let headers = hook.headers().iter().map(|name| header(name)).collect();
    (Plan::Hook(Box::new(Door { hook: Arc::clone(hook), headers, key })), HOOK_BODY_BYTES_MAX)
}

impl Shard {
    /// Opens a letter; what it says is answered when it is in the log.
    pub(super) fn begin_hook(&mut self, conn: ConnId, request: PendingRequest) {
        let PendingRequest { plan, persistence, head_only, body } = request;
        let Plan::Hook(door) = plan else {
            unreachable!("the caller looked");
        };
        self.await_answer(conn, (persistence, head_only));
        // What is read past of any request may be longer.
        if body.len() > HOOK_BODY_BYTES_MAX {
            let response = Response::error(413, "too_large", "a hook takes up to 256 KiB");
            return self.finish_api(conn, response);
        }
        let letter = Letter {
            headers: &door.headers,
            key: door.key.as_deref(),
            body: &body,
            now_s: self.now.wall_us.div_euclid(1_000_000),
        };
        let post = match door.hook.open(&letter) {
            Ok(Some(post)) => post,
            Ok(None) => {
                return self.finish_api(conn, Response::json(200, r#"{"ignored":true}"#));
            }
            Err(refused) => {
                let response = Response::error(refused.status, refused.reason, refused.hint);
                return self.finish_api(conn, response);
            }
        };
        let ask = Ask::Send {
            cid: post.cid.into(),
            text: post.text.into(),
            reply: None,
            mute: false,
            rich: None,
            since_us: self.now.mono_us,
        };
        let request = ApiRequest::Room { room: post.room.into(), ask };
        self.tell_hub(Event::Api { conn, user: post.user.into(), request });
    }
}

//! HTTP requests: routes and answers.
//!
//! What to do is decided at the head, as a plain value; it is done at the end of the request, so a
//! body is always read first and pipelined requests are answered in order.

use super::api;
use super::definitions::Defined;
use super::hook;
use super::link::{ChatLink, EchoLink, HttpLink, Link, PendingRequest, Plan, Protocol, RawLink};
use super::turn::Shard;
use super::world::World;
use crate::admin;
use crate::base::ids::ConnId;
use crate::base::limits::{
    HTTP_BODY_BYTES_MAX, HTTP_HEAD_TIMEOUT_MS, HTTP_WEBHOOK_BODY_BYTES_MAX, SEND_QUEUE_BYTES_MAX,
    WS_ECHO_MESSAGE_BYTES_MAX,
};
use crate::chat::event::{Event, LocalRoom};
use crate::web;
use crate::whatsapp::{signature, verification};
use crate::wire::http::response::{CONTINUE, Delivery, Response};
use crate::wire::http::{BodyKind, Item, Phase, Reject, Request, Version, query};
use crate::wire::ws::encode::Encoder;
use crate::wire::ws::handshake::{self, Accepted, Handshake, HandshakeError, Support};
use crate::wire::ws::message::Decoder;
use crate::wire::ws::negotiate::Policy;

/// The sub-protocol of `/ws`.
const PROTOCOLS: &[&str] = &["ringpost.v1.json"];

/// What a WebSocket is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Service {
    Chat,
    Echo,
    Raw(u32),
}

impl Service {
    /// By path. Load generators that know no path mean the first raw room.
    fn at(path: &str) -> Option<Self> {
        match path {
            "/ws" => Some(Self::Chat),
            "/echo" => Some(Self::Echo),
            "/" => Some(Self::Raw(0)),
            _ => Some(Self::Raw(raw_room(path)?)),
        }
    }
}

/// The number in `/room/N`.
fn raw_room(path: &str) -> Option<u32> {
    let digits = path.strip_prefix("/room/")?;
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { digits.parse().ok() } else { None }
}

/// What the head of a request leads to.
enum Head {
    /// The connection becomes a WebSocket.
    Upgrade {
        response: Vec<u8>,
        protocol: Protocol,
        service: Service,
    },
    Request {
        pending: PendingRequest,
        body_bytes_max: usize,
        expect_continue: bool,
    },
}

impl Shard {
    /// Bytes of an HTTP connection. Returns how many were taken: the rest belongs to the protocol
    /// the connection has been upgraded to.
    pub(super) fn on_http(&mut self, conn: ConnId, bytes: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let now_ms = self.now.mono_ms();
            let Some(link) = self.links.get_mut(conn) else {
                return bytes.len();
            };
            let Protocol::Http(http) = &mut link.protocol else {
                return at;
            };
            if http.busy {
                http.stash.extend_from_slice(&bytes[at..]);
                self.driver.pause_reads(conn);
                return bytes.len();
            }
            let begins = http.decoder.phase() == Phase::Idle && at < bytes.len();
            let step = match http.decoder.next(&bytes[at..]) {
                Ok(step) => step,
                Err(reject) => {
                    self.reject(conn, reject);
                    return bytes.len();
                }
            };
            at += step.consumed;
            if begins {
                link.since_ms = now_ms;
            }
            match step.item {
                None => {
                    if begins {
                        self.schedule_earlier(conn, now_ms + HTTP_HEAD_TIMEOUT_MS);
                    }
                    return bytes.len();
                }
                Some(Item::Head(request)) => {
                    link.since_ms = now_ms;
                    let head = decide(&request, &self.world, &self.defined);
                    self.on_head(conn, head);
                }
                Some(Item::Body(piece)) => {
                    let request = http.request.as_mut().expect("a body follows a head");
                    if request.plan.wants_body() {
                        request.body.extend_from_slice(piece);
                    }
                }
                Some(Item::End) => {
                    let request = http.request.take().expect("an end follows a head");
                    self.carry_out(conn, request);
                }
            }
        }
    }

    fn on_head(&mut self, conn: ConnId, head: Head) {
        let Some(Link { protocol, .. }) = self.links.get_mut(conn) else {
            return;
        };
        let Protocol::Http(http) = protocol else {
            return;
        };
        match head {
            Head::Upgrade { response, protocol: upgraded, service } => {
                *protocol = upgraded;
                self.driver.queue_copy(conn, &response);
                match service {
                    Service::Chat => self.tell_hub(Event::Opened { conn }),
                    Service::Raw(number) => self.enter_raw(conn, number),
                    Service::Echo => {}
                }
            }
            Head::Request { pending, body_bytes_max, expect_continue } => {
                http.request = Some(pending);
                if let Err(reject) = http.decoder.limit_body(body_bytes_max) {
                    self.reject(conn, reject);
                } else if expect_continue {
                    self.driver.queue_copy(conn, CONTINUE);
                }
            }
        }
    }

    /// Answers what no request can be made of, and closes.
    fn reject(&mut self, conn: ConnId, reject: Reject) {
        self.scratch.clear();
        let delivery = Delivery::LAST.dated(&self.date);
        Response::reject(reject).write(delivery, &mut self.scratch);
        self.driver.queue_copy(conn, &self.scratch);
        self.begin_closing(conn, false);
    }

    fn carry_out(&mut self, conn: ConnId, request: PendingRequest) {
        let response = match &request.plan {
            Plan::Asset { path, fresh } => asset_response(path, *fresh),
            Plan::Text { status, text } => Response::text(*status, text.as_str()),
            Plan::Error { status, reason, hint, allow } => {
                let response = Response::error(*status, reason, hint);
                match allow {
                    Some(allow) => response.header("Allow", *allow),
                    None => response,
                }
            }
            Plan::EchoBody => {
                Response::new(200).body("application/octet-stream", request.body.as_slice())
            }
            Plan::Api(_) => return self.begin_api(conn, request),
            Plan::Hook(_) => return self.begin_hook(conn, request),
            Plan::Webhook { signature } => {
                let signature = signature.as_deref();
                match self.begin_webhook(conn, &request, signature) {
                    None => return self.set_busy(conn),
                    Some(response) => response,
                }
            }
        };
        self.respond(conn, response, (request.persistence, request.head_only));
    }

    pub(super) fn respond(
        &mut self,
        conn: ConnId,
        response: Response<'_>,
        (persistence, head_only): (crate::wire::http::response::Persistence, bool),
    ) {
        use crate::wire::http::response::Persistence;
        self.scratch.clear();
        let persistence = if self.draining { Persistence::Close } else { persistence };
        let delivery = Delivery { persistence, head_only, date: Some(&self.date) };
        response.write(delivery, &mut self.scratch);
        let queued = self.driver.queue_copy(conn, &self.scratch);
        let Some(link) = self.links.get_mut(conn) else {
            return;
        };
        link.since_ms = self.now.mono_ms();
        // Whoever asks on and on without taking the answers gets these and asks anew: a server may
        // close after any response (RFC 9112 §9.6).
        if persistence == Persistence::Close || queued > SEND_QUEUE_BYTES_MAX {
            self.begin_closing(conn, false);
        }
    }

    pub(super) fn set_busy(&mut self, conn: ConnId) {
        if let Some(Link { protocol: Protocol::Http(http), .. }) = self.links.get_mut(conn) {
            http.busy = true;
        }
    }

    /// An awaited answer was given: go on with what came meanwhile.
    pub(super) fn end_busy(&mut self, conn: ConnId) {
        let Some(Link { protocol: Protocol::Http(http), .. }) = self.links.get_mut(conn) else {
            return;
        };
        let HttpLink { busy, stash, .. } = &mut **http;
        *busy = false;
        let mut stash = std::mem::take(stash);
        self.driver.resume_reads(conn);
        if !stash.is_empty() {
            self.on_bytes(conn, &mut stash);
        }
        if let Some(Link { protocol: Protocol::Http(http), .. }) = self.links.get(conn)
            && http.ended
            && !http.busy
        {
            self.begin_closing(conn, false);
        }
    }
}

fn decide(request: &Request<'_>, world: &World, defined: &Defined) -> Head {
    if request.upgrade_websocket
        && let Some(service) = Service::at(request.path)
    {
        match upgrade(request, service, world) {
            Ok(head) => return head,
            Err(plan) => return Head::of(request, plan, 0),
        }
    }
    let (plan, body_bytes_max) = route(request, world, defined);
    Head::of(request, plan, body_bytes_max)
}

impl Head {
    fn of(request: &Request<'_>, plan: Plan, body_bytes_max: usize) -> Self {
        let Delivery { persistence, head_only, .. } = Delivery::of(request);
        let pending = PendingRequest { plan, persistence, head_only, body: Vec::new() };
        // A refused body is not worth asking for; a small one is read past all the same.
        let refused = matches!(pending.plan, Plan::Error { .. });
        let body_bytes_max = body_bytes_max.max(HTTP_BODY_BYTES_MAX);
        Self::Request {
            pending,
            body_bytes_max,
            expect_continue: request.expect_continue && !refused,
        }
    }
}

fn route(request: &Request<'_>, world: &World, defined: &Defined) -> (Plan, usize) {
    let is_get = matches!(request.method, "GET" | "HEAD");
    match (request.path, request.method) {
        ("/webhook/whatsapp", "POST") => (webhook(request), HTTP_WEBHOOK_BODY_BYTES_MAX),
        ("/webhook/whatsapp", _) if is_get => (verify(request, world), 0),
        ("/webhook/whatsapp", _) => (not_allowed("GET, HEAD, POST"), 0),
        ("/echo", _) if !world.config.server.echo => (not_found(), 0),
        ("/echo", "POST") => (Plan::EchoBody, WS_ECHO_MESSAGE_BYTES_MAX),
        ("/echo", _) if is_get => (Plan::Text { status: 200, text: header_lines(request) }, 0),
        ("/echo", _) => (not_allowed("GET, HEAD, POST"), 0),
        (path, _) if path.starts_with(hook::PREFIX) => hook::route(request, defined),
        (path, _) if path.starts_with(api::PREFIX) => api::route(request, world),
        (path, _) if path.starts_with(api::RESPOND_PREFIX) => api::respond_route(request),
        ("/healthz" | "/readyz", _) if is_get => (health(world), 0),
        ("/metrics", _) if !world.config.metrics.endpoint => (not_found(), 0),
        ("/metrics", _) if is_get => (Plan::Text { status: 200, text: world.metrics_page() }, 0),
        (path, _) if raw_room(path).is_some() && !world.config.server.echo => (not_found(), 0),
        (path, _) if is_get && (path == "/ws" || raw_room(path).is_some()) => {
            let hint = "this is a WebSocket endpoint; connect with a WebSocket client";
            (error(426, "upgrade_required", hint), 0)
        }
        (path, _) => match web::ASSETS.iter().find(|(known, _)| *known == path) {
            Some((path, asset)) if is_get => {
                let fresh = request.fields.all("if-none-match").any(|tags| names(tags, asset.etag));
                (Plan::Asset { path, fresh }, 0)
            }
            Some(_) => (not_allowed("GET, HEAD"), 0),
            None if matches!(path, "/healthz" | "/readyz" | "/metrics" | "/ws") => {
                (not_allowed("GET, HEAD"), 0)
            }
            None => (not_found(), 0),
        },
    }
}

/// Whether an `If-None-Match` names our tag, by weak comparison (RFC 9110 §13.1.2, §8.8.3.2): a
/// proxy that compresses a page on its way makes its tag weak.
fn names(tags: &[u8], etag: &str) -> bool {
    tags.split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes())
}

pub(super) fn error(status: u16, reason: &'static str, hint: &'static str) -> Plan {
    Plan::Error { status, reason, hint, allow: None }
}

pub(super) fn not_found() -> Plan {
    error(404, "not_found", "the console is at /, the chat at /ws, the API at /api/v1/")
}

pub(super) fn not_allowed(allow: &'static str) -> Plan {
    let hint = "this path does not take that method; see the Allow header";
    Plan::Error { status: 405, reason: "method_not_allowed", hint, allow: Some(allow) }
}

fn health(world: &World) -> Plan {
    let (status, text) = admin::health(world.is_healthy(), &world.remarks());
    Plan::Text { status, text }
}

fn header_lines(request: &Request<'_>) -> String {
    let lines =
        request.fields.map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value)));
    lines.collect()
}

fn asset_response(path: &str, fresh: bool) -> Response<'static> {
    let asset = web::asset(path).expect("the route found it");
    let response = if fresh {
        Response::new(304)
    } else {
        Response::new(200).body(asset.content_type, asset.body)
    };
    response
        .header("ETag", asset.etag)
        .header("Cache-Control", web::CACHE_CONTROL)
        .header("Content-Security-Policy", web::CONTENT_SECURITY_POLICY)
        .header("X-Content-Type-Options", "nosniff")
        .header("Referrer-Policy", "no-referrer")
}

fn verify(request: &Request<'_>, world: &World) -> Plan {
    let parameter = |name: &str| {
        let value = query::get(request.query?, name)?.ok()?;
        Some(value.into_owned())
    };
    let token = world.config.whatsapp.verify_token.as_ref();
    match verification::answer(parameter, token) {
        Ok(challenge) => Plan::Text { status: 200, text: challenge },
        Err(_) => error(403, "verification_failed", "the mode or the verify token is not ours"),
    }
}

fn webhook(request: &Request<'_>) -> Plan {
    let mut values = request.fields.all(signature::HEADER);
    let first = values.next();
    let signature = if values.next().is_some() { None } else { first };
    Plan::Webhook { signature: signature.map(Box::from) }
}

fn upgrade(request: &Request<'_>, service: Service, world: &World) -> Result<Head, Plan> {
    let is_chat = service == Service::Chat;
    if !is_chat && !world.config.server.echo {
        return Err(not_found());
    }
    if request.body != BodyKind::None {
        return Err(error(400, "upgrade_with_body", "a WebSocket handshake has no body"));
    }
    let origin = request.header("origin");
    if !origin_allowed(origin, request.host, &world.config.server.origins) {
        let hint = "pages of this origin may not connect; see the setting server.origins";
        return Err(error(403, "origin_refused", hint));
    }
    let version = if request.version == Version::Http11 { (1, 1) } else { (1, 0) };
    let headers = request.fields;
    let shake = Handshake { method: request.method, http_version: version, headers };
    let deflate = (service == Service::Echo).then_some(Policy::AS_OFFERED);
    let protocols = if is_chat { PROTOCOLS } else { &[] };
    let accepted = handshake::accept(shake, &Support { protocols, deflate }).map_err(refused)?;
    let mut response = Vec::new();
    handshake::response(&accepted, &mut response);
    let query = request.query.unwrap_or("");
    let protocol = match service {
        Service::Chat => chat(&accepted, query),
        Service::Echo => echo(&accepted),
        // The room gets its place when the connection enters it.
        Service::Raw(_) => {
            Protocol::Raw(RawLink { decoder: Decoder::server(None), room: LocalRoom(0) })
        }
    };
    Ok(Head::Upgrade { response, protocol, service })
}

fn refused(why: HandshakeError) -> Plan {
    let (status, hint) = why.describe();
    error(status, "bad_handshake", hint)
}

fn chat(accepted: &Accepted, query: &str) -> Protocol {
    assert!(accepted.deflate.is_none());
    let decoder = Decoder::server(None);
    let frame_ping = query.split('&').any(|pair| pair == "frame_ping=1");
    Protocol::Chat(ChatLink { decoder, corked: None, frame_ping, lagging: false })
}

fn echo(accepted: &Accepted) -> Protocol {
    let decoder = Decoder::server(accepted.deflate.map(|agreed| agreed.client));
    let encoder = accepted.deflate.map(|agreed| Encoder::new(agreed.server));
    Protocol::Echo(Box::new(EchoLink { decoder, encoder, paused: false }))
}

/// Pages of other sites must not act with a person's network position (RFC 6455 §10.2). A request
/// without Origin comes from a program.
pub(super) fn origin_allowed(
    origin: Option<&[u8]>,
    host: Option<&str>,
    allowed: &[String],
) -> bool {
    let Some(origin) = origin else {
        return true;
    };
    let Ok(origin) = std::str::from_utf8(origin) else {
        return false;
    };
    if allowed.iter().any(|known| known.eq_ignore_ascii_case(origin)) {
        return true;
    }
    let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => authority.split(':').next().unwrap_or(""),
    };
    let same = host.is_some_and(|host| host.eq_ignore_ascii_case(authority));
    same || matches!(name, "localhost" | "127.0.0.1" | "::1")
}

#[cfg(test)]
mod tests {
    #[test]
    fn origins() {
        check(None, true);
        check(Some("https://chat.example.org"), true);
        check(Some("HTTPS://Chat.Example.Org"), true);
        check(Some("http://listed.example.org:81"), true);
        check(Some("http://listed.example.org"), false);
        check(Some("http://localhost:3000"), true);
        check(Some("http://[::1]:3000"), true);
        check(Some("http://localhost.example.org"), false);
        check(Some("https://elsewhere.example.org"), false);
        check(Some("null"), false);
        check(Some(""), false);
    }

    /// For a server reached as chat.example.org that lists one other origin.
    #[track_caller]
    fn check(origin: Option<&str>, want: bool) {
        let allowed = ["http://listed.example.org:81".to_owned()];
        let origin_bytes = origin.map(str::as_bytes);
        let got = super::origin_allowed(origin_bytes, Some("chat.example.org"), &allowed);
        assert_eq!(got, want, "{origin:?}");
    }
}

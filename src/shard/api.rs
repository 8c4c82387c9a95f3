//! The HTTP API: everything that the protocol can ask of rooms and conversations, for programs that
//! hold a key, and the definitions that operators put.
//!
//! A request becomes a question to the hub like that of a client; its `ok` or `err` becomes the
//! response. So both say the same, and neither knows more than the other.

use super::definitions;
use super::http::{error, not_allowed, not_found, origin_allowed};
use super::link::{PendingRequest, Plan};
use super::media;
use super::turn::Shard;
use super::world::World;
use crate::base::hash::Map;
use crate::base::ids::{ConnId, Offset, ShardId};
use crate::base::limits::{
    DEFINITION_BYTES_MAX, HISTORY_LIMIT_DEFAULT, HISTORY_LIMIT_MAX, INBOX_LIMIT_MAX,
    MEDIA_UPLOAD_BYTES_MAX, WS_MESSAGE_BYTES_MAX,
};
use crate::chat::api::ApiRequest;
use crate::chat::event::{Ask, Event, Name, Page, Refusal};
use crate::chat::request::{self, InboxFields, Request as Verb, check_user};
use crate::registry::{Fault, Kind, check_name_of};
use crate::subscriptions::Question;
use crate::whatsapp::media::{is_media_id, is_mime};
use crate::whatsapp::send::{MediaKind, check_upload};
use crate::wire::http::Request;
use crate::wire::http::query;
use crate::wire::http::response::{Persistence, Response};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Begins every path of the API.
pub const PREFIX: &str = "/api/";
/// Begins every path of this version of it.
const VERSION: &str = "/api/v1/";
/// Names the user in whose name something is done.
const USER_HEADER: &str = "x-ringpost-user";
/// That user, when none is named.
const USER: &str = "api";

/// Requests that wait for the hub.
#[derive(Debug, Default)]
pub struct Api {
    pending: Map<ConnId, (Persistence, bool)>,
}

impl Api {
    /// The connection is gone.
    pub fn forget(&mut self, conn: ConnId) {
        if !self.pending.is_empty() {
            self.pending.remove(&conn);
        }
    }
}

/// A request whose body is still to come.
#[derive(Debug)]
pub struct Route {
    user: Name,
    what: What,
}

/// What a path asks for.
#[derive(Debug)]
enum What {
    Post { room: Name },
    History { room: Name, page: Page, limit: u32 },
    Conversation { room: Name },
    Converse { room: Name },
    Inbox(Box<InboxFields>),
    Definitions { kind: Kind, name: Option<Name> },
    Define { kind: Kind, name: Name, dry_run: bool },
    Remove { kind: Kind, name: Name, dry_run: bool },
    Amend { kind: Kind, name: Name },
    Counts { name: Name },
    Standing { name: Name },
    Dead { name: Name },
    Replay { name: Name },
    File { number: Box<str>, id: Box<str> },
    Upload { number: Box<str>, mime: Box<str> },
    Command { room: Name },
    Menu { number: Box<str>, dry_run: bool },
    Respond { shard: ShardId, ticket: u64, proof: Box<str> },
}

/// What a head under [`PREFIX`] leads to, and how long its body may be.
pub fn route(request: &Request<'_>, world: &World) -> (Plan, usize) {
    match decide(request, world) {
        Ok((route, body_bytes_max)) => (Plan::Api(Box::new(route)), body_bytes_max),
        Err(plan) => (plan, 0),
    }
}

/// Begins the addresses at which later answers of commands are taken. Whoever knows one was given
/// it, so there is no other key.
pub const RESPOND_PREFIX: &str = "/respond/";

/// What a head under [`RESPOND_PREFIX`] leads to, and how long its body may be.
pub fn respond_route(request: &Request<'_>) -> (Plan, usize) {
    let mut parts = request.path[RESPOND_PREFIX.len()..].split('.');
    let mut next = || parts.next().unwrap_or_default();
    let (shard, ticket, proof) = (next().parse(), next().parse(), next());
    match (shard, ticket) {
        (Ok(shard), Ok(ticket)) if request.method == "POST" => {
            let what = What::Respond { shard: ShardId(shard), ticket, proof: proof.into() };
            let route = Route { user: USER.into(), what };
            (Plan::Api(Box::new(route)), WS_MESSAGE_BYTES_MAX)
        }
        (Ok(_), Ok(_)) => (not_allowed("POST"), 0),
        _ => (not_found(), 0),
    }
}

fn decide(request: &Request<'_>, world: &World) -> Result<(Route, usize), Plan> {
    admit(request, world)?;
    let user = user(request)?;
    let path = request.path.strip_prefix(VERSION).ok_or_else(not_found)?;
    let segments = path.trim_end_matches('/').split('/').map(segment);
    let segments = segments.collect::<Result<Vec<_>, _>>()?;
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (what, body_bytes_max) = match (parts.as_slice(), request.method) {
        (["rooms", room, "messages"], "POST") => {
            (What::Post { room: (*room).into() }, WS_MESSAGE_BYTES_MAX)
        }
        (["rooms", room, "messages"], "GET") => (history(request, room)?, 0),
        (["rooms", _, "messages"], _) => return Err(not_allowed("GET, POST")),
        (["rooms", room, "commands"], "POST") => {
            (What::Command { room: (*room).into() }, WS_MESSAGE_BYTES_MAX)
        }
        (["rooms", _, "commands"], _) => return Err(not_allowed("POST")),
        (["conversations"], "GET") => (inbox(request)?, 0),
        (["conversations"], _) => return Err(not_allowed("GET")),
        (["conversations", room], "GET") => (What::Conversation { room: (*room).into() }, 0),
        (["conversations", room], "PATCH") => {
            (What::Converse { room: (*room).into() }, WS_MESSAGE_BYTES_MAX)
        }
        (["conversations", _], _) => return Err(not_allowed("GET, PATCH")),
        (["media", number, id], "GET" | "HEAD") => (file(number, id)?, 0),
        (["media", _, _], _) => return Err(not_allowed("GET, HEAD")),
        (["media", number], "POST") => (upload(request, number)?, MEDIA_UPLOAD_BYTES_MAX),
        (["media", _], _) => return Err(not_allowed("POST")),
        (["menus", number], "PUT") => (menu(request, number)?, WS_MESSAGE_BYTES_MAX),
        (["menus", _], _) => return Err(not_allowed("PUT")),
        (["subscriptions", name, verb], method) => of_subscription(name, verb, method)?,
        (["handlers", name, "counts"], "GET") => (What::Counts { name: (*name).into() }, 0),
        (["handlers", _, "counts"], _) => return Err(not_allowed("GET")),
        ([kind, name @ ..], method) if name.len() <= 1 => {
            let kind = kind_of(kind).ok_or_else(not_found)?;
            definitions(request, method, kind, name.first().copied())?
        }
        _ => return Err(not_found()),
    };
    Ok((Route { user, what }, body_bytes_max))
}

/// Whether the request holds a key, or needs none.
fn admit(request: &Request<'_>, world: &World) -> Result<(), Plan> {
    let keys = &world.config.api.keys;
    let given = request.header("authorization").unwrap_or_default();
    let bearer =
        given.split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
    if let Some((_, key)) = bearer
        && keys.iter().any(|known| known.matches(key.trim_ascii()))
    {
        return Ok(());
    }
    if !keys.is_empty() {
        let hint = "the API wants Authorization: Bearer and one of the keys in api.key";
        return Err(error(401, "unauthorized", hint));
    }
    if !world.config.server.dev {
        let hint = "the API has no key yet; see the setting api.key";
        return Err(error(403, "no_key", hint));
    }
    // Without a key, no page of another site may be what asks, under whatever name it came here.
    let is_local = request.host.is_some_and(|host| {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        name == "localhost"
            || name.starts_with('[')
            || name.bytes().all(|b| b"0123456789.".contains(&b))
    });
    let origins = &world.config.server.origins;
    if is_local && origin_allowed(request.header("origin"), request.host, origins) {
        return Ok(());
    }
    Err(error(403, "origin_refused", "without a key the API is for this machine's programs only"))
}

fn user(request: &Request<'_>) -> Result<Name, Plan> {
    let Some(name) = request.header(USER_HEADER) else {
        return Ok(USER.into());
    };
    let name = std::str::from_utf8(name).ok().map(str::trim);
    match name.filter(|name| check_user(name).is_ok()) {
        Some(name) => Ok(name.into()),
        None => Err(error(400, "bad_user", "X-Ringpost-User is no user name")),
    }
}

/// A part of the path, decoded.
fn segment(text: &str) -> Result<String, Plan> {
    let bad = |_| error(400, "bad_path", "the path has a percent escape that is none");
    // In a path a plus is a plus.
    query::decode(&text.replace('+', "%2B")).map(|text| text.into_owned()).map_err(bad)
}

fn kind_of(plural: &str) -> Option<Kind> {
    let name = plural.strip_suffix('s')?;
    Kind::ALL.iter().find(|(_, known, _)| *known == name).map(|(kind, ..)| *kind)
}

fn definitions(
    request: &Request<'_>,
    method: &str,
    kind: Kind,
    name: Option<&str>,
) -> Result<(What, usize), Plan> {
    let dry_run = is_dry_run(request)?;
    match (method, name.map(Name::from)) {
        ("GET", name) => Ok((What::Definitions { kind, name }, 0)),
        ("PUT", Some(name)) => Ok((What::Define { kind, name, dry_run }, DEFINITION_BYTES_MAX)),
        ("DELETE", Some(name)) => Ok((What::Remove { kind, name, dry_run }, 0)),
        ("PATCH", Some(name)) => Ok((What::Amend { kind, name }, DEFINITION_BYTES_MAX)),
        (_, Some(_)) => Err(not_allowed("GET, PUT, PATCH, DELETE")),
        (_, None) => Err(not_allowed("GET")),
    }
}

fn is_number(number: &str) -> bool {
    (1..=32).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn upload(request: &Request<'_>, number: &str) -> Result<What, Plan> {
    let mime = request.header("content-type").and_then(|mime| std::str::from_utf8(mime).ok());
    match mime.map(str::trim).filter(|mime| is_number(number) && is_mime(mime)) {
        Some(mime) => Ok(What::Upload { number: number.into(), mime: mime.into() }),
        None => {
            let hint =
                "post the file itself to /api/v1/media/ and a phone_number_id, with its type";
            Err(error(400, "bad_file", hint))
        }
    }
}

fn menu(request: &Request<'_>, number: &str) -> Result<What, Plan> {
    if !is_number(number) {
        let hint = "a menu is put at /api/v1/menus/ and a phone_number_id";
        return Err(error(404, "not_found", hint));
    }
    Ok(What::Menu { number: number.into(), dry_run: is_dry_run(request)? })
}

fn is_dry_run(request: &Request<'_>) -> Result<bool, Plan> {
    Ok(parameter(request, "dry_run")?.is_some_and(|value| value != "0"))
}

fn file(number: &str, id: &str) -> Result<What, Plan> {
    if !is_number(number) || !is_media_id(id) {
        let hint = "a file is /api/v1/media/ with a phone_number_id and the id of the file";
        return Err(error(404, "not_found", hint));
    }
    Ok(What::File { number: number.into(), id: id.into() })
}

/// What may be asked of a subscription besides its definition.
fn of_subscription(name: &str, verb: &str, method: &str) -> Result<(What, usize), Plan> {
    let name = Name::from(name);
    match (verb, method) {
        ("status", "GET") => Ok((What::Standing { name }, 0)),
        ("dead", "GET") => Ok((What::Dead { name }, 0)),
        ("replay", "POST") => Ok((What::Replay { name }, WS_MESSAGE_BYTES_MAX)),
        ("status" | "dead", _) => Err(not_allowed("GET")),
        ("replay", _) => Err(not_allowed("POST")),
        _ => Err(not_found()),
    }
}

fn parameter(request: &Request<'_>, name: &str) -> Result<Option<String>, Plan> {
    let bad = |_| error(400, "bad_query", "the query has a percent escape that is none");
    let found = request.query.and_then(|text| query::get(text, name));
    found.transpose().map(|value| value.map(|value| value.into_owned())).map_err(bad)
}

/// A parameter that is a number.
fn number<T: std::str::FromStr>(request: &Request<'_>, name: &str) -> Result<Option<T>, Plan> {
    let bad = || error(400, "bad_query", "a number in the query is none");
    parameter(request, name)?.map(|text| text.parse().map_err(|_| bad())).transpose()
}

fn history(request: &Request<'_>, room: &str) -> Result<What, Plan> {
    let offset = |name| Ok(number::<u64>(request, name)?.map(|o| Offset(o.min(Offset::MAX.0))));
    let given = (offset("before")?, offset("after")?, offset("around")?);
    let page = match (given, number(request, "since_ts")?) {
        ((None, None, None), None) => Page::Newest,
        ((Some(o), None, None), None) => Page::Before(o),
        ((None, Some(o), None), None) => Page::After(o),
        ((None, None, Some(o)), None) => Page::Around(o),
        ((None, None, None), Some(ts_ms)) => Page::Since(ts_ms),
        _ => {
            let hint = "give one of before, after, around, since_ts";
            return Err(error(400, "bad_query", hint));
        }
    };
    let limit = number(request, "limit")?.unwrap_or(HISTORY_LIMIT_DEFAULT);
    Ok(What::History { room: room.into(), page, limit: limit.clamp(1, HISTORY_LIMIT_MAX) })
}

fn inbox(request: &Request<'_>) -> Result<What, Plan> {
    let text = |name| Ok(parameter(request, name)?.map(String::into_boxed_str));
    Ok(What::Inbox(Box::new(InboxFields {
        state: text("state")?,
        assignee: text("assignee")?,
        tag: text("tag")?,
        number: text("number")?,
        waiting_before: number(request, "waiting_before")?,
        after: text("after")?,
        limit: number::<usize>(request, "limit")?.map(|limit| limit.min(INBOX_LIMIT_MAX)),
        watch: None,
    })))
}

/// The numbers of dead letters in `{"ids": […]}`; all when there is no body.
fn ids(body: &[u8]) -> Result<Vec<u64>, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Fields {
        ids: Vec<u64>,
    }
    if body.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let fields: Result<Fields, _> = serde_json::from_slice(body);
    fields.map(|fields| fields.ids).map_err(|error| request::bad(&error.to_string()))
}

/// The names in `{"commands": […]}`; none when there is no body.
fn names(body: &[u8]) -> Result<Vec<Box<str>>, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Fields {
        commands: Vec<Box<str>>,
    }
    if body.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let fields: Result<Fields, _> = serde_json::from_slice(body);
    fields.map(|fields| fields.commands).map_err(|error| request::bad(&error.to_string()))
}

/// Whom a request goes to, now that its body is there.
enum Errand {
    Hub(Name, ApiRequest),
    Subscriptions(Name, Question),
    Media(media::What),
}

impl Route {
    /// What is wrong with the definition that is put.
    fn check(&self, body: &[u8], world: &World) -> Result<(), Fault> {
        let (What::Define { kind, name, .. }, Ok(body)) = (&self.what, std::str::from_utf8(body))
        else {
            return Ok(());
        };
        check_name_of(*kind, name)?;
        if body.trim().is_empty() {
            return Ok(());
        }
        // The places in faults are those of the body as it was sent.
        definitions::check(*kind, name, body, &world.config.whatsapp.outbound.networks)
    }

    fn errand(self, body: &[u8], now_us: u64) -> Result<Errand, Refusal> {
        let (name, question) = match self.what {
            What::Standing { name } => (name, Question::Standings),
            What::File { number, id } => {
                return Ok(Errand::Media(media::What::Open { number, id }));
            }
            What::Upload { number, mime } => {
                let kind = MediaKind::of_mime(&mime);
                check_upload(kind, &mime, body.len() as u64)
                    .map_err(|refused| request::bad(&refused.to_string()))?;
                let bytes = body.to_vec();
                return Ok(Errand::Media(media::What::Upload { number, mime, bytes }));
            }
            What::Dead { name } => (name.clone(), Question::Dead { name }),
            What::Replay { name } => (name.clone(), Question::Replay { name, ids: ids(body)? }),
            _ => {
                let (user, request) = self.request(body, now_us)?;
                return Ok(Errand::Hub(user, request));
            }
        };
        Ok(Errand::Subscriptions(name, question))
    }

    /// The question to the hub.
    fn request(self, body: &[u8], now_us: u64) -> Result<(Name, ApiRequest), Refusal> {
        let text = std::str::from_utf8(body);
        let text = || text.map_err(|_| request::bad("the body is not UTF-8"));
        let request = match self.what {
            What::Post { room } => {
                let Verb::Send { cid, text, reply, rich } = request::post(text()?)? else {
                    unreachable!("a message was read");
                };
                let (mute, since_us) = (false, now_us);
                ApiRequest::Room { room, ask: Ask::Send { cid, text, reply, mute, rich, since_us } }
            }
            What::Command { room } => {
                let Verb::Command { name, text, cid, v } = request::command(text()?)? else {
                    unreachable!("a command was read");
                };
                let ask = Ask::Command { name, text, cid, v, since_us: now_us };
                ApiRequest::Room { room, ask }
            }
            What::Menu { number, dry_run } => {
                ApiRequest::Menu { number, commands: names(body)?, dry_run }
            }
            What::Respond { shard, ticket, proof } => {
                let body = text()?.into();
                ApiRequest::Respond { shard, ticket, proof, body }
            }
            What::History { room, page, limit } => {
                ApiRequest::Room { room, ask: Ask::History { page, limit } }
            }
            What::Conversation { room } => {
                ApiRequest::Room { room, ask: Ask::Converse { changes: Vec::new() } }
            }
            What::Converse { room } => {
                let changes = request::converse(text()?)?;
                ApiRequest::Room { room, ask: Ask::Converse { changes } }
            }
            What::Inbox(fields) => {
                let query = fields.query()?;
                ApiRequest::Inbox(Box::new(crate::chat::inbox::Query {
                    user: self.user.clone(),
                    ..query
                }))
            }
            What::Definitions { kind, name } => ApiRequest::Definitions { kind, name },
            What::Define { kind, name, dry_run } => {
                let body = text()?.trim();
                if body.is_empty() {
                    return Err(request::bad("the body is empty; a definition is a JSON object"));
                }
                ApiRequest::Define { kind, name, body: body.into(), dry_run }
            }
            What::Amend { kind, name } => {
                ApiRequest::Amend { kind, name, body: text()?.trim().into() }
            }
            What::Remove { kind, name, dry_run } => {
                ApiRequest::Define { kind, name, body: "".into(), dry_run }
            }
            What::Counts { .. }
            | What::Standing { .. }
            | What::Dead { .. }
            | What::Replay { .. }
            | What::File { .. }
            | What::Upload { .. } => unreachable!("the hub is not asked for these"),
        };
        Ok((self.user, request))
    }
}

impl Shard {
    /// How a request that waits is to be answered; it does not wait any more.
    pub(super) fn take_waiting(&mut self, conn: ConnId) -> Option<(Persistence, bool)> {
        self.api.pending.remove(&conn)
    }

    /// A request waits for an answer from elsewhere.
    pub(super) fn await_answer(&mut self, conn: ConnId, delivery: (Persistence, bool)) {
        self.api.pending.insert(conn, delivery);
        self.set_busy(conn);
    }

    /// Asks the hub; the answer comes with its reply.
    pub(super) fn begin_api(&mut self, conn: ConnId, request: PendingRequest) {
        let PendingRequest { plan, persistence, head_only, body } = request;
        let Plan::Api(route) = plan else {
            unreachable!("the caller looked");
        };
        self.await_answer(conn, (persistence, head_only));
        if let Err(fault) = route.check(&body, &self.world) {
            return self.finish_api(conn, faulty(&fault));
        }
        if let What::Counts { name } = &route.what {
            let response = counts(name, &self.world);
            return self.finish_api(conn, response);
        }
        match route.errand(&body, self.now.mono_us) {
            Ok(Errand::Hub(user, request)) => self.tell_hub(Event::Api { conn, user, request }),
            Ok(Errand::Subscriptions(name, question)) => {
                self.ask_subscriptions(conn, name, question);
            }
            Ok(Errand::Media(what)) => self.ask_media(conn, what),
            Err(refusal) => {
                let d = crate::chat::reply::refusal_value(&refusal);
                self.finish_api(conn, refused(&d));
            }
        }
    }

    /// The hub's reply to a connection of the API.
    pub(super) fn answer_api(&mut self, conn: ConnId, frame: &str) {
        #[derive(Deserialize)]
        struct Reply<'a> {
            t: &'a str,
            #[serde(borrow)]
            d: &'a RawValue,
        }
        let Ok(reply) = serde_json::from_str::<Reply<'_>>(frame) else {
            return;
        };
        match reply.t {
            "ok" => self.finish_api(conn, Response::json(200, reply.d.get().to_owned())),
            "err" => {
                let d = serde_json::from_str(reply.d.get()).unwrap_or_default();
                self.finish_api(conn, refused(&d));
            }
            // Events of a command, for its caller: the API is told that it ran.
            _ => {}
        }
    }

    pub(super) fn finish_api(&mut self, conn: ConnId, response: Response<'static>) {
        if let Some(delivery) = self.api.pending.remove(&conn) {
            self.respond(conn, response, delivery);
            self.end_busy(conn);
        }
    }
}

/// What a handler did since the start.
fn counts(name: &str, world: &World) -> Response<'static> {
    let all = world.handler_counts();
    let Some(it) = all.get(name) else {
        let d = json!({"code": 404, "msg": "there is no handler of this name"});
        return refused(&d);
    };
    let value = json!({
        "name": name,
        "matched": it.matched,
        "fired": it.fired,
        "limited": it.limited,
        "answered": it.answered,
        "unanswered": it.unanswered,
        "calls": it.calls,
        "calls_ms": it.calls_ms,
        "failed": it.failed,
        "fired_at": it.fired_at_ms,
        "failed_at": it.failed_at_ms,
        "last_error": &*it.last_error,
    });
    Response::json(200, value.to_string())
}

/// A definition that cannot be read, and where that is.
fn faulty(fault: &Fault) -> Response<'static> {
    let mut error = json!({
        "status": 400,
        "reason": "bad_definition",
        "hint": fault.problem,
        "code": 400,
    });
    if fault.line > 0 {
        error["line"] = fault.line.into();
        error["column"] = fault.column.into();
    }
    if !fault.path.is_empty() {
        error["path"] = fault.path.as_str().into();
    }
    Response::json(400, json!({"error": error}).to_string())
}

/// A refusal of the protocol as a response: the same words, and the nearest status.
fn refused(d: &Value) -> Response<'static> {
    let code = d["code"].as_u64().unwrap_or(500);
    let status = match code {
        402 => 401,
        405 | 409 | 411 | 470 | 471 => 409,
        424 => 502,
        425 => 504,
        451 => 403,
        code @ 400..600 => code as u16,
        _ => 500,
    };
    let mut error = json!({
        "status": status,
        "reason": d["name"],
        "hint": d["msg"],
        "code": code,
    });
    if let Some(after_ms) = d["after_ms"].as_u64() {
        error["after_ms"] = after_ms.into();
    }
    let response = Response::json(status, json!({"error": error}).to_string());
    match d["after_ms"].as_u64() {
        Some(after_ms) => response.header("Retry-After", after_ms.div_ceil(1_000).to_string()),
        None => response,
    }
}

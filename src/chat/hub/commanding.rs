//! Owner: a call of a command, from the line that was typed to its record and its answer.
//!
//! A call has an end, and the end has a record: how it went, how long it took, what it cost. The
//! record is written before the answer is shown, so nobody sees the answer of a call that the log
//! does not know; and a call that leaves the shard is written down before it leaves, so that one
//! that was under way when the server died is known too, and not made again.

use super::callbacks::Leaving;
use super::calls::Call;
use super::keeping::kept_key;
use super::owner::Post;
use super::{Hub, Waiting};
use crate::base::clock::Now;
use crate::base::codes::ErrorCode;
use crate::base::hash::Map;
use crate::base::ids::Offset;
use crate::base::limits::{
    COMMAND_CONFIRM_MS, COMMAND_DEPTH_MAX, COMMAND_FAILURE_WINDOW_MS, COMMAND_FAILURES_MAX,
};
use crate::base::names::{COMMAND_PREFIX, PLATFORM_PREFIX};
use crate::chat::api::ApiRequest;
use crate::chat::dedup::Seen;
use crate::chat::event::{
    Asker, Cid, Effect, Fact, Message, Name, Outcome, Record, Refusal, Role, Source,
};
use crate::chat::reply;
use crate::chat::request::refuse;
use crate::commands::{
    self, BUILT_IN, Backend, Entry, Facts, Manifest, Shown, Template, arguments,
};
use crate::registry::Kind;
use serde_json::{Value, json};
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

/// Cooldowns that are remembered.
const COOLDOWNS_MAX: usize = 1 << 16;

/// What somebody typed, or a client sent as `cmd`.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// The name, without the slash.
    pub name: &'a str,
    /// What stands behind it.
    pub args: &'a str,
    /// The caller's own id of the call; may be empty.
    pub cid: Cid,
    /// The version that the caller knows.
    pub version: Option<u64>,
    /// When it came in, µs of the monotonic clock.
    pub since_us: u64,
}

/// One call.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    pub call: Box<str>,
    pub by: &'a Asker,
    pub room: &'a Name,
    pub cid: Cid,
    pub version: Option<u64>,
    pub since_us: u64,
    pub confirmed: bool,
    /// Commands that led to it.
    pub depth: u8,
}

/// How far a call got within its event.
#[derive(Debug)]
pub(super) enum Done {
    /// It has ended.
    Ended(Said),
    /// It has left, or waits for its turn; its beginning is in the log as this append.
    Pending(u64),
    /// It has ended here, and somebody else answers it.
    HandedOver,
}

/// What a call says at its end.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// To whoever asked.
    pub privately: String,
    /// To the room, as somebody.
    pub publicly: Option<(Name, Box<str>)>,
    /// See [`CallV1`](crate::log::record::CallV1).
    pub cost: u64,
}

impl Said {
    /// Only for whoever asked.
    pub fn to_caller(text: impl Into<String>) -> Self {
        Self { privately: text.into(), ..Self::default() }
    }
}

/// A name, what stands behind it, and until when somebody may say yes to both.
type AskedLine = (Box<str>, Box<str>, u64);

/// What a shard remembers of calls.
#[derive(Debug, Default)]
pub struct Commanding {
    pub(super) number: u64,
    /// Until when a command rests for a user or a room, ms of the monotonic clock.
    cooldowns: Map<(Arc<str>, Name), u64>,
    /// What waits for `/yes`: by room and user, the line, and until when.
    asked: Map<(Name, Name), AskedLine>,
    /// When a command failed lately, ms of the monotonic clock.
    failures: Map<Arc<str>, Vec<u64>>,
    pub(super) leaving: Leaving,
    /// What random numbers are made of, and how many there were.
    seed: Option<[u8; 16]>,
    drawn: u64,
    /// What a call has cost that is about to be refused.
    pub(super) cost: u64,
}

impl Commanding {
    /// Forgets what is remembered of calls by somebody, or somewhere.
    pub(super) fn forget(&mut self, is_gone: impl Fn(&Name, &Name) -> bool) {
        self.asked.retain(|(room, user), _| !is_gone(user, room));
        // Of a room or of a user: whichever it is.
        self.cooldowns.retain(|(_, who), _| !is_gone(who, who));
        self.leaving.forget(|call| is_gone(&call.by.user, &call.room));
    }
}

/// A line behind its slash: the name and the rest.
pub(super) fn split_command(line: &str) -> (&str, &str) {
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (name, rest.trim())
}

impl Hub {
    /// A call in the name of somebody who may be in the room.
    pub(super) fn take_command(
        &mut self,
        now: Now,
        room: &Name,
        by: &Asker,
        line: Line<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let Line { name, args, cid, version, since_us } = line;
        if self.is_repeated(now, room, by, &cid, effects) {
            return Ok(());
        }
        self.check_log(name.len() + args.len())?;
        self.commanding.number += 1;
        let (boot_ms, shard) = (self.options.boot_ms, self.options.shard.0);
        let call = format!("c-{boot_ms:x}-{shard}-{}", self.commanding.number).into();
        let confirmed = false;
        let mut caller = Caller { call, by, room, cid, version, since_us, confirmed, depth: 0 };
        let (mut name, mut args) = (name.to_lowercase(), Box::from(args));
        let mut done = Ok(());
        if name == "yes" {
            done = self.confirmed(now, &caller).map(|(asked, line)| {
                (name, args) = (asked.into(), line);
                caller.confirmed = true;
            });
        }
        let done = done.and_then(|()| self.run(now, &caller, &name, &args, effects));
        match done {
            Ok(Done::Ended(said)) => self.end_call(now, &caller, (&name, &args), said, effects),
            Ok(Done::Pending(append)) => {
                let d = json!({"state": "pending", "call": caller.call});
                self.remember_call(now, &caller, append);
                self.confirm(by, append, &d, effects);
                Ok(())
            }
            Ok(Done::HandedOver) => {
                let outcome = (Outcome::Ok, 0);
                let append = self.note_call(now, &caller, (&name, &args), outcome, effects);
                self.remember_call(now, &caller, append);
                Ok(())
            }
            Err(refusal) => {
                let cost = std::mem::take(&mut self.commanding.cost);
                let outcome = (Outcome::of_refusal(refusal.code), cost);
                let append = self.note_call(now, &caller, (&name, &args), outcome, effects);
                self.remember_call(now, &caller, append);
                Err(refusal)
            }
        }
    }

    /// Whether the caller has asked for this before, and waits for the same end.
    fn is_repeated(
        &mut self,
        now: Now,
        name: &Name,
        by: &Asker,
        cid: &Cid,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let room = self.rooms.get_mut(name).expect("admitted");
        room.cids.forget(now.mono_ms() as i64);
        let seen = (!cid.is_empty()).then(|| room.cids.get(&by.user, cid)).flatten();
        let Some(seen) = seen else { return false };
        let append = seen.append;
        let is_same =
            |call: &Call| call.cid == *cid && call.by.user == by.user && call.room == *name;
        let state = if self.is_under_way(is_same) { "pending" } else { "done" };
        self.confirm(by, append, &json!({"state": state, "dup": true}), effects);
        true
    }

    fn remember_call(&mut self, now: Now, caller: &Caller<'_>, append: u64) {
        if !caller.cid.is_empty() {
            let (ts_ms, at_ms) = (now.wall_ms(), now.mono_ms() as i64);
            let seen = Seen { o: Offset(0), ts_ms, at_ms, append };
            let room = self.rooms.get_mut(caller.room).expect("admitted");
            room.cids.insert(caller.by.user.clone(), caller.cid.clone(), seen);
        }
    }

    /// Writes the record of a call that has ended.
    pub(super) fn note_call(
        &mut self,
        now: Now,
        caller: &Caller<'_>,
        (name, args): (&str, &str),
        (outcome, cost): (Outcome, u64),
        effects: &mut Vec<Effect>,
    ) -> u64 {
        let fact = Fact::Command {
            name: cut(name).into(),
            args: args.into(),
            call: caller.call.clone(),
            cid: caller.cid.clone(),
            outcome,
            cost,
            // As far as this knows: no clock runs here. Whoever appends it adds the rest.
            duration_us: now.mono_us.saturating_sub(caller.since_us).try_into().unwrap_or(u32::MAX),
        };
        let (user, room) = (caller.by.user.clone(), caller.room.clone());
        self.append(Record { ts_us: now.wall_us, user, room, fact }, effects)
    }

    /// Writes down that a call has ended well, tells the caller, and shows what it said.
    fn end_call(
        &mut self,
        now: Now,
        caller: &Caller<'_>,
        line: (&str, &str),
        said: Said,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let Said { mut privately, mut publicly, cost } = said;
        // A contact reads only what is sent to it.
        if caller.by.user.starts_with(PLATFORM_PREFIX) && !privately.is_empty() {
            publicly = Some((speaker(line.0), std::mem::take(&mut privately).into()));
        }
        // Whether it can be said is known before it is written down that it was.
        let letter = match publicly {
            Some((user, text)) => {
                let letter = self.letter(now, caller.room, text, None, None);
                let checked = letter.and_then(|letter| {
                    self.check_log(letter.0.len() + letter.2.text_bytes()).map(|()| letter)
                });
                match checked {
                    Ok(letter) => Some((user, letter)),
                    Err(refusal) => {
                        let outcome = (Outcome::Failed, cost);
                        let append = self.note_call(now, caller, line, outcome, effects);
                        self.remember_call(now, caller, append);
                        return Err(refusal);
                    }
                }
            }
            None => None,
        };
        let append = self.note_call(now, caller, line, (Outcome::Ok, cost), effects);
        self.remember_call(now, caller, append);
        let mut d = json!({"state": "done", "call": caller.call});
        if caller.by.api && !privately.is_empty() {
            d["text"] = privately.as_str().into();
        }
        self.confirm(caller.by, append, &d, effects);
        self.whisper_after(now, caller, append, privately, effects);
        if let Some((user, (text, direction, extra))) = letter {
            let post = Post { extra, ..Post::plain(&user, text, Source::Command, direction) };
            self.post_letter(now, caller.room, post, effects);
        }
        Ok(())
    }

    /// Tells whoever asked, and nobody else.
    pub(super) fn whisper(
        &mut self,
        now: Now,
        caller: &Caller<'_>,
        kind: &str,
        text: String,
        effects: &mut Vec<Effect>,
    ) {
        if !text.is_empty() && !caller.by.api {
            let d = json!({"call": caller.call, "kind": kind, "text": text});
            let frame = reply::passing("cmd", caller.room, now.wall_ms(), d);
            self.answer(caller.by.from, frame, effects);
        }
    }

    /// The answer of a call, when its record is as safe as a message must be before it is shown.
    fn whisper_after(
        &mut self,
        now: Now,
        caller: &Caller<'_>,
        append: u64,
        text: String,
        effects: &mut Vec<Effect>,
    ) {
        if !self.options.fanout_durable || text.is_empty() || caller.by.api {
            return self.whisper(now, caller, "ephemeral", text, effects);
        }
        let d = json!({"call": caller.call, "kind": "ephemeral", "text": text});
        let frame = reply::passing("cmd", caller.room, now.wall_ms(), d);
        let what = Waiting::Reply { to: caller.by.from, id: None, frame, since_us: None };
        self.when_durable(append, what, effects);
    }

    /// Runs what is known by this name here.
    fn run(
        &mut self,
        now: Now,
        caller: &Caller<'_>,
        name: &str,
        args: &str,
        effects: &mut Vec<Effect>,
    ) -> Result<Done, Refusal> {
        if let Some(command) = BUILT_IN.iter().find(|command| command.name == name) {
            return self.run_built_in(now, caller, command, args, effects);
        }
        let Some(entry) = self.book.find(name, caller.room) else {
            return Err(self.unknown(name, caller.room));
        };
        let entry = Arc::clone(entry);
        self.check_may_call(now, caller, &entry)?;
        let given = arguments::bind(&entry.manifest, name, args)
            .map_err(|problem| refuse(ErrorCode::BadRequest, &problem))?;
        if entry.manifest.confirm && !caller.confirmed && !caller.by.api {
            let key = (caller.room.clone(), caller.by.user.clone());
            let until_ms = now.mono_ms() + COMMAND_CONFIRM_MS;
            self.commanding.asked.insert(key, (name.into(), args.into(), until_ms));
            let text = format!("/{name} {args}: really? /yes does it, /no does not.");
            return Ok(Done::Ended(Said::to_caller(text)));
        }
        self.cool_down(now, caller, &entry);
        match &entry.manifest.backend {
            Backend::Template(template) => {
                let text = self.fill(now, caller, &entry, (template, &given), effects);
                Ok(Done::Ended(shown(&entry, text)))
            }
            Backend::Alias(template) => {
                if caller.depth >= COMMAND_DEPTH_MAX {
                    let text = format!("/{name} leads to itself, or through too many others");
                    return Err(refuse(ErrorCode::CommandFailed, &text));
                }
                let line = self.fill(now, caller, &entry, (template, &given), effects);
                let (name, args) = split_command(line.strip_prefix('/').unwrap_or(&line));
                let (name, depth) = (name.to_lowercase(), caller.depth + 1);
                let (call, cid) = (caller.call.clone(), caller.cid.clone());
                let caller = Caller { call, cid, depth, version: None, ..*caller };
                self.run(now, &caller, &name, args, effects)
            }
            Backend::Http(_) | Backend::Exec(_) => {
                self.call_back(now, caller, (&entry, name), given, effects)
            }
            Backend::Script(_) | Backend::Wasm(_) => {
                self.work(now, caller, (&entry, name), given, effects)
            }
        }
    }

    /// A template filled in.
    fn fill(
        &mut self,
        now: Now,
        caller: &Caller<'_>,
        entry: &Entry,
        (template, given): (&Template, &arguments::Given),
        effects: &mut Vec<Effect>,
    ) -> String {
        let count = match template.counts() {
            true => {
                let key = kept_key(&entry.key, "count");
                let room = &self.rooms[caller.room];
                let before: u64 = room.kept(&key).and_then(|text| text.parse().ok()).unwrap_or(0);
                let by = (caller.room, &caller.by.user);
                // A counter that cannot be kept goes on from where it was.
                let _ = self.keep(now, by, &key, &(before + 1).to_string(), effects);
                before + 1
            }
            false => 0,
        };
        let random = if template.is_random() { self.random() } else { 0 };
        let room = &self.rooms[caller.room];
        let name = room.display(&caller.by.user);
        let (user, wall_ms) = (&caller.by.user, now.wall_ms());
        let facts = Facts { user, name, room: caller.room, count, wall_ms, random };
        template.render(given, &facts, entry.manifest.limits.output_bytes)
    }

    /// 64 bits that nobody can foresee.
    pub(super) fn random(&mut self) -> u64 {
        let seed = match self.commanding.seed {
            Some(seed) => seed,
            None => self.new_secret().0,
        };
        // A keyed hash of a counter, which costs a twentieth of another secret.
        self.commanding.seed = Some(seed);
        self.commanding.drawn += 1;
        let mut hasher = DefaultHasher::new();
        hasher.write(&seed);
        hasher.write_u64(self.commanding.drawn);
        hasher.finish()
    }

    pub(super) fn unknown(&self, name: &str, room: &str) -> Refusal {
        let near = self.book.near(name, room);
        let name = cut(name);
        let text = match near.as_slice() {
            [] => format!("there is no command /{name}; /help lists what there is"),
            near => format!("there is no command /{name}; did you mean /{}?", near.join(" or /")),
        };
        refuse(ErrorCode::BadCommand, &text)
    }

    fn check_may_call(&self, now: Now, caller: &Caller<'_>, entry: &Entry) -> Result<(), Refusal> {
        let Manifest { role, users, agents, disabled, .. } = &entry.manifest;
        let (by, name) = (caller.by, &entry.name);
        if let Some(why) = disabled {
            return Err(refuse(ErrorCode::CommandFailed, &format!("/{name} is off: {why}")));
        }
        if caller.version.is_some_and(|version| version != entry.version) {
            let version = entry.version;
            let text = format!("/{name} has changed: it is at version {version}; ask for `cmds`");
            return Err(refuse(ErrorCode::Gone, &text));
        }
        if by.api {
            return Ok(());
        }
        self.check_may_speak(now, caller.room, by)?;
        let rank = self.rank(caller.room, by);
        if rank < *role {
            let text = format!("/{name} is for {}s; you are a {}", role.name(), rank.name());
            return Err(refuse(ErrorCode::Forbidden, &text));
        }
        if !users.is_empty() && !users.iter().any(|user| **user == *by.user) {
            return Err(refuse(ErrorCode::Forbidden, &format!("/{name} is for others")));
        }
        if *agents {
            self.check_agent(by)?;
        }
        for who in [&by.user, caller.room] {
            let key = (entry.key.clone(), who.clone());
            if let Some(until_ms) = self.commanding.cooldowns.get(&key)
                && *until_ms > now.mono_ms()
            {
                let after_ms = until_ms - now.mono_ms();
                let text = format!("/{name} rests for {} s more", after_ms.div_ceil(1_000));
                let refusal = refuse(ErrorCode::RateLimited, &text);
                return Err(Refusal { after_ms: Some(after_ms), ..refusal });
            }
        }
        Ok(())
    }

    fn cool_down(&mut self, now: Now, caller: &Caller<'_>, entry: &Entry) {
        let Manifest { user_cooldown_s, room_cooldown_s, .. } = entry.manifest;
        let now_ms = now.mono_ms();
        let pairs = [(&caller.by.user, user_cooldown_s), (caller.room, room_cooldown_s)];
        for (who, seconds) in pairs {
            if seconds == 0 || caller.by.api {
                continue;
            }
            let cooldowns = &mut self.commanding.cooldowns;
            if cooldowns.len() >= COOLDOWNS_MAX {
                cooldowns.retain(|_, until_ms| *until_ms > now_ms);
            }
            if cooldowns.len() < COOLDOWNS_MAX {
                cooldowns.insert((entry.key.clone(), who.clone()), now_ms + seconds * 1_000);
            }
        }
    }

    /// What waited for this `/yes`.
    fn confirmed(
        &mut self,
        now: Now,
        caller: &Caller<'_>,
    ) -> Result<(Box<str>, Box<str>), Refusal> {
        let asked = self.take_asked(caller.room, &caller.by.user);
        match asked.filter(|(.., until_ms)| *until_ms >= now.mono_ms()) {
            Some((name, args, _)) => Ok((name, args)),
            None => Err(refuse(ErrorCode::BadRequest, "nothing waits for a yes")),
        }
    }

    /// Forgets what waits for `/yes`.
    pub(super) fn take_asked(
        &mut self,
        room: &Name,
        user: &Name,
    ) -> Option<(Box<str>, Box<str>, u64)> {
        self.commanding.asked.remove(&(room.clone(), user.clone()))
    }

    /// What somebody may do in a room; programs and handlers are the operator's own.
    pub(super) fn rank(&self, room: &Name, by: &Asker) -> Role {
        if by.api { Role::Owner } else { self.rooms[room].role(&by.user) }
    }

    /// A contact wrote a line that begins with a slash. What no command is known for is a message
    /// like any other.
    pub(super) fn contact_commands(
        &mut self,
        now: Now,
        (room, user): (&Name, &Name),
        text: &str,
        effects: &mut Vec<Effect>,
    ) {
        let Some(line) = text.strip_prefix('/').filter(|line| !line.starts_with('/')) else {
            return;
        };
        let (name, args) = split_command(line);
        let known = name.to_lowercase();
        let built_in = BUILT_IN.iter().find(|command| command.name == known);
        let is_known = match built_in {
            Some(command) => command.contacts,
            None => self.book.find(&known, room).is_some(),
        };
        if !is_known {
            return;
        }
        let by = Asker { user: user.clone(), api: false, ..self.nobody(user) };
        // Its message is taken once, and with it the call.
        let cid = Cid::default();
        let line = Line { name, args, cid, version: None, since_us: now.mono_us };
        if let Err(refusal) = self.take_command(now, room, &by, line, effects) {
            let user = speaker(&known);
            let text = refusal.text;
            // It may be the very thing that was refused.
            let _ = self.write(now, (room, &user), Source::Command, (text, None), None, effects);
        }
    }

    /// A command failed by itself. When it does so again and again it is switched off for
    /// everybody, and whoever put it is told.
    pub(super) fn command_failed(
        &mut self,
        now: Now,
        key: &Arc<str>,
        why: &str,
        effects: &mut Vec<Effect>,
    ) {
        let now_ms = now.mono_ms();
        let failures = self.commanding.failures.entry(key.clone()).or_default();
        failures.retain(|at_ms| now_ms - at_ms < COMMAND_FAILURE_WINDOW_MS);
        failures.push(now_ms);
        if failures.len() < COMMAND_FAILURES_MAX {
            return;
        }
        self.commanding.failures.remove(key);
        let Some(definition) = self.registry.get(Kind::Command, key) else { return };
        let Ok(Value::Object(mut body)) = serde_json::from_str(&definition.body) else { return };
        let text =
            format!("it failed {COMMAND_FAILURES_MAX} times in a minute, last: {}", cut(why));
        body.insert("disabled".to_owned(), text.clone().into());
        let (kind, name, dry_run) = (Kind::Command, key.clone(), false);
        let owner = definition.by.clone();
        let body = Value::Object(body).to_string().into();
        let request = Box::new(ApiRequest::Define { kind, name, body, dry_run });
        let by = self.nobody(&super::conversing::SERVER.into());
        self.tell(super::defining::ORDERLY, Message::Define { by, request, told: None }, effects);
        let text = format!("/{key} was switched off: {text}");
        let d = json!({"call": "", "kind": "error", "text": text});
        let frame = reply::passing("cmd", "", now.wall_ms(), d);
        self.tell(self.home_shard(&owner), Message::Whisper { user: owner, frame }, effects);
    }

    /// Does something when the beginning of a call is in the log.
    pub(super) fn leave_when_durable(
        &mut self,
        append: u64,
        ticket: u64,
        effects: &mut Vec<Effect>,
    ) {
        self.when_durable(append, Waiting::Leave { ticket }, effects);
    }
}

/// As whom a command writes.
pub(super) fn speaker(name: &str) -> Name {
    format!("{COMMAND_PREFIX}{}", cut(name)).into()
}

/// What a command says, shown to whom its manifest says.
pub(super) fn shown(entry: &commands::Entry, text: String) -> Said {
    match entry.manifest.shown {
        Shown::Ephemeral => Said::to_caller(text),
        Shown::InChannel if text.is_empty() => Said::default(),
        Shown::InChannel => {
            let publicly = Some((speaker(&entry.name), text.into()));
            Said { publicly, ..Said::default() }
        }
    }
}

pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(64)]
}

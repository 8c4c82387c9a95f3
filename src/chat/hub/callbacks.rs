//! Owner: calls of commands that leave the server, and the answers that come back, now or later.

use super::Hub;
use super::calls::{Call, reply_text};
use super::commanding::{Caller, Done};
use crate::base::clock::Now;
use crate::base::codes::ErrorCode;
use crate::base::hash::Map;
use crate::base::ids::Offset;
use crate::base::limits::{
    CALL_GRACE_MS, COMMAND_CALLS_MAX, COMMAND_RESPONSE_MS, COMMAND_RESPONSES_MAX,
    COMMAND_VALUE_BYTES_MAX, PROGRAM_OUTPUT_BYTES_MAX,
};
use crate::chat::dedup::Seen;
use crate::chat::event::{Asker, Cid, Effect, Name, Outcome, Refusal};
use crate::chat::request::refuse;
use crate::commands::arguments::Given;
use crate::commands::callback::{self, Posted};
use crate::commands::program::{Output, UNDER_WAY};
use crate::commands::{Backend, Entry, Shown};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Failures in a row after which nobody is asked for a while.
const BREAKER_FAILURES: u32 = 5;
/// For how long, milliseconds.
const BREAKER_MS: u64 = 30_000;

/// Calls that have left.
#[derive(Debug, Default)]
pub struct Leaving {
    flights: Map<u64, Flight>,
    /// Failures in a row, and until when nobody is asked, ms of the monotonic clock.
    breakers: Map<Arc<str>, (u32, u64)>,
    /// Begins the addresses for later answers.
    pub(super) public_url: Box<str>,
    /// Calls that were under way when the log ended: room, key of the state, its value.
    pub(super) lost: Vec<(Name, Box<str>, Box<str>)>,
}

/// Names and values.
type Headers = Vec<(Box<str>, Box<str>)>;

#[derive(Debug)]
struct Flight {
    call: Call,
    /// When its first answer must be there, ms of the monotonic clock.
    due_ms: u64,
    /// Until when later answers are taken.
    until_ms: u64,
    responses_left: u8,
    stage: Stage,
    /// What is posted, or put in, until it is; and the headers of a post.
    request: Option<(Headers, Box<str>)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// It was posted, and nobody has said anything.
    Asked,
    /// It will be answered later.
    Deferred,
    /// Its record is written; more may be said.
    Ended,
}

impl Leaving {
    /// Calls that have not ended.
    pub(super) fn under_way(&self) -> impl Iterator<Item = &Call> {
        let open = self.flights.values().filter(|flight| flight.stage != Stage::Ended);
        open.map(|flight| &flight.call)
    }

    /// Gives up calls; their beginnings are gone from the log.
    pub(super) fn forget(&mut self, is_gone: impl Fn(&Call) -> bool) {
        self.flights.retain(|_, flight| !is_gone(&flight.call));
    }

    /// A call whose time is over.
    fn take_over(&mut self, now_ms: u64) -> Option<Flight> {
        let ticket = *self.flights.iter().find(|(_, flight)| flight.is_over(now_ms))?.0;
        self.flights.remove(&ticket)
    }
}

impl Flight {
    /// Whether its time is over.
    fn is_over(&self, now_ms: u64) -> bool {
        match self.stage {
            Stage::Asked => self.due_ms + CALL_GRACE_MS <= now_ms,
            Stage::Deferred | Stage::Ended => self.until_ms <= now_ms,
        }
    }
}

impl Hub {
    /// Whether another call may be under way, and whoever carries it out is there.
    fn check_may_leave(&mut self, now_ms: u64, entry: &Entry, name: &str) -> Result<(), Refusal> {
        let flights = &mut self.commanding.leaving.flights;
        let overloaded = |text: &str| refuse(ErrorCode::Overloaded, text);
        let under_way = flights
            .values()
            .filter(|one| one.call.entry.key == entry.key && one.stage != Stage::Ended);
        if under_way.count() >= entry.manifest.limits.at_once {
            let text = format!("/{name} is busy with {} calls", entry.manifest.limits.at_once);
            return Err(overloaded(&text));
        }
        if flights.len() >= COMMAND_CALLS_MAX {
            // Whoever has answered may say no more.
            flights.retain(|_, flight| flight.stage != Stage::Ended);
        }
        if flights.len() >= COMMAND_CALLS_MAX {
            return Err(overloaded("too many calls of commands are under way"));
        }
        let breaker = self.commanding.leaving.breakers.get(&entry.key);
        if let Some((_, until_ms)) = breaker.filter(|(_, until_ms)| *until_ms > now_ms) {
            let after_ms = until_ms - now_ms;
            let text =
                format!("/{name} does not answer; try again in {} s", after_ms.div_ceil(1_000));
            return Err(Refusal { after_ms: Some(after_ms), ..overloaded(&text) });
        }
        Ok(())
    }

    /// Asks somebody's program. The call leaves when its beginning is in the log.
    pub(super) fn call_back(
        &mut self,
        now: Now,
        caller: &Caller<'_>,
        (entry, name): (&Arc<Entry>, &str),
        given: Given,
        effects: &mut Vec<Effect>,
    ) -> Result<Done, Refusal> {
        let now_ms = now.mono_ms();
        self.check_may_leave(now_ms, entry, name)?;
        self.calling_number += 1;
        let ticket = self.calling_number;
        let request = self.posted(now, caller, (entry, name, ticket), &given);
        let call = Call::new(caller, entry, name, given);
        let append = self.note_beginning(now, &call, effects)?;
        let flight = Flight {
            due_ms: now_ms + call.time_ms(),
            until_ms: now_ms + COMMAND_RESPONSE_MS,
            responses_left: COMMAND_RESPONSES_MAX,
            stage: Stage::Asked,
            request: Some(request),
            call,
        };
        self.commanding.leaving.flights.insert(ticket, flight);
        self.leave_when_durable(append, ticket, effects);
        Ok(Done::Pending(append))
    }

    /// What somebody's program is told, with its signature.
    fn posted(
        &mut self,
        now: Now,
        caller: &Caller<'_>,
        (entry, name, ticket): (&Entry, &str, u64),
        given: &Given,
    ) -> (Headers, Box<str>) {
        let Backend::Http(callback) = &entry.manifest.backend else {
            let input = self.input(now, caller, (entry, name), given);
            let json = serde_json::to_string(&input).expect("it has nothing that JSON lacks");
            return (Vec::new(), json.into());
        };
        let (user, room, call) = (&caller.by.user, caller.room, &*caller.call);
        let (display, response_url) = (self.rooms[room].display(user), self.response_url(ticket));
        let (text, response_url) = (&*given.line, &*response_url);
        let posted = Posted { name, text, user, display, room, response_url, call };
        let body: Box<str> = posted.body().into();
        let at_s = now.wall_us.div_euclid(1_000_000);
        (callback::headers(callback, at_s, &body), body)
    }

    /// The beginning of a call is in the log: it leaves.
    pub(super) fn take_off(&mut self, ticket: u64, effects: &mut Vec<Effect>) {
        let Some(flight) = self.commanding.leaving.flights.get_mut(&ticket) else {
            return self.go_to_work(ticket, effects);
        };
        let Some((headers, body)) = flight.request.take() else { return };
        let manifest = &flight.call.entry.manifest;
        let (due_ms, limits) = (flight.due_ms, manifest.limits);
        effects.push(match &manifest.backend {
            Backend::Http(callback) => {
                let (url, mime, body) = ((*callback.url).into(), callback::MIME, Some(body));
                Effect::Fetch { ticket, url, headers, body, mime, due_ms }
            }
            Backend::Exec(program) => {
                let (program, input) = (Arc::clone(program), body);
                let memory_bytes = limits.memory_kb << 10;
                // Its words, and what it keeps beside them.
                let output_bytes = PROGRAM_OUTPUT_BYTES_MAX;
                Effect::Execute { ticket, program, input, due_ms, memory_bytes, output_bytes }
            }
            other => unreachable!("{} does not leave", other.name()),
        });
    }

    /// The beginning of a call will never be in the log: it does not leave.
    pub(super) fn stay_down(&mut self, ticket: u64) {
        self.commanding.leaving.flights.remove(&ticket);
        self.working.forget(ticket);
    }

    /// Somebody's program has answered, or has not.
    pub(super) fn callback_answered(
        &mut self,
        now: Now,
        ticket: u64,
        result: Result<(u16, Vec<u8>), Box<str>>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(mut flight) = self.commanding.leaving.flights.remove(&ticket) else {
            return self.work_answered(now, ticket, result, effects);
        };
        if flight.stage != Stage::Asked {
            // Its later answers were faster than the first.
            self.commanding.leaving.flights.insert(ticket, flight);
            return;
        }
        let is_program = matches!(flight.call.entry.manifest.backend, Backend::Exec(_));
        let done = match result {
            Ok((200..=299, body)) if is_program => {
                self.said_by_program(now, &flight.call, &body, effects)
            }
            Ok((200..=299, body)) => callback::Said::read(&reply_text(&body))
                .map(|said| self.said_by_callback(now, &mut flight, said, effects))
                .map_err(|why| format!("its answer: {why}")),
            Ok((status, _)) => Err(format!("it answered with HTTP status {status}")),
            Err(why) => Err(why.into()),
        };
        match done {
            Ok(()) => drop(self.commanding.leaving.breakers.remove(&flight.call.entry.key)),
            Err(why) => return self.flight_failed(now, &flight, &why, effects),
        }
        if !is_program {
            self.commanding.leaving.flights.insert(ticket, flight);
        }
    }

    fn flight_failed(&mut self, now: Now, flight: &Flight, why: &str, effects: &mut Vec<Effect>) {
        let Flight { call, due_ms, .. } = flight;
        let late = *due_ms <= now.mono_ms();
        let outcome = if late { Outcome::Timeout } else { Outcome::Failed };
        self.conclude(now, call, outcome, effects);
        let key = call.entry.key.clone();
        let (count, until_ms) = self.commanding.leaving.breakers.entry(key.clone()).or_default();
        *count += 1;
        if *count >= BREAKER_FAILURES {
            *until_ms = now.mono_ms() + BREAKER_MS;
        }
        // Why is for whoever put it; who asked need not know where it lives.
        let text = match late {
            true => format!("/{} did not answer in time", call.name),
            false => format!("/{} failed", call.name),
        };
        self.tell_caller(now, call, "error", text, effects);
        self.command_failed(now, &key, why, effects);
    }

    /// Does what a program of the operator's asks for, and ends its call. The error says why it
    /// cannot be done; then nothing was.
    fn said_by_program(
        &mut self,
        now: Now,
        call: &Call,
        body: &[u8],
        effects: &mut Vec<Effect>,
    ) -> Result<(), String> {
        // A shell passes on what a disk holds, in whatever letters.
        let words = String::from_utf8_lossy(body);
        let output = Output::read(words.as_bytes(), call.entry.manifest.limits.output_bytes)?;
        if output.fetch.is_some() {
            return Err("`fetch` is for scripts and modules; a program can ask itself".to_owned());
        }
        self.keep_all(now, call, &output, effects).map_err(|failed| failed.why().to_owned())?;
        for text in output.progress {
            self.tell_caller(now, call, "progress", text, effects);
        }
        self.conclude(now, call, Outcome::Ok, effects);
        self.show_answer(now, call, output.shown, output.text, effects);
        Ok(())
    }

    /// Shows what was said, now or later.
    fn said_by_callback(
        &mut self,
        now: Now,
        flight: &mut Flight,
        said: callback::Said,
        effects: &mut Vec<Effect>,
    ) {
        let call = &flight.call;
        let mut text = said.text;
        text.truncate(text.floor_char_boundary(call.entry.manifest.limits.output_bytes));
        if said.progress {
            self.tell_caller(now, call, "progress", text, effects);
        } else if text.is_empty() {
            if flight.stage == Stage::Asked {
                flight.stage = Stage::Deferred;
            }
        } else {
            if flight.stage != Stage::Ended {
                self.conclude(now, call, Outcome::Ok, effects);
            }
            self.show_answer(now, call, said.shown, text, effects);
            flight.stage = Stage::Ended;
        }
    }

    /// Shows an answer to whom it, or its manifest, says.
    fn show_answer(
        &mut self,
        now: Now,
        call: &Call,
        shown: Option<Shown>,
        text: String,
        effects: &mut Vec<Effect>,
    ) {
        match shown.unwrap_or(call.entry.manifest.shown) {
            _ if text.is_empty() => {}
            Shown::Ephemeral => self.tell_caller(now, call, "ephemeral", text, effects),
            Shown::InChannel => self.tell_room(now, call, text.into(), effects),
        }
    }

    /// A later answer came to the address that the call was given.
    pub(super) fn respond(
        &mut self,
        now: Now,
        by: &Asker,
        (ticket, proof): (u64, &str),
        body: &str,
        effects: &mut Vec<Effect>,
    ) {
        let gone = |text: &str| refuse(ErrorCode::NoSuchRoom, text);
        let proven = bool::from(self.proof(ticket).as_bytes().ct_eq(proof.as_bytes()));
        let flights = &mut self.commanding.leaving.flights;
        let Some(mut flight) = proven.then(|| flights.remove(&ticket)).flatten() else {
            return self.refuse(by.from, by.id, &gone("expired_url"), effects);
        };
        let refusal = match callback::Said::read(body) {
            _ if flight.until_ms <= now.mono_ms() => Some(gone("expired_url")),
            _ if flight.responses_left == 0 => Some(gone("used_url")),
            Err(why) => Some(refuse(ErrorCode::BadRequest, &format!("invalid_payload: {why}"))),
            Ok(said) if said.text.is_empty() => Some(refuse(ErrorCode::BadRequest, "no_text")),
            Ok(said) => match self.check_log(said.text.len()) {
                Err(refusal) => Some(refusal),
                Ok(()) => {
                    flight.responses_left -= u8::from(!said.progress);
                    self.grant_value(by, &json!({}), effects);
                    self.said_by_callback(now, &mut flight, said, effects);
                    None
                }
            },
        };
        self.commanding.leaving.flights.insert(ticket, flight);
        if let Some(refusal) = refusal {
            self.refuse(by.from, by.id, &refusal, effects);
        }
    }

    /// Where later answers are taken.
    fn response_url(&self, ticket: u64) -> String {
        let (url, shard) = (&self.commanding.leaving.public_url, self.options.shard.0);
        format!("{url}/respond/{shard}.{ticket}.{}", self.proof(ticket))
    }

    /// What only whoever was given the address of a call can know: 128 bits.
    fn proof(&self, ticket: u64) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.options.key).expect("any length");
        mac.update(b"respond");
        mac.update(&self.options.boot_ms.to_le_bytes());
        mac.update(&self.options.shard.0.to_le_bytes());
        mac.update(&ticket.to_le_bytes());
        HEXLOWER.encode(&mac.finalize().into_bytes()[..16])
    }

    /// Gives up the calls whose time is over, and forgets those that may say no more. Writes down
    /// what became of calls that a stop has cut off.
    pub(super) fn tend_flights(&mut self, now: Now, effects: &mut Vec<Effect>) {
        // As many as the log takes records of now.
        while self.check_log(COMMAND_VALUE_BYTES_MAX).is_ok() {
            let Some(flight) = self.commanding.leaving.take_over(now.mono_ms()) else { break };
            if flight.stage != Stage::Ended {
                self.flight_failed(now, &flight, "there was no answer in time", effects);
            }
        }
        while let Some((room, key, value)) = self.commanding.leaving.lost.pop() {
            if self.check_log(value.len()).is_err() {
                return self.commanding.leaving.lost.push((room, key, value));
            }
            self.end_lost(now, &room, &key, &value, effects);
        }
    }

    /// A call that was under way when the server died: nobody knows what came of it, so it is not
    /// made again.
    fn end_lost(
        &mut self,
        now: Now,
        room: &Name,
        key: &str,
        value: &str,
        effects: &mut Vec<Effect>,
    ) {
        let value: Value = serde_json::from_str(value).unwrap_or_default();
        let text = |name: &str| value[name].as_str().unwrap_or_default();
        let call = key.rsplit_once(UNDER_WAY).map_or("", |(_, call)| call);
        let user: Name = text("user").into();
        let by = self.nobody(&user);
        let (call, cid) = (call.into(), Cid::from(text("cid")));
        let (version, since_us, confirmed, depth) = (None, now.mono_us, true, 0);
        let caller = Caller { call, by: &by, room, cid, version, since_us, confirmed, depth };
        let line = (text("name"), text("args"));
        let append = self.note_call(now, &caller, line, (Outcome::Lost, 0), effects);
        if !caller.cid.is_empty() {
            let (ts_ms, at_ms) = (now.wall_ms(), now.mono_ms() as i64);
            let seen = Seen { o: Offset(0), ts_ms, at_ms, append };
            let found = self.rooms.get_mut(room).expect("it has state");
            found.cids.insert(user.clone(), caller.cid.clone(), seen);
        }
        let _ = self.keep(now, (room, &user), key, "", effects);
    }

    /// Notes the calls of the log that have no end there. Whoever made one may ask again before its
    /// end is written down: it is known from now on.
    pub(super) fn find_lost_calls(&mut self) {
        let mut lost: Vec<(Name, Box<str>, Box<str>)> = Vec::new();
        for room in self.rooms.values() {
            for (key, value) in room.all_kept() {
                if key.split_once(' ').is_some_and(|(_, rest)| rest.starts_with(UNDER_WAY)) {
                    lost.push((room.name.clone(), key.into(), value.into()));
                }
            }
        }
        for (room, _, value) in &lost {
            let value: Value = serde_json::from_str(value).unwrap_or_default();
            let text = |name: &str| value[name].as_str().unwrap_or_default();
            if !text("cid").is_empty() {
                let who = (room, text("user").into(), text("cid").into());
                self.restore_cid(self.begin.wall_ms(), who, Offset(0));
            }
        }
        self.commanding.leaving.lost = lost;
    }
}

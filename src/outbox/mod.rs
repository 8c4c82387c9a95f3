//! Messages out between the rooms that own them and the Graph API: one for the node.
//!
//! ```text
//!  rooms ── Send ──▶ letters ──▶ lanes ── call ──▶ rooms: "calling" in the log ── Go ──▶ egress
//!        ◀─ Outcome ───────────── lanes ◀──────────────────────────── answer ───────────┘
//! ```
//!
//! It joins three machines that do not know each other: the hubs, which write everything down; the
//! [`Lanes`], which decide what may leave when; and the egress thread, which calls. All that it
//! knows can be lost: a hub finds in the log what has no outcome yet and says it again.
//!
//! **Never:** a socket, a clock, a file. Words and time come in, deeds go out.

mod letters;

#[cfg(test)]
mod tests;

use self::letters::Letters;
use crate::base::clock::{DAY_US, Now};
use crate::base::hash::Map;
use crate::base::ids::Offset;
use crate::base::names::split_conversation;
use crate::chat::event::{Letter, Name, OutboxEvent, OutboxOrder, Sent};
use crate::chat::outbox::Platform;
use crate::egress::{Got, Miss, Request};
use crate::whatsapp::callback;
use crate::whatsapp::graph_error::{GraphError, look_up};
use crate::whatsapp::lanes::{
    ANSWER_TIMEOUT_US, Answer, Counts, Failure, FlightId, Input, Lanes, LanesOptions, MessageId,
    Outcome, Outgoing, Output,
};
use crate::whatsapp::send::{Content, Message, Recipient, Signal};
use std::sync::Arc;

/// After so long a message is of no use to anybody: Meta, too, keeps one for 30 days.
const EXPIRES_MS: i64 = 30 * DAY_US / 1_000;
/// What the log could not take is said again after so long.
const AGAIN_US: u64 = 1_000_000;
/// So long a call waits for the log; then the lanes get it back, before they give it up.
const LOG_WAIT_US: u64 = ANSWER_TIMEOUT_US / 2;
/// The longest body that is counted when a hub asks whether there is room.
const BODY_BYTES: usize = 16 << 10;

/// Something to take in.
#[derive(Debug)]
pub enum Word {
    /// Of a hub.
    Order(OutboxOrder),
    /// A call ended.
    Reply {
        /// Which; 0 for one whose answer nobody wants.
        ticket: u64,
        /// How.
        result: Result<Got, Miss>,
    },
    /// Time has passed.
    Tick,
    /// The server stops: nothing new is called.
    Stop,
}

/// Something to do.
#[derive(Debug)]
pub enum Deed {
    /// Tell the hub that owns the room.
    Tell(OutboxEvent),
    /// Call out.
    Call {
        /// Comes back with the reply; 0: nobody wants it.
        ticket: u64,
        /// What.
        request: Request,
    },
    /// A word for the operator.
    Remark(String),
}

/// What the node tells of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// Numbers.
    pub counts: Counts,
    /// What an operator should know, one sentence each.
    pub remarks: Vec<String>,
}

/// A call that waits for the log.
#[derive(Debug)]
struct Flight {
    message: MessageId,
    number: Arc<str>,
    body: Arc<str>,
    /// Since when it waits, µs of the monotonic clock.
    since_us: u64,
    /// Is under way.
    gone: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Outbox {
    lanes: Lanes,
    letters: Letters,
    flights: Map<FlightId, Flight>,
    /// What the log could not take, and when it is said again, µs of the monotonic clock.
    again: Vec<(u64, OutboxEvent)>,
    outputs: Vec<Output>,
    stopping: bool,
}

impl Outbox {
    /// An outbox for these numbers and their messages a second.
    pub fn new<'a>(
        options: LanesOptions,
        numbers: impl IntoIterator<Item = (&'a str, u32)>,
    ) -> Self {
        let mut lanes = Lanes::new(options);
        for (number, per_s) in numbers {
            lanes.set_number(&number.into(), per_s);
        }
        Self {
            lanes,
            letters: Letters::default(),
            flights: Map::default(),
            again: Vec::new(),
            outputs: Vec::new(),
            stopping: false,
        }
    }

    /// Takes one thing in and says what is to be done.
    pub fn take(&mut self, now: Now, word: Word, deeds: &mut Vec<Deed>) {
        match word {
            Word::Order(order) => self.take_order(now, order, deeds),
            Word::Reply { ticket: 0, .. } => {}
            Word::Reply { ticket, result } => self.answered(now, FlightId(ticket), result, deeds),
            Word::Tick => self.feed(now, Input::Tick),
            Word::Stop => self.stopping = true,
        }
        for (_, event) in self.again.extract_if(.., |(due_us, _)| *due_us <= now.mono_us) {
            deeds.push(Deed::Tell(event));
        }
        self.put_out(now, deeds);
    }

    /// When to come with [`Word::Tick`] unless something happens before, µs of the monotonic clock.
    pub fn deadline_us(&self) -> Option<u64> {
        let again = self.again.iter().map(|(due_us, _)| *due_us).min();
        let lanes = self.lanes.deadline_us().filter(|_| !self.stopping);
        [again, lanes].into_iter().flatten().min()
    }

    /// Whether rooms may promise to send another message.
    pub fn has_room(&self) -> bool {
        self.lanes.has_room(BODY_BYTES)
    }

    /// How things stand.
    pub fn standing(&self) -> Standing {
        let counts = self.lanes.counts();
        let mut remarks: Vec<_> = self
            .lanes
            .stopped()
            .map(|(number, error)| format!("number {number} sends nothing: {}", told(error)))
            .collect();
        if counts.platform_down {
            remarks.push("the Graph API does not answer; messages wait".to_owned());
        }
        Standing { counts, remarks }
    }

    /// Whether everything that was called has its answer. After [`Word::Stop`] nothing new is
    /// called.
    pub fn is_at_rest(&self) -> bool {
        self.flights.is_empty() && self.again.is_empty()
    }

    fn feed(&mut self, now: Now, input: Input) {
        self.lanes.handle(now, input, &mut self.outputs);
    }

    fn take_order(&mut self, now: Now, order: OutboxOrder, deeds: &mut Vec<Deed>) {
        match order {
            OutboxOrder::Send { room, o, to, at_ms, text, content, about, window_until_ms } => {
                let message = self.letters.name(&room, o);
                let said = (&*text, content.as_deref(), about);
                match outgoing(message, (&room, o), to.as_deref(), said) {
                    Ok(outgoing) => {
                        let expires_ms = at_ms.saturating_add(EXPIRES_MS);
                        let outgoing = Outgoing { window_until_ms, expires_ms, ..outgoing };
                        self.feed(now, Input::Send(outgoing));
                    }
                    Err(why) => {
                        self.letters.forget(message);
                        let sent = Sent::Failed { error: 0, why };
                        deeds.push(Deed::Tell(OutboxEvent::Outcome { room, o, sent }));
                    }
                }
            }
            OutboxOrder::Go { flight } => self.go(FlightId(flight), deeds),
            OutboxOrder::Later(event) => self.again_later(now, event),
            OutboxOrder::Lost { room, o } => {
                let message = self.letters.name(&room, o);
                self.feed(now, Input::Lost { message });
            }
            OutboxOrder::Heard { room, at_ms } => {
                if let Some((number, conversation)) = split_conversation(&room) {
                    let (number, conversation) = (number.into(), conversation.into());
                    self.feed(now, Input::Heard { number, conversation, at_ms });
                }
            }
            OutboxOrder::Told { room, o, external, error } => {
                if let Some((number, conversation)) = split_conversation(&room) {
                    let message = self.letters.find(&room, o);
                    let (number, conversation) = (number.into(), conversation.into());
                    let wamid = external;
                    let status = Input::Status { number, conversation, message, wamid, error };
                    self.feed(now, status);
                }
            }
            OutboxOrder::Signal { room, read, typing } => {
                let signal = Signal { read: read.into(), typing };
                if let (Some((number, _)), Ok(body)) = (split_conversation(&room), signal.render())
                {
                    self.feed(now, Input::Signal { number: number.into(), body: body.into() });
                }
            }
        }
    }

    /// The log could not take this.
    fn again_later(&mut self, now: Now, event: OutboxEvent) {
        if let OutboxEvent::Calling { flight, .. } = event {
            let id = FlightId(flight);
            let waits = |flight: &Flight| now.mono_us < flight.since_us + LOG_WAIT_US;
            if !self.flights.get(&id).is_some_and(waits) {
                if self.flights.remove(&id).is_some() {
                    self.feed(now, Input::Answer { flight: id, answer: Answer::NotSent });
                }
                return;
            }
        }
        self.again.push((now.mono_us + AGAIN_US, event));
    }

    fn go(&mut self, id: FlightId, deeds: &mut Vec<Deed>) {
        // The lanes may have given it up while the log took its time.
        if let Some(flight) = self.flights.get_mut(&id).filter(|flight| !flight.gone) {
            flight.gone = true;
            let (number, body) = (flight.number.clone(), flight.body.clone());
            deeds.push(Deed::Call { ticket: id.0, request: Request::Message { number, body } });
        }
    }

    fn answered(
        &mut self,
        now: Now,
        flight: FlightId,
        result: Result<Got, Miss>,
        deeds: &mut Vec<Deed>,
    ) {
        // One whose message had its outcome before.
        let Some(Flight { message, .. }) = self.flights.remove(&flight) else {
            return;
        };
        let answer = match result {
            Ok(got) => Answer::read(got.status, &got.body),
            Err(Miss::NotSent(_)) => Answer::NotSent,
            // Without a token nothing of this number can be sent, which says nothing about others.
            Err(Miss::Refused(details)) => {
                Answer::Refused { http_status: 401, error: GraphError { code: 190, details } }
            }
            Err(Miss::Lost(_) | Miss::TooLarge { .. } | Miss::File(_)) => Answer::Lost,
        };
        self.feed(now, Input::Answer { flight, answer });
        let is_its =
            |output: &Output| matches!(output, Output::Outcome { message: m, .. } if *m == message);
        if !self.outputs.iter().any(is_its) {
            let (room, o) = self.letters.place(message);
            deeds.push(Deed::Tell(OutboxEvent::Waits { room, o }));
        }
    }

    /// Turns what the lanes say into deeds.
    fn put_out(&mut self, now: Now, deeds: &mut Vec<Deed>) {
        for output in std::mem::take(&mut self.outputs) {
            match output {
                // It stands in the log as one that waits, and goes after the next start.
                Output::Call { .. } if self.stopping => {}
                Output::Call { flight, message, number, body } => {
                    let since_us = now.mono_us;
                    let waiting = Flight { message, number, body, since_us, gone: false };
                    self.flights.insert(flight, waiting);
                    let (room, o) = self.letters.place(message);
                    let event = OutboxEvent::Calling { room, o, flight: flight.0 };
                    deeds.push(Deed::Tell(event));
                }
                Output::Signal { number, body } => {
                    let request = Request::Message { number, body };
                    deeds.push(Deed::Call { ticket: 0, request });
                }
                Output::Outcome { message, outcome } => self.came_out(message, outcome, deeds),
                Output::Stopped { number, error } => {
                    let words = format!("number {number} sends nothing: {}", told(&error));
                    deeds.push(Deed::Remark(words));
                }
                Output::Resumed { number } => {
                    deeds.push(Deed::Remark(format!("number {number} sends again")));
                }
                Output::PlatformDown => {
                    let words = "the Graph API does not answer; messages wait";
                    deeds.push(Deed::Remark(words.to_owned()));
                }
                Output::PlatformUp => {
                    deeds.push(Deed::Remark("the Graph API answers again".to_owned()));
                }
            }
        }
    }

    fn came_out(&mut self, message: MessageId, outcome: Outcome, deeds: &mut Vec<Deed>) {
        // A status may have been quicker than the answer, or the lanes than the log.
        self.flights.retain(|_, flight| flight.message != message);
        let (room, o) = self.letters.place(message);
        let sent = match outcome {
            Outcome::Accepted { wamid } => Sent::Accepted { external: wamid },
            Outcome::Failed(failure) => failed(failure),
            Outcome::Unknown => Sent::Unknown,
        };
        match sent {
            // A status may tell later.
            Sent::Unknown => self.letters.keep_unknown(message),
            Sent::Accepted { .. } | Sent::Failed { .. } => self.letters.forget(message),
        }
        deeds.push(Deed::Tell(OutboxEvent::Outcome { room, o, sent }));
    }
}

/// The rule of WhatsApp, for hubs.
pub fn platform(numbers: Vec<Box<str>>) -> Platform {
    Platform { numbers, read }
}

fn read(text: &str, content: Option<&str>) -> Result<Letter, Box<str>> {
    let content = parse(text, content)?;
    let text = content.summary().into_owned().into();
    Ok(Letter { text, needs_window: content.needs_window() })
}

fn parse(text: &str, content: Option<&str>) -> Result<Content, Box<str>> {
    let parsed = match content {
        None => Content::text(text),
        Some(json) => Content::parse(json),
    };
    parsed.map_err(|refused| refused.to_string().into())
}

/// A message for the lanes; its times are the caller's.
fn outgoing(
    message: MessageId,
    (room, o): (&Name, Offset),
    to: Option<&str>,
    (text, content, about): (&str, Option<&str>, Option<Box<str>>),
) -> Result<Outgoing, Box<str>> {
    let (number, conversation) =
        split_conversation(room).ok_or("this room is no conversation with a contact")?;
    let to = to
        .and_then(Recipient::parse)
        .or_else(|| Recipient::parse(conversation))
        .ok_or_else(|| format!("{conversation:?} is no contact of WhatsApp"))?;
    let content = parse(text, content)?;
    let needs_window = content.needs_window();
    let callback = Some(callback::write(room, o));
    let letter = Message { to, content, about: about.map(Into::into), callback };
    let body = letter.render().map_err(|refused| refused.to_string())?;
    Ok(Outgoing {
        message,
        number: number.into(),
        conversation: conversation.into(),
        body: body.into(),
        needs_window,
        window_until_ms: 0,
        expires_ms: 0,
    })
}

fn failed(failure: Failure) -> Sent {
    let (error, why) = match failure {
        Failure::Platform(error) => (error.code, told(&error)),
        Failure::WindowClosed => {
            (131_047, "the contact has been silent for 24 hours; send a template".to_owned())
        }
        Failure::Expired => (0, "it waited for 30 days".to_owned()),
        Failure::NoSuchNumber => (0, "its number is no longer in `whatsapp.numbers`".to_owned()),
    };
    Sent::Failed { error, why: why.into() }
}

/// An error in the words of our table, with the platform's own.
fn told(error: &GraphError) -> String {
    let meaning = look_up(error.code).map_or("an error that is not known here", |row| row.0);
    match error.details.as_str() {
        "" => format!("{meaning} ({})", error.code),
        details => format!("{meaning} ({}: {details})", error.code),
    }
}

//! `ringpost handlers test`: the records of the log, one after another, in front of handlers.

use super::definitions::{before, of_files, of_log, pick};
use super::past::Past;
use super::report::{Fired, Form, Report};
use super::{EXIT_ERROR, EXIT_FOUND, EXIT_NOT};
use crate::base::moment;
use crate::base::names::{HANDLER_PREFIX, PLATFORM_PREFIX, split_conversation};
use crate::handlers::{Action, Content, EventKind, Handler, Handlers, Occasion, Planned, Source};
use crate::log::record::{
    ConversationAction, ConversationV1, Delivery, Direction, MemberAction, MemberV1, MessageV1,
    Source as Origin, StatusV1,
};
use crate::log::{Entry, Kind, Log, LogError, RecordView, Trust, directory};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::io::{self, Write};
use std::path::PathBuf;

/// What is rehearsed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The data directory of a server, or a copy of it.
    pub data: PathBuf,
    /// From then on, as the scanner has it: `1d`, `2026-01-31`, `2026-01-31T12:00Z`.
    pub since: String,
    /// Before then.
    pub until: Option<String>,
    /// Only this handler of the log.
    pub handler: Option<String>,
    /// These files and folders instead of the log's handlers.
    pub files: Vec<PathBuf>,
    /// Only what happens in this room.
    pub room: Option<String>,
    /// How many firings are shown; 0: all.
    pub shown_count: usize,
    /// One JSON object instead of words.
    pub is_json: bool,
}

/// Why a rehearsal ended early.
enum Failure {
    Output(io::Error),
    Words(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        let hint = match error {
            LogError::Missing(_) => "\nhint: --data DIR names the data directory of the server",
            _ => "",
        };
        Self::Words(format!("{error}{hint}"))
    }
}

/// Shows what handlers would have done. Gives the exit status: 0 something fired, 1 nothing did, 2
/// it could not be found out.
pub fn replay(
    options: &Options,
    now_us: i64,
    out: &mut dyn Write,
    words: &mut dyn Write,
) -> io::Result<u8> {
    match try_replay(options, now_us, out, words) {
        Ok(0) => {
            writeln!(words, "nothing fired")?;
            Ok(EXIT_NOT)
        }
        Ok(_) => Ok(EXIT_FOUND),
        Err(Failure::Output(error)) => Err(error),
        Err(Failure::Words(why)) => {
            writeln!(words, "error: {why}")?;
            Ok(EXIT_ERROR)
        }
    }
}

fn try_replay(
    options: &Options,
    now_us: i64,
    out: &mut dyn Write,
    words: &mut dyn Write,
) -> Result<u64, Failure> {
    let since_us = time("since", &options.since, now_us)?;
    let until_us = match &options.until {
        Some(text) => time("until", text, now_us)?.min(now_us),
        None => now_us,
    };
    let mut handlers = Handlers::default();
    for handler in of_files(&options.files).map_err(Failure::Words)? {
        handlers.put(handler);
    }
    let log = Log::open(&directory::log_dir(&options.data), Trust::Validate)?;
    let before = before(&log)?;
    if options.files.is_empty() {
        let known = of_log(&log, before.as_ref());
        for handler in wanted(known, options.handler.as_deref(), words)? {
            handlers.put(handler);
        }
    }
    let form = if options.is_json { Form::Json } else { Form::Words };
    let report = Report::begin(out, form, options.shown_count)?;
    let room = options.room.as_deref();
    let mut stage = Stage { handlers, past: Past::default(), report, since_us, room };
    for entry in before.iter().flat_map(|snapshot| snapshot.entries()) {
        stage.recall(&entry);
    }
    for entry in log.entries() {
        match entry.ts_us() {
            // Not the end: a clock may have been set back behind it.
            Some(ts_us) if ts_us >= until_us => {}
            _ => stage.meet(&entry)?,
        }
    }
    stage.wait_until(until_us)?;
    let Stage { handlers, report, .. } = stage;
    Ok(report.end(&handlers, since_us)?)
}

fn time(name: &str, text: &str, now_us: i64) -> Result<i64, Failure> {
    let why = || format!("--{name} {text:?} is no time (1d, 90m, 2026-01-31, 2026-01-31T12:00Z)");
    moment::parse(text, now_us).ok_or_else(|| Failure::Words(why()))
}

/// The log's handlers, or the one that was asked for.
fn wanted(
    known: std::collections::BTreeMap<String, Result<Handler, crate::registry::Fault>>,
    name: Option<&str>,
    words: &mut dyn Write,
) -> Result<Vec<Handler>, Failure> {
    if let Some(name) = name {
        return Ok(vec![pick(known, name).map_err(Failure::Words)?]);
    }
    let mut good = Vec::new();
    for (name, handler) in known {
        match handler {
            Ok(handler) => good.push(handler),
            Err(fault) => writeln!(words, "warning: the handler {name} is left out: {fault}")?,
        }
    }
    if good.is_empty() {
        let why = "the log has no handler\nhint: --file FILE rehearses one that is not put yet";
        return Err(Failure::Words(why.to_owned()));
    }
    Ok(good)
}

/// Handlers, and what they are shown.
struct Stage<'s> {
    handlers: Handlers,
    past: Past,
    report: Report<'s>,
    since_us: i64,
    room: Option<&'s str>,
}

/// When something happened, and its record.
#[derive(Clone, Copy)]
struct At {
    ts_us: i64,
    seq: Option<u64>,
}

/// What the log keeps beside the text of a message.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Extra<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

impl Stage<'_> {
    /// Something from before the log begins: it is known, and nobody is asked.
    fn recall(&mut self, entry: &Entry<'_>) {
        match entry.view() {
            Some(RecordView::Message(message)) if is_heard(message.source, message.direction) => {
                let at_ms = message.ts_us.to_native().div_euclid(1_000);
                self.past.contact_writes(entry.room(), at_ms, &|_| None);
                // Whether it was answered since is not known.
                self.past.is_answered(entry.room());
            }
            Some(RecordView::Conversation(change)) => {
                if let Some(action) = ConversationAction::from_byte(change.action) {
                    self.past.changes(entry.room(), action, &change.value);
                }
            }
            _ => {}
        }
    }

    fn meet(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let known = [Kind::Message, Kind::Status, Kind::Member, Kind::Conversation];
        if !entry.kind().is_some_and(|kind| known.contains(&kind)) {
            return Ok(());
        }
        let (Some(ts_us), Some(view)) = (entry.ts_us(), entry.view()) else { return Ok(()) };
        self.wait_until(ts_us)?;
        match view {
            RecordView::Message(message) => self.message(entry, message),
            RecordView::Status(status) => self.status(entry, status),
            RecordView::Member(member) => self.member(entry, member),
            RecordView::Conversation(change) => self.change(entry, change),
            _ => unreachable!("its kind is one of these"),
        }
    }

    fn message(
        &mut self,
        entry: &Entry<'_>,
        message: &rkyv::Archived<MessageV1<'static>>,
    ) -> io::Result<()> {
        let at = At { ts_us: message.ts_us.to_native(), seq: Some(entry.seq) };
        let extra: Extra<'_> = serde_json::from_str(&message.extra).unwrap_or_default();
        let content = Content::read(extra.content.map_or("", RawValue::get));
        let source = source(message.source, message.direction);
        let is_heard = is_heard(message.source, message.direction);
        let is_first = is_heard && {
            let handlers = &self.handlers;
            let next = |after_ms| handlers.next_unanswered(after_ms);
            self.past.contact_writes(entry.room(), at.ts_us.div_euclid(1_000), &next)
        };
        let is_out = Direction::from_byte(message.direction) == Some(Direction::Out);
        if is_out && matches!(source, Source::Person | Source::Api) {
            self.past.is_answered(entry.room());
        }
        let occasion = Occasion {
            sender: entry.user(),
            name: &message.display,
            source,
            // How long a chain it ended is not in the log.
            depth: u8::from(source == Source::Handler),
            text: &message.text,
            content_type: content.type_name(),
            choice: content.choice(),
            is_first_contact: is_first,
            ..at.occasion(EventKind::Message, entry.room())
        };
        self.consider(at, &occasion)
    }

    fn status(
        &mut self,
        entry: &Entry<'_>,
        status: &rkyv::Archived<StatusV1<'static>>,
    ) -> io::Result<()> {
        let at = At { ts_us: status.ts_us.to_native(), seq: Some(entry.seq) };
        let Some(delivery) = Delivery::from_byte(status.status) else { return Ok(()) };
        // Our own steps before the platform knew of it.
        if matches!(delivery, Delivery::Queued | Delivery::Calling) {
            return Ok(());
        }
        let occasion = Occasion {
            sender: entry.user(),
            status: delivery.name(),
            error: status.error.to_native(),
            ..at.occasion(EventKind::Status, entry.room())
        };
        self.consider(at, &occasion)
    }

    fn member(
        &mut self,
        entry: &Entry<'_>,
        member: &rkyv::Archived<MemberV1<'static>>,
    ) -> io::Result<()> {
        let at = At { ts_us: member.ts_us.to_native(), seq: Some(entry.seq) };
        let kind = match MemberAction::from_byte(member.action) {
            Some(MemberAction::Join | MemberAction::Add) => EventKind::Joined,
            Some(MemberAction::Leave | MemberAction::Kick | MemberAction::Ban) => EventKind::Left,
            _ => return Ok(()),
        };
        let occasion = Occasion {
            sender: &member.subject,
            source: Source::Person,
            ..at.occasion(kind, entry.room())
        };
        self.consider(at, &occasion)
    }

    fn change(
        &mut self,
        entry: &Entry<'_>,
        change: &rkyv::Archived<ConversationV1<'static>>,
    ) -> io::Result<()> {
        let at = At { ts_us: change.ts_us.to_native(), seq: Some(entry.seq) };
        let Some(action) = ConversationAction::from_byte(change.action) else { return Ok(()) };
        let Some(kind) = self.past.changes(entry.room(), action, &change.value) else {
            return Ok(());
        };
        let source = match entry.user() {
            "" => Source::System,
            user if user.starts_with(HANDLER_PREFIX) => Source::Handler,
            _ => Source::Person,
        };
        let occasion = Occasion { sender: entry.user(), source, ..at.occasion(kind, entry.room()) };
        self.consider(at, &occasion)
    }

    /// Time passes, and contacts wait.
    fn wait_until(&mut self, ts_us: i64) -> io::Result<()> {
        let now_ms = ts_us.div_euclid(1_000);
        loop {
            let handlers = &self.handlers;
            let next = |after_ms| handlers.next_unanswered(after_ms);
            let Some(waited) = self.past.waited(now_ms, &next) else { return Ok(()) };
            let at = At { ts_us: waited.now_ms.saturating_mul(1_000), seq: None };
            let contact = split_conversation(&waited.room).map_or("", |(_, contact)| contact);
            let occasion = Occasion {
                sender: &format!("{PLATFORM_PREFIX}{contact}"),
                unanswered_from_ms: waited.from_ms,
                unanswered_ms: waited.waited_ms,
                ..at.occasion(EventKind::Unanswered, &waited.room)
            };
            self.consider(at, &occasion)?;
        }
    }

    fn consider(&mut self, at: At, occasion: &Occasion<'_>) -> io::Result<()> {
        let is_wanted = self.room.is_none_or(|room| room == occasion.room);
        if at.ts_us < self.since_us || !is_wanted {
            return Ok(());
        }
        self.report.seen();
        let occasion = self.past.describe(*occasion);
        let mut planned = Vec::new();
        self.handlers.consider(&occasion, &mut planned);
        for plan in planned.iter().filter(|plan| !is_end_only(plan)) {
            let Planned { handler, actions, .. } = plan;
            let fired = Fired { ts_us: at.ts_us, seq: at.seq, handler, occasion: &occasion };
            self.report.fired(&fired, actions)?;
        }
        Ok(())
    }
}

impl At {
    fn occasion<'o>(&self, kind: EventKind, room: &'o str) -> Occasion<'o> {
        Occasion::new(kind, self.ts_us.div_euclid(1_000), room)
    }
}

/// A question of another definition has ended: nothing that anybody would notice.
fn is_end_only(plan: &Planned) -> bool {
    plan.actions.iter().all(|action| matches!(action, Action::EndStep))
}

/// Whether a message is one of a contact.
fn is_heard(source: u8, direction: u8) -> bool {
    Origin::from_byte(source) == Some(Origin::Whatsapp)
        && Direction::from_byte(direction) == Some(Direction::In)
}

fn source(source: u8, direction: u8) -> Source {
    match Origin::from_byte(source) {
        Some(Origin::Whatsapp) if is_heard(source, direction) => Source::Contact,
        // Somebody of ours, in the platform's own app.
        Some(Origin::Whatsapp | Origin::Ws) => Source::Person,
        Some(Origin::Command) => Source::Command,
        Some(Origin::Handler) => Source::Handler,
        Some(Origin::Api) => Source::Api,
        Some(Origin::System) | None => Source::System,
    }
}

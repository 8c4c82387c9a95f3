//! `when` to conditions.

use super::hours::Hours;
use super::{Names, Test, TextTest};
use crate::base::limits::{
    HANDLER_CONDITION_DEPTH_MAX, HANDLER_CONDITIONS_MAX, HANDLER_WAIT_MIN_MAX, ROOM_NAME_BYTES_MAX,
};
use crate::handlers::occasion::{EventKind, Source};
use crate::handlers::template::Known;
use crate::registry::Fault;
use crate::registry::part::{Fields, Part};

/// What a handler waits for.
#[derive(Clone, Debug)]
pub(in crate::handlers) struct When {
    pub events: Vec<EventKind>,
    /// `None`: people, not machines.
    pub from: Option<Vec<Source>>,
    /// Of `unanswered`, ms.
    pub unanswered_ms: i64,
    pub test: Test,
}

/// How many conditions a definition may still have.
#[derive(Debug)]
pub(in crate::handlers) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(HANDLER_CONDITIONS_MAX)
    }
}

impl Budget {
    pub(in crate::handlers) fn take(&mut self, part: &Part<'_>) -> Result<(), Fault> {
        let problem =
            format!("a handler has at most {HANDLER_CONDITIONS_MAX} conditions and words");
        self.0 = self.0.checked_sub(1).ok_or_else(|| part.fault(problem))?;
        Ok(())
    }
}

/// What stands directly in `when` only.
pub(in crate::handlers) const OUTERMOST: [&str; 3] = ["event", "from", "unanswered_min"];
/// Conditions, and of which events they are known; empty: of all.
pub(in crate::handlers) const CONDITIONS: [(&str, &[EventKind]); 18] = [
    ("number", &[]),
    ("room", &[]),
    ("sender", &[]),
    ("text", &[EventKind::Message]),
    ("command", &[EventKind::Message]),
    ("type", &[EventKind::Message, EventKind::Platform]),
    ("choice", &[EventKind::Message]),
    ("hours", &[]),
    ("first_contact", &[EventKind::Message]),
    ("tag", &[]),
    ("state", &[]),
    ("assigned", &[]),
    ("assignee", &[]),
    ("status", &[EventKind::Status]),
    ("error", &[EventKind::Status]),
    ("all", &[]),
    ("any", &[]),
    ("not", &[]),
];

const STATES: [(&str, ()); 3] = [("open", ()), ("pending", ()), ("resolved", ())];
pub(in crate::handlers) const STATUSES: [(&str, ()); 7] = [
    ("accepted", ()),
    ("sent", ()),
    ("delivered", ()),
    ("read", ()),
    ("played", ()),
    ("failed", ()),
    ("unknown", ()),
];

struct Reader<'k> {
    events: &'k [EventKind],
    budget: Budget,
}

/// Reads `when`, and says what placeholders may use of it.
pub(in crate::handlers) fn parse(part: &Part<'_>) -> Result<(When, Known), Fault> {
    let fields = part.object()?;
    fields.only(OUTERMOST.into_iter().chain(CONDITIONS.map(|(name, _)| name)))?;
    let events = events(&fields)?;
    let from = match fields.get("from") {
        None => None,
        Some(part) => Some(each(part, |item| item.one_of(&Source::ALL))?),
    };
    let unanswered_ms = match fields.get("unanswered_min") {
        None => 0,
        Some(part) => part.number(1..=HANDLER_WAIT_MIN_MAX)? * 60_000,
    };
    let mut reader = Reader { events: &events, budget: Budget::default() };
    let test = Test::All(reader.tests(&fields, 0)?);
    let mut known = Known::default();
    test.visit(&mut |test| match test {
        Test::Text(test) => test.group_names(&mut known.groups),
        Test::Command(_) => known.has_command = true,
        _ => {}
    });
    Ok((When { events, from, unanswered_ms, test }, known))
}

/// Those that are named, or those that the other conditions speak of.
fn events(fields: &Fields<'_>) -> Result<Vec<EventKind>, Fault> {
    let waits = fields.get("unanswered_min");
    let Some(part) = fields.get("event") else {
        let has = |name: &str| fields.get(name).is_some();
        let of_status = has("status") || has("error");
        return Ok(vec![match (waits, of_status) {
            (Some(_), _) => EventKind::Unanswered,
            (None, true) => EventKind::Status,
            (None, false) => EventKind::Message,
        }]);
    };
    let events = each(part, |item| item.one_of(&EventKind::NAMED))?;
    let is_waiting = events.contains(&EventKind::Unanswered);
    match waits {
        None if is_waiting => Err(fields.part().fault("`unanswered_min` is missing")),
        Some(waits) if !is_waiting => Err(waits.fault("is for the event \"unanswered\"")),
        _ => Ok(events),
    }
}

impl Reader<'_> {
    /// The conditions of an object, cheap ones first.
    fn tests(&mut self, fields: &Fields<'_>, depth: usize) -> Result<Vec<Test>, Fault> {
        let mut tests = Vec::new();
        for (name, part) in fields.iter() {
            if !OUTERMOST.contains(&name) {
                self.budget.take(part)?;
                self.check_event(name, part)?;
                tests.push(self.test(name, part, depth)?);
            }
        }
        tests.sort_by_key(Test::cost);
        Ok(tests)
    }

    fn check_event(&self, name: &str, part: &Part<'_>) -> Result<(), Fault> {
        let known = CONDITIONS.iter().find(|(known, _)| *known == name).expect("checked").1;
        if known.is_empty() || self.events.iter().any(|event| known.contains(event)) {
            return Ok(());
        }
        let event = known[0].name();
        Err(part.fault(format!("is known of the event {event:?} only, so this would never fire")))
    }

    fn test(&mut self, name: &str, part: &Part<'_>, depth: usize) -> Result<Test, Fault> {
        Ok(match name {
            "number" => Test::Number(self.names(part)?),
            "room" => Test::Room(self.names(part)?),
            "sender" => Test::Sender(self.names(part)?),
            "text" => Test::Text(TextTest::parse(part, &mut self.budget)?),
            "command" => Test::Command(self.commands(part)?),
            "type" => Test::Content(self.names(part)?),
            "choice" => Test::Choice(self.names(part)?),
            "hours" => Test::Hours(Hours::parse(part)?),
            "first_contact" => Test::FirstContact(part.flag()?),
            "tag" => Test::Tag(self.names(part)?),
            "state" => Test::State(listed(part, &STATES)?),
            "assigned" => Test::Assigned(part.flag()?),
            "assignee" => Test::Assignee(self.names(part)?),
            "status" => Test::Status(listed(part, &STATUSES)?),
            "error" => Test::Error(each(part, |item| Ok(item.number(1..=9_999_999)? as u32))?),
            "all" => Test::All(self.list(part, depth)?),
            "any" => Test::Any(self.list(part, depth)?),
            "not" => Test::Not(Box::new(self.nested(part, depth)?)),
            other => unreachable!("{other} is not among the conditions"),
        })
    }

    fn list(&mut self, part: &Part<'_>, depth: usize) -> Result<Vec<Test>, Fault> {
        let mut tests = Vec::new();
        for item in part.list()? {
            tests.push(self.nested(&item, depth)?);
        }
        tests.sort_by_key(Test::cost);
        Ok(tests)
    }

    fn nested(&mut self, part: &Part<'_>, depth: usize) -> Result<Test, Fault> {
        if depth == HANDLER_CONDITION_DEPTH_MAX {
            let problem = format!("conditions nest at most {HANDLER_CONDITION_DEPTH_MAX} deep");
            return Err(part.fault(problem));
        }
        let fields = part.object()?;
        for name in OUTERMOST {
            if let Some(part) = fields.get(name) {
                return Err(part.fault("stands directly in `when`, not within another condition"));
            }
        }
        fields.only(CONDITIONS.map(|(name, _)| name))?;
        let mut tests = self.tests(&fields, depth + 1)?;
        match tests.len() {
            0 => Err(part.fault("names no condition")),
            1 => Ok(tests.remove(0)),
            _ => Ok(Test::All(tests)),
        }
    }

    fn names(&mut self, part: &Part<'_>) -> Result<Names, Fault> {
        each(part, |item| {
            self.budget.take(item)?;
            Ok(item.text(ROOM_NAME_BYTES_MAX)?.into())
        })
    }

    fn commands(&mut self, part: &Part<'_>) -> Result<Names, Fault> {
        for item in part.one_or_more()? {
            let name = item.text(64)?;
            if name.starts_with('/') || name.contains(char::is_whitespace) {
                return Err(item.fault("wants the word behind the slash, as in \"order\""));
            }
        }
        self.names(part)
    }
}

fn listed(part: &Part<'_>, table: &[(&'static str, ())]) -> Result<Names, Fault> {
    each(part, |item| {
        item.one_of(table)?;
        Ok(item.text(64)?.into())
    })
}

/// One item, or those of a list.
fn each<'a, T>(
    part: &Part<'a>,
    mut read: impl FnMut(&Part<'a>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    part.one_or_more()?.iter().map(&mut read).collect()
}

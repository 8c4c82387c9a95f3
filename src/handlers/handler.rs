//! One definition, read.

use super::action::Say;
use super::condition::{self, Look, When};
use super::deed::{self, Deed, Message};
use super::guard::Limits;
use super::occasion::{EventKind, Occasion, Source};
use crate::base::limits::HANDLER_WAIT_MIN_MAX;
use crate::registry::part::Part;
use crate::registry::{Fault, check_name};
use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

/// What may stand for a placeholder.
const SAMPLES: [&str; 3] = ["x", "https://example.org/x", "1"];

/// A rule: when this happens, do that. Made by [`Handler::parse`], so its bounds hold.
#[derive(Clone, Debug)]
pub struct Handler {
    name: Arc<str>,
    when: When,
    deeds: Vec<Deed>,
    priority: i32,
    stop: bool,
    is_enabled: bool,
    limits: Limits,
    print: u64,
}

impl Handler {
    /// Reads a definition (`docs/HANDLERS.md`). The fault says where it is wrong and what would be
    /// right.
    pub fn parse(name: &str, json: &str) -> Result<Self, Fault> {
        check_name(name)?;
        let whole = Part::whole(json)?.object()?;
        whole.only(["about", "when", "do", "priority", "stop", "enabled", "limits"])?;
        if let Some(about) = whole.get("about") {
            about.text(1_024)?;
        }
        let (when, known) = condition::parse(whole.need("when")?)?;
        let deeds = deed::parse(whole.need("do")?, &known)?;
        let flag = |name: &str, default: bool| whole.get(name).map_or(Ok(default), Part::flag);
        let priority = whole.get("priority").map_or(Ok(0), |part| part.number(-1_000..=1_000))?;
        Ok(Self {
            name: name.into(),
            when,
            deeds,
            priority: i32::try_from(priority).expect("within its bounds"),
            stop: flag("stop", false)?,
            is_enabled: flag("enabled", true)?,
            limits: whole.get("limits").map_or(Ok(Limits::default()), limits)?,
            print: print(json),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same, to be kept.
    pub(super) fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// Whether it may fire.
    pub fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// The events that it waits for.
    pub fn events(&self) -> &[EventKind] {
        &self.when.events
    }

    /// How often it may fire.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Everything that it says to people, with `sample` for each placeholder: for whoever knows
    /// what a platform takes, and tells the operator when a definition is put.
    pub fn says(&self, sample: &str) -> Vec<Say> {
        let mut says = Vec::new();
        deed::see_all(&self.deeds, &mut |deed| {
            says.extend(deed.messages().into_iter().map(|message| match message {
                Message::Text(text) => Say::Text(text.sample(sample)),
                Message::Content(json, _) => Say::Content(json.sample(sample)),
            }));
        });
        says
    }

    /// Has every content that it says checked by whoever knows what a platform takes. What stands
    /// for its placeholders is first a word, then an address, then a number: one of them must do.
    /// `check` says what is wrong; the fault says where.
    pub fn check_contents(&self, check: &dyn Fn(&str) -> Result<(), String>) -> Result<(), Fault> {
        let mut outcome = Ok(());
        deed::see_all(&self.deeds, &mut |deed| {
            for message in deed.messages() {
                let Message::Content(json, place) = message else { continue };
                let answers = SAMPLES.map(|sample| check(&json.sample(sample)));
                let [Err(problem), Err(_), Err(_)] = answers else { continue };
                if outcome.is_ok() {
                    outcome = Err(Fault { problem, ..(**place).clone() });
                }
            }
        });
        outcome
    }

    /// The names of its actions, in their order.
    pub fn verbs(&self) -> Vec<&'static str> {
        let mut verbs = Vec::new();
        deed::see_all(&self.deeds, &mut |deed| verbs.push(deed.verb()));
        verbs
    }

    pub(super) fn deeds(&self) -> &[Deed] {
        &self.deeds
    }

    pub(super) fn priority(&self) -> i32 {
        self.priority
    }

    pub(super) fn stops(&self) -> bool {
        self.stop
    }

    pub(super) fn when(&self) -> &When {
        &self.when
    }

    /// Tells this definition from any other of the name.
    pub(super) fn print(&self) -> u64 {
        self.print
    }

    /// The order in which handlers are asked: high priorities first, then by name.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let key = |handler: &Self| (Reverse(handler.priority), handler.name.clone());
        key(self).cmp(&key(other))
    }

    /// Whether it wants to do something about an occasion of one of its events.
    pub(super) fn wants(&self, occasion: &Occasion<'_>, look: &Look<'_>) -> bool {
        let is_due = match occasion.kind {
            EventKind::Unanswered => {
                let waited_ms = occasion.unanswered_from_ms + 1..=occasion.unanswered_ms;
                waited_ms.contains(&self.when.unanswered_ms)
            }
            kind if kind.has_source() => self.listens_to(occasion),
            _ => true,
        };
        is_due && self.when.test.holds(occasion, look)
    }

    fn listens_to(&self, occasion: &Occasion<'_>) -> bool {
        let source = occasion.source;
        match (&self.when.from, occasion.kind) {
            (Some(sources), _) => sources.contains(&source),
            // What an agent writes to a contact is no reason to greet the contact.
            (None, EventKind::Message) if occasion.number.is_some() => source == Source::Contact,
            (None, EventKind::Message) => matches!(source, Source::Person | Source::Api),
            (None, _) => !matches!(source, Source::Handler | Source::Command),
        }
    }
}

fn limits(part: &Part<'_>) -> Result<Limits, Fault> {
    let fields = part.object()?;
    fields.only(["times", "per_s", "cooldown_min"])?;
    let number = |name: &str, max: i64| fields.get(name).map(|part| part.number(1..=max));
    let mut limits = Limits::default();
    if let Some(times) = number("times", 10_000).transpose()? {
        limits.times = u32::try_from(times).expect("within its bounds");
    }
    if let Some(window_s) = number("per_s", 24 * 3_600).transpose()? {
        limits.window_ms = window_s * 1_000;
    }
    if let Some(cooldown_min) = number("cooldown_min", HANDLER_WAIT_MIN_MAX).transpose()? {
        limits.cooldown_ms = cooldown_min * 60_000;
    }
    Ok(limits)
}

/// FNV-1a: the same on every machine and in every version, since it stands in the log.
fn print(json: &str) -> u64 {
    json.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

//! The words of definitions, for documents and their tests.

use super::condition::{CONDITIONS, NAMES, OUTERMOST, STATUSES};
use super::deed::VERBS;
use super::occasion::EventKind;
use super::template::FIELDS;

/// All names that a definition may use, in the order of `docs/HANDLERS.md`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Words {
    /// What may stand in `when`, and the events of which it is known; none: of all.
    pub conditions: Vec<(&'static str, Vec<&'static str>)>,
    /// How texts are compared.
    pub text_tests: Vec<&'static str>,
    /// What the condition `status` knows.
    pub statuses: Vec<&'static str>,
    /// What may stand in `do`, and what beside it.
    pub actions: Vec<(&'static str, Vec<&'static str>)>,
    /// Placeholders for what is known of every occasion.
    pub placeholders: Vec<&'static str>,
}

impl Words {
    /// Those of this version.
    pub fn all() -> Self {
        let names = |events: &[EventKind]| events.iter().map(|event| event.name()).collect();
        let outermost = OUTERMOST.iter().map(|name| (*name, Vec::new()));
        let conditions = CONDITIONS.iter().map(|(name, events)| (*name, names(events)));
        Self {
            conditions: outermost.chain(conditions).collect(),
            text_tests: NAMES.to_vec(),
            statuses: STATUSES.iter().map(|(name, _)| *name).collect(),
            actions: VERBS.iter().map(|(verb, beside)| (*verb, beside.to_vec())).collect(),
            placeholders: FIELDS.iter().map(|(name, _)| *name).collect(),
        }
    }
}

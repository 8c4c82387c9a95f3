//! Messages as reports about people see them: who, where, when; names as numbers.

use super::filter::Filter;
use crate::base::hash::Map;
use crate::log::record::{NameId, RecordView, Source};
use crate::log::{Entry, Log};

/// Names of users, rooms or commands, numbered from 1 in the order in which they came; 0 is none.
/// Segments number their names each for itself: this numbering holds for all of them.
#[derive(Debug)]
pub(super) struct Names {
    texts: Vec<Box<str>>,
    codes: Map<Box<str>, u32>,
    /// Codes of the numbers of the segment at hand.
    known: Map<NameId, u32>,
    segment: u32,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            texts: vec!["".into()],
            codes: Map::default(),
            known: Map::default(),
            segment: u32::MAX,
        }
    }
}

impl Names {
    /// The number of a name.
    pub(super) fn code(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(code) = self.codes.get(text) {
            return *code;
        }
        let code = self.texts.len() as u32;
        self.texts.push(text.into());
        self.codes.insert(text.into(), code);
        code
    }

    /// The name of a number that [`Names::code`] gave.
    pub(super) fn text(&self, code: u32) -> &str {
        &self.texts[code as usize]
    }

    /// One more than the largest number.
    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    /// The number of what `id` names in the entry's segment.
    fn of(&mut self, entry: &Entry<'_>, id: NameId, text: impl Fn() -> String) -> u32 {
        if entry.position.segment != self.segment {
            self.segment = entry.position.segment;
            self.known.clear();
        }
        if let Some(code) = self.known.get(&id) {
            return *code;
        }
        let code = self.code(&text());
        self.known.insert(id, code);
        code
    }
}

/// Users and rooms of a report.
#[derive(Debug, Default)]
pub(super) struct People {
    pub(super) users: Names,
    pub(super) rooms: Names,
}

/// A message without its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Said {
    pub(super) ts_us: i64,
    /// A number of [`People::users`]; 0: nobody.
    pub(super) user: u32,
    /// A number of [`People::rooms`]; 0: none.
    pub(super) room: u32,
    /// `None`: one of a later version.
    pub(super) source: Option<Source>,
}

/// Calls `each` for every wanted message, in the order of the log.
pub(super) fn messages(
    log: &Log,
    filter: &Filter,
    people: &mut People,
    mut each: impl FnMut(Said, &People),
) {
    for entry in filter.entries(log) {
        let Some(RecordView::Message(message)) = entry.view() else { continue };
        let header = entry.record.header;
        let said = Said {
            ts_us: message.ts_us.to_native(),
            user: people.users.of(&entry, header.user, || entry.user().to_owned()),
            room: people.rooms.of(&entry, header.room, || entry.room().to_owned()),
            source: Source::from_byte(message.source),
        };
        each(said, people);
    }
}

//! Messages as reports about people see them: who, where, when; names as numbers.

use super::engine::{Scan, View};
use super::filter::Filter;
use crate::base::hash::Map;
use crate::log::record::Source;
use crate::log::sidecar::{Column, NameSet, TableKind};

/// Names of users, rooms or commands, numbered from 1 in the order in which they came; 0 is none.
#[derive(Debug)]
pub(super) struct Names {
    texts: Vec<Box<str>>,
    codes: Map<Box<str>, u32>,
}

impl Default for Names {
    fn default() -> Self {
        Self { texts: vec!["".into()], codes: Map::default() }
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

    /// The number of what a scan numbered otherwise; `known` holds one more than each answer.
    fn renumber(&mut self, other: u32, set: NameSet, scan: &Scan<'_>, known: &mut Vec<u32>) -> u32 {
        let index = other as usize;
        if known.len() <= index {
            known.resize((index + 1).next_power_of_two(), 0);
        }
        if known[index] == 0 {
            known[index] = 1 + self.code(scan.names(set).text(other));
        }
        known[index] - 1
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
    scan: &Scan<'_>,
    filter: &Filter,
    people: &mut People,
    mut each: impl FnMut(Said, &People),
) {
    let (mut users, mut rooms) = (Vec::new(), Vec::new());
    scan.run(filter, said, |part| {
        for (said, source) in part {
            let said = Said {
                user: people.users.renumber(said.user, NameSet::Users, scan, &mut users),
                room: people.rooms.renumber(said.room, NameSet::Rooms, scan, &mut rooms),
                source: Source::from_byte(source),
                ..said
            };
            each(said, people);
        }
    });
}

/// The wanted messages of a segment, by numbers of the scan; the source as on disk.
fn said(view: &View<'_>) -> Vec<(Said, u8)> {
    let table = view.table(TableKind::Messages);
    if table.len() == 0 {
        return Vec::new();
    }
    let (users, rooms) = (table.codes(NameSet::Users), table.codes(NameSet::Rooms));
    let user_numbers = view.numbers(NameSet::Users);
    let room_numbers = view.numbers(NameSet::Rooms);
    let (times, sources) = (table.times(), table.bytes(Column::Source));
    let said = |row| Said {
        ts_us: times.at(row),
        user: user_numbers[users.at(row)],
        room: room_numbers[rooms.at(row)],
        source: None,
    };
    table.rows().map(|row| (said(row), sources[row])).collect()
}

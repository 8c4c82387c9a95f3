//! `summary`: how much of what, by whom, when.

use super::engine::View;
use super::filter::Filter;
use super::render::{Cell, Column};
use super::{Found, Job, Report, ScanError, kernels};
use crate::log::Kind;
use crate::log::record::Direction;
use crate::log::sidecar::{Column as C, NameSet, TableKind};

pub(super) const REPORT: Report = Report {
    name: "summary",
    about: "Counts records, messages, users and rooms",
    filtered: true,
    options: |command| command,
    run,
};

const COLUMNS: &[Column] =
    &[Column { name: "measure", width: 18 }, Column { name: "value", width: 0 }];

/// Counts over the wanted records of a segment, or of all.
#[derive(Debug)]
struct Counts {
    record_count: u64,
    bytes: u64,
    /// By tag; index 0 counts types of a later version.
    kinds: [u64; Kind::ALL.len() + 1],
    /// By byte; index 0 counts directions of a later version.
    directions: [u64; Direction::ALL.len() + 1],
    first_us: i64,
    last_us: i64,
    /// Whether the name of a number was met.
    users: Vec<bool>,
    rooms: Vec<bool>,
    damage_count: u64,
    /// Messages by size of their text; empty when there are none.
    sizes: Vec<u64>,
}

fn run(job: &mut Job<'_>) -> Result<Found, ScanError> {
    let mut counts = Counts::default();
    let filter = &job.filter;
    job.scan.run(filter, |view| Counts::of(view, filter), |part| counts.add(&part));
    let catalog = job.scan.catalog();
    let segment_count = catalog.segments().len() as u64;
    let problem_count = catalog.problems().iter().filter(|p| p.what.is_loss()).count();
    if problem_count as u64 + counts.damage_count > 0 {
        writeln!(job.words, "warning: parts of the log are damaged; see `ringpost-scan verify`")?;
    }
    let mut rows = job.rows(COLUMNS)?;
    for (measure, value) in counts.measures(segment_count) {
        rows.row(&[Cell::Text(measure), value])?;
    }
    rows.end()?;
    Ok(if counts.record_count > 0 { Found::Something } else { Found::Nothing })
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            record_count: 0,
            bytes: 0,
            kinds: [0; Kind::ALL.len() + 1],
            directions: [0; Direction::ALL.len() + 1],
            first_us: i64::MAX,
            last_us: i64::MIN,
            users: Vec::new(),
            rooms: Vec::new(),
            damage_count: 0,
            sizes: Vec::new(),
        }
    }
}

impl Counts {
    fn of(view: &View<'_>, filter: &Filter) -> Self {
        let mut counts = Self::default();
        if filter.is_empty() {
            counts = Self::whole(view);
        } else {
            TableKind::ALL.into_iter().for_each(|table| counts.table(view, table));
        }
        let messages = view.table(TableKind::Messages);
        if messages.len() > 0 {
            counts.sizes = kernels::per_size(&messages).into_iter().map(u64::from).collect();
        }
        counts.damage_count =
            u64::from(view.segment().ask(|sidecar| Ok(sidecar.rollup()?.damage_count.to_native())));
        counts
    }

    /// Without a filter everything is counted already.
    fn whole(view: &View<'_>) -> Self {
        let mut counts = view.segment().ask(|sidecar| {
            let rollup = sidecar.rollup()?;
            let mut counts = Self {
                record_count: rollup.record_count.into(),
                bytes: rollup.bytes.into(),
                first_us: rollup.first_us.into(),
                last_us: rollup.last_us.into(),
                ..Self::default()
            };
            for (count, kind) in counts.kinds.iter_mut().zip(rollup.kind_counts.iter()) {
                *count = u64::from(kind.to_native());
            }
            for (count, one) in counts.directions.iter_mut().zip(rollup.direction_counts.iter()) {
                *count = u64::from(one.to_native());
            }
            Ok(counts)
        });
        view.numbers(NameSet::Users).iter().for_each(|number| mark(&mut counts.users, *number));
        view.numbers(NameSet::Rooms).iter().for_each(|number| mark(&mut counts.rooms, *number));
        counts
    }

    fn table(&mut self, view: &View<'_>, kind: TableKind) {
        let table = view.table(kind);
        if table.len() == 0 {
            return;
        }
        self.record_count += table.len() as u64;
        let (times, offs) = (table.times(), table.offs());
        let (users, rooms) = (table.codes(NameSet::Users), table.codes(NameSet::Rooms));
        let user_numbers = view.numbers(NameSet::Users);
        let room_numbers = view.numbers(NameSet::Rooms);
        for row in table.rows() {
            let ts_us = times.at(row);
            self.first_us = self.first_us.min(ts_us);
            self.last_us = self.last_us.max(ts_us);
            mark(&mut self.users, user_numbers[users.at(row)]);
            mark(&mut self.rooms, room_numbers[rooms.at(row)]);
            if let Some(record) = view.segment().record(offs[row].to_native()) {
                self.bytes += record.header.stride() as u64;
                let tag = record.kind().map_or(0, Kind::tag);
                self.kinds[usize::from(tag)] += 1;
            }
        }
        if kind == TableKind::Messages {
            let directions = table.bytes(C::Direction);
            for row in table.rows() {
                let known = Direction::from_byte(directions[row]);
                self.directions[known.map_or(0, |known| known as usize)] += 1;
            }
        }
    }

    fn add(&mut self, part: &Self) {
        self.record_count += part.record_count;
        self.bytes += part.bytes;
        self.damage_count += part.damage_count;
        self.first_us = self.first_us.min(part.first_us);
        self.last_us = self.last_us.max(part.last_us);
        self.kinds.iter_mut().zip(part.kinds).for_each(|(all, one)| *all += one);
        self.directions.iter_mut().zip(part.directions).for_each(|(all, one)| *all += one);
        self.sizes.resize(self.sizes.len().max(part.sizes.len()), 0);
        self.sizes.iter_mut().zip(&part.sizes).for_each(|(all, one)| *all += one);
        for (all, one) in [(&mut self.users, &part.users), (&mut self.rooms, &part.rooms)] {
            all.resize(all.len().max(one.len()), false);
            all.iter_mut().zip(one).for_each(|(all, one)| *all |= one);
        }
    }

    fn measures(&self, segment_count: u64) -> Vec<(String, Cell)> {
        let time =
            |ts_us| if self.first_us > self.last_us { Cell::None } else { Cell::Time(ts_us) };
        // Number 0 is the absence of a name.
        let met = |names: &[bool]| names.iter().skip(1).filter(|met| **met).count() as u64;
        let mut measures = vec![
            ("segments".to_owned(), Cell::Count(segment_count)),
            ("records".to_owned(), Cell::Count(self.record_count)),
            ("bytes".to_owned(), Cell::Count(self.bytes)),
            ("first".to_owned(), time(self.first_us)),
            ("last".to_owned(), time(self.last_us)),
            ("users".to_owned(), Cell::Count(met(&self.users))),
            ("rooms".to_owned(), Cell::Count(met(&self.rooms))),
        ];
        for (name, share) in [("text p50", 0.5), ("text p95", 0.95), ("text max", 1.0)] {
            let size = quantile(&self.sizes, share).map_or(Cell::None, Cell::Count);
            measures.push((name.to_owned(), size));
        }
        for direction in Direction::ALL {
            let count = self.directions[*direction as usize];
            measures.push((format!("messages {}", direction.name()), Cell::Count(count)));
        }
        for kind in Kind::ALL {
            let versions = Kind::ALL.iter().filter(|one| one.reported() == *kind);
            let count: u64 = versions.map(|one| self.kinds[usize::from(one.tag())]).sum();
            if count > 0 {
                measures.push((format!("kind {}", kind.name()), Cell::Count(count)));
            }
        }
        if self.kinds[0] > 0 {
            measures.push(("kind unknown".to_owned(), Cell::Count(self.kinds[0])));
        }
        measures
    }
}

/// The smallest size that `share` of all texts do not exceed: exact.
fn quantile(sizes: &[u64], share: f64) -> Option<u64> {
    let all: u64 = sizes.iter().sum();
    let rank = ((all as f64 * share).ceil() as u64).clamp(1, all.max(1));
    let mut below = 0;
    let found = sizes.iter().position(|count| {
        below += count;
        below >= rank
    });
    found.map(|size| size as u64)
}

fn mark(met: &mut Vec<bool>, number: u32) {
    let index = number as usize;
    if met.len() <= index {
        met.resize(index + 1, false);
    }
    met[index] = true;
}

const _: () = {
    // `kinds` is indexed by tag: tags are dense from 1.
    let mut index = 0;
    while index < Kind::ALL.len() {
        assert!(Kind::ALL[index].tag() as usize == index + 1);
        index += 1;
    }
};

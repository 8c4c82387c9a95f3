//! `summary`: how much of what, by whom, when.

use super::render::{Cell, Column};
use super::{Found, Job, Report, ScanError};
use crate::base::hash::Set;
use crate::log::record::Direction;
use crate::log::{Entry, Kind, NameId};

pub(super) const REPORT: Report = Report {
    name: "summary",
    about: "Counts records, messages, users and rooms",
    filtered: true,
    options: |command| command,
    run,
};

const COLUMNS: &[Column] =
    &[Column { name: "measure", width: 18 }, Column { name: "value", width: 0 }];

/// Counts over the wanted records.
#[derive(Default)]
struct Counts {
    record_count: u64,
    bytes: u64,
    /// By tag; index 0 counts types of a later version.
    kind_counts: [u64; Kind::ALL.len() + 1],
    /// By byte; index 0 counts directions of a later version.
    direction_counts: [u64; Direction::ALL.len() + 1],
    times: Option<(i64, i64)>,
    users: Names,
    rooms: Names,
}

/// Distinct names, though each segment numbers its own.
#[derive(Default)]
struct Names {
    texts: Set<String>,
    /// Numbers of the segment at hand that were looked up. A bounded list: a damaged file may hold
    /// any number.
    seen: Vec<bool>,
    segment: u32,
}

const SEEN_MAX: usize = 1 << 22;

fn run(job: &mut Job<'_>) -> Result<Found, ScanError> {
    let mut counts = Counts::default();
    for entry in job.filter.entries(&job.log) {
        counts.add(&entry);
    }
    let segment_count = job.log.segments().len() as u64;
    let problem_count = job.log.problems().iter().filter(|p| p.what.is_loss()).count();
    let corrupt_count: usize =
        job.log.segments().iter().map(|segment| segment.scan().corrupt.len()).sum();
    if problem_count + corrupt_count > 0 {
        writeln!(job.words, "warning: parts of the log are damaged; see `ringpost-scan verify`")?;
    }
    let mut rows = job.rows(COLUMNS)?;
    for (measure, value) in counts.measures(segment_count) {
        rows.row(&[Cell::Text(measure), value])?;
    }
    rows.end()?;
    Ok(if counts.record_count > 0 { Found::Something } else { Found::Nothing })
}

impl Counts {
    fn add(&mut self, entry: &Entry<'_>) {
        self.record_count += 1;
        self.bytes += entry.record.header.stride() as u64;
        let kind = entry.kind();
        self.kind_counts[kind.map_or(0, |kind| usize::from(kind.tag()))] += 1;
        if kind == Some(Kind::Message) {
            let direction = entry.record.direction();
            self.direction_counts[direction.map_or(0, |direction| direction as usize)] += 1;
        }
        if let Some(ts_us) = entry.ts_us() {
            let (first, last) = self.times.unwrap_or((ts_us, ts_us));
            self.times = Some((first.min(ts_us), last.max(ts_us)));
        }
        let segment = entry.position.segment;
        self.users.add(entry.record.header.user, segment, || entry.user());
        self.rooms.add(entry.record.header.room, segment, || entry.room());
    }

    fn measures(&self, segment_count: u64) -> Vec<(String, Cell)> {
        let time = |pick: fn((i64, i64)) -> i64| {
            self.times.map_or(Cell::None, |times| Cell::Time(pick(times)))
        };
        let mut measures = vec![
            ("segments".to_owned(), Cell::Count(segment_count)),
            ("records".to_owned(), Cell::Count(self.record_count)),
            ("bytes".to_owned(), Cell::Count(self.bytes)),
            ("first".to_owned(), time(|(first, _)| first)),
            ("last".to_owned(), time(|(_, last)| last)),
            ("users".to_owned(), Cell::Count(self.users.texts.len() as u64)),
            ("rooms".to_owned(), Cell::Count(self.rooms.texts.len() as u64)),
        ];
        for direction in Direction::ALL {
            let count = self.direction_counts[*direction as usize];
            measures.push((format!("messages {}", direction.name()), Cell::Count(count)));
        }
        for kind in Kind::ALL {
            let count = self.kind_counts[usize::from(kind.tag())];
            if count > 0 {
                measures.push((format!("kind {}", kind.name()), Cell::Count(count)));
            }
        }
        if self.kind_counts[0] > 0 {
            measures.push(("kind unknown".to_owned(), Cell::Count(self.kind_counts[0])));
        }
        measures
    }
}

impl Names {
    fn add<'a>(&mut self, id: NameId, segment: u32, text: impl FnOnce() -> &'a str) {
        if self.segment != segment {
            self.segment = segment;
            self.seen.clear();
        }
        let index = id.0 as usize;
        if id == NameId::NONE || self.seen.get(index) == Some(&true) {
            return;
        }
        if index < SEEN_MAX {
            if self.seen.len() <= index {
                self.seen.resize(index + 1, false);
            }
            self.seen[index] = true;
        }
        let text = text();
        if !self.texts.contains(text) {
            self.texts.insert(text.to_owned());
        }
    }
}

const _: () = {
    // `kind_counts` is indexed by tag: tags are dense from 1.
    let mut index = 0;
    while index < Kind::ALL.len() {
        assert!(Kind::ALL[index].tag() as usize == index + 1);
        index += 1;
    }
};

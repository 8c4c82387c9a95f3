//! `verify`: reads every byte, checks every checksum, chain, sequence and archive.

use super::render::{Cell, Column, Rows};
use super::{Found, Job, Report, ScanError};
use crate::log::RecordView;
use crate::log::catalog::{Catalog, SegmentInfo, SidecarState};
use crate::log::reader::{Problem, walk};
use crate::log::recovery::{Ending, Region};
use std::io;

pub(super) const REPORT: Report = Report {
    name: "verify",
    about: "Checks every record and says where the log is damaged",
    filtered: false,
    options: |command| command,
    run,
};

const COLUMNS: &[Column] = &[
    Column { name: "file", width: 24 },
    Column { name: "finding", width: 12 },
    Column { name: "begin", width: 9 },
    Column { name: "end", width: 9 },
    Column { name: "records", width: 9 },
    Column { name: "batches", width: 8 },
    Column { name: "first_seq", width: 9 },
    Column { name: "detail", width: 0 },
];

#[derive(Default)]
struct Totals {
    segment_count: u64,
    record_count: u64,
    torn_count: u64,
    damage_count: u64,
}

fn run(job: &mut Job<'_>) -> Result<Found, ScanError> {
    let mut totals = Totals::default();
    let mut rows = Rows::begin(job.out, job.format, job.look, COLUMNS)?;
    let catalog = job.scan.catalog();
    for info in catalog.segments() {
        segment(info, &mut rows, &mut totals)?;
    }
    for problem in catalog.problems() {
        let loss = problem.what.is_loss();
        totals.damage_count += u64::from(loss);
        let name = problem.path.file_name().unwrap_or_default().to_string_lossy();
        let mut cells = row(&name, if loss { "unreadable" } else { "unborn" }, None);
        cells[7] = Cell::Text(problem.to_string());
        rows.row(&cells)?;
    }
    let note_count = sidecars(catalog, &mut rows)?;
    rows.end()?;
    if note_count > 0 {
        writeln!(job.words, "sidecars that do not count: {note_count}; rows answer instead")?;
    }
    writeln!(
        job.words,
        "segments: {}, records: {}, torn tails: {}, damaged: {}",
        totals.segment_count, totals.record_count, totals.torn_count, totals.damage_count
    )?;
    Ok(match (totals.damage_count, totals.segment_count) {
        (0, 0) => Found::Nothing,
        (0, _) => Found::Something,
        _ => Found::Damage,
    })
}

/// A record whose bytes are what was written, and yet no archive of its type.
struct BadArchive {
    seq: u64,
    place: Region,
}

/// One row for the segment, and one for each thing that is wrong with it. A segment is read in one
/// pass that keeps nothing, so that a log of any size needs the memory of some batches.
fn segment(info: &SegmentInfo, rows: &mut Rows<'_>, totals: &mut Totals) -> io::Result<()> {
    let name = info.path.file_name().unwrap_or_default().to_string_lossy();
    let mut bad = Vec::new();
    let walked = walk(&info.path, |seq, begin, record| {
        let is_bad = |kind| RecordView::check(kind, record.payload).is_none();
        if seq < info.until_seq && record.kind().is_some_and(is_bad) {
            let place = Region { begin, end: begin + record.header.stride() as u32 };
            bad.push(BadArchive { seq, place });
        }
    });
    let mut scan = match walked {
        Ok(scan) => scan,
        Err(what) => {
            totals.damage_count += u64::from(what.is_loss());
            let mut cells = row(&name, "unreadable", None);
            cells[7] = Cell::Text(Problem { path: info.path.clone(), what }.to_string());
            return rows.row(&cells);
        }
    };
    let end_seq = scan.next_seq;
    scan.supersede(info.until_seq);
    let finding = match scan.ending {
        Ending::Sealed => "sealed",
        Ending::Open | Ending::Torn(_) => "open",
    };
    let mut cells = row(&name, finding, Some(Region { begin: 0, end: scan.end }));
    cells[4] = Cell::Count(scan.record_count);
    cells[5] = Cell::Count(scan.batches.len() as u64);
    cells[6] = Cell::Id(scan.header.base_seq);
    rows.row(&cells)?;
    totals.segment_count += 1;
    totals.record_count += scan.record_count;
    if scan.superseded_count > 0 {
        let mut cells = row(&name, "superseded", None);
        cells[4] = Cell::Count(scan.superseded_count);
        cells[7] = "a write or sync failed; the next segment has these records".into();
        rows.row(&cells)?;
    }
    for region in &scan.corrupt {
        totals.damage_count += 1;
        let mut cells = row(&name, "corrupt", Some(*region));
        cells[7] = "these bytes were durable once and are not what was written".into();
        rows.row(&cells)?;
    }
    missing(info, end_seq, &name, rows, totals)?;
    for fault in info.faults() {
        totals.damage_count += 1;
        let mut cells = row(&name, "damaged", None);
        cells[7] = Cell::Text(fault.to_string());
        rows.row(&cells)?;
    }
    if let Ending::Torn(region) = scan.ending {
        totals.torn_count += 1;
        let mut cells = row(&name, "torn tail", Some(region));
        cells[7] = "never synced as a whole; nothing of it was acknowledged".into();
        rows.row(&cells)?;
    }
    for BadArchive { seq, place } in bad {
        totals.damage_count += 1;
        let mut cells = row(&name, "bad archive", Some(place));
        cells[6] = Cell::Id(seq);
        cells[7] = "the checksum is right, the record is none: another program wrote it".into();
        rows.row(&cells)?;
    }
    Ok(())
}

/// Zeros are the end of what was written, unless the next file says that more was.
fn missing(
    info: &SegmentInfo,
    end_seq: u64,
    name: &str,
    rows: &mut Rows<'_>,
    totals: &mut Totals,
) -> io::Result<()> {
    if !info.has_successor || end_seq >= info.until_seq {
        return Ok(());
    }
    totals.damage_count += 1;
    let mut cells = row(name, "missing", None);
    cells[4] = Cell::Count(info.until_seq - end_seq);
    cells[6] = Cell::Id(end_seq);
    cells[7] = "the next file follows these records, and they are not here".into();
    rows.row(&cells)
}

/// A row for each sidecar that is no use. It is no damage: everything in it is made of the segment.
fn sidecars(catalog: &Catalog, rows: &mut Rows<'_>) -> io::Result<u64> {
    let mut note_count = 0;
    for segment in catalog.segments() {
        let (finding, detail) = match segment.check_sidecar() {
            SidecarState::Fits | SidecarState::Missing => continue,
            SidecarState::Stale => ("stale", "made of other bytes than the segment has now"),
            SidecarState::Damaged => ("unusable", "a checksum is wrong"),
        };
        note_count += 1;
        let path = segment.sidecar_path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut cells = row(&name, finding, None);
        cells[7] = detail.into();
        rows.row(&cells)?;
    }
    Ok(note_count)
}

fn row(name: &str, finding: &str, region: Option<Region>) -> [Cell; 8] {
    let mut cells = [const { Cell::None }; 8];
    cells[0] = name.into();
    cells[1] = finding.into();
    if let Some(region) = region {
        cells[2] = Cell::Id(u64::from(region.begin));
        cells[3] = Cell::Id(u64::from(region.end));
    }
    cells
}

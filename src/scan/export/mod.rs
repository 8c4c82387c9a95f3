//! `export`: the records themselves, for other programs.
//!
//! JSON lines and CSV are written here. Parquet and Arrow IPC need the feature `export`: their
//! crates take longer to compile than all of ringpost. One pass over the log; memory is bounded by
//! the largest group of rows.

mod fields;
mod lines;
mod row;

#[cfg(feature = "export")]
mod arrow;

#[cfg(feature = "export")]
mod parquet;

#[cfg(test)]
mod tests;

use super::engine::Scan;
use super::filter::Filter;
use super::select::touches;
use super::{Found, Job, Report, ScanError};
use crate::log::Trust;
use crate::log::catalog::{Catalog, SegmentInfo};
use crate::log::reader::Segment;
use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, value_parser};
use fields::{TABLES, Table};
use row::Row;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

pub(super) const REPORT: Report = Report {
    name: "export",
    about: "Writes the records as JSON lines, CSV, Parquet or Arrow",
    filtered: true,
    options,
    run,
};

/// Rows on their way to a file.
const FILE_BUFFER_BYTES: usize = 256 * 1_024;

/// Somewhere that rows go.
trait Sink {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()>;

    /// Writes what is still held back, and what a file has at its end.
    fn end(self: Box<Self>) -> io::Result<()>;
}

/// What rows are written as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Target {
    Jsonl,
    Csv,
    Parquet,
    Arrow,
}

impl Target {
    const ALL: [Self; 4] = [Self::Jsonl, Self::Csv, Self::Parquet, Self::Arrow];

    const fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
        }
    }

    fn is_binary(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }
}

fn options(command: Command) -> Command {
    command
        .arg(
            Arg::new("to")
                .long("to")
                .value_name("FORMAT")
                .value_parser(PossibleValuesParser::new(Target::ALL.map(Target::name)))
                .default_value("jsonl")
                .help("What rows are written as"),
        )
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Where they are written; stdout if absent"),
        )
        .arg(
            Arg::new("table")
                .long("table")
                .value_name("TABLE")
                .value_parser(PossibleValuesParser::new(TABLES.iter().map(|table| table.name)))
                .default_value("all")
                .help("Which records, and their columns"),
        )
}

fn run(job: &mut Job<'_>) -> Result<Found, ScanError> {
    let text = |name: &str| job.matches.get_one::<String>(name).expect("has a default").as_str();
    let is_target = |target: &Target| target.name() == text("to");
    let target = Target::ALL.into_iter().find(is_target).expect("a possible value");
    let is_table = |table: &&Table| table.name == text("table");
    let table = TABLES.iter().find(is_table).expect("a possible value");
    let written = match job.matches.get_one::<PathBuf>("out") {
        None if target.is_binary() => {
            let why = format!("--to {} needs --out FILE", target.name());
            return Err(ScanError::Argument(why));
        }
        None => {
            let sink = line_sink(target, table, &mut *job.out)?;
            write(&job.scan, &job.filter, table, sink)?
        }
        Some(path) => {
            let named = NamedFile::create(path).map_err(|error| cannot(path, &error))?;
            let sink = file_sink(target, table, named.file.try_clone()?)?;
            let written = write(&job.scan, &job.filter, table, sink)?;
            named.finish().map_err(|error| cannot(path, &error))?;
            written
        }
    };
    let Written { row_count, damaged_count } = written;
    if damaged_count > 0 {
        writeln!(job.words, "warning: parts of the log are damaged; see `ringpost-scan verify`")?;
    }
    writeln!(job.words, "exported {row_count} records")?;
    Ok(if row_count > 0 { Found::Something } else { Found::Nothing })
}

fn cannot(path: &Path, error: &io::Error) -> ScanError {
    ScanError::Argument(format!("cannot write {}: {error}", path.display()))
}

/// What came of an export.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Written {
    row_count: u64,
    /// Files that cannot be read, and places in files that are damaged.
    damaged_count: usize,
}

/// Every wanted record of `table` into `sink`. One segment is open at a time.
fn write(
    scan: &Scan<'_>,
    filter: &Filter,
    table: &Table,
    mut sink: Box<dyn Sink + '_>,
) -> io::Result<Written> {
    let catalog = scan.catalog();
    let lost = catalog.problems().iter().filter(|problem| problem.what.is_loss());
    let mut damaged_count = lost.count();
    let (mut row_count, mut done_bytes) = (0, 0);
    for info in catalog.segments() {
        done_bytes += info.size_bytes;
        if wants_any(catalog, info, filter) {
            let Ok(segment) = Segment::open_alone(&info.path, Trust::Validate) else {
                damaged_count += 1;
                continue;
            };
            damaged_count += segment.scan().corrupt.len();
            let entries = segment.entries().near(filter.since_us, filter.until_us);
            for entry in entries.take_while(|entry| entry.seq < info.until_seq) {
                if table.holds(entry.kind()) && filter.wants(&entry) {
                    sink.row(&Row::of(&entry))?;
                    row_count += 1;
                }
            }
        }
        scan.tell(done_bytes);
    }
    sink.end()?;
    Ok(Written { row_count, damaged_count })
}

/// `false` when the sidecar says that no record of the segment lies in the filter's time. A segment
/// without one is read.
fn wants_any(catalog: &Catalog, info: &SegmentInfo, filter: &Filter) -> bool {
    let view = catalog.view(info);
    !filter.is_timed() || !view.has_sidecar() || touches(&view, filter)
}

/// Rows as text.
fn line_sink<'a, W: Write + 'a>(
    target: Target,
    table: &'static Table,
    out: W,
) -> io::Result<Box<dyn Sink + 'a>> {
    Ok(match target {
        Target::Csv => Box::new(lines::Csv::begin(out, table)?),
        _ => Box::new(lines::Jsonl::begin(out, table)),
    })
}

/// Rows as what a file can be.
fn file_sink(
    target: Target,
    table: &'static Table,
    file: File,
) -> Result<Box<dyn Sink>, ScanError> {
    match target {
        Target::Jsonl | Target::Csv => {
            Ok(line_sink(target, table, BufWriter::with_capacity(FILE_BUFFER_BYTES, file))?)
        }
        #[cfg(feature = "export")]
        Target::Parquet => Ok(Box::new(parquet::ParquetFile::begin(file, table)?)),
        #[cfg(feature = "export")]
        Target::Arrow => Ok(Box::new(arrow::ArrowFile::begin(file, table)?)),
        #[cfg(not(feature = "export"))]
        Target::Parquet | Target::Arrow => Err(not_built_in()),
    }
}

/// What is said of Parquet and Arrow by a program that was built without them.
#[cfg(any(test, not(feature = "export")))]
fn not_built_in() -> ScanError {
    let why = "this ringpost-scan writes jsonl and csv only; for parquet and arrow build it with \
        `cargo build --release --features export --bin ringpost-scan`";
    ScanError::Argument(why.to_owned())
}

/// A file that has its name only once it is whole. Pipes and devices are written in place.
struct NamedFile {
    file: File,
    /// Where it is until then, and its name.
    names: Option<(PathBuf, PathBuf)>,
}

impl NamedFile {
    fn create(path: &Path) -> io::Result<Self> {
        if path.metadata().is_ok_and(|found| !found.is_file()) {
            let file = File::options().write(true).open(path)?;
            return Ok(Self { file, names: None });
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let file = File::create(&part)?;
        Ok(Self { file, names: Some((part.into(), path.to_path_buf())) })
    }

    fn finish(mut self) -> io::Result<()> {
        match self.names.take() {
            Some((part, path)) => std::fs::rename(part, path),
            None => Ok(()),
        }
    }
}

impl Drop for NamedFile {
    /// What was not finished is half a file: nobody should take it for one.
    fn drop(&mut self) {
        if let Some((part, _)) = &self.names {
            let _ = std::fs::remove_file(part);
        }
    }
}

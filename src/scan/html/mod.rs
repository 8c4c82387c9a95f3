//! `report`: one page for people who do not use a terminal.
//!
//! The page is a single file without scripts or links: it opens anywhere, prints, and can be sent
//! by mail. Everything a stranger wrote is escaped for HTML.

mod charts;
mod days;
mod gather;
mod page;
mod sections;
mod window;

#[cfg(test)]
mod tests;

use super::render::Format;
use super::{Found, Job, Report, ScanError};
use clap::{Arg, Command, value_parser};
use std::io;
use std::path::{Path, PathBuf};

pub(super) const REPORT: Report = Report {
    name: "report",
    about: "Writes everything worth knowing as one HTML page",
    filtered: true,
    options,
    run,
};

fn options(command: Command) -> Command {
    command
        .arg(
            Arg::new("html")
                .long("html")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("Where to write the page; - for the standard output"),
        )
        .arg(
            Arg::new("title")
                .long("title")
                .value_name("TEXT")
                .default_value("Messaging report")
                .help("Headline of the page"),
        )
        .arg(
            Arg::new("days")
                .long("days")
                .value_name("N")
                .value_parser(value_parser!(u16).range(1..=3_660))
                .default_value("30")
                .help("How many days, without --since"),
        )
}

fn run(job: &mut Job<'_>) -> Result<Found, ScanError> {
    if job.format != Format::Table {
        return Err(ScanError::Argument("report has no --format: it is a page".to_owned()));
    }
    let title = job.matches.get_one::<String>("title").expect("has a default");
    let days = *job.matches.get_one::<u16>("days").expect("has a default");
    let numbers = gather::gather(job, i32::from(days));
    // A page all the same: where one is made each night, yesterday's must not pass for today's.
    let (page, found) = match numbers {
        Some(numbers) => (page::page(&numbers, title, job), Found::Something),
        None => (page::empty(title, job), Found::Nothing),
    };
    let path = job.matches.get_one::<PathBuf>("html").expect("is required");
    if path.as_os_str() == "-" {
        job.out.write_all(page.as_bytes())?;
        return Ok(found);
    }
    write(path, &page).map_err(|error| {
        ScanError::Argument(format!("cannot write {}: {error}", path.display()))
    })?;
    writeln!(job.words, "wrote {} ({} KiB)", path.display(), page.len().div_ceil(1_024))?;
    Ok(found)
}

/// Beside its place first, so that whoever looks sees the old page or the new one.
fn write(path: &Path, page: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    std::fs::write(&part, page)?;
    std::fs::rename(&part, path).inspect_err(|_| {
        let _ = std::fs::remove_file(&part);
    })
}

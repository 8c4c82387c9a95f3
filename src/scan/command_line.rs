//! The command line, made from the list of reports. Options may stand before or after the verb.

use super::REPORTS;
use super::render::Format;
use crate::log::Kind;
use crate::log::record::Source;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::ffi::OsString;
use std::path::PathBuf;

pub(super) fn parse(arguments: &[OsString]) -> Result<ArgMatches, clap::Error> {
    let program = std::iter::once(OsString::from("ringpost-scan"));
    command().try_get_matches_from(program.chain(arguments.iter().cloned()))
}

pub(super) fn format(matches: &ArgMatches) -> Format {
    let name = matches.get_one::<String>("format").expect("has a default");
    Format::ALL.into_iter().find(|format| format.name() == name).expect("a possible value")
}

/// One thread per core: a part is all computing, once the segment is in memory.
pub(super) fn thread_count(matches: &ArgMatches) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    matches.get_one::<u16>("threads").map_or_else(cores, |count| usize::from(*count))
}

pub(super) fn command() -> Command {
    let mut command = Command::new("ringpost-scan")
        .about("Asks the log of a ringpost server, running or not")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand_value_name("REPORT")
        .subcommand_help_heading("Reports")
        .disable_help_subcommand(true)
        .args(options())
        .after_help("Exit status: 0 found, 1 nothing found, 2 error or damage.");
    for report in REPORTS {
        let verb = (report.options)(Command::new(report.name).about(report.about));
        let verb = if report.filtered { verb } else { without_filters(verb) };
        command = command.subcommand(verb);
    }
    command.subcommand(super::erase::command())
}

/// Above the filters in the help, and above what all reports have beside them.
const FILTERS: &str = "Filters";
const COMMON: &str = "Common options";

/// A verb for which filters mean nothing does not speak of them; they are refused when given.
pub(super) fn without_filters(command: Command) -> Command {
    let filters = options().into_iter().filter(|arg| arg.get_help_heading() == Some(FILTERS));
    let given: Vec<_> = command.get_arguments().map(|arg| arg.get_id().clone()).collect();
    command.args(filters.filter(|arg| !given.contains(arg.get_id())).map(|arg| arg.hide(true)))
}

fn options() -> Vec<Arg> {
    let kinds = PossibleValuesParser::new(Kind::ALL.iter().map(|kind| kind.name()));
    let sources = PossibleValuesParser::new(Source::ALL.iter().map(|source| source.name()));
    let formats = PossibleValuesParser::new(Format::ALL.map(Format::name));
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        let filter = ["since", "until", "room", "user", "kind", "source", "where"].contains(&name);
        let heading = if filter { FILTERS } else { COMMON };
        let arg = Arg::new(name).long(name).value_name(value).help(help);
        arg.global(true).help_heading(heading)
    };
    vec![
        text("data", "DIR", "Data directory of the server, or a copy")
            .value_parser(value_parser!(PathBuf))
            .default_value("./ringpost-data"),
        text("since", "TIME", "From then on: 2026-01-31, 2026-01-31T12:00Z, or 90s 15m 2h 7d ago"),
        text("until", "TIME", "Before then"),
        text("room", "ROOM", "Only this room"),
        text("user", "USER", "Only this user"),
        text("kind", "KIND", "Only these kinds of record")
            .value_parser(kinds)
            .value_delimiter(',')
            .action(ArgAction::Append),
        text("source", "SOURCE", "Only messages from these sources")
            .value_parser(sources)
            .value_delimiter(',')
            .action(ArgAction::Append),
        text(
            "where",
            "CONDITION",
            "Only records that meet it: 'size > 100 and text ~ \"[Ii]nvoice\"'",
        ),
        text("tz", "ZONE", "Time zone of days, hours and --since: UTC, local, Europe/Berlin")
            .default_value("UTC"),
        text("threads", "N", "Segments read at a time [default: one per core]")
            .value_parser(value_parser!(u16).range(1..=256)),
        text("format", "FORMAT", "How rows are written")
            .value_parser(formats)
            .default_value("table"),
    ]
}

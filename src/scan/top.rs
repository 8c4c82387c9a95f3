//! `top`: the users, rooms, commands or words with the most messages, calls or uses.

use super::engine::View;
use super::render::{Cell, Column};
use super::{Found, Job, Report, ScanError, kernels};
use crate::base::hash::Map;
use crate::log::record::Outcome;
use crate::log::sidecar::{Column as C, NameSet, TableKind};
use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, value_parser};

pub(super) const REPORT: Report = Report {
    name: "top",
    about: "Lists the busiest users, rooms or commands, or the words used most",
    filtered: true,
    options,
    run,
};

const WHAT: [&str; 4] = ["users", "rooms", "commands", "words"];

/// Letters of the shortest word that is counted.
const WORD_CHARS_MIN: usize = 3;
/// Letters of the longest one; longer runs are codes and links.
const WORD_CHARS_MAX: usize = 40;
/// Words that are kept; beyond, those met once so far are forgotten.
const WORDS_KEPT_MAX: usize = 1 << 20;

const MESSAGES: &[Column] = &[
    Column { name: "rank", width: 4 },
    Column { name: "name", width: 24 },
    Column { name: "messages", width: 8 },
    Column { name: "share", width: 6 },
    Column { name: "", width: 24 },
];

const WORDS: &[Column] = &[
    Column { name: "rank", width: 4 },
    Column { name: "word", width: 24 },
    Column { name: "uses", width: 8 },
    Column { name: "", width: 24 },
];

const CALLS: &[Column] = &[
    Column { name: "rank", width: 4 },
    Column { name: "command", width: 24 },
    Column { name: "calls", width: 8 },
    Column { name: "share", width: 6 },
    Column { name: "answered", width: 8 },
    Column { name: "longest", width: 8 },
];

fn options(command: Command) -> Command {
    command
        .arg(
            Arg::new("what")
                .value_name("WHAT")
                .value_parser(PossibleValuesParser::new(WHAT))
                .default_value(WHAT[0])
                .help("What to list"),
        )
        .arg(
            Arg::new("number")
                .short('n')
                .long("number")
                .value_name("N")
                .value_parser(value_parser!(u32))
                .default_value("10")
                .help("How many"),
        )
}

fn run(job: &mut Job<'_>) -> Result<Found, ScanError> {
    let what = job.matches.get_one::<String>("what").expect("has a default").as_str();
    let number = *job.matches.get_one::<u32>("number").expect("has a default") as usize;
    match what {
        "users" => messages(job, NameSet::Users, number),
        "rooms" => messages(job, NameSet::Rooms, number),
        "words" => words(job, number),
        _ => commands(job, number),
    }
}

/// Wanted messages by number of a name; 0 counts those without one.
pub(super) fn count_messages(job: &Job<'_>, set: NameSet) -> Vec<u64> {
    let whole = job.filter.is_whole(TableKind::Messages);
    let mut counts: Vec<u64> = Vec::new();
    job.scan.run(
        &job.filter,
        |view| {
            let numbers = view.numbers(set);
            let codes = if whole {
                view.segment().ask(|sidecar| {
                    let rollup = sidecar.rollup()?;
                    let counts = match set {
                        NameSet::Users => &rollup.user_messages,
                        _ => &rollup.room_messages,
                    };
                    Ok(counts.iter().map(|count| count.to_native()).collect())
                })
            } else {
                kernels::per_code(&view.table(TableKind::Messages), set, numbers.len())
            };
            let met = numbers.iter().copied().zip(codes).filter(|(_, count)| *count > 0);
            met.collect::<Vec<_>>()
        },
        |part| {
            for (number, count) in part {
                let index = number as usize;
                if counts.len() <= index {
                    counts.resize((index + 1).next_power_of_two(), 0);
                }
                counts[index] += u64::from(count);
            }
        },
    );
    counts
}

fn messages(job: &mut Job<'_>, set: NameSet, number: usize) -> Result<Found, ScanError> {
    let counts = count_messages(job, set);
    let all: u64 = counts.iter().sum();
    let named = counts.iter().enumerate().skip(1).filter(|(_, count)| **count > 0);
    let listed: Vec<(String, u64)> = {
        let names = job.scan.names(set);
        let named = named.map(|(index, count)| (*count, index as u32));
        let best = best(named.collect(), number, |index| names.text(index));
        best.into_iter().map(|(count, index)| (names.text(index).to_owned(), count)).collect()
    };
    let most = listed.first().map_or(0, |(_, count)| *count);
    let mut rows = job.rows(MESSAGES)?;
    for (rank, (name, count)) in (1..).zip(&listed) {
        rows.row(&[
            Cell::Id(rank),
            Cell::Text(name.clone()),
            Cell::Count(*count),
            Cell::share(*count, all),
            Cell::Bar(*count as f64 / most as f64),
        ])?;
    }
    rows.end()?;
    Ok(if listed.is_empty() { Found::Nothing } else { Found::Something })
}

/// The `number` largest counts; equal ones by name.
fn best<'a>(
    mut counts: Vec<(u64, u32)>,
    number: usize,
    text: impl Fn(u32) -> &'a str,
) -> Vec<(u64, u32)> {
    if counts.len() > number && number > 0 {
        // Everything that ties with the last place stays until names decide.
        let mut sizes: Vec<u64> = counts.iter().map(|(count, _)| *count).collect();
        let (_, least, _) = sizes.select_nth_unstable_by(number - 1, |a, b| b.cmp(a));
        let least = *least;
        counts.retain(|(count, _)| *count >= least);
    }
    counts.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| text(a.1).cmp(text(b.1))));
    counts.truncate(number);
    counts
}

/// What is counted of a command.
#[derive(Clone, Copy, Default)]
struct Calls {
    count: u64,
    ok_count: u64,
    longest_us: u64,
}

fn commands(job: &mut Job<'_>, number: usize) -> Result<Found, ScanError> {
    let mut calls: Vec<Calls> = Vec::new();
    job.scan.run(
        &job.filter,
        |view| {
            let table = view.table(TableKind::Commands);
            if table.len() == 0 {
                return Vec::new();
            }
            let codes = table.codes(NameSet::Commands);
            let (outcomes, spans) = (table.bytes(C::Outcome), table.u32s(C::Duration));
            let numbers = view.numbers(NameSet::Commands);
            let mut part = vec![(0, Calls::default()); numbers.len()];
            for row in table.rows() {
                let code = codes.at(row);
                let (number, one) = &mut part[code];
                *number = numbers[code];
                one.count += 1;
                one.ok_count += u64::from(outcomes[row] == Outcome::Ok as u8);
                one.longest_us = one.longest_us.max(spans[row].to_native().into());
            }
            part
        },
        |part| {
            for (number, one) in part {
                let index = number as usize;
                if calls.len() <= index {
                    calls.resize(index + 1, Calls::default());
                }
                let all = &mut calls[index];
                all.count += one.count;
                all.ok_count += one.ok_count;
                all.longest_us = all.longest_us.max(one.longest_us);
            }
        },
    );
    let all: u64 = calls.iter().map(|one| one.count).sum();
    let listed: Vec<(String, Calls)> = {
        let names = job.scan.names(NameSet::Commands);
        let met = calls.iter().enumerate().filter(|(_, one)| one.count > 0);
        let counts = met.map(|(index, one)| (one.count, index as u32)).collect();
        let best = best(counts, number, |index| names.text(index));
        let named = |index: u32| (names.text(index).to_owned(), calls[index as usize]);
        best.into_iter().map(|(_, index)| named(index)).collect()
    };
    let mut rows = job.rows(CALLS)?;
    for (rank, (name, one)) in (1..).zip(&listed) {
        rows.row(&[
            Cell::Id(rank),
            Cell::Text(name.clone()),
            Cell::Count(one.count),
            Cell::share(one.count, all),
            Cell::share(one.ok_count, one.count),
            Cell::Span(one.longest_us),
        ])?;
    }
    rows.end()?;
    Ok(if listed.is_empty() { Found::Nothing } else { Found::Something })
}

fn words(job: &mut Job<'_>, number: usize) -> Result<Found, ScanError> {
    let mut counts: Map<Box<str>, u64> = Map::default();
    let mut forgets = false;
    job.scan.run(&job.filter, words_of, |part| {
        for (word, count) in part {
            *counts.entry(word).or_default() += count;
        }
        if counts.len() > WORDS_KEPT_MAX {
            counts.retain(|_, count| *count > 1);
            forgets = true;
        }
    });
    if forgets {
        writeln!(
            job.words,
            "note: rare words were forgotten on the way; their counts are too low"
        )?;
    }
    let mut listed: Vec<_> = counts.into_iter().collect();
    listed.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    listed.truncate(number);
    let most = listed.first().map_or(0, |(_, count)| *count);
    let mut rows = job.rows(WORDS)?;
    for (rank, (word, count)) in (1..).zip(&listed) {
        rows.row(&[
            Cell::Id(rank),
            Cell::Text(word.to_string()),
            Cell::Count(*count),
            Cell::Bar(*count as f64 / most as f64),
        ])?;
    }
    rows.end()?;
    Ok(if listed.is_empty() { Found::Nothing } else { Found::Something })
}

/// Runs of letters and digits with a letter in them, in lower case, each as often as it is used.
fn words_of(view: &View<'_>) -> Map<Box<str>, u64> {
    let table = view.table(TableKind::Messages);
    let mut counts: Map<Box<str>, u64> = Map::default();
    if table.len() == 0 {
        return counts;
    }
    let offs = table.offs();
    for row in table.rows() {
        let text = view.text(offs[row].to_native());
        for word in text.split(|c: char| !c.is_alphanumeric()) {
            let len = word.chars().take(WORD_CHARS_MAX + 1).count();
            let counted = (WORD_CHARS_MIN..=WORD_CHARS_MAX).contains(&len);
            if !counted || !word.chars().any(char::is_alphabetic) {
                continue;
            }
            let is_lower = !word.chars().any(char::is_uppercase);
            match counts.get_mut(word).filter(|_| is_lower) {
                Some(count) => *count += 1,
                None => *counts.entry(word.to_lowercase().into()).or_default() += 1,
            }
        }
    }
    counts
}

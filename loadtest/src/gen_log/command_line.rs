//! The command line of `gen-log`: one table of options.

use super::rhythm::parse_date;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::path::PathBuf;

/// A log as it was asked for.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// The data directory to make.
    pub data: PathBuf,
    /// Message records.
    pub messages: u64,
    /// Users of the server.
    pub users: usize,
    /// Rooms between them.
    pub rooms: usize,
    /// Conversations with customers on WhatsApp.
    pub customers: usize,
    /// How long it takes, in simulated days.
    pub days: u32,
    /// Midnight of the first day, microseconds since 1970.
    pub begin_us: i64,
    /// Decides everything.
    pub seed: u64,
    /// Of the segments.
    pub segment_mib: usize,
    /// Producers; a room stays with one.
    pub shards: u16,
    /// Starts of the server, of which each has names of its own.
    pub starts: u32,
    /// Of a thousand messages, so many belong to WhatsApp conversations.
    pub whatsapp: u32,
    /// Commands for a thousand messages.
    pub commands: u32,
    /// Edits for a thousand messages.
    pub edits: u32,
    /// Deletions for a thousand messages.
    pub deletes: u32,
    /// Read marks for a thousand messages.
    pub marks: u32,
    /// Of a thousand outbound messages, so many fail.
    pub failures: u32,
    /// Whether outbound messages get delivery statuses.
    pub statuses: bool,
    /// Whether sessions, members, topics and statuses of users are written.
    pub presence: bool,
    /// Seconds between metric records; 0: none.
    pub metrics_s: u32,
    /// The clock goes back now and then.
    pub clock_jumps: bool,
    /// Users and rooms whose names break naive programs.
    pub odd_names: bool,
    /// Now and then a record claims to be from decades ahead.
    pub future: bool,
}

/// One number: name, default, least, most, help.
type Row = (&'static str, &'static str, u64, u64, &'static str);

const NUMBERS: [Row; 16] = [
    ("messages", "1M", 0, 10_000_000_000, "Messages; 10k and 5M are understood"),
    ("users", "2k", 1, 2_000_000, "Users"),
    ("rooms", "200", 1, 1_000_000, "Rooms between users"),
    ("customers", "1k", 0, 1_000_000, "Conversations on WhatsApp"),
    ("days", "30", 1, 36_500, "Simulated days"),
    ("seed", "42", 0, u64::MAX, "Decides everything"),
    ("segment-mib", "64", 1, 1_024, "Size of a segment"),
    ("shards", "1", 1, 64, "Producers; more than one: order varies"),
    ("starts", "1", 1, 1_000, "Starts of the server within the days"),
    ("whatsapp", "250", 0, 1_000, "Of 1000 messages, how many are WhatsApp's"),
    ("commands", "20", 0, 1_000, "Commands for 1000 messages"),
    ("edits", "12", 0, 1_000, "Edits for 1000 messages"),
    ("deletes", "4", 0, 1_000, "Deletions for 1000 messages"),
    ("marks", "80", 0, 1_000, "Read marks for 1000 messages"),
    ("failures", "30", 0, 1_000, "Of 1000 outbound messages, how many fail"),
    ("metrics", "0", 0, 86_400, "Seconds between metric records; 0 none"),
];

const SWITCHES: [(&str, &str); 6] = [
    ("no-statuses", "No delivery statuses"),
    ("no-presence", "No sessions, members, topics and user statuses"),
    ("plain", "Messages only"),
    ("clock-jumps", "The clock goes back now and then"),
    ("odd-names", "Names that break naive programs"),
    ("future", "Now and then a record from decades ahead"),
];

fn command() -> Command {
    let numbers = NUMBERS.iter().map(|&(name, default, _, _, help)| {
        Arg::new(name).long(name).value_name("N").default_value(default).help(help)
    });
    let switches = SWITCHES
        .iter()
        .map(|&(name, help)| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help));
    let data = Arg::new("data").long("data").value_name("DIR").required(true);
    let begin = Arg::new("begin").long("begin").value_name("DATE").default_value("2026-01-05");
    Command::new("ringpost-load gen-log")
        .about("Writes a realistic log of any size through the server's own writer")
        .arg(data.help("Data directory to make; must hold no log"))
        .args(numbers)
        .arg(begin.help("First day, UTC"))
        .args(switches)
        .after_help("The same options make the same records, apart from names and batches.")
}

/// Reads the command line behind `gen-log`.
///
/// # Errors
/// clap's words, which include those for `--help`.
pub fn parse<I>(arguments: I) -> Result<Options, clap::Error>
where
    I: IntoIterator<Item = String>,
{
    let mut command = command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    options(&matches).map_err(|what| command.error(clap::error::ErrorKind::ValueValidation, what))
}

fn options(matches: &ArgMatches) -> Result<Options, String> {
    let number = |name: &str| {
        let row = NUMBERS.iter().find(|row| row.0 == name).expect("it is in the table");
        let text = matches.get_one::<String>(name).expect("has a default");
        match parse_number(text) {
            Some(value) if (row.2..=row.3).contains(&value) => Ok(value),
            _ => Err(format!("--{name} {text}: wants a number from {} to {}", row.2, row.3)),
        }
    };
    let flag = |name: &str| matches.get_flag(name);
    let plain = flag("plain");
    let share = |name: &str| Ok::<_, String>(if plain { 0 } else { number(name)? as u32 });
    let customers = number("customers")? as usize;
    Ok(Options {
        data: PathBuf::from(matches.get_one::<String>("data").expect("required")),
        messages: number("messages")?,
        users: number("users")? as usize,
        rooms: number("rooms")? as usize,
        customers,
        days: number("days")? as u32,
        begin_us: parse_date(matches.get_one::<String>("begin").expect("has a default"))?,
        seed: number("seed")?,
        segment_mib: number("segment-mib")? as usize,
        shards: number("shards")? as u16,
        starts: number("starts")? as u32,
        whatsapp: if customers == 0 { 0 } else { number("whatsapp")? as u32 },
        commands: share("commands")?,
        edits: share("edits")?,
        deletes: share("deletes")?,
        marks: share("marks")?,
        failures: number("failures")? as u32,
        statuses: !plain && !flag("no-statuses"),
        presence: !plain && !flag("no-presence"),
        metrics_s: share("metrics")?,
        clock_jumps: flag("clock-jumps"),
        odd_names: flag("odd-names"),
        future: flag("future"),
    })
}

/// `5`, `10k`, `5M`.
fn parse_number(text: &str) -> Option<u64> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1_000),
        b'M' => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_bounded_and_said_so() {
        check("--data d --messages 5M --users 1k", "5000000 messages of 1000 users, 250 whatsapp");
        check("--data d --customers 0 --plain", "1000000 messages of 2000 users, 0 whatsapp");
        check("--messages 5", "error: the following required arguments");
        check("--data d --messages x", "error: --messages x: wants a number from 0 to 10000000000");
        check("--data d --users 0", "error: --users 0: wants a number from 1 to 2000000");
        check("--data d --marks 1001", "error: --marks 1001: wants a number from 0 to 1000");
        check("--data d --seed 99999999999999999999", "error: --seed 99999999999999999999: wants");
        check("--data d --begin 2026", "error: --begin 2026: write a date like 2026-03-01");
    }

    #[track_caller]
    fn check(line: &str, want: &str) {
        let words = std::iter::once("gen-log").chain(line.split_whitespace()).map(String::from);
        let got = match parse(words) {
            Ok(Options { messages, users, whatsapp, .. }) => {
                format!("{messages} messages of {users} users, {whatsapp} whatsapp")
            }
            Err(error) => error.to_string(),
        };
        assert!(got.starts_with(want), "{line}: {got}");
    }

    #[test]
    fn help_lines_fit_a_terminal() {
        assert!(NUMBERS.iter().all(|row| row.4.len() <= 60));
        command().debug_assert();
    }
}

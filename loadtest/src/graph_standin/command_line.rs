//! The command line of `graph-standin`: one table of options.

use clap::{Arg, ArgAction, ArgMatches, Command};

/// A stand-in as it was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address and port.
    pub listen: String,
    /// Where webhooks go; nowhere unless given.
    pub webhook: Option<String>,
    /// Signs them.
    pub secret: String,
    /// The only token that is good; any unless given.
    pub token: Option<String>,
    /// Messages a second of one number; 0: no limit of any kind.
    pub rate: u64,
    /// How long an answer takes: least and most, ms.
    pub latency_ms: (u64, u64),
    /// Of a hundred delivered messages, so many are read.
    pub read: u64,
    /// Of a thousand messages, so many meet an error that passes.
    pub fail: u64,
    /// Of a thousand messages, so many are taken and the answer is lost.
    pub lose: u64,
    /// Whether the 24-hour window is kept: customers must have said something here.
    pub window: bool,
    /// Statuses come in disorder and now and then twice.
    pub disorder: bool,
    /// Decides what chance decides.
    pub seed: u64,
}

type Row = (&'static str, &'static str, Option<&'static str>, &'static str);

const ROWS: [Row; 9] = [
    ("listen", "ADDR", Some("127.0.0.1:8090"), "Address and port; port 0 takes a free one"),
    ("webhook", "URL", None, "Where statuses go: http://127.0.0.1:8080/webhook/whatsapp"),
    ("secret", "TEXT", Some("secret"), "Signs webhooks (whatsapp.app_secret)"),
    ("token", "TEXT", None, "The only good access token; any is good unless given"),
    ("rate", "N", Some("80"), "Messages a second of one number; 0 lifts all limits"),
    ("latency", "MS-MS", Some("50-250"), "How long an answer takes"),
    ("read", "PERCENT", Some("70"), "Delivered messages that are read"),
    ("fail", "PER MILLE", Some("0"), "Messages that meet an error that passes (131000)"),
    ("lose", "PER MILLE", Some("0"), "Messages that are taken while the answer is lost"),
];

const AFTER: &str = "\
Recipients whose numbers end so:
  0001  131047, silent for 24 hours      0004  131000, an error that passes
  0002  130429, too many of this number  0005  131056, too many to this recipient
  0003  190, the token has expired       0006  taken, and fails later with 131026
                                         0007  taken, and the answer is lost
Besides /{version}/{number}/messages and media, /{version}/{media}:
  POST /standin/say   {\"number\":…,\"from\":…,\"text\":…}: a customer writes; a webhook tells
  GET /standin/sent   the bodies that were taken, newest last
  GET /standin/counts how many of what";

fn command() -> Command {
    let rows = ROWS.iter().map(|&(name, value, preset, help)| {
        let arg = Arg::new(name).long(name).value_name(value).help(help);
        match preset {
            Some(preset) => arg.default_value(preset),
            None => arg,
        }
    });
    let seed = Arg::new("seed").long("seed").value_name("N").default_value("42");
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    Command::new("ringpost-load graph-standin")
        .about("Plays WhatsApp's Graph API, for development and tests without an account at Meta")
        .args(rows)
        .arg(seed.help("Decides what chance decides"))
        .arg(flag("window").help("Keep the 24-hour window: customers write with /standin/say"))
        .arg(flag("disorder").help("Statuses in disorder, and now and then twice"))
        .after_help(AFTER)
}

/// Reads the arguments behind `graph-standin`.
pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Options, clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let latency = text("latency").expect("has a default");
    let bounds = latency.split_once('-').unwrap_or((&latency, &latency));
    let bound = |text: &str| text.trim().parse().ok().filter(|ms: &u64| *ms <= 600_000);
    let latency_ms = match (bound(bounds.0), bound(bounds.1)) {
        (Some(least), Some(most)) if least <= most => (least, most),
        _ => return Err(wrong(format!("--latency {latency}: wants milliseconds like 50-250"))),
    };
    Ok(Options {
        listen: text("listen").expect("has a default"),
        webhook: text("webhook"),
        secret: text("secret")
            .filter(|secret| !secret.is_empty())
            .ok_or_else(|| wrong("--secret: an empty one would be known to all".to_owned()))?,
        token: text("token"),
        rate: number(&matches, "rate", 1_000_000)?,
        latency_ms,
        read: number(&matches, "read", 100)?,
        fail: number(&matches, "fail", 1_000)?,
        lose: number(&matches, "lose", 1_000)?,
        window: matches.get_flag("window"),
        disorder: matches.get_flag("disorder"),
        seed: number(&matches, "seed", u64::MAX)?,
    })
}

fn number(matches: &ArgMatches, name: &str, most: u64) -> Result<u64, clap::Error> {
    let text = matches.get_one::<String>(name).expect("has a default");
    let number = text.parse().ok().filter(|number| *number <= most);
    number.ok_or_else(|| wrong(format!("--{name} {text}: wants a number up to {most}")))
}

fn wrong(sentence: String) -> clap::Error {
    command().error(clap::error::ErrorKind::InvalidValue, sentence)
}

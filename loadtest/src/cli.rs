//! The command line: one table of options, before or after the name of the scenario.

use crate::dialects::{DIALECTS, Entry};
use crate::driver::{Client, Failure};
use crate::latency::Expectation;
use crate::scenarios::{SCENARIOS, Scenario, Settings};
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::path::PathBuf;
use std::time::Duration;

/// One target of a comparison.
#[derive(Clone)]
pub struct Contestant {
    /// As the report calls it.
    pub name: String,
    /// The same for all but for where, whose CPU and which dialect.
    pub options: Options,
}

/// What was asked for.
pub enum Asked {
    /// One run.
    Run(Box<Options>),
    /// Several targets in so many turns.
    Compare(Vec<Contestant>, usize),
}

/// A run as it was asked for.
#[derive(Clone)]
pub struct Options {
    /// What to do.
    pub scenario: &'static Scenario,
    /// Its numbers.
    pub settings: Settings,
    /// Where.
    pub target: String,
    /// How long to measure.
    pub duration: Duration,
    /// How long to run before.
    pub warmup: Duration,
    /// Driving threads; may be lowered to what the scenario can use.
    pub threads: usize,
    /// Where to pin them, in turn; empty: nowhere.
    pub cpus: Vec<usize>,
    /// Which client.
    pub client: Client,
    /// Whose CPU and memory to read.
    pub server_pid: Option<u32>,
    /// Bounds to keep.
    pub expectations: Vec<Expectation>,
    /// Where to write the percentile table.
    pub hgrm: Option<PathBuf>,
    /// Where to write the page.
    pub html: Option<PathBuf>,
    /// Whether to report as JSON.
    pub json: bool,
}

/// One option that takes a value: name, name of the value, default, help.
type Row = (&'static str, &'static str, Option<&'static str>, &'static str);

const ROWS: &[Row] = &[
    (
        "target",
        "URL",
        Some("ws://127.0.0.1:8080"),
        "Server; compare: NAME=URL[,pid=PID][,dialect=WHICH], once for each",
    ),
    ("duration", "S", Some("10"), "Seconds to measure"),
    ("warmup", "S", Some("1"), "Seconds to run before measuring"),
    ("rate", "N", None, "Messages a second: echo in all, others per room; 0 closed loop"),
    ("size", "BYTES", Some("64"), "Payload of a message"),
    ("connections", "N", Some("100"), "echo, durable, connect, webhook: connections"),
    ("pipeline", "K", Some("1"), "echo: messages in flight per connection, closed loop"),
    ("opcode", "KIND", Some("text"), "echo, raw rooms: text or binary messages"),
    ("rooms", "R", Some("10"), "room, paced, chat: rooms"),
    ("members", "M", Some("10"), "Members per room; each is a connection"),
    ("in-flight", "K", Some("1"), "Messages in flight per room, closed loop"),
    ("steps", "LIST", Some("1000,5000,15000"), "idle: connections at which memory is read"),
    ("slow", "PERCENT", Some("10"), "slow: members that stop reading, at least one"),
    ("every", "S", Some("3"), "resume: from one storm to the next"),
    ("batch", "N", Some("1"), "webhook: messages or statuses per body"),
    ("statuses", "PERCENT", Some("30"), "webhook: bodies that tell statuses"),
    ("secret", "TEXT", Some("secret"), "webhook: signs the bodies (whatsapp.app_secret)"),
    ("dialect", "WHICH", Some("raw"), "room, paced: how the server speaks of rooms"),
    ("app", "KEY:SECRET", Some("app-key:app-secret"), "dialect pusher: the application"),
    ("threads", "N", Some("1"), "Driving threads; a room stays on one"),
    ("cpus", "LIST", None, "CPUs to pin the threads to, like 1,2 or 0-3"),
    ("client", "WHICH", Some("thin"), "thin, or tungstenite as an independent check"),
    ("server-pid", "PID", None, "Read the server's CPU and memory from /proc"),
    ("expect", "BOUND", None, "Fail unless kept, like p99<5ms or ack.max<0.1s"),
    ("hgrm", "FILE", None, "Write percentile tables; those after the first add their names"),
    ("html", "FILE", None, "Write the report as one page with plots"),
    ("turns", "N", Some("5"), "compare: turns of each target"),
    ("seed", "N", Some("42"), "Decides phases and contents"),
    ("tag", "TEXT", None, "chat: begins all message ids; from the clock unless given"),
];

fn command() -> Command {
    let names = SCENARIOS.iter().map(|s| PossibleValue::new(s.name).help(s.summary));
    let scenario = Arg::new("scenario")
        .required(true)
        .value_name("SCENARIO")
        .value_parser(PossibleValuesParser::new(names));
    let rows = ROWS.iter().map(|&(name, value, default, help)| {
        let arg = Arg::new(name).long(name).value_name(value).help(help);
        let arg =
            if matches!(name, "expect" | "target") { arg.action(ArgAction::Append) } else { arg };
        let arg = match name {
            "duration" | "warmup" | "rate" | "every" => arg.value_parser(value_parser!(f64)),
            "seed" => arg.value_parser(value_parser!(u64)),
            "server-pid" => arg.value_parser(value_parser!(u32)),
            "dialect" => arg.value_parser(PossibleValuesParser::new(
                DIALECTS.iter().map(|d| PossibleValue::new(d.name).help(d.summary)),
            )),
            "client" => arg.value_parser(["thin", "tungstenite"]),
            "opcode" => arg.value_parser(["text", "binary"]),
            "target" | "cpus" | "expect" | "hgrm" | "html" | "tag" | "app" | "steps" | "secret" => {
                arg
            }
            _ => arg.value_parser(value_parser!(u64).range(..10_000_000)),
        };
        match default {
            Some(default) => arg.default_value(default),
            None => arg,
        }
    });
    let rounds = Arg::new("rounds").long("rounds").action(ArgAction::SetTrue);
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue);
    Command::new("ringpost-load")
        .about("Loads a WebSocket server, checks every reply, prints honest latencies")
        .version(env!("CARGO_PKG_VERSION"))
        .arg(scenario)
        .args(rows)
        .arg(rounds.help("room: --in-flight messages leave together, the next when all arrived"))
        .arg(json.help("Print one JSON object instead of the report"))
        .after_help(
            "`ringpost-load compare SCENARIO --target A=URL --target B=URL`: targets in turn, \
             ratios with spread; figures with pid= are per server CPU\n\
             `ringpost-load gen-log --help`: a realistic log, written without a server\n\n\
             Exit codes: 0 all as promised, 1 a delivery or a bound failed, 2 could not run",
        )
}

/// Reads the command line; `tag` names this run where none is given.
///
/// # Errors
/// clap's words, which include those for `--help` and `--version`.
pub fn parse<I>(arguments: I, tag: &str) -> Result<Asked, clap::Error>
where
    I: IntoIterator<Item = String>,
{
    let mut arguments: Vec<String> = arguments.into_iter().collect();
    let comparing = arguments.get(1).is_some_and(|word| word == "compare");
    if comparing {
        arguments.remove(1);
    }
    let mut command = command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    asked(&matches, tag, comparing)
        .map_err(|what| command.error(clap::error::ErrorKind::ValueValidation, what))
}

fn asked(matches: &ArgMatches, tag: &str, comparing: bool) -> Result<Asked, String> {
    let targets: Vec<&String> = matches.get_many("target").into_iter().flatten().collect();
    if !comparing {
        if targets.len() > 1 {
            return Err("several targets: write `ringpost-load compare` and the scenario".into());
        }
        return Ok(Asked::Run(Box::new(options(matches, tag, targets[0].clone(), None)?)));
    }
    let turns = *matches.get_one::<u64>("turns").expect("has a default") as usize;
    if turns == 0 {
        return Err("--turns must be at least 1".into());
    }
    let contestants = targets.into_iter().map(|target| contestant(matches, tag, target));
    let contestants: Vec<Contestant> = contestants.collect::<Result<_, _>>()?;
    let again = |(index, one): (usize, &Contestant)| {
        contestants[..index].iter().any(|other| other.name == one.name)
    };
    match contestants.iter().enumerate().any(again) {
        true => Err("--target: two have the same name".into()),
        false => Ok(Asked::Compare(contestants, turns)),
    }
}

/// Reads `NAME=URL[,pid=PID][,dialect=WHICH]`.
fn contestant(matches: &ArgMatches, tag: &str, target: &str) -> Result<Contestant, String> {
    let wrong = || format!("--target {target}: write it like ours=ws://127.0.0.1:8080,pid=123");
    let (name, rest) = target.split_once('=').ok_or_else(wrong)?;
    let mut parts = rest.split(',');
    let url = parts.next().filter(|url| !url.is_empty() && !name.is_empty()).ok_or_else(wrong)?;
    let (mut server_pid, mut dialect) = (None, None);
    for part in parts {
        match part.split_once('=').ok_or_else(wrong)? {
            ("pid", pid) => server_pid = Some(pid.parse().map_err(|_| wrong())?),
            ("dialect", name) => {
                let known = DIALECTS.iter().find(|dialect| dialect.name == name);
                dialect = Some(known.ok_or_else(wrong)?);
            }
            _ => return Err(wrong()),
        }
    }
    let mut options = options(matches, tag, url.to_owned(), dialect)?;
    options.server_pid = server_pid.or(options.server_pid);
    Ok(Contestant { name: name.to_owned(), options })
}

fn seconds(matches: &ArgMatches, name: &str) -> Result<Duration, String> {
    let seconds = *matches.get_one::<f64>(name).expect("has a default");
    let known = Duration::try_from_secs_f64(seconds);
    known.map_err(|_| format!("--{name} {seconds}: must be a number of seconds"))
}

fn settings(
    matches: &ArgMatches,
    tag: &str,
    scenario: &Scenario,
    dialect: Option<&'static Entry>,
) -> Result<Settings, String> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let count = |name: &str| *matches.get_one::<u64>(name).expect("has a default") as usize;
    let own_dialect = matches.get_one::<String>("dialect").map(String::as_str);
    let settings = Settings {
        connections: count("connections"),
        rooms: count("rooms"),
        members: count("members"),
        size: count("size"),
        rate: matches.get_one("rate").copied().unwrap_or(scenario.rate_default),
        pipeline: count("pipeline"),
        in_flight: count("in-flight"),
        rounds: matches.get_flag("rounds"),
        dialect: dialect
            .or_else(|| DIALECTS.iter().find(|dialect| Some(dialect.name) == own_dialect))
            .expect("clap checked the name"),
        app: text("app").expect("has a default"),
        binary: text("opcode").is_some_and(|kind| kind == "binary"),
        steps: steps(&text("steps").expect("has a default"))?,
        slow_percent: count("slow"),
        every: seconds(matches, "every")?,
        batch: count("batch"),
        status_percent: count("statuses"),
        secret: text("secret").expect("has a default"),
        // The run fills in what differs between the targets of a comparison.
        target: String::new(),
        server_pid: None,
        seed: *matches.get_one("seed").expect("has a default"),
        tag: text("tag").unwrap_or_else(|| tag.to_string()),
    };
    crate::scenarios::check(&settings).map_err(|Failure { what, .. }| what)?;
    if scenario.name == "slow" && settings.members < 2 {
        return Err("slow needs at least 2 --members: one reads".into());
    }
    if scenario.name == "resume" && settings.rate == 0.0 {
        return Err("resume needs a --rate: messages that come while nobody is there".into());
    }
    if !settings.tag.bytes().all(|byte| byte.is_ascii_alphanumeric()) || settings.tag.len() > 32 {
        return Err("--tag must be up to 32 letters and digits".into());
    }
    Ok(settings)
}

fn options(
    matches: &ArgMatches,
    tag: &str,
    target: String,
    dialect: Option<&'static Entry>,
) -> Result<Options, String> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let name = text("scenario").expect("required");
    let scenario = SCENARIOS.iter().find(|s| s.name == name).expect("clap checked the name");
    let settings = settings(matches, tag, scenario, dialect)?;
    let threads = *matches.get_one::<u64>("threads").expect("has a default") as usize;
    if threads == 0 {
        return Err("--threads must be at least 1".into());
    }
    let duration = seconds(matches, "duration")?;
    if duration.is_zero() {
        return Err("--duration must be more than 0".into());
    }
    let bounds = matches.get_many::<String>("expect").into_iter().flatten();
    Ok(Options {
        scenario,
        threads: threads.min((scenario.threads_max)(&settings)),
        settings,
        target,
        duration,
        warmup: seconds(matches, "warmup")?,
        cpus: text("cpus").map_or(Ok(Vec::new()), |list| cpus(&list))?,
        client: match text("client").as_deref() {
            Some("tungstenite") => Client::Tungstenite,
            _ => Client::Thin,
        },
        server_pid: matches.get_one("server-pid").copied(),
        expectations: bounds.map(|bound| Expectation::parse(bound)).collect::<Result<_, _>>()?,
        hgrm: text("hgrm").map(PathBuf::from),
        html: text("html").map(PathBuf::from),
        json: matches.get_flag("json"),
    })
}

/// Reads rising numbers like `1000,5000`.
fn steps(list: &str) -> Result<Vec<usize>, String> {
    const STEP_MAX: usize = 1_000_000;
    let wrong = || format!("--steps {list}: write rising numbers like 1000,5000");
    let steps = list.split(',').map(|step| step.trim().parse().map_err(|_| wrong()));
    let steps: Vec<usize> = steps.collect::<Result<_, _>>()?;
    let rising = steps[0] > 0 && steps.is_sorted_by(|a, b| a < b);
    if rising && steps.iter().all(|step| *step <= STEP_MAX) { Ok(steps) } else { Err(wrong()) }
}

/// Reads a list like `1,4-6`.
fn cpus(list: &str) -> Result<Vec<usize>, String> {
    const CPU_MAX: usize = 1_023;
    let wrong = || format!("--cpus {list}: write it like 1,4-6");
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().map_err(|_| wrong())?;
        let last: usize = last.trim().parse().map_err(|_| wrong())?;
        if first > last || last > CPU_MAX {
            return Err(wrong());
        }
        cpus.extend(first..=last);
    }
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_before_or_after_the_scenario() {
        check("echo --rate 5 --connections 7", "echo rate 5 connections 7 threads 1");
        check("--rate 5 --connections 7 echo", "echo rate 5 connections 7 threads 1");
        check("--threads 4 echo --connections 2", "echo rate 0 connections 2 threads 2");
        check("chat --threads 4 --rooms 3", "chat rate 10 connections 100 threads 3");
        check("dance", "error: invalid value 'dance' for '<SCENARIO>'");
        check("echo --rate x", "error: invalid value 'x' for '--rate <N>'");
        check("echo --size 7", "error: --size must be at least 8");
        check("echo --expect p99", "error: cannot read \"p99\"");
        check("echo --duration 0", "error: --duration must be more than 0");
        check("echo --warmup -1", "error: ");
        check("echo --cpus 3-1", "error: --cpus 3-1: write it like 1,4-6");
        check("idle --steps 5,3", "error: --steps 5,3: write rising numbers");
        check("idle --steps 0", "error: --steps 0: write rising numbers");
        check("slow --slow 101", "error: --slow and --statuses are percent");
        check("resume --every 0", "error: --every must be more than 0");
        check("slow --members 1", "error: slow needs at least 2 --members");
        check("resume --rate 0", "error: resume needs a --rate");
        check("webhook --batch 0", "error: --batch must be at least 1");
        check("chat --tag a-b", "error: --tag must be");
        check("echo --target a --target b", "error: several targets");
        check("room --members 1 --dialect pusher", "error: --members must be at least 2");
    }

    #[test]
    fn targets_of_a_comparison() {
        check(
            "compare room --turns 3 --target a=ws://x,pid=7,dialect=nats --target b=y",
            "3 a ws://x 7 nats b y 0 raw",
        );
        check("compare room --target a=x --target a=y", "error: --target: two have the same name");
        check("compare room --target x", "error: --target x: write it like ours=");
        check("compare room --target a=x,pid=z", "error: --target a=x,pid=z: write it like");
        check("compare room --target a=x,dialect=z", "error: --target a=x,dialect=z: write it");
        check("compare room --target a=x --turns 0", "error: --turns must be at least 1");
    }

    #[track_caller]
    fn check(line: &str, want: &str) {
        let words = std::iter::once("ringpost-load").chain(line.split_whitespace());
        let got = match parse(words.map(String::from), "tag") {
            Ok(Asked::Compare(contestants, turns)) => {
                let shown = contestants.iter().map(|Contestant { name, options }| {
                    let (target, pid) = (&options.target, options.server_pid.unwrap_or(0));
                    format!(" {name} {target} {pid} {}", options.settings.dialect.name)
                });
                format!("{turns}{}", shown.collect::<String>())
            }
            Ok(Asked::Run(options)) => {
                let Settings { rate, connections, .. } = options.settings;
                let (name, threads) = (options.scenario.name, options.threads);
                format!("{name} rate {rate} connections {connections} threads {threads}")
            }
            Err(error) => error.to_string(),
        };
        assert!(got.starts_with(want), "{line}: {got}");
    }

    #[test]
    fn lists_of_cpus() {
        assert_eq!(cpus("1,4-6"), Ok(vec![1, 4, 5, 6]));
        assert!(cpus("").is_err() && cpus("1-").is_err() && cpus("0-9999").is_err());
    }

    #[test]
    fn help_lines_fit_a_terminal() {
        for (name, _, _, help) in ROWS {
            assert!(help.len() <= 68, "{name}");
        }
        command().debug_assert();
    }
}

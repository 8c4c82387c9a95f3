//! The command line of `ringpost command`.

use crate::base::role::Role;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::path::PathBuf;

/// What is wanted, and of which server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteOptions {
    /// `http://` or `https://`, host and port.
    pub url: String,
    /// Of the API; none for a server in development mode.
    pub key: Option<String>,
    /// JSON instead of words.
    pub json: bool,
    /// What.
    pub verb: RemoteVerb,
}

/// The verbs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RemoteVerb {
    /// Puts a command.
    Add {
        /// Its key: `weather`, `hi@general`.
        key: String,
        /// What it is.
        local: LocalCommand,
        /// Only say whether it could be put.
        dry_run: bool,
    },
    /// All there are.
    List,
    /// One, whole.
    Show {
        /// Which.
        key: String,
    },
    /// Switches one off, and says why.
    Disable {
        /// Which.
        key: String,
        /// For whoever calls it.
        why: String,
    },
    /// Switches one on.
    Enable {
        /// Which.
        key: String,
    },
    /// Removes one.
    Rm {
        /// Which.
        key: String,
    },
    /// Runs one in a room, as the API.
    Run {
        /// Where.
        room: String,
        /// As whom; empty: as the API itself.
        user: String,
        /// The line, with or without its slash.
        line: String,
    },
    /// Shows commands to the contacts of a number.
    Publish {
        /// `phone_number_id`.
        number: String,
        /// Which; empty: all that they may use.
        names: Vec<String>,
        /// Only say what they would see.
        dry_run: bool,
    },
    /// Tries one on this machine, without a server.
    Test(TrialOptions),
    /// Past calls, from the log on this machine, by the scanner.
    Scan {
        /// The scanner's arguments.
        args: Vec<String>,
    },
}

/// A command in files and words on this machine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LocalCommand {
    /// A manifest, code, or both; `-` is a manifest on standard input.
    pub files: Vec<PathBuf>,
    /// Fields of the manifest that are given as words.
    pub fields: Vec<(&'static str, String)>,
}

/// A command, and how it is tried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrialOptions {
    /// What it is.
    pub local: LocalCommand,
    /// Its name; empty: that of its file.
    pub name: String,
    /// The lines of the calls, in turn; none: it is only read.
    pub calls: Vec<String>,
    /// What is answered to its fetches, in turn: a status and a body.
    pub replies: Vec<String>,
    /// Who calls, unless a line says so.
    pub user: String,
    /// What they are.
    pub role: &'static str,
    /// Where.
    pub room: String,
}

/// Where its key is found: the setting `api.key` of the server.
pub const KEY_ENV: &str = "RINGPOST_API_KEY";

/// Fields of a manifest that may be given as words: flag, field, placeholder, help.
const WORDS: [(&str, &str, &str, &str); 6] = [
    ("template", "template", "TEXT", "It answers with this text: 'Hello $user'"),
    ("alias", "alias", "LINE", "It stands for this line: '/weather Oslo $*'"),
    ("http", "http", "URL", "It is carried out by the program at this address, as for Slack"),
    ("exec", "exec", "PROGRAM", "It is carried out by this program of the server's folder"),
    ("about", "help", "TEXT", "What it is for"),
    ("aliases", "aliases", "NAMES", "Other names, with commas between them"),
];

fn text(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

/// How a command is tried.
fn trial_args() -> [Arg; 6] {
    let lines = |name, value, help| text(name, value, help).action(ArgAction::Append);
    [
        text("name", "NAME", "Its name, unless it is that of the file").default_value(""),
        lines("call", "LINE", "Call it with this line; 'bob: LINE' calls as bob").short('c'),
        lines("reply", "ANSWER", "What its next fetch brings: '200 TEXT'"),
        text("user", "NAME", "Who calls").default_value("ann"),
        text("role", "ROLE", "What they are").default_value("member").value_parser(roles()),
        text("room", "ROOM", "Where").default_value("lobby"),
    ]
}

fn verb(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about)
}

/// The verbs that ask the log.
fn past_verbs() -> [Command; 2] {
    let optional = |help: &'static str| Arg::new("name").value_name("NAME").help(help);
    let data = || {
        text("data", "DIR", "Data directory of the server, or a copy")
            .value_parser(clap::value_parser!(PathBuf))
            .default_value("./ringpost-data")
    };
    [
        verb("log", "Show past calls, from the log on this machine")
            .args([optional("Only of this command"), data()])
            .arg(text("number", "N", "How many").short('n').default_value("20")),
        verb("stats", "Count past calls and how they ended, from the log on this machine")
            .args([optional("Only of this command"), data()]),
    ]
}

/// The subcommand with its verbs.
pub(super) fn command() -> Command {
    let name = || {
        Arg::new("name")
            .value_name("NAME")
            .required(true)
            .help("Its name; NAME@ROOM is known in one room only")
    };
    let files = Arg::new("file")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .num_args(0..)
        .help("A manifest (.json, or - for standard input), code (.rhai, .wasm), or both");
    let tried = files.clone().help("As for `add`, or a program");
    let words = || WORDS.map(|(flag, _, value, help)| text(flag, value, help));
    let dry_run = |help: &'static str| {
        Arg::new("dry-run").long("dry-run").action(ArgAction::SetTrue).help(help)
    };
    Command::new("command")
        .about("Add, change, try and run commands")
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .args([
            text("url", "URL", "The server").default_value("http://127.0.0.1:8080").global(true),
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .global(true)
                .help("JSON, for programs"),
        ])
        .subcommands([
            verb("add", "Add or replace a command")
                .args([name(), files, dry_run("Only say whether it could be put")])
                .args(words()),
            verb("test", "Try a command on this machine, without a server")
                .arg(tried)
                .args(trial_args())
                .args(words()),
            verb("list", "List those that were added"),
            verb("show", "Show a command's manifest").arg(name()),
            verb("disable", "Switch a command off").arg(name()).arg(
                Arg::new("why").value_name("WHY").num_args(0..).help("Told to whoever calls it"),
            ),
            verb("enable", "Switch a command on").arg(name()),
            verb("rm", "Remove a command").arg(name()),
            verb("run", "Run a command in a room")
                .arg(text("room", "ROOM", "Where").required(true))
                .arg(text("user", "NAME", "As this user").default_value(""))
                .arg(Arg::new("line").value_name("LINE").num_args(1..).required(true)),
            verb("publish", "Show commands to the contacts of a WhatsApp number, as its menu")
                .arg(Arg::new("number").value_name("NUMBER").required(true).help("phone_number_id"))
                .arg(
                    Arg::new("names")
                        .value_name("NAME")
                        .num_args(0..)
                        .help("Which; without names all that contacts may use"),
                )
                .arg(dry_run("Only say what they would see")),
        ])
        .subcommands(past_verbs())
        .after_help(
            "RINGPOST_API_KEY holds a key of the API for a server that is not in development \
             mode.\nExit status: 0 done, 1 the server refused it, 2 it cannot be reached, or a \
             file not read.",
        )
}

fn roles() -> Vec<&'static str> {
    Role::ALL.iter().map(|(_, name, _)| *name).collect()
}

fn local(matches: &ArgMatches) -> LocalCommand {
    let words = WORDS.iter();
    LocalCommand {
        files: matches.get_many::<PathBuf>("file").unwrap_or_default().cloned().collect(),
        fields: words
            .filter_map(|(flag, field, ..)| Some((*field, matches.get_one(flag).cloned()?)))
            .collect(),
    }
}

fn trial(matches: &ArgMatches) -> TrialOptions {
    let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let all = |name: &str| matches.get_many(name).unwrap_or_default().cloned().collect();
    let role = text("role");
    TrialOptions {
        local: local(matches),
        name: text("name"),
        calls: all("call"),
        replies: all("reply"),
        user: text("user"),
        role: roles().into_iter().find(|known| *known == role).expect("clap has looked"),
        room: text("room"),
    }
}

/// What the command line says.
pub(super) fn options(matches: &ArgMatches, env: &[(String, String)]) -> RemoteOptions {
    let (name, verb) = matches.subcommand().expect("clap wants a subcommand");
    let text = |name: &str| verb.get_one::<String>(name).cloned().unwrap_or_default();
    let key = || text("name");
    let line = |name: &str| {
        let words = verb.get_many::<String>(name).unwrap_or_default();
        words.map(String::as_str).collect::<Vec<_>>().join(" ")
    };
    let verb = match name {
        "add" => {
            RemoteVerb::Add { key: key(), local: local(verb), dry_run: verb.get_flag("dry-run") }
        }
        "test" => RemoteVerb::Test(trial(verb)),
        "list" => RemoteVerb::List,
        "show" => RemoteVerb::Show { key: key() },
        "disable" => {
            let why = match line("why") {
                why if why.is_empty() => "an operator switched it off".to_owned(),
                why => why,
            };
            RemoteVerb::Disable { key: key(), why }
        }
        "enable" => RemoteVerb::Enable { key: key() },
        "rm" => RemoteVerb::Rm { key: key() },
        "publish" => RemoteVerb::Publish {
            number: text("number"),
            names: verb.get_many("names").unwrap_or_default().cloned().collect(),
            dry_run: verb.get_flag("dry-run"),
        },
        "run" => RemoteVerb::Run { room: text("room"), user: text("user"), line: line("line") },
        other => {
            let data = verb.get_one::<PathBuf>("data").cloned().unwrap_or_default();
            let mut args = vec!["--data".to_owned(), data.to_string_lossy().into_owned()];
            args.extend(["--kind".to_owned(), "command".to_owned()]);
            if let Some(name) = verb.get_one::<String>("name") {
                args.extend(["--where".to_owned(), format!("command = {name:?}")]);
            }
            match other {
                "log" => args.extend(["tail".to_owned(), "-n".to_owned(), text("number")]),
                _ => args.extend(["top".to_owned(), "commands".to_owned()]),
            }
            RemoteVerb::Scan { args }
        }
    };
    let keys = env.iter().find(|(name, _)| name == KEY_ENV).map(|(_, value)| value.as_str());
    // The server takes any of several.
    let key = keys.and_then(|keys| keys.split(',').next()).map(str::trim).map(str::to_owned);
    let url = matches.get_one::<String>("url").cloned().unwrap_or_default();
    RemoteOptions { url, key, json: matches.get_flag("json"), verb }
}

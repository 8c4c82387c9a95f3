//! The command line of `ringpost command`.

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
        /// A manifest, code, or both; `-` is a manifest on standard input.
        files: Vec<PathBuf>,
        /// Fields of the manifest that are given as words.
        fields: Vec<(&'static str, String)>,
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
    /// Past calls, from the log on this machine, by the scanner.
    Scan {
        /// The scanner's arguments.
        args: Vec<String>,
    },
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

/// The subcommand with its verbs.
pub(super) fn command() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let name = || {
        Arg::new("name")
            .value_name("NAME")
            .required(true)
            .help("Its name; NAME@ROOM is known in one room only")
    };
    let optional = |help: &'static str| Arg::new("name").value_name("NAME").help(help);
    let data = || {
        text("data", "DIR", "Data directory of the server, or a copy")
            .value_parser(clap::value_parser!(PathBuf))
            .default_value("./ringpost-data")
    };
    let verb = |name: &'static str, about: &'static str| Command::new(name).about(about);
    let files = Arg::new("file")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .num_args(0..)
        .help("A manifest (.json, or - for standard input), code (.rhai, .wasm), or both");
    let words = WORDS.map(|(flag, _, value, help)| text(flag, value, help));
    let dry_run = Arg::new("dry-run")
        .long("dry-run")
        .action(ArgAction::SetTrue)
        .help("Only say whether it could be put");
    Command::new("command")
        .about("Add, change and run commands of a running server")
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
            verb("add", "Add or replace a command").args([name(), files, dry_run]).args(words),
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
            verb("log", "Show past calls, from the log on this machine")
                .args([optional("Only of this command"), data()])
                .arg(text("number", "N", "How many").short('n').default_value("20")),
            verb("stats", "Count past calls and how they ended, from the log on this machine")
                .args([optional("Only of this command"), data()]),
        ])
        .after_help(
            "RINGPOST_API_KEY holds a key of the API for a server that is not in development \
             mode.\nExit status: 0 done, 1 the server refused it, 2 it cannot be reached, or a \
             file not read.",
        )
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
        "add" => RemoteVerb::Add {
            key: key(),
            files: verb.get_many::<PathBuf>("file").unwrap_or_default().cloned().collect(),
            fields: WORDS
                .iter()
                .filter_map(|(flag, field, ..)| Some((*field, verb.get_one(flag).cloned()?)))
                .collect(),
            dry_run: verb.get_flag("dry-run"),
        },
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

//! The command line, and the one entry: from arguments, environment and files to a [`Command`].

use super::error::{ConfigError, Place};
use super::layers::Layers;
use super::remote::{self, RemoteOptions};
use super::settings::{SETTINGS, Setting};
use super::typed::Config;
use super::value::Kind;
use clap::{Arg, ArgAction, ArgMatches, error::ErrorKind};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Everything from outside that decides what the program does.
pub struct Inputs<'a> {
    /// The command line, program name first.
    pub args: Vec<OsString>,
    /// The environment; only names that begin with `RINGPOST_` are looked at.
    pub env: Vec<(String, String)>,
    /// Reads a whole file.
    pub read: &'a dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Run the server.
    Serve(Box<Config>),
    /// Run the terminal client.
    Chat(ChatOptions),
    /// Check definitions of handlers: files and folders.
    HandlersCheck(Vec<PathBuf>),
    /// Show handlers what happened.
    HandlersTest(HandlersTestOptions),
    /// Change and run commands of a running server.
    Remote(RemoteOptions),
    /// Print `report`: every setting, its value, where it came from.
    ConfigCheck {
        /// The checked configuration, for its warnings.
        config: Box<Config>,
        /// One line per setting; secrets are only counted.
        report: String,
    },
    /// Print this on standard output and exit with 0: help, version, default file, documents.
    Print(String),
}

/// Arguments of the terminal client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChatOptions {
    /// The name to say `hello` with.
    pub user: String,
    /// The room to join.
    pub room: String,
    /// `ws://HOST[:PORT]/PATH`.
    pub url: String,
    /// Instead of a name of one's own choice.
    pub token: Option<String>,
    /// Print events as JSON lines.
    pub json: bool,
}

/// Arguments of a rehearsal. What they mean is looked at where it is made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandlersTestOptions {
    /// The data directory.
    pub data: PathBuf,
    /// A moment, or a span before now.
    pub since: String,
    /// A moment, or a span before now.
    pub until: Option<String>,
    /// Only this handler of the log.
    pub handler: Option<String>,
    /// Files and folders instead of the log's handlers.
    pub files: Vec<PathBuf>,
    /// Only this room.
    pub room: Option<String>,
    /// How many firings are shown; 0: all.
    pub shown_count: usize,
    /// JSON instead of words.
    pub json: bool,
}

/// Reads all inputs. Errors are for standard error, with [`ConfigError::EXIT_CODE`].
pub fn load(inputs: Inputs<'_>) -> Result<Command, ConfigError> {
    let matches = match command_line().try_get_matches_from(&inputs.args) {
        Ok(matches) => matches,
        Err(error)
            if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) =>
        {
            return Ok(Command::Print(error.to_string()));
        }
        Err(error) => return Err(usage_error(&error)),
    };
    match matches.subcommand() {
        None => load_config(&matches, &inputs).map(|(config, _)| Command::Serve(config)),
        Some(("serve", matches)) => {
            load_config(matches, &inputs).map(|(config, _)| Command::Serve(config))
        }
        Some(("chat", matches)) => chat_options(matches, &inputs).map(Command::Chat),
        Some(("config", matches)) => match matches.subcommand() {
            Some(("check", matches)) => load_config(matches, &inputs)
                .map(|(config, report)| Command::ConfigCheck { config, report }),
            Some(("default", _)) => Ok(Command::Print(super::default_file())),
            _ => Ok(Command::Print(super::settings_table())),
        },
        Some(("handlers", matches)) => match matches.subcommand() {
            Some(("check", matches)) => Ok(Command::HandlersCheck(paths(matches, "path"))),
            Some((_, matches)) => Ok(Command::HandlersTest(handlers_test(matches))),
            None => unreachable!("clap wants a subcommand"),
        },
        Some(("command", matches)) => Ok(Command::Remote(remote::options(matches, &inputs.env))),
        Some((other, _)) => unreachable!("clap accepted {other}"),
    }
}

fn usage_error(error: &clap::Error) -> ConfigError {
    let text = error.to_string();
    let text = text.trim_end();
    ConfigError::new(Place::Whole, text.strip_prefix("error: ").unwrap_or(text))
}

fn command_line() -> clap::Command {
    let check = clap::Command::new("check").about("Check the configuration and show what it says");
    let default = clap::Command::new("default").about("Print a configuration file of all defaults");
    let docs = clap::Command::new("docs").about("Print the table of all settings as Markdown");
    with_settings(clap::Command::new("ringpost").bin_name("ringpost"))
        .about("Self-hosted messaging server: WhatsApp and WebSocket rooms")
        .version(env!("CARGO_PKG_VERSION"))
        .after_help("Every setting has a variable and a place in the file: `ringpost config docs`.")
        .max_term_width(79)
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .subcommand(with_settings(
            clap::Command::new("serve").about("Run the server (the default)"),
        ))
        .subcommand(
            clap::Command::new("config")
                .about("Check, print or document the configuration")
                .subcommand_required(true)
                .disable_help_subcommand(true)
                .subcommands([with_settings(check), default, docs]),
        )
        .subcommand(handlers_command())
        .subcommand(remote::command())
        .subcommand(
            clap::Command::new("chat")
                .about("Chat in the terminal")
                .args([
                    Arg::new("user")
                        .long("user")
                        .value_name("NAME")
                        .required(true)
                        .help("Your name"),
                    Arg::new("room")
                        .long("room")
                        .value_name("ROOM")
                        .required(true)
                        .help("The room"),
                    Arg::new("url")
                        .long("url")
                        .value_name("URL")
                        .default_value("ws://127.0.0.1:8080/ws")
                        .help("The server"),
                    Arg::new("json")
                        .long("json")
                        .action(ArgAction::SetTrue)
                        .help("Print events as JSON lines, for programs"),
                ])
                .after_help(
                    "RINGPOST_TOKEN holds the token for a server that is not in development mode.",
                ),
        )
}

fn handlers_command() -> clap::Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let path = || clap::value_parser!(PathBuf);
    let check = clap::Command::new("check")
        .about("Check definitions of handlers and show what is wrong")
        .arg(
            Arg::new("path")
                .value_name("FILE|FOLDER")
                .value_parser(path())
                .required(true)
                .num_args(1..)
                .help("A .json file, or a folder of them"),
        )
        .after_help("Exit status: 0 all are good, 1 one is wrong, 2 one cannot be read.");
    let test = clap::Command::new("test")
        .about("Show handlers what happened, and see what they would have done")
        .args([
            text("data", "DIR", "Data directory of the server, or a copy")
                .value_parser(path())
                .default_value("./ringpost-data"),
            text("since", "TIME", "From then on: 1d, 90m ago, 2026-01-31, 2026-01-31T12:00Z")
                .default_value("1d"),
            text("until", "TIME", "Before then"),
            text("handler", "NAME", "Only this handler of the log").conflicts_with("file"),
            text("file", "FILE", "This file or folder instead of the log's handlers")
                .value_parser(path())
                .action(ArgAction::Append),
            text("room", "ROOM", "Only what happens in this room"),
            text("number", "N", "How many firings are shown; 0: all")
                .short('n')
                .value_parser(clap::value_parser!(usize))
                .default_value("20"),
            text("format", "FORMAT", "How it is written")
                .value_parser(["text", "json"])
                .default_value("text"),
        ])
        .after_help(
            "Nothing is sent or changed. Exit status: 0 something fired, 1 nothing did, 2 error.",
        );
    clap::Command::new("handlers")
        .about("Check and rehearse handlers of events")
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .subcommands([check, test])
}

fn handlers_test(matches: &ArgMatches) -> HandlersTestOptions {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    HandlersTestOptions {
        data: matches.get_one::<PathBuf>("data").cloned().unwrap_or_default(),
        since: text("since").unwrap_or_default(),
        until: text("until"),
        handler: text("handler"),
        files: paths(matches, "file"),
        room: text("room"),
        shown_count: matches.get_one::<usize>("number").copied().unwrap_or_default(),
        json: text("format").is_some_and(|format| format == "json"),
    }
}

fn paths(matches: &ArgMatches, name: &str) -> Vec<PathBuf> {
    matches.get_many::<PathBuf>(name).unwrap_or_default().cloned().collect()
}

/// Adds the flags of the table, `--config` and `--set`.
fn with_settings(command: clap::Command) -> clap::Command {
    let config = Arg::new("config").long("config").value_name("FILE").help("Configuration file");
    let set = Arg::new("set")
        .long("set")
        .value_name("KEY=VALUE")
        .action(ArgAction::Append)
        .help("Set any setting that is no secret; may be repeated");
    let flags = SETTINGS.iter().filter_map(|setting| Some((setting, setting.flag?)));
    let flags = flags.map(|(setting, flag)| {
        let arg = Arg::new(flag)
            .long(flag)
            .value_name(setting.kind.placeholder())
            .help(setting.help.trim_end_matches('.'));
        if setting.kind == Kind::Bool {
            arg.num_args(0..=1).require_equals(true).default_missing_value("true")
        } else {
            arg
        }
    });
    command.arg(config).args(flags).arg(set)
}

fn load_config(
    matches: &ArgMatches,
    inputs: &Inputs<'_>,
) -> Result<(Box<Config>, String), ConfigError> {
    let file = matches.get_one::<String>("config");
    let mut layers = Layers::presets(file.is_some());
    if let Some(path) = file {
        layers.lay_file(path, &read_file(path, inputs)?)?;
    }
    let unknown = layers.lay_env(inputs.env.iter().cloned())?;
    for pair in matches.get_many::<String>("set").unwrap_or_default() {
        lay_pair(&mut layers, pair)?;
    }
    for setting in SETTINGS {
        let Some(flag) = setting.flag else { continue };
        if let Some(text) = matches.get_one::<String>(flag) {
            layers.lay_text(setting, text, Place::Flag(format!("--{flag}")))?;
        }
    }
    let mut config = Config::from_layers(&layers, inputs.read)?;
    let ignored = unknown
        .iter()
        .map(|name| format!("environment variable {name} names no setting and is ignored"));
    config.warnings.extend(ignored);
    Ok((Box::new(config), layers.report()))
}

fn read_file(path: &str, inputs: &Inputs<'_>) -> Result<String, ConfigError> {
    let bytes = (inputs.read)(Path::new(path)).map_err(|error| {
        ConfigError::new(Place::Whole, format!("cannot read {path}: {error}"))
            .with_hint(format!("`ringpost config default > {path}` makes one"))
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        ConfigError::new(Place::File { path: path.to_owned(), line }, "this line is not UTF-8")
    })
}

/// One `--set`. Secrets are refused there: every user of the machine can read a command line.
fn lay_pair(layers: &mut Layers, pair: &str) -> Result<(), ConfigError> {
    let place = Place::Flag("--set".to_owned());
    let Some((key, text)) = pair.split_once('=') else {
        let problem = format!("expected KEY=VALUE, found {pair:?}");
        return Err(ConfigError::new(place, problem));
    };
    let Some(setting) = Setting::find(key) else {
        return Err(ConfigError::unknown_key(place, key));
    };
    if setting.is_secret() {
        let problem = format!("`{key}` is a secret, and command lines can be read by others");
        let hint = format!("set the environment variable {} or use the file", setting.env());
        return Err(ConfigError::new(place, problem).with_hint(hint));
    }
    layers.lay_text(setting, text, place)
}

/// Where the terminal client finds its token: never on the command line, which others can read.
pub const TOKEN_ENV: &str = "RINGPOST_TOKEN";

fn chat_options(matches: &ArgMatches, inputs: &Inputs<'_>) -> Result<ChatOptions, ConfigError> {
    let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let token = inputs.env.iter().find(|(name, _)| name == TOKEN_ENV);
    let options = ChatOptions {
        user: text("user"),
        room: text("room"),
        url: text("url"),
        token: token.map(|(_, value)| value.clone()),
        json: matches.get_flag("json"),
    };
    if !options.url.starts_with("ws://") {
        let problem = format!("expected ws://HOST:PORT/PATH, found {:?}", options.url);
        return Err(ConfigError::new(Place::Flag("--url".to_owned()), problem));
    }
    Ok(options)
}

//! `ringpost command`: commands of a running server, by its HTTP API; and a trial without one.
//!
//! **Never:** a key on the command line, which every user of the machine can read.

mod call;

mod local;

mod trial;

use crate::config::{RemoteOptions as Options, RemoteVerb as Verb};
use call::Server;
use serde_json::{Value, json};
use std::io::{self, Write};

/// Success.
pub const EXIT_DONE: u8 = 0;
/// The server refused it, or there is none of that name.
pub const EXIT_REFUSED: u8 = 1;
/// The server cannot be reached, or a file not read.
pub const EXIT_ERROR: u8 = 2;

/// Does it. Data goes to `out`, words to `words`; gives the exit status.
pub fn run(options: &Options, out: &mut dyn Write, words: &mut dyn Write) -> io::Result<u8> {
    match &options.verb {
        Verb::Scan { args } => return scan(args, words),
        Verb::Test(trial) => return trial::run(trial, options.json, out, words),
        _ => {}
    }
    let server = Server::new(&options.url, options.key.as_deref());
    match act(options, &server) {
        Ok(value) => {
            show(options, &value, out)?;
            Ok(EXIT_DONE)
        }
        Err(failure) => failure.tell(words),
    }
}

/// Why it was not done.
#[derive(Debug)]
struct Failure {
    status: u8,
    text: String,
    hint: String,
}

impl Failure {
    fn new(status: u8, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status, text: text.into(), hint: hint.into() }
    }

    /// Says it; gives the exit status.
    fn tell(&self, words: &mut dyn Write) -> io::Result<u8> {
        writeln!(words, "error: {}", self.text)?;
        if !self.hint.is_empty() {
            writeln!(words, "hint: {}", self.hint)?;
        }
        Ok(self.status)
    }
}

fn act(options: &Options, server: &Server) -> Result<Value, Failure> {
    let path = |key: &str| format!("commands/{}", escaped(key));
    match &options.verb {
        Verb::Add { key, local, dry_run } => {
            let body = local::manifest(local)?;
            let query = if *dry_run { "?dry_run=1" } else { "" };
            server.ask("PUT", &format!("{}{query}", path(key)), &[], Some(&body))
        }
        Verb::List => server.ask("GET", "commands", &[], None),
        Verb::Show { key } => server.ask("GET", &path(key), &[], None),
        Verb::Disable { key, why } => {
            let body = json!({"disabled": why}).to_string();
            server.ask("PATCH", &path(key), &[], Some(&body))
        }
        Verb::Enable { key } => {
            let body = json!({"disabled": null}).to_string();
            server.ask("PATCH", &path(key), &[], Some(&body))
        }
        Verb::Rm { key } => server.ask("DELETE", &path(key), &[], None),
        Verb::Run { room, user, line } => {
            let line = line.strip_prefix('/').unwrap_or(line);
            let (name, text) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let body = json!({"name": name, "text": text}).to_string();
            let user =
                Some(("X-Ringpost-User", user.as_str())).filter(|(_, user)| !user.is_empty());
            let path = format!("rooms/{}/commands", escaped(room));
            server.ask("POST", &path, user.as_slice(), Some(&body))
        }
        Verb::Publish { number, names, dry_run } => {
            let query = if *dry_run { "?dry_run=1" } else { "" };
            let body = json!({"commands": names}).to_string();
            server.ask("PUT", &format!("menus/{}{query}", escaped(number)), &[], Some(&body))
        }
        Verb::Scan { .. } | Verb::Test(_) => unreachable!("the caller did it"),
    }
}

/// A segment of a path (RFC 3986 §3.3).
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' | b'@' | b':' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn show(options: &Options, value: &Value, out: &mut dyn Write) -> io::Result<()> {
    if options.json {
        return writeln!(out, "{value}");
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match &options.verb {
        Verb::List => {
            let all = value["definitions"].as_array().map_or(&[][..], Vec::as_slice);
            let widest = |name: &str| all.iter().map(|one| text(&one[name]).len()).max();
            let (keys, kinds) = (widest("name").unwrap_or(0), widest("backend").unwrap_or(0));
            for one in all {
                let (name, kind) = (text(&one["name"]), text(&one["backend"]));
                let off = if one["disabled"].is_null() { "" } else { "off: " };
                let (off, why) = (off, one["disabled"].as_str().unwrap_or_default());
                let help = one["help"].as_str().unwrap_or_default();
                let gap = if why.is_empty() { "" } else { "  " };
                let line = format!("{name:keys$}  {kind:kinds$}  {off}{why}{gap}{help}");
                writeln!(out, "{}", line.trim_end())?;
            }
            Ok(())
        }
        Verb::Publish { .. } => {
            let lines = |list: &str| value[list].as_array().cloned().unwrap_or_default();
            for one in lines("commands") {
                writeln!(out, "/{}  {}", text(&one["name"]), text(&one["hint"]))?;
            }
            for one in lines("left_out") {
                writeln!(out, "not /{}: {}", text(&one["name"]), text(&one["why"]))?;
            }
            Ok(())
        }
        Verb::Show { .. } => writeln!(out, "{:#}", value["definition"]),
        Verb::Run { .. } => {
            let said = value["text"].as_str();
            writeln!(out, "{}", said.map_or_else(|| text(&value["state"]), str::to_owned))
        }
        _ => writeln!(out, "{}, version {}", text(&value["name"]), value["version"]),
    }
}

/// Asks the scanner that stands beside this program.
fn scan(args: &[String], words: &mut dyn Write) -> io::Result<u8> {
    let scanner = std::env::current_exe()?.with_file_name("ringpost-scan");
    match std::process::Command::new(&scanner).args(args).status() {
        Ok(status) => Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => {
            writeln!(words, "error: cannot run {}: {error}", scanner.display())?;
            writeln!(words, "hint: put ringpost-scan beside ringpost")?;
            Ok(EXIT_ERROR)
        }
    }
}

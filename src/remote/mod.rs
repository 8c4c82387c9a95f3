//! `ringpost command`: commands of a running server, by its HTTP API.
//!
//! **Never:** a key on the command line, which every user of the machine can read.

mod call;

use crate::commands::files;
use crate::config::{RemoteOptions as Options, RemoteVerb as Verb};
use call::Server;
use serde_json::{Map, Value, json};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Success.
pub const EXIT_DONE: u8 = 0;
/// The server refused it, or there is none of that name.
pub const EXIT_REFUSED: u8 = 1;
/// The server cannot be reached, or a file not read.
pub const EXIT_ERROR: u8 = 2;

/// Does it. Data goes to `out`, words to `words`; gives the exit status.
pub fn run(options: &Options, out: &mut dyn Write, words: &mut dyn Write) -> io::Result<u8> {
    if let Verb::Scan { args } = &options.verb {
        return scan(args, words);
    }
    let server = Server::new(&options.url, options.key.as_deref());
    match act(options, &server) {
        Ok(value) => {
            show(options, &value, out)?;
            Ok(EXIT_DONE)
        }
        Err(Failure { status, text, hint }) => {
            writeln!(words, "error: {text}")?;
            if !hint.is_empty() {
                writeln!(words, "hint: {hint}")?;
            }
            Ok(status)
        }
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
}

fn act(options: &Options, server: &Server) -> Result<Value, Failure> {
    let path = |key: &str| format!("commands/{}", escaped(key));
    match &options.verb {
        Verb::Add { key, files, fields, dry_run } => {
            let body = manifest(files, fields)?;
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
        Verb::Scan { .. } => unreachable!("the caller did it"),
    }
}

/// The manifest that is put.
fn manifest(paths: &[PathBuf], fields: &[(&'static str, String)]) -> Result<String, Failure> {
    let mut parts = Vec::new();
    for path in paths {
        let extension = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
        if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            let read = io::stdin().read_to_end(&mut bytes);
            read.map_err(|error| unread(path, &error))?;
            parts.push((files::MANIFEST.to_owned(), bytes));
        } else if files::is_part(extension) {
            let bytes = std::fs::read(path).map_err(|error| unread(path, &error))?;
            parts.push((extension.to_owned(), bytes));
        } else {
            let text = format!("{} is no part of a command", path.display());
            return Err(Failure::new(EXIT_ERROR, text, "files end with .json, .rhai or .wasm"));
        }
    }
    let body = files::assemble(parts)
        .map_err(|fault| Failure::new(EXIT_REFUSED, fault.to_string(), ""))?;
    if fields.is_empty() {
        return Ok(body);
    }
    let known = if body.is_empty() { Ok(Map::new()) } else { serde_json::from_str(&body) };
    let mut known: Map<String, Value> =
        known.map_err(|error| Failure::new(EXIT_REFUSED, error.to_string(), ""))?;
    for (name, text) in fields {
        let value = match *name {
            "http" => json!({"url": text}),
            "aliases" => text.split(',').map(str::trim).collect::<Vec<_>>().into(),
            _ => text.as_str().into(),
        };
        known.insert((*name).to_owned(), value);
    }
    Ok(Value::Object(known).to_string())
}

fn unread(path: &Path, error: &io::Error) -> Failure {
    Failure::new(EXIT_ERROR, format!("cannot read {}: {error}", path.display()), "")
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

//! The terminal client: `ringpost chat`.
//!
//! Two threads: the keyboard's, which reads lines, and the socket's, which owns everything else.
//! The conversation itself ([`session`]) is pure and knows neither.
//!
//! **Never:** a control character of somebody else's on the screen; a message shown twice or left
//! out without a word.

pub mod commands;

pub mod complete;

pub mod note;

pub mod escape;

pub mod render;

pub mod hold;

mod request;

mod room;

mod wording;

pub mod session;

mod obey;

mod screen;

mod link;

use self::commands::Input;
use self::complete::{Keyboard, Question};
use self::link::{Line, Link};
use self::render::{LocalTime, Renderer, Style};
use self::screen::{Output, Screen};
use self::session::{Session, SessionOptions};
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Editor, Helper};
use std::fmt;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How long the prompt waits for the screen to show what a typed line did.
const ECHO_TIMEOUT: Duration = Duration::from_millis(200);
/// How long a Tab waits for what can be completed.
const COMPLETE_TIMEOUT: Duration = Duration::from_millis(500);
/// Lines read ahead of the socket's thread.
const LINES_MAX: usize = 64;

/// A chat as it was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChatOptions {
    /// User name.
    pub user: String,
    /// The room to begin in.
    pub room: String,
    /// The server, like `ws://127.0.0.1:8080/ws`.
    pub url: String,
    /// Token, for a server that is not in development mode.
    pub token: Option<String>,
    /// Whether to print events as JSON lines instead of text.
    pub json: bool,
}

/// Why a chat ended other than by the person's wish.
#[derive(Debug)]
pub enum ChatError {
    /// The URL cannot be used.
    Url {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is no connection to be had.
    Connect {
        /// Host and port.
        host: String,
        /// The system's words.
        error: io::Error,
    },
    /// What answers there takes no WebSocket of ours.
    Handshake(String),
    /// The server does not let us in.
    Refused(String),
    /// The server ended the session for good.
    Closed {
        /// The close code.
        code: u16,
        /// Its name in docs/PROTOCOL.md.
        name: &'static str,
    },
    /// The input has ended, and this many messages are without an answer.
    Unsent(usize),
    /// The terminal cannot be used.
    Terminal(String),
}

impl fmt::Display for ChatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { url, why } => {
                write!(f, "{url}: {why}\nhint: write it like ws://127.0.0.1:8080/ws")
            }
            Self::Connect { host, error } if error.kind() == io::ErrorKind::ConnectionRefused => {
                write!(f, "cannot connect to {host}: {error}\nhint: is the server running?")
            }
            Self::Connect { host, error } => write!(f, "cannot connect to {host}: {error}"),
            Self::Handshake(why) => {
                write!(f, "no WebSocket there: {why}\nhint: the path is /ws on a ringpost server")
            }
            Self::Refused(why) => write!(f, "the server refused: {why}"),
            Self::Closed { code, name } => write!(f, "the server ended the session: {code} {name}"),
            Self::Unsent(1) => write!(f, "the last message was not confirmed in time"),
            Self::Unsent(count) => write!(f, "{count} messages were not confirmed in time"),
            Self::Terminal(why) => write!(f, "the terminal: {why}"),
        }
    }
}

impl std::error::Error for ChatError {}

/// Host and path of a `ws://` URL.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Url {
    host: String,
    path: String,
}

impl Url {
    fn parse(url: &str) -> Result<Self, ChatError> {
        let wrong = |why| ChatError::Url { url: url.to_string(), why };
        let rest = match url.split_once("://") {
            Some(("ws" | "http", rest)) => rest,
            Some(("wss" | "https", _)) => {
                return Err(wrong("this client speaks no TLS; tunnel with `ssh -L`"));
            }
            Some(_) => return Err(wrong("the scheme is not ws://")),
            None => url,
        };
        let (host, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/ws"),
        };
        if host.is_empty() || host.contains(['@', '?', '#']) {
            return Err(wrong("there is no host in it"));
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let host = if has_port { host.to_string() } else { format!("{host}:80") };
        let path = if path == "/" { "/ws" } else { path };
        Ok(Self { host, path: path.to_string() })
    }
}

/// Chats until the input ends.
///
/// On a terminal with a prompt; otherwise lines of standard input are sent, messages are printed as
/// lines, and the end of the input waits until all are confirmed, at most 10 seconds.
///
/// # Errors
/// See [`ChatError`]; a person has been told of everything that could be retried.
pub fn run(options: ChatOptions) -> Result<(), ChatError> {
    let url = Url::parse(&options.url)?;
    let terminal = !options.json && io::stdin().is_terminal() && io::stdout().is_terminal();
    let session = Session::new(
        SessionOptions {
            user: options.user,
            token: options.token,
            cid_prefix: format!("{:x}", link::random()),
            all_rooms: !terminal,
        },
        &options.room,
    );
    let prompt = Arc::new(Mutex::new(format!("{}> ", escape::harmless(&options.room, " "))));
    if !terminal {
        let renderer = Renderer::new(Style::Pipe, local_time);
        let output = match options.json {
            true => Output::Json(Box::new(io::stdout())),
            false => Output::Text(Box::new(io::stdout())),
        };
        let link = Link::new(url, session, Screen::new(output, renderer), prompt);
        return pipe(link, io::stdin().lock());
    }
    let failed = |error: ReadlineError| ChatError::Terminal(error.to_string());
    let (sender, lines) = sync_channel(LINES_MAX);
    let asking = sender.clone();
    let keyboard = Keyboard::new(move |question: Question| {
        let (answer, answers) = sync_channel(1);
        asking.try_send(Line::Ask(question, answer)).ok()?;
        answers.recv_timeout(COMPLETE_TIMEOUT).ok()
    });
    let config = Config::builder().completion_type(CompletionType::List).build();
    let mut editor: Editor<_, DefaultHistory> = Editor::with_config(config).map_err(failed)?;
    editor.set_helper(Some(keyboard));
    let printer = editor.create_external_printer().map_err(failed)?;
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let style = if plain { Style::Bare } else { Style::Colour };
    let screen = Screen::new(Output::Terminal(Box::new(printer)), Renderer::new(style, local_time));
    let link = Link::new(url, session, screen, prompt.clone());
    converse(link, &mut editor, &prompt, (sender, lines))
}

/// Sends the lines of `input`.
fn pipe(link: Link, input: impl BufRead) -> Result<(), ChatError> {
    let (sender, lines) = sync_channel(LINES_MAX);
    let link = thread::spawn(move || link.run(&lines));
    let (done, _never) = sync_channel(1);
    for line in input.lines().map_while(Result::ok) {
        match commands::parse(&line) {
            Ok(None) => {}
            Ok(Some(Input::Quit)) => break,
            Ok(Some(input)) => {
                // A link that has ended says why below.
                if sender.send(Line::Enter(input, done.clone())).is_err() {
                    break;
                }
            }
            Err(why) => eprintln!("error: {line}: {why}"),
        }
    }
    let _ = sender.send(Line::End);
    link.join().expect("the socket's thread panicked")
}

/// Sends the lines that a person types.
fn converse(
    link: Link,
    editor: &mut Editor<impl Helper, DefaultHistory>,
    prompt: &Mutex<String>,
    (sender, lines): (SyncSender<Line>, Receiver<Line>),
) -> Result<(), ChatError> {
    let link = thread::spawn(move || {
        let ended = link.run(&lines);
        if let Err(error) = &ended {
            // The other thread waits for a key: without this the person would not know why.
            eprint!("\r\x1b[Kerror: {error}\r\npress Enter to leave\r\n");
        }
        ended
    });
    let (done, shown): (SyncSender<()>, _) = sync_channel(1);
    while !link.is_finished() {
        let before = prompt.lock().expect("nobody panics with the prompt").clone();
        let line = match editor.readline(&before) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => {
                println!("(Ctrl-D or /quit to leave)");
                continue;
            }
            Err(_) => break,
        };
        // A history that is full is no reason to lose the line.
        let _ = editor.add_history_entry(&line);
        let input = match commands::parse(&line) {
            Ok(None) => continue,
            Ok(Some(Input::Quit)) => break,
            Ok(Some(input)) => input,
            Err(why) => {
                println!("{why}");
                continue;
            }
        };
        if matches!(input, Input::Say(_) | Input::Reply(..)) {
            erase_typed(editor, &before, &line);
        }
        while shown.try_recv().is_ok() {}
        if sender.send(Line::Enter(input, done.clone())).is_err() {
            break;
        }
        let _ = shown.recv_timeout(ECHO_TIMEOUT);
    }
    let _ = sender.send(Line::End);
    link.join().expect("the socket's thread panicked")
}

/// Takes the typed line off the screen: it comes back as a message, with its time and offset.
fn erase_typed(editor: &mut Editor<impl Helper, DefaultHistory>, prompt: &str, line: &str) {
    let columns = editor.dimensions().map_or(0, |(columns, _)| usize::from(columns));
    // Only where its width is certain: one row of plain letters.
    if line.is_ascii() && prompt.is_ascii() && prompt.len() + line.len() < columns {
        let _ = io::stdout().write_all(b"\x1b[1A\r\x1b[2K").and_then(|()| io::stdout().flush());
    }
}

/// A time in milliseconds since 1970 as this machine's clock shows it.
fn local_time(ts: i64) -> LocalTime {
    let time = jiff::Timestamp::from_millisecond(ts).unwrap_or_default();
    let time = time.to_zoned(jiff::tz::TimeZone::system());
    LocalTime {
        day: time.strftime("%A, %-d %B %Y").to_string(),
        clock: time.strftime("%H:%M:%S").to_string(),
    }
}

#[cfg(test)]
mod tests;

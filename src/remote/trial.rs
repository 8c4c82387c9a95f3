//! `ringpost command test`: what a command would say, without a server.
//!
//! ```text
//!  files ─▶ manifest ─▶ is it right? ─▶ for each line: arguments ─▶ template, script, module,
//!                                       what is kept goes on  ◀──── program ─▶ what is said
//! ```
//!
//! The same readers, engines and limits as in a server. What would leave the machine is shown and
//! not sent: the post of a callback, a fetch, which goes on with the answers that were given.

use super::{EXIT_DONE, EXIT_ERROR, EXIT_REFUSED, Failure, local};
use crate::base::escape;
use crate::base::limits::{COMMAND_FETCHES_MAX, PROGRAM_OUTPUT_BYTES_MAX};
use crate::commands::callback::{self, Posted};
use crate::commands::program::{Input, Names, Output, Reply, State};
use crate::commands::{
    Backend, Engines, Entry, Facts, Limits, Shown, Step, arguments::Given, arguments::bind, files,
};
use crate::config::TrialOptions as Options;
use crate::programs::{self, Allowance};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const NUMBER_MAX: u64 = 1 << 53;

/// Does it: says what is wrong with the command, or calls it.
pub(super) fn run(
    options: &Options,
    json: bool,
    out: &mut dyn Write,
    words: &mut dyn Write,
) -> io::Result<u8> {
    let (entry, program) = match read(options) {
        Ok(read) => read,
        Err(failure) => return failure.tell(words),
    };
    if options.calls.is_empty() {
        let word = json!({"name": *entry.name, "explained": entry.explained()});
        match json {
            true => writeln!(out, "{word}")?,
            false => writeln!(out, "{}", entry.explained())?,
        }
        return Ok(EXIT_DONE);
    }
    let mut trial = Trial {
        options,
        entry: &entry,
        program,
        engines: Engines::new(clock),
        kept: BTreeMap::new(),
        count: 0,
        replies: options.replies.iter(),
    };
    let mut status = EXIT_DONE;
    for line in &options.calls {
        let told = trial.call(line);
        status = status.max(if told.fault.is_some() { EXIT_REFUSED } else { EXIT_DONE });
        match json {
            true => writeln!(out, "{}", told.json())?,
            false => told.show(out)?,
        }
    }
    Ok(status)
}

/// µs since the first look.
fn clock() -> u64 {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGIN.elapsed().as_micros().try_into().unwrap_or(u64::MAX)
}

/// The command of the options, and the program among its files.
fn read(options: &Options) -> Result<(Entry, Option<PathBuf>), Failure> {
    let local = &options.local;
    let is_program = |path: &&PathBuf| path.extension().is_none() && path.as_os_str() != "-";
    let program = local.files.iter().find(is_program).cloned();
    let body = match &program {
        Some(path) => described(path)?,
        None => local::manifest(local)?,
    };
    let name = match options.name.as_str() {
        "" => local.files.iter().find_map(|path| path.file_stem()?.to_str()).unwrap_or("it"),
        name => name,
    };
    let entry = Entry::draft(name, &body)
        .map_err(|fault| Failure::new(EXIT_REFUSED, fault.to_string(), ""))?;
    Ok((entry, program))
}

/// What a program says of itself.
fn described(path: &Path) -> Result<String, Failure> {
    let path = std::path::absolute(path).map_err(|error| local::unread(path, &error))?;
    let said = programs::describe(&path).map_err(|why| format!("--describe: {why}"));
    said.and_then(|said| files::of_program(&path, &said)).map_err(|why| {
        let text = format!("{}: {why}", path.display());
        Failure::new(EXIT_ERROR, text, "a program can be run, and tells what it is for --describe")
    })
}

struct Trial<'o> {
    options: &'o Options,
    entry: &'o Entry,
    program: Option<PathBuf>,
    engines: Engines,
    kept: BTreeMap<String, String>,
    count: u64,
    replies: std::slice::Iter<'o, String>,
}

/// What came of a call.
#[derive(Debug, Default)]
struct Told {
    line: String,
    /// To whom, and what, in turn.
    said: Vec<(&'static str, String)>,
    /// Why it did not come to its end.
    fault: Option<String>,
    cost: u64,
    /// What the cost is counted in, and how much of it there is.
    of: Option<(&'static str, u64)>,
    took: Duration,
}

/// Who sees an answer.
fn audience(shown: Shown) -> &'static str {
    match shown {
        Shown::InChannel => "everybody",
        Shown::Ephemeral => "the caller",
    }
}

impl Trial<'_> {
    /// Calls it with a line: `2d6`, `/dice 2d6`, `bob: 2d6`.
    fn call(&mut self, line: &str) -> Told {
        let (user, text) = match line.split_once(": ") {
            Some((user, text)) if !user.contains([' ', '/']) => (user, text),
            _ => (&*self.options.user, line),
        };
        let name = &*self.entry.name;
        let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let text = if first.strip_prefix('/') == Some(name) { rest } else { text };
        let mut told = Told { line: format!("{user}: /{name} {text}"), ..Told::default() };
        let began = Instant::now();
        let done = bind(&self.entry.manifest, name, text)
            .and_then(|given| self.carry_out(user, &given, &mut told));
        told.took = began.elapsed();
        told.fault = done.err();
        told
    }

    fn carry_out(&mut self, user: &str, given: &Given, told: &mut Told) -> Result<(), String> {
        let Limits { operations, fuel, .. } = self.entry.manifest.limits;
        match &self.entry.manifest.backend {
            Backend::Template(template) => {
                self.count += 1;
                let text = template.render(given, &self.facts(user), self.output_bytes());
                told.said.push((audience(self.entry.manifest.shown), text));
                return Ok(());
            }
            Backend::Alias(template) => {
                let text = template.render(given, &self.facts(user), self.output_bytes());
                told.said.push(("goes on as", text));
                return Ok(());
            }
            Backend::Http(callback) => {
                let (room, call) = (&*self.options.room, "c-test");
                let response_url = "https://this.server.example/respond/…";
                let (name, text) = (&*self.entry.name, &*given.line);
                let posted = Posted { name, text, user, display: user, room, response_url, call };
                let body = posted.body();
                told.said.push(("would be posted to", callback.url.to_string()));
                let signed = callback::headers(callback, wall_ms() / 1_000, &body);
                let signed = signed.iter().map(|(name, value)| format!("{name}: {value}"));
                told.said.extend(signed.map(|header| ("with", header)));
                told.said.push(("with", body));
                return Ok(());
            }
            Backend::Script(_) => told.of = Some(("operations", operations)),
            Backend::Wasm(_) => told.of = Some(("fuel", fuel)),
            Backend::Exec(_) => {}
        }
        let mut reply = None;
        for _ in 0..=COMMAND_FETCHES_MAX {
            let output = self.program(self.input(user, given, reply.take()), told)?;
            self.heed(&output, told);
            let Some(fetch) = output.fetch else { return Ok(()) };
            fetch.check(&self.entry.manifest)?;
            let body = fetch.body.as_deref().unwrap_or_default();
            told.said.push(("fetches", format!("{} {body}", fetch.url).trim_end().to_owned()));
            let Some(answer) = self.replies.next() else {
                let text = "it would wait for an answer; give one with --reply '200 …'";
                return Err(text.to_owned());
            };
            let (status, body) = answer.split_once(' ').unwrap_or((answer, ""));
            reply = Some(match status.parse() {
                Ok(status) => Reply::Answer { status, body: body.into() },
                Err(_) => Reply::Failed { error: answer.as_str().into() },
            });
        }
        Err(format!("it fetches more than {COMMAND_FETCHES_MAX} times"))
    }

    /// One run of a program.
    fn program(&mut self, input: Input, told: &mut Told) -> Result<Output, String> {
        let limits = &self.entry.manifest.limits;
        if let Some(path) = &self.program {
            let json = serde_json::to_string(&input).expect("it has nothing that JSON lacks");
            let (time, memory_bytes) =
                (Duration::from_millis(limits.time_ms), limits.memory_kb << 10);
            let output_bytes = PROGRAM_OUTPUT_BYTES_MAX;
            let allowance = Allowance { time, memory_bytes, output_bytes };
            let path = std::path::absolute(path).map_err(|error| error.to_string())?;
            let said = programs::call(&path, &json, &allowance)?;
            return Output::read(&said, limits.output_bytes);
        }
        if let Backend::Exec(name) = &self.entry.manifest.backend {
            return Err(format!("name the program itself to test it: …/{name}"));
        }
        let mut step = self.engines.begin(self.entry, input, &mut told.cost);
        loop {
            step = match step {
                Step::More(run) => Engines::go_on(run, &mut told.cost),
                Step::Ended(ended) => return ended.map_err(|failed| failed.why().to_owned()),
            };
        }
    }

    fn heed(&mut self, output: &Output, told: &mut Told) {
        for (key, value) in &output.keep {
            match value {
                Some(value) => {
                    told.said.push(("keeps", format!("{key} = {value}")));
                    self.kept.insert(key.to_string(), value.to_string());
                }
                None => {
                    told.said.push(("forgets", key.to_string()));
                    self.kept.remove(&**key);
                }
            }
        }
        let progress = output.progress.iter().map(|text| ("the caller, meanwhile", text.clone()));
        told.said.extend(progress);
        let shown = audience(output.shown.unwrap_or(self.entry.manifest.shown));
        for (whom, text) in [(shown, &output.text), ("the caller", &output.privately)] {
            if !text.is_empty() {
                told.said.push((whom, text.clone()));
            }
        }
    }

    fn facts<'a>(&'a self, user: &'a str) -> Facts<'a> {
        let (room, count) = (&*self.options.room, self.count);
        Facts { user, name: user, room, count, wall_ms: wall_ms(), random: random() }
    }

    fn input(&self, user: &str, given: &Given, reply: Option<Reply>) -> Input {
        let names = || Names(vec![user.into()]);
        let kept =
            self.kept.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into()));
        Input {
            text: given.line.clone(),
            call: "c-test".into(),
            name: self.entry.name.clone(),
            words: given.words.clone(),
            args: given.values.clone(),
            user: user.into(),
            display: user.into(),
            role: self.options.role,
            room: self.options.room.as_str().into(),
            present: names(),
            present_count: 1,
            members: names(),
            member_count: 1,
            now_ms: wall_ms(),
            random: random() % NUMBER_MAX,
            state: State(kept.collect()),
            reply,
            ..Input::default()
        }
    }

    fn output_bytes(&self) -> usize {
        self.entry.manifest.limits.output_bytes
    }
}

impl Told {
    fn show(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.line.trim_end())?;
        for (whom, text) in &self.said {
            writeln!(out, "  {whom}: {}", shown(text))?;
        }
        if let Some(fault) = &self.fault {
            writeln!(out, "  it fails: {}", shown(fault))?;
        }
        let ms = self.took.as_secs_f64() * 1e3;
        match self.of {
            Some((unit, limit)) => {
                writeln!(out, "  ({} of {limit} {unit}, {ms:.2} ms)", self.cost)
            }
            None => writeln!(out, "  ({ms:.2} ms)"),
        }
    }

    fn json(&self) -> Value {
        let said = self.said.iter().map(|(whom, text)| json!({"to": whom, "text": text}));
        let mut value = Map::new();
        value.insert("line".to_owned(), self.line.trim_end().into());
        value.insert("said".to_owned(), said.collect::<Vec<_>>().into());
        value.insert("fault".to_owned(), self.fault.clone().into());
        value.insert("cost".to_owned(), self.cost.into());
        value.insert("took_us".to_owned(), (self.took.as_micros() as u64).into());
        Value::Object(value)
    }
}

/// A text, line for line, that is no command to a terminal.
fn shown(text: &str) -> String {
    let mut out = String::new();
    for (index, line) in text.lines().enumerate() {
        out.push_str(if index == 0 { "" } else { "\n    " });
        escape::terminal(line, &mut out);
    }
    out
}

fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(i64::MAX)
}

/// Something else each time.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

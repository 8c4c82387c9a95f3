//! Scripts in Rhai (<https://rhai.rs/book>), compiled once and run to their end at once: a script
//! cannot wait, so its budget is a fraction of a millisecond.
//!
//! It reads `user`, `text`, `args`, `state` and all else of [`Input`] as constants (`input` is all
//! of them), calls `reply(text)`, `whisper(text)`, `progress(text)`, `get(key)`, `set(key, value)`,
//! `random(low, high)`, `fetch(url)`, `fetch(url, body)`, `fetch(url, body, headers)`, and answers
//! with its last value if that is a text. A fetch ends the run; its answer begins another, of
//! `fn on_reply(status, body)`.
//!
//! **Never:** a file, a clock, an import, an `eval`; a value that lives longer than its run.

use super::manifest::Limits;
use super::program::{Failed, Fetch, Input, Output, Reply, guarded};
use super::template::mixed;
use crate::base::hash::Map;
use rhai::packages::{Package, StandardPackage};
use rhai::{AST, CallFnOptions, Dynamic, Engine, EvalAltResult, ParseError, Position, Scope};
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// How long one run may take, µs.
const RUN_US_MAX: u64 = 500;
/// Operations between two looks at the clock: as many of the slowest still fit the budget.
const LOOK_EVERY: u64 = 16;
/// What counts of the time between two looks, µs: the rest was spent by the machine elsewhere.
const LOOK_US_MAX: u64 = 200;
const TEXT_BYTES_MAX: usize = 16 << 10;
const ITEMS_MAX: usize = 1_000;
const FIELDS_MAX: usize = 500;
const VARIABLES_MAX: usize = 256;
const FUNCTIONS_MAX: usize = 256;
const CALLS_DEEP_MAX: usize = 24;
const EXPRESSIONS_DEEP_MAX: (usize, usize) = (48, 24);
/// Scripts that stay compiled.
const COMPILED_MAX: usize = 1_024;

/// The scripts of a shard.
pub struct Scripts {
    engine: Engine,
    shared: Arc<Shared>,
    clock: fn() -> u64,
    /// By command: its version, and its script or what is wrong with it.
    compiled: Map<Arc<str>, (u64, Compiled)>,
}

/// A script, or what is wrong with it.
type Compiled = Result<Arc<AST>, String>;

/// What the functions of a running script share with whoever runs it.
#[derive(Default)]
struct Shared {
    run: Mutex<Run>,
    operations: AtomicU64,
    looked_us: AtomicU64,
    used_us: AtomicU64,
}

#[derive(Default)]
struct Run {
    input: Input,
    output: Output,
    randoms: usize,
}

impl Shared {
    fn run(&self) -> MutexGuard<'_, Run> {
        // A run that broke down leaves nothing that the next one reads.
        self.run.lock().unwrap_or_else(|broken| broken.into_inner())
    }

    /// Whether a run may go on.
    fn look(&self, operations: u64, clock: fn() -> u64) -> bool {
        self.operations.store(operations, Ordering::Relaxed);
        if !operations.is_multiple_of(LOOK_EVERY) {
            return true;
        }
        let now_us = clock();
        let passed_us = now_us.saturating_sub(self.looked_us.swap(now_us, Ordering::Relaxed));
        let passed_us = passed_us.min(LOOK_US_MAX);
        self.used_us.fetch_add(passed_us, Ordering::Relaxed) + passed_us <= RUN_US_MAX
    }
}

/// Reads a script only to say what is wrong with it, with its line and column.
pub fn check(source: &str) -> Result<(), String> {
    let engine = engine(&Arc::default(), || 0);
    guarded(|| compile(&engine, source)).map_err(|failed| failed.why().to_owned())?.map(drop)
}

impl Scripts {
    /// None yet; `clock` gives µs of a monotonic clock.
    pub fn new(clock: fn() -> u64) -> Self {
        let shared = Arc::default();
        Self { engine: engine(&shared, clock), shared, clock, compiled: Map::default() }
    }

    /// Runs a script to its end. Adds its operations to `cost`.
    pub fn run(
        &mut self,
        (key, version): (&Arc<str>, u64),
        source: &str,
        limits: &Limits,
        input: Input,
        cost: &mut u64,
    ) -> Result<Output, Failed> {
        let script = self.compiled(key, version, source).map_err(Failed::Broken)?;
        self.engine.set_max_operations(limits.operations);
        let reply = input.reply.clone();
        *self.shared.run() = Run { input, ..Run::default() };
        self.shared.operations.store(0, Ordering::Relaxed);
        self.shared.looked_us.store((self.clock)(), Ordering::Relaxed);
        self.shared.used_us.store(0, Ordering::Relaxed);
        let engine = &self.engine;
        let done = guarded(|| match reply {
            None => engine.eval_ast_with_scope::<Dynamic>(&mut Scope::new(), &script),
            Some(reply) => answer(engine, &script, reply),
        });
        let operations = self.shared.operations.load(Ordering::Relaxed);
        *cost += operations;
        let Run { mut output, .. } = std::mem::take(&mut *self.shared.run());
        match done? {
            Ok(value) => {
                if let Ok(text) = value.into_immutable_string() {
                    say(&mut output.text, &text);
                }
            }
            Err(error) => match failed(*error, limits) {
                None => {}
                Some(failed) => return Err(failed),
            },
        }
        output.check_text(limits.output_bytes).map_err(Failed::Broken)?;
        if output.fetch.is_some() && !output.text.is_empty() {
            output.progress.push(std::mem::take(&mut output.text));
        }
        Ok(output)
    }

    fn compiled(&mut self, key: &Arc<str>, version: u64, source: &str) -> Result<Arc<AST>, String> {
        if let Some((known, script)) = self.compiled.get(key)
            && *known == version
        {
            return script.clone();
        }
        if self.compiled.len() >= COMPILED_MAX {
            self.compiled.clear();
        }
        let script = guarded(|| compile(&self.engine, source).map(Arc::new));
        let script = script.unwrap_or_else(|failed| Err(failed.why().to_owned()));
        self.compiled.insert(key.clone(), (version, script.clone()));
        script
    }
}

impl std::fmt::Debug for Scripts {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Scripts").field("compiled", &self.compiled.len()).finish_non_exhaustive()
    }
}

fn compile(engine: &Engine, source: &str) -> Result<AST, String> {
    engine.compile(source).map_err(|ParseError(problem, position)| {
        let text = problem.to_string();
        format!("{}{text}", place(position))
    })
}

/// Calls the function that takes what a fetch brought.
fn answer(engine: &Engine, script: &AST, reply: Reply) -> Result<Dynamic, Box<EvalAltResult>> {
    let known = script.iter_functions().any(|one| one.name == "on_reply" && one.params.len() == 2);
    if !known {
        return Err("it fetches, but has no fn on_reply(status, body)".into());
    }
    let (status, body) = match reply {
        Reply::Answer { status, body } => (i64::from(status), body),
        Reply::Failed { error } => (0, error),
    };
    let options = CallFnOptions::new().eval_ast(false);
    let mut body = String::from(body);
    body.truncate(body.floor_char_boundary(TEXT_BYTES_MAX));
    engine.call_fn_with_options(options, &mut Scope::new(), script, "on_reply", (status, body))
}

/// `line 3, column 5: `
fn place(position: Position) -> String {
    match (position.line(), position.position()) {
        (Some(line), Some(column)) => format!("line {line}, column {column}: "),
        (Some(line), None) => format!("line {line}: "),
        _ => String::new(),
    }
}

/// What an error means; nothing when it is how a script ends.
fn failed(mut error: EvalAltResult, limits: &Limits) -> Option<Failed> {
    while let EvalAltResult::ErrorInFunctionCall(_, _, inner, _) = error {
        error = *inner;
    }
    let position = error.take_position();
    let spent = |text: String| Some(Failed::Spent(format!("{}{text}", place(position))));
    match &error {
        EvalAltResult::Exit(..) => None,
        EvalAltResult::ErrorTooManyOperations(_) => {
            spent(format!("it used up its {} operations", limits.operations))
        }
        EvalAltResult::ErrorTerminated(..) => {
            spent(format!("it ran for more than {RUN_US_MAX} µs"))
        }
        _ => {
            let text = error.to_string();
            let text = text.strip_prefix("Runtime error: ").unwrap_or(&text);
            let text = &text[..text.floor_char_boundary(300)];
            Some(Failed::Broken(format!("{}{text}", place(position))))
        }
    }
}

/// One more line.
fn say(text: &mut String, line: &str) {
    if !text.is_empty() && !line.is_empty() {
        text.push('\n');
    }
    text.push_str(line);
}

fn engine(shared: &Arc<Shared>, clock: fn() -> u64) -> Engine {
    let mut engine = Engine::new_raw();
    engine.register_global_module(StandardPackage::new().as_shared_module());
    engine
        .set_max_call_levels(CALLS_DEEP_MAX)
        .set_max_expr_depths(EXPRESSIONS_DEEP_MAX.0, EXPRESSIONS_DEEP_MAX.1)
        .set_max_string_size(TEXT_BYTES_MAX)
        .set_max_array_size(ITEMS_MAX)
        .set_max_map_size(FIELDS_MAX)
        .set_max_variables(VARIABLES_MAX)
        .set_max_functions(FUNCTIONS_MAX)
        // Nested in itself, what it gives doubles with each use, and no limit counts that.
        .disable_symbol("curry")
        .disable_symbol("eval");
    let looks = Arc::clone(shared);
    engine.on_progress(move |operations| (!looks.look(operations, clock)).then_some(Dynamic::UNIT));
    let facts = Arc::clone(shared);
    #[expect(deprecated, reason = "it is not: so the crate marks what may change")]
    engine.on_var(move |name, index, _| {
        // A variable of the script's own comes first.
        Ok((index == 0).then(|| fact(&facts.run().input, name)).flatten())
    });
    // It would put the whole shard to sleep.
    engine.register_fn("sleep", |_: i64| refuse::<()>("a script cannot wait"));
    engine.register_fn("sleep", |_: f64| refuse::<()>("a script cannot wait"));
    register_words(&mut engine, shared);
    register_state(&mut engine, shared);
    register_fetch(&mut engine, shared);
    engine
}

type Refused<T> = Result<T, Box<EvalAltResult>>;

fn refuse<T>(why: impl Into<String>) -> Refused<T> {
    Err(why.into().into())
}

fn register_words(engine: &mut Engine, shared: &Arc<Shared>) {
    type Pick = fn(&mut Output) -> &mut String;
    let words: [(&str, Pick); 2] =
        [("reply", |output| &mut output.text), ("whisper", |output| &mut output.privately)];
    for (name, pick) in words {
        let own = Arc::clone(shared);
        engine.register_fn(name, move |line: Dynamic| -> Refused<()> {
            let line = line.to_string();
            let mut run = own.run();
            let text = pick(&mut run.output);
            if text.len() + line.len() >= TEXT_BYTES_MAX {
                return refuse(format!("it says more than {TEXT_BYTES_MAX} bytes"));
            }
            say(text, &line);
            Ok(())
        });
    }
    let own = Arc::clone(shared);
    engine.register_fn("progress", move |line: Dynamic| -> Refused<()> {
        let line = line.to_string();
        own.run().output.tell(&line).or_else(refuse)
    });
}

fn register_state(engine: &mut Engine, shared: &Arc<Shared>) {
    let own = Arc::clone(shared);
    engine.register_fn("get", move |key: &str| -> Dynamic {
        let run = own.run();
        let kept = run.output.keep.iter().find(|(known, _)| **known == *key);
        let value = match kept {
            Some((_, value)) => value.as_deref(),
            None => run.input.state.get(key),
        };
        value.map_or(Dynamic::UNIT, text)
    });
    let own = Arc::clone(shared);
    engine.register_fn("set", move |key: &str, value: Dynamic| -> Refused<()> {
        let value = (!value.is_unit()).then(|| value.to_string());
        own.run().output.keep(key, value.as_deref()).or_else(refuse)
    });
    let own = Arc::clone(shared);
    engine.register_fn("random", move |low: i64, high: i64| -> Refused<i64> {
        if low > high {
            return refuse("random(low, high) wants low first");
        }
        let mut run = own.run();
        run.randoms += 1;
        let number = mixed(run.input.random, run.randoms);
        Ok(match high.abs_diff(low).checked_add(1) {
            Some(span) => low.wrapping_add_unsigned(number % span),
            None => number.cast_signed(),
        })
    });
}

fn register_fetch(engine: &mut Engine, shared: &Arc<Shared>) {
    fn fetch(own: &Shared, fetch: Fetch) -> Refused<()> {
        own.run().output.fetch = Some(fetch);
        // A script cannot wait: this run ends here.
        Err(EvalAltResult::Exit(Dynamic::UNIT, Position::NONE).into())
    }
    let own = Arc::clone(shared);
    engine.register_fn("fetch", move |url: &str| {
        fetch(&own, Fetch { url: url.into(), body: None, headers: Vec::new() })
    });
    let own = Arc::clone(shared);
    engine.register_fn("fetch", move |url: &str, body: &str| {
        fetch(&own, Fetch { url: url.into(), body: Some(body.into()), headers: Vec::new() })
    });
    let own = Arc::clone(shared);
    engine.register_fn("fetch", move |url: &str, body: Dynamic, headers: rhai::Map| {
        let body = (!body.is_unit()).then(|| body.to_string().into());
        let pair =
            |(name, value): (_, Dynamic)| (String::from(name).into(), value.to_string().into());
        let headers = headers.into_iter().map(pair).collect();
        fetch(&own, Fetch { url: url.into(), body, headers })
    });
}

fn text(text: &str) -> Dynamic {
    rhai::ImmutableString::from(text).into()
}

/// The names that a script knows without having made them.
const FACTS: [&str; 18] = [
    "text",
    "call",
    "name",
    "words",
    "args",
    "user",
    "display",
    "role",
    "room",
    "topic",
    "present",
    "present_count",
    "members",
    "member_count",
    "number",
    "contact",
    "now_ms",
    "state",
];

/// What a script reads by a name that it has not given itself.
fn fact(input: &Input, name: &str) -> Option<Dynamic> {
    let maybe = |value: &Option<Box<str>>| value.as_deref().map_or(Dynamic::UNIT, text);
    let count = |count: usize| Dynamic::from_int(count as i64);
    let names = |all: &[Arc<str>]| Dynamic::from_array(all.iter().map(|name| text(name)).collect());
    Some(match name {
        "text" => text(&input.text),
        // As a name, `call` is Rhai's own.
        "call" | "call_id" => text(&input.call),
        "name" => text(&input.name),
        "words" => Dynamic::from_array(input.words.iter().map(|word| text(word)).collect()),
        "args" => {
            let pair = |(name, value): (&String, &Value)| (name.as_str().into(), dynamic(value));
            Dynamic::from_map(input.args.iter().map(pair).collect())
        }
        "user" => text(&input.user),
        "display" => text(&input.display),
        "role" => text(input.role),
        "room" => text(&input.room),
        "topic" => text(&input.topic),
        "present" => names(&input.present.0),
        "present_count" => count(input.present_count),
        "members" => names(&input.members.0),
        "member_count" => count(input.member_count),
        "number" => maybe(&input.number),
        "contact" => maybe(&input.contact),
        "now_ms" => Dynamic::from_int(input.now_ms),
        "state" => {
            let pair = |(key, value): &(Box<str>, Box<str>)| ((&**key).into(), text(value));
            Dynamic::from_map(input.state.0.iter().map(pair).collect())
        }
        "input" => {
            let pair = |name: &&str| Some(((*name).into(), fact(input, name)?));
            Dynamic::from_map(FACTS.iter().filter_map(pair).collect())
        }
        _ => return None,
    })
}

/// A value of the manifest's arguments.
fn dynamic(value: &Value) -> Dynamic {
    match value {
        Value::String(word) => text(word),
        Value::Bool(flag) => Dynamic::from_bool(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Dynamic::from_int(number),
            None => Dynamic::from_float(number.as_f64().unwrap_or_default()),
        },
        _ => Dynamic::UNIT,
    }
}

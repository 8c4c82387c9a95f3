//! The hostile commands: what each of them is, how its calls end, and what whoever calls is told.

use serde_json::{Map, Value, json};
use std::net::SocketAddr;

/// What carries a command out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Means {
    /// A text with placeholders.
    Template,
    /// Another line.
    Alias,
    /// Rhai.
    Script,
    /// WebAssembly, as text.
    Module,
    /// The lines of a shell script.
    Program,
    /// A path of the hostile HTTP server.
    Callback,
    /// A callback to a name that leads elsewhere whenever it is looked up.
    Turncoat,
}

/// One of them.
#[derive(Debug)]
pub struct Row {
    /// Its name, and that of its program.
    pub name: &'static str,
    /// What carries it out.
    pub means: Means,
    /// The text, script, module, program or path. `@` is the address of the hostile server.
    pub body: &'static str,
    /// The outcome in the log, when the server is not busy with others.
    pub ends: &'static str,
    /// Within what whoever calls is told then.
    pub told: &'static str,
}

const fn row(
    name: &'static str,
    means: Means,
    body: &'static str,
    ends: &'static str,
    told: &'static str,
) -> Row {
    Row { name, means, body, ends, told }
}

use Means::{Alias, Callback, Module, Program, Script, Template, Turncoat};

/// What is typed behind each name.
pub const TEXT: &str = "a \u{202e}b\u{2066} $user /yes \u{200f}c";

/// The name that does not know where it leads: see `turncoat.c`.
pub const NAME: &str = "turncoat.test";

/// Milliseconds that calls get whose end is that their time is over.
pub const SHORT_MS: u64 = 400;
/// What the others get: more than they need on a busy machine.
const LONG_MS: u64 = 20_000;

/// All of them.
pub const TABLE: &[Row] = &[
    // Texts and other names.
    row("bidi", Template, "\u{202e}$user\u{2066} \u{0}\u{1b}[2J$*", "ok", "\u{202e}"),
    row("balloon", Template, "$*$*$*$*$*$*$*$*$*$*$*$*$*$*$*$*$*$*$*$*$*$*$*$*$*", "ok", "$user"),
    row("circle", Alias, "/circle $*", "failed", "leads to itself"),
    row("here", Alias, "/there $*$*$*$*$*$*", "failed", "leads to itself"),
    row("there", Alias, "/here $*$*$*$*$*$*", "failed", "leads to itself"),
    row("nowhere", Alias, "/\u{202e}rm -rf $*", "failed", "there is no command"),
    // Scripts.
    row("forever", Script, "loop {}", "timeout", "was stopped"),
    row("deep", Script, "fn f(n) { f(n + 1) + 1 } f(0)", "failed", "Stack overflow"),
    row("strings", Script, "let s = \"x\"; loop { s += s; }", "failed", "Length of string"),
    row("arrays", Script, "let a = [1]; loop { a.push(a); }", "failed", "array"),
    row(
        "maps",
        Script,
        "let m = #{}; let n = 0; loop { m[\"k\" + n] = m; n += 1; }",
        "failed",
        "object map",
    ),
    row("closures", Script, "let f = |x| x; loop { f = |x| f.call(x); }", "timeout", "was stopped"),
    row("babble", Script, "let s = \"x\"; for n in 0..13 { s += s; } s", "failed", "output_bytes"),
    row("eager", Script, "loop { progress(\"more\"); }", "failed", "more than 16 times"),
    row("throws", Script, "throw \"\u{202e}\u{0}\" + text;", "failed", "\u{202e}"),
    row("hoards", Script, "for n in 0..999 { set(`k${n}`, text); }", "failed", "keeps at most"),
    row("naps", Script, "sleep(60);", "failed", "cannot wait"),
    row(
        "asks",
        Script,
        "fetch(\"@/fine\"); fn on_reply(status, body) { fetch(\"@/fine\"); }",
        "failed",
        "fetches more than 4 times",
    ),
    row("strays", Script, "fetch(\"http://169.254.169.254/\")", "failed", "cannot fetch"),
    row("climbs", Script, "fetch(\"@/x/%2e%2e/admin\")", "failed", "cannot fetch"),
    row("smuggles", Script, "fetch(\"@/fine\", \"\", #{\"Host\": \"x\"})", "failed", "header"),
    row(
        "waits",
        Script,
        "fetch(\"@/drips\"); fn on_reply(status, body) { \"got \" + status }",
        "ok",
        "got 0",
    ),
    // Modules.
    row("spins", Module, "(loop $l (br $l)) (unreachable)", "timeout", "fuel"),
    row(
        "grows",
        Module,
        "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (unreachable)",
        "failed",
        "unreachable",
    ),
    row(
        "fills",
        Module,
        "(drop (memory.grow (i32.const 200)))
         (loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 13000000)) (br $l))
         (unreachable)",
        "failed",
        "at once",
    ),
    row("vast", Module, "memory 4096", "failed", "memory_kb"),
    row("traps", Module, "(unreachable)", "failed", "unreachable"),
    row("outside", Module, "alloc -65536", "failed", "outside its memory"),
    row("points", Module, "(i64.const 0x7fffffff00000010)", "failed", "outside its memory"),
    row("claims", Module, "(i64.const 0x00000000ffffffff)", "failed", "of at most"),
    row(
        "bytes",
        Module,
        "(i64.store (i32.const 8) (i64.const -2)) (i64.const 0x800000004)",
        "failed",
        "UTF-8",
    ),
    row("sinks", Module, "(call $run (local.get 0) (local.get 1))", "failed", "too deep"),
    // Programs.
    row("burns", Program, "while :; do :; done", "timeout", "did not answer in time"),
    row(
        "forks",
        Program,
        "for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
        (while :; do sleep 61.75; done) & done; wait",
        "timeout",
        "did not answer in time",
    ),
    row("leaves", Program, "sleep 61.75 & echo hi", "timeout", "did not answer in time"),
    row(
        "hog",
        Program,
        "head -c 99999999 /dev/zero | tail -c 99999999 | wc -c; exit 3",
        "failed",
        "failed",
    ),
    row("floods", Program, "yes", "failed", "failed"),
    row("screams", Program, "yes >&2", "failed", "failed"),
    row("sulks", Program, "sleep 61.75", "timeout", "did not answer in time"),
    row(
        "clings",
        Program,
        "trap '' TERM INT HUP; exec 1>&- 2>&-; sleep 61.75; sleep 61.75",
        "timeout",
        "did not answer in time",
    ),
    row("latin", Program, "printf '\\377\\376'", "ok", "\u{fffd}"),
    row("halves", Program, "printf '{\"text\":'", "failed", "failed"),
    row("dies", Program, "kill -9 $$", "failed", "failed"),
    // Callbacks.
    row("drips", Callback, "/drips", "timeout", "did not answer in time"),
    row("trickles", Callback, "/trickles", "timeout", "did not answer in time"),
    row("hundreds", Callback, "/hundreds", "timeout", "did not answer in time"),
    row("endless", Callback, "/endless", "failed", "failed"),
    row("redirects", Callback, "/redirects", "failed", "failed"),
    row("metadata", Callback, "/metadata", "failed", "failed"),
    row("breaks", Callback, "/breaks", "failed", "failed"),
    row("latin1", Callback, "/latin1", "ok", "\u{fffd}"),
    row("heads", Callback, "/heads", "failed", "failed"),
    row("closes", Callback, "/closes", "failed", "failed"),
    row("lies", Callback, "/lies", "failed", "failed"),
    row("errs", Callback, "/errs", "failed", "failed"),
    row("late", Callback, "/late", "timeout", "did not answer in time"),
    row("returns", Callback, "/returns", "ok", "again"),
    row("promises", Callback, "/promises", "lost", ""),
    row("turncoat", Turncoat, "/fine", "failed", "failed"),
];

impl Row {
    /// Its manifest, for a server that finds the hostile one at `villain`.
    pub fn manifest(&self, villain: SocketAddr) -> Value {
        let body = self.body.replace('@', &format!("http://{villain}"));
        let mut manifest = Map::new();
        let (field, value) = match self.means {
            Means::Template => ("template", json!(body)),
            Means::Alias => ("alias", json!(body)),
            Means::Script => ("script", json!(body)),
            Means::Module => ("wasm", json!(data_encoding::BASE64.encode(&module(&body)))),
            Means::Program => ("exec", json!(self.program())),
            Means::Callback => ("http", json!({"url": format!("http://{villain}{body}")})),
            Means::Turncoat => {
                ("http", json!({"url": format!("https://{NAME}:{}{body}", villain.port())}))
            }
        };
        manifest.insert(field.to_owned(), value);
        manifest.insert("reply".to_owned(), "ephemeral".into());
        let short = self.ends == "timeout" || self.name == "waits";
        let time_ms = if short { SHORT_MS } else { LONG_MS };
        let limits = match self.means {
            Means::Template | Means::Alias => None,
            // A loop is stopped by its fuel, however slow the machine is.
            Means::Script if self.name == "waits" => Some(json!({"time_ms": SHORT_MS})),
            Means::Script => None,
            Means::Module => Some(json!({"time_ms": LONG_MS})),
            Means::Program => Some(json!({"time_ms": time_ms, "memory_kb": 32 << 10})),
            Means::Callback | Means::Turncoat => Some(json!({"time_ms": time_ms})),
        };
        if let Some(limits) = limits {
            manifest.insert("limits".to_owned(), limits);
        }
        if self.means == Means::Script {
            manifest.insert("fetch".to_owned(), json!([format!("http://{villain}/")]));
        }
        manifest.into()
    }

    /// The name of its file in the folder of programs.
    pub fn program(&self) -> String {
        format!("p-{}", self.name)
    }
}

/// A module around what its function `run` does, or around the one thing that is wrong with it.
fn module(body: &str) -> Vec<u8> {
    let (mut pages, mut at, mut run) = ("1", "1024", "(unreachable)");
    match body.split_once(' ') {
        Some(("memory", count)) => pages = count,
        Some(("alloc", place)) => at = place,
        _ => run = body,
    }
    let text = format!(
        r#"(module (memory (export "memory") {pages})
        (func (export "alloc") (param i32) (result i32) (i32.const {at}))
        (func $run (export "run") (param i32 i32) (result i64) {run}))"#
    );
    wat::parse_str(text).expect("a module")
}

/// What cannot be put at all, and within what is said of it.
pub const UNFIT: &[(&str, &str, &str)] = &[
    ("ssrf", r#"{"http": {"url": "http://169.254.169.254/latest/meta-data/"}}"#, "public"),
    ("ssrf", r#"{"http": {"url": "https://10.0.0.1/"}}"#, "public"),
    ("ssrf", r#"{"http": {"url": "https://[::ffff:192.168.0.1]/"}}"#, "public"),
    ("ssrf", r#"{"http": {"url": "http://0x7f.1/"}}"#, ""),
    ("ssrf", r#"{"http": {"url": "https://user:pass@example.org/"}}"#, ""),
    ("ssrf", r#"{"http": {"url": "gopher://example.org/"}}"#, ""),
    ("fetch", r#"{"script": "1", "fetch": ["https://169.254.169.254/"]}"#, ""),
    ("fetch", r#"{"script": "1", "fetch": ["https://"]}"#, ""),
    ("script", r#"{"script": "eval(\"loop {}\")"}"#, ""),
    ("script", r#"{"script": "import \"fs\" as fs;"}"#, ""),
    (
        "script",
        r#"{"script": "let a = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1"}"#,
        "",
    ),
    ("wasm", r#"{"wasm": "AAAA"}"#, ""),
    ("wasm", r#"{"wasm": "not base64"}"#, ""),
    ("wasm", r#"(module (func $s (loop $l (br $l))) (start $s))"#, "start"),
    ("wasm", r#"(module (import "wasi" "exit" (func)))"#, "imports"),
    ("exec", r#"{"exec": "../../bin/sh"}"#, ""),
    ("exec", r#"{"exec": "sh;reboot"}"#, ""),
    ("both", r#"{"template": "a", "alias": "/b"}"#, ""),
    ("time", r#"{"script": "1", "limits": {"time_ms": 999999999}}"#, ""),
    ("memory", r#"{"script": "1", "limits": {"memory_kb": -1}}"#, ""),
    ("help", r#"{"template": "a"}"#, "built in"),
    ("%E2%80%AEevil", r#"{"template": "a"}"#, ""),
    ("deep", "[[[[", ""),
];

//! Style is a test: who may import whom, where a crate lives, how long things are, and words that
//! must not stay. Each rule says what to do about it.

use crate::tree::{SourceFile, files, read, rust_files};

/// What each module may import, in the order of `src/lib.rs`. An arrow that is missing here is
/// missing on purpose: see `docs/ARCHITECTURE.md`.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("metrics", &["base"]),
    ("wire", &["base", "metrics"]),
    ("registry", &["base"]),
    ("log", &["base", "metrics"]),
    ("handlers", &["base", "metrics", "registry"]),
    ("hooks", &["base", "metrics", "wire", "registry"]),
    ("commands", &["base", "metrics", "registry"]),
    ("chat", &["base", "metrics", "registry", "handlers", "commands"]),
    ("whatsapp", &["base", "metrics"]),
    ("scan", &["base", "metrics", "log"]),
    ("rehearsal", &["base", "registry", "log", "handlers", "whatsapp"]),
    ("config", &["base", "metrics"]),
    ("net", &["base", "metrics"]),
    ("egress", &["base", "metrics"]),
    ("programs", &["base"]),
    ("outbox", &["base", "metrics", "chat", "whatsapp", "egress"]),
    ("subscriptions", &["base", "metrics", "registry", "log", "egress"]),
    ("admin", &["base", "metrics"]),
    ("web", &["base", "wire"]),
    (
        "shard",
        &[
            "base",
            "metrics",
            "registry",
            "wire",
            "log",
            "handlers",
            "hooks",
            "commands",
            "chat",
            "whatsapp",
            "config",
            "net",
            "egress",
            "programs",
            "outbox",
            "subscriptions",
            "admin",
            "web",
        ],
    ),
    (
        "node",
        &[
            "base",
            "metrics",
            "registry",
            "wire",
            "log",
            "handlers",
            "hooks",
            "commands",
            "chat",
            "whatsapp",
            "config",
            "net",
            "egress",
            "programs",
            "outbox",
            "subscriptions",
            "shard",
            "admin",
            "web",
        ],
    ),
    ("terminal", &["base", "wire", "config"]),
    ("remote", &["base", "commands", "config", "egress", "programs"]),
];

/// What the programs may import: the scanner never links the server.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("src/main.rs", &["base", "rehearsal", "config", "node", "terminal", "remote"]),
    ("src/bin/ringpost-scan.rs", &["base", "log", "scan"]),
];

/// Modules that know no runtime, no clock and no socket.
const BELOW_NET: &[&str] = &[
    "base",
    "metrics",
    "registry",
    "wire",
    "log",
    "handlers",
    "hooks",
    "commands",
    "chat",
    "whatsapp",
    "scan",
    "rehearsal",
    "config",
];

/// Threads of these wait with deadlines; what they write gets its time as an argument all the same.
const WAITS: &[&str] = &["log"];

/// Modules that besides read and write nothing: all their inputs are arguments.
const PURE: &[&str] =
    &["base", "registry", "wire", "handlers", "hooks", "commands", "chat", "whatsapp", "config"];

const RUNTIME_WORDS: &[&str] = &[
    "glommio",
    "tokio",
    "async",
    "await",
    "Instant",
    "SystemTime",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
];

const INPUT_WORDS: &[&str] = &[
    "fs",
    "File",
    "thread",
    "env",
    "process",
    "stdin",
    "stdout",
    "stderr",
    "println",
    "eprintln",
    "getrandom",
];

/// Where `unsafe` may stand: the ring and the maps. Tests and measurements are free.
const UNSAFE_HOMES: &[&str] = &["src/net/", "src/log/"];

const FILE_LINES_MAX: usize = 800;
const FILE_LINES_REASON: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;

/// Functions that are too long already: (path, name, lines). They may only shrink, and this list
/// with them.
const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[];

/// Fails with all violations at once and one sentence on what to do.
#[track_caller]
fn none(violations: Vec<String>, advice: &str) {
    assert!(violations.is_empty(), "{}\n-> {advice}\n", violations.join("\n"));
}

fn allowed_for(module: &str) -> &'static [&'static str] {
    let row = LAYERS.iter().find(|(name, _)| *name == module);
    row.unwrap_or_else(|| panic!("src/{module}: give it a row in LAYERS of tests/it/tidy.rs")).1
}

/// Modules named behind `root::`, also within a group, with their position.
fn imports(file: &SourceFile, root: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for position in file.words(root) {
        let Some(rest) = file.code[position + root.len()..].strip_prefix("::") else { continue };
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(group) => group_heads(group),
            None => vec![rest],
        };
        for name in names {
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
            found.push((position, name[..end].to_owned()));
        }
    }
    found
}

/// The beginning of each item of a `{a::b, c::{d, e}}` group, given what follows its brace.
fn group_heads(group: &str) -> Vec<&str> {
    let mut heads = vec![group.trim_start()];
    let mut depth = 0;
    for (position, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => break,
            b'}' => depth -= 1,
            b',' if depth == 0 => heads.push(group[position + 1..].trim_start()),
            _ => {}
        }
    }
    heads.retain(|head| !head.starts_with('}'));
    heads
}

#[test]
fn modules_stand_in_dependency_order() {
    let lib = read("src/lib.rs");
    let modules: Vec<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let rows: Vec<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
    assert_eq!(modules, rows, "src/lib.rs and LAYERS in tests/it/tidy.rs list the same modules");
    for (index, (module, allowed)) in LAYERS.iter().enumerate() {
        for name in *allowed {
            assert!(rows[..index].contains(name), "{module} imports {name}, which stands below it");
        }
    }
}

#[test]
fn modules_import_only_what_the_layers_allow() {
    let mut violations = Vec::new();
    for file in rust_files().filter(|file| !file.is_test()) {
        let (allowed, own, root) = match file.module() {
            Some(module) => (allowed_for(module), module, "crate"),
            None => match PROGRAMS.iter().find(|(path, _)| *path == file.path) {
                Some((_, allowed)) => (*allowed, "", "ringpost"),
                None => continue,
            },
        };
        let known = |name: &str| LAYERS.iter().any(|(module, _)| *module == name);
        for (position, name) in imports(&file, root) {
            if known(&name) && name != own && !allowed.contains(&name.as_str()) {
                let line = file.line(position);
                violations.push(format!("{}:{line}: imports {root}::{name}", file.path));
            }
        }
    }
    none(violations, "move the code up, hand the value in, or argue for a row in LAYERS");
}

#[test]
fn no_path_climbs_to_the_root_unseen() {
    let mut violations = Vec::new();
    for file in rust_files().filter(|file| !file.is_test() && file.module().is_some()) {
        let folders = file.path.matches('/').count() - 1;
        let depth = if file.path.ends_with("/mod.rs") { folders } else { folders + 1 };
        let climb = "super::".repeat(depth);
        for (position, _) in file.code.match_indices(&climb) {
            violations.push(format!("{}:{}: {climb}…", file.path, file.line(position)));
        }
    }
    none(violations, "write `crate::…`, so that the layer test sees it");
}

#[test]
fn below_net_nobody_knows_runtime_clock_or_sockets() {
    let mut violations = Vec::new();
    for file in rust_files().filter(|file| !file.is_test()) {
        let Some(module) = file.module() else { continue };
        let below = BELOW_NET.contains(&module);
        let waits = |word: &str| word == "Instant" && WAITS.contains(&module);
        let words = RUNTIME_WORDS.iter().filter(|word| below && !waits(word));
        for word in words {
            for position in file.words(word) {
                violations.push(format!("{}:{}: {word}", file.path, file.line(position)));
            }
        }
    }
    none(
        violations,
        "take time as `base::clock::Now`, and leave sockets and tasks to net and shard",
    );
}

#[test]
fn pure_modules_take_their_inputs_as_arguments() {
    let mut violations = Vec::new();
    for file in rust_files().filter(|file| !file.is_test()) {
        if !file.module().is_some_and(|module| PURE.contains(&module)) {
            continue;
        }
        for word in INPUT_WORDS {
            for position in file.words(word) {
                let before = file.code[..position].trim_end();
                let after = &file.code[position + word.len()..];
                let path = before.ends_with("std::") || before.ends_with("io::");
                let printed = word.ends_with("println") && after.starts_with('!');
                let call = after.starts_with("::") && !before.ends_with("::");
                if path || call || printed {
                    violations.push(format!("{}:{}: {word}", file.path, file.line(position)));
                }
            }
        }
    }
    none(violations, "this module is pure: let the caller read, and hand the value in");
}

#[test]
fn unsafe_stays_at_home() {
    let mut violations = Vec::new();
    for file in rust_files().filter(|file| !file.is_test()) {
        if !UNSAFE_HOMES.iter().any(|home| file.path.starts_with(home)) {
            for position in file.words("unsafe") {
                violations.push(format!("{}:{}", file.path, file.line(position)));
            }
        }
    }
    none(violations, "`unsafe` lives in src/net and src/log only: ask them for a safe function");
}

/// The dependencies of a manifest's section, each with the comment directly above it.
fn dependencies(section: &str) -> Vec<(String, String)> {
    let manifest = read("Cargo.toml");
    let mut found = Vec::new();
    let (mut inside, mut comment, mut depth) = (false, String::new(), 0_i32);
    for line in manifest.lines() {
        if depth == 0 && line.starts_with('#') {
            comment.push_str(line.trim_start_matches('#'));
            continue;
        }
        if depth == 0 && line.starts_with('[') {
            inside = line == format!("[{section}]");
        } else {
            if inside
                && depth == 0
                && let Some((name, _)) = line.split_once('=')
            {
                found.push((name.trim().to_owned(), comment.clone()));
            }
            let count = |c: char| line.matches(c).count() as i32;
            depth += count('[') + count('{') - count(']') - count('}');
        }
        comment.clear();
    }
    found
}

#[test]
fn every_dependency_says_why() {
    let mut violations = Vec::new();
    for section in ["dependencies", "dev-dependencies"] {
        for (name, comment) in dependencies(section) {
            if comment.trim().len() < 10 {
                violations.push(format!("Cargo.toml: {name} has no comment"));
            }
        }
    }
    for (name, comment) in dependencies("dependencies") {
        if !comment.contains("Home: ") {
            violations.push(format!("Cargo.toml: {name} has no home"));
        }
    }
    none(violations, "write above it what it is for, ending with `Home: module, module/part.`");
}

#[test]
fn crates_stay_at_home() {
    let dependencies = dependencies("dependencies");
    assert!(dependencies.len() > 10);
    let mut violations = Vec::new();
    for file in rust_files().filter(|file| !file.is_test()) {
        for (name, comment) in &dependencies {
            let homes = comment.split_once("Home: ").map_or("", |(_, homes)| homes);
            if homes.split(['.', ',', ' ']).any(|home| is_home(&file.path, home)) {
                continue;
            }
            let ident = name.replace('-', "_");
            for position in file.words(&ident) {
                let before = file.code[..position].trim_end();
                let after = &file.code[position + ident.len()..];
                let used = after.starts_with("::") || before.ends_with("extern crate");
                let declared = before.ends_with("use") && after.starts_with([';', ' ']);
                let part = before.ends_with("::") || before.ends_with('$');
                if (used || declared) && !part {
                    let line = file.line(position);
                    violations.push(format!("{}:{line}: {name} lives in {homes}", file.path));
                }
            }
        }
    }
    none(violations, "use it through its home, or widen `Home:` in Cargo.toml and say why");
}

/// `wire/ws` is a folder or file under `src`; `binaries` are the programs.
fn is_home(path: &str, home: &str) -> bool {
    if home == "binaries" {
        return path == "src/main.rs" || path.starts_with("src/bin/");
    }
    let inside = path.strip_prefix("src/").and_then(|inside| inside.strip_prefix(home));
    !home.is_empty() && inside.is_some_and(|rest| rest.starts_with(['/', '.']))
}

#[test]
fn files_are_short() {
    let mut violations = Vec::new();
    for file in rust_files() {
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            violations.push(format!("{}: {lines} lines", file.path));
        } else if lines > FILE_LINES_REASON {
            println!("note: {} has {lines} lines", file.path);
        }
    }
    none(violations, "split it: one type or one verb per file (docs/ARCHITECTURE.md)");
}

#[test]
fn functions_fit_on_a_screen() {
    let mut violations = Vec::new();
    let mut excused = Vec::new();
    // Tests are tables, and a table is as long as it must be.
    for file in rust_files().filter(|file| !file.is_test() || file.path.starts_with("loadtest/")) {
        for function in file.functions() {
            let excuse = LONG_FUNCTIONS
                .iter()
                .find(|(path, name, _)| *path == file.path && *name == function.name);
            let lines_max = excuse.map_or(FUNCTION_LINES_MAX, |(_, _, lines)| *lines);
            let what = format!("{}:{}: fn {}", file.path, function.line, function.name);
            if function.lines > lines_max {
                violations.push(format!("{what}: {} lines, {lines_max} allowed", function.lines));
            }
            if excuse.is_some() && function.lines == lines_max {
                excused.push((file.path.clone(), function.name.to_owned()));
            }
        }
    }
    for (path, name, lines) in LONG_FUNCTIONS {
        if !excused.contains(&((*path).to_owned(), (*name).to_owned())) {
            violations.push(format!("{path}: fn {name} no longer has {lines} lines"));
        }
    }
    none(violations, "push branches up and loops down; LONG_FUNCTIONS may only shrink");
}

#[test]
fn lines_fit_the_page() {
    let mut violations = Vec::new();
    for file in rust_files() {
        for (index, line) in file.text.lines().enumerate() {
            let long = line.chars().count() > COLUMNS_MAX;
            if long || line.ends_with([' ', '\t']) || line.contains('\r') {
                violations.push(format!("{}:{}", file.path, index + 1));
            }
        }
    }
    none(violations, "100 columns, no space at the end, no carriage return: run `cargo fmt`");
}

#[test]
fn no_leftovers() {
    // In two halves, so that this file does not contain what it bans.
    let banned = [
        ("to", "do!(", "finish it, or open an issue"),
        ("unimple", "mented!(", "finish it"),
        ("db", "g!(", "remove it"),
        ("FIX", "ME", "mend it, or open an issue"),
        ("TO", "DO", "do it, or open an issue"),
        ("XX", "X", "say what is wrong in words"),
        ("#[ign", "ore", "a test runs or does not exist"),
        ("/ho", "me/", "a path of one machine"),
        ("/ro", "ot/", "a path of one machine"),
        ("/wo", "rk/", "a path of one machine"),
        ("/tmp", "/wt/", "a path of one machine"),
        ("/tmp", "/rp-", "a path of one machine"),
        ("CARGO_TARGET_DIR=", "/", "a path of one machine"),
    ];
    let mut violations = Vec::new();
    for file in files() {
        for (index, line) in file.text.lines().enumerate() {
            for (left, right, advice) in banned {
                let word = format!("{left}{right}");
                if contains_word(line, &word) {
                    violations.push(format!("{}:{}: {word}: {advice}", file.path, index + 1));
                }
            }
        }
    }
    none(violations, "these do not stay");
}

/// Whether `line` contains `word` with no letter or digit directly before or after it.
fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(position, _)| {
        let name_begins = word.starts_with(char::is_alphanumeric);
        let name_ends = word.ends_with(char::is_alphanumeric);
        let before = line[..position].chars().next_back().filter(|_| name_begins);
        let after = line[position + word.len()..].chars().next().filter(|_| name_ends);
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

#[test]
fn modules_are_named_for_what_they_are() {
    let mut violations = Vec::new();
    for file in rust_files() {
        let parts = file.path.trim_end_matches(".rs").split('/');
        for part in parts {
            if ["util", "utils", "common", "helper", "helpers", "misc"].contains(&part) {
                violations.push(file.path.clone());
            }
        }
    }
    none(violations, "name it for the thing it holds");
}

#[test]
fn every_module_opens_with_what_it_is() {
    let violations: Vec<_> = rust_files()
        .filter(|file| {
            (!file.path.starts_with("src/") || !file.is_test()) && !file.text.starts_with("//! ")
        })
        .map(|file| file.path)
        .collect();
    none(violations, "begin the file with a `//!` sentence");
}

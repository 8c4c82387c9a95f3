//! The source tree as the tidy rules see it: files, their code without comments and literals,
//! their functions.

use std::path::{Path, PathBuf};

/// One file of the tree.
pub struct SourceFile {
    /// Relative to the package, with `/`.
    pub path: String,
    /// As it stands.
    pub text: String,
    /// The same bytes and lines for Rust files, with comments, literals and test modules blanked;
    /// empty for other files.
    pub code: String,
}

/// A function with a body.
pub struct Function<'a> {
    /// Its name.
    pub name: &'a str,
    /// Counted from 1.
    pub line: usize,
    /// From the line of `fn` to that of the closing brace.
    pub lines: usize,
}

impl SourceFile {
    /// The module directly under `src/` that this file belongs to; `None` outside modules.
    pub fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let (module, _) = inside.split_once(['/', '.'])?;
        (!["lib", "main", "bin"].contains(&module)).then_some(module)
    }

    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether it exists only for tests and measurements, where layers may be crossed.
    pub fn is_test(&self) -> bool {
        let inside = |folder: &str| self.path.split('/').any(|part| part == folder);
        !self.path.starts_with("src/") || self.path.ends_with("/tests.rs") || inside("tests")
    }

    /// The line, counted from 1, of a position in `code`.
    pub fn line(&self, position: usize) -> usize {
        1 + self.code[..position].bytes().filter(|byte| *byte == b'\n').count()
    }

    /// Positions at which `word` stands in `code` by itself, not as a part of a longer name.
    pub fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        let is_name = |byte: Option<u8>| {
            byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let bytes = self.code.as_bytes();
        self.code.match_indices(word).map(|(position, _)| position).filter(move |&position| {
            let before = position.checked_sub(1).map(|before| bytes[before]);
            !is_name(before) && !is_name(bytes.get(position + word.len()).copied())
        })
    }

    /// All functions with a body. Bodies are found by their braces, so `code` must be balanced.
    pub fn functions(&self) -> Vec<Function<'_>> {
        let mut functions = Vec::new();
        for position in self.words("fn") {
            let rest = self.code[position + 2..].trim_start();
            let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
            let begin = self.code.len() - rest.len();
            let Some(length) = body_length(&self.code[begin..]) else { continue };
            if name.is_empty() {
                continue; // A type `fn(A) -> B`.
            }
            let lines = 1 + self.code[position..begin + length].matches('\n').count();
            functions.push(Function { name, line: self.line(position), lines });
        }
        functions
    }
}

/// Bytes from a function's name to the brace that closes its body; `None` without a body.
fn body_length(code: &str) -> Option<usize> {
    let mut depth = 0;
    let mut nesting = 0;
    for (position, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'[' => nesting += 1,
            b')' | b']' => nesting -= 1,
            b';' if depth == 0 && nesting == 0 => return None,
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 && nesting == 0 {
                    return Some(position);
                }
                if depth < 0 {
                    return None;
                }
            }
            _ => {}
        }
    }
    None
}

/// The package's folder.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A text file of the package, whole.
pub fn read(path: &str) -> String {
    let full = root().join(path);
    std::fs::read_to_string(&full).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every text file that people write: sources, scripts, documents, manifests. Not fixtures.
pub fn files() -> Vec<SourceFile> {
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches", "loadtest", "docs", ".ci"] {
        collect(&root().join(folder), &mut files);
    }
    for name in ["Cargo.toml", "README.md"] {
        let path = root().join(name);
        if path.exists() {
            files.push(load(&path));
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    assert!(files.iter().filter(|file| file.is_rust()).count() > 20);
    files
}

/// The Rust files among [`files`].
pub fn rust_files() -> impl Iterator<Item = SourceFile> {
    files().into_iter().filter(SourceFile::is_rust)
}

fn collect(folder: &Path, files: &mut Vec<SourceFile>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        if path.is_dir() {
            if !["fixtures", "target", "node_modules", "corpus"].contains(&name) {
                collect(&path, files);
            }
        } else if std::fs::read(&path).is_ok_and(|bytes| std::str::from_utf8(&bytes).is_ok()) {
            files.push(load(&path));
        }
    }
}

fn load(path: &Path) -> SourceFile {
    let text = std::fs::read_to_string(path).expect("a text file");
    let path = path.strip_prefix(root()).expect("inside").to_string_lossy().into_owned();
    let code = if path.ends_with(".rs") { without_tests(&blank(&text)) } else { String::new() };
    SourceFile { path, text, code }
}

/// Replaces comments and the insides of literals by spaces; keeps every byte's position and line.
pub fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match &bytes[at..] {
            [b'/', b'/', ..] => text[at..].find('\n').map_or(bytes.len(), |length| at + length),
            [b'/', b'*', ..] => comment_end(bytes, at),
            [b'"', ..] => string_end(bytes, at + 1),
            [b'r', b'"' | b'#', ..] if !follows_name(bytes, at) => raw_end(text, at),
            [b'b', b'r', b'"' | b'#', ..] if !follows_name(bytes, at) => raw_end(text, at + 1),
            [b'\'', ..] => char_end(text, at),
            _ => at + 1,
        };
        if end > at + 1 {
            code[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        }
        at = end;
    }
    String::from_utf8(code).expect("whole characters were replaced")
}

fn follows_name(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

fn comment_end(bytes: &[u8], begin: usize) -> usize {
    let mut depth = 0;
    let mut at = begin;
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of a raw string that begins with its `r`; of one byte if it is a raw identifier.
fn raw_end(text: &str, begin: usize) -> usize {
    let rest = &text[begin + 1..];
    let hashes = rest.bytes().take_while(|byte| *byte == b'#').count();
    if rest.as_bytes().get(hashes) != Some(&b'"') {
        return begin + 1;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let inside = begin + 1 + hashes + 1;
    text[inside..].find(&close).map_or(text.len(), |length| inside + length + close.len())
}

/// The end of a character literal; of one byte if the quote begins a lifetime.
fn char_end(text: &str, begin: usize) -> usize {
    let rest = &text[begin + 1..];
    if rest.starts_with('\\') {
        let close = rest.char_indices().skip(2).find(|(_, c)| *c == '\'');
        return close.map_or(begin + 1, |(length, _)| begin + 1 + length + 1);
    }
    let mut chars = rest.char_indices();
    match (chars.next(), chars.next()) {
        (Some(_), Some((length, '\''))) => begin + 1 + length + 1,
        _ => begin + 1,
    }
}

/// Blanks every `#[cfg(test)] mod … { … }`.
fn without_tests(code: &str) -> String {
    let mut left = code.to_owned();
    while let Some(begin) = left.find("#[cfg(test)]") {
        let rest = &left[begin..];
        let end = match (rest.find('{'), rest.find(';')) {
            (Some(brace), Some(semicolon)) if semicolon < brace => begin + semicolon + 1,
            (None, Some(semicolon)) => begin + semicolon + 1,
            _ => body_length(rest).map_or(left.len(), |length| begin + length + 1),
        };
        let blanked: String =
            left[begin..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        left.replace_range(begin..end, &blanked);
    }
    left
}

#[test]
fn blanking_keeps_lines_and_removes_what_is_no_code() {
    let check = |text: &str, want: &str| {
        let got = blank(text);
        assert_eq!(got.split_whitespace().collect::<Vec<_>>().join(" "), want, "{text}");
        assert_eq!(got.len(), text.len());
    };
    check("a // b\nc", "a c");
    check("a /* b /* c */ d */ e", "a e");
    check(r#"f("x \" // y", 'z', '\'', '"', b'{')"#, "f( , , , , b )");
    check(r##"f(r#"x " y"#, br"z", r#type)"##, "f( , , r#type)");
    check("fn f<'a>(x: &'a str) -> &'a str", "fn f<'a>(x: &'a str) -> &'a str");
    check("let é = 'é'; // é", "let é = ;");
}

#[test]
fn functions_are_measured() {
    let text = "fn a() {\n}\nfn b(x: fn(u8)) -> [u8; 2] {\n    {\n    }\n}\ntrait T { fn c(); }\n";
    let file = SourceFile { path: "src/x.rs".into(), text: text.into(), code: blank(text) };
    let got: Vec<_> = file.functions().iter().map(|f| (f.name, f.line, f.lines)).collect();
    assert_eq!(got, [("a", 1, 2), ("b", 3, 4)]);
}

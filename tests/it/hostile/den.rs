//! A server that knows all hostile commands, with what they need beside it.

use super::table::{Means, Row, TABLE};
use super::villain::Villain;
use crate::server::desk::{call, granted};
use crate::server::process::{Folder, PATIENCE, Plan, Server};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// All of it. The server goes first.
pub struct Den {
    /// Under test.
    pub server: Server,
    /// What it is led to.
    pub villain: Villain,
    folder: Folder,
}

impl Den {
    /// Two shards, no limit on what one client sends; everything else is as it comes.
    pub fn start() -> Self {
        let (folder, villain) = (Folder::new(), Villain::start());
        let programs = folder.path().join("programs");
        std::fs::create_dir_all(&programs).expect("a folder");
        for row in TABLE.iter().filter(|row| row.means == Means::Program) {
            let lines = format!(
                "#!/bin/sh\nif [ \"$1\" = --describe ]; then echo '{{}}'; exit; fi\n{}\n",
                row.body
            );
            let path = programs.join(row.program());
            std::fs::write(&path, lines).expect("a file");
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(path, mode).expect("a program");
        }
        let server = Plan::new()
            .unlimited()
            .shards(2)
            .set("egress.networks", "127.0.0.1/32")
            .set("commands.programs", programs.to_str().expect("UTF-8"))
            .env("LD_PRELOAD", turncoat(folder.path()).to_str().expect("UTF-8"))
            .start();
        villain.seen.server.set(server.address()).expect("the first");
        let den = Self { server, villain, folder };
        TABLE.iter().for_each(|row| den.put(row, row.name));
        den.await_programs();
        den
    }

    /// Defines a row under a name.
    pub fn put(&self, row: &Row, name: &str) {
        let manifest = row.manifest(self.villain.address).to_string();
        granted(&self.server, "PUT", &format!("commands/{name}"), &manifest);
    }

    /// Waits until the server has looked at all programs, which takes processes of its own.
    fn await_programs(&self) {
        let begin = Instant::now();
        for row in TABLE.iter().filter(|row| row.means == Means::Program) {
            let path = format!("commands/{}", row.program());
            while call(&self.server, "GET", &path, "").0 != 200 {
                assert!(begin.elapsed() < PATIENCE, "{} is not found", row.program());
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        assert!(self.folder.path().exists());
    }
}

/// What stands before the resolver, compiled by the compiler that links Rust.
fn turncoat(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/hostile/turncoat.c");
    let library = folder.join("turncoat.so");
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
    assert!(command.status().expect("a C compiler").success());
    library
}

/// Processes that programs of the table have left behind: those that sleep for an odd time.
pub fn left_behind() -> usize {
    let all = std::fs::read_dir("/proc").expect("processes").flatten();
    let theirs = all.filter(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.windows(5).any(|word| word == b"61.75")
    });
    theirs.count()
}

/// Waits until none is left: a signal takes a moment to be obeyed.
pub fn await_none_left() {
    let begin = Instant::now();
    while left_behind() > 0 {
        assert!(begin.elapsed() < PATIENCE, "{} processes are left behind", left_behind());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Puts what cannot be put: status and body.
pub fn put_unfit(server: &Server, name: &str, body: &str) -> (u16, String) {
    let body = match body {
        "[[[[" => "[".repeat(100_000),
        module if module.starts_with("(module") => {
            let bytes = wat::parse_str(module).expect("a module");
            json!({"wasm": data_encoding::BASE64.encode(&bytes)}).to_string()
        }
        body => body.to_owned(),
    };
    let (status, value) = call(server, "PUT", &format!("commands/{name}"), &body);
    assert_ne!(value, json!({}), "{name}: words");
    (status, value.to_string())
}

//! The thread that looks at the folders of definitions and programs, and puts what has changed.
//!
//! ```text
//! definitions/commands/hi.json          a manifest
//!                      dice.rhai        a script; dice.json beside it may say more
//!                      shout.wasm       a module, likewise
//! programs/backup                       a program, which says what it is when asked: --describe
//! ```
//!
//! A file that appears or changes is put within a second or two, one that goes is removed. What is
//! wrong with one is said on standard error, and the command stays as it was.

use super::NodeError;
use crate::base::ids::{Address, ConnId, ShardId};
use crate::chat::api::ApiRequest;
use crate::chat::event::{Asker, Message};
use crate::commands::files;
use crate::programs;
use crate::registry::{Kind, Registry, check_name_of, check_size};
use crate::shard::definitions;
use crate::shard::world::{Mail, World};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How often the folders are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The bodies of commands that operators have put, by key, as the log has them at the start.
pub type Known = BTreeMap<String, String>;

/// What is known at the start.
pub fn known(registry: &Registry) -> Known {
    let commands = registry.of_kind(Kind::Command).filter(|one| one.by.is_empty());
    commands.map(|one| (one.name.to_string(), one.body.to_string())).collect()
}

/// Starts the thread, when there is a folder. It ends with the process.
pub fn start(world: &Arc<World>, known: Known) -> Result<(), NodeError> {
    let api = &world.config.api;
    let commands = api.definitions.as_ref().map(|folder| folder.join("commands"));
    // A program starts in its folder, from where a relative path would lead elsewhere.
    let programs = api.programs.as_deref().map(std::path::absolute).transpose();
    let programs = programs.map_err(NodeError::Thread)?;
    if commands.is_none() && programs.is_none() {
        return Ok(());
    }
    let world = Arc::clone(world);
    let mut watch = Watch { world, commands, programs, seen: BTreeMap::new(), known };
    let thread = std::thread::Builder::new().name("ringpost-folder".to_owned());
    thread
        .spawn(move || {
            loop {
                watch.look();
                std::thread::sleep(LOOK);
            }
        })
        .map(drop)
        .map_err(NodeError::Thread)
}

struct Watch {
    world: Arc<World>,
    commands: Option<PathBuf>,
    programs: Option<PathBuf>,
    /// The files of each command, and when they last changed.
    seen: BTreeMap<String, Vec<Stamp>>,
    known: Known,
}

/// Of a file: where it is, when it changed and how long it is.
type Stamp = (PathBuf, SystemTime, u64);

impl Watch {
    fn look(&mut self) {
        let mut found: BTreeMap<String, Vec<Stamp>> = BTreeMap::new();
        for stamp in self.commands.iter().flat_map(|folder| plain_files(folder)) {
            let path = &stamp.0;
            if files::is_part(extension(path))
                && let Some(key) = path.file_stem().and_then(|stem| stem.to_str())
            {
                found.entry(key.to_owned()).or_default().push(stamp);
            }
        }
        for stamp in self.programs.iter().flat_map(|folder| plain_files(folder)) {
            let name = stamp.0.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let runs = stamp.0.metadata().is_ok_and(|file| file.permissions().mode() & 0o111 != 0);
            if runs && !name.starts_with('.') && !found.contains_key(name) {
                found.insert(name.to_owned(), vec![stamp]);
            }
        }
        for (key, stamps) in &found {
            if self.seen.get(key) != Some(stamps) {
                self.take(key, stamps);
            }
        }
        for key in self.seen.keys().filter(|key| !found.contains_key(*key)) {
            if self.known.remove(key).is_some() {
                put(&self.world, key, String::new());
            }
        }
        self.seen = found;
    }

    /// Reads the files of a command, and puts it when it says something else than before.
    fn take(&mut self, key: &str, stamps: &[Stamp]) {
        let networks = &self.world.config.whatsapp.outbound.networks;
        let is_program = stamps.iter().any(|(path, ..)| path.parent() == self.programs.as_deref());
        let body = if is_program { described(&stamps[0].0) } else { manifest(stamps) };
        let checked = body.and_then(|body| {
            check_name_of(Kind::Command, key)
                .and_then(|()| check_size(&body))
                .and_then(|()| definitions::check(Kind::Command, key, &body, networks))
                .map_err(|fault| fault.to_string())?;
            Ok(body)
        });
        match checked {
            Ok(body) if self.known.get(key) == Some(&body) => {}
            Ok(body) => {
                self.known.insert(key.to_owned(), body.clone());
                put(&self.world, key, body);
            }
            Err(why) => eprintln!("ringpost: {}: {why}", stamps[0].0.display()),
        }
    }
}

/// The plain files of a folder, in order. A folder that is not there is empty.
fn plain_files(folder: &Path) -> Vec<Stamp> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let stamps = entries.filter_map(|entry| {
        let file = entry.path().metadata().ok().filter(|file| file.is_file())?;
        Some((entry.path(), file.modified().ok()?, file.len()))
    });
    let mut stamps: Vec<_> = stamps.collect();
    stamps.sort();
    stamps
}

/// The manifest that some files make together.
fn manifest(stamps: &[Stamp]) -> Result<String, String> {
    let mut parts = Vec::new();
    for (path, ..) in stamps {
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        parts.push((extension(path).to_owned(), bytes));
    }
    files::assemble(parts).map_err(|fault| fault.to_string())
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|end| end.to_str()).unwrap_or_default()
}

/// What a program says of itself, with the program.
fn described(path: &Path) -> Result<String, String> {
    let said = programs::describe(path).map_err(|why| format!("--describe: {why}"))?;
    files::of_program(path, &said)
}

/// Has a definition put, or removed.
fn put(world: &World, key: &str, body: String) {
    let conn = ConnId { index: 0, generation: 0 };
    let from = Address { shard: ShardId(0), conn };
    let by = Asker { from, user: "".into(), id: None, api: true };
    let (kind, name, dry_run) = (Kind::Command, key.into(), false);
    let request = Box::new(ApiRequest::Define { kind, name, body: body.into(), dry_run });
    let message = Message::Define { by, request, told: None };
    // A shard that has ended takes no mail.
    if world.mail[0].send(Mail::Hub(message)).is_ok() {
        world.ring(0);
    }
}

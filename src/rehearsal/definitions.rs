//! Where definitions come from: files, folders, and the log.

use crate::base::nearest::nearest;
use crate::handlers::Handler;
use crate::log::snapshot::{self, Snapshot};
use crate::log::{Log, LogError, RecordView};
use crate::registry::{Fault, Kind};
use crate::whatsapp::send::Content;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folder of handlers in a folder of definitions, as the setting `api.definitions` names one.
const HANDLERS: &str = "handlers";

/// Reads the definition of a handler, and asks whether WhatsApp would take what it says.
pub fn read(name: &str, json: &str) -> Result<Handler, Fault> {
    let handler = Handler::parse(name, json)?;
    handler.check_contents(&|json| {
        Content::parse(json).map(drop).map_err(|refused| refused.to_string())
    })?;
    Ok(handler)
}

/// The files that a path names: itself, or the `.json` files of a folder (or of its `handlers`), by
/// name.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let inside = path.join(HANDLERS);
    let folder = if inside.is_dir() { inside } else { path.to_path_buf() };
    let wrong = |error| format!("cannot list {}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.extension().is_some_and(|end| end == "json") {
            found.push(path);
        }
    }
    if found.is_empty() {
        return Err(format!("there is no .json file in {}", folder.display()));
    }
    found.sort();
    Ok(found)
}

/// The text of a file.
pub(super) fn text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// A definition is called as its file is.
pub(super) fn name_of(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
}

/// The handlers of these files.
pub(super) fn of_files(paths: &[PathBuf]) -> Result<Vec<Handler>, String> {
    let mut handlers = Vec::new();
    for path in paths {
        for file in files(path)? {
            let handler = read(name_of(&file), &text(&file)?);
            let wrong = |fault| {
                let file = file.display();
                format!("{file}: {fault}\nhint: `ringpost handlers check {file}` shows the place")
            };
            handlers.push(handler.map_err(wrong)?);
        }
    }
    Ok(handlers)
}

/// The snapshot that stands for what retention has taken from the front of the log.
pub(super) fn before(log: &Log) -> Result<Option<Snapshot>, LogError> {
    let first = log.segments().first().map_or(0, |segment| segment.scan().header.base_seq);
    if first == 0 {
        return Ok(None);
    }
    let oldest_first = snapshot::list(log.log_dir())?.into_iter().rev();
    Ok(oldest_first.filter_map(|(_, path)| Snapshot::open(&path).ok()).next())
}

/// The handlers that hold at the end of the log, with their faults: one of an older version may be
/// none any more.
pub(super) fn of_log(
    log: &Log,
    before: Option<&Snapshot>,
) -> BTreeMap<String, Result<Handler, Fault>> {
    let mut newest: BTreeMap<String, (u64, String)> = BTreeMap::new();
    let entries = before.into_iter().flat_map(Snapshot::entries).chain(log.entries());
    for entry in entries.filter(|entry| entry.kind() == Some(crate::log::Kind::Definition)) {
        let Some(RecordView::Definition(definition)) = entry.view() else { continue };
        if Kind::from_number(definition.kind) != Some(Kind::Handler) {
            continue;
        }
        let version = definition.version.to_native();
        let known = newest.entry(definition.name.to_string()).or_default();
        if known.0 < version {
            *known = (version, definition.body.to_string());
        }
    }
    let held = newest.into_iter().filter(|(_, (_, body))| !body.is_empty());
    held.map(|(name, (_, body))| (name.clone(), read(&name, &body))).collect()
}

/// The one of this name.
pub(super) fn pick(
    mut found: BTreeMap<String, Result<Handler, Fault>>,
    name: &str,
) -> Result<Handler, String> {
    let hint = match nearest(name, found.keys().map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None if found.is_empty() => "the log has no handler; --file rehearses a file".to_owned(),
        None => {
            let names: Vec<_> = found.keys().map(String::as_str).collect();
            format!("the log has {}", names.join(", "))
        }
    };
    match found.remove(name) {
        Some(handler) => handler.map_err(|fault| format!("the handler {name}: {fault}")),
        None => Err(format!("there is no handler {name:?} in the log\nhint: {hint}")),
    }
}

//! Files of a command on this machine, and the manifest that they make.

use super::{EXIT_ERROR, EXIT_REFUSED, Failure};
use crate::commands::files;
use crate::config::LocalCommand;
use serde_json::{Map, Value, json};
use std::io::{self, Read};
use std::path::Path;

/// The manifest of files and of what was given as words.
pub(super) fn manifest(local: &LocalCommand) -> Result<String, Failure> {
    let LocalCommand { files: paths, fields } = local;
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

/// A file that cannot be read.
pub(super) fn unread(path: &Path, error: &io::Error) -> Failure {
    Failure::new(EXIT_ERROR, format!("cannot read {}: {error}", path.display()), "")
}

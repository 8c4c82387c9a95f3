//! Commands as files: a manifest, code, or both under one name.

use super::packed;
use crate::registry::Fault;
use serde_json::{Map, Value};
use std::path::Path;

/// The extension of a manifest.
pub const MANIFEST: &str = "json";
/// Extensions of code, and the field of the manifest that it becomes.
pub const CODE: [(&str, &str); 2] = [("rhai", "script"), ("wasm", "wasm")];

/// Whether files with this extension are part of a command.
pub fn is_part(extension: &str) -> bool {
    extension == MANIFEST || CODE.iter().any(|(code, _)| *code == extension)
}

/// The manifest of a program: what it says of itself, and its name.
pub fn of_program(path: &Path, said: &[u8]) -> Result<String, String> {
    let wrong = |error: serde_json::Error| format!("--describe wants a JSON object: {error}");
    let mut fields: Map<String, Value> = serde_json::from_slice(said).map_err(wrong)?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    fields.insert("exec".to_owned(), name.into());
    Ok(Value::Object(fields).to_string())
}

/// The manifest that some files make together, each with its extension: what the manifest says, and
/// the code. Text stays as it is where nothing is added, so that faults name its lines.
pub fn assemble(files: Vec<(String, Vec<u8>)>) -> Result<String, Fault> {
    let (mut text, mut code) = (None, Vec::new());
    for (extension, bytes) in files {
        let field = CODE.iter().find(|(end, _)| *end == extension).map(|(_, field)| *field);
        let words = match field {
            Some("wasm") => packed::pack(&bytes),
            _ => String::from_utf8(bytes).map_err(|_| Fault::of("", "is not UTF-8"))?,
        };
        match field {
            Some(field) => code.push((field, words)),
            None => text = Some(words),
        }
    }
    if code.is_empty() {
        return Ok(text.unwrap_or_default());
    }
    let mut fields: Map<String, Value> = match &text {
        Some(text) => serde_json::from_str(text)?,
        None => Map::new(),
    };
    fields.extend(code.into_iter().map(|(field, words)| (field.to_owned(), words.into())));
    Ok(Value::Object(fields).to_string())
}

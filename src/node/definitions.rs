//! Definitions: how each kind is read, and those that a folder holds at a start.

use super::NodeError;
use crate::base::network::Network;
use crate::registry::{Definition, Fault, Kind, Registry, check_name_of, check_size};
use crate::shard::definitions;
use std::path::Path;
use std::sync::Arc;

/// Reads a definition only to say what is wrong with it, for hubs, which know no networks: whether
/// a subscriber may be called was judged by the shard that took the request.
pub fn check(kind: Kind, name: &str, body: &str) -> Result<(), Fault> {
    let anywhere = ["0.0.0.0/0", "::/0"].map(|network| network.parse().expect("a network"));
    definitions::check(kind, name, body, &anywhere)
}

/// The definitions of a folder that say something else than the log, as records to be written.
/// What the folder lacks stays as it is.
pub fn changed(
    folder: &Path,
    known: &Registry,
    networks: &[Network],
    ts_us: i64,
) -> Result<Vec<Arc<Definition>>, NodeError> {
    let mut changed = Vec::new();
    // Commands, which may have several files, are put by the thread that watches them.
    for (kind, name, ..) in Kind::ALL.into_iter().filter(|(kind, ..)| *kind != Kind::Command) {
        let folder = folder.join(format!("{name}s"));
        let listing = match std::fs::read_dir(&folder) {
            Ok(listing) => listing,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(wrong(&folder, &error)),
        };
        let mut paths = Vec::new();
        for entry in listing {
            let path = entry.map_err(|error| wrong(&folder, &error))?.path();
            if path.extension().is_some_and(|end| end == "json") {
                paths.push(path);
            }
        }
        paths.sort();
        for path in paths {
            let body = std::fs::read_to_string(&path).map_err(|error| wrong(&path, &error))?;
            let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            check_name_of(kind, name)
                .and_then(|()| check_size(&body))
                .and_then(|()| definitions::check(kind, name, &body, networks))
                .map_err(|fault| wrong(&path, &fault))?;
            if known.get(kind, name).is_some_and(|known| *known.body == *body) {
                continue;
            }
            let version = known.next_version(kind, name);
            let (name, by) = (name.into(), "".into());
            let body = body.into();
            changed.push(Arc::new(Definition { kind, name, version, by, ts_us, body }));
        }
    }
    Ok(changed)
}

fn wrong(path: &Path, what: &dyn std::fmt::Display) -> NodeError {
    NodeError::Definition(format!("{}: {what}", path.display()))
}

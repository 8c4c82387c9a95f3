//! Files that were fetched once, on the disk, as many as fit.

use crate::shard::media::Found;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// `{number}_{id}`; numbers have digits only.
pub type Key = Arc<str>;

/// The files. `<dir>/<key>.bin` holds the bytes, `<key>.json` the type.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    bytes_max: u64,
    bytes: u64,
    files: HashMap<Key, Kept>,
    /// By their last use, oldest first.
    uses: BTreeMap<u64, Key>,
    last_use: u64,
}

#[derive(Debug)]
struct Kept {
    mime: String,
    bytes: u64,
    used: u64,
}

impl Cache {
    /// Looks at what a former life left: what is not whole goes. A folder that is not there, or
    /// that cannot be listed, holds nothing.
    pub fn open(dir: PathBuf, bytes_max: u64) -> Self {
        let (files, uses) = (HashMap::new(), BTreeMap::new());
        let mut cache = Self { dir, bytes_max, bytes: 0, files, uses, last_use: 0 };
        let mut found: Vec<(SystemTime, Key, String, u64)> = Vec::new();
        let mut whole: Vec<PathBuf> = Vec::new();
        let listing = fs::read_dir(&cache.dir).into_iter().flatten().flatten();
        let listing: Vec<PathBuf> = listing.map(|entry| entry.path()).collect();
        for path in &listing {
            let Some((key, mime)) = meta(path) else { continue };
            let bin = path.with_extension("bin");
            if let Ok(data) = fs::metadata(&bin) {
                let at = data.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.push((at, key, mime, data.len()));
                whole.extend([bin, path.clone()]);
            }
        }
        let stray = |path: &&PathBuf| !whole.contains(path) && path.extension().is_some();
        // What cannot be removed now is found by the next start.
        listing.iter().filter(stray).for_each(|path| drop(fs::remove_file(path)));
        found.sort();
        for (_, key, mime, bytes) in found {
            cache.insert(key, mime, bytes);
        }
        cache.shrink();
        cache
    }

    /// Makes the folder before the first file comes.
    pub fn make_folder(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)
    }

    /// Where the bytes of a file are to be put.
    pub fn path(&self, key: &str) -> PathBuf {
        self.dir.join(format!("{key}.bin"))
    }

    /// Where a file stands on its way to the platform.
    pub fn draft(&self, ticket: u64) -> PathBuf {
        self.dir.join(format!("{ticket}.out"))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// A file, if it is there.
    pub fn find(&mut self, key: &Key) -> Option<Found> {
        let kept = self.files.get(key)?;
        let Ok(file) = File::open(self.path(key)) else {
            self.remove(key);
            return None;
        };
        let found = Found { mime: kept.mime.clone(), bytes: kept.bytes, file: Arc::new(file) };
        self.touch(key);
        Some(found)
    }

    /// Takes in a file that was put at its [`Cache::path`]. Older ones make room for it.
    pub fn keep(&mut self, key: &Key, mime: &str, bytes: u64) -> io::Result<Found> {
        let file = File::open(self.path(key))?;
        let text = json!({"key": &**key, "mime": mime}).to_string();
        fs::write(self.path(key).with_extension("json"), text)?;
        self.insert(Arc::clone(key), mime.to_owned(), bytes);
        self.shrink();
        Ok(Found { mime: mime.to_owned(), bytes, file: Arc::new(file) })
    }

    /// Lets go of everything. Whoever reads a file reads it to its end.
    pub fn clear(&mut self) {
        while let Some((_, key)) = self.uses.first_key_value() {
            let key = Arc::clone(key);
            self.remove(&key);
        }
    }

    /// Lets go of a file, known or not.
    pub fn remove(&mut self, key: &Key) {
        if let Some(kept) = self.files.remove(key) {
            self.uses.remove(&kept.used);
            self.bytes -= kept.bytes;
        }
        for extension in ["json", "bin"] {
            // One that never came is not there.
            let _ = fs::remove_file(self.path(key).with_extension(extension));
        }
    }

    fn insert(&mut self, key: Key, mime: String, bytes: u64) {
        self.last_use += 1;
        let used = self.last_use;
        if let Some(old) = self.files.insert(Arc::clone(&key), Kept { mime, bytes, used }) {
            self.uses.remove(&old.used);
            self.bytes -= old.bytes;
        }
        self.uses.insert(used, key);
        self.bytes += bytes;
    }

    fn touch(&mut self, key: &Key) {
        self.last_use += 1;
        let kept = self.files.get_mut(key).expect("just found");
        self.uses.remove(&kept.used);
        kept.used = self.last_use;
        self.uses.insert(self.last_use, Arc::clone(key));
    }

    fn shrink(&mut self) {
        while self.bytes > self.bytes_max {
            let (_, oldest) = self.uses.first_key_value().expect("it holds bytes");
            let oldest = Arc::clone(oldest);
            self.remove(&oldest);
        }
    }
}

/// Key and type of `<key>.json`.
fn meta(path: &Path) -> Option<(Key, String)> {
    if path.extension()? != "json" {
        return None;
    }
    let value: Value = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
    let (key, mime) = (value["key"].as_str()?, value["mime"].as_str()?);
    (path.file_stem()?.to_str()? == key).then(|| (key.into(), mime.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(cache: &mut Cache, name: &str, bytes: usize) {
        let key: Key = name.into();
        fs::write(cache.path(&key), vec![7; bytes]).expect("written");
        cache.keep(&key, "image/png", bytes as u64).expect("kept");
    }

    fn names(cache: &Cache) -> Vec<String> {
        cache.uses.values().map(|key| key.to_string()).collect()
    }

    #[test]
    fn the_least_used_makes_room_and_a_start_finds_the_rest() {
        let dir = std::env::temp_dir().join(format!("ringpost-media-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let mut cache = Cache::open(dir.clone(), 100);
        cache.make_folder().expect("made");
        put(&mut cache, "1_a", 40);
        put(&mut cache, "1_b", 40);
        assert_eq!(cache.find(&"1_a".into()).map(|found| found.bytes), Some(40));
        put(&mut cache, "1_c", 40);
        assert_eq!(names(&cache), ["1_a", "1_c"], "b was used longest ago");
        assert!(cache.find(&"1_b".into()).is_none() && !cache.path("1_b").exists());
        fs::write(dir.join("1_d.bin.3.part"), "half").expect("written");
        fs::write(dir.join("1_e.bin"), "no type").expect("written");
        let mut cache = Cache::open(dir.clone(), 100);
        assert_eq!(cache.find(&"1_c".into()).expect("kept").mime, "image/png");
        assert_eq!(fs::read_dir(&dir).expect("listed").count(), 4, "nothing half is left");
        cache.clear();
        assert!(cache.is_empty() && fs::read_dir(&dir).expect("listed").count() == 0);
        put(&mut cache, "1_f", 101);
        assert!(cache.is_empty(), "one that does not fit is not kept");
        fs::remove_dir_all(&dir).expect("removed");
    }
}

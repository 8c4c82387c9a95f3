//! The thread of files: fetches those of the platform once, keeps them on the disk, and reads them
//! piece by piece for shards, which never touch a disk.
//!
//! An erasure empties the whole cache: a file does not tell whose it was. So does one that was done
//! while the server did not run.

mod cache;

use super::NodeError;
use crate::base::ids::ShardId;
use crate::base::limits::{MEDIA_CHUNK_BYTES, MEDIA_DOWNLOADS_MAX};
use crate::egress::{Call, Caller, Got, Miss, Request};
use crate::log::erase::request;
use crate::shard::media::{Answer, Failure, Found, Question, What, Word};
use crate::shard::world::{Mail, World};
use crate::whatsapp::media::{Checksum, MediaInfo};
use cache::{Cache, Key};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use serde_json::Value;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

/// Words that may wait; a shard that finds the channel full keeps its own.
pub const WORDS_MAX: usize = 4_096;
/// How soon an erasure is seen while there are files.
const LOOK: Duration = Duration::from_secs(1);
/// And while there are none.
const FOREVER: Duration = Duration::from_secs(3_600);
/// Holds which erasures the cache was emptied for; without an extension it is no file of the cache.
const SEEN: &str = "erasures";

const FULL: Failure = Failure {
    status: 503,
    reason: "overloaded",
    hint: "too many files are being fetched; ask again",
};
const GONE: Failure = Failure {
    status: 404,
    reason: "not_found",
    hint: "WhatsApp has no such file for this number; files of messages are there for 7 days",
};
const NO_TOKEN: Failure = Failure {
    status: 502,
    reason: "token_refused",
    hint: "WhatsApp does not take the token of this number; see the setting whatsapp.token",
};
const UNREACHABLE: Failure =
    Failure { status: 504, reason: "platform_down", hint: "WhatsApp did not answer; ask again" };
const STRANGE: Failure = Failure {
    status: 502,
    reason: "platform_error",
    hint: "WhatsApp did not give the file; ask again",
};
const REFUSED: Failure = Failure {
    status: 502,
    reason: "platform_refused",
    hint: "WhatsApp does not take this file; look at its type and its size",
};
const TOO_LARGE: Failure = Failure {
    status: 502,
    reason: "too_large",
    hint: "the file is larger than WhatsApp lets a file of its type be",
};
const DAMAGED: Failure = Failure {
    status: 502,
    reason: "damaged",
    hint: "what came is not what WhatsApp announced; ask again",
};
const DISK: Failure = Failure {
    status: 503,
    reason: "disk",
    hint: "the file cannot be kept on the disk of the server; see its standard error",
};

/// Starts the thread. It ends with the process.
pub fn start(words: Receiver<Word>, world: &Arc<World>) -> Result<JoinHandle<()>, NodeError> {
    let root = world.config.server.data.clone();
    let dir = root.join("media");
    let cache = Cache::open(dir.clone(), world.config.media.cache_bytes);
    let mut desk = Desk {
        world: Arc::clone(world),
        root,
        seen: dir.join(SEEN),
        cache,
        downloads: HashMap::new(),
        flights: HashMap::new(),
        uploads: HashMap::new(),
        ticket: 0,
        erasures: 0,
    };
    desk.heed_former_erasures();
    let thread = std::thread::Builder::new().name("ringpost-media".to_owned());
    thread.spawn(move || desk.run(&words)).map_err(NodeError::Thread)
}

struct Desk {
    world: Arc<World>,
    root: PathBuf,
    seen: PathBuf,
    cache: Cache,
    downloads: HashMap<Key, Download>,
    /// Calls under way, and for which file.
    flights: HashMap<u64, Key>,
    /// Files on their way to the platform, and who sends them.
    uploads: HashMap<u64, (ShardId, u64)>,
    ticket: u64,
    /// [`World::erasures`] when the cache was emptied last.
    erasures: u64,
}

struct Download {
    number: Arc<str>,
    id: Box<str>,
    /// Who waits for it; those who ask later join.
    waiters: Vec<(ShardId, u64)>,
    /// What is fetched; none while the platform is asked where it is.
    info: Option<MediaInfo>,
    /// Its address had run out, and was asked for once more.
    is_second: bool,
    /// An erasure came meanwhile: given to those who wait, and not kept.
    is_stale: bool,
}

impl Desk {
    fn run(mut self, words: &Receiver<Word>) {
        loop {
            let has_files = !self.cache.is_empty() || !self.downloads.is_empty();
            let wait = if has_files { LOOK } else { FOREVER };
            let word = match words.recv_timeout(wait) {
                Ok(word) => Some(word),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.heed_erasures();
            match word {
                Some(Word::Ask(question)) => self.take(question),
                Some(Word::Reply { ticket, result }) => self.land(ticket, result),
                None => {}
            }
        }
    }

    fn heed_former_erasures(&mut self) {
        let changed = self.changed();
        if changed != fs::read_to_string(&self.seen).unwrap_or_default() {
            self.cache.clear();
            // When it cannot be written, the next start empties the cache again.
            let _ = fs::write(&self.seen, changed);
        }
    }

    /// Names the state of all demands for erasures; empty when there never was one.
    fn changed(&self) -> String {
        let changed_us = request::changed_us(&self.root).ok().flatten();
        changed_us.map(|changed_us| changed_us.to_string()).unwrap_or_default()
    }

    fn heed_erasures(&mut self) {
        let erasures = self.world.erasures.load(Ordering::Acquire);
        if self.erasures != erasures {
            self.erasures = erasures;
            self.cache.clear();
            self.downloads.values_mut().for_each(|download| download.is_stale = true);
            let _ = fs::write(&self.seen, self.changed());
        }
    }

    fn take(&mut self, question: Question) {
        let asker = (question.shard, question.ticket);
        match question.what {
            What::Read { file, at } => self.answer(asker, read(&file, at)),
            What::Upload { number, mime, bytes } => {
                if let Err(failure) = self.upload(asker, &number, mime, &bytes) {
                    self.answer(asker, Answer::Failed(failure));
                }
            }
            What::Open { number, id } => {
                let key: Key = format!("{number}_{id}").into();
                if let Some(found) = self.cache.find(&key) {
                    return self.answer(asker, Answer::Found(found));
                }
                if let Some(download) = self.downloads.get_mut(&key) {
                    return download.waiters.push(asker);
                }
                if self.downloads.len() >= MEDIA_DOWNLOADS_MAX {
                    return self.answer(asker, Answer::Failed(FULL));
                }
                let download = Download {
                    number: (*number).into(),
                    id,
                    waiters: vec![asker],
                    info: None,
                    is_second: false,
                    is_stale: false,
                };
                self.downloads.insert(Arc::clone(&key), download);
                self.ask_where(&key);
            }
        }
    }

    /// Puts the file where egress finds it. It is gone when the platform has answered.
    fn upload(
        &mut self,
        asker: (ShardId, u64),
        number: &str,
        mime: Box<str>,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        if self.uploads.len() >= MEDIA_DOWNLOADS_MAX {
            return Err(FULL);
        }
        self.ticket += 1;
        let ticket = self.ticket;
        let file = self.cache.draft(ticket);
        let written = self.cache.make_folder().and_then(|()| fs::write(&file, bytes));
        written.map_err(|error| broken(&error))?;
        let request = Request::Upload { number: number.into(), file: file.clone(), mime };
        let call = Call { caller: Caller::Media, ticket, request };
        if self.world.egress.try_call(call).is_err() {
            let _ = fs::remove_file(file);
            return Err(FULL);
        }
        self.uploads.insert(ticket, asker);
        Ok(())
    }

    fn uploaded(&mut self, ticket: u64, asker: (ShardId, u64), result: Result<Got, Miss>) {
        // What cannot be removed is found by the next start.
        let _ = fs::remove_file(self.cache.draft(ticket));
        let answer = match result {
            Ok(Got { status: 200, body, .. }) => {
                let value: Value = serde_json::from_slice(&body).unwrap_or_default();
                let id = value["id"].as_str().map(str::to_owned);
                id.map_or(Answer::Failed(STRANGE), Answer::Taken)
            }
            Ok(Got { status: 401 | 403, .. }) => Answer::Failed(NO_TOKEN),
            Ok(Got { status: 400, .. }) => Answer::Failed(REFUSED),
            Ok(_) => Answer::Failed(STRANGE),
            Err(miss) => Answer::Failed(failure(&miss)),
        };
        self.answer(asker, answer);
    }

    fn ask_where(&mut self, key: &Key) {
        let download = self.downloads.get_mut(key).expect("under way");
        download.info = None;
        let (number, media) = (Arc::clone(&download.number), download.id.clone());
        self.call(key, Request::MediaInfo { number, media });
    }

    fn call(&mut self, key: &Key, request: Request) {
        self.ticket += 1;
        let ticket = self.ticket;
        let call = Call { caller: Caller::Media, ticket, request };
        if self.world.egress.try_call(call).is_ok() {
            self.flights.insert(ticket, Arc::clone(key));
        } else {
            self.end(key, Err(FULL));
        }
    }

    fn land(&mut self, ticket: u64, result: Result<Got, Miss>) {
        if let Some(asker) = self.uploads.remove(&ticket) {
            return self.uploaded(ticket, asker, result);
        }
        let Some(key) = self.flights.remove(&ticket) else { return };
        let download = self.downloads.get_mut(&key).expect("under way");
        let got = match result {
            Ok(got) => got,
            Err(miss) => return self.end(&key, Err(failure(&miss))),
        };
        match (&download.info, got.status) {
            (None, 200) => match MediaInfo::parse(&got.body) {
                Some(info) => self.fetch(&key, info),
                None => self.end(&key, Err(STRANGE)),
            },
            (Some(_), 200) => {
                let ended = self.close(&key, got.bytes);
                self.end(&key, ended);
            }
            // The address holds for five minutes.
            (Some(_), 404) if !download.is_second => {
                download.is_second = true;
                self.ask_where(&key);
            }
            (_, 400 | 404) => self.end(&key, Err(GONE)),
            (_, 401 | 403) => self.end(&key, Err(NO_TOKEN)),
            _ => self.end(&key, Err(STRANGE)),
        }
    }

    fn fetch(&mut self, key: &Key, info: MediaInfo) {
        let bytes_max = info.bytes_max();
        if info.bytes.is_some_and(|bytes| bytes > bytes_max) {
            return self.end(key, Err(TOO_LARGE));
        }
        if let Err(error) = self.cache.make_folder() {
            return self.end(key, Err(broken(&error)));
        }
        let download = self.downloads.get_mut(key).expect("under way");
        let (number, url) = (Arc::clone(&download.number), info.url.as_str().into());
        download.info = Some(info);
        let file = self.cache.path(key);
        self.call(key, Request::Download { number, url, file, bytes_max });
    }

    /// Looks at a file that has come.
    fn close(&mut self, key: &Key, bytes: u64) -> Result<Found, Failure> {
        let info = self.downloads[key].info.as_ref().expect("it was fetched");
        let hash = info.hash.as_ref();
        let is_right = info.bytes.is_none_or(|announced| announced == bytes)
            && hash.is_none_or(|hash| is_hash(&self.cache.path(key), hash).unwrap_or(false));
        if !is_right {
            return Err(DAMAGED);
        }
        let mime = info.mime.clone();
        self.cache.keep(key, &mime, bytes).map_err(|error| broken(&error))
    }

    /// Answers those who wait.
    fn end(&mut self, key: &Key, ended: Result<Found, Failure>) {
        let download = self.downloads.remove(key).expect("under way");
        if ended.is_err() || download.is_stale {
            // Those who have it open read it to its end.
            self.cache.remove(key);
        }
        for waiter in download.waiters {
            let answer = match &ended {
                Ok(found) => Answer::Found(found.clone()),
                Err(failure) => Answer::Failed(*failure),
            };
            self.answer(waiter, answer);
        }
    }

    fn answer(&self, (shard, ticket): (ShardId, u64), answer: Answer) {
        let shard = usize::from(shard.0);
        // A shard that has ended takes no mail.
        if self.world.mail[shard].send(Mail::Media { ticket, answer }).is_ok() {
            self.world.ring(shard);
        }
    }
}

fn failure(miss: &Miss) -> Failure {
    match miss {
        Miss::NotSent(_) | Miss::Lost(_) => UNREACHABLE,
        Miss::Refused(why) if why.contains("token") => NO_TOKEN,
        Miss::Refused(_) => STRANGE,
        Miss::TooLarge { .. } => TOO_LARGE,
        Miss::File(why) => {
            eprintln!("ringpost: a file of WhatsApp cannot be kept: {why}");
            DISK
        }
    }
}

fn broken(error: &io::Error) -> Failure {
    eprintln!("ringpost: a file of WhatsApp cannot be kept: {error}");
    DISK
}

fn read(file: &File, at: u64) -> Answer {
    let mut bytes = vec![0; MEDIA_CHUNK_BYTES];
    match file.read_at(&mut bytes, at) {
        Ok(count) if count > 0 => {
            bytes.truncate(count);
            Answer::Chunk(bytes)
        }
        Ok(_) => Answer::Failed(DAMAGED),
        Err(error) => Answer::Failed(broken(&error)),
    }
}

fn is_hash(path: &Path, hash: &[u8; 32]) -> io::Result<bool> {
    let (mut file, mut sum) = (File::open(path)?, Checksum::default());
    let mut bytes = vec![0; MEDIA_CHUNK_BYTES];
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(sum.is(hash)),
            count => sum.update(&bytes[..count]),
        }
    }
}

//! The thread of the subscriptions: the log in, posts out, and their files.

use super::NodeError;
use crate::base::clock::Now;
use crate::base::ids::ShardId;
use crate::base::network::Network;
use crate::egress::{Call, Caller, EgressSender};
use crate::log::directory::log_dir;
use crate::registry::{Definition, Kind};
use crate::subscriptions::{
    Answer, Deed, File, Item, LogSource, Question, Source, Standing, Subscriptions,
};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Items that may wait for the thread: definitions, answers and commands.
pub const ITEMS_MAX: usize = 4_096;
/// How often the log is looked at while something comes, and while nothing does.
const LOOK_BUSY: Duration = Duration::from_millis(5);
const LOOK_QUIET: Duration = Duration::from_millis(100);
/// How long the quick looks go on behind the last event.
const BUSY_FOR: Duration = Duration::from_millis(500);
/// Between two turns that have more to do.
const PAUSE: Duration = Duration::from_micros(200);
/// An older segment is let go of after this: its file may have been replaced.
const OLD_AGE_MAX: Duration = Duration::from_secs(1);
/// How often it is told how things stand.
const STANDING_EVERY: Duration = Duration::from_millis(500);
/// At the stop, so long for the answers to what was posted.
const STOP_WAIT: Duration = Duration::from_secs(3);
/// Nobody asks for longer than this without a reason.
const FOREVER: Duration = Duration::from_secs(3_600);

/// What the thread is to know.
pub struct Options {
    /// The data directory.
    pub root: PathBuf,
    /// Networks that may be called although they are not public.
    pub networks: Vec<Network>,
    /// Spreads retries.
    pub seed: u64,
    /// Number of the first record that was written since the start.
    pub begin_seq: u64,
    /// Reads both clocks.
    pub now: Box<dyn Fn() -> Now + Send>,
    /// Records below this number are safe; `None`: all that are written.
    pub durable: Box<dyn Fn() -> Option<u64> + Send>,
    /// Calls out. The answers to [`Caller::Subscriptions`] come as [`Item::Reply`].
    pub egress: EgressSender,
    /// Counts erasures that are done.
    pub erasures: Box<dyn Fn() -> u64 + Send>,
    /// Answers a shard's question with this ticket.
    pub answer: Box<dyn Fn(ShardId, u64, Answer) + Send>,
    /// Is told how all stand, now and then.
    pub tell: Box<dyn Fn(Vec<Standing>) + Send>,
}

/// Starts the thread. It ends with [`Item::Stop`], or when every sender is gone.
pub fn start(options: Options, items: Receiver<Item>) -> Result<JoinHandle<()>, NodeError> {
    let files = Files { root: options.root.join("subscriptions") };
    let state = Subscriptions::new(options.networks.clone(), options.seed, options.begin_seq);
    let at = Instant::now();
    let turn = Turn {
        options,
        files,
        source: None,
        state,
        deeds: Vec::new(),
        moved: at,
        old_since: at,
        erasures: 0,
        told: at,
        is_news: false,
        is_blind: false,
        stop_by: None,
    };
    let thread = std::thread::Builder::new().name("ringpost-subscriptions".to_owned());
    thread.spawn(move || turn.run(&items)).map_err(NodeError::Thread)
}

struct Turn {
    options: Options,
    files: Files,
    /// Opened for the first definition: most servers have none.
    source: Option<LogSource>,
    state: Subscriptions,
    deeds: Vec<Deed>,
    /// When the log last had something new.
    moved: Instant,
    old_since: Instant,
    /// [`Options::erasures`] when the log was opened last.
    erasures: u64,
    /// When the standings were told last.
    told: Instant,
    /// One came or went since.
    is_news: bool,
    /// The log could not be opened when a definition came.
    is_blind: bool,
    /// The server stops: nothing new is posted, and this ends by then.
    stop_by: Option<Instant>,
}

impl Turn {
    fn run(mut self, items: &Receiver<Item>) {
        loop {
            let first = match items.recv_timeout(self.wait()) {
                Ok(item) => Some(item),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            };
            self.refresh();
            for item in first.into_iter().chain(items.try_iter().take(ITEMS_MAX)) {
                self.take(item);
            }
            if let Some(by) = self.stop_by {
                if !self.state.are_flying() || Instant::now() >= by {
                    return self.end();
                }
            } else if let Some(source) = &mut self.source {
                let now = (self.options.now)();
                self.state.turn(now, source, &mut self.deeds);
                self.perform();
            }
            self.tell_standings();
        }
    }

    fn tell_standings(&mut self) {
        let is_time = self.state.count() > 0 && self.told.elapsed() >= STANDING_EVERY;
        if is_time || self.is_news {
            self.told = Instant::now();
            self.is_news = false;
            let now = (self.options.now)();
            (self.options.tell)(self.state.standings(now, self.end_of_log()));
        }
    }

    fn end_of_log(&self) -> u64 {
        self.source.as_ref().map_or(0, Source::end)
    }

    fn wait(&self) -> Duration {
        if self.stop_by.is_some() {
            return LOOK_BUSY;
        }
        if !self.state.are_listening() {
            return FOREVER;
        }
        if self.state.have_work(self.end_of_log()) {
            return PAUSE;
        }
        let look = if self.moved.elapsed() < BUSY_FOR { LOOK_BUSY } else { LOOK_QUIET };
        let now_ms = (self.options.now)().mono_ms();
        let due = self.state.deadline_ms().map(|at_ms| at_ms.saturating_sub(now_ms).max(1));
        due.map_or(look, |due_ms| look.min(Duration::from_millis(due_ms)))
    }

    fn refresh(&mut self) {
        let Some(source) = &mut self.source else { return };
        // Asked before the log is read: what was safe then is safe still.
        let durable = (self.options.durable)();
        let before = source.end();
        let erasures = (self.options.erasures)();
        if self.erasures != erasures && source.reopen().is_ok() {
            self.erasures = erasures;
        }
        // A directory that cannot be listed now is listed later.
        let _ = source.refresh(durable);
        if source.end() != before {
            self.moved = Instant::now();
        }
        if self.old_since.elapsed() >= OLD_AGE_MAX {
            self.old_since = Instant::now();
            source.forget_old();
        }
    }

    fn take(&mut self, item: Item) {
        let now = (self.options.now)();
        match item {
            Item::Define(definition) if definition.kind == Kind::Subscription => {
                self.is_news = true;
                self.define(now, &definition);
            }
            Item::Define(_) => {}
            // Whoever could not be taken in keeps what is written down.
            Item::Complete if self.is_blind => {}
            Item::Complete => self.files.retain(|name| self.state.has(name)),
            Item::Reply { ticket, result } => {
                self.state.answered(now, ticket, &result, &mut self.deeds);
            }
            Item::Ask { shard, ticket, question } => {
                let answer = match question {
                    Question::Standings => {
                        Answer::Standings(self.state.standings(now, self.end_of_log()))
                    }
                    Question::Dead { name } => Answer::Dead(self.state.dead(&name)),
                    Question::Replay { name, ids } => {
                        Answer::Replay(self.state.replay(&name, &ids))
                    }
                };
                (self.options.answer)(shard, ticket, answer);
            }
            Item::Stop => self.stop_by = Some(Instant::now() + STOP_WAIT),
        }
        self.perform();
    }

    fn define(&mut self, now: Now, definition: &Definition) {
        if self.source.is_none() {
            let opened = LogSource::open(&log_dir(&self.options.root));
            self.source = opened.inspect_err(|error| eprintln!("ringpost: {error}")).ok();
            self.refresh();
        }
        let Some(source) = &mut self.source else {
            let name = &definition.name;
            eprintln!("ringpost: subscription {name} stands still until the next start");
            self.is_blind = true;
            return;
        };
        let files = &self.files;
        let saved = |name: &str, file: File| files.read(name, file);
        self.state.define(now, definition, source, &saved, &mut self.deeds);
    }

    fn perform(&mut self) {
        for deed in std::mem::take(&mut self.deeds) {
            match deed {
                Deed::Call { ticket, request } => {
                    let call = Call { caller: Caller::Subscriptions, ticket, request };
                    if self.options.egress.try_call(call).is_err() {
                        self.state.refused((self.options.now)(), ticket);
                    }
                }
                Deed::Save { name, file, text } => {
                    // What cannot be written now is told again after a crash, and no worse.
                    if let Err(error) = self.files.write(&name, file, &text) {
                        eprintln!("ringpost: subscription {name}: cannot be saved: {error}");
                    }
                }
                Deed::Remove { name } => self.files.remove(&name),
                Deed::Remark(words) => eprintln!("ringpost: {words}"),
            }
        }
    }

    fn end(&mut self) {
        self.state.flush((self.options.now)(), &mut self.deeds);
        self.perform();
    }
}

/// `<data>/subscriptions/<name>/`.
struct Files {
    root: PathBuf,
}

impl Files {
    fn path(&self, name: &str, file: File) -> PathBuf {
        let (_, text) = File::ALL.iter().find(|(known, _)| *known == file).expect("all are listed");
        self.root.join(name).join(text)
    }

    fn read(&self, name: &str, file: File) -> Option<String> {
        fs::read_to_string(self.path(name, file)).ok()
    }

    /// The old text or the new one is there, whatever happens.
    fn write(&self, name: &str, file: File, text: &str) -> io::Result<()> {
        let path = self.path(name, file);
        let dir = path.parent().expect("two names deep");
        if !dir.is_dir() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
            sync_dir(&self.root)?;
        }
        let draft = path.with_extension("new");
        let mut out = fs::File::create(&draft)?;
        out.write_all(text.as_bytes())?;
        out.sync_data()?;
        fs::rename(&draft, &path)?;
        sync_dir(dir)
    }

    /// Removes what is kept of subscriptions that are no more.
    fn retain(&self, is_known: impl Fn(&str) -> bool) {
        // Most servers never had any.
        let Ok(listing) = fs::read_dir(&self.root) else { return };
        for entry in listing.flatten() {
            if let Some(name) = entry.file_name().to_str().filter(|name| !is_known(name)) {
                self.remove(name);
            }
        }
    }

    fn remove(&self, name: &str) {
        // One that was never told anything has no directory.
        let _ = fs::remove_dir_all(self.root.join(name));
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress;
    use crate::log::scratch::Scratch;
    use crossbeam_channel::unbounded;

    /// What is left of the subscription `crm` when a thread was told all that there are.
    fn kept(root: &Path, names: &[&str]) -> Option<String> {
        let files = Files { root: root.join("subscriptions") };
        files.write("crm", File::Cursor, r#"{"cursor":7,"version":1}"#).expect("writable");
        let options = Options {
            root: root.to_path_buf(),
            networks: Vec::new(),
            seed: 1,
            begin_seq: 9,
            now: Box::new(|| Now { wall_us: 1, mono_us: 1 }),
            durable: Box::new(|| None),
            egress: egress::channel(1).0,
            erasures: Box::new(|| 0),
            answer: Box::new(|_, _, _| {}),
            tell: Box::new(|_| {}),
        };
        let (sender, items) = unbounded();
        let thread = start(options, items).expect("a thread");
        for name in names {
            let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
            let body = format!(r#"{{"url":"https://a.example/","secret":"{secret}"}}"#).into();
            let (kind, name, by) = (Kind::Subscription, (*name).into(), "ann".into());
            let definition = Definition { kind, name, version: 1, by, ts_us: 0, body };
            sender.send(Item::Define(definition.into())).expect("it runs");
        }
        sender.send(Item::Complete).expect("it runs");
        sender.send(Item::Stop).expect("it runs");
        thread.join().expect("no panic");
        files.read("crm", File::Cursor)
    }

    #[test]
    fn what_is_kept_goes_with_its_definition_and_not_because_the_log_cannot_be_opened() {
        let dir = Scratch::new("subscriptions");
        assert_eq!(kept(dir.path(), &["crm"]).as_deref(), Some(r#"{"cursor":7,"version":1}"#));
        assert_eq!(kept(dir.path(), &[]), None);
    }
}

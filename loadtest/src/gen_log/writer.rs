//! The story into a real log: the server's own writer, with the clock of the story.

use super::command_line::Options;
use super::story::Sink;
use ringpost::log::record::{NameId, NameKind, Record};
use ringpost::log::{
    AckPolicy, DataDir, LogHandle, LogOptions, LogState, LogWriter, Producer, Recovered,
};
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// The story's time, which the log thread asks for.
static NOW_US: AtomicI64 = AtomicI64::new(0);

/// Messages between two looks at the real clock.
const GLANCE: u64 = 8_192;

/// What was written so far, over all starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// Records, names included.
    pub record_count: u64,
    /// Bytes in segments.
    pub bytes: u64,
    /// Segments.
    pub segment_count: u64,
}

/// A log that is being written.
pub struct LogSink<'a> {
    options: &'a Options,
    writer: Option<LogWriter>,
    producers: Vec<Producer>,
    before: Written,
    begin: Instant,
    shown: Instant,
    terminal: bool,
}

impl<'a> LogSink<'a> {
    /// Makes the log.
    ///
    /// # Errors
    /// A directory that holds a log, or cannot be made.
    pub fn start(options: &'a Options) -> Result<Self, String> {
        if ringpost::log::directory::holds_segments(&ringpost::log::directory::log_dir(
            &options.data,
        )) {
            return Err(format!("{} holds a log already", options.data.display()));
        }
        NOW_US.store(options.begin_us, Ordering::Relaxed);
        let mut sink = Self {
            options,
            writer: None,
            producers: Vec::new(),
            before: Written::default(),
            begin: Instant::now(),
            shown: Instant::now(),
            terminal: std::io::stderr().is_terminal(),
        };
        sink.open()?;
        Ok(sink)
    }

    fn open(&mut self) -> Result<(), String> {
        let dir = DataDir::lock(&self.options.data).map_err(|error| error.to_string())?;
        let recovered = Recovered::read(&dir).map_err(|error| error.to_string())?;
        let now = || NOW_US.load(Ordering::Relaxed);
        let log_options = LogOptions {
            // Nobody waits for an ack, so work gathers: full batches, as under load.
            policy: AckPolicy::Memory,
            segment_bytes: self.options.segment_mib << 20,
            ..LogOptions::new(self.options.shards, self.options.seed, now)
        };
        let started = LogWriter::start(dir, &recovered, log_options, Box::new(|_| ()));
        let (writer, producers) = started.map_err(|error| error.to_string())?;
        self.writer = Some(writer);
        self.producers = producers;
        Ok(())
    }

    /// Stops the writer in order; what was written.
    ///
    /// # Errors
    /// What the disk said.
    pub fn finish(&mut self, now_us: i64) -> Result<Written, String> {
        NOW_US.store(now_us, Ordering::Relaxed);
        let writer = self.writer.take().expect("it runs until here");
        let handle = writer.handle();
        writer.stop().map_err(|error| error.to_string())?;
        self.before = self.written(&handle);
        if self.terminal {
            eprint!("\r\x1b[K");
        }
        Ok(self.before)
    }

    fn written(&self, handle: &LogHandle) -> Written {
        let counts = handle.counts();
        Written {
            record_count: self.before.record_count + counts.record_count,
            bytes: self.before.bytes + counts.written_bytes,
            segment_count: self.before.segment_count + counts.segment_count,
        }
    }

    /// The log takes nothing now: waits until it does, or says why it never will.
    fn wait(&mut self, shard: usize) -> Result<(), String> {
        match self.producers[shard].state() {
            LogState::Ok => {
                self.producers[shard].wake();
                std::thread::sleep(Duration::from_micros(50));
                Ok(())
            }
            LogState::Full => Err("the disk is full".to_owned()),
            state => Err(format!("the log is {}", state.name())),
        }
    }

    fn show(&mut self, message_count: u64) {
        self.shown = Instant::now();
        let total = self.options.messages.max(1);
        let seconds = self.begin.elapsed().as_secs_f64();
        let rate = message_count as f64 / seconds / 1e6;
        let _ = write!(
            std::io::stderr(),
            "\r\x1b[K{:3} %  {message_count} messages, {rate:.2} M/s",
            message_count * 100 / total,
        );
    }
}

impl Sink for LogSink<'_> {
    fn intern(&mut self, shard: usize, kind: NameKind, name: &str) -> Result<NameId, String> {
        loop {
            match self.producers[shard].intern(kind, name) {
                Ok(id) => return Ok(id),
                Err(_) => self.wait(shard)?,
            }
        }
    }

    fn append<R: Record>(
        &mut self,
        shard: usize,
        (user, room): (NameId, NameId),
        record: &R,
    ) -> Result<(), String> {
        while self.producers[shard].append(user, room, record).is_err() {
            self.wait(shard)?;
        }
        Ok(())
    }

    fn restart(&mut self, now_us: i64) -> Result<(), String> {
        self.finish(now_us)?;
        self.open()
    }

    fn told(&mut self, message_count: u64) {
        if message_count.is_multiple_of(64) {
            self.producers.iter_mut().for_each(Producer::wake);
        }
        let due = self.terminal && message_count.is_multiple_of(GLANCE);
        if due && self.shown.elapsed() > Duration::from_millis(200) {
            self.show(message_count);
        }
    }
}

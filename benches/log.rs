//! What an append costs its shard, and how fast the log is read.
//!
//! `cargo bench --bench log` measures; `cargo test --benches` runs the same code small, so that it
//! cannot rot. Both check what they read. Look at CPU time and ratios on a loaded machine.

use hdrhistogram::Histogram;
use ringpost::base::ids::LogPosition;
use ringpost::log::record::{Direction, MessageV1, Source};
use ringpost::log::{
    AckPolicy, DataDir, Kind, Log, LogOptions, LogWriter, NameId, NameKind, Producer, RecordView,
    Recovered, Trust,
};
use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

const TEXT: &str = "a text of forty-eight bytes, as people write it.";

/// Sizes of a run: small in tests.
struct Scale {
    append_count: u64,
    scan_count: u64,
    rounds: u32,
}

fn main() {
    let full = std::env::args().any(|argument| argument == "--bench");
    let scale = if full {
        Scale { append_count: 750_000, scan_count: 3_000_000, rounds: 5 }
    } else {
        Scale { append_count: 2_000, scan_count: 2_000, rounds: 1 }
    };
    let root = std::env::temp_dir().join(format!("ringpost-bench-{}", std::process::id()));
    for policy in AckPolicy::ALL {
        append(&root, policy, &scale);
    }
    rotate(&root, &scale);
    scan(&root, &scale);
    let _ = std::fs::remove_dir_all(&root);
}

/// Appends at a steady 250,000 records a second, as a busy shard does, and times each one.
fn append(root: &Path, policy: AckPolicy, scale: &Scale) {
    let (writer, mut producer) = start(root, policy);
    let user = producer.intern(NameKind::User, "user").expect("room");
    let room = producer.intern(NameKind::Room, "room").expect("room");
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 1_000_000_000, 3).expect("bounds");
    let overhead = clock_overhead();
    let mut refused_count = 0u64;
    let before = Usage::of_this_thread();
    let begin = Instant::now();
    for o in 1..=scale.append_count {
        let due = Duration::from_micros(4 * o);
        while begin.elapsed() < due {
            std::hint::spin_loop();
        }
        let record = message(o);
        let one = Instant::now();
        let answer = producer.append(user, room, &record);
        let took = one.elapsed().saturating_sub(overhead);
        histogram.saturating_record(took.as_nanos() as u64);
        refused_count += u64::from(answer.is_err());
        if o % 32 == 0 {
            producer.wake();
        }
    }
    let used = Usage::of_this_thread().since(&before);
    let handle = writer.handle();
    while producer.committed() < producer.appended() {
        producer.wake();
        std::thread::sleep(Duration::from_millis(1));
    }
    let [log_cpu, seal_cpu] = ["ringpost-log", "ringpost-seal"].map(cpu_of_thread);
    writer.stop().expect("a clean stop");
    let at = |quantile| histogram.value_at_quantile(quantile);
    println!(
        "append {:6}  p50 {} ns  p99 {} ns  p99.9 {} ns  max {} us  \
         faults {}  refused {}  syncs {}  log thread {} CPU ns each, seal thread {}",
        policy.name(),
        at(0.5),
        at(0.99),
        at(0.999),
        histogram.max() / 1_000,
        used.faults,
        refused_count,
        handle.counts().sync_count,
        log_cpu.as_nanos() as u64 / scale.append_count,
        seal_cpu.as_nanos() as u64 / scale.append_count,
    );
    // The first ones are the histogram and the stack of this program; none comes with the records.
    assert!(used.faults < 64, "an append takes no page fault");
}

/// What an acknowledgement takes while segments follow one another, beside one that falls into a
/// segment's middle: making the next one must stall nobody.
fn rotate(root: &Path, scale: &Scale) {
    let root = root.join("rotate");
    let dir = DataDir::lock(&root).expect("a directory");
    let recovered = Recovered::read(&dir).expect("a readable log");
    let options = LogOptions { segment_bytes: 4 << 20, ..LogOptions::new(1, 7, || 1) };
    let (writer, mut producers) =
        LogWriter::start(dir, &recovered, options, Box::new(|_| ())).expect("a log thread");
    let (handle, producer) = (writer.handle(), &mut producers[0]);
    let text = "x".repeat(1_000);
    let new = || Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).expect("bounds");
    let (mut calm, mut rotating) = (new(), new());
    let mut waiting = VecDeque::<(LogPosition, Instant, u64)>::new();
    let begin = Instant::now();
    for o in 1..=scale.append_count / 10 {
        while begin.elapsed() < Duration::from_micros(50 * o) || waiting.len() > 4_000 {
            let acked = producer.acked();
            let segment_count = handle.counts().segment_count;
            while let Some((position, since, before)) = waiting.front().copied()
                && position <= acked
            {
                let histogram = if before == segment_count { &mut calm } else { &mut rotating };
                histogram.saturating_record(since.elapsed().as_micros() as u64);
                waiting.pop_front();
            }
            std::thread::yield_now();
        }
        let record = MessageV1 { text: &text, ..message(o) };
        let none = NameId::NONE;
        let position = producer.append(none, none, &record).expect("room in the ring");
        waiting.push_back((position, Instant::now(), handle.counts().segment_count));
        producer.wake();
    }
    writer.stop().expect("a clean stop");
    for (name, histogram) in [("within a segment", calm), ("over a rotation", rotating)] {
        println!(
            "ack fsync, {name:16}  {} acks  p50 {} us  p99 {} us  max {} us",
            histogram.len(),
            histogram.value_at_quantile(0.5),
            histogram.value_at_quantile(0.99),
            histogram.max(),
        );
    }
    println!("segments begun          {}", handle.counts().segment_count);
}

/// Fills a fresh log, opens it, and walks it: by headers alone, and reading each message.
fn scan(root: &Path, scale: &Scale) {
    let root = root.join("scan");
    let (writer, mut producer) = start(&root, AckPolicy::Os);
    let user = producer.intern(NameKind::User, "user").expect("room");
    let room = producer.intern(NameKind::Room, "room").expect("room");
    let before = Usage::of_this_thread();
    for o in 1..=scale.scan_count {
        while producer.append(user, room, &message(o)).is_err() {
            producer.wake();
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    let used = Usage::of_this_thread().since(&before);
    let append_ns = used.cpu.as_nanos() as f64 / scale.scan_count as f64;
    println!("append back to back     {append_ns:.1} CPU ns each");
    writer.stop().expect("a clean stop");
    let log_dir = root.join("log");
    let mut logs = None;
    measure("open (every checksum)", scale, || {
        let log = Log::open(&log_dir, Trust::Checksum).expect("a log");
        let count = log.segments().iter().map(|segment| segment.scan().record_count).sum();
        logs = Some(log);
        count
    });
    let log = logs.expect("opened");
    measure("walk (headers)", scale, || log.entries().count() as u64);
    measure("read (four fields)", scale, || read(&log, scale));
    let checked = Log::open(&log_dir, Trust::Validate).expect("a log");
    measure("read (validated)", scale, || read(&checked, scale));
}

/// Reads four fields of every message, and proves that they are the ones written.
fn read(log: &Log, scale: &Scale) -> u64 {
    let (mut o_sum, mut text_bytes, mut count) = (0u64, 0usize, 0u64);
    for entry in log.entries() {
        count += 1;
        if entry.kind() != Some(Kind::Message) {
            continue;
        }
        if let Some(RecordView::Message(message)) = entry.view() {
            o_sum += message.o.to_native();
            text_bytes += message.text.len();
            assert!(message.direction == Direction::Internal as u8);
            assert!(message.ts_us.to_native() > 0);
        }
    }
    assert_eq!(o_sum, scale.scan_count * (scale.scan_count + 1) / 2);
    assert_eq!(text_bytes as u64, scale.scan_count * TEXT.len() as u64);
    count
}

fn measure(what: &str, scale: &Scale, mut work: impl FnMut() -> u64) {
    let mut best_ns = f64::MAX;
    let mut count = 0;
    for _ in 0..scale.rounds {
        let before = Usage::of_this_thread();
        count = work();
        let used = Usage::of_this_thread().since(&before);
        best_ns = best_ns.min(used.cpu.as_nanos() as f64 / count as f64);
    }
    println!("{what:22}  {count} records  {best_ns:.1} CPU ns each  {:.0} M/s", 1e3 / best_ns);
}

fn message(o: u64) -> MessageV1<'static> {
    MessageV1 {
        o,
        ts_us: 1_795_370_400_000_000 + o as i64,
        reply: 0,
        cid: "",
        text: TEXT,
        display: "",
        external: "",
        extra: "",
        source: Source::Ws as u8,
        direction: Direction::Internal as u8,
    }
}

fn start(root: &Path, policy: AckPolicy) -> (LogWriter, Producer) {
    let dir = DataDir::lock(root).expect("a directory");
    let recovered = Recovered::read(&dir).expect("a readable log");
    let options = LogOptions { policy, ..LogOptions::new(1, 7, || 1) };
    let (writer, mut producers) =
        LogWriter::start(dir, &recovered, options, Box::new(|_| ())).expect("a log thread");
    (writer, producers.remove(0))
}

/// What two readings of the clock cost: taken off every figure.
fn clock_overhead() -> Duration {
    (0..1_000).map(|_| Instant::now().elapsed()).min().expect("a thousand readings")
}

/// What the running thread of this name has used of a CPU: the log thread frames and writes, the
/// seal thread makes segments ready ahead of it.
fn cpu_of_thread(name: &str) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let read = |path: &Path, file| std::fs::read_to_string(path.join(file)).unwrap_or_default();
    let mut found = tasks.map(|task| task.expect("a thread").path());
    let task = found.find(|task| read(task, "comm").trim_end() == name).expect("it runs");
    let nanos = read(&task, "schedstat").split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// What a thread has used so far.
struct Usage {
    cpu: Duration,
    faults: i64,
}

impl Usage {
    fn of_this_thread() -> Self {
        // SAFETY: a plain structure of integers, all zeros is one, and the call fills it.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            assert!(libc::getrusage(libc::RUSAGE_THREAD, &mut usage) == 0);
            usage
        };
        let duration = |time: libc::timeval| {
            Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
        };
        let cpu = duration(usage.ru_utime) + duration(usage.ru_stime);
        Self { cpu, faults: usage.ru_minflt + usage.ru_majflt }
    }

    fn since(&self, before: &Self) -> Self {
        Self { cpu: self.cpu - before.cpu, faults: self.faults - before.faults }
    }
}

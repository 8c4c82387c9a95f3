//! Jobs are called in order, may fail without harm, and stop when the log does.

use super::*;
use crate::log::record::{EpochV1, NameId};
use crate::log::scratch::Scratch;
use crate::log::writer::{AckPolicy, LogOptions, LogWriter};
use crate::log::{DataDir, Producer, Recovered};
use std::sync::Mutex;
use std::time::Instant;

type Calls = Arc<Mutex<Vec<String>>>;

/// Notes its calls; does what its name says.
struct Recorder {
    name: &'static str,
    calls: Calls,
}

impl Recorder {
    fn boxed(name: &'static str, calls: &Calls) -> Box<dyn Job> {
        Box::new(Self { name, calls: Arc::clone(calls) })
    }

    fn call(&self, what: &str) -> Result<(), LogError> {
        self.calls.lock().unwrap().push(format!("{} {what}", self.name));
        match self.name {
            "fails" => Err(LogError::Full(PathBuf::from("x"))),
            "panics" if what != "start" => panic!("a job of a test"),
            _ => Ok(()),
        }
    }
}

impl Job for Recorder {
    fn name(&self) -> &'static str {
        self.name
    }

    fn start(&mut self, seal: &SealContext) -> Result<(), LogError> {
        if self.name == "rotates" {
            let done = seal.rotate(Duration::from_secs(10));
            return self.call(&format!("rotated {done}"));
        }
        if self.name == "waits" {
            self.call("start")?;
            while !seal.is_stopping() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.call("start")
    }

    fn sealed(&mut self, seal: &SealContext, path: &Path, base_seq: u64) -> Result<(), LogError> {
        assert!(path.starts_with(seal.log_dir()));
        self.call(&format!("sealed {base_seq}"))
    }
}

fn start(scratch: &Scratch) -> (LogWriter, Producer) {
    let dir = DataDir::lock(scratch.path()).unwrap();
    let recovered = Recovered::read(&dir).unwrap();
    let options = LogOptions { policy: AckPolicy::Os, ..LogOptions::new(1, 7, || 1) };
    let options = LogOptions { segment_bytes: 256 * 1_024, ..options };
    let (writer, mut producers) =
        LogWriter::start(dir, &recovered, options, Box::new(|_| ())).unwrap();
    (writer, producers.remove(0))
}

fn wait_for(calls: &Calls, line: &str) {
    for _ in 0..5_000 {
        if calls.lock().unwrap().iter().any(|call| call == line) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("never {line:?}: {:?}", calls.lock().unwrap());
}

#[test]
fn jobs_fail_alone_and_rotation_seals_what_was_appended() {
    let scratch = Scratch::new("jobs");
    let (writer, mut producer) = start(&scratch);
    let calls = Calls::default();
    for name in ["fails", "panics", "works"] {
        writer.add_job(Recorder::boxed(name, &calls));
    }
    wait_for(&calls, "works start");
    for round in 0..2u64 {
        let record = EpochV1 { ts_us: 1, epoch: round };
        producer.append(NameId::NONE, NameId::NONE, &record).unwrap();
        producer.wake();
        writer.add_job(Recorder::boxed("rotates", &calls));
        wait_for(&calls, &format!("works sealed {round}"));
    }
    let handle = writer.handle();
    writer.stop().unwrap();
    let calls = calls.lock().unwrap();
    // Whether jobs still see the segment that the stop closed is left open.
    let early = || calls.iter().filter(|call| !call.ends_with("sealed 2"));
    let of = |name: &str| early().filter(|call| call.starts_with(name)).count();
    assert_eq!(of("rotates rotated true"), 2, "{calls:?}");
    assert_eq!((of("fails sealed"), of("panics sealed")), (2, 1), "{calls:?}");
    let errors = handle.job_errors();
    let names: Vec<_> = errors.iter().map(|(job, _)| *job).collect();
    assert_eq!(names, ["fails", "panics"]);
    assert_eq!(handle.take_notes().len(), 2, "an error is told once");
}

#[test]
fn a_long_job_ends_when_the_log_stops() {
    let scratch = Scratch::new("long-job");
    let (writer, _producer) = start(&scratch);
    let calls = Calls::default();
    writer.add_job(Recorder::boxed("waits", &calls));
    wait_for(&calls, "waits start");
    let begin = Instant::now();
    writer.stop().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(2));
}

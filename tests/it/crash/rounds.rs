//! Rounds of load and crash: the machine loses its power, or the process is killed.
//!
//! The power is cut with `FS_IOC_SHUTDOWN`, which has a race that no power cut has: a sync that is
//! under way meanwhile can return success without having written the extents (the end of the I/O
//! finds the file system shut and drops the error; a loop of `pwrite` and `fdatasync` shows it on
//! ext4 and XFS in one cut of a hundred). So the power is cut in two ways by turns: on a frozen
//! server, of which no thread is within a system call, and every ack counts, also those that it
//! gives afterwards; or out of the blue, and those acks count that came before.

use super::hooks::{APP_SECRET, Hooks};
use super::ledger::{Figures, Ledger};
use super::person::Person;
use super::volume::{Kind, Volume};
use super::{control_rounds, judge, judge_control, rounds_of};
use crate::server::process::{Folder, Plan, Server};
use crate::sim::prng::Rng;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const ROOMS: [&str; 3] = ["red", "green", "blue"];
const PEOPLE: [&str; 4] = ["ann", "ben", "cleo", "dan"];
/// Crashes before the data directory begins anew, so that its size stays that of a round.
const LIVES: usize = 10;

/// The server under load: small segments, so that it rotates within a round.
pub fn plan(data: &Path, ack: &str) -> Plan {
    let plan = Plan::new().unlimited().shards(2).data(data).set("log.ack", ack);
    plan.env("RINGPOST_WHATSAPP_APP_SECRET", APP_SECRET)
}

/// Everybody who puts load on the server, and what they must find again.
pub struct Crowd {
    people: Vec<Person>,
    hooks: Hooks,
    ledger: Ledger,
    talking: Option<(Vec<JoinHandle<Person>>, JoinHandle<Hooks>)>,
}

impl Crowd {
    /// Before anybody said anything.
    pub fn new() -> Self {
        let people = PEOPLE.iter().map(|name| Person::new(name, &ROOMS)).collect();
        Self { people, hooks: Hooks::default(), ledger: Ledger::default(), talking: None }
    }

    /// The same, where the log refuses for a while and goes on.
    pub fn refused_at_times() -> Self {
        let mut crowd = Self::new();
        crowd.ledger.disordered = true;
        crowd
    }

    /// All talk, each on a thread.
    pub fn talk(&mut self, server: &Server, calm: bool) {
        let address = server.address();
        let people = std::mem::take(&mut self.people).into_iter().map(|mut person| {
            std::thread::spawn(move || {
                person.live(address, calm);
                person
            })
        });
        let people = people.collect();
        let mut hooks = std::mem::take(&mut self.hooks);
        let hooks = std::thread::spawn(move || {
            hooks.live(address, calm);
            hooks
        });
        self.talking = Some((people, hooks));
    }

    /// Waits until all connections have ended.
    pub fn hush(&mut self) {
        let (people, hooks) = self.talking.take().expect("they talk");
        let people = people.into_iter().map(|thread| thread.join().expect("a client's own faults"));
        self.people = people.collect();
        self.hooks = hooks.join().expect("the platform's own faults");
    }

    /// Holds the log against what was acknowledged.
    pub fn audit(&mut self, server: &Server, figures: &mut Figures) {
        self.ledger.audit(server, &mut self.people, &mut self.hooks, figures);
    }

    /// The end of a data directory: all that is not acknowledged is sent again, all ends in order,
    /// and clients, history and scanner tell the same.
    pub fn close(&mut self, server: &mut Server, figures: &mut Figures) {
        figures.certain_until = None;
        self.talk(server, true);
        self.hush();
        self.audit(server, figures);
        assert_eq!(server.terminate(), 0, "{}", server.words());
        self.ledger.close(server, &self.people, figures);
    }
}

/// One way to end a server's life, and to make the place ready for the next.
trait Crash {
    /// At a random moment under load. Since when acks are not to be believed.
    fn strike(&mut self, server: &mut Server, rng: &mut Rng) -> Option<Instant>;
    /// Where the data is.
    fn data(&self) -> &Path;
    /// Forgets all data.
    fn renew(&mut self);
}

fn run(crash: &mut impl Crash, ack: &str, rounds: usize, seed: u64) -> Figures {
    let mut rng = Rng::new(seed);
    let mut figures = Figures::default();
    while figures.rounds < rounds {
        crash.renew();
        let mut crowd = Crowd::new();
        let mut server = plan(crash.data(), ack).start();
        for _ in 0..LIVES.min(rounds - figures.rounds) {
            crowd.talk(&server, false);
            std::thread::sleep(Duration::from_millis(rng.range(20, 400) as u64));
            figures.certain_until = crash.strike(&mut server, &mut rng);
            crowd.hush();
            let begin = Instant::now();
            server.restart();
            figures.recoveries.push(begin.elapsed());
            figures.rounds += 1;
            crowd.audit(&server, &mut figures);
            // A loss would only repeat itself from here on.
            if figures.lost > 0 {
                break;
            }
        }
        if figures.faults.is_empty() {
            crowd.close(&mut server, &mut figures);
        } else {
            server.kill9();
        }
    }
    figures
}

struct PowerCut {
    volume: Volume,
    data: std::path::PathBuf,
}

impl Crash for PowerCut {
    fn strike(&mut self, server: &mut Server, rng: &mut Rng) -> Option<Instant> {
        let frozen = rng.chance(50);
        if frozen {
            server.freeze();
        }
        let begin = Instant::now();
        self.volume.cut();
        if frozen {
            server.thaw();
        }
        // The server and its clients go on for a while, on a disk that takes nothing.
        std::thread::sleep(Duration::from_millis(rng.range(0, 30) as u64));
        server.kill9();
        self.volume.unmount();
        self.volume.mount();
        (!frozen).then_some(begin)
    }

    fn data(&self) -> &Path {
        &self.data
    }

    fn renew(&mut self) {
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

fn power(kind: Kind, rounds: usize, seed: u64) {
    let Some(volume) = Volume::make(kind) else { return };
    let data = volume.path().join("data");
    let mut crash = PowerCut { volume, data };
    if rounds > 0 {
        let name = format!("power cut on {}, log.ack fsync", kind.name());
        judge(&name, &run(&mut crash, "fsync", rounds, seed));
        let name = format!("power cut on {}, control: log.ack os", kind.name());
        judge_control(&name, &run(&mut crash, "os", control_rounds(rounds), seed));
    }
}

#[test]
fn power_cuts_on_ext4_lose_nothing_acknowledged() {
    if let Some(rounds) = rounds_of("power", 1) {
        power(Kind::Ext4, rounds, 1);
    }
}

#[test]
fn power_cuts_on_xfs_lose_nothing_acknowledged() {
    if let Some(rounds) = rounds_of("power", 1) {
        power(Kind::Xfs, rounds, 2);
    }
}

struct Kill {
    folder: Folder,
    data: std::path::PathBuf,
}

impl Crash for Kill {
    fn strike(&mut self, server: &mut Server, _: &mut Rng) -> Option<Instant> {
        server.kill9();
        None
    }

    fn data(&self) -> &Path {
        &self.data
    }

    fn renew(&mut self) {
        let _ = std::fs::remove_dir_all(&self.data);
        assert!(self.folder.path().exists());
    }
}

#[test]
fn kills_lose_nothing_acknowledged() {
    let folder = Folder::new();
    let data = folder.path().join("data");
    let mut crash = Kill { folder, data };
    let Some(rounds) = rounds_of("kill", 2) else { return };
    for ack in ["fsync", "os"] {
        let rounds = rounds.div_ceil(2);
        judge(&format!("SIGKILL, log.ack {ack}"), &run(&mut crash, ack, rounds, 3));
    }
    let figures = run(&mut crash, "memory", control_rounds(rounds).max(10), 4);
    judge_control("SIGKILL, control: log.ack memory", &figures);
}

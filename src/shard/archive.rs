//! Cold history, read on a thread of its own: a page fault there delays nobody's messages.

use super::record;
use super::world::{Mail, World};
use crate::base::ids::{Offset, ShardId};
use crate::chat::event::{Fact, Found, Frame, Name, Recalled, Want};
use crate::chat::reply;
use crate::log::{Archive, HistoryEvent};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A shard wants to know something about a room.
#[derive(Debug)]
pub struct Question {
    /// To whom the answer goes.
    pub shard: ShardId,
    /// To find the question again.
    pub ticket: u64,
    /// The room.
    pub room: Name,
    /// What it wants to know.
    pub want: Want,
    /// What must be written before it can be answered.
    pub upto: Offset,
}

/// How often the log is looked at again while a question is ahead of it.
const RETRY: Duration = Duration::from_millis(5);
/// How long such a question waits: what is asked for left memory long ago, so it is written unless
/// the log has failed.
const PATIENCE: Duration = Duration::from_secs(1);
/// How old the list of segments may be: files go and are replaced meanwhile.
const LIST_AGE_MAX: Duration = Duration::from_secs(1);
/// How often a question is asked again because an erasure has just replaced what it was about.
const OTHER_FILES_MAX: usize = 8;

/// Answers questions until every shard is gone. One that is ahead of the log waits aside, and
/// nobody behind it does.
pub fn serve(archive: Archive, questions: &Receiver<Question>, world: &Arc<World>) {
    let (listed, parked) = (Instant::now(), VecDeque::new());
    let mut desk = Desk { archive, listed, erasures: 0, parked, world: world.clone() };
    loop {
        let next = if desk.parked.is_empty() {
            questions.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            questions.recv_timeout(RETRY)
        };
        match next {
            Ok(question) => desk.take(question),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        desk.retry();
    }
}

struct Desk {
    archive: Archive,
    /// When the archive last looked at the files.
    listed: Instant,
    /// [`World::erasures`] then.
    erasures: u64,
    /// Questions ahead of the log, and since when.
    parked: VecDeque<(Question, Instant)>,
    world: Arc<World>,
}

impl Desk {
    fn take(&mut self, question: Question) {
        let ahead = self.archive.newest(&question.room) < question.upto;
        let erasures = self.world.erasures.load(Ordering::Acquire);
        if ahead || self.erasures != erasures || self.listed.elapsed() >= LIST_AGE_MAX {
            self.erasures = erasures;
            self.refresh();
        }
        if ahead && self.archive.newest(&question.room) < question.upto {
            self.parked.push_back((question, Instant::now()));
        } else {
            self.answer(&question);
        }
    }

    fn retry(&mut self) {
        if self.parked.is_empty() || self.listed.elapsed() < RETRY {
            return;
        }
        self.refresh();
        for (question, since) in std::mem::take(&mut self.parked) {
            let ready = self.archive.newest(&question.room) >= question.upto;
            if ready || since.elapsed() >= PATIENCE {
                self.answer(&question);
            } else {
                self.parked.push_back((question, since));
            }
        }
    }

    fn refresh(&mut self) {
        // A directory that cannot be listed now is listed later; what is known still answers.
        let _ = self.archive.refresh();
        self.listed = Instant::now();
    }

    fn answer(&mut self, question: &Question) {
        let mut found = find(&mut self.archive, &question.room, question.want);
        for _ in 0..OTHER_FILES_MAX {
            if !self.archive.take_met_other() {
                break;
            }
            self.refresh();
            found = find(&mut self.archive, &question.room, question.want);
        }
        let shard = usize::from(question.shard.0);
        // This thread may wait where a shard may not; a shard that ended takes no mail.
        let mail = Mail::Archived { ticket: question.ticket, found };
        if self.world.mail[shard].send(mail).is_ok() {
            self.world.ring(shard);
        }
    }
}

fn find(archive: &mut Archive, room: &Name, want: Want) -> Found {
    let oldest = archive.oldest(room);
    let mut found = Found { events: Vec::new(), reached: Offset(0), oldest };
    match want {
        Want::Events { first, last, back, bytes_max } => {
            let mut bytes = 0;
            found.reached = archive.walk(room, first..=last, back, |event| {
                let Some(event) = recall(room, &event) else {
                    return true;
                };
                bytes += event.frame.len() + event.latest.as_ref().map_or(0, |frame| frame.len());
                found.events.push(event);
                bytes <= bytes_max
            });
            if back {
                found.events.reverse();
            }
        }
        Want::Since { ts_ms } => {
            let since = archive.first_since(room, ts_ms.saturating_mul(1_000));
            found.reached = since.unwrap_or_else(|| archive.newest(room).next());
        }
    }
    found
}

fn recall(room: &Name, event: &HistoryEvent<'_>) -> Option<Recalled> {
    let recorded = record::read_told(room, &event.event)?;
    let (_, frame) = reply::frame_of(&recorded)?;
    let is_message = matches!(recorded.fact, Fact::Message { .. });
    let latest = if record::is_erased_message(&event.event.record) {
        reply::msg_deleted(&frame)
    } else {
        latest(room, &frame, event)
    };
    Some(Recalled { o: event.o, frame, latest, is_message })
}

fn latest(room: &Name, frame: &Frame, event: &HistoryEvent<'_>) -> Option<Frame> {
    let amendment = record::read_told(room, event.amendment.as_ref()?)?;
    match amendment.fact {
        Fact::Edit { version, text, .. } => {
            reply::msg_edited(frame, &text, version, amendment.ts_us.div_euclid(1_000))
        }
        Fact::Delete { .. } => reply::msg_deleted(frame),
        _ => None,
    }
}

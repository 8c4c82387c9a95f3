//! Cold history, read on a thread of its own: a page fault there delays nobody's messages.

use super::record;
use super::world::{Mail, World};
use crate::base::ids::{Offset, ShardId};
use crate::chat::event::{Fact, Frame, Name, Recalled, RoomChange};
use crate::chat::reply::{self, NewMsg};
use crate::log::{Archive, HistoryEvent};
use crossbeam_channel::Receiver;
use std::sync::Arc;
use std::time::Duration;

/// A shard wants to know `first..=last` of a room.
#[derive(Debug)]
pub struct Question {
    /// To whom the answer goes.
    pub shard: ShardId,
    /// To find the question again.
    pub ticket: u64,
    /// The room.
    pub room: Name,
    /// First offset wanted.
    pub first: Offset,
    /// Last offset wanted.
    pub last: Offset,
}

/// How often a question that is ahead of the log is tried again, and how many times: what is asked
/// for left memory long ago, so it is written unless the log has failed.
const RETRY: Duration = Duration::from_millis(5);
const TRIES_MAX: u32 = 200;

/// Answers questions until every shard is gone.
pub fn serve(mut archive: Archive, questions: &Receiver<Question>, world: &Arc<World>) {
    for question in questions {
        for _ in 0..TRIES_MAX {
            if archive.newest(&question.room) >= question.last {
                break;
            }
            if archive.refresh().is_err() || archive.newest(&question.room) < question.last {
                std::thread::sleep(RETRY);
            }
        }
        let events = answer(&archive, &question);
        let shard = usize::from(question.shard.0);
        // This thread may wait where a shard may not; a shard that ended takes no mail.
        if world.mail[shard].send(Mail::Archived { ticket: question.ticket, events }).is_ok() {
            world.ring(shard);
        }
    }
}

fn answer(archive: &Archive, question: &Question) -> Vec<Recalled> {
    let mut events = Vec::new();
    archive.visit(&question.room, question.first..=question.last, |event| {
        events.extend(recall(&question.room, &event));
    });
    events
}

fn recall(room: &str, event: &HistoryEvent<'_>) -> Option<Recalled> {
    let recorded = record::read(&event.entry)?;
    let ts_ms = recorded.ts_us.div_euclid(1_000);
    let at = (event.o, ts_ms);
    let user = &*recorded.user;
    let is_message = matches!(recorded.fact, Fact::Message { .. });
    let frame = match &recorded.fact {
        Fact::Message { cid, text, reply, source, name, external, .. } => reply::msg(NewMsg {
            room,
            o: event.o,
            ts_ms,
            from: user,
            name,
            cid,
            text,
            reply: *reply,
            source: source.name(),
            external,
        }),
        Fact::Edit { of, version, text, .. } => reply::edit(room, at, (*of, *version), user, text),
        Fact::Delete { of, .. } => reply::delete(room, at, *of, user),
        Fact::Member { subject, role, action, .. } => {
            reply::member(room, at, subject, user, (*action, *role))
        }
        Fact::Room { change: RoomChange::Topic(topic), .. } => reply::topic(room, at, user, topic),
        Fact::Room { change: RoomChange::Access(access), .. } => {
            reply::access(room, at, user, *access)
        }
        _ => return None,
    };
    let latest = latest(&frame, event);
    Some(Recalled { o: event.o, frame, latest, is_message })
}

fn latest(frame: &Frame, event: &HistoryEvent<'_>) -> Option<Frame> {
    let amendment = record::read(event.amendment.as_ref()?)?;
    match amendment.fact {
        Fact::Edit { version, text, .. } => {
            reply::msg_edited(frame, &text, version, amendment.ts_us.div_euclid(1_000))
        }
        Fact::Delete { .. } => reply::msg_deleted(frame),
        _ => None,
    }
}

//! Files of the platform on their way to a client of the API.
//!
//! ```text
//! request ─ Open ─▶ media thread ─ Found: type, length, open file ─▶ head of the answer
//!     ┌─ Read at ─▶ media thread ─ Chunk ─▶ queued to the socket
//!     └───────────────────── when it has drained ◀─┘
//! ```
//!
//! At most one piece is read ahead of what a socket takes. The open file is the stream's own: when
//! the cache lets go of it meanwhile, the stream still ends as it began.

use super::turn::Shard;
use super::world::World;
use crate::base::hash::Map;
use crate::base::ids::{ConnId, ShardId};
use crate::base::limits::SEND_QUEUE_RESUME_BYTES;
use crate::egress::{Got, Miss};
use crate::net::Close;
use crate::wire::http::response::{Delivery, Persistence, Response};
use crossbeam_channel::TrySendError;
use serde_json::json;
use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;

/// What the thread of files is told.
#[derive(Debug)]
pub enum Word {
    /// A shard wants something.
    Ask(Question),
    /// What became of a call out.
    Reply {
        /// Of the call.
        ticket: u64,
        /// How it ended.
        result: Result<Got, Miss>,
    },
}

/// A shard wants something.
#[derive(Debug)]
pub struct Question {
    /// To whom the answer goes.
    pub shard: ShardId,
    /// To find the question again.
    pub ticket: u64,
    /// What.
    pub what: What,
}

/// What may be wanted.
#[derive(Debug)]
pub enum What {
    /// A file of the platform.
    Open {
        /// `phone_number_id`, digits.
        number: Box<str>,
        /// The file's id.
        id: Box<str>,
    },
    /// Give a file to the platform.
    Upload {
        /// `phone_number_id`, digits.
        number: Box<str>,
        /// Its type.
        mime: Box<str>,
        /// Itself.
        bytes: Vec<u8>,
    },
    /// A piece of one.
    Read {
        /// The file.
        file: Arc<File>,
        /// Where the piece begins.
        at: u64,
    },
}

/// What the thread answers.
#[derive(Debug)]
pub enum Answer {
    /// The file is there.
    Found(Found),
    /// A piece; never empty.
    Chunk(Vec<u8>),
    /// The platform took the file and calls it so.
    Taken(String),
    /// It is not there, or not whole.
    Failed(Failure),
}

/// A file that is there.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its type, fit for a header.
    pub mime: String,
    /// Its length.
    pub bytes: u64,
    /// Itself.
    pub file: Arc<File>,
}

/// Why there is no file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failure {
    /// HTTP status.
    pub status: u16,
    /// A stable name.
    pub reason: &'static str,
    /// What to do about it.
    pub hint: &'static str,
}

/// Files under way from a shard.
#[derive(Debug, Default)]
pub struct Streams {
    /// Who waits for which answer.
    asked: Map<u64, ConnId>,
    streams: Map<ConnId, Stream>,
    /// What a full mailbox did not take, oldest first.
    unasked: VecDeque<Question>,
    ticket: u64,
}

#[derive(Debug)]
struct Stream {
    file: Arc<File>,
    at: u64,
    end: u64,
    persistence: Persistence,
}

impl Streams {
    /// The connection is gone.
    pub fn forget(&mut self, conn: ConnId) {
        if !self.streams.is_empty() {
            self.streams.remove(&conn);
        }
    }

    /// Whether a file is on its way to the connection.
    pub fn has(&self, conn: ConnId) -> bool {
        !self.streams.is_empty() && self.streams.contains_key(&conn)
    }

    /// Asks what waits.
    pub fn ask_rest(&mut self, world: &World) {
        while let Some(question) = self.unasked.pop_front() {
            // To a thread that has ended nothing is asked: the server stops.
            let asked = world.media.try_send(Word::Ask(question));
            if let Err(TrySendError::Full(Word::Ask(question))) = asked {
                return self.unasked.push_front(question);
            }
        }
    }
}

impl Shard {
    /// Asks for a file for a connection of the API that waits.
    pub(super) fn ask_media(&mut self, conn: ConnId, what: What) {
        self.streams.ticket += 1;
        let (shard, ticket) = (self.id, self.streams.ticket);
        self.streams.asked.insert(ticket, conn);
        self.streams.unasked.push_back(Question { shard, ticket, what });
        self.streams.ask_rest(&self.world);
    }

    /// The answer of the thread of files.
    pub(super) fn on_media(&mut self, ticket: u64, answer: Answer) {
        let Some(conn) = self.streams.asked.remove(&ticket) else { return };
        match answer {
            Answer::Found(found) => self.begin_stream(conn, found),
            Answer::Chunk(bytes) => self.go_on_streaming(conn, &bytes),
            Answer::Taken(id) => {
                self.finish_api(conn, Response::json(200, json!({"id": id}).to_string()));
            }
            Answer::Failed(failure) => {
                if self.streams.streams.remove(&conn).is_some() {
                    // The length was promised: only the end of the connection tells that it lied.
                    return self.driver.close(conn, Close::Now);
                }
                let Failure { status, reason, hint } = failure;
                self.finish_api(conn, Response::error(status, reason, hint));
            }
        }
    }

    fn begin_stream(&mut self, conn: ConnId, found: Found) {
        let Some((persistence, head_only)) = self.take_waiting(conn) else { return };
        let Found { mime, bytes, file } = found;
        // A file is whatever a stranger made: it must not act as a page of this server.
        let is_shown = ["image/", "audio/", "video/"].iter().any(|begin| mime.starts_with(begin))
            && !mime.contains("svg");
        let response = Response::new(200)
            .header("Content-Type", mime)
            .header("Content-Disposition", if is_shown { "inline" } else { "attachment" })
            .header("Content-Security-Policy", "sandbox; default-src 'none'")
            .header("X-Content-Type-Options", "nosniff")
            .header("Cache-Control", "no-store")
            .body_follows(bytes);
        self.scratch.clear();
        let delivery = Delivery { persistence, head_only, date: Some(&self.date) };
        response.write(delivery, &mut self.scratch);
        self.driver.queue_copy(conn, &self.scratch);
        if head_only || bytes == 0 {
            return self.end_stream(conn, persistence);
        }
        let stream = Stream { file, at: 0, end: bytes, persistence };
        self.streams.streams.insert(conn, stream);
        self.ask_piece(conn);
    }

    fn go_on_streaming(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(stream) = self.streams.streams.get_mut(&conn) else { return };
        // A file may have grown by somebody's hand; what was promised is what goes.
        let left = stream.end - stream.at;
        let bytes = &bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        stream.at += bytes.len() as u64;
        let is_end = stream.at == stream.end;
        let persistence = stream.persistence;
        let queued = self.driver.queue_copy(conn, bytes);
        if is_end {
            self.streams.streams.remove(&conn);
            return self.end_stream(conn, persistence);
        }
        if queued > SEND_QUEUE_RESUME_BYTES {
            self.driver.notify_below(conn, SEND_QUEUE_RESUME_BYTES);
        } else {
            self.ask_piece(conn);
        }
    }

    /// The socket has room for the next piece.
    pub(super) fn ask_piece(&mut self, conn: ConnId) {
        if let Some(stream) = self.streams.streams.get(&conn) {
            let what = What::Read { file: Arc::clone(&stream.file), at: stream.at };
            self.ask_media(conn, what);
        }
    }

    fn end_stream(&mut self, conn: ConnId, persistence: Persistence) {
        if let Some(link) = self.links.get_mut(conn) {
            link.since_ms = self.now.mono_ms();
        }
        if persistence == Persistence::Close || self.draining {
            self.begin_closing(conn, false);
        } else {
            self.end_busy(conn);
        }
    }
}

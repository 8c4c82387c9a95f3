//! Deadlines of connections, and readers that fall behind.

use super::link::{Link, Protocol};
use super::turn::Shard;
use crate::base::codes::CloseReason;
use crate::base::ids::ConnId;
use crate::base::limits::{
    HTTP_BODY_TIMEOUT_MS, HTTP_HEAD_TIMEOUT_MS, HTTP_IDLE_TIMEOUT_MS, PING_INTERVAL_MS,
    PONG_TIMEOUT_MS, SEND_QUEUE_RESUME_BYTES, WRITE_STALL_TIMEOUT_MS, WS_CLOSE_TIMEOUT_MS,
};
use crate::base::wheel::TICK_MS;
use crate::chat::event::Event;
use crate::chat::reply::PING;
use crate::wire::http::Phase;
use crate::wire::ws::encode::encode_ping;

/// Keys of a tick that room is kept for.
const DUE_KEPT: usize = 1_024;

/// What is to be done about a connection whose time has come.
enum Due {
    /// Look again at this time, ms.
    Later(u64),
    /// Ask whether its peer lives.
    Ping,
    /// Its peer takes what is queued, slowly: so many bytes by now.
    Progress(u32),
    /// Its peer is dead or too slow.
    Cut(CloseReason),
}

impl Shard {
    /// Makes `due_ms` the next time to look at a connection, earlier or later than before.
    pub(super) fn schedule(&mut self, conn: ConnId, due_ms: u64) {
        if let Some(link) = self.links.get_mut(conn) {
            link.due_tick = due_ms.div_ceil(TICK_MS) as u32;
            self.wheel.insert((conn, link.due_tick), due_ms);
        }
    }

    pub(super) fn expire(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.drain(self.now.mono_ms(), &mut due);
        for (conn, tick) in due.drain(..) {
            let Some(link) = self.links.get(conn) else {
                continue;
            };
            if link.due_tick != tick {
                continue;
            }
            let early = u64::from(tick) * TICK_MS > self.now.mono_ms();
            match if early { Due::Later(u64::from(tick) * TICK_MS) } else { self.judge(conn, link) }
            {
                Due::Later(due_ms) => self.schedule(conn, due_ms.max(self.now.mono_ms() + 1)),
                Due::Ping => self.ping(conn),
                Due::Progress(sent_bytes) => self.allow_more_time(conn, sent_bytes),
                Due::Cut(reason) => self.cut(conn, reason),
            }
        }
        // Ten thousand that came due together are no reason to keep room for as many.
        due.shrink_to(DUE_KEPT);
        self.due = due;
    }

    fn judge(&self, conn: ConnId, link: &Link) -> Due {
        let now_ms = self.now.mono_ms();
        let within = |from_ms: u64, timeout_ms: u64, reason: CloseReason| {
            let due_ms = from_ms + timeout_ms;
            if now_ms < due_ms { Due::Later(due_ms) } else { Due::Cut(reason) }
        };
        match &link.protocol {
            Protocol::Http(http) if http.busy && self.streams.has(conn) => {
                let pressure = self.driver.pressure(conn);
                let sent_bytes = pressure.sent_bytes as u32;
                if pressure.queued_bytes == 0 || sent_bytes != link.sent_bytes {
                    Due::Progress(sent_bytes)
                } else {
                    within(link.since_ms, WRITE_STALL_TIMEOUT_MS, CloseReason::Slow)
                }
            }
            Protocol::Http(http) if http.busy => Due::Later(now_ms + HTTP_BODY_TIMEOUT_MS),
            Protocol::Http(http) => {
                let timeout_ms = match http.decoder.phase() {
                    Phase::Body => HTTP_BODY_TIMEOUT_MS,
                    Phase::Head => HTTP_HEAD_TIMEOUT_MS,
                    Phase::Idle if link.heard_ms == 0 => HTTP_HEAD_TIMEOUT_MS,
                    Phase::Idle | Phase::Over => HTTP_IDLE_TIMEOUT_MS,
                };
                within(link.since_ms, timeout_ms, CloseReason::Slow)
            }
            Protocol::Closing { .. } => {
                let pressure = self.driver.pressure(conn);
                let sent_bytes = pressure.sent_bytes as u32;
                if pressure.queued_bytes > 0 && sent_bytes != link.sent_bytes {
                    Due::Progress(sent_bytes)
                } else if pressure.queued_bytes > 0 {
                    within(link.since_ms, WRITE_STALL_TIMEOUT_MS, CloseReason::Slow)
                } else {
                    within(link.since_ms, WS_CLOSE_TIMEOUT_MS, CloseReason::Normal)
                }
            }
            Protocol::Chat(_) | Protocol::Echo(_) | Protocol::Raw(_) if link.pinged => {
                within(link.since_ms, PONG_TIMEOUT_MS, CloseReason::NoPong)
            }
            Protocol::Chat(_) | Protocol::Echo(_) | Protocol::Raw(_) => {
                let due_ms = link.heard_ms + PING_INTERVAL_MS;
                if now_ms < due_ms { Due::Later(due_ms) } else { Due::Ping }
            }
        }
    }

    /// A long answer to a slow peer: the time to finish counts from its last progress.
    fn allow_more_time(&mut self, conn: ConnId, sent_bytes: u32) {
        let now_ms = self.now.mono_ms();
        if let Some(link) = self.links.get_mut(conn) {
            link.since_ms = now_ms;
            link.sent_bytes = sent_bytes;
            self.schedule(conn, now_ms + WS_CLOSE_TIMEOUT_MS);
        }
    }

    fn ping(&mut self, conn: ConnId) {
        let now_ms = self.now.mono_ms();
        let Some(link) = self.links.get_mut(conn) else {
            return;
        };
        link.pinged = true;
        link.since_ms = now_ms;
        match &link.protocol {
            Protocol::Chat(chat) if !chat.frame_ping => self.send_text(conn, PING),
            _ => {
                self.scratch.clear();
                encode_ping(&mut self.scratch, b"");
                self.driver.queue_copy(conn, &self.scratch);
            }
        }
        self.schedule(conn, now_ms + PONG_TIMEOUT_MS);
    }

    /// The queue of a lagging reader has drained.
    pub(super) fn drained(&mut self, conn: ConnId) {
        match self.links.get_mut(conn) {
            Some(Link { protocol: Protocol::Chat(chat), .. }) if chat.lagging => {
                // Armed first: the answer may be queued and sent before the next tick.
                self.driver.notify_below(conn, SEND_QUEUE_RESUME_BYTES);
                self.tell_hub(Event::Drained { conn });
            }
            Some(Link { protocol: Protocol::Echo(echo), .. }) if echo.paused => {
                echo.paused = false;
                self.driver.resume_reads(conn);
            }
            Some(Link { protocol: Protocol::Http(_), .. }) => self.ask_piece(conn),
            _ => {}
        }
    }

    /// Looks after readers that are behind: feeds those with room, lets go of those that caught
    /// up, cuts those that take nothing.
    pub(super) fn tend_lagging(&mut self) {
        let now_ms = self.now.mono_ms();
        let mut lagging = std::mem::take(&mut self.lagging);
        lagging.retain_mut(|(conn, sent_bytes, since_ms)| {
            let conn = *conn;
            if !self.links.get(conn).is_some_and(|link| link.is_lagging()) {
                return false;
            }
            let pressure = self.driver.pressure(conn);
            if pressure.sent_bytes != *sent_bytes {
                *sent_bytes = pressure.sent_bytes;
                *since_ms = now_ms;
            } else if pressure.queued_bytes > 0 && now_ms >= *since_ms + WRITE_STALL_TIMEOUT_MS {
                self.cut(conn, CloseReason::Slow);
                return false;
            }
            if pressure.queued_bytes <= SEND_QUEUE_RESUME_BYTES {
                self.tell_hub(Event::Drained { conn });
            }
            if self.hub.is_lagging(conn) {
                self.driver.notify_below(conn, SEND_QUEUE_RESUME_BYTES);
                return true;
            }
            if let Some(Link { protocol: Protocol::Chat(chat), .. }) = self.links.get_mut(conn) {
                chat.lagging = false;
            }
            false
        });
        lagging.append(&mut self.lagging);
        self.lagging = lagging;
    }
}

impl Link {
    fn is_lagging(&self) -> bool {
        matches!(&self.protocol, Protocol::Chat(chat) if chat.lagging)
    }
}

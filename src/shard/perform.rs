//! Effects of the hub, performed in their order.

use super::archive::Question;
use super::link::{Link, Protocol};
use super::record;
use super::turn::Shard;
use super::world::Mail;
use crate::base::codes::CloseReason;
use crate::base::ids::{ConnId, ShardId};
use crate::base::limits::{
    HANDLER_CALL_REPLY_BYTES_MAX, SEND_QUEUE_BYTES_MAX, SEND_QUEUE_RESUME_BYTES,
    WS_CLOSE_TIMEOUT_MS,
};
use crate::chat::event::{Effect, Event, Fact, Frame, LocalRoom, Record};
use crate::chat::hub::LOG_RESERVE_BYTES;
use crate::chat::reply;
use crate::egress::{Call, Caller, Request};
use crate::net::Close;
use crate::outbox::Word;
use crate::programs::{Allowance, Job};
use crate::wire::ws::encode::{encode_close, encode_text};
use crossbeam_channel::TrySendError;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl Shard {
    /// Gives the hub one event and performs what it answers.
    pub(super) fn tell_hub(&mut self, event: Event<'_>) {
        let room = self.log_room();
        self.hub.grant(room);
        self.hub.handle(self.now, event, &mut self.effects);
        self.perform();
    }

    /// Bytes the hub may append now.
    pub(super) fn log_room(&mut self) -> usize {
        let mail_waits = self.outbox_items > 0;
        grant(mail_waits, !self.unlogged.is_empty(), self.producer.free_bytes())
    }

    pub(super) fn perform(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            self.perform_one(effect);
        }
        self.effects = effects;
    }

    /// Writes a record that the hub has decided, behind those that wait for the log.
    fn append(&mut self, record: Record) {
        if self.unlogged.is_empty()
            && let Ok(position) = record::append(&mut self.producer, &record)
        {
            self.appended.push_back((position, self.now.mono_us));
        } else {
            self.unlogged.push_back(record);
            self.append_unlogged();
        }
    }

    /// Writes what the hub has decided, in order. A log that filled up between the grant and now
    /// leaves a rest, which is tried again each turn: its offsets are given, so it must not be lost
    /// while later records are written.
    pub(super) fn append_unlogged(&mut self) {
        while let Some(fact) = self.unlogged.front() {
            let Ok(position) = record::append(&mut self.producer, fact) else {
                return;
            };
            self.appended.push_back((position, self.now.mono_us));
            self.unlogged.pop_front();
        }
    }

    fn perform_one(&mut self, effect: Effect) {
        match effect {
            Effect::Send { conn, frame } => self.send_text(conn, &frame),
            Effect::Cork { conn } => {
                if let Some(Link { protocol: Protocol::Chat(chat), .. }) = self.links.get_mut(conn)
                {
                    chat.corked = Some(Box::default());
                }
            }
            Effect::Uncork { conn, first } => self.uncork(conn, &first),
            Effect::Attach { conn, room } => self.attach(conn, room),
            Effect::Detach { conn, room } => self.detach(conn, room),
            Effect::Publish { room, frame, class, skip } => {
                self.settle_corked(room, &frame, skip);
                self.fans.publish(room, &frame, class, skip, &mut self.driver);
            }
            Effect::Close { conn, reason } => self.close_chat(conn, reason, 0),
            Effect::ToShard { to, message } => self.post(to, Mail::Hub(message)),
            Effect::Append(mut record) => {
                if let Fact::Command { duration_us, .. } = &mut record.fact {
                    let ran_us = self.world.clock.mono_us().saturating_sub(self.now.mono_us);
                    *duration_us = duration_us.saturating_add(ran_us as u32);
                }
                self.append(record);
            }
            Effect::Archive { ticket, room, want, upto } => {
                let shard = self.id;
                self.meter.asked(ticket, self.now.mono_us);
                self.ask_archive(Question { shard, ticket, room, want, upto });
            }
            Effect::InboundDone { ticket, count, accepted } => {
                self.webhook_items_done(ticket, count, accepted);
            }
            Effect::Defined(definition) => self.on_defined(&definition),
            Effect::Outbox(order) => self.tell_outbox(Word::Order(order)),
            Effect::Fetch { ticket, url, headers, body, mime, due_ms } => {
                let answer_bytes_max = HANDLER_CALL_REPLY_BYTES_MAX;
                let within = Duration::from_millis(due_ms.saturating_sub(self.now.mono_ms()));
                let request = match body {
                    Some(body) => {
                        let body = body.into_string().into_bytes().into();
                        Request::Post { url, headers, body, mime, within, answer_bytes_max }
                    }
                    None => {
                        let (method, body) = ("GET", [].into());
                        Request::Api { method, url, headers, body, within, answer_bytes_max }
                    }
                };
                let call = Call { caller: Caller::Shard(self.id), ticket, request };
                self.calls_out.push_back((due_ms, call));
                self.tend_calls();
            }
            Effect::Menu { ticket, number, body } => {
                let request = Request::Menu { number, body };
                let call = Call { caller: Caller::Shard(self.id), ticket, request };
                // Somebody waits for its reply, which comes within egress's own limits.
                self.calls_out.push_back((u64::MAX, call));
                self.tend_calls();
            }
            Effect::Execute { ticket, program, input, due_ms, memory_bytes, output_bytes } => {
                let time = Duration::from_millis(due_ms.saturating_sub(self.now.mono_ms()));
                let allowance = Allowance { time, memory_bytes, output_bytes };
                let job = Job { shard: self.id, ticket, program, input, allowance };
                self.execute(job);
            }
            Effect::Measure { metric, since_us } => self.meter.note(metric, since_us),
        }
    }

    /// Mail to another shard: into its mailbox, or kept until there is room. Order is kept.
    pub(super) fn post(&mut self, to: ShardId, mail: Mail) {
        let index = usize::from(to.0);
        assert!(to != self.id);
        if self.outbox[index].is_empty() {
            match self.world.mail[index].try_send(mail) {
                Ok(()) => self.mailed[index] = true,
                Err(TrySendError::Full(mail)) => {
                    self.outbox[index].push_back(mail);
                    self.outbox_items += 1;
                }
                // That shard has ended: the server is stopping.
                Err(TrySendError::Disconnected(_)) => {}
            }
        } else {
            self.outbox[index].push_back(mail);
            self.outbox_items += 1;
        }
    }

    /// To the outbox, or kept until there is room. Order is kept.
    fn tell_outbox(&mut self, word: Word) {
        let Some(outbox) = &self.world.outbox else {
            return;
        };
        if !self.outbox_words.is_empty() {
            self.outbox_words.push_back(word);
        } else if let Err(TrySendError::Full(word)) = outbox.words.try_send(word) {
            self.outbox_words.push_back(word);
        }
    }

    /// What the outbox had no room for, tried again each turn; and whether it has room for more.
    pub(super) fn tend_outbox(&mut self) {
        let Some(outbox) = &self.world.outbox else {
            return;
        };
        self.hub.set_outbox_has_room(outbox.has_room.load(Ordering::Relaxed));
        while let Some(word) = self.outbox_words.pop_front() {
            if let Err(TrySendError::Full(word)) = outbox.words.try_send(word) {
                self.outbox_words.push_front(word);
                return;
            }
        }
    }

    /// To the threads that run programs. What cannot run is answered in a later turn.
    fn execute(&mut self, job: Job) {
        let ticket = job.ticket;
        let why = match &self.world.programs {
            None => "this server runs no programs: see the setting commands.programs",
            Some(programs) => match programs.try_run(job) {
                Ok(()) => return,
                Err(_) => "too many programs wait already",
            },
        };
        self.idle_jobs.push((ticket, why));
    }

    /// Answers the calls of programs that could not run.
    pub(super) fn tend_jobs(&mut self) {
        for (ticket, why) in std::mem::take(&mut self.idle_jobs) {
            self.tell_hub(Event::Fetched { ticket, result: Err(why.into()) });
        }
    }

    /// To the thread that calls out, as far as it takes them. What nobody waits for is not asked.
    pub(super) fn tend_calls(&mut self) {
        while let Some((due_ms, call)) = self.calls_out.pop_front() {
            if due_ms <= self.now.mono_ms() {
                continue;
            }
            if let Err(call) = self.world.egress.try_call(call) {
                self.calls_out.push_front((due_ms, *call));
                return;
            }
        }
    }

    pub(super) fn ask_archive(&mut self, question: Question) {
        if let Err(TrySendError::Full(question)) = self.world.archive.try_send(question) {
            self.questions.push_back(question);
        }
    }

    /// One text message to one chat connection.
    pub(super) fn send_text(&mut self, conn: ConnId, text: &str) {
        let chat = match self.links.get_mut(conn) {
            Some(Link { protocol: Protocol::Chat(chat), .. }) => chat,
            Some(Link { protocol: Protocol::Http(_), .. }) => return self.answer_api(conn, text),
            _ => return,
        };
        if let Some(corked) = &mut chat.corked {
            encode_text(corked, text);
            if corked.len() > SEND_QUEUE_BYTES_MAX {
                self.cut(conn, CloseReason::Slow);
            }
            return;
        }
        self.scratch.clear();
        encode_text(&mut self.scratch, text);
        let queued = self.driver.queue_copy(conn, &self.scratch);
        if queued > SEND_QUEUE_BYTES_MAX {
            self.cut(conn, CloseReason::Slow);
        }
    }

    fn uncork(&mut self, conn: ConnId, first: &str) {
        let Some(Link { protocol: Protocol::Chat(chat), .. }) = self.links.get_mut(conn) else {
            return;
        };
        let held = chat.corked.take().unwrap_or_default();
        let rooms: Vec<_> = self.corked_rooms.extract_if(.., |(who, _)| *who == conn).collect();
        self.send_text(conn, first);
        if !held.is_empty() {
            self.driver.queue_copy(conn, &held);
        }
        for (_, room) in rooms {
            self.fans.attach(room, conn);
        }
    }

    /// A corked connection gets its live messages into what is held back; it becomes a member of
    /// the fan-out when it is uncorked.
    fn attach(&mut self, conn: ConnId, room: LocalRoom) {
        match self.links.get(conn) {
            Some(Link { protocol: Protocol::Chat(chat), .. }) if chat.corked.is_some() => {
                self.corked_rooms.push((conn, room));
            }
            Some(Link { protocol: Protocol::Chat(_), .. }) => self.fans.attach(room, conn),
            _ => {}
        }
    }

    fn detach(&mut self, conn: ConnId, room: LocalRoom) {
        self.corked_rooms.retain(|seat| *seat != (conn, room));
        self.fans.detach(room, conn, &mut self.driver);
    }

    fn settle_corked(&mut self, room: LocalRoom, frame: &Frame, skip: Option<ConnId>) {
        if self.corked_rooms.is_empty() {
            return;
        }
        for index in 0..self.corked_rooms.len() {
            let (conn, corked_room) = self.corked_rooms[index];
            if corked_room == room && Some(conn) != skip {
                self.send_text(conn, frame);
            }
        }
    }

    /// Says goodbye to a chat connection and closes it after what is queued.
    pub(super) fn close_chat(&mut self, conn: ConnId, reason: CloseReason, after_ms: u64) {
        let Some(link) = self.links.get_mut(conn) else {
            return;
        };
        let Protocol::Chat(chat) = &mut link.protocol else {
            return;
        };
        // What is held back was to follow a reply that will not be given.
        chat.corked = None;
        let mut last = Vec::new();
        link.end_with(reason);
        encode_text(&mut last, &reply::bye(reason, after_ms));
        encode_close(&mut last, reason.code(), reason.describe().1);
        self.driver.queue_copy(conn, &last);
        self.begin_closing(conn, true);
    }

    /// No more input; the socket closes when its bytes are out.
    pub(super) fn begin_closing(&mut self, conn: ConnId, chat: bool) {
        let now_ms = self.now.mono_ms();
        let Some(link) = self.links.get_mut(conn) else {
            return;
        };
        link.protocol = Protocol::Closing { chat };
        link.since_ms = now_ms;
        link.sent_bytes = self.driver.pressure(conn).sent_bytes as u32;
        self.driver.close(conn, Close::AfterFlush);
        self.schedule(conn, now_ms + WS_CLOSE_TIMEOUT_MS);
    }

    /// Ends a connection that takes nothing: no goodbye would reach it.
    pub(super) fn cut(&mut self, conn: ConnId, reason: CloseReason) {
        if let Some(link) = self.links.get_mut(conn) {
            link.end_with(reason);
            self.driver.close(conn, Close::Now);
        }
    }

    /// Whoever has too much queued is fed from history from now on.
    pub(super) fn set_behind(&mut self) {
        for conn in std::mem::take(&mut self.behind) {
            let Some(Link { protocol: Protocol::Chat(chat), .. }) = self.links.get_mut(conn) else {
                continue;
            };
            if !std::mem::replace(&mut chat.lagging, true) {
                let sent_bytes = self.driver.pressure(conn).sent_bytes;
                self.lagging.push((conn, sent_bytes, self.now.mono_ms()));
            }
            self.driver.notify_below(conn, SEND_QUEUE_RESUME_BYTES);
            // Also when it was behind before: a room that it had caught up with outran it again.
            self.tell_hub(Event::Lagging { conn });
        }
    }
}

/// What the hub may append. Mail that other shards do not take is work we must not add to: then
/// there is only room for records that cannot be refused. Behind records that the log does not
/// take there is none.
pub(super) fn grant(mail_waits: bool, records_wait: bool, free_bytes: usize) -> usize {
    match (mail_waits, records_wait) {
        (_, true) => 0,
        (true, false) => free_bytes.min(LOG_RESERVE_BYTES),
        (false, false) => free_bytes,
    }
}

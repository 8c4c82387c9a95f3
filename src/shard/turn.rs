//! The loop.

use super::api::Api;
use super::archive::Question;
use super::definitions::Defined;
use super::fan::Fans;
use super::link::{Link, Protocol};
use super::measure::Meter;
use super::media::Streams;
use super::raw::RawRooms;
use super::webhook::Webhooks;
use super::world::{ENDED_BEAT, Mail, World};
use crate::base::clock::Now;
use crate::base::codes::CloseReason;
use crate::base::ids::{ConnId, LogPosition, ShardId};
use crate::base::limits::HTTP_HEAD_TIMEOUT_MS;
use crate::base::table::Table;
use crate::base::wheel::{TICK_MS, Wheel};
use crate::chat::event::{Effect, Event, Forgetting, LocalRoom, Record};
use crate::chat::hub::Hub;
use crate::egress::Call;
use crate::log::{LogState, Producer};
use crate::metrics::Metric;
use crate::net::{Bell, Close, Collected, Driver, EndReason, Event as NetEvent, Listener, Peer};
use crate::outbox::Word;
use crate::wire::http::date::imf_fixdate;
use crate::wire::ws::encode::encode_close;
use crossbeam_channel::Receiver;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Mail taken in one turn, so that a chatty shard cannot starve sockets.
const MAIL_PER_TURN: usize = 4_096;
/// A blocking wait this long costs less than parking in the executor and waking again.
const NAP_US: u32 = 100;
/// How long clients are asked to wait before they come back to a restarting server.
const DRAIN_AFTER_MS: u64 = 1_000;

/// What a shard is born with.
pub struct ShardParts {
    /// Its index.
    pub id: ShardId,
    /// What all shards share.
    pub world: Arc<World>,
    /// Its domain, restored from the log.
    pub hub: Hub,
    /// Its end of the log.
    pub producer: Producer,
    /// Its mailbox.
    pub mailbox: Receiver<Mail>,
    /// Its listening socket.
    pub listener: Listener,
}

/// One shard.
pub struct Shard {
    pub(super) id: ShardId,
    pub(super) world: Arc<World>,
    pub(super) hub: Hub,
    pub(super) driver: Driver,
    pub(super) producer: Producer,
    mailbox: Receiver<Mail>,
    peers: Vec<Option<Peer>>,

    pub(super) now: Now,
    /// The value of `Date`, made once a second.
    pub(super) date: String,
    date_s: i64,
    pub(super) links: Table<Link>,
    pub(super) fans: Fans,
    pub(super) raw: RawRooms,
    pub(super) wheel: Wheel<(ConnId, u32)>,
    pub(super) due: Vec<(ConnId, u32)>,
    pub(super) webhooks: Webhooks,
    pub(super) raw_id: u64,
    pub(super) api: Api,
    pub(super) defined: Defined,
    pub(super) streams: Streams,

    pub(super) effects: Vec<Effect>,
    pub(super) scratch: Vec<u8>,
    /// Connections that have too much queued, found while distributing.
    pub(super) behind: Vec<ConnId>,
    /// Connections fed from history: bytes sent when last looked at, and since when.
    pub(super) lagging: Vec<(ConnId, u64, u64)>,
    /// Rooms that corked connections will get live messages of.
    pub(super) corked_rooms: Vec<(ConnId, LocalRoom)>,

    /// Positions of the hub's appends that are not known to be durable, and when they were made.
    pub(super) appended: VecDeque<(LogPosition, u64)>,
    durable_appends: u64,
    /// Records that the log did not take when they were made, oldest first.
    pub(super) unlogged: VecDeque<Record>,
    /// The log takes nothing now, and the hub knows.
    pub(super) log_broken: bool,

    /// Mail that found a full mailbox, by shard.
    pub(super) outbox: Vec<VecDeque<Mail>>,
    pub(super) outbox_items: usize,
    /// Shards to be woken at the end of the turn.
    pub(super) mailed: Vec<bool>,
    pub(super) questions: VecDeque<Question>,
    /// What a full outbox did not take, oldest first.
    pub(super) outbox_words: VecDeque<Word>,
    /// What the thread that calls out did not take, oldest first, and until when somebody waits.
    pub(super) calls_out: VecDeque<(u64, Call)>,
    /// Calls of programs that could not run, and why.
    pub(super) idle_jobs: Vec<(u64, &'static str)>,
    pub(super) meter: Meter,

    pub(super) draining: bool,
    drain_deadline_ms: u64,
}

impl Shard {
    /// Joins a driver (whose bell the other shards have by now) with the rest.
    pub fn new(parts: ShardParts, mut driver: Driver, bells: &[Bell]) -> Self {
        let ShardParts { id, world, hub, producer, mailbox, listener } = parts;
        let own = usize::from(id.0);
        let add =
            |(index, bell): (usize, &Bell)| (index != own).then(|| driver.add_peer(bell.clone()));
        let peers: Vec<_> = bells.iter().enumerate().map(add).collect();
        driver.accept_on(listener);
        driver.set_timer(TICK_MS);
        let now = world.clock.now();
        let count = peers.len();
        let defined = Defined::of(&hub, id, &world);
        Self {
            id,
            world,
            hub,
            driver,
            producer,
            mailbox,
            peers,
            now,
            date: String::new(),
            date_s: -1,
            links: Table::default(),
            fans: Fans::default(),
            raw: RawRooms::default(),
            wheel: Wheel::new(now.mono_ms()),
            due: Vec::new(),
            webhooks: Webhooks::default(),
            raw_id: (now.wall_us as u64) << 8 | u64::from(id.0),
            api: Api::default(),
            defined,
            streams: Streams::default(),
            effects: Vec::new(),
            scratch: Vec::new(),
            behind: Vec::new(),
            lagging: Vec::new(),
            corked_rooms: Vec::new(),
            appended: VecDeque::new(),
            durable_appends: 0,
            unlogged: VecDeque::new(),
            log_broken: false,
            outbox: (0..count).map(|_| VecDeque::new()).collect(),
            outbox_items: 0,
            mailed: vec![false; count],
            questions: VecDeque::new(),
            outbox_words: VecDeque::new(),
            calls_out: VecDeque::new(),
            idle_jobs: Vec::new(),
            meter: Meter::new(now.mono_us),
            draining: false,
            drain_deadline_ms: u64::MAX,
        }
    }

    /// Turns until the server has drained.
    pub async fn run(mut self) {
        let mut events = Vec::new();
        loop {
            self.read_clock();
            let outcome = self.driver.collect(&mut events);
            for event in events.drain(..) {
                self.on_event(event);
            }
            if outcome == Collected::More {
                continue;
            }
            self.take_mail();
            self.tend_outbox();
            self.watch_log();
            self.end_turn();
            let idle = !self.meter.is_busy();
            self.measure_turn();
            if self.is_drained() {
                self.end_metrics();
                let beat = &self.world.heartbeats[usize::from(self.id.0)];
                beat.store(ENDED_BEAT, Ordering::Relaxed);
                return;
            }
            if self.outbox_items > 0 {
                // A full mailbox says nothing when it has room again: look soon, and let its
                // shard run if it shares this CPU.
                std::thread::yield_now();
                continue;
            }
            if self.work(idle) {
                self.driver.catch_up();
                continue;
            }
            if let Some(sleep) = self.driver.prepare_sleep()
                && self.mailbox.is_empty()
                && self.appended.front().is_none_or(|first| first.0 > self.producer.acked())
            {
                sleep.wait(NAP_US).await;
            }
        }
    }

    /// Lets programs of commands run for one slice, if there are any. Others come first: while they
    /// have something to do, it has to be the programs' turn. Gives whether to stay awake.
    fn work(&mut self, idle: bool) -> bool {
        let Some(due_us) = self.hub.work_due_us() else { return false };
        self.read_clock();
        if idle || due_us <= self.now.mono_us {
            self.meter.be_busy();
            self.tell_hub(Event::Work);
        }
        true
    }

    fn read_clock(&mut self) {
        self.now = self.world.clock.now();
        self.meter.begin_turn(self.now.mono_us);
        let now_s = self.now.wall_us.div_euclid(1_000_000);
        if now_s != self.date_s {
            self.date_s = now_s;
            self.date = imf_fixdate(now_s);
        }
        let beat = &self.world.heartbeats[usize::from(self.id.0)];
        beat.store(self.now.mono_ms(), Ordering::Relaxed);
    }

    fn on_event(&mut self, event: NetEvent) {
        if !matches!(event, NetEvent::Bell | NetEvent::Tick) {
            self.meter.be_busy();
        }
        match event {
            NetEvent::Accepted { conn, peer } => self.on_accepted(conn, peer.ip()),
            NetEvent::Received { conn, mut buffer } => self.on_bytes(conn, &mut buffer),
            NetEvent::Ended { conn, reason } => self.on_ended(conn, reason),
            NetEvent::Drained { conn } => self.drained(conn),
            NetEvent::Closed { conn } => self.on_closed(conn),
            NetEvent::Bell => {}
            NetEvent::Tick => self.on_tick(),
        }
    }

    fn on_accepted(&mut self, conn: ConnId, ip: IpAddr) {
        let Ok(source) = self.world.sources.enter(ip) else {
            return self.driver.close(conn, Close::Now);
        };
        let now_ms = self.now.mono_ms();
        self.links.insert(conn, Link { source, ..Link::new(now_ms) });
        self.world.connections.fetch_add(1, Ordering::Relaxed);
        self.schedule(conn, now_ms + HTTP_HEAD_TIMEOUT_MS);
    }

    /// Makes the next look at a connection come no later than `due_ms`.
    pub(super) fn schedule_earlier(&mut self, conn: ConnId, due_ms: u64) {
        let tick = due_ms.div_ceil(TICK_MS) as u32;
        if self.links.get(conn).is_some_and(|link| tick < link.due_tick) {
            self.schedule(conn, due_ms);
        }
    }

    fn on_ended(&mut self, conn: ConnId, reason: EndReason) {
        let Some(link) = self.links.get_mut(conn) else {
            return;
        };
        match (&mut link.protocol, reason) {
            // A client may shut down its side and wait for the answer.
            (Protocol::Http(http), EndReason::Eof) if http.busy => http.ended = true,
            (Protocol::Http(_), EndReason::Eof) => self.begin_closing(conn, false),
            // Its last bytes and its end came together: what answers them is still on its way.
            (Protocol::Closing { .. }, EndReason::Eof) => {}
            _ => self.driver.close(conn, Close::Now),
        }
    }

    fn on_closed(&mut self, conn: ConnId) {
        let Some(link) = self.links.remove(conn) else {
            return;
        };
        self.world.connections.fetch_sub(1, Ordering::Relaxed);
        self.world.sources.leave(link.source);
        self.corked_rooms.retain(|(who, _)| *who != conn);
        self.api.forget(conn);
        self.streams.forget(conn);
        match link.protocol {
            Protocol::Chat(_) | Protocol::Closing { chat: true } => {
                self.tell_hub(Event::Closed { conn, code: link.close_code });
            }
            Protocol::Raw(raw) => self.leave_raw(conn, raw.room),
            Protocol::Http(_) | Protocol::Echo(_) | Protocol::Closing { chat: false } => {}
        }
    }

    fn on_tick(&mut self) {
        self.driver.set_timer(TICK_MS);
        self.expire();
        self.tend_lagging();
        self.tend_metrics();
        self.tell_hub(Event::Tick);
    }

    fn take_mail(&mut self) {
        for _ in 0..MAIL_PER_TURN {
            let Ok(mail) = self.mailbox.try_recv() else {
                return;
            };
            self.meter.be_busy();
            match mail {
                Mail::Hub(message) => self.tell_hub(Event::Peer { message }),
                Mail::Archived { ticket, found } => {
                    self.meter.answered(ticket, self.now.mono_us);
                    self.tell_hub(Event::Archived { ticket, found });
                }
                Mail::Forget { what, answer } => {
                    let mut how_far = self.hub.forget(&what, &mut self.effects);
                    self.perform();
                    // It may name who is to be forgotten, and would be written afterwards.
                    if how_far == Forgetting::Done && !self.unlogged.is_empty() {
                        how_far = Forgetting::Unlogged;
                    }
                    // Whoever asked may have been told to stop.
                    let _ = answer.try_send(how_far);
                }
                Mail::Outbox(event) => self.tell_hub(Event::Outbox { event }),
                Mail::Executed { ticket, outcome } => {
                    let result = outcome.map(|output| (200, output)).map_err(Into::into);
                    self.tell_hub(Event::Fetched { ticket, result });
                }
                Mail::Fetched { ticket, result } => {
                    let result = match result {
                        Ok(got) => Ok((got.status, got.body)),
                        Err(miss) => Err(miss.to_string().into()),
                    };
                    self.tell_hub(Event::Fetched { ticket, result });
                }
                Mail::Told { ticket, answer } => self.on_told(ticket, answer),
                Mail::Media { ticket, answer } => self.on_media(ticket, answer),
                Mail::Raw(mail) => self.on_raw_mail(mail),
                Mail::Forgotten => self.hub.forgotten(),
                Mail::Drain => self.begin_drain(),
            }
        }
    }

    /// Tells the hub what has become durable, or that nothing will for now.
    fn watch_log(&mut self) {
        self.append_unlogged();
        let acked = self.producer.acked();
        let before = self.durable_appends;
        while let Some((_, since_us)) = self.appended.pop_front_if(|first| first.0 <= acked) {
            let waited_us = self.now.mono_us.saturating_sub(since_us);
            self.meter.record(Metric::AppendToDurable, waited_us);
            self.durable_appends += 1;
        }
        if self.durable_appends > before {
            self.meter.be_busy();
            self.tell_hub(Event::Durable { appends: self.durable_appends });
        }
        let state = self.producer.state();
        if state == LogState::Ok && self.log_broken {
            self.log_broken = false;
            self.hub.log_recovered();
        } else if state != LogState::Ok && !self.log_broken {
            self.log_broken = true;
            self.tell_hub(Event::LogFailed);
        }
        self.answer_webhooks();
        self.perform();
    }

    fn end_turn(&mut self) {
        self.fans.distribute(&mut self.driver, &mut self.behind);
        if !self.behind.is_empty() {
            self.set_behind();
            self.fans.distribute(&mut self.driver, &mut self.behind);
        }
        self.end_raw_turn();
        self.push_outbox();
        self.producer.wake();
        for (index, mailed) in self.mailed.iter_mut().enumerate() {
            if std::mem::take(mailed)
                && let Some(peer) = self.peers[index]
            {
                self.driver.ring_peer(peer);
            }
        }
        self.driver.flush();
    }

    fn push_outbox(&mut self) {
        if self.outbox_items > 0 {
            for index in 0..self.outbox.len() {
                let kept = std::mem::take(&mut self.outbox[index]);
                self.outbox_items -= kept.len();
                for mail in kept {
                    self.post(ShardId(index as u16), mail);
                }
            }
        }
        self.tend_calls();
        self.tend_jobs();
        for question in std::mem::take(&mut self.questions) {
            self.ask_archive(question);
        }
        self.defined.tell_rest(&self.world);
        self.streams.ask_rest(&self.world);
    }

    /// Says goodbye to everyone. Told a second time, the shard does not wait for them any longer.
    fn begin_drain(&mut self) {
        if self.draining {
            self.drain_deadline_ms = self.now.mono_ms();
            return;
        }
        self.draining = true;
        self.drain_deadline_ms = self.now.mono_ms() + self.world.config.server.drain_ms;
        self.driver.stop_accepting();
        for conn in self.links.ids() {
            let link = self.links.get_mut(conn).expect("listed");
            match &link.protocol {
                Protocol::Chat(_) => self.close_chat(conn, CloseReason::Drain, DRAIN_AFTER_MS),
                Protocol::Raw(_) => {
                    self.scratch.clear();
                    encode_close(&mut self.scratch, 1001, "going away");
                    self.close_raw(conn, 1001);
                }
                Protocol::Echo(_) => {
                    self.scratch.clear();
                    encode_close(&mut self.scratch, 1001, "going away");
                    self.driver.queue_copy(conn, &self.scratch);
                    self.begin_closing(conn, false);
                }
                Protocol::Http(http) if http.busy => {}
                Protocol::Http(_) => self.begin_closing(conn, false),
                Protocol::Closing { .. } => {}
            }
        }
    }

    /// Every shard serves until the last connection of all is gone: rooms are needed to the end.
    fn is_drained(&self) -> bool {
        if !self.draining {
            return false;
        }
        // A log that takes nothing has nothing to wait for.
        let logged = self.log_broken || (self.appended.is_empty() && self.unlogged.is_empty());
        let empty = self.world.connections.load(Ordering::Relaxed) == 0
            && !self.webhooks_are_pending()
            && self.outbox_items == 0
            && logged;
        empty || self.now.mono_ms() >= self.drain_deadline_ms
    }
}

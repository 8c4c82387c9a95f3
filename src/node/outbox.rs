//! The thread of the outbox, between shards and egress.

use super::NodeError;
use super::egress::CALLS_MAX;
use crate::base::hash::place;
use crate::base::ids::ShardId;
use crate::chat::event::OutboxEvent;
use crate::chat::outbox::Platform;
use crate::config::Config;
use crate::egress::{Call, Caller, EgressSender, Miss};
use crate::outbox::{self, Deed, Outbox, Word};
use crate::shard::world::{Mail, Outlet, World};
use crate::whatsapp::lanes::LanesOptions;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Words that may wait; a shard that finds the channel full keeps its own.
const WORDS_MAX: usize = 8_192;
/// Words taken in before what follows from them is done.
const WORDS_PER_TURN: usize = 256;
/// How long a full mailbox is left alone.
const MAIL_RETRY: Duration = Duration::from_millis(1);
/// How often it is told how things stand.
const STANDING_EVERY: Duration = Duration::from_millis(500);
/// At the end, so long for the answers to what has been called.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// The rule of messages out, for hubs.
pub fn platform(config: &Config) -> Platform {
    let numbers = &config.whatsapp.outbound.numbers;
    outbox::platform(numbers.iter().map(|number| number.number.as_str().into()).collect())
}

/// Both ends of the outbox; none when no number is configured.
pub fn channel(config: &Config) -> (Option<Outlet>, Option<Receiver<Word>>) {
    if config.whatsapp.outbound.numbers.is_empty() {
        return (None, None);
    }
    let (sender, words) = bounded(WORDS_MAX);
    (Some(Outlet::new(sender)), Some(words))
}

/// The running thread.
pub struct Running {
    words: Sender<Word>,
    thread: JoinHandle<()>,
}

/// Starts the outbox.
pub fn start(words: Receiver<Word>, seed: u64, world: &Arc<World>) -> Result<Running, NodeError> {
    let outlet = world.outbox.as_ref().expect("there are words");
    let sender = outlet.words.clone();
    let numbers = &world.config.whatsapp.outbound.numbers;
    let numbers = numbers.iter().map(|number| (number.number.as_str(), number.per_s));
    let options = LanesOptions { seed, flights_max: CALLS_MAX, ..LanesOptions::default() };
    let state = Outbox::new(options, numbers);
    let turn = Turn {
        state,
        world: Arc::clone(world),
        egress: world.egress.clone(),
        deeds: Vec::new(),
        mail: VecDeque::new(),
        told: Instant::now(),
        stop_by: None,
    };
    let thread = std::thread::Builder::new().name("ringpost-outbox".to_owned());
    let thread = thread.spawn(move || turn.run(&words)).map_err(NodeError::Thread)?;
    Ok(Running { words: sender, thread })
}

impl Running {
    /// Calls nothing new, and waits for the answers to what has been called: rooms can still write
    /// them down.
    pub fn stop(self) {
        let _ = self.words.send(Word::Stop);
        // A thread of ours that panics has ended the process.
        let _ = self.thread.join();
    }
}

struct Turn {
    state: Outbox,
    world: Arc<World>,
    egress: EgressSender,
    deeds: Vec<Deed>,
    /// What found a full mailbox.
    mail: VecDeque<(ShardId, OutboxEvent)>,
    /// When the standing was told last.
    told: Instant,
    /// The server stops, and this ends by then.
    stop_by: Option<Instant>,
}

impl Turn {
    fn run(mut self, words: &Receiver<Word>) {
        loop {
            match words.recv_timeout(self.wait()) {
                Ok(word) => {
                    self.take(word);
                    for word in words.try_iter().take(WORDS_PER_TURN) {
                        self.take(word);
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.take(Word::Tick),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.perform();
            self.post();
            self.tell_standing();
            let done = self.state.is_at_rest() && self.mail.is_empty();
            if self.stop_by.is_some_and(|by| done || Instant::now() >= by) {
                return;
            }
        }
    }

    fn wait(&self) -> Duration {
        if !self.mail.is_empty() {
            return MAIL_RETRY;
        }
        let now_us = self.world.clock.mono_us();
        let due = self.state.deadline_us().map(|due_us| due_us.saturating_sub(now_us));
        let due = due.map_or(STANDING_EVERY, Duration::from_micros).min(STANDING_EVERY);
        if self.stop_by.is_some() { due.min(Duration::from_millis(20)) } else { due }
    }

    fn take(&mut self, word: Word) {
        if matches!(word, Word::Stop) {
            self.stop_by = Some(Instant::now() + STOP_WAIT);
        }
        self.state.take(self.world.clock.now(), word, &mut self.deeds);
    }

    fn perform(&mut self) {
        for deed in std::mem::take(&mut self.deeds) {
            match deed {
                Deed::Tell(event) => {
                    let shard = place(event.room(), self.world.mail.len() as u16);
                    self.mail.push_back((shard, event));
                }
                Deed::Call { ticket, request } => {
                    let call = Call { caller: Caller::Outbox, ticket, request };
                    if self.egress.try_call(call).is_err() {
                        let result = Err(Miss::NotSent("too many calls wait".to_owned()));
                        self.take(Word::Reply { ticket, result });
                    }
                }
                Deed::Remark(words) => eprintln!("ringpost: {words}"),
            }
        }
    }

    /// Mail to the shards, in order; a full mailbox holds up what is behind it.
    fn post(&mut self) {
        let mut rung = vec![false; self.world.mail.len()];
        while let Some((shard, event)) = self.mail.pop_front() {
            let index = usize::from(shard.0);
            match self.world.mail[index].try_send(Mail::Outbox(event)) {
                Ok(()) => rung[index] = true,
                Err(TrySendError::Full(Mail::Outbox(event))) => {
                    self.mail.push_front((shard, event));
                    break;
                }
                // The shard has ended; the log has what it needs.
                Err(_) => {}
            }
        }
        for (index, _) in rung.iter().enumerate().filter(|(_, rung)| **rung) {
            self.world.ring(index);
        }
    }

    fn tell_standing(&mut self) {
        let outlet = self.world.outbox.as_ref().expect("this thread runs");
        outlet.has_room.store(self.state.has_room(), Ordering::Relaxed);
        if self.told.elapsed() >= STANDING_EVERY {
            self.told = Instant::now();
            if let Ok(mut standing) = outlet.standing.lock() {
                *standing = self.state.standing();
            }
        }
    }
}

//! The sockets of one shard, and the turn: collect completions, then flush what they caused.

use super::accept::Acceptor;
use super::bell::Bell;
use super::buffers::BufferRing;
use super::chunk::ChunkPool;
use super::conn::{Conn, Phase};
use super::error::{StartError, Step};
use super::event::{Collected, Counters, Event};
use super::listen::Listener;
use super::op::Op;
use super::ring::Ring;
use super::send::Gather;
use super::sleep::Waker;
use crate::base::ids::ConnId;
use crate::base::limits;
use crate::base::slab::Slab;
use io_uring::types::{CancelBuilder, Fd, Timespec};
use io_uring::{cqueue, opcode, squeue};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// How large the queues and buffers of a shard are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DriverOptions {
    /// Entries of the submission queue, a power of two.
    pub submissions: u32,
    /// Entries of the completion queue, a power of two of at least twice `submissions`.
    pub completions: u32,
    /// Receive buffers, a power of two.
    pub buffer_count: u16,
    /// Bytes of one receive buffer.
    pub buffer_bytes: usize,
    /// Connections at a time; more are closed at accept.
    pub connections_max: usize,
}

impl Default for DriverOptions {
    fn default() -> Self {
        Self {
            submissions: limits::RING_SUBMISSIONS,
            completions: limits::RING_COMPLETIONS,
            buffer_count: limits::RECEIVE_BUFFERS,
            buffer_bytes: limits::RECEIVE_BUFFER_BYTES,
            connections_max: limits::SHARD_CONNECTIONS_MAX,
        }
    }
}

/// Another shard that this one can ring. See [`Driver::add_peer`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer(u32);

/// All sockets of one shard. Stays on the thread that made it, inside a glommio executor.
///
/// Everything a method asks for takes effect with the next [`Driver::flush`].
///
/// Invariant: `operation_count` is the number of submitted operations whose last completion has
/// not been translated; memory that the kernel may touch is freed only when it is 0.
pub struct Driver {
    pub(super) ring: Ring,
    pub(super) buffers: BufferRing,
    pub(super) pool: ChunkPool,
    pub(super) conns: Slab<Conn>,
    pub(super) options: DriverOptions,
    pub(super) operation_count: usize,
    /// Translated and not yet collected.
    pub(super) events: Vec<Event>,
    /// Connections with something new to send; may name dead ones.
    pub(super) dirty: Vec<ConnId>,
    /// Connections whose receive found no buffer; may name dead ones.
    pub(super) starved: Vec<ConnId>,
    pub(super) gather: Gather,
    pub(super) acceptor: Acceptor,
    pub(super) bell: Bell,
    pub(super) waker: Waker,
    pub(super) counters: Counters,
    /// Completions taken since the last `flush`.
    turn_completions: usize,
    /// Scratch of `collect`.
    completions: Vec<cqueue::Entry>,
    /// Rung since the last `collect`.
    bell_heard: bool,
    peers: Vec<Bell>,
    timer: Timer,
    /// Nothing is armed again.
    shut_down: bool,
}

/// The one timer. A replaced timer is told by its serial, since its completion may be on its way.
struct Timer {
    serial: u32,
    armed: bool,
    /// Read by the kernel at submission. Boxed: the driver may move.
    value: Box<Timespec>,
}

impl Driver {
    /// Makes the ring of this thread. Must run inside a glommio executor, which later wakes the
    /// thread for it.
    pub fn new(options: DriverOptions) -> Result<Self, StartError> {
        assert!(options.connections_max <= limits::SHARD_CONNECTIONS_MAX);
        let ring = Ring::new(options.submissions, options.completions)?;
        let buffers = BufferRing::new(options.buffer_count, options.buffer_bytes);
        // SAFETY: the driver unregisters and drains before it drops the buffers.
        unsafe { ring.register_buffers(buffers.address(), options.buffer_count) }.map_err(
            |error| StartError::from_io(Step::RingRegister, "register receive buffers", &error),
        )?;
        let event = duplicate(ring.event().as_raw_fd())?;
        let bell = Bell::new(duplicate(ring.raw_fd())?, event);
        let waker = Waker::new(ring.event())?;
        Ok(Self {
            ring,
            buffers,
            pool: ChunkPool::new(),
            conns: Slab::default(),
            options,
            operation_count: 0,
            events: Vec::new(),
            dirty: Vec::new(),
            starved: Vec::new(),
            gather: Gather::new(),
            acceptor: Acceptor::new()?,
            bell,
            waker,
            counters: Counters::default(),
            turn_completions: 0,
            completions: Vec::new(),
            bell_heard: false,
            peers: Vec::new(),
            timer: Timer { serial: 0, armed: false, value: Box::new(Timespec::new()) },
            shut_down: false,
        })
    }

    /// Where outgoing bytes are made. Keep a clone, so that encoding does not borrow the driver.
    pub fn pool(&self) -> &ChunkPool {
        &self.pool
    }

    /// Rings this shard from another thread.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Live connections, those that are closing included.
    pub fn connection_count(&self) -> usize {
        self.conns.len()
    }

    /// The counters as of now.
    pub fn counters(&self) -> Counters {
        let (enters, submissions_full) = (self.ring.enters, self.ring.submissions_full);
        Counters { enters, submissions_full, ..self.counters }
    }

    /// Takes a connected stream socket, arms its reads and gives its id. No `Accepted` is reported.
    /// The socket must be blocking. `None` when the shard is full; the socket is then closed.
    pub fn adopt(&mut self, socket: OwnedFd) -> Option<ConnId> {
        if self.conns.len() >= self.options.connections_max {
            self.counters.accepts_refused += 1;
            return None;
        }
        let id = self.conns.insert(Conn::new(socket));
        self.arm_receive(id);
        Some(id)
    }

    /// Accepts from `listener` from now on. Once per driver.
    pub fn accept_on(&mut self, listener: Listener) {
        assert!(self.acceptor.listener.is_none());
        self.acceptor.listener = Some(listener);
        self.arm_accept();
    }

    /// Registers another shard's bell, for [`Driver::ring_peer`].
    pub fn add_peer(&mut self, bell: Bell) -> Peer {
        self.peers.push(bell);
        Peer(self.peers.len() as u32 - 1)
    }

    /// Wakes another shard, if it sleeps, with this turn's flush. Call after the item is in its
    /// mailbox. An awake shard costs a load; a burst rings once.
    pub fn ring_peer(&mut self, peer: Peer) {
        let bell = &self.peers[peer.0 as usize];
        if !bell.take_armed() {
            return;
        }
        let target = Fd(bell.ring_fd());
        let entry = opcode::MsgRingData::new(target, 0, Op::BellMessage.to_bits(), None)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(Op::RingPeer(peer.0).to_bits());
        // SAFETY: the entry points to no memory. It is not counted: it completes only in failure.
        unsafe { self.ring.push(&entry) };
    }

    /// Reports one `Tick` after `delay_ms` milliseconds; replaces an earlier timer.
    pub fn set_timer(&mut self, delay_ms: u64) {
        self.clear_timer();
        self.timer.serial = self.timer.serial.wrapping_add(1);
        self.timer.armed = true;
        let nanos = (delay_ms % 1_000) as u32 * 1_000_000;
        *self.timer.value = Timespec::new().sec(delay_ms / 1_000).nsec(nanos);
        let user_data = Op::Timer(self.timer.serial).to_bits();
        let entry = opcode::Timeout::new(&raw const *self.timer.value).build();
        // SAFETY: the timespec is boxed and outlives the submission; when it is rewritten before
        // that, the entry it belonged to is removed by the entry after it.
        unsafe { self.submit_later(&entry.user_data(user_data)) };
    }

    /// Forgets the timer.
    pub fn clear_timer(&mut self) {
        if self.timer.armed {
            self.timer.armed = false;
            self.cancel(Op::Timer(self.timer.serial));
        }
    }

    /// Adds what has happened to `events`. After [`Collected::More`] apply the events (dropping
    /// their buffers) and call again before flushing: kernels since 6.13 make few completions at a
    /// time, and a turn that flushed after each would send far too often.
    pub fn collect(&mut self, events: &mut Vec<Event>) -> Collected {
        let mut taken = 0;
        let mut barren = false;
        let share = limits::TURN_COMPLETIONS_MAX;
        let outcome = loop {
            taken += self.translate_completions();
            if barren || self.turn_completions + taken >= share || !self.ring.has_work() {
                break Collected::All;
            }
            let buffers_low = self.buffers.free_count() < self.buffers.count() / 8;
            if taken > 0 && buffers_low {
                break Collected::More;
            }
            self.ring.submit();
            // The kernel announces work after it has queued it, and we may have run it in between:
            // then the announcement stands though nothing is left. Believing it would spin here
            // with events in hand that their peers wait for.
            barren = !self.ring.has_completions();
        };
        self.turn_completions += taken;
        if std::mem::take(&mut self.bell_heard) {
            self.events.push(Event::Bell);
        }
        events.append(&mut self.events);
        outcome
    }

    /// Submits everything the turn caused, with one call of the kernel unless a queue overflows.
    pub fn flush(&mut self) {
        self.turn_completions = 0;
        self.rearm_starved();
        self.begin_sends();
        if self.ring.pending_count() > 0 {
            self.ring.submit();
        }
    }

    /// Makes all that is ready complete, for a turn that is not followed by a sleep: the ring's
    /// announcement is not to be trusted for long, and to sleep is what looks without it.
    pub fn catch_up(&mut self) {
        self.ring.submit_and_wait(0);
    }

    /// Cancels everything and waits for it, so that the memory may go. Called by drop; call it
    /// yourself to decide the moment. Reports nothing.
    pub fn shutdown(&mut self) {
        /// Rounds of 10 ms: a cancelled operation ends at once unless the kernel is stuck.
        const ROUNDS_MAX: u32 = 500;
        self.shut_down = true;
        self.acceptor.stopping = true;
        for id in self.conns.ids().collect::<Vec<_>>() {
            self.close_now(id);
        }
        for _ in 0..ROUNDS_MAX {
            if self.operation_count == 0 {
                break;
            }
            let everything = CancelBuilder::any().all();
            let entry = opcode::AsyncCancel2::new(everything).build();
            // SAFETY: the entry points to no memory.
            unsafe { self.submit_later(&entry.user_data(Op::Cancel.to_bits())) };
            self.ring.submit_and_wait(10_000);
            while self.translate_completions() > 0 {
                self.ring.submit();
            }
            self.events.clear();
        }
        assert!(self.operation_count == 0, "the kernel still owns memory of this shard");
        assert!(self.conns.is_empty());
        let _ = self.ring.unregister_buffers();
    }

    fn translate_completions(&mut self) -> usize {
        let mut completions = std::mem::take(&mut self.completions);
        self.ring.take_completions(&mut completions);
        let count = completions.len();
        for entry in completions.drain(..) {
            self.translate(&entry);
        }
        self.completions = completions;
        count
    }

    fn translate(&mut self, entry: &cqueue::Entry) {
        let op = Op::from_bits(entry.user_data());
        let last = !cqueue::more(entry.flags());
        if last && op.is_counted() {
            self.operation_count -= 1;
        }
        match op {
            Op::Receive(id) => self.on_receive(id, entry),
            Op::Send(id) => self.on_send(id, entry.result()),
            Op::CancelReceive(id) => self.on_receive_cancelled(id),
            Op::Accept => self.on_accept(entry.result(), last),
            Op::AcceptRetry => self.on_accept_retry(),
            // It has ended the wait; the sleeper heard the bell when it rose.
            Op::BellMessage => {}
            Op::RingPeer(peer) => self.peers[peer as usize].signal(),
            Op::Timer(serial) => {
                if self.timer.armed && serial == self.timer.serial {
                    self.timer.armed = false;
                    self.events.push(Event::Tick);
                }
            }
            Op::Cancel => {}
        }
    }

    /// Somebody rang: `collect` reports it.
    pub(super) fn hear_bell(&mut self) {
        self.bell_heard = true;
        self.counters.bells += 1;
    }

    /// Cancels one operation of the driver's own.
    pub(super) fn cancel(&mut self, op: Op) {
        let entry = opcode::AsyncCancel::new(op.to_bits()).build();
        // SAFETY: the entry points to no memory.
        unsafe { self.submit_later(&entry.user_data(Op::Cancel.to_bits())) };
    }

    /// Queues an entry that completes once or, as a multishot, once without "more".
    ///
    /// # Safety
    ///
    /// As [`Ring::push`].
    pub(super) unsafe fn submit_later(&mut self, entry: &squeue::Entry) {
        self.operation_count += 1;
        // SAFETY: passed on to the caller.
        unsafe { self.ring.push(entry) };
    }

    /// After a completion: arms the receive again, or frees the slot.
    pub(super) fn settle(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.check();
        if conn.phase == Phase::Closing {
            if conn.operation_count == 0 {
                self.conns.remove(id);
                self.events.push(Event::Closed { conn: id });
            }
        } else if conn.wants_receive() {
            self.arm_receive(id);
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A panic must not become an abort; the ring's operations may outlive us, so their
            // memory stays.
            return self.leak();
        }
        self.shutdown();
    }
}

impl Driver {
    fn leak(&mut self) {
        std::mem::forget(std::mem::take(&mut self.conns));
        std::mem::forget(std::mem::replace(&mut self.buffers, BufferRing::new(1, 1)));
    }
}

fn duplicate(fd: i32) -> Result<OwnedFd, StartError> {
    // SAFETY: the descriptor is the ring's and open for the length of this call.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    borrowed.try_clone_to_owned().map_err(|error| {
        StartError::from_io(Step::Descriptor, "duplicate a descriptor of the ring", &error)
    })
}

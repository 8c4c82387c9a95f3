//! Waking a shard that sleeps, from any thread, at most once per burst.
//!
//! A sender puts its item into the shard's mailbox and then rings; a shard that is about to sleep
//! arms its bell and then looks into its mailboxes once more. Each side writes one place and then
//! reads the other's, with a sequentially consistent fence in between:
//!
//! ```text
//! sender                          sleeper
//!   push(item)                      armed = true
//!   fence(SeqCst)                   fence(SeqCst)
//!   if armed { wake }               if mailbox.is_empty() { sleep }
//! ```
//!
//! A plain thread counts up the ring's own eventfd, the one a parked shard waits for; a shard sends
//! a message from its ring. There is no second eventfd that the ring would read: since the kernels
//! that run deferred work (6.12 and later, seen on 6.18), a completion caused from inside an
//! eventfd's write signals the ring's eventfd through RCU once and never again, and the shard
//! sleeps for ever. So nothing that wakes a shard goes from an eventfd through its ring.
//!
//! The two fences are ordered one way or the other. If the sender's comes first, the sleeper sees
//! the item; if the sleeper's does, the sender sees the flag. So no wake-up is lost. The flag is
//! taken with a swap, so of a burst only one sender pays for a system call, and an awake shard
//! costs its senders one load.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering, fence};

/// Where a shard can be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Awake,
    Nap,
    Last,
    Parked,
}

/// By [`Place`].
const PLACES: [&str; 4] = ["awake", "in a nap", "about to park", "parked"];

/// Interrupts a shard's system call. Ignored by default, so that who sends it to another thread, or
/// before there is a handler, does no harm.
pub const RESCUE_SIGNAL: libc::c_int = libc::SIGURG;

/// Rings one shard. Clones ring the same one; dropping does nothing.
#[derive(Clone, Debug)]
pub struct Bell {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The shard sleeps or is about to.
    armed: AtomicBool,
    /// The eventfd that the shard waits for when it is parked.
    event: OwnedFd,
    /// A duplicate, so that a late message can never reach a stranger's descriptor.
    ring: OwnedFd,
    /// Where the shard waits: an index of [`PLACES`].
    place: AtomicU8,
    /// The shard's thread, as the kernel numbers it.
    thread: libc::pid_t,
}

impl Bell {
    /// The bell of the ring `ring`, whose registered eventfd is `event`.
    pub(super) fn new(ring: OwnedFd, event: OwnedFd) -> Self {
        // SAFETY: asks for a number.
        let thread = unsafe { libc::gettid() };
        let (armed, place) = (AtomicBool::new(false), AtomicU8::new(0));
        let shared = Shared { armed, event, ring, place, thread };
        Self { shared: Arc::new(shared) }
    }

    /// Wakes the shard if it sleeps. Call after the item is in the mailbox. For threads without a
    /// ring; a shard uses [`Driver::ring_peer`](super::Driver::ring_peer).
    pub fn ring(&self) {
        if self.take_armed() {
            self.signal();
        }
    }

    /// Where the shard waits, and what the kernel tells of its eventfd and its ring: for whoever
    /// looks for a wake-up that was lost.
    pub fn describe(&self) -> String {
        let info = |fd: RawFd| {
            let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}"));
            let text = text.unwrap_or_default();
            let wanted = |line: &&str| {
                ["eventfd-count", "SqHead", "SqTail", "CqHead", "CqTail"]
                    .iter()
                    .any(|key| line.starts_with(key))
            };
            text.lines().filter(wanted).map(|line| line.replace('\t', " ")).collect::<Vec<_>>()
        };
        let place = usize::from(self.shared.place.load(Ordering::Relaxed));
        let armed = self.shared.armed.load(Ordering::Relaxed);
        let known = [info(self.event_fd()), info(self.ring_fd())].concat().join(", ");
        format!("{}, bell armed: {armed}, {known}", PLACES[place])
    }

    /// The shard says where it is about to wait.
    pub(super) fn stand(&self, place: Place) {
        self.shared.place.store(place as u8, Ordering::Relaxed);
    }

    /// For a shard that should have turned long ago: counts its eventfd up, whoever else has, and
    /// interrupts the system call that its thread waits in. So a wake-up that was lost on the way,
    /// by the kernel, the executor or us, costs as long as this takes to be called and not for
    /// ever. A shard that is awake turns once more. The process needs a handler of
    /// [`RESCUE_SIGNAL`].
    pub fn rescue(&self) {
        self.signal();
        // SAFETY: names a thread of this process by number. If it has ended, and another one had
        // its number, that one would be interrupted for nothing.
        unsafe {
            libc::syscall(libc::SYS_tgkill, libc::getpid(), self.shared.thread, RESCUE_SIGNAL)
        };
    }

    /// Whether the caller is the one who must wake the shard.
    pub(super) fn take_armed(&self) -> bool {
        fence(Ordering::SeqCst);
        let armed = &self.shared.armed;
        armed.load(Ordering::Relaxed) && armed.swap(false, Ordering::AcqRel)
    }

    /// Wakes the shard without asking.
    pub(super) fn signal(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: writes eight bytes from a valid place. It cannot block before 2^64 - 2 unread
        // signals, and it can fail only so; either way the shard is awake.
        unsafe { libc::write(self.event_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// From here on a [`Bell::ring`] wakes. Look into the mailboxes after this, not before.
    pub(super) fn arm(&self) {
        self.shared.armed.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The shard is awake and will look into its mailboxes without being told. Says whether
    /// somebody rang since [`Bell::arm`].
    pub(super) fn disarm(&self) -> bool {
        !self.shared.armed.swap(false, Ordering::Relaxed)
    }

    fn event_fd(&self) -> RawFd {
        self.shared.event.as_raw_fd()
    }

    pub(super) fn ring_fd(&self) -> RawFd {
        self.shared.ring.as_raw_fd()
    }
}

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
use std::sync::atomic::{AtomicBool, Ordering, fence};

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
}

impl Bell {
    /// The bell of the ring `ring`, whose registered eventfd is `event`.
    pub(super) fn new(ring: OwnedFd, event: OwnedFd) -> Self {
        let shared = Shared { armed: AtomicBool::new(false), event, ring };
        Self { shared: Arc::new(shared) }
    }

    /// Wakes the shard if it sleeps. Call after the item is in the mailbox. For threads without a
    /// ring; a shard uses [`Driver::ring_peer`](super::Driver::ring_peer).
    pub fn ring(&self) {
        if self.take_armed() {
            self.signal();
        }
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

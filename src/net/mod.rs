//! The sockets of a shard on its own io_uring: listener, connections, send queues, bells.
//!
//! glommio gives a shard its pinned thread and wakes it up; the sockets live on a second ring that
//! belongs to the [`Driver`]. Sockets, bells of other shards and the timer arrive there as
//! completions, whose eventfd is what a parked shard waits for; a plain thread's bell counts up
//! that same eventfd. So a shard's loop waits in one place and never misses work:
//!
//! ```text
//! loop {
//!     while driver.collect(&mut events) == Collected::More { apply(events) }   // drain first
//!     apply(events); apply(mailboxes);                                        // plain state
//!     driver.flush();                                                         // one system call
//!     if let Some(sleep) = driver.prepare_sleep() {
//!         if mailboxes.is_empty() { sleep.wait(nap_us).await }
//!     }
//! }
//! ```
//!
//! An idle connection is one slot of the slab: no task, no receive buffer, no send buffer.
//!
//! **Never:** a protocol byte, a clock read, a lock, a wait for one socket on behalf of another.
//! Nothing a peer does makes this module panic; a completion that cannot be ours does.

mod error;

mod limits;

mod probe;

mod listen;

mod op;

mod ring;

mod buffers;

mod chunk;

mod queue;

mod bell;

mod event;

mod conn;

mod driver;

mod accept;

mod receive;

mod send;

mod close;

mod sleep;

pub use bell::{Bell, RESCUE_SIGNAL};
pub use buffers::Buffer;
pub use chunk::{Chunk, ChunkPool, Slice};
pub use driver::{Driver, DriverOptions, Peer};
pub use error::{StartError, Step};
pub use event::{Close, Collected, Counters, EndReason, Event, Pressure};
pub use limits::{Raised, raise};
pub use listen::{ListenOptions, Listener, listen, listen_group};
pub use probe::probe;
pub use sleep::Sleep;

#[cfg(test)]
mod tests;

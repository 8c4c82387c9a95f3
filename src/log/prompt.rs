//! Threads that wait for others most of the time, and must run at once when what they wait for is
//! there: shards, and the log.
//!
//! Since Linux 6.12 a thread may say how long it wants to run at a time. One that wants little is
//! let in before another has used up its slice of three milliseconds (EEVDF; sched_setattr(2)). No
//! share of the processor is asked for and no privilege is needed; an older kernel takes the value
//! and does nothing with it.

/// How long such a thread wants to run at a time, ns: the least that the kernel takes.
const SLICE_NS: u64 = 100_000;

/// `struct sched_attr`, in its first version.
#[repr(C)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Asks for short slices for the calling thread. What cannot be had is not missed.
pub fn be_prompt() {
    let size = size_of::<Attributes>() as u32;
    assert!(size == 48);
    let (policy, flags, priority) = (libc::SCHED_OTHER as u32, 0, 0);
    // SAFETY: a plain system call about this thread.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    let (runtime, deadline, period) = (SLICE_NS, 0, 0);
    let attributes = Attributes { size, policy, flags, nice, priority, runtime, deadline, period };
    // SAFETY: the attributes have the size that they say, and outlive the call.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
}

//! What a program that looks at one segment after the other asks of the allocator.
//!
//! Making the columns of a segment, its sidecar or a snapshot takes tens of megabytes for a moment.
//! Left to itself, glibc learns from every large block that is freed to keep the next ones in the
//! heap of the thread that asked, and gives each thread a heap: what was needed for a moment is
//! then held for good, and grows from segment to segment as the free pieces fit less and less.

/// Blocks from this size on go back to the system when they are freed. A message is far smaller, so
/// that a shard does not pay system calls for each.
#[cfg(target_env = "gnu")]
const BLOCK_BYTES: i32 = 1 << 20;

/// Free memory at the end of a heap that stays with it: twice a block, as glibc would have it. Its
/// default is an eighth of a block, by which a shard's heap might shrink and grow all the time.
#[cfg(target_env = "gnu")]
const SLACK_BYTES: i32 = 2 * BLOCK_BYTES;

/// Heaps for small blocks, whatever the number of threads.
#[cfg(target_env = "gnu")]
const HEAPS_MAX: i32 = 2;

/// Makes large blocks that are freed leave the process. Comes before the first thread.
pub fn give_back_large_blocks() {
    // SAFETY: sets two numbers of the allocator.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, BLOCK_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, SLACK_BYTES);
    }
}

/// Lets threads share heaps, for a program whose threads do the same work and seldom ask for small
/// blocks: else each of them holds what it once used. Not for a server: a shard must not wait for
/// another thread's allocation. Comes before the first thread.
pub fn share_heaps() {
    // SAFETY: sets a number of the allocator.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, HEAPS_MAX);
    }
}

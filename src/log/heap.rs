//! What a program that looks at one segment after the other asks of the allocator.

/// Blocks from this size on go back to the system when they are freed.
#[cfg(target_env = "gnu")]
const BLOCK_BYTES: i32 = 1 << 20;

/// Heaps for small blocks, whatever the number of threads.
#[cfg(target_env = "gnu")]
const HEAPS_MAX: i32 = 2;

/// Makes freed memory leave the process, however large the freed blocks were. Left to itself, glibc
/// learns from every large block that is freed to keep the next ones, and gives each thread a heap:
/// a program that makes columns of segments on some threads then holds twice what it uses. Comes
/// before the first thread.
pub fn give_back_large_blocks() {
    // SAFETY: sets two numbers of the allocator.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, BLOCK_BYTES);
        libc::mallopt(libc::M_ARENA_MAX, HEAPS_MAX);
    }
}

//! What a program that looks at one segment after the other asks of the allocator.

/// Blocks from this size on go back to the system when they are freed.
#[cfg(target_env = "gnu")]
const BLOCK_BYTES: i32 = 1 << 20;

/// Makes freed memory leave the process, however large the freed blocks were. Left to itself, glibc
/// learns from every large block that is freed to keep the next ones: a program that makes columns
/// of segments on two threads then holds twice what it uses.
pub fn give_back_large_blocks() {
    // SAFETY: sets a number of the allocator; nothing depends on when.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, BLOCK_BYTES);
    }
}

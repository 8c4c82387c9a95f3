//! A byte ring between one shard and the log thread, in memory that no file backs.
//!
//! The same pages are mapped twice, behind one another, so that every record is one slice and a
//! wrap is nobody's concern:
//!
//! ```text
//!   base                       base + size                base + 2 size
//!   |  ring                    |  the same pages again    |
//!        ^released   ^taken        ^appended
//!        | being     | framed,     | not yet     | free
//!        | synced    | by the log thread         |
//! ```
//!
//! Invariant: `released <= taken <= appended <= released + size`; all three only grow, and are
//! multiples of 8. The bytes below `appended` are the log thread's, those above are the shard's.
//! Every page is touched at birth: an append takes no page fault.

use super::record::ALIGN;
use crate::base::ids::LogPosition;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Two counters that different threads write, each on its own pair of cache lines.
#[repr(align(128))]
#[derive(Default)]
struct Counter(AtomicU64);

struct Pages {
    base: NonNull<u8>,
    size: usize,
    /// Bytes ever appended. Written by the shard, read by the log thread.
    appended: Counter,
    /// Bytes whose place may be used again. Written by the log thread, read by the shard.
    released: Counter,
}

// SAFETY: the pages are shared memory by design; who may touch which bytes is decided by the two
// counters, which are passed on with release and acquire.
unsafe impl Send for Pages {}
// SAFETY: as above. The halves below are the only users, and there is one of each.
unsafe impl Sync for Pages {}

/// The shard's half.
pub(super) struct RingWriter {
    pages: Arc<Pages>,
    appended: u64,
    /// `released` as last read; a lower bound of the true one.
    released_seen: u64,
}

/// The log thread's half.
pub(super) struct RingReader {
    pages: Arc<Pages>,
    taken: u64,
    released: u64,
}

/// Makes a ring of `size` bytes, a multiple of the page size.
pub(super) fn ring(size: usize) -> io::Result<(RingWriter, RingReader)> {
    let pages = Arc::new(Pages::map(size)?);
    let writer = RingWriter { pages: Arc::clone(&pages), appended: 0, released_seen: 0 };
    Ok((writer, RingReader { pages, taken: 0, released: 0 }))
}

impl RingWriter {
    /// The free bytes behind the last append, at most `bytes_max` of them.
    pub(super) fn free(&mut self, bytes_max: usize) -> &mut [u8] {
        if self.free_len() < bytes_max {
            self.released_seen = self.pages.released.0.load(Ordering::Acquire);
        }
        let len = self.free_len().min(bytes_max);
        let begin = self.pages.at(self.appended);
        // SAFETY: `begin..begin + len` lies in the double mapping, since `len <= size`. The bytes
        // between `appended` and `released + size` are read by nobody until `append` publishes
        // them, and this half is borrowed mutably for as long as the slice lives.
        unsafe { std::slice::from_raw_parts_mut(begin, len) }
    }

    /// Hands the first `len` bytes of [`RingWriter::free`] to the log thread.
    pub(super) fn append(&mut self, len: usize) -> LogPosition {
        assert!(len <= self.free_len());
        assert!(len.is_multiple_of(ALIGN));
        self.appended += len as u64;
        self.pages.appended.0.store(self.appended, Ordering::Release);
        LogPosition(self.appended)
    }

    /// Bytes ever appended.
    pub(super) fn appended(&self) -> LogPosition {
        LogPosition(self.appended)
    }

    fn free_len(&self) -> usize {
        self.pages.size - (self.appended - self.released_seen) as usize
    }
}

impl RingReader {
    /// What was appended and not yet taken: whole records.
    pub(super) fn readable(&self) -> &[u8] {
        let appended = self.pages.appended.0.load(Ordering::Acquire);
        let len = (appended - self.taken) as usize;
        assert!(len <= self.pages.size);
        // SAFETY: the bytes between `taken` and `appended` were published by the shard with
        // release and are not written again until `release` lets their place go, which needs this
        // half mutably. `len <= size` keeps the slice in the double mapping.
        unsafe { std::slice::from_raw_parts(self.pages.at(self.taken), len) }
    }

    /// Says that the first `len` readable bytes were framed.
    pub(super) fn take(&mut self, len: usize) {
        assert!(len <= self.readable().len());
        self.taken += len as u64;
    }

    /// Bytes taken so far.
    pub(super) fn taken(&self) -> LogPosition {
        LogPosition(self.taken)
    }

    /// Makes all that was taken and not released readable again.
    pub(super) fn rewind(&mut self) {
        self.taken = self.released;
    }

    /// Gives the shard the place of all bytes below `position`.
    pub(super) fn release(&mut self, position: LogPosition) {
        assert!(position.0 <= self.taken);
        assert!(position.0 >= self.released);
        self.released = position.0;
        self.pages.released.0.store(position.0, Ordering::Release);
    }
}

impl Pages {
    fn map(size: usize) -> io::Result<Self> {
        // SAFETY: no pointers but a C string; the result is checked.
        let fd = unsafe { libc::memfd_create(c"ringpost-log-ring".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just made and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: plain system calls on a descriptor that is ours.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        assert!(size > 0 && size.is_multiple_of(page));
        // SAFETY: as above.
        if unsafe { libc::ftruncate(fd.as_raw_fd(), size as libc::off_t) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: asks for fresh address space, to be filled below.
        let base = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            libc::mmap(std::ptr::null_mut(), 2 * size, libc::PROT_NONE, flags, -1, 0)
        };
        let base = Some(base).filter(|base| *base != libc::MAP_FAILED).and_then(NonNull::new);
        let Some(base) = base else {
            return Err(io::Error::last_os_error());
        };
        let counters = (Counter::default(), Counter::default());
        let pages = Self { base: base.cast(), size, appended: counters.0, released: counters.1 };
        for half in 0..2 {
            // SAFETY: replaces a half of the address space that was just reserved for it.
            let mapped = unsafe {
                let at = pages.base.as_ptr().add(half * size).cast();
                let flags = libc::MAP_SHARED | libc::MAP_FIXED | libc::MAP_POPULATE;
                let access = libc::PROT_READ | libc::PROT_WRITE;
                libc::mmap(at, size, access, flags, fd.as_raw_fd(), 0)
            };
            if mapped == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
        }
        pages.touch();
        Ok(pages)
    }

    /// `MAP_POPULATE` gives up without a word when memory is short; a write does not.
    fn touch(&self) {
        for at in (0..2 * self.size).step_by(4_096) {
            // SAFETY: inside the double mapping, before anybody else knows of it.
            unsafe { self.base.as_ptr().add(at).write_volatile(0) };
        }
    }

    fn at(&self, position: u64) -> *mut u8 {
        // SAFETY: the offset is below `size`, the mapping is twice that long.
        unsafe { self.base.as_ptr().add((position % self.size as u64) as usize) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `map` and both halves of the ring are gone.
        let rc = unsafe { libc::munmap(self.base.as_ptr().cast(), 2 * self.size) };
        assert!(rc == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_in_one_slice_and_fills_up() {
        let (mut writer, mut reader) = ring(4_096).unwrap();
        assert_eq!(writer.free(64).len(), 64);
        for round in 0..100u8 {
            let len = 1_024 + 8 * round as usize;
            writer.free(len).fill(round);
            let position = writer.append(len);
            assert_eq!(reader.readable(), vec![round; len]);
            reader.take(len);
            assert_eq!(writer.free(usize::MAX).len(), 4_096 - len, "taken is not released");
            reader.rewind();
            assert_eq!(reader.readable(), vec![round; len], "and can be read again");
            reader.take(len);
            reader.release(position);
        }
        assert_eq!(writer.free(usize::MAX).len(), 4_096);
        writer.append(4_096);
        assert_eq!(writer.free(1).len(), 0);
        assert_eq!(reader.readable().len(), 4_096);
    }

    #[test]
    fn a_slow_reader_sees_every_byte_in_order() {
        const TOTAL: u64 = 1 << 20;
        let (mut writer, mut reader) = ring(4_096).unwrap();
        let thread = std::thread::spawn(move || {
            let mut seen = 0u64;
            while seen < TOTAL {
                let words: Vec<u64> = reader
                    .readable()
                    .chunks_exact(8)
                    .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
                    .collect();
                for word in &words {
                    assert_eq!(*word, seen);
                    seen += 8;
                }
                reader.take(words.len() * 8);
                reader.release(LogPosition(seen));
                std::thread::yield_now();
            }
        });
        let mut next = 0u64;
        while next < TOTAL {
            let free = writer.free(24);
            let count = (free.len() / 8).min(((TOTAL - next) / 8) as usize);
            for word in free.chunks_exact_mut(8).take(count) {
                word.copy_from_slice(&next.to_le_bytes());
                next += 8;
            }
            writer.append(count * 8);
            if count == 0 {
                std::thread::yield_now();
            }
        }
        thread.join().unwrap();
    }
}

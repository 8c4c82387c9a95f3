//! A message that has not arrived whole.
//!
//! **Never:** takes memory for a length that was announced.

use crate::base::codes::CloseReason;

/// Invariant: `checked_bytes <= bytes.len()`, and the bytes before it are UTF-8 if it is a text.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// The message so far: unmasked and inflated.
    pub bytes: Vec<u8>,
    /// How much of `bytes` is known to be UTF-8.
    checked_bytes: usize,
    /// Payload bytes that arrived for the message, for the bound on deflated input.
    pub wire_bytes: u64,
    /// Frames of the message that arrived whole.
    pub fragment_count: u32,
    /// The control frame so far, which may stand between two fragments.
    pub control: Vec<u8>,
}

impl Assembly {
    /// Appends with doubling, but never past the bound. The header was checked against it before.
    pub fn append(&mut self, piece: &[u8], bytes_max: usize) {
        let needed = self.bytes.len() + piece.len();
        assert!(needed <= bytes_max);
        if needed > self.bytes.capacity() {
            let wanted = (self.bytes.capacity() * 2).max(needed).min(bytes_max);
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
    }

    /// Bytes of heap it takes, with itself.
    pub fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.capacity() + self.control.capacity()
    }

    /// Fails as soon as the bytes cannot be the beginning of any text (RFC 6455 §8.1). A character
    /// that is cut at the end is looked at again, from its first byte, with the next piece.
    pub fn check_text(&mut self) -> Result<(), CloseReason> {
        assert!(self.checked_bytes <= self.bytes.len());
        match simdutf8::compat::from_utf8(&self.bytes[self.checked_bytes..]) {
            Ok(_) => self.checked_bytes = self.bytes.len(),
            Err(error) if error.error_len().is_none() => {
                self.checked_bytes += error.valid_up_to();
                assert!(self.bytes.len() - self.checked_bytes < 4);
            }
            Err(_) => return Err(CloseReason::BadPayload),
        }
        Ok(())
    }
}

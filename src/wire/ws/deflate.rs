//! Inflating under a cap, and deflating, one message at a time (RFC 7692 §7.2).
//!
//! **Never:** believes how long a message will be. Output grows by what was produced, and stops
//! one byte after the cap, so a bomb costs its cap and no more.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::negotiate::{Direction, Takeover, WINDOW_BITS_DEFLATE_MIN, WINDOW_BITS_MAX};
use crate::base::codes::CloseReason;
use crate::base::limits::{KIB, WS_DEFLATE_STREAMS_MAX};

/// What a sender cuts from the end of a message and a receiver puts back (§7.2.1, §7.2.2).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// zlib's level: the lowest that makes codes to measure. Level 1 has fixed codes only; a 158-byte
/// event then shrinks to 155 bytes where this one gives 132, and higher levels give no less.
const LEVEL: u32 = 2;

/// What zlib keeps for inflating beside the window, about.
const INFLATE_TABLES_BYTES: usize = 10 * KIB;

/// Room made for the first output of a message, bytes.
const OUTPUT_BYTES_MIN: usize = 256;

/// The receiving half: inflates the messages of one peer.
#[derive(Debug)]
pub struct Inflater {
    stream: Decompress,
    window_bits: u8,
    /// Whether the last byte given to `stream` ended it: there is no block to complete.
    ended: bool,
    /// Final blocks seen in the message that is being inflated.
    ended_count: u32,
}

impl Inflater {
    /// A fresh window of 2^`window_bits` bytes, 8 to 15.
    pub fn new(window_bits: u8) -> Self {
        assert!(window_bits <= WINDOW_BITS_MAX);
        // A larger window than the sender's inflates the same.
        let window_bits = window_bits.max(WINDOW_BITS_DEFLATE_MIN);
        let stream = Decompress::new_with_window_bits(false, window_bits);
        Self { stream, window_bits, ended: false, ended_count: 0 }
    }

    /// Inflates a piece of a message and appends what it gives to `output`.
    ///
    /// Fails with [`CloseReason::TooBig`] when `output` would become longer than
    /// `output_bytes_max`, and with [`CloseReason::BadPayload`] for data that does not inflate.
    /// `output` then holds what was inflated before.
    pub fn push(
        &mut self,
        piece: &[u8],
        output: &mut Vec<u8>,
        output_bytes_max: usize,
    ) -> Result<(), CloseReason> {
        assert!(output.len() <= output_bytes_max);
        let mut rest = piece;
        loop {
            reserve_output(output, rest.len(), output_bytes_max.saturating_add(1));
            let (taken_before, made_before) = (self.stream.total_in(), output.len());
            let result = self.stream.decompress_vec(rest, output, FlushDecompress::Sync);
            let taken = (self.stream.total_in() - taken_before) as usize;
            rest = &rest[taken..];
            self.ended &= taken == 0;
            if output.len() > output_bytes_max {
                return Err(CloseReason::TooBig);
            }
            let status = result.map_err(|_| CloseReason::BadPayload)?;
            if status == Status::StreamEnd {
                self.begin_stream()?;
            } else if output.len() < output.capacity() {
                if rest.is_empty() {
                    return Ok(());
                }
                if taken == 0 && output.len() == made_before {
                    return Err(CloseReason::BadPayload);
                }
            }
        }
    }

    /// Completes a message whose last piece was pushed. Same errors as [`Inflater::push`].
    pub fn finish(
        &mut self,
        output: &mut Vec<u8>,
        output_bytes_max: usize,
    ) -> Result<(), CloseReason> {
        if !self.ended {
            self.push(&TAIL, output, output_bytes_max)?;
        }
        self.ended_count = 0;
        Ok(())
    }

    /// About how many bytes of heap this holds: the window and zlib's decoding tables.
    pub fn held_bytes(&self) -> usize {
        size_of::<Self>() + (1 << self.window_bits) + INFLATE_TABLES_BYTES
    }

    /// After a final block: what follows, if anything does, is a stream of its own.
    fn begin_stream(&mut self) -> Result<(), CloseReason> {
        self.ended_count += 1;
        if self.ended_count > WS_DEFLATE_STREAMS_MAX {
            return Err(CloseReason::BadPayload);
        }
        self.stream.reset(false);
        self.ended = true;
        Ok(())
    }
}

/// Makes room in `output` for at least one byte and at most `bytes_max` in total: a guess from the
/// input at first, then twice as much each time.
fn reserve_output(output: &mut Vec<u8>, input_bytes: usize, bytes_max: usize) {
    assert!(output.len() < bytes_max);
    if output.len() < output.capacity() {
        return;
    }
    let wanted = (output.len() * 2).max(input_bytes * 3).max(OUTPUT_BYTES_MIN).min(bytes_max);
    output.reserve_exact(wanted.saturating_sub(output.len()).max(1));
}

/// The sending half: deflates messages for one peer, or, with [`Takeover::Reset`], for everyone
/// who agreed on at least this window.
#[derive(Debug)]
pub struct Deflater {
    stream: Compress,
    takeover: Takeover,
}

impl Deflater {
    /// A fresh window. Takes about 300 KiB of memory at 15 bits.
    pub fn new(direction: Direction) -> Self {
        assert!(direction.window_bits >= WINDOW_BITS_DEFLATE_MIN);
        assert!(direction.window_bits <= WINDOW_BITS_MAX);
        let level = Compression::new(LEVEL);
        let stream = Compress::new_with_window_bits(level, false, direction.window_bits);
        Self { stream, takeover: direction.takeover }
    }

    /// Appends the deflated message to `output`, without the tail that the receiver adds.
    ///
    /// `message` is not empty: zlib gives nothing for a second flush without input, so an empty
    /// message goes out uncompressed.
    pub fn push(&mut self, message: &[u8], output: &mut Vec<u8>) {
        assert!(!message.is_empty());
        let begin = output.len();
        let mut rest = message;
        // zlib wants more than six bytes of room at a flush, or it may write the marker twice.
        output.reserve(message.len() / 2 + 64);
        loop {
            let taken_before = self.stream.total_in();
            let status = self.stream.compress_vec(rest, output, FlushCompress::Sync);
            assert!(matches!(status, Ok(Status::Ok | Status::BufError)), "{status:?}");
            rest = &rest[(self.stream.total_in() - taken_before) as usize..];
            if output.len() < output.capacity() {
                break;
            }
            output.reserve(rest.len() / 2 + 64);
        }
        assert!(rest.is_empty());
        assert!(output[begin..].ends_with(&TAIL));
        output.truncate(output.len() - TAIL.len());
        if self.takeover == Takeover::Reset {
            self.stream.reset();
        }
    }
}

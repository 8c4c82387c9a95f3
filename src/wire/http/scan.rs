//! Finds the end of a head in bytes that arrive in any pieces, looking at each byte once.
//!
//! The scanner decides only what a prefix decides for good: line ends, the first byte, the request
//! line, and sizes. It decides in the order of the bytes, so that the same stream gets the same
//! answer however it was split. What needs the whole head waits for [`super::request`].

use super::reject::Reject;
use super::request;
use super::syntax::is_token_byte;
use crate::base::limits::{HTTP_HEAD_BYTES_MAX, HTTP_REQUEST_LINE_BYTES_MAX};

const _: () = assert!(HTTP_REQUEST_LINE_BYTES_MAX < HTTP_HEAD_BYTES_MAX);

/// How far the search for the empty line has come.
///
/// Invariant: `line_begin <= position <= bytes seen`, and there is no lone CR or LF below
/// `position`.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Scan {
    /// The next byte to look at.
    position: usize,
    /// Where the line of `position` begins.
    line_begin: usize,
    /// End of the request line with its CRLF; 0 until it is known.
    request_line_end: usize,
}

impl Scan {
    /// End of the request line with its CRLF; 0 until it is known.
    pub(super) fn request_line_end(&self) -> usize {
        self.request_line_end
    }

    /// Looks at what came since the last call. `bytes` is everything since the head began. Gives
    /// the length of the head with its empty line, or `None` when that has not come yet.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, Reject> {
        assert!(self.position <= bytes.len());
        let was_known = self.request_line_end > 0;
        let found = self.find_end(bytes);
        let is_known = self.request_line_end > 0;
        // A whole head is parsed in one go by the caller. In every other case the request line is
        // judged as soon as it is there: HTTP/0.9 and other protocols need not wait for a timeout.
        if is_known && !was_known && !matches!(found, Ok(Some(_))) {
            request::parse_line(&bytes[..self.request_line_end])?;
        }
        found
    }

    fn find_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Reject> {
        if self.position == 0 {
            match bytes.first() {
                None => return Ok(None),
                Some(b'\n') => return Err(Reject::BareLf),
                Some(&byte) if !is_token_byte(byte) => return Err(Reject::BadRequestLine),
                Some(_) => {}
            }
        }
        loop {
            let size_max = self.size_max();
            let window = &bytes[..bytes.len().min(size_max)];
            let Some(offset) = memchr::memchr2(b'\r', b'\n', &window[self.position..]) else {
                self.look(window.len());
                return self.run_out(bytes);
            };
            let at = self.position + offset;
            self.look(at);
            if window[at] == b'\n' {
                return Err(Reject::BareLf);
            }
            match window.get(at + 1) {
                None => return self.run_out(bytes),
                Some(b'\n') => {}
                Some(_) => return Err(Reject::BareCr),
            }
            self.look(at + 2);
            if at == self.line_begin {
                return Ok(Some(at + 2));
            }
            if self.request_line_end == 0 {
                self.request_line_end = at + 2;
            }
            self.line_begin = at + 2;
        }
    }

    fn look(&mut self, position: usize) {
        #[cfg(test)]
        work::add(position - self.position);
        self.position = position;
    }

    fn size_max(&self) -> usize {
        if self.request_line_end == 0 { HTTP_REQUEST_LINE_BYTES_MAX } else { HTTP_HEAD_BYTES_MAX }
    }

    /// No end within the window: not yet, or never.
    fn run_out(&self, bytes: &[u8]) -> Result<Option<usize>, Reject> {
        if bytes.len() < self.size_max() {
            return Ok(None);
        }
        if self.request_line_end > 0 {
            return Err(Reject::HeadTooLarge);
        }
        let method = &bytes[..=request::METHOD_BYTES_MAX];
        let has_method = method.contains(&b' ');
        Err(if has_method { Reject::TargetTooLong } else { Reject::MethodTooLong })
    }
}

/// Bytes looked at by the tests of this thread: work must be linear in what was received.
#[cfg(test)]
pub(super) mod work {
    use std::cell::Cell;

    thread_local!(static BYTES: Cell<usize> = const { Cell::new(0) });

    pub(in super::super) fn add(count: usize) {
        BYTES.set(BYTES.get() + count);
    }

    pub(in super::super) fn take() -> usize {
        BYTES.take()
    }
}

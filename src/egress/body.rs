//! Bodies of requests: bytes, or a file between two pieces of a form.

use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

/// One piece of a file at a time.
const PIECE_BYTES: usize = 64 << 10;

/// What a request carries.
#[derive(Debug)]
pub(super) struct Payload {
    parts: VecDeque<Part>,
    bytes_left: u64,
}

#[derive(Debug)]
enum Part {
    Bytes(Bytes),
    File { file: File, left: u64 },
}

impl Payload {
    pub(super) fn bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let bytes_left = bytes.len() as u64;
        let parts = if bytes.is_empty() { VecDeque::new() } else { [Part::Bytes(bytes)].into() };
        Self { parts, bytes_left }
    }

    /// `head`, the file as long as it is now, `tail`.
    pub(super) fn file(head: String, path: &Path, tail: String) -> io::Result<Self> {
        let file = File::open(path)?;
        let left = file.metadata()?.len();
        let bytes_left = left + (head.len() + tail.len()) as u64;
        let parts = [Part::Bytes(head.into()), Part::File { file, left }, Part::Bytes(tail.into())];
        Ok(Self { parts: parts.into(), bytes_left })
    }

    pub(super) fn len(&self) -> u64 {
        self.bytes_left
    }

    fn next(&mut self) -> Option<io::Result<Bytes>> {
        let bytes = match self.parts.front_mut()? {
            Part::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                self.parts.pop_front();
                bytes
            }
            Part::File { file, left } => {
                let mut piece = vec![0; PIECE_BYTES.min(*left as usize)];
                if let Err(error) = file.read_exact(&mut piece) {
                    return Some(Err(error));
                }
                *left -= piece.len() as u64;
                if *left == 0 {
                    self.parts.pop_front();
                }
                piece.into()
            }
        };
        self.bytes_left -= bytes.len() as u64;
        Some(Ok(bytes))
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.next().map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes_left)
    }
}

//! The decoder of one connection: bytes in any pieces become heads, body pieces and ends.

use super::body::{Body, Piece};
use super::reject::Reject;
use super::request::Request;
use super::scan::Scan;
use crate::base::limits::HTTP_HEAD_BYTES_MAX;

/// What one call of [`Decoder::next`] took and gave.
#[derive(Debug)]
pub struct Step<'a> {
    /// Bytes of the input that are done with. Advance by as many, also when `item` is `None`.
    pub consumed: usize,
    /// What they amounted to; `None` means "not yet": all input is consumed.
    pub item: Option<Item<'a>>,
}

/// A part of a request, in order: one `Head`, any number of `Body`, one `End`.
#[derive(Debug)]
pub enum Item<'a> {
    /// A complete head. The route may now set its limit with [`Decoder::limit_body`].
    Head(Request<'a>),
    /// The next bytes of the body, decoded; never empty.
    Body(&'a [u8]),
    /// The request is complete, also one without a body.
    End,
}

/// What the connection waits for: which deadline applies to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Nothing of the next request has come.
    Idle,
    /// A part of a head has come.
    Head,
    /// A head has come; its body, or its [`Item::End`], has not.
    Body,
    /// No request follows: the last one asked to close, or was refused.
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// A head, or one empty line before it (RFC 9112 §2.2).
    Start,
    /// The LF of that empty line.
    StartLf,
    /// A head and nothing else.
    Head,
    Body,
    Closing,
    Rejected(Reject),
}

/// Decodes the requests of one connection. 32 bytes while idle or in a body; a head that arrives
/// in pieces is held on the heap until the call after the one that returned it.
///
/// Invariant: `partial` is `Some` only in `Head` (unfinished), in `Body` until the next call (its
/// head was just returned), and after a refusal.
#[derive(Debug)]
pub struct Decoder {
    partial: Option<Box<Partial>>,
    body: Body,
    state: State,
    keep_alive: bool,
}

const _: () = assert!(size_of::<Decoder>() <= 32, "ten thousand idle connections hold one each");

/// The beginning of a head.
///
/// Invariant: `bytes.len() < HTTP_HEAD_BYTES_MAX` while the head is unfinished.
#[derive(Debug)]
struct Partial {
    bytes: Vec<u8>,
    scan: Scan,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { partial: None, body: Body::DONE, state: State::Start, keep_alive: true }
    }
}

impl Decoder {
    /// A decoder for a new connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next item from `input`, which continues where the last call stopped consuming.
    ///
    /// Call again with the rest until `item` is `None`, also with an empty rest: the end of a
    /// request needs no further byte. After a request that does not persist all input is consumed
    /// and ignored. Once refused, every call gives the same [`Reject`].
    pub fn next<'a>(&'a mut self, input: &'a [u8]) -> Result<Step<'a>, Reject> {
        match self.state {
            State::Rejected(reject) => Err(reject),
            State::Closing => Ok(Step { consumed: input.len(), item: None }),
            State::Body => self.next_body(input),
            State::Start | State::StartLf | State::Head => {
                let skipped = self.skip_empty_line(input)?;
                self.next_head(input, skipped)
            }
        }
    }

    /// Sets the most bytes the body of the current request may have; call it between
    /// [`Item::Head`] and the next call of [`Decoder::next`]. Without it
    /// [`HTTP_BODY_BYTES_MAX`](crate::base::limits::HTTP_BODY_BYTES_MAX) holds.
    ///
    /// Errors with [`Reject::BodyTooLarge`] when the announced length is above it already, so that
    /// `100 Continue` is not sent for a body that will be refused.
    pub fn limit_body(&mut self, bytes_max: usize) -> Result<(), Reject> {
        assert!(self.state == State::Body, "a limit belongs to a head");
        self.body.limit(bytes_max).inspect_err(|&reject| self.state = State::Rejected(reject))
    }

    /// What the connection waits for.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Start => Phase::Idle,
            State::StartLf => Phase::Head,
            State::Head if self.partial.is_none() => Phase::Idle,
            State::Head => Phase::Head,
            State::Body => Phase::Body,
            State::Closing | State::Rejected(_) => Phase::Over,
        }
    }

    /// One empty line before a request line is what an old client leaves behind a body (RFC 9112
    /// §2.2); a second one is not.
    fn skip_empty_line(&mut self, input: &[u8]) -> Result<usize, Reject> {
        let mut skipped = 0;
        if self.state == State::Start && !input.is_empty() {
            self.state = State::Head;
            if input[0] == b'\r' {
                self.state = State::StartLf;
                skipped += 1;
            }
        }
        if self.state == State::StartLf && input.len() > skipped {
            if input[skipped] != b'\n' {
                self.state = State::Rejected(Reject::BareCr);
                return Err(Reject::BareCr);
            }
            self.state = State::Head;
            skipped += 1;
        }
        Ok(skipped)
    }

    fn next_head<'a>(&'a mut self, input: &'a [u8], skipped: usize) -> Result<Step<'a>, Reject> {
        let rest = &input[skipped..];
        if rest.is_empty() {
            return Ok(Step { consumed: skipped, item: None });
        }
        let parsed = if self.partial.is_none() {
            let mut scan = Scan::default();
            match scan.advance(rest) {
                Ok(Some(size)) => Request::parse(&rest[..size], scan.request_line_end())
                    .map(|request| Some((size, request))),
                Ok(None) => {
                    self.partial = Some(Box::new(Partial { bytes: rest.to_vec(), scan }));
                    Ok(None)
                }
                Err(reject) => Err(reject),
            }
        } else {
            let Some(partial) = &mut self.partial else { unreachable!("just seen") };
            partial.extend(rest)
        };
        match parsed {
            Ok(Some((used, request))) => {
                self.state = State::Body;
                self.keep_alive = request.keep_alive;
                self.body = Body::new(request.body);
                Ok(Step { consumed: skipped + used, item: Some(Item::Head(request)) })
            }
            Ok(None) => Ok(Step { consumed: input.len(), item: None }),
            Err(reject) => {
                self.state = State::Rejected(reject);
                Err(reject)
            }
        }
    }

    fn next_body<'a>(&'a mut self, input: &'a [u8]) -> Result<Step<'a>, Reject> {
        self.partial = None;
        let (consumed, piece) = match self.body.next(input) {
            Ok(step) => step,
            Err(reject) => {
                self.state = State::Rejected(reject);
                return Err(reject);
            }
        };
        let item = match piece {
            Piece::Data(data) => Some(Item::Body(data)),
            Piece::End => {
                self.state = if self.keep_alive { State::Start } else { State::Closing };
                Some(Item::End)
            }
            Piece::More => None,
        };
        Ok(Step { consumed, item })
    }
}

impl Partial {
    /// Adds what came; if the head is complete now, gives it with the bytes of `rest` it took.
    fn extend(&mut self, rest: &[u8]) -> Result<Option<(usize, Request<'_>)>, Reject> {
        let before = self.bytes.len();
        assert!(before < HTTP_HEAD_BYTES_MAX);
        let room = rest.len().min(HTTP_HEAD_BYTES_MAX - before);
        self.bytes.extend_from_slice(&rest[..room]);
        let Some(size) = self.scan.advance(&self.bytes)? else {
            assert_eq!(room, rest.len(), "a full buffer is an answer");
            return Ok(None);
        };
        assert!(size > before, "the end was not there before");
        let request = Request::parse(&self.bytes[..size], self.scan.request_line_end())?;
        Ok(Some((size - before, request)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_bytes(decoder: &Decoder) -> usize {
        decoder.partial.as_ref().map_or(0, |partial| partial.bytes.capacity())
    }

    #[test]
    fn memory_is_held_only_for_a_head_in_pieces() {
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
        let body = [b'x'; 100_000];
        let mut decoder = Decoder::new();
        let whole = [&head[..], &body].concat();
        assert!(matches!(decoder.next(&whole).unwrap().item, Some(Item::Head(_))));
        assert_eq!(held_bytes(&decoder), 0, "a head in one piece is parsed in place");

        let mut decoder = Decoder::new();
        decoder.next(&head[..10]).unwrap();
        assert!((10..100).contains(&held_bytes(&decoder)));
        let rest = &whole[10..];
        assert_eq!(decoder.next(rest).unwrap().consumed, head.len() - 10);
        assert!(held_bytes(&decoder) <= 2 * HTTP_HEAD_BYTES_MAX, "the body is not taken along");
        assert_eq!(decoder.next(&body).unwrap().consumed, body.len());
        assert_eq!(held_bytes(&decoder), 0, "freed with the first step into the body");
        assert!(matches!(decoder.next(b"").unwrap().item, Some(Item::End)));

        let chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;ext";
        assert_eq!(decoder.next(chunked).unwrap().consumed, chunked.len() - 5);
        assert_eq!(decoder.next(b"5;ext").unwrap().consumed, 5);
        assert_eq!(held_bytes(&decoder), 0, "a chunk line in pieces is not kept");
    }
}

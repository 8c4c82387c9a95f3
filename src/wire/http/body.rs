//! The body of a request: a counter for `Content-Length`, a byte machine for `chunked`.
//!
//! ```text
//!  chunk     SizeFirst Size [; Ext… ] SizeLf ─▶ Data DataCr DataLf ─▶ SizeFirst …
//!  last "0"                           SizeLf ─▶ TrailerFirst [TrailerName TrailerValue TrailerLf]*
//!                                               └─ CR ─▶ LastLf ─▶ Done
//! ```
//!
//! The machine reads control bytes one at a time and keeps none of them, so a chunk line or trailer
//! that arrives in pieces costs no memory; chunk data is passed on in place. RFC 9112 §7.1.1 allows
//! white space around the parts of an extension only for historical reasons: it is refused here.

use super::reject::Reject;
use super::request::BodyKind;
use super::syntax::{is_token_byte, is_value_byte};
use crate::base::limits::{
    HTTP_BODY_BYTES_MAX, HTTP_CHUNK_EXTENSION_BYTES_MAX, HTTP_CHUNK_LINE_BYTES_MAX,
    HTTP_TRAILER_BYTES_MAX,
};

const _: () = assert!(HTTP_BODY_BYTES_MAX < u32::MAX as usize);
const _: () = assert!(HTTP_TRAILER_BYTES_MAX < u16::MAX as usize);
const _: () = assert!(HTTP_CHUNK_EXTENSION_BYTES_MAX < u16::MAX as usize);
const _: () = assert!(HTTP_CHUNK_LINE_BYTES_MAX > CHUNK_DIGITS_MAX as usize + 2);

/// More digits cannot fit the u64 that other parsers use; where they stop, we stop.
const CHUNK_DIGITS_MAX: u16 = 16;

/// Where the machine stands: what the next byte must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expect {
    /// Data of a `Content-Length` body.
    Content,
    /// The first digit of a chunk size.
    SizeFirst,
    /// More digits, `;` or CR.
    Size,
    /// The first byte of an extension name.
    ExtNameFirst,
    /// More of the name, `=`, `;` or CR.
    ExtName,
    /// The first byte of an extension value.
    ExtValueFirst,
    /// More of a token value, `;` or CR.
    ExtToken,
    /// More of a quoted value, `\` or `"`.
    ExtQuoted,
    /// The byte after `\`.
    ExtEscaped,
    /// After the closing quote: `;` or CR.
    ExtQuotedEnd,
    /// LF of the chunk-size line.
    SizeLf,
    /// Data of a chunk.
    Data,
    /// CR after the data of a chunk.
    DataCr,
    /// LF after the data of a chunk.
    DataLf,
    /// A trailer name, or CR of the empty line.
    TrailerFirst,
    /// More of the name, or `:`.
    TrailerName,
    /// More of the value, or CR.
    TrailerValue,
    /// LF of a trailer line.
    TrailerLf,
    /// LF of the empty line.
    LastLf,
    /// Nothing: the body is over.
    Done,
}

/// The rest of one body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body {
    /// Bytes of the body, or of the current chunk, that are still to come. `u32::MAX` stands for
    /// all lengths from there on: every limit is below it.
    remaining: u32,
    /// Bytes the route allows: of the whole body, or of the chunks still to come.
    budget: u32,
    /// Bytes of the current chunk-size line, or of the trailer section.
    line_bytes: u16,
    /// Bytes of all extensions of this body.
    extension_bytes: u16,
    expect: Expect,
}

/// What came out of some input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Piece<'a> {
    /// Data, never empty.
    Data(&'a [u8]),
    /// The body is over.
    End,
    /// All input is used up.
    More,
}

impl Body {
    /// A body that is over: what stands between two requests.
    pub(super) const DONE: Self =
        Self { remaining: 0, budget: 0, line_bytes: 0, extension_bytes: 0, expect: Expect::Done };

    /// The body that a head announced, limited as for any route.
    pub(super) fn new(kind: BodyKind) -> Self {
        let (remaining, expect) = match kind {
            BodyKind::None | BodyKind::Length(0) => (0, Expect::Done),
            BodyKind::Length(length) => {
                (u32::try_from(length).unwrap_or(u32::MAX), Expect::Content)
            }
            BodyKind::Chunked => (0, Expect::SizeFirst),
        };
        Self { remaining, budget: HTTP_BODY_BYTES_MAX as u32, expect, ..Self::DONE }
    }

    /// Sets what the route allows, bytes of data; before the first byte of the body.
    pub(super) fn limit(&mut self, bytes_max: usize) -> Result<(), Reject> {
        assert!(bytes_max < u32::MAX as usize);
        assert!(matches!(self.expect, Expect::Content | Expect::SizeFirst | Expect::Done));
        self.budget = bytes_max as u32;
        if self.expect == Expect::Content && self.remaining > self.budget {
            return Err(Reject::BodyTooLarge);
        }
        Ok(())
    }

    /// Takes the next piece from `input`; says how many bytes that used.
    pub(super) fn next<'a>(&mut self, input: &'a [u8]) -> Result<(usize, Piece<'a>), Reject> {
        if self.expect == Expect::Content && self.remaining > self.budget {
            return Err(Reject::BodyTooLarge);
        }
        let mut used = 0;
        loop {
            if self.expect == Expect::Done {
                return Ok((used, Piece::End));
            }
            if used == input.len() {
                return Ok((used, Piece::More));
            }
            if matches!(self.expect, Expect::Content | Expect::Data) {
                let data = self.take_data(&input[used..]);
                return Ok((used + data.len(), Piece::Data(data)));
            }
            self.expect = self.control(input[used])?;
            used += 1;
        }
    }

    fn take_data<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        assert!(self.remaining > 0);
        let size = input.len().min(self.remaining as usize);
        self.remaining -= size as u32;
        if self.remaining == 0 {
            let over = self.expect == Expect::Content;
            self.expect = if over { Expect::Done } else { Expect::DataCr };
        }
        &input[..size]
    }

    /// One byte that is not data.
    fn control(&mut self, byte: u8) -> Result<Expect, Reject> {
        match self.expect {
            Expect::SizeFirst | Expect::Size => self.size(byte),
            Expect::ExtNameFirst
            | Expect::ExtName
            | Expect::ExtValueFirst
            | Expect::ExtToken
            | Expect::ExtQuoted
            | Expect::ExtEscaped
            | Expect::ExtQuotedEnd => self.extension(byte),
            Expect::SizeLf if byte == b'\n' => self.size_end(),
            Expect::SizeLf => Err(Reject::BareCr),
            Expect::DataCr if byte == b'\r' => Ok(Expect::DataLf),
            Expect::DataLf if byte == b'\n' => Ok(Expect::SizeFirst),
            Expect::DataCr | Expect::DataLf => Err(Reject::BadChunkEnd),
            Expect::TrailerFirst
            | Expect::TrailerName
            | Expect::TrailerValue
            | Expect::TrailerLf
            | Expect::LastLf => self.trailer(byte),
            Expect::Content | Expect::Data | Expect::Done => unreachable!("no control bytes here"),
        }
    }

    fn size(&mut self, byte: u8) -> Result<Expect, Reject> {
        let first = self.expect == Expect::SizeFirst;
        if first {
            self.line_bytes = 0;
            self.remaining = 0;
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if !first => return Ok(Expect::SizeLf),
            b';' if !first => return self.count_extension(Expect::ExtNameFirst),
            b'\n' => return Err(Reject::BareLf),
            _ => return Err(Reject::BadChunkSize),
        };
        self.line_bytes += 1;
        if self.line_bytes > CHUNK_DIGITS_MAX {
            return Err(Reject::BadChunkSize);
        }
        // Saturated, not wrapped: a size that does not fit is above every limit.
        self.remaining = self.remaining.saturating_mul(16).saturating_add(u32::from(digit));
        Ok(Expect::Size)
    }

    /// chunk-ext = *( ";" token [ "=" ( token / quoted-string ) ] ), without white space.
    fn extension(&mut self, byte: u8) -> Result<Expect, Reject> {
        let next = match (self.expect, byte) {
            (_, b'\n') => return Err(Reject::BareLf),
            (Expect::ExtName, b'=') => Expect::ExtValueFirst,
            (Expect::ExtName | Expect::ExtToken | Expect::ExtQuotedEnd, b';') => {
                Expect::ExtNameFirst
            }
            (Expect::ExtName | Expect::ExtToken | Expect::ExtQuotedEnd, b'\r') => {
                return Ok(Expect::SizeLf);
            }
            (Expect::ExtNameFirst | Expect::ExtName, _) if is_token_byte(byte) => Expect::ExtName,
            (Expect::ExtValueFirst, b'"') => Expect::ExtQuoted,
            (Expect::ExtValueFirst | Expect::ExtToken, _) if is_token_byte(byte) => {
                Expect::ExtToken
            }
            (Expect::ExtQuoted, b'"') => Expect::ExtQuotedEnd,
            (Expect::ExtQuoted, b'\\') => Expect::ExtEscaped,
            (Expect::ExtQuoted | Expect::ExtEscaped, b' '..=b'~' | 0x80..) => Expect::ExtQuoted,
            _ => return Err(Reject::BadChunkExtension),
        };
        self.count_extension(next)
    }

    fn count_extension(&mut self, next: Expect) -> Result<Expect, Reject> {
        self.line_bytes += 1;
        self.extension_bytes += 1;
        if usize::from(self.line_bytes) + "\r\n".len() > HTTP_CHUNK_LINE_BYTES_MAX {
            return Err(Reject::ChunkLineTooLong);
        }
        if usize::from(self.extension_bytes) > HTTP_CHUNK_EXTENSION_BYTES_MAX {
            return Err(Reject::ChunkExtensionsTooLong);
        }
        Ok(next)
    }

    fn size_end(&mut self) -> Result<Expect, Reject> {
        if self.remaining == 0 {
            self.line_bytes = 0;
            return Ok(Expect::TrailerFirst);
        }
        if self.remaining > self.budget {
            return Err(Reject::BodyTooLarge);
        }
        self.budget -= self.remaining;
        Ok(Expect::Data)
    }

    /// Trailers are checked like headers and dropped: no route reads them, and a field that arrives
    /// after the decision it belongs to must not be merged (RFC 9110 §6.5.1).
    fn trailer(&mut self, byte: u8) -> Result<Expect, Reject> {
        self.line_bytes += 1;
        if usize::from(self.line_bytes) > HTTP_TRAILER_BYTES_MAX {
            return Err(Reject::TrailerTooLarge);
        }
        match (self.expect, byte) {
            (Expect::TrailerFirst, b'\r') => Ok(Expect::LastLf),
            (Expect::TrailerValue, b'\r') => Ok(Expect::TrailerLf),
            (Expect::LastLf, b'\n') => Ok(Expect::Done),
            (Expect::TrailerLf, b'\n') => Ok(Expect::TrailerFirst),
            (Expect::LastLf | Expect::TrailerLf, _) => Err(Reject::BareCr),
            (_, b'\n') => Err(Reject::BareLf),
            (Expect::TrailerName, b':') => Ok(Expect::TrailerValue),
            (Expect::TrailerFirst | Expect::TrailerName, _) if is_token_byte(byte) => {
                Ok(Expect::TrailerName)
            }
            (Expect::TrailerValue, _) if is_value_byte(byte) => Ok(Expect::TrailerValue),
            _ => Err(Reject::BadTrailer),
        }
    }
}

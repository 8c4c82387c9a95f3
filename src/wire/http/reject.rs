//! Every reason to refuse a request: one closed list feeds the answer, the log and the metrics.

/// Why a request was refused. The connection closes after the answer: past this point two readers
/// of the same bytes could disagree about where the next request begins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Reject {
    /// LF without CR before it (RFC 9112 §2.2).
    BareLf,
    /// CR without LF after it (RFC 9112 §2.2).
    BareCr,
    /// Not `method SP target SP version` (RFC 9112 §3).
    BadRequestLine,
    /// A longer method than any that exists (RFC 9112 §3).
    MethodTooLong,
    /// CONNECT: this is no proxy (RFC 9110 §9.3.6).
    Connect,
    /// A target in none of the accepted forms (RFC 9112 §3.2).
    BadTarget,
    /// A longer target than [`HTTP_TARGET_BYTES_MAX`](crate::base::limits::HTTP_TARGET_BYTES_MAX).
    TargetTooLong,
    /// A well-formed version other than 1.0 and 1.1.
    Version,
    /// A longer head than [`HTTP_HEAD_BYTES_MAX`](crate::base::limits::HTTP_HEAD_BYTES_MAX).
    HeadTooLarge,
    /// More fields than [`HTTP_HEADERS_MAX`](crate::base::limits::HTTP_HEADERS_MAX).
    TooManyHeaders,
    /// A field name that is no token: empty, folded, or with white space (RFC 9112 §5.1, §5.2).
    BadHeaderName,
    /// A control byte in a field value (RFC 9110 §5.5).
    BadHeaderValue,
    /// HTTP/1.1 without `Host` (RFC 9112 §3.2).
    MissingHost,
    /// More than one `Host` (RFC 9112 §3.2).
    DuplicateHost,
    /// A `Host` that is no host with an optional port (RFC 9110 §7.2).
    BadHost,
    /// An absolute target that names another authority than `Host` (RFC 9112 §3.2.2).
    HostMismatch,
    /// More than one `Content-Length`, equal or not (RFC 9112 §6.3).
    DuplicateLength,
    /// A `Content-Length` that is no plain decimal number (RFC 9110 §8.6).
    BadLength,
    /// A `Transfer-Encoding` other than the one coding `chunked` (RFC 9112 §6.1).
    BadEncoding,
    /// `Transfer-Encoding` in HTTP/1.0 (RFC 9112 §6.1).
    EncodingOnHttp10,
    /// `Transfer-Encoding` beside `Content-Length` (RFC 9112 §6.3).
    EncodingAndLength,
    /// An expectation other than `100-continue` (RFC 9110 §10.1.1).
    Expectation,
    /// A longer body than the route allows.
    BodyTooLarge,
    /// A chunk size that is anything but hexadecimal digits (RFC 9112 §7.1).
    BadChunkSize,
    /// A chunk extension outside the grammar, or with white space (RFC 9112 §7.1.1).
    BadChunkExtension,
    /// A longer chunk-size line than
    /// [`HTTP_CHUNK_LINE_BYTES_MAX`](crate::base::limits::HTTP_CHUNK_LINE_BYTES_MAX).
    ChunkLineTooLong,
    /// More extensions than
    /// [`HTTP_CHUNK_EXTENSION_BYTES_MAX`](crate::base::limits::HTTP_CHUNK_EXTENSION_BYTES_MAX).
    ChunkExtensionsTooLong,
    /// Chunk data that is not followed by CRLF (RFC 9112 §7.1).
    BadChunkEnd,
    /// A trailer line that is no field (RFC 9112 §7.1.2).
    BadTrailer,
    /// A longer trailer section than
    /// [`HTTP_TRAILER_BYTES_MAX`](crate::base::limits::HTTP_TRAILER_BYTES_MAX).
    TrailerTooLarge,
}

impl Reject {
    /// All reasons, in the order of the bytes that lead to them.
    pub const ALL: [Self; 30] = [
        Self::BareLf,
        Self::BareCr,
        Self::BadRequestLine,
        Self::MethodTooLong,
        Self::Connect,
        Self::BadTarget,
        Self::TargetTooLong,
        Self::Version,
        Self::HeadTooLarge,
        Self::TooManyHeaders,
        Self::BadHeaderName,
        Self::BadHeaderValue,
        Self::MissingHost,
        Self::DuplicateHost,
        Self::BadHost,
        Self::HostMismatch,
        Self::DuplicateLength,
        Self::BadLength,
        Self::BadEncoding,
        Self::EncodingOnHttp10,
        Self::EncodingAndLength,
        Self::Expectation,
        Self::BodyTooLarge,
        Self::BadChunkSize,
        Self::BadChunkExtension,
        Self::ChunkLineTooLong,
        Self::ChunkExtensionsTooLong,
        Self::BadChunkEnd,
        Self::BadTrailer,
        Self::TrailerTooLarge,
    ];

    /// (status, stable name, what the sender can do about it)
    pub const fn describe(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::BareLf => (400, "bare_lf", "end every line with CR LF"),
            Self::BareCr => (400, "bare_cr", "end every line with CR LF"),
            Self::BadRequestLine => (400, "bad_request_line", "send: method SP target SP HTTP/1.1"),
            Self::MethodTooLong => (501, "method_too_long", "use a method that exists"),
            Self::Connect => (501, "connect", "this server is no proxy"),
            Self::BadTarget => (400, "bad_target", "send an absolute path, percent-encoded"),
            Self::TargetTooLong => (414, "target_too_long", "shorten the URL"),
            Self::Version => (505, "version", "speak HTTP/1.1"),
            Self::HeadTooLarge => (431, "head_too_large", "send fewer or shorter headers"),
            Self::TooManyHeaders => (431, "too_many_headers", "send fewer headers"),
            Self::BadHeaderName => {
                (400, "bad_header_name", "a name is a token and a colon follows it at once")
            }
            Self::BadHeaderValue => (400, "bad_header_value", "remove control bytes"),
            Self::MissingHost => (400, "missing_host", "send one Host header"),
            Self::DuplicateHost => (400, "duplicate_host", "send one Host header"),
            Self::BadHost => (400, "bad_host", "send a host name or address, and a port if needed"),
            Self::HostMismatch => (400, "host_mismatch", "send the authority of the URL as Host"),
            Self::DuplicateLength => (400, "duplicate_length", "send one Content-Length"),
            Self::BadLength => (400, "bad_length", "send Content-Length as a decimal number"),
            Self::BadEncoding => (400, "bad_encoding", "send Transfer-Encoding: chunked or none"),
            Self::EncodingOnHttp10 => (400, "encoding_on_http10", "chunked needs HTTP/1.1"),
            Self::EncodingAndLength => {
                (400, "encoding_and_length", "send Content-Length or Transfer-Encoding")
            }
            Self::Expectation => (417, "expectation", "expect 100-continue or nothing"),
            Self::BodyTooLarge => (413, "body_too_large", "send a smaller body"),
            Self::BadChunkSize => (400, "bad_chunk_size", "send hexadecimal digits, then CR LF"),
            Self::BadChunkExtension => (400, "bad_chunk_extension", "leave chunk extensions out"),
            Self::ChunkLineTooLong => (400, "chunk_line_too_long", "leave chunk extensions out"),
            Self::ChunkExtensionsTooLong => {
                (400, "chunk_extensions_too_long", "leave chunk extensions out")
            }
            Self::BadChunkEnd => (400, "bad_chunk_end", "send CR LF after the data of a chunk"),
            Self::BadTrailer => (400, "bad_trailer", "leave trailers out"),
            Self::TrailerTooLarge => (431, "trailer_too_large", "leave trailers out"),
        }
    }

    /// The status to answer with.
    pub const fn status(self) -> u16 {
        self.describe().0
    }

    /// The stable name for logs, metrics and the body of the answer.
    pub const fn reason(self) -> &'static str {
        self.describe().1
    }

    /// One sentence for the person who wrote the client.
    pub const fn hint(self) -> &'static str {
        self.describe().2
    }
}

//! Page 0 of a segment: what a reader must know before it may trust a byte behind it.
//!
//! The header stands there twice, at 0 and at [`HEADER_COPY_AT`], in different sectors: without its
//! salt no batch could be told from garbage, so a single bad sector must not cost the segment.

use super::record::Kind;

/// Bytes of page 0; the first batch begins behind it.
pub const SEGMENT_HEADER_BYTES: usize = 4_096;
/// Where the second copy of the header begins.
pub const HEADER_COPY_AT: usize = 2_048;
/// First bytes of every segment.
pub const SEGMENT_MAGIC: [u8; 8] = *b"RINGPOST";
/// Version of the framing that this code writes, and the only one it reads.
pub const FORMAT_VERSION: u32 = 1;
/// How rkyv lays archives out: little-endian, aligned, 32-bit pointers (rkyv 0.8).
pub const RKYV_DESCRIPTOR: u32 = 0x0008_0132;
/// Smallest segment: tests want many small ones, rotation wants room for two batches.
pub const SEGMENT_BYTES_MIN: u32 = 192 * 1_024;

const FIXED_BYTES: usize = 64;
const SCHEMA_ENTRY_BYTES: usize = 8;
const COPY_BYTES: usize = FIXED_BYTES + Kind::ALL.len() * SCHEMA_ENTRY_BYTES + 4;

const _: () = assert!(COPY_BYTES <= HEADER_COPY_AT);
const _: () = assert!(HEADER_COPY_AT + COPY_BYTES <= SEGMENT_HEADER_BYTES);

/// What page 0 says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    /// Sequence number of its first record; also its file name.
    pub base_seq: u64,
    /// The segment before it when it was made; `None` for the first. A reader that does not find
    /// it, though it has older ones, knows that a file is missing.
    pub prev_base_seq: Option<u64>,
    /// Wall clock at its making, microseconds.
    pub created_us: i64,
    /// Goes into every checksum, so that bytes of another segment never fit.
    pub salt: u64,
    /// Size of the file.
    pub segment_bytes: u32,
    /// Number of the start of the server that made it (see `recovery`).
    pub start: u32,
}

/// Why page 0 is not one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderError {
    /// All zeros or too short: the server died while it made the file. Nothing was in it.
    Unborn,
    /// Shorter than a header and not empty: a segment gets its size before its name, so it was cut.
    Cut,
    /// A segment of another format version.
    Version(u32),
    /// Archives of another layout.
    Descriptor(u32),
    /// Neither copy has a valid checksum.
    Damaged,
}

impl std::fmt::Display for HeaderError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unborn => write!(out, "the file was never finished"),
            Self::Cut => write!(out, "the file was cut within its header"),
            Self::Version(version) => write!(out, "format version {version} is not known"),
            Self::Descriptor(bits) => write!(out, "archive layout {bits:#010x} is not known"),
            Self::Damaged => write!(out, "both copies of the segment header are damaged"),
        }
    }
}

impl SegmentHeader {
    /// Page 0 as it is on disk.
    pub fn encode(&self) -> Box<[u8; SEGMENT_HEADER_BYTES]> {
        let mut page = Box::new([0; SEGMENT_HEADER_BYTES]);
        let copy = self.encode_copy();
        page[..COPY_BYTES].copy_from_slice(&copy);
        page[HEADER_COPY_AT..HEADER_COPY_AT + COPY_BYTES].copy_from_slice(&copy);
        page
    }

    /// Reads whichever copy is intact.
    pub fn decode(page: &[u8]) -> Result<Self, HeaderError> {
        Self::decode_chained(page).map(|(header, _)| header)
    }

    /// The same, and where the chain of batch checksums begins: with the checksum that stands in
    /// the page. It covers the writer's table of types, which is another one than ours when the
    /// writer was another version, so [`SegmentHeader::chain_start`] is not the answer here.
    pub(super) fn decode_chained(page: &[u8]) -> Result<(Self, u32), HeaderError> {
        if page.len() < SEGMENT_HEADER_BYTES || page[..SEGMENT_HEADER_BYTES].iter().all(|b| *b == 0)
        {
            return Err(HeaderError::Unborn);
        }
        let first = Self::decode_copy(&page[..HEADER_COPY_AT]);
        if first == Err(HeaderError::Damaged) {
            return Self::decode_copy(&page[HEADER_COPY_AT..SEGMENT_HEADER_BYTES]);
        }
        first
    }

    /// Whether either copy of a page that [`SegmentHeader::decode`] took is damaged.
    pub(super) fn has_damaged_copy(page: &[u8]) -> bool {
        let (first, second) = page[..SEGMENT_HEADER_BYTES].split_at(HEADER_COPY_AT);
        Self::decode_copy(first) != Self::decode_copy(second)
    }

    /// The name of its file.
    pub fn file_name(base_seq: u64) -> String {
        format!("{base_seq:020}.seg")
    }

    /// The inverse of [`SegmentHeader::file_name`].
    pub fn parse_file_name(name: &str) -> Option<u64> {
        let digits = name.strip_suffix(".seg")?;
        let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain { digits.parse().ok() } else { None }
    }

    /// Where the chain of batch checksums begins in a segment that this version writes.
    pub fn chain_start(&self) -> u32 {
        let copy = self.encode_copy();
        read_u32(&copy, COPY_BYTES - 4)
    }

    fn encode_copy(&self) -> [u8; COPY_BYTES] {
        let mut out = [0; COPY_BYTES];
        out[0..8].copy_from_slice(&SEGMENT_MAGIC);
        out[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&RKYV_DESCRIPTOR.to_le_bytes());
        out[16..24].copy_from_slice(&self.base_seq.to_le_bytes());
        out[24..32].copy_from_slice(&self.prev_base_seq.unwrap_or(u64::MAX).to_le_bytes());
        out[32..40].copy_from_slice(&self.created_us.to_le_bytes());
        out[40..48].copy_from_slice(&self.salt.to_le_bytes());
        out[48..52].copy_from_slice(&self.segment_bytes.to_le_bytes());
        out[52..56].copy_from_slice(&self.start.to_le_bytes());
        out[56..60].copy_from_slice(&(COPY_BYTES as u32).to_le_bytes());
        out[60..64].copy_from_slice(&(Kind::ALL.len() as u32).to_le_bytes());
        for (index, kind) in Kind::ALL.iter().enumerate() {
            let (size, align, _) = kind.layout();
            let entry = &mut out[FIXED_BYTES + index * SCHEMA_ENTRY_BYTES..][..SCHEMA_ENTRY_BYTES];
            entry[0..2].copy_from_slice(&kind.tag().to_le_bytes());
            entry[2..4].copy_from_slice(&(align as u16).to_le_bytes());
            entry[4..8].copy_from_slice(&(size as u32).to_le_bytes());
        }
        let crc = crc32c::crc32c(&out[..COPY_BYTES - 4]);
        out[COPY_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode_copy(bytes: &[u8]) -> Result<(Self, u32), HeaderError> {
        if bytes[0..8] != SEGMENT_MAGIC {
            return Err(HeaderError::Damaged);
        }
        // The writer may know more types than this reader, so its own length is asked first.
        let copy_bytes = read_u32(bytes, 56) as usize;
        if copy_bytes < FIXED_BYTES + 4 || copy_bytes > bytes.len() {
            return Err(HeaderError::Damaged);
        }
        let crc = read_u32(bytes, copy_bytes - 4);
        if crc32c::crc32c(&bytes[..copy_bytes - 4]) != crc {
            return Err(HeaderError::Damaged);
        }
        if read_u32(bytes, 8) != FORMAT_VERSION {
            return Err(HeaderError::Version(read_u32(bytes, 8)));
        }
        if read_u32(bytes, 12) != RKYV_DESCRIPTOR {
            return Err(HeaderError::Descriptor(read_u32(bytes, 12)));
        }
        let prev_base_seq = read_u64(bytes, 24);
        let header = Self {
            base_seq: read_u64(bytes, 16),
            prev_base_seq: (prev_base_seq != u64::MAX).then_some(prev_base_seq),
            created_us: read_u64(bytes, 32) as i64,
            salt: read_u64(bytes, 40),
            segment_bytes: read_u32(bytes, 48),
            start: read_u32(bytes, 52),
        };
        Ok((header, crc))
    }
}

/// Little-endian at `at`; the caller has checked the length.
pub(super) fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

/// Little-endian at `at`; the caller has checked the length.
pub(super) fn read_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SegmentHeader = SegmentHeader {
        base_seq: 77,
        prev_base_seq: Some(3),
        created_us: -5,
        salt: 0x0123_4567_89ab_cdef,
        segment_bytes: 64 << 20,
        start: 9,
    };

    #[test]
    fn survives_one_bad_copy_but_not_two() {
        let page = HEADER.encode();
        assert_eq!(SegmentHeader::decode(&page[..]), Ok(HEADER));
        assert!(!SegmentHeader::has_damaged_copy(&page[..]));
        for at in 0..COPY_BYTES {
            let mut damaged = page.clone();
            damaged[at] ^= 0x10;
            assert_eq!(SegmentHeader::decode(&damaged[..]), Ok(HEADER), "byte {at}");
            assert!(SegmentHeader::has_damaged_copy(&damaged[..]), "byte {at}");
            damaged[HEADER_COPY_AT + at] ^= 0x10;
            assert_eq!(SegmentHeader::decode(&damaged[..]), Err(HeaderError::Damaged), "{at}");
        }
    }

    #[test]
    fn unborn_files_and_first_segments() {
        assert_eq!(SegmentHeader::decode(&[]), Err(HeaderError::Unborn));
        assert_eq!(SegmentHeader::decode(&[0; 8_192]), Err(HeaderError::Unborn));
        let first = SegmentHeader { prev_base_seq: None, ..HEADER };
        assert_eq!(SegmentHeader::decode(&first.encode()[..]), Ok(first));
        assert_ne!(first.chain_start(), HEADER.chain_start());
    }

    /// The page that a version with `type_count` types writes.
    fn page_of_another_version(type_count: usize) -> Vec<u8> {
        let mut copy = HEADER.encode()[..COPY_BYTES - 4].to_vec();
        copy.resize(FIXED_BYTES + type_count * SCHEMA_ENTRY_BYTES, 0x20);
        let copy_bytes = copy.len() as u32 + 4;
        copy[56..60].copy_from_slice(&copy_bytes.to_le_bytes());
        copy[60..64].copy_from_slice(&(type_count as u32).to_le_bytes());
        copy.extend(crc32c::crc32c(&copy).to_le_bytes());
        let mut page = vec![0; SEGMENT_HEADER_BYTES];
        page[..copy.len()].copy_from_slice(&copy);
        page[HEADER_COPY_AT..][..copy.len()].copy_from_slice(&copy);
        page
    }

    #[test]
    fn the_chain_begins_where_its_writer_began_it() {
        let ours = SegmentHeader::decode_chained(&HEADER.encode()[..]);
        assert_eq!(ours, Ok((HEADER, HEADER.chain_start())));
        for type_count in [0, 14, Kind::ALL.len() - 1, Kind::ALL.len() + 1, 200] {
            let mut page = page_of_another_version(type_count);
            let end = FIXED_BYTES + type_count * SCHEMA_ENTRY_BYTES;
            let stored = read_u32(&page, end);
            assert_eq!(SegmentHeader::decode_chained(&page), Ok((HEADER, stored)), "{type_count}");
            page[9] ^= 1;
            assert_eq!(SegmentHeader::decode_chained(&page), Ok((HEADER, stored)), "{type_count}");
        }
    }

    #[test]
    fn file_names() {
        assert_eq!(SegmentHeader::file_name(42), "00000000000000000042.seg");
        assert_eq!(SegmentHeader::parse_file_name("00000000000000000042.seg"), Some(42));
        for bad in ["42.seg", "0000000000000000004x.seg", "00000000000000000042.tmp", "lock"] {
            assert_eq!(SegmentHeader::parse_file_name(bad), None, "{bad}");
        }
    }
}

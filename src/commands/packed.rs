//! Modules in a manifest: Base64, of the module itself or of its zlib stream (RFC 1950), which is
//! less than half as long. So a module of Rust, which brings parts of its library, is a definition
//! like any other.

use crate::base::limits::COMMAND_MODULE_BYTES_MAX;
use data_encoding::BASE64;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use std::io::{Read, Write};

/// How every module begins (WebAssembly Core §5.5.16).
const MAGIC: &[u8] = b"\0asm";

/// Packs what shall stand in a manifest.
pub fn pack(bytes: &[u8]) -> String {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory takes it");
    BASE64.encode(&encoder.finish().expect("memory takes it"))
}

/// Unpacks what stands in a manifest. The error says what is wrong with it.
pub fn unpack(text: &str) -> Result<Vec<u8>, String> {
    let bytes = BASE64.decode(text.as_bytes());
    let bytes = bytes.map_err(|error| format!("wants a module in Base64: {error}"))?;
    let bytes = match bytes.starts_with(MAGIC) {
        true => bytes,
        false => inflated(&bytes),
    };
    if bytes.len() > COMMAND_MODULE_BYTES_MAX {
        return Err(format!("a module has at most {COMMAND_MODULE_BYTES_MAX} bytes"));
    }
    match bytes.starts_with(MAGIC) {
        true => Ok(bytes),
        false => Err("is no WebAssembly module: it does not begin with \\0asm".to_owned()),
    }
}

/// What a stream holds, and no more than a module may have and one byte; what is none holds
/// nothing.
fn inflated(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let most = COMMAND_MODULE_BYTES_MAX as u64 + 1;
    match ZlibDecoder::new(bytes).take(most).read_to_end(&mut out) {
        Ok(_) => out,
        Err(_) => Vec::new(),
    }
}

//! /shout TEXT: says it louder.
//!
//! rustc --edition 2021 --crate-type cdylib --target wasm32-unknown-unknown \
//!     -C opt-level=s -C panic=abort -C strip=symbols shout.rs

/// Room for what the server has to tell.
#[no_mangle]
pub extern "C" fn alloc(len: usize) -> *mut u8 {
    vec![0; len].leak().as_mut_ptr()
}

/// Answers with the place and the length of a JSON object.
#[no_mangle]
pub extern "C" fn run(place: *const u8, len: usize) -> u64 {
    // SAFETY: the server has written `len` bytes where `alloc` said.
    let told = String::from_utf8_lossy(unsafe { std::slice::from_raw_parts(place, len) });
    // The text comes first: {"text":"hello",…; what stands behind a backslash stays as it is.
    let mut said = String::from("{\"text\":\"");
    let mut letters = told[said.len()..].chars();
    while let Some(letter) = letters.next().filter(|letter| *letter != '"') {
        said.push(letter.to_ascii_uppercase());
        said.extend((letter == '\\').then(|| letters.next()).flatten());
    }
    said.push_str("!\"}");
    let said = said.into_bytes().leak();
    (said.as_ptr() as u64) << 32 | said.len() as u64
}

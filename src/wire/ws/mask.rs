//! XOR with the masking key, in place, at any phase (RFC 6455 §5.3).

/// Bytes of one step: two SSE registers. An array of bytes, and not a `u128`, because the compiler
/// keeps the latter in general registers.
const STEP_BYTES: usize = 32;

/// Masks or unmasks `bytes` (the operation is its own inverse) and gives the key for the byte that
/// follows them, so that a frame that arrives in pieces is unmasked piece by piece.
///
/// Any alignment, any length. The loop has no alignment prologue: unaligned vector loads cost
/// nothing on the machines this runs on, and short chat frames would spend their time in it.
#[must_use = "a following piece of the same frame needs the rotated key"]
pub fn apply(key: [u8; 4], bytes: &mut [u8]) -> [u8; 4] {
    let word = u32::from_ne_bytes(key);
    let wide: [u8; STEP_BYTES] = std::array::from_fn(|index| key[index % key.len()]);
    let (steps, tail) = bytes.as_chunks_mut::<STEP_BYTES>();
    for step in steps {
        for (byte, key) in step.iter_mut().zip(wide) {
            *byte ^= key;
        }
    }
    let (words, rest) = tail.as_chunks_mut::<4>();
    for quad in words {
        *quad = (u32::from_ne_bytes(*quad) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
    let mut next = key;
    next.rotate_left(rest.len());
    next
}

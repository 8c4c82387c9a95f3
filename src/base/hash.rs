//! Hash maps over names that strangers choose, and the placement of rooms on shards.
//!
//! The maps are seeded once per process with [`seed_maps`], so that nobody can aim at a bucket; the
//! simulator never seeds, so a failing run replays exactly.

use super::ids::ShardId;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::OnceLock;

static SEED: OnceLock<u64> = OnceLock::new();

/// Sets the process-wide seed. The first caller wins; call before the first map is made.
pub fn seed_maps(seed: u64) {
    let _ = SEED.set(seed);
}

/// Builds hashers from the process-wide seed (0 when [`seed_maps`] was never called).
#[derive(Clone, Copy, Debug)]
pub struct Seeded(u64);

impl Default for Seeded {
    fn default() -> Self {
        Self(*SEED.get().unwrap_or(&0))
    }
}

impl BuildHasher for Seeded {
    type Hasher = foldhash::quality::FoldHasher<'static>;

    fn build_hasher(&self) -> Self::Hasher {
        foldhash::quality::FixedState::with_seed(self.0).build_hasher()
    }
}

/// A map whose iteration order must never reach a peer or the log.
pub type Map<K, V> = HashMap<K, V, Seeded>;

/// A set whose iteration order must never reach a peer or the log.
pub type Set<K> = HashSet<K, Seeded>;

/// The shard that owns `name` among `shard_count`: FNV-1a, then a multiply-shift into the range.
///
/// Not seeded: tools may predict placement, and one name always lands on one shard of a process.
pub fn place(name: &str, shard_count: u16) -> ShardId {
    assert!(shard_count > 0);
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // FNV mixes its low bits best; fold them up before the shift takes the high ones.
    hash ^= hash >> 32;
    let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ShardId(((u128::from(mixed) * u128::from(shard_count)) >> 64) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placement_is_even_and_in_range() {
        for shard_count in [1u16, 2, 3, 8] {
            let mut counts = vec![0u32; shard_count as usize];
            for n in 0..8_000 {
                counts[place(&format!("room-{n}"), shard_count).0 as usize] += 1;
            }
            let fair = 8_000 / u32::from(shard_count);
            for count in counts {
                assert!(count > fair * 8 / 10 && count < fair * 12 / 10, "{shard_count}: {count}");
            }
        }
    }
}

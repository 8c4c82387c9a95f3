//! Sets of users by number, small whether few or most of them are in.

/// Users of a chunk.
const CHUNK_USERS: usize = 1 << 16;
/// Users that a chunk lists; more are bits, which take as many bytes.
const LISTED_MAX: usize = CHUNK_USERS / 16;
const WORDS: usize = CHUNK_USERS / 64;

/// A set of users: two bytes for each, and never more than a bit for each user that there is.
#[derive(Clone, Debug, Default)]
pub(super) struct UserSet {
    chunks: Vec<Chunk>,
}

/// The low halves of the numbers of one chunk.
#[derive(Clone, Debug)]
enum Chunk {
    /// May hold one twice until [`UserSet::finish`].
    Listed(Vec<u16>),
    Bits(Box<[u64; WORDS]>),
}

impl UserSet {
    pub(super) fn insert(&mut self, user: u32) {
        let (chunk, low) = (user as usize / CHUNK_USERS, user as u16);
        if self.chunks.len() <= chunk {
            self.chunks.resize(chunk + 1, Chunk::Listed(Vec::new()));
        }
        let chunk = &mut self.chunks[chunk];
        match chunk {
            Chunk::Bits(words) => words[usize::from(low) / 64] |= 1 << (low % 64),
            Chunk::Listed(listed) if listed.len() < LISTED_MAX => listed.push(low),
            Chunk::Listed(listed) => {
                let mut words = Box::new([0; WORDS]);
                for low in listed.iter().copied().chain([low]) {
                    words[usize::from(low) / 64] |= 1 << (low % 64);
                }
                *chunk = Chunk::Bits(words);
            }
        }
    }

    /// Comes before every question.
    pub(super) fn finish(&mut self) {
        for chunk in &mut self.chunks {
            if let Chunk::Listed(listed) = chunk {
                listed.sort_unstable();
                listed.dedup();
                listed.shrink_to_fit();
            }
        }
    }

    /// Number of users.
    pub(super) fn len(&self) -> u64 {
        let of = |chunk: &Chunk| match chunk {
            Chunk::Listed(listed) => listed.len() as u64,
            Chunk::Bits(words) => words.iter().map(|word| u64::from(word.count_ones())).sum(),
        };
        self.chunks.iter().map(of).sum()
    }

    /// Calls `each` for every user, ascending.
    pub(super) fn each(&self, mut each: impl FnMut(u32)) {
        for (index, chunk) in self.chunks.iter().enumerate() {
            let base = (index * CHUNK_USERS) as u32;
            match chunk {
                Chunk::Listed(listed) => listed.iter().for_each(|low| each(base + u32::from(*low))),
                Chunk::Bits(words) => {
                    for (index, word) in words.iter().enumerate() {
                        let mut left = *word;
                        while left != 0 {
                            each(base + index as u32 * 64 + left.trailing_zeros());
                            left &= left - 1;
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn equals_a_slow_set() {
        for (count, spread) in [(0, 1), (3, 200_000), (5_000, 4_096), (40_000, 70_000)] {
            let (mut set, mut slow) = (UserSet::default(), BTreeSet::new());
            for n in 0..count {
                let user = ((n * 2_654_435_761_u64) >> 7) % spread;
                set.insert(user as u32);
                slow.insert(user as u32);
            }
            set.finish();
            assert_eq!(set.len(), slow.len() as u64);
            let mut seen = Vec::new();
            set.each(|user| seen.push(user));
            assert!(seen.into_iter().eq(slow), "{count} of {spread}");
        }
    }
}

//! A histogram of `u64`s with a known error, made to be added up across shards, minutes and files.

/// Bits of a value behind its leading one that choose its bucket.
const SUB_BITS: u32 = 6;
/// Buckets per octave: a bucket is at most a 64th of its values wide, which is 1.6 %.
const SUB_COUNT: usize = 1 << SUB_BITS;

/// Buckets of a histogram that can hold every `u64`.
pub const BUCKET_COUNT: usize = (64 - SUB_BITS as usize + 1) * SUB_COUNT;
const _: () = assert!(BUCKET_COUNT <= u16::MAX as usize, "an index is two bytes in the log");

/// Bytes of one bucket in [`Buckets::encode`]: index and count.
const PAIR_BYTES: usize = 2 + 4;

/// The bucket of a value. Values below 128 have a bucket of their own.
pub const fn index_of(value: u64) -> usize {
    let octave = (value | (SUB_COUNT as u64 - 1)).ilog2() + 1 - SUB_BITS;
    // The leading one is bit 6 of what remains: it adds one octave's worth of buckets by itself.
    let shift = octave.saturating_sub(1);
    shift as usize * SUB_COUNT + (value >> shift) as usize
}

/// Smallest and largest value of a bucket.
///
/// # Panics
///
/// When there is no such bucket.
pub const fn bounds(index: usize) -> (u64, u64) {
    assert!(index < BUCKET_COUNT);
    let shift = (index / SUB_COUNT).saturating_sub(1);
    let first = ((index - shift * SUB_COUNT) as u64) << shift;
    (first, first + ((1 << shift) - 1))
}

/// Counts of values by size. 15 KiB, whatever goes in.
///
/// A value and what [`Buckets::percentile`] says of it differ by at most 1.6 %, and not at all
/// below 128. Count, sum and largest value are exact.
#[derive(Clone, PartialEq, Eq)]
pub struct Buckets {
    counts: Box<[u32; BUCKET_COUNT]>,
    count: u64,
    sum: u64,
    max: u64,
}

impl Default for Buckets {
    fn default() -> Self {
        let counts = vec![0; BUCKET_COUNT].try_into().expect("as long as it was made");
        Self { counts, count: 0, sum: 0, max: 0 }
    }
}

impl Buckets {
    /// Counts one value. A bucket that is full stays full, the sum stays at its largest.
    #[inline]
    pub fn record(&mut self, value: u64) {
        let count = &mut self.counts[index_of(value)];
        *count = count.saturating_add(1);
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
        self.max = self.max.max(value);
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Sum of the values.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The largest value; 0 when there is none.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The mean; 0 when there is no value.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }

    /// The smallest value that at least the share `q` of all values does not exceed; at most 1.6 %
    /// above the true one, never below it. 0 when there is no value. `q` outside 0..=1 is taken as
    /// the nearer end.
    pub fn percentile(&self, q: f64) -> u64 {
        let rank = ((q.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).max(1);
        let mut below = 0;
        for (index, count) in self.counts.iter().enumerate() {
            below += u64::from(*count);
            if below >= rank {
                return bounds(index).1.min(self.max);
            }
        }
        self.max
    }

    /// How many values were at most `limit`, as far as buckets tell: those that share its bucket
    /// count as within.
    pub fn count_up_to(&self, limit: u64) -> u64 {
        self.counts[..=index_of(limit)].iter().map(|count| u64::from(*count)).sum()
    }

    /// Adds all values of another one.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts.iter()) {
            *mine = mine.saturating_add(*theirs);
        }
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }

    /// Forgets all values.
    pub fn clear(&mut self) {
        if self.count > 0 {
            self.counts.fill(0);
            (self.count, self.sum, self.max) = (0, 0, 0);
        }
    }

    /// Appends the buckets that hold something, in the order of their values: index `u16` and
    /// count `u32`, little-endian, six bytes each. This is what a metric record of the log holds;
    /// count, sum and largest value stand beside it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for (index, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            out.extend_from_slice(&(index as u16).to_le_bytes());
            out.extend_from_slice(&count.to_le_bytes());
        }
    }

    /// Adds the values of a metric record: what [`Buckets::encode`] wrote, and the sum and largest
    /// value that stood beside it. Bytes come from a file: indexes that do not exist and an
    /// incomplete last pair are passed over, and the number of values is what the buckets add up
    /// to.
    pub fn merge_encoded(&mut self, bytes: &[u8], sum: u64, max: u64) {
        for pair in bytes.chunks_exact(PAIR_BYTES) {
            let (index, count) = pair.split_first_chunk::<2>().expect("six bytes");
            let count = u32::from_le_bytes(count.try_into().expect("four bytes"));
            if let Some(mine) = self.counts.get_mut(usize::from(u16::from_le_bytes(*index))) {
                *mine = mine.saturating_add(count);
                self.count += u64::from(count);
            }
        }
        self.sum = self.sum.saturating_add(sum);
        self.max = self.max.max(max);
    }
}

impl std::fmt::Debug for Buckets {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (p50, p99) = (self.percentile(0.5), self.percentile(0.99));
        write!(out, "Buckets(n {} p50 {p50} p99 {p99} max {})", self.count, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::Histogram;
    use proptest::prelude::*;

    #[test]
    fn buckets_follow_each_other() {
        let mut next = 0;
        for index in 0..BUCKET_COUNT {
            let (first, last) = bounds(index);
            assert_eq!(first, next, "bucket {index}");
            assert_eq!((index_of(first), index_of(last)), (index, index));
            assert!((last - first) as f64 <= first as f64 / SUB_COUNT as f64);
            next = last.wrapping_add(1);
        }
        assert_eq!(next, 0, "the last bucket ends at the last number");
        check_index(0, 0);
        check_index(127, 127);
        check_index(128, 128);
        check_index(129, 128);
        check_index(u64::MAX, BUCKET_COUNT - 1);
    }

    #[track_caller]
    fn check_index(value: u64, want: usize) {
        assert_eq!(index_of(value), want, "{value}");
    }

    #[test]
    fn nothing_and_one() {
        let mut buckets = Buckets::default();
        assert_eq!((buckets.percentile(0.5), buckets.max(), buckets.mean()), (0, 0, 0.0));
        buckets.record(1_000_003);
        for q in [-1.0, 0.0, 0.5, 1.0, 2.0, f64::NAN] {
            assert_eq!(buckets.percentile(q), 1_000_003, "{q}");
        }
        assert_eq!((buckets.count_up_to(900_000), buckets.count_up_to(1_000_003)), (0, 1));
        buckets.clear();
        assert_eq!(buckets, Buckets::default());
    }

    #[test]
    fn damaged_bytes_count_for_what_they_are() {
        let mut buckets = Buckets::default();
        // Bucket 5 twice, a bucket that does not exist, half a pair.
        buckets.merge_encoded(&[5, 0, 2, 0, 0, 0, 255, 255, 9, 0, 0, 0, 1, 0, 7], 10, 5);
        assert_eq!((buckets.count(), buckets.percentile(1.0)), (2, 5));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A whole history of values: percentiles beside those of hdrhistogram, halves that are
        /// merged beside the whole, and the way through bytes.
        #[test]
        fn as_hdrhistogram(
            values in prop::collection::vec((0_u32..50, any::<u64>()), 1..400),
            cut in any::<prop::sample::Index>(),
        ) {
            let values = values.iter().map(|(bits, value)| value >> (63 - bits));
            let values: Vec<u64> = values.collect();
            let mut reference = Histogram::<u64>::new(4).expect("four digits");
            let mut whole = Buckets::default();
            let mut halves = [Buckets::default(), Buckets::default()];
            for (at, value) in values.iter().enumerate() {
                reference.record(*value).expect("it grows");
                whole.record(*value);
                halves[usize::from(at < cut.index(values.len()))].record(*value);
            }
            for q in [0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
                let (got, want) = (whole.percentile(q) as f64, reference.value_at_quantile(q));
                let error = (got - want as f64).abs() / (want.max(1)) as f64;
                prop_assert!(error <= 1.0 / 64.0 + 1e-4, "q {q}: {got} for {want}");
            }
            let mut bytes = Vec::new();
            halves[1].encode(&mut bytes);
            let (sum, max) = (halves[1].sum(), halves[1].max());
            let mut decoded = halves[0].clone();
            decoded.merge_encoded(&bytes, sum, max);
            let [mut merged, second] = halves;
            merged.merge(&second);
            prop_assert_eq!(&merged, &whole);
            prop_assert_eq!(&decoded, &whole);
        }
    }
}

//! Chance from a seed, and the skewed choices that people make.

/// splitmix64: the same seed gives the same run on every machine.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Neighbouring seeds give unrelated runs.
    pub fn new(seed: u64) -> Self {
        Self(mix(seed ^ 0x6a09_e667_f3bc_c909))
    }

    /// 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number in `0..count`.
    pub fn below(&mut self, count: usize) -> usize {
        debug_assert!(count > 0);
        ((u128::from(self.next()) * count as u128) >> 64) as usize
    }

    /// A number in `0.0..1.0`.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True in `per_mille` of a thousand.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1_000) < per_mille as usize
    }

    /// A positive number around `median`, skewed as delays are: the logarithm of it is spread by
    /// `spread` (1.0: two of three lie within a factor of e).
    pub fn skewed(&mut self, median: f64, spread: f64) -> f64 {
        // The sum of twelve even numbers is close enough to a normal one.
        let normal = (0..12).map(|_| self.share()).sum::<f64>() - 6.0;
        median * (normal * spread).exp()
    }
}

/// Spreads `value` over 64 bits (the finaliser of splitmix64).
pub fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// Ranks by Zipf's law: the second comes half as often as the first, the third a third.
///
/// A table of 65,536 equal draws; what is rarer than one of them shares the rest evenly.
#[derive(Debug)]
pub struct Zipf {
    draws: Vec<u32>,
    /// Ranks from here on have no draw of their own.
    tail_begin: u32,
    count: u32,
}

impl Zipf {
    /// Ranks `0..count`, with the exponent `power`.
    pub fn new(count: usize, power: f64) -> Self {
        const DRAWS: usize = 1 << 16;
        assert!(count > 0);
        let weight = |rank: usize| ((rank + 1) as f64).powf(-power);
        let total: f64 = (0..count).map(weight).sum();
        let mut draws = Vec::with_capacity(DRAWS);
        let mut tail_begin = count as u32;
        let mut sum = 0.0;
        for rank in 0..count {
            sum += weight(rank) / total * DRAWS as f64;
            if (sum as usize) <= draws.len() {
                tail_begin = rank as u32;
                break;
            }
            draws.resize((sum as usize).min(DRAWS), rank as u32);
        }
        // What rounding or the tail left over.
        draws.resize(DRAWS, u32::MAX);
        Self { draws, tail_begin: tail_begin.min(count as u32 - 1), count: count as u32 }
    }

    /// A rank.
    pub fn draw(&self, dice: &mut Dice) -> usize {
        let bits = dice.next();
        let rank = self.draws[(bits >> 48) as usize];
        if rank != u32::MAX {
            return rank as usize;
        }
        let tail_count = u64::from(self.count - self.tail_begin);
        (u64::from(self.tail_begin) + (bits & 0xffff_ffff) * tail_count / (1 << 32)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_fall_as_zipf_says() {
        for count in [1, 2, 500, 50_000, 1_000_000] {
            let zipf = Zipf::new(count, 1.0);
            let mut dice = Dice::new(1);
            let mut seen = vec![0u32; count];
            for _ in 0..200_000 {
                seen[zipf.draw(&mut dice)] += 1;
            }
            if count > 1 {
                let ratio = f64::from(seen[0]) / f64::from(seen[1]);
                assert!((1.8..2.2).contains(&ratio), "{count}: {ratio}");
            }
            assert!(seen[count - 1] < 200_001);
        }
        let zipf = Zipf::new(50_000, 1.0);
        let mut dice = Dice::new(2);
        let far = (0..200_000).filter(|_| zipf.draw(&mut dice) > 25_000).count();
        assert!((8_000..30_000).contains(&far), "the tail is not forgotten: {far}");
    }

    #[test]
    fn delays_are_skewed() {
        let mut dice = Dice::new(3);
        let mut delays: Vec<f64> = (0..10_001).map(|_| dice.skewed(60.0, 1.0)).collect();
        delays.sort_by(f64::total_cmp);
        assert!((55.0..65.0).contains(&delays[5_000]), "{}", delays[5_000]);
        assert!(delays[9_900] > 400.0 && delays[0] > 0.0);
    }
}

//! Random numbers: a stream of its own for every user and day.
//!
//! A draw depends on the seed, the user and the day alone. So users do not change when others are added, a day can be made
//! without the ones before it, and the truth can be worked out user by user while the log is written day by day.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Where the streams of all users begin.
#[derive(Debug, Clone)]
pub struct Seeded(ChaCha8Rng);

/// Words of the stream that belong to one day: ten times what the busiest day needs.
const WORDS_A_DAY: u128 = 1 << 14;

impl Seeded {
    /// The streams of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..24].copy_from_slice(b"churnstream sim1");
        Self(ChaCha8Rng::from_seed(key))
    }

    /// What decides the user's lasting traits.
    #[must_use]
    pub fn traits(&self, user: u32) -> Draws {
        self.at(user, 0)
    }

    /// What happens to a user on a day, counted from 0.
    #[must_use]
    pub fn day(&self, user: u32, day: u32) -> Draws {
        self.at(user, u128::from(day) + 1)
    }

    fn at(&self, user: u32, slot: u128) -> Draws {
        let mut rng = self.0.clone();
        rng.set_stream(u64::from(user));
        rng.set_word_pos(slot * WORDS_A_DAY);
        Draws(rng)
    }
}

/// A sequence of draws.
#[derive(Debug, Clone)]
pub struct Draws(ChaCha8Rng);

impl Draws {
    /// A number from 0 to 2^32 - 1, each as likely.
    pub fn word(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A number from 0 (included) to 1 (not included), in steps of 2^-32.
    pub fn unit(&mut self) -> f64 {
        f64::from(self.word()) * (1.0 / 4_294_967_296.0)
    }

    /// A whole number below `n`; its bias is below n / 2^32. 0 if `n` is 0.
    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.word()) * u64::from(n)) >> 32) as u32
    }

    /// A whole number from `from` to `to`, both included.
    pub fn between(&mut self, from: u32, to: u32) -> u32 {
        from + self.below(to - from + 1)
    }

    /// True with probability `p`, exact to 2^-32.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// An index drawn with these probabilities; the last one takes what they lack to 1.
    pub fn pick(&mut self, probabilities: &[f64]) -> usize {
        let mut left = self.unit();
        for (i, p) in probabilities.iter().enumerate() {
            if left < *p {
                return i;
            }
            left -= p;
        }
        probabilities.len().saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_user_and_day_and_nothing_else() {
        let first = |seed, user, day| Seeded::new(seed).day(user, day).word();
        assert_eq!(first(1, 2, 3), first(1, 2, 3));
        let mut all: Vec<_> =
            [first(1, 2, 3), first(2, 2, 3), first(1, 3, 3), first(1, 2, 4), Seeded::new(1).traits(2).word()]
                .into();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 5);
    }

    /// The log of a seed is a promise: a change of the generator would break it silently.
    #[test]
    fn the_words_are_those_of_chacha8() {
        let mut rng = ChaCha8Rng::from_seed(Seeded::new(7).0.get_seed());
        rng.set_stream(5);
        for _ in 0..WORDS_A_DAY {
            rng.next_u32();
        }
        let mut draws = Seeded::new(7).day(5, 0);
        for _ in 0..300 {
            assert_eq!(draws.word(), rng.next_u32());
        }
    }

    #[test]
    fn picks_follow_their_probabilities() {
        let mut draws = Seeded::new(1).traits(0);
        let mut seen = [0; 3];
        for _ in 0..30_000 {
            seen[draws.pick(&[0.2, 0.5, 0.3])] += 1;
        }
        for (count, p) in seen.iter().zip([0.2, 0.5, 0.3]) {
            assert!((f64::from(*count) / 30_000.0 - p).abs() < 0.01, "{seen:?}");
        }
        assert_eq!(draws.pick(&[0.0, 0.0]), 1);
    }
}

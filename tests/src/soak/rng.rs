//! Random numbers from a seed, so that a run's plan can be repeated.

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    /// The generator of one purpose: purposes of one seed do not disturb each other.
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        let mut rng = Self(seed ^ purpose.wrapping_mul(0xD134_2543_DE82_EF95));
        rng.next();
        rng
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from `least` to `most`, both included.
    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most.saturating_sub(least) + 1)
    }

    /// True in so many of a hundred cases.
    pub(super) fn percent(&mut self, of_a_hundred: u64) -> bool {
        self.between(1, 100) <= of_a_hundred
    }

    /// One of these, each with the probability of its weight.
    ///
    /// # Panics
    /// Panics when there are no choices.
    pub(super) fn weighted<T: Copy>(&mut self, choices: &[(u64, T)]) -> T {
        let total: u64 = choices.iter().map(|(weight, _)| weight).sum();
        let mut at = self.between(1, total.max(1));
        for (weight, choice) in choices {
            match at.checked_sub(*weight) {
                None | Some(0) => return *choice,
                Some(rest) => at = rest,
            }
        }
        panic!("a choice needs weights")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rng_of_one_seed_repeats_itself_and_keeps_bounds() {
        let (mut one, mut same, mut other) = (Rng::new(7, 1), Rng::new(7, 1), Rng::new(7, 2));
        let numbers = |rng: &mut Rng| (0..100).map(|_| rng.between(3, 9)).collect::<Vec<_>>();
        let first = numbers(&mut one);
        assert!(first.iter().all(|number| (3..=9).contains(number)));
        assert_eq!(first, numbers(&mut same));
        assert_ne!(first, numbers(&mut other));
        let mut counts = [0; 2];
        for _ in 0..1_000 {
            counts[one.weighted(&[(9, 0), (1, 1)])] += 1;
        }
        assert!(counts[0] > counts[1] && counts[1] > 0, "{counts:?}");
    }
}

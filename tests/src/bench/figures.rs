//! From many samples to one figure: percentiles within a round, the median over the rounds.

use std::time::Duration;

/// Returns the percentile of the samples (nearest rank), in milliseconds.
///
/// # Panics
/// Panics without samples.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a rank lies between 0 and the number of samples"
)]
pub(super) fn percentile_ms(samples: impl IntoIterator<Item = Duration>, share: f64) -> f64 {
    let mut samples: Vec<_> = samples.into_iter().collect();
    samples.sort_unstable();
    let rank = (samples.len() as f64 * share).ceil() as usize;
    let sample = samples.get(rank.max(1) - 1).expect("samples to choose from");
    sample.as_secs_f64() * 1_000.0
}

/// One figure of every round, in the order of the rounds.
#[derive(Clone, Debug, Default)]
pub(super) struct Rounds(Vec<f64>);

impl Rounds {
    /// Adds the figure of a round.
    pub(super) fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// Returns true when nothing was measured.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the median; of an even number the mean of the two in the middle.
    ///
    /// # Panics
    /// Panics without figures.
    pub(super) fn median(&self) -> f64 {
        let sorted = self.sorted();
        let at = |index: usize| *sorted.get(index).expect("at least one round");
        f64::midpoint(at((sorted.len().max(1) - 1) / 2), at(sorted.len() / 2))
    }

    /// Returns the smallest and the largest figure.
    ///
    /// # Panics
    /// Panics without figures.
    pub(super) fn spread(&self) -> (f64, f64) {
        let sorted = self.sorted();
        (*sorted.first().expect("at least one round"), *sorted.last().expect("at least one round"))
    }

    /// Combines the figures of each round.
    #[must_use]
    pub(super) fn with(&self, other: &Self, make: impl Fn(f64, f64) -> f64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(own, other)| make(*own, *other)).collect())
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

impl FromIterator<f64> for Rounds {
    fn from_iter<T: IntoIterator<Item = f64>>(figures: T) -> Self {
        Self(figures.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0.5, 50.0)]
    #[case(0.99, 99.0)]
    #[case(1.0, 100.0)]
    #[case(0.0, 1.0)]
    fn percentile_is_a_sample(#[case] share: f64, #[case] expected: f64) {
        let found = percentile_ms((1..=100).rev().map(Duration::from_millis), share);
        assert!((found - expected).abs() < 1e-9, "{found}");
    }

    #[rstest]
    #[case(&[3.0, 1.0, 2.0], 2.0)]
    #[case(&[4.0, 1.0, 2.0, 3.0], 2.5)]
    #[case(&[7.0], 7.0)]
    fn median_is_middle_or_mean(#[case] figures: &[f64], #[case] expected: f64) {
        let rounds: Rounds = figures.iter().copied().collect();
        assert!((rounds.median() - expected).abs() < 1e-9, "{rounds:?}");
    }
}

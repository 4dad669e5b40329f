//! The choice of the traces that are recorded: a caller's choice holds; a trace that begins here is recorded with a probability.

use super::context::{SpanId, TraceContext, TraceId};

/// Random bytes that [`Sampler::begin`] needs.
pub const RANDOM_BYTES: usize = 24;
/// Half of all values of 64 bits.
const HALF: f64 = 9_223_372_036_854_775_808.0;

/// OpenTelemetry's `parentbased_traceidratio`. The same trace is chosen wherever it is decided upon with the same ratio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    ratio: f64,
}

impl Default for Sampler {
    /// Records every trace.
    fn default() -> Self {
        Self { ratio: 1.0 }
    }
}

impl Sampler {
    /// Reads the value of `OTEL_TRACES_SAMPLER_ARG`; none when it is no number from 0 to 1.
    pub fn parse(text: &str) -> Option<Self> {
        let ratio: f64 = text.trim().parse().ok()?;
        (0.0..=1.0).contains(&ratio).then_some(Self { ratio })
    }

    /// Returns the share of the traces that begin here and are recorded, from 0 to 1.
    pub const fn ratio(self) -> f64 {
        self.ratio
    }

    /// Begins a part's own span: within the caller's trace, where there is one, else in a new trace.
    pub fn begin(self, caller: Option<TraceContext>, random: [u8; RANDOM_BYTES]) -> TraceContext {
        let ([span, rest @ ..], []) = random.as_chunks::<8>() else {
            return self.begin_with(caller, [0; 16], [0; 8]);
        };
        let mut trace = [0; 16];
        for (byte, random) in trace.iter_mut().zip(rest.as_flattened()) {
            *byte = *random;
        }
        self.begin_with(caller, trace, *span)
    }

    fn begin_with(self, caller: Option<TraceContext>, trace: [u8; 16], span: [u8; 8]) -> TraceContext {
        let span_id = SpanId::from_bytes(span);
        caller.map_or_else(
            || {
                let trace_id = TraceId::from_bytes(trace);
                TraceContext { trace_id, span_id, is_sampled: self.is_chosen(trace_id) }
            },
            |caller| caller.with_span(span_id),
        )
    }

    /// Returns whether a trace that begins here is recorded: of 63 bits of its id, as OpenTelemetry's SDKs decide.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a ratio from 0 to 1 of 2^63 is a number of 64 bits"
    )]
    fn is_chosen(self, trace_id: TraceId) -> bool {
        self.ratio >= 1.0 || trace_id.low_bits() >> 1 < (self.ratio * HALF) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1", Some(1.0))]
    #[case(" 0.25 ", Some(0.25))]
    #[case("0", Some(0.0))]
    #[case("1.01", None)]
    #[case("-0.1", None)]
    #[case("NaN", None)]
    #[case("all", None)]
    #[case("", None)]
    fn ratio_is_a_number_from_0_to_1(#[case] text: &str, #[case] ratio: Option<f64>) {
        assert_eq!(Sampler::parse(text).map(Sampler::ratio), ratio);
    }

    proptest! {
        #[test]
        fn callers_choice_holds(random: [u8; RANDOM_BYTES], trace: [u8; 16], span: [u8; 8], is_sampled: bool, ratio in 0.0..=1.0) {
            let (trace_id, span_id) = (TraceId::from_bytes(trace), SpanId::from_bytes(span));
            let caller = TraceContext { trace_id, span_id, is_sampled };
            let begun = Sampler { ratio }.begin(Some(caller), random);
            prop_assert_eq!((begun.trace_id, begun.is_sampled), (trace_id, is_sampled));
        }

        #[test]
        fn trace_without_caller_is_chosen_by_its_id(random: [u8; RANDOM_BYTES]) {
            let begun = Sampler::default().begin(None, random);
            prop_assert!(begun.is_sampled);
            let never = Sampler { ratio: 0.0 }.begin(None, random);
            prop_assert_eq!(never, TraceContext { is_sampled: false, ..begun });
            let (few, many) = (Sampler { ratio: 0.3 }, Sampler { ratio: 0.6 });
            prop_assert!(!few.is_chosen(begun.trace_id) || many.is_chosen(begun.trace_id));
        }
    }

    #[test]
    fn half_of_evenly_spread_traces_is_chosen() {
        let ids = (1..=1_000u64).map(|n| n * (u64::MAX / 1_000));
        let trace = |low: u64| TraceId::from_bytes((u128::MAX << 64 | u128::from(low)).to_be_bytes());
        let half = Sampler::parse("0.5").unwrap();
        assert_eq!(ids.filter(|low| half.is_chosen(trace(*low))).count(), 500);
    }
}

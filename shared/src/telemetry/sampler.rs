//! The choice of the traces that are recorded: a caller's choice holds; a trace that begins here is recorded with a probability.

use super::context::{SpanId, TraceContext, TraceId};

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

    /// Begins a part's own span of this id: within the caller's trace, where there is one, else in this new trace.
    pub fn begin(self, caller: Option<TraceContext>, new_trace: TraceId, span_id: SpanId) -> TraceContext {
        caller.map_or_else(
            || TraceContext { trace_id: new_trace, span_id, is_sampled: self.is_chosen(new_trace) },
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
        fn callers_choice_holds(new_trace: [u8; 16], trace: [u8; 16], ids: [[u8; 8]; 2], is_sampled: bool, ratio in 0.0..=1.0) {
            let [span_id, own_id] = ids.map(SpanId::from_bytes);
            let caller = TraceContext { trace_id: TraceId::from_bytes(trace), span_id, is_sampled };
            let context = Sampler { ratio }.begin(Some(caller), TraceId::from_bytes(new_trace), own_id);
            prop_assert_eq!(context, TraceContext { span_id: own_id, ..caller });
        }

        #[test]
        fn trace_without_caller_is_chosen_by_its_id(trace: [u8; 16], span: [u8; 8]) {
            let (trace_id, span_id) = (TraceId::from_bytes(trace), SpanId::from_bytes(span));
            let context = Sampler::default().begin(None, trace_id, span_id);
            prop_assert_eq!(context, TraceContext { trace_id, span_id, is_sampled: true });
            let never = Sampler { ratio: 0.0 }.begin(None, trace_id, span_id);
            prop_assert_eq!(never, TraceContext { is_sampled: false, ..context });
            let (few, many) = (Sampler { ratio: 0.3 }, Sampler { ratio: 0.6 });
            prop_assert!(!few.is_chosen(trace_id) || many.is_chosen(trace_id));
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

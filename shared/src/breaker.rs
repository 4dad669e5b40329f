//! The circuit breaker: calls of a server that fails are left out for a while, then one is made to find out whether it is back.

use crate::{backoff::Backoff, time::Timestamp};

/// Bounds of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerLimits {
    /// The consecutive failures after which no call is made.
    pub max_failures: u32,
    /// The pauses without a call: the first one after those failures, a longer one after each probe that fails.
    pub pause: Backoff,
    /// The time after which a probe without an outcome is given up, in milliseconds, and another one is made.
    pub probe_ms: i64,
}

/// The state of the calls to one server.
///
/// It begins *closed*: every call is made. After [`BreakerLimits::max_failures`] in a row it is *open*: no call is made until the
/// pause is over. Then one call, the probe, is made: it closes the breaker, or opens it for longer. The outcome of a call counts
/// only while the breaker has not changed since the call was admitted, but for a success, which always closes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    limits: BreakerLimits,
    state: State,
    /// The number of changes of the state.
    epoch: u64,
}

/// A call that may be made; its outcome is given back with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the outcome of the call is recorded with it"]
pub struct Permit {
    epoch: u64,
}

/// The outcome of a call, as far as it says something about the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// It answered. A refusal is an answer.
    Answered,
    /// It did not answer, or said that it cannot work now.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { openings: u32, until: Timestamp },
    Probing { openings: u32, until: Timestamp },
}

impl Breaker {
    /// A closed breaker.
    pub const fn new(limits: BreakerLimits) -> Self {
        Self { limits, state: State::Closed { failures: 0 }, epoch: 0 }
    }

    /// Returns true while every call is made.
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// Admits a call.
    ///
    /// # Errors
    /// Fails with the time before which no call is admitted. A probe under way may end earlier.
    pub fn admit(&mut self, now: Timestamp) -> Result<Permit, Timestamp> {
        match self.state {
            State::Closed { .. } => {}
            State::Open { until, .. } | State::Probing { until, .. } if now < until => return Err(until),
            State::Open { openings, .. } | State::Probing { openings, .. } => {
                self.change(State::Probing { openings, until: now.plus_millis(self.limits.probe_ms) });
            }
        }
        Ok(Permit { epoch: self.epoch })
    }

    /// Records the outcome of a call that was admitted. `jitter` is any number: up to a quarter of a pause is taken off by it.
    /// Returns true when it opens the breaker.
    pub fn record(&mut self, permit: Permit, outcome: CallOutcome, now: Timestamp, jitter: u32) -> bool {
        let earlier_openings = match (outcome, self.state) {
            (CallOutcome::Answered, State::Closed { .. }) => {
                self.state = State::Closed { failures: 0 };
                return false;
            }
            (CallOutcome::Answered, State::Open { .. } | State::Probing { .. }) => {
                self.change(State::Closed { failures: 0 });
                return false;
            }
            (CallOutcome::Failed, _) if permit.epoch != self.epoch => return false,
            (CallOutcome::Failed, State::Closed { failures }) => {
                let failures = failures.saturating_add(1);
                if failures < self.limits.max_failures {
                    self.state = State::Closed { failures };
                    return false;
                }
                0
            }
            (CallOutcome::Failed, State::Open { openings, .. } | State::Probing { openings, .. }) => openings,
        };
        let openings = earlier_openings.saturating_add(1);
        let until = now.plus_millis(self.limits.pause.wait_ms(openings, jitter));
        self.change(State::Open { openings, until });
        true
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.epoch = self.epoch.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: BreakerLimits = BreakerLimits {
        max_failures: 3,
        pause: Backoff { first_ms: 1_000, longest_ms: 8_000 },
        probe_ms: 500,
    };
    const START: Timestamp = Timestamp::from_millis(1_795_253_400_007);

    fn at(ms: i64) -> Timestamp {
        START.plus_millis(ms)
    }

    /// A breaker that opened at the start, for a second.
    fn opened() -> Breaker {
        let mut breaker = Breaker::new(LIMITS);
        for is_last in [false, false, true] {
            let permit = breaker.admit(START).unwrap();
            assert_eq!(breaker.record(permit, CallOutcome::Failed, START, 0), is_last);
        }
        breaker
    }

    #[test]
    fn consecutive_failures_open_the_breaker_for_the_pause() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(at(999)), Err(at(1_000)));
        let probe = breaker.admit(at(1_000)).unwrap();
        assert!(!breaker.is_closed());
        assert!(!breaker.record(probe, CallOutcome::Answered, at(1_001), 0));
        assert!(breaker.is_closed());
    }

    #[test]
    fn answer_between_failures_keeps_the_breaker_closed() {
        let mut breaker = Breaker::new(LIMITS);
        for outcome in [CallOutcome::Failed, CallOutcome::Failed, CallOutcome::Answered].repeat(9) {
            let permit = breaker.admit(START).unwrap();
            assert!(!breaker.record(permit, outcome, START, 0));
        }
    }

    #[test]
    fn failed_probe_opens_the_breaker_for_longer() {
        let mut breaker = opened();
        let mut now = 1_000;
        for pause in [2_000, 4_000, 8_000, 8_000] {
            let probe = breaker.admit(at(now)).unwrap();
            assert!(breaker.record(probe, CallOutcome::Failed, at(now), 0));
            assert_eq!(breaker.admit(at(now)), Err(at(now + pause)));
            now += pause;
        }
    }

    #[test]
    fn answered_probe_closes_the_breaker_and_forgets_its_pauses() {
        let mut breaker = opened();
        let probe = breaker.admit(at(1_000)).unwrap();
        assert!(!breaker.record(probe, CallOutcome::Answered, at(1_100), 0));
        assert_eq!((breaker.state, breaker.admit(at(1_100)).is_ok()), (State::Closed { failures: 0 }, true));
    }

    #[test]
    fn probe_without_outcome_is_followed_by_another() {
        let mut breaker = opened();
        let lost = breaker.admit(at(1_000)).unwrap();
        assert_eq!(breaker.admit(at(1_499)), Err(at(1_500)));
        let probe = breaker.admit(at(1_500)).unwrap();
        assert!(!breaker.record(lost, CallOutcome::Failed, at(1_501), 0), "it is given up");
        assert!(breaker.record(probe, CallOutcome::Failed, at(1_502), 0));
    }

    #[test]
    fn failure_of_a_call_from_before_the_pause_is_not_the_probes() {
        let mut breaker = Breaker::new(LIMITS);
        let permits = [(); 4].map(|()| breaker.admit(START).unwrap());
        let opened = permits.map(|permit| breaker.record(permit, CallOutcome::Failed, START, 0));
        assert_eq!(opened, [false, false, true, false]);
        let _probe = breaker.admit(at(1_000)).unwrap();
        assert!(!breaker.record(permits[3], CallOutcome::Failed, at(1_001), 0));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Advance(i64),
        Call,
        End { index: usize, outcome: CallOutcome, jitter: u32 },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let outcome = prop_oneof![1 => Just(CallOutcome::Answered), 3 => Just(CallOutcome::Failed)];
        let end = (any::<usize>(), outcome, any::<u32>());
        let step = prop_oneof![
            (0i64..1_500).prop_map(Step::Advance),
            Just(Step::Call),
            end.prop_map(|(index, outcome, jitter)| Step::End { index, outcome, jitter }),
        ];
        prop::collection::vec(step, 1..200)
    }

    proptest! {
        /// Whatever happens: no call is admitted in a pause, one probe at a time follows it, a pause is bounded, an answer closes.
        #[test]
        fn breaker_keeps_its_promises(steps in steps()) {
            let mut breaker = Breaker::new(LIMITS);
            let (mut now, mut calls) = (START, Vec::new());
            // The end of the pause, and the time until which a probe under way keeps others out.
            let (mut pause_until, mut probe_until) = (None::<Timestamp>, None::<Timestamp>);
            let mut failures = 0;
            for step in steps {
                match step {
                    Step::Advance(ms) => now = now.plus_millis(ms),
                    Step::Call => match breaker.admit(now) {
                        Ok(permit) => {
                            prop_assert!(pause_until.is_none_or(|until| now >= until), "a call in a pause");
                            prop_assert!(probe_until.is_none_or(|until| now >= until), "two probes");
                            if pause_until.is_some() {
                                probe_until = Some(now.plus_millis(LIMITS.probe_ms));
                            }
                            calls.push(permit);
                        }
                        Err(until) => {
                            prop_assert!(until > now && pause_until.is_some());
                            prop_assert!(until.millis_since(now) <= LIMITS.pause.longest_ms);
                        }
                    },
                    Step::End { .. } if calls.is_empty() => {}
                    Step::End { index, outcome, jitter } => {
                        let permit = calls.swap_remove(index % calls.len());
                        let opens = breaker.record(permit, outcome, now, jitter);
                        match outcome {
                            CallOutcome::Answered => {
                                prop_assert!(!opens);
                                (pause_until, probe_until, failures) = (None, None, 0);
                                prop_assert_eq!(breaker.state, State::Closed { failures: 0 });
                            }
                            CallOutcome::Failed => {
                                failures += 1;
                                prop_assert!(!opens || failures >= LIMITS.max_failures || pause_until.is_some());
                                if opens {
                                    let State::Open { until, .. } = breaker.state else { panic!("{breaker:?}") };
                                    prop_assert!(until.millis_since(now) >= LIMITS.pause.first_ms * 3 / 4);
                                    (pause_until, probe_until) = (Some(until), None);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

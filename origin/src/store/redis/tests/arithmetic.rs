//! The scripts store what the arithmetic in `shared` says, over any sequence of times.

use proptest::{prelude::*, test_runner::TestRunner};
use shared::limits::{failures::FailureDelay, gcra::Gcra, window::FixedWindow};
use tokio::runtime::Runtime;

use super::{at, patient, shared_server};
use crate::store::{Ephemeral as _, redis::RedisEphemeral};

const CASES: u32 = 48;

/// Times that come close together, far apart, and at times step back.
fn offsets() -> impl Strategy<Value = Vec<i64>> {
    let step = prop_oneof![4 => 0i64..50, 2 => 0i64..5_000, 1 => -3_000i64..0];
    prop::collection::vec(step, 1..40).prop_map(|steps| {
        let mut now = 0;
        let walk = steps.into_iter().map(|step| {
            now += step;
            now
        });
        walk.collect()
    })
}

/// Runs the cases on a store whose every key is new.
fn run<S: Strategy>(
    strategy: S,
    case: impl Fn(&Runtime, &RedisEphemeral, &str, S::Value) -> Result<(), TestCaseError>,
) {
    let runtime = Runtime::new().unwrap();
    let (url, prefix) = shared_server();
    let store = runtime.block_on(patient(&url, &prefix));
    let keys = std::cell::Cell::new(0);
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&strategy, |value| {
        keys.set(keys.get() + 1);
        case(&runtime, &store, &format!("key{}", keys.get()), value)
    });
    runtime.block_on(async { store.ping().await.unwrap() });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn rate_in_redis_equals_rate_in_shared() {
    let strategy = (1u32..50, 1u32..10_000, 1u32..8, offsets());
    run(strategy, |runtime, store, key, (limit, window_ms, burst, offsets)| {
        let rate = Gcra::new(limit, window_ms, burst);
        let mut tat = None;
        for offset in offsets {
            let expected = rate.check(tat, at(offset));
            tat = Some(expected.tat);
            let decision = runtime.block_on(store.admit(key, rate, at(offset))).unwrap();
            prop_assert_eq!(decision, expected, "at {}", offset);
        }
        Ok(())
    });
}

#[test]
fn failures_in_redis_equal_failures_in_shared() {
    let strategy = (0u32..5, 1u32..5_000, 1u32..60_000, 1u32..60_000, offsets());
    run(strategy, |runtime, store, key, (free, first_ms, longest_ms, forgiven_ms, offsets)| {
        let rule = FailureDelay::new(free, first_ms, longest_ms, forgiven_ms);
        let mut state = None;
        for (number, offset) in offsets.into_iter().enumerate() {
            let expected = rule.count(state, at(offset));
            state = Some(expected.state);
            let decision = runtime.block_on(store.count_failure(key, rule, at(offset))).unwrap();
            prop_assert_eq!(decision, expected, "at {}", offset);
            if number % 3 == 2 {
                state = rule.undo(expected.state, expected.state, at(offset));
                runtime.block_on(store.undo_failure(key, rule, expected.state, at(offset))).unwrap();
            }
            let checked = runtime.block_on(store.check_failures(key, rule, at(offset))).unwrap();
            prop_assert_eq!(checked, rule.check(state, at(offset)), "at {}", offset);
        }
        Ok(())
    });
}

#[test]
fn window_in_redis_equals_window_in_shared() {
    let strategy = (0u32..8, 1u32..10_000, offsets());
    run(strategy, |runtime, store, key, (limit, window_ms, offsets)| {
        let window = FixedWindow::new(limit, window_ms);
        let mut state = None;
        for offset in offsets {
            let expected = window.check(state, at(offset));
            state = Some(expected.state);
            let decision = runtime.block_on(store.count(key, window, at(offset))).unwrap();
            prop_assert_eq!(decision, expected, "at {}", offset);
        }
        Ok(())
    });
}

//! Usage of turns and days.

use std::sync::Arc;

use shared::{api::usage::Usage, time::DAY_MS};

use super::{Store, register};
use crate::store::{
    accounts::usage::{UsageEntry, UsageOutcome},
    contract::{
        at_once,
        samples::{START, id},
    },
};

pub(super) fn usage(turn: u32, user: u32, day: i64, model: &str) -> UsageEntry {
    UsageEntry {
        turn_id: id(turn),
        user_id: id(user),
        at: START.plus_millis(day * DAY_MS),
        model: model.to_owned(),
        usage: Usage {
            input_tokens: 10,
            output_tokens: 20,
            cached_tokens: 3,
            reasoning_tokens: 4,
            total_tokens: 34,
            estimated: turn.is_multiple_of(4),
        },
        failed: turn.is_multiple_of(2),
    }
}

pub(in crate::store::contract) async fn turn_is_counted_once(store: Store) {
    register(&store, 1).await;
    register(&store, 2).await;
    let recorded = at_once(16, |_| {
        let store = Arc::clone(&store);
        async move { store.record_usage(usage(7, 1, 0, "fast")).await.unwrap() }
    })
    .await;
    assert_eq!(counts(&recorded), (1, 15));
    let rows = store.usage(id(1), START.day(), START.day()).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].totals.requests, rows[0].totals.messages, rows[0].totals.input_tokens), (1, 1, 10));
    assert_eq!(store.record_usage(usage(7, 2, 0, "fast")).await.unwrap_err().kind(), "conflict");
    assert!(store.usage(id(2), START.day(), START.day()).await.unwrap().is_empty());
    assert_eq!(store.record_usage(usage(8, 9, 0, "fast")).await.unwrap(), UsageOutcome::NoUser);
}

/// Returns the number of turns that were counted, and of those that had been before.
fn counts(outcomes: &[UsageOutcome]) -> (usize, usize) {
    let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    (count(UsageOutcome::Counted), count(UsageOutcome::Repeated))
}

pub(in crate::store::contract) async fn usage_is_summed_by_day_and_model(store: Store) {
    register(&store, 1).await;
    for (turn, day, model) in [(1, 0, "fast"), (2, 0, "fast"), (3, 0, "lite"), (4, 1, "fast"), (5, 2, "fast")]
    {
        assert_eq!(store.record_usage(usage(turn, 1, day, model)).await.unwrap(), UsageOutcome::Counted);
    }
    let rows = store.usage(id(1), START.day(), START.plus_millis(DAY_MS).day()).await.unwrap();
    let found: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.day.as_str(),
                row.model.as_str(),
                row.totals.requests,
                row.totals.output_tokens,
                row.totals.errors,
                row.totals.estimated,
            )
        })
        .collect();
    let (first, second) = (START.day(), START.plus_millis(DAY_MS).day());
    assert_eq!(
        found,
        [
            (first.as_str(), "fast", 2, 40, 1, 0),
            (first.as_str(), "lite", 1, 20, 0, 0),
            (second.as_str(), "fast", 1, 20, 1, 1),
        ]
    );
}

pub(in crate::store::contract) async fn models_are_sorted_by_their_bytes(store: Store) {
    register(&store, 1).await;
    let sorted = ["", "B", "Z", "_", "a", "a b", "a-b", "a_b", "ab", "b", "zz", "\u{e4}", "\u{fffd}", "🦀"];
    for (turn, model) in (1..).zip(sorted.iter().rev()) {
        assert_eq!(store.record_usage(usage(turn, 1, 0, model)).await.unwrap(), UsageOutcome::Counted);
    }
    let rows = store.usage(id(1), START.day(), START.day()).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.model.as_str()).collect::<Vec<_>>(), sorted);
}

pub(in crate::store::contract) async fn turns_at_once_are_summed_exactly(store: Store) {
    const TURNS: u32 = 64;
    // Too many for 32 bits, and for the whole numbers of a float of 32 bits.
    let tokens = |turn: u32| 3_000_000_000 + u64::from(turn);
    register(&store, 1).await;
    // Each turn arrives twice.
    let recorded = at_once(2 * usize::try_from(TURNS).unwrap(), |index| {
        let store = Arc::clone(&store);
        let turn = u32::try_from(index / 2).unwrap();
        let mut entry = usage(turn, 1, 0, "fast");
        entry.usage.input_tokens = tokens(turn);
        async move { store.record_usage(entry).await.unwrap() }
    })
    .await;
    let turns = usize::try_from(TURNS).unwrap();
    assert_eq!(counts(&recorded), (turns, turns));
    let rows = store.usage(id(1), START.day(), START.day()).await.unwrap();
    let totals = rows[0].totals;
    assert_eq!((rows.len(), totals.requests, totals.messages), (1, TURNS.into(), TURNS.into()));
    assert_eq!(totals.input_tokens, (0..TURNS).map(tokens).sum::<u64>());
    assert_eq!((totals.output_tokens, totals.errors), (20 * u64::from(TURNS), u64::from(TURNS / 2)));
}

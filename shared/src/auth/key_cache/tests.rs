use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::from_millis(1_795_253_400_000);
const RETRY: KeyLookup = KeyLookup::Unavailable { retry_after_s: 1 };

fn at(millis: i64) -> Timestamp {
    START.plus_millis(millis)
}

/// Decides, and lets a fetch that was asked for bring these ids at once.
fn look_up(policy: &mut KeyCachePolicy, kid: &str, ids: &[&str], now: Timestamp) -> KeyLookup {
    let lookup = policy.decide(kid, now);
    if matches!(lookup, KeyLookup::Fetch | KeyLookup::Refresh) {
        policy.fetched(kid, ids, now, now);
    }
    lookup
}

#[test]
fn known_key_is_used_until_the_set_is_old() {
    let mut policy = KeyCachePolicy::default();
    assert_eq!(look_up(&mut policy, "a", &["a"], at(0)), KeyLookup::Fetch);
    assert_eq!(policy.decide("a", at(FRESH_MS - 1)), KeyLookup::Known);
    assert_eq!(policy.decide("a", at(FRESH_MS)), KeyLookup::Refresh);
    // Others go on with what is known, also after the fetch has failed.
    assert_eq!(policy.decide("a", at(FRESH_MS)), KeyLookup::Known);
    policy.failed(at(FRESH_MS));
    assert_eq!(policy.decide("a", at(FRESH_MS + REFRESH_EVERY_MS - 1)), KeyLookup::Known);
    assert_eq!(policy.decide("a", at(FRESH_MS + REFRESH_EVERY_MS)), KeyLookup::Refresh);
}

#[test]
fn key_that_is_gone_from_the_set_is_refused() {
    let mut policy = KeyCachePolicy::default();
    look_up(&mut policy, "a", &["a"], at(0));
    assert_eq!(look_up(&mut policy, "b", &["b"], at(1)), KeyLookup::Fetch);
    assert_eq!(look_up(&mut policy, "a", &["b"], at(2)), KeyLookup::Fetch);
    assert_eq!(policy.decide("a", at(3)), KeyLookup::Absent);
}

#[test]
fn unknown_key_with_an_origin_that_fails_is_unavailable_and_not_refused() {
    let mut policy = KeyCachePolicy::default();
    look_up(&mut policy, "a", &["a"], at(0));
    for _ in 1..LOOK_UPS_AT_ONCE {
        assert_eq!(policy.decide("new", at(1)), KeyLookup::Fetch);
        policy.failed(at(1));
    }
    assert_eq!(policy.decide("new", at(1)), RETRY);
    assert_eq!(policy.decide("a", at(1)), KeyLookup::Known);
    assert_eq!(look_up(&mut policy, "new", &["a", "new"], at(1_001)), KeyLookup::Fetch);
    assert_eq!(policy.decide("new", at(1_001)), KeyLookup::Known);
}

#[test]
fn refused_key_is_asked_for_again_soon() {
    let mut policy = KeyCachePolicy::default();
    assert_eq!(look_up(&mut policy, "b", &["a"], at(0)), KeyLookup::Fetch);
    assert_eq!(policy.decide("b", at(ABSENT_MS - 1)), KeyLookup::Absent);
    assert_eq!(look_up(&mut policy, "b", &["a", "b"], at(ABSENT_MS)), KeyLookup::Fetch);
    assert_eq!(policy.decide("b", at(ABSENT_MS)), KeyLookup::Known);
}

#[test]
fn fetch_under_way_is_waited_for_and_refuses_only_its_own_key() {
    let mut policy = KeyCachePolicy::default();
    assert_eq!(policy.decide("garbage", at(0)), KeyLookup::Fetch);
    assert_eq!(policy.decide("new", at(1)), KeyLookup::Wait);
    // It began before the new key was asked for, so it says nothing about it.
    policy.fetched("garbage", &["a"], at(0), at(2));
    assert_eq!(policy.decide("garbage", at(2)), KeyLookup::Absent);
    assert_eq!(policy.decide("new", at(2)), KeyLookup::Fetch);
    // One whose caller is gone is not waited for without end.
    assert_eq!(policy.decide("newer", at(2 + SHARED_FETCH_MS - 1)), KeyLookup::Wait);
    assert_eq!(policy.decide("newer", at(2 + SHARED_FETCH_MS)), KeyLookup::Fetch);
}

#[test]
fn older_set_replaces_no_newer_one() {
    let mut policy = KeyCachePolicy::default();
    assert_eq!(policy.decide("a", at(0)), KeyLookup::Fetch);
    let later = at(SHARED_FETCH_MS);
    assert_eq!(policy.decide("b", later), KeyLookup::Fetch);
    assert!(policy.fetched("b", &["a", "b"], later, later));
    assert!(!policy.fetched("a", &["a"], at(0), later));
    assert_eq!(policy.decide("b", later), KeyLookup::Known);
}

#[test]
fn unknown_ids_are_remembered_up_to_a_bound() {
    let mut policy = KeyCachePolicy::default();
    for number in 0..2 * MAX_ABSENT {
        policy.fetched(&number.to_string(), &[], at(0), at(0));
    }
    assert_eq!(policy.absent.len(), MAX_ABSENT);
}

proptest! {
    /// However many made-up ids come in between: a new key is never refused, is known a second after the origin has it, and
    /// the origin is asked no more often than the bucket lets through.
    #[test]
    fn garbage_keeps_no_new_key_out(gaps in prop::collection::vec(0i64..300, 1..200)) {
        let mut policy = KeyCachePolicy::default();
        let ids = ["old", "new"];
        look_up(&mut policy, "old", &["old"], at(0));
        let (mut now_ms, mut fetches) = (0, 0);
        for (number, gap) in gaps.iter().enumerate() {
            now_ms += gap;
            let garbage = look_up(&mut policy, &format!("garbage {number}"), &ids, at(now_ms));
            fetches += i64::from(garbage == KeyLookup::Fetch);
            let lookup = look_up(&mut policy, "new", &ids, at(now_ms));
            fetches += i64::from(lookup == KeyLookup::Fetch);
            prop_assert!(lookup != KeyLookup::Absent);
            prop_assert!(now_ms < 1_000 || lookup == KeyLookup::Known);
        }
        prop_assert!(fetches <= i64::from(LOOK_UPS_AT_ONCE) + now_ms / 1_000);
    }
}

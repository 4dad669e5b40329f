use proptest::prelude::*;
use rstest::rstest;

use super::*;

const START: Timestamp = Timestamp::from_millis(1_795_253_400_000);

#[rstest]
#[case("203.0.113.7", "203.0.113.7")]
#[case(" 203.0.113.7 ", "203.0.113.7")]
#[case("::ffff:203.0.113.7", "203.0.113.7")]
#[case("::ffff:cb00:7107", "203.0.113.7")]
#[case("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64")]
#[case("2001:0DB8:0001:0002::", "2001:db8:1:2::/64")]
#[case("::1", "::/64")]
#[case("", "unknown")]
#[case("203.0.113", "unknown")]
#[case("203.0.113.07", "unknown")]
#[case("203.0.113.7:443", "unknown")]
#[case("203.0.113.7, 198.51.100.1", "unknown")]
#[case("fe80::1%eth0", "unknown")]
#[case("[::1]", "unknown")]
#[case("localhost", "unknown")]
fn client_is_counted_by_address_or_network(#[case] address: &str, #[case] key: &str) {
    assert_eq!(client_key(address).to_string(), key);
}

#[test]
fn network_is_one_client() {
    assert_eq!(client_key("2001:db8:1:2::1"), client_key("2001:db8:1:2:ffff::9"));
    assert_ne!(client_key("2001:db8:1:2::1"), client_key("2001:db8:1:3::1"));
    assert_eq!(client_key("garbage"), client_key(""));
}

fn client(number: u32) -> ClientKey {
    client_key(&Ipv4Addr::from(number).to_string())
}

#[test]
fn request_101_in_a_minute_is_denied() {
    let mut limiter = IpLimiter::new(100, 60_000, 1_000);
    for request in 0..100u32 {
        let decision = limiter.check(client(1), START.plus_millis(i64::from(request)));
        assert_eq!((decision.allowed, decision.limit.remaining), (true, u64::from(99 - request)));
    }
    let error = limiter.check(client(1), START.plus_millis(18_000)).into_result().unwrap_err();
    let limit = LimitState { policy: "ip", limit: 100, window_s: 60, remaining: 0, reset_s: 42 };
    assert_eq!(error, ApiError::from(ErrorCode::RateLimited).retry_after(42).limited_by(limit));

    assert!(limiter.check(client(2), START.plus_millis(18_000)).allowed);
    let later = limiter.check(client(1), START.plus_millis(60_000)).into_result().unwrap();
    assert_eq!(later.remaining, 99);
}

#[test]
fn closed_windows_go_first_and_then_the_oldest() {
    let mut limiter = IpLimiter::new(1, 1_000, 3);
    for (number, at) in [(1, 0), (2, 100), (3, 200)] {
        assert!(limiter.check(client(number), START.plus_millis(at)).allowed);
    }
    // The first is closed: room for a fourth without forgetting the others.
    assert!(limiter.check(client(4), START.plus_millis(1_000)).allowed);
    assert!(!limiter.check(client(2), START.plus_millis(1_000)).allowed);
    assert!(!limiter.check(client(3), START.plus_millis(1_000)).allowed);
    // None is closed: the oldest, the second, is forgotten for a fifth.
    assert!(limiter.check(client(5), START.plus_millis(1_001)).allowed);
    assert!(!limiter.check(client(3), START.plus_millis(1_001)).allowed);
    assert!(!limiter.check(client(4), START.plus_millis(1_001)).allowed);
    assert!(limiter.check(client(2), START.plus_millis(1_001)).allowed);
    assert_eq!(limiter.windows.len(), 3);
}

#[test]
fn empty_table_denies_nobody() {
    let mut limiter = IpLimiter::new(1, 1_000, 0);
    for _ in 0..10 {
        assert!(limiter.check(client(1), START).allowed);
    }
    assert!(limiter.windows.is_empty());
}

#[test]
fn clock_set_back_far_forgets_and_slightly_does_not() {
    let mut limiter = IpLimiter::new(1, 60_000, 10);
    assert!(limiter.check(client(1), START).allowed);
    assert!(!limiter.check(client(1), START.plus_millis(-1_000)).allowed);
    assert!(limiter.check(client(1), START.plus_millis(-60_000)).allowed);
    assert_eq!(limiter.windows.len(), 1);
}

/// Requests of eight clients over some seconds.
fn requests() -> impl Strategy<Value = Vec<(u32, Timestamp)>> {
    prop::collection::vec((0u32..8, 0i64..300), 1..200).prop_map(|gaps| {
        let at = gaps.into_iter().scan(START, |now, (number, gap)| {
            *now = now.plus_millis(gap);
            Some((number, *now))
        });
        at.collect()
    })
}

proptest! {
    #[test]
    fn with_room_for_everyone_it_is_one_window_a_client(limit in 1u32..5, requests in requests()) {
        let mut limiter = IpLimiter::new(limit, 1_000, 8);
        let window = FixedWindow::new(limit, 1_000);
        let mut states = HashMap::new();
        for (number, now) in requests {
            let expected = window.check(states.get(&number).copied(), now);
            states.insert(number, expected.state);
            let decision = limiter.check(client(number), now);
            prop_assert_eq!(decision.allowed, expected.allowed);
            prop_assert_eq!(decision.limit, window.limit_state(POLICY, &expected));
        }
    }

    #[test]
    fn without_room_it_stays_small_and_denies_only_who_used_the_limit_up(
        limit in 1u32..5, max_entries in 0usize..6, requests in requests(),
    ) {
        let mut limiter = IpLimiter::new(limit, 1_000, max_entries);
        let mut allowed: Vec<(u32, Timestamp)> = Vec::new();
        for (number, now) in requests {
            if limiter.check(client(number), now).allowed {
                allowed.push((number, now));
            } else {
                let recent = allowed.iter().filter(|(who, at)| *who == number && now.millis_since(*at) < 1_000);
                prop_assert!(recent.count() >= usize::try_from(limit).unwrap());
            }
            prop_assert!(limiter.windows.len() <= max_entries);
            prop_assert_eq!(limiter.order.len(), limiter.windows.len());
            prop_assert!(limiter.order.iter().all(|key| limiter.windows.contains_key(key)));
        }
    }

    #[test]
    fn arbitrary_address_does_not_panic(text in ".{0,60}") {
        let key = client_key(&text).to_string();
        prop_assert!(key == "unknown" || text.trim().parse::<IpAddr>().is_ok());
    }
}

#[rstest]
#[case("203.0.113.7", Some("203.0.113.0/24"))]
#[case("203.0.113.255", Some("203.0.113.0/24"))]
#[case("::ffff:203.0.113.7", Some("203.0.113.0/24"))]
#[case("2001:db8:1:2:3:4:5:6", Some("2001:db8:1::/48"))]
#[case("2001:db8:1:ffff::", Some("2001:db8:1::/48"))]
#[case("2001:db8:2::1", Some("2001:db8:2::/48"))]
#[case("", None)]
#[case("unknown", None)]
fn network_of_an_address_is_its_block_or_site(#[case] address: &str, #[case] written: Option<&str>) {
    assert_eq!(network(address).map(|network| network.to_string()).as_deref(), written);
}

//! Tests of the limits of password guesses and of sign-ups per network, from any number of addresses.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use super::test_env::{Answer, Call, Member, TestEnv, problem};
use crate::store::contract::down;

const REGISTER: &str = "/api/v1/auth/register";
const DAY_MS: i64 = 86_400_000;
/// The wrong guesses for one account that cost no delay.
const FREE: u8 = 10;

fn login(name: &str, password: &str) -> Call {
    let body = json!({"email": format!("{name}@example.com"), "password": password});
    Call::post("/api/v1/auth/login").json(&body)
}

/// Registers a user from an address.
async fn registered(env: &TestEnv, name: &str, ip: &str) -> Member {
    let body = json!({"email": format!("{name}@example.com"), "password": "correct horse"});
    let answer = env.send(env.sign(Call::post(REGISTER).json(&body), ip)).await;
    assert_eq!(answer.status, 201, "{:?}", answer.body);
    Member::of(&answer.json())
}

async fn try_from(env: &TestEnv, call: Call, ip: &str) -> Answer {
    env.send(env.sign(call, ip)).await
}

/// Uses up the wrong guesses that are free and begins the delay, each from another network.
async fn exhaust(env: &TestEnv, name: &str) {
    for network in 0..=FREE {
        let answer = try_from(env, login(name, "wrong horse"), &format!("198.51.{network}.9")).await;
        assert_eq!(answer.problem(), problem(401, "invalid_credentials"), "guess {network}");
    }
}

#[tokio::test]
async fn guesses_from_many_networks_are_delayed_but_not_for_known_devices() {
    let env = TestEnv::new().await;
    let ada = registered(&env, "ada", "203.0.113.7").await;
    exhaust(&env, "ada").await;
    let refused = try_from(&env, login("ada", "correct horse"), "192.0.2.1").await;
    assert_eq!(refused.problem(), problem(429, "rate_limited"));
    assert_eq!(refused.json()["detail"], "Too many failed attempts. Try again in 1 second.");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit-policy"), "\"failures\";q=10;w=36000");

    // The same for an unknown user.
    exhaust(&env, "nobody").await;
    let nobody = try_from(&env, login("nobody", "correct horse"), "192.0.2.1").await;
    assert_eq!(nobody.problem_body(), refused.problem_body());
    for name in ["retry-after", "ratelimit", "ratelimit-policy"] {
        assert_eq!(nobody.header(name), refused.header(name), "{name}");
    }

    // A user who signed in before is admitted: in their network, and in another with a token, also an expired one.
    assert_eq!(try_from(&env, login("ada", "correct horse"), "203.0.113.250").await.status, 200);
    env.clock.advance(DAY_MS / 2);
    exhaust(&env, "ada").await;
    let shown = login("ada", "correct horse").token(&ada.access);
    assert_eq!(try_from(&env, shown, "192.0.2.2").await.status, 200);
    // That sign-in has made the network known, too.
    assert_eq!(try_from(&env, login("ada", "correct horse"), "192.0.2.3").await.status, 200);

    // A token of another user, or a forged one, does not help.
    let eve = registered(&env, "eve", "192.0.3.1").await;
    for token in [eve.access.as_str(), "nonsense"] {
        let refused = try_from(&env, login("ada", "correct horse").token(token), "192.0.3.1").await;
        assert_eq!(refused.problem(), problem(429, "rate_limited"), "{token}");
    }
    env.clock.advance(1_000);
    assert_eq!(try_from(&env, login("ada", "correct horse"), "192.0.3.1").await.status, 200);
}

#[tokio::test]
async fn guesses_of_a_day_are_at_most_fifty_however_patient() {
    let env = TestEnv::new().await;
    registered(&env, "ada", "203.0.113.7").await;
    let (mut guesses, mut elapsed_ms) = (0_u32, 0);
    for number in 0.. {
        let ip = format!("198.{}.{}.9", 18 + number / 256, number % 256);
        let answer = try_from(&env, login("ada", "wrong horse"), &ip).await;
        if answer.status == 429 {
            let wait_ms = answer.header("retry-after").parse::<i64>().unwrap() * 1_000;
            assert!(wait_ms <= 3_600_000, "a delay is no lock-out");
            elapsed_ms += wait_ms;
            env.clock.advance(wait_ms);
        }
        if elapsed_ms >= DAY_MS {
            break;
        }
        guesses += u32::from(answer.status == 401);
    }
    assert!((40..=50).contains(&guesses), "{guesses}");
}

#[tokio::test]
async fn one_network_alone_hardly_delays_others() {
    let env = TestEnv::new().await;
    registered(&env, "ada", "203.0.113.7").await;
    let mut elapsed_ms = 0;
    while elapsed_ms < DAY_MS {
        let answer = try_from(&env, login("ada", "wrong horse"), "198.51.100.9").await;
        if answer.status == 429 {
            let wait_ms = answer.header("retry-after").parse::<i64>().unwrap() * 1_000;
            elapsed_ms += wait_ms;
            env.clock.advance(wait_ms);
        }
    }
    assert_eq!(try_from(&env, login("ada", "correct horse"), "192.0.2.1").await.status, 200);
}

#[tokio::test]
async fn guesses_from_known_network_have_separate_limit() {
    let env = TestEnv::new().await;
    registered(&env, "ada", "2001:db8:1::1").await;
    for host in 0..=FREE {
        let ip = format!("2001:db8:1:{host}::1");
        assert_eq!(try_from(&env, login("ada", "wrong horse"), &ip).await.status, 401, "{ip}");
    }
    let refused = try_from(&env, login("ada", "correct horse"), "2001:db8:1:ffff::1").await;
    assert_eq!(refused.problem(), problem(429, "rate_limited"));
    // Other networks are not affected.
    assert_eq!(try_from(&env, login("ada", "correct horse"), "192.0.2.1").await.status, 200);
}

#[tokio::test]
async fn address_that_guesses_at_many_accounts_is_delayed_but_not_its_known_devices() {
    let env = TestEnv::new().await;
    let ada = registered(&env, "ada", "203.0.113.7").await;
    for number in 0..30 {
        let answer = try_from(&env, login(&format!("user{number}"), "wrong horse"), "203.0.113.7").await;
        assert_eq!(answer.status, 401, "{number}");
    }
    assert_eq!(try_from(&env, login("user30", "wrong horse"), "203.0.113.7").await.status, 401);
    let refused = try_from(&env, login("ada", "correct horse"), "203.0.113.7").await;
    assert_eq!(refused.header("ratelimit-policy"), "\"failures_of_an_address\";q=30;w=1800");
    let shown = login("ada", "correct horse").token(&ada.access);
    assert_eq!(try_from(&env, shown, "203.0.113.7").await.status, 200);
    assert_eq!(try_from(&env, login("ada", "correct horse"), "203.0.113.8").await.status, 200);
}

#[tokio::test]
async fn refused_refresh_tokens_delay_their_address() {
    let env = TestEnv::new().await;
    let ada = registered(&env, "ada", "203.0.113.7").await;
    let refresh = |token: &str| Call::post("/api/v1/auth/refresh").json(&json!({"refresh_token": token}));
    let unknown = "kJ3nU0o2b8fQe5q1xT7yWc9dRzPaLmVsHgIuEoYtBwA";
    for number in 0..=30 {
        assert_eq!(try_from(&env, refresh(unknown), "198.51.100.9").await.status, 401, "{number}");
    }
    assert_eq!(try_from(&env, refresh(unknown), "198.51.100.9").await.header("retry-after"), "1");
    assert_eq!(try_from(&env, refresh(&ada.refresh), "203.0.113.7").await.status, 200);
}

#[tokio::test]
async fn sign_in_with_success_or_outage_is_no_wrong_guess() {
    let env = TestEnv::new().await;
    registered(&env, "ada", "203.0.113.7").await;
    let cut_off = env.on_stores(|stores| stores.accounts = down::accounts());
    for network in 0..FREE {
        let ip = format!("198.51.{network}.9");
        assert_eq!(try_from(&env, login("ada", "wrong horse"), &ip).await.status, 401);
    }
    for network in 0..3 {
        let ip = format!("192.0.{network}.1");
        assert_eq!(try_from(&cut_off, login("ada", "correct horse"), &ip).await.status, 503);
        assert_eq!(try_from(&env, login("ada", "correct horse"), &ip).await.status, 200);
    }
    assert_eq!(try_from(&env, login("ada", "wrong horse"), "198.51.100.9").await.status, 401);
    assert_eq!(try_from(&env, login("ada", "correct horse"), "198.51.101.9").await.status, 429);
}

#[tokio::test]
async fn concurrent_guesses_stay_within_limit() {
    let env = Arc::new(TestEnv::new().await);
    registered(&env, "ada", "203.0.113.7").await;
    let mut guesses = JoinSet::new();
    for network in 0..FREE + 21 {
        let call = env.sign(login("ada", "wrong horse"), &format!("198.51.{network}.9"));
        let env = Arc::clone(&env);
        guesses.spawn(async move { env.send(call).await.status });
    }
    let outcomes = guesses.join_all().await;
    assert_eq!(outcomes.iter().filter(|status| **status == 401).count(), usize::from(FREE) + 1);
    assert_eq!(outcomes.iter().filter(|status| **status == 429).count(), 20);
}

#[tokio::test]
async fn network_sign_ups_are_limited_per_day() {
    let env = TestEnv::with(&[("SIGN_UP_DAILY_LIMIT", "3")]).await;
    let sign_up = async |env: &TestEnv, name: &str, ip: &str| {
        let body = json!({"email": format!("{name}@example.com"), "password": "correct horse"});
        try_from(env, Call::post(REGISTER).json(&body), ip).await
    };
    // What comes to no decision does not count, and neither does what is malformed.
    let cut_off = env.on_stores(|stores| stores.accounts = down::accounts());
    for _ in 0..3 {
        assert_eq!(sign_up(&cut_off, "a", "203.0.113.1").await.status, 503);
        let malformed = Call::post(REGISTER).json(&json!({"email": "a"}));
        assert_eq!(try_from(&env, malformed, "203.0.113.1").await.status, 422);
    }
    assert_eq!(sign_up(&env, "a", "203.0.113.1").await.status, 201);
    assert_eq!(sign_up(&env, "b", "203.0.113.2").await.status, 201);
    // An attempt with a taken address is counted.
    assert_eq!(sign_up(&env, "a", "203.0.113.3").await.problem(), problem(400, "email_taken"));
    let refused = sign_up(&env, "c", "203.0.113.255").await;
    assert_eq!(refused.problem(), problem(429, "rate_limited"));
    assert_eq!(refused.header("retry-after"), "86400");
    assert_eq!(refused.header("ratelimit-policy"), "\"sign_ups_of_a_day\";q=3;w=86400");
    assert_eq!(sign_up(&env, "c", "203.0.114.1").await.status, 201);
    for (number, host) in ["1", "2:0:0:1", "ffff::2"].into_iter().enumerate() {
        let ip = format!("2001:db8:1:{host}{}", if host.contains("::") { "" } else { "::" });
        assert_eq!(sign_up(&env, &format!("v6-{number}"), &ip).await.status, 201, "{ip}");
    }
    assert_eq!(sign_up(&env, "v6-3", "2001:db8:1:7::1").await.status, 429);
    assert_eq!(sign_up(&env, "v6-3", "2001:db8:2::1").await.status, 201);
    env.clock.advance(DAY_MS);
    assert_eq!(sign_up(&env, "d", "203.0.113.1").await.status, 201);
}

//! The measurement that answers for known, unknown and suspended accounts are told apart neither by their bodies nor by their times.
//! `EDGECHAT_TIMING_SAMPLES` is the number of requests for each of them (10); with 2,000 the printed figures say something. Times are
//! printed and not asserted: what a busy machine adds is no failure.

use std::time::Instant;

use serde_json::{Value, json};

use super::test_env::{Call, TestEnv};
use crate::events::Announcements;

/// More than it takes to forgive whatever one sample is counted as.
const PAUSE_MS: i64 = 4 * 3_600 * 1_000;
const ACCOUNTS: [&str; 3] = ["known", "unknown", "suspended"];

fn samples() -> usize {
    match std::env::var("EDGECHAT_TIMING_SAMPLES") {
        Ok(samples) => samples.parse().expect("EDGECHAT_TIMING_SAMPLES is a number of requests"),
        Err(_) => 10,
    }
}

/// Returns as many of each account as there are samples, in random order.
fn shuffled(env: &TestEnv) -> Vec<usize> {
    let mut order: Vec<_> = (0..samples() * ACCOUNTS.len()).map(|index| index % ACCOUNTS.len()).collect();
    for last in (1..order.len()).rev() {
        let mut bytes = [0; 8];
        env.app.random.fill(&mut bytes);
        order.swap(last, usize::try_from(u64::from_ne_bytes(bytes) % (last as u64 + 1)).unwrap());
    }
    order
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

/// Returns the probability that a sample of the second is larger than one of the first, which is 0.5 where they are alike, and how
/// many standard deviations that is away (Mann–Whitney; times have no ties to speak of).
#[expect(clippy::cast_precision_loss, reason = "numbers of samples are small")]
fn compared(first: &[f64], second: &[f64]) -> (f64, f64) {
    let mut all: Vec<_> = first.iter().map(|time| (*time, false)).collect();
    all.extend(second.iter().map(|time| (*time, true)));
    all.sort_by(|one, other| one.0.total_cmp(&other.0));
    let ranks = all.iter().enumerate().filter(|(_, (_, is_second))| *is_second);
    let rank_sum: f64 = ranks.map(|(index, _)| index as f64 + 1.0).sum();
    let (m, n) = (first.len() as f64, second.len() as f64);
    let larger = rank_sum - n * (n + 1.0) / 2.0;
    let deviation = (m * n * (m + n + 1.0) / 12.0).sqrt();
    (larger / (m * n), (larger - m * n / 2.0) / deviation)
}

/// Sends a request for each account as often as there are samples, and compares bodies and times.
#[expect(clippy::disallowed_methods, reason = "this measures real time")]
async fn measure(env: &TestEnv, what: &str, call: impl Fn(&str) -> Call) {
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    let mut answers: Vec<Option<(u16, Value)>> = vec![None; ACCOUNTS.len()];
    for account in shuffled(env) {
        env.clock.advance(PAUSE_MS);
        let call = env.sign(call(ACCOUNTS[account]), "198.51.100.7");
        let began = Instant::now();
        let answer = env.send(call).await;
        times[account].push(began.elapsed().as_secs_f64() * 1_000.0);
        let body =
            if answer.status < 300 { json!(answer.body.to_vec()) } else { json!(answer.problem_body()) };
        let seen = answers[account].get_or_insert_with(|| (answer.status, body.clone()));
        assert_eq!(*seen, (answer.status, body), "{what}: {}", ACCOUNTS[account]);
        env.app.auth.flush().await;
    }
    assert_eq!(answers[0], answers[1], "{what}: known and unknown");
    assert_eq!(answers[0], answers[2], "{what}: known and suspended");
    let sorted = times.clone().map(|mut times| {
        times.sort_by(f64::total_cmp);
        times
    });
    let medians: Vec<_> =
        ACCOUNTS.iter().zip(&sorted).map(|(name, times)| format!("{name} {:.3} ms", median(times))).collect();
    println!("{what}: medians {}", medians.join(", "));
    for other in [1, 2] {
        let (larger, deviations) = compared(&times[0], &times[other]);
        println!("  known < {}: {:.1} % of pairs, z = {deviations:.2}", ACCOUNTS[other], larger * 100.0);
    }
}

#[tokio::test]
async fn accounts_known_unknown_and_suspended_are_answered_alike() {
    let env = TestEnv::with(&[("RATE_LIMIT_REQUESTS", "1000000")]).await;
    for name in ["known", "suspended"] {
        let body = json!({"email": format!("{name}@example.com"), "password": "correct horse"});
        let call = env.sign(Call::post("/api/v1/auth/register").json(&body), "203.0.113.7");
        let user_id = env.send(call).await.json()["user"]["id"].as_str().unwrap().to_owned();
        if name == "suspended" {
            let user_id = shared::id::Id::parse(&user_id).unwrap();
            env.app.auth.suspend(user_id, &Announcements::default()).await.unwrap();
        }
    }
    let email = |name: &str| format!("{name}@example.com");
    measure(&env, "auth/login, wrong password", |name| {
        Call::post("/api/v1/auth/login").json(&json!({"email": email(name), "password": "wrong horse"}))
    })
    .await;
    measure(&env, "auth/forgot-password", |name| {
        Call::post("/api/v1/auth/forgot-password").json(&json!({"email": email(name)}))
    })
    .await;
    measure(&env, "auth/otp/send", |name| {
        Call::post("/api/v1/auth/otp/send").json(&json!({"email": email(name), "purpose": "reset"}))
    })
    .await;
    measure(&env, "auth/otp/verify, wrong code", |name| {
        let body = json!({"email": email(name), "purpose": "login", "code": "000000"});
        Call::post("/api/v1/auth/otp/verify").json(&body)
    })
    .await;
}

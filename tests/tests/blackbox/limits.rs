//! Tests of rate limits, quotas and concurrency limits.

use std::time::Duration;

use edgechat_tests::{
    client::{Client, PASSWORD, Reply, content},
    test_env::TestEnv,
};
use serde_json::json;
use shared::api::{ErrorCode, chat::SentMessage};

const HEALTHY: &str = "/api/v1/users/me";

/// An environment that allows so many requests an hour: no test is slow enough for another hour to begin or for the limit to
/// refill.
async fn env_with_limit(requests_an_hour: &str) -> TestEnv {
    let setup = TestEnv::setup().var("RATE_LIMIT_REQUESTS", requests_an_hour);
    setup.var("RATE_LIMIT_WINDOW_SECONDS", "3600").start().await
}

async fn from(client: &Client, ip: &str) -> Reply {
    client.get(HEALTHY).header("CF-Connecting-IP", ip).send().await
}

fn assert_limited(reply: &Reply) {
    let problem = reply.problem(ErrorCode::RateLimited);
    assert_eq!(problem.detail, "Too many requests");
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3600).contains(&wait), "{reply:?}");
    assert_eq!(reply.header("ratelimit-policy"), Some("\"ip\";q=100;w=3600"));
    assert_eq!(reply.header("ratelimit"), Some(format!("\"ip\";r=0;t={wait}").as_str()));
}

#[tokio::test]
async fn request_101_of_window_is_limited() {
    let env = env_with_limit("100").await;
    let phone = env.phone().await;
    for request in 1..=100 {
        let reply = from(&phone.client, "203.0.113.7").await;
        assert_eq!(reply.status, 200, "request {request}: {reply:?}");
    }
    assert_limited(&from(&phone.client, "203.0.113.7").await);
    assert_limited(&from(&phone.client.anonymous(), "203.0.113.7").await);

    // An address that a client claims is ignored; each address has its own count.
    let pretending = phone.client.get(HEALTHY).header("CF-Connecting-IP", "203.0.113.7");
    let pretending = pretending.header("X-Forwarded-For", "198.51.100.1").header("X-Real-IP", "198.51.100.1");
    assert_limited(&pretending.send().await);
    assert_eq!(from(&phone.client, "203.0.113.8").await.status, 200);
}

#[tokio::test]
async fn ipv6_network_is_limited_as_one_client() {
    let env = env_with_limit("100").await;
    let phone = env.phone().await;
    for host in 1..=100 {
        let reply = from(&phone.client, &format!("2001:db8:1:2::{host:x}")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    assert_limited(&from(&phone.client, "2001:db8:1:2:ffff::1").await);
    assert_eq!(from(&phone.client, "2001:db8:1:3::1").await.status, 200);
}

#[tokio::test]
async fn user_limit_spans_addresses() {
    let env = env_with_limit("5").await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let ask = |host: u8| {
        let ask = phone.message(conversation, &content("Hello"));
        ask.header("CF-Connecting-IP", &format!("203.0.113.{host}")).send()
    };
    for host in 1..=5 {
        let _ = ask(host).await.expect_status(201);
    }
    let refused = ask(6).await;
    refused.problem(ErrorCode::RateLimited);
    assert!(refused.header("retry-after").is_some());
    assert!(refused.header("ratelimit-policy").unwrap().starts_with("\"user\";q=5;w=3600"), "{refused:?}");
    assert_eq!(env.provider.calls(), 5);
}

/// A way to remove a user object from memory.
#[derive(Clone, Copy, Debug)]
enum Gone {
    /// Evicted by the runtime, which happens to an object without requests for ten seconds and is not observable.
    Evicted,
    /// Removed by a restart of the runtime.
    Restarted,
}

async fn rate_of_user_outlives(gone: Gone) {
    let mut env = env_with_limit("3").await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    // Each from its own address, which has the same limit.
    let ask = |host: u8| {
        let ask = phone.message(conversation, &content("Hello"));
        ask.header("CF-Connecting-IP", &format!("203.0.113.{host}")).send()
    };
    for host in 1..=3 {
        let _ = ask(host).await.expect_status(201);
    }
    match gone {
        Gone::Evicted => tokio::time::sleep(Duration::from_secs(20)).await,
        Gone::Restarted => {
            env.kill_workerd().await;
            env.start_workerd().await;
        }
    }
    ask(4).await.problem(ErrorCode::RateLimited);
    assert_eq!(env.provider.calls(), 3);
}

#[tokio::test]
async fn user_rate_survives_eviction() {
    rate_of_user_outlives(Gone::Evicted).await;
}

#[tokio::test]
async fn user_rate_survives_restart() {
    rate_of_user_outlives(Gone::Restarted).await;
}

#[tokio::test]
async fn concurrent_turns_are_limited() {
    const MOST: usize = 8;
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let mut running = Vec::new();
    for _ in 0..MOST {
        let conversation = phone.conversation().await;
        let upcoming = env.provider.hand_over();
        let (mut stream, call) = tokio::join!(phone.stream(conversation, "Hello"), upcoming.arrives());
        stream.expect("turn.started").await;
        running.push((stream, call));
    }
    let conversation = phone.conversation().await;
    let refused = phone.message(conversation, &content("Hello")).send().await;
    refused.problem(ErrorCode::TooManyTurns);
    assert!(refused.header("retry-after").is_some());
    let (stream, call) = running.pop().unwrap();
    call.stop().await.unwrap();
    assert!(stream.rest().await.last().unwrap().is_terminal());
    phone.send_message(conversation, "Now").await;
}

#[tokio::test]
async fn daily_messages_are_limited() {
    let env = TestEnv::setup().var("BASIC_TIER_DAILY_LIMIT", "2").start().await;
    let (phone, other) = tokio::join!(env.phone(), env.phone());
    let conversation = phone.conversation().await;
    let ask = |key: &str| phone.message(conversation, &content("Hello")).key(key);
    for key in ["one", "two"] {
        let sent: SentMessage = ask(key).send().await.expect_status(201).json();
        phone.persisted(sent.turn_id).await;
    }
    let refused = ask("three").send().await;
    refused.problem(ErrorCode::DailyLimitReached);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=86_400).contains(&wait));
    assert!(refused.header("ratelimit-policy").unwrap().starts_with("\"daily\";q=2"), "{refused:?}");
    // A message that was counted is served again; another user has another count.
    assert!([200, 201].contains(&ask("two").send().await.status));
    let theirs = other.conversation().await;
    other.send_message(theirs, "Hello").await;
    assert_eq!(env.provider.calls(), 3);
    let today = phone.usage().await.today;
    assert_eq!((today.messages, today.messages_limit), (2, Some(2)));
}

#[tokio::test]
async fn daily_count_survives_restart() {
    let mut env = TestEnv::setup().var("BASIC_TIER_DAILY_LIMIT", "1").start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    phone.send_message(conversation, "Hello").await;
    env.kill_workerd().await;
    env.start_workerd().await;
    let refused = phone.message(conversation, &content("Hello")).send().await;
    refused.problem(ErrorCode::DailyLimitReached);
}

#[tokio::test]
async fn message_without_turn_is_not_counted() {
    let mut env = TestEnv::setup().var("BASIC_TIER_DAILY_LIMIT", "1").start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    env.kill_origin().await;
    for _ in 0..2 {
        let unreachable = phone.message(conversation, &content("Hello")).send().await;
        unreachable.problem(ErrorCode::OriginUnavailable);
    }
    env.start_origin().await;
    phone.send_message(conversation, "Hello").await;
    let refused = phone.message(conversation, &content("Hello")).send().await;
    refused.problem(ErrorCode::DailyLimitReached);
}

#[tokio::test]
async fn deleted_conversation_keeps_daily_count() {
    let mut env = TestEnv::setup().var("BASIC_TIER_DAILY_LIMIT", "1").start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    phone.send_and_persist(conversation, "Hello").await;
    let path = format!("/api/v1/chat/conversations/{conversation}");
    let _ = phone.client.ask(reqwest::Method::DELETE, &path).send().await.expect_status(204);
    env.kill_workerd().await;
    env.start_workerd().await;
    let another = phone.conversation().await;
    let refused = phone.message(another, &content("Hello")).send().await;
    refused.problem(ErrorCode::DailyLimitReached);
    assert_eq!(env.provider.calls(), 1);
}

/// The wrong guesses at a password that cost nothing.
const FREE_GUESSES: u32 = 10;
/// The most guesses that are checked before one is refused: the delay between two of the later ones is longer than a busy machine
/// takes for one. While Redis is late, as it can be there, the process counts by itself.
const MOST_GUESSES: u32 = 50;

#[tokio::test]
async fn password_guesses_are_limited_and_known_device_is_admitted() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let email = phone.tokens.user.email.clone().unwrap();
    let client = phone.client.anonymous();
    let sign_in = async |password: &str, ip: &str| {
        let body = json!({ "email": email, "password": password });
        client.post("/api/v1/auth/login").json(&body).header("CF-Connecting-IP", ip).send().await
    };
    let home = "203.0.113.7";
    let first =
        phone.client.post("/api/v1/auth/login").json(&json!({ "email": email, "password": PASSWORD }));
    let _ = first.header("CF-Connecting-IP", home).send().await.expect_status(200);
    let mut wrong = 0;
    let refused = loop {
        let reply = sign_in("a wrong password", &format!("198.51.{wrong}.1")).await;
        if reply.status != 401 {
            break reply;
        }
        wrong += 1;
        assert!(wrong <= MOST_GUESSES, "{wrong} guesses are not refused");
    };
    assert!(wrong > FREE_GUESSES, "only {wrong} guesses were checked");
    refused.problem(ErrorCode::RateLimited);
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert_eq!(refused.header("ratelimit-policy"), Some("\"failures\";q=10;w=36000"));
    let _ = sign_in(PASSWORD, "203.0.113.8").await.expect_status(200);
    let shown =
        phone.client.post("/api/v1/auth/login").json(&json!({ "email": email, "password": PASSWORD }));
    let _ = shown.header("CF-Connecting-IP", "198.51.201.1").send().await.expect_status(200);
}

#[tokio::test]
async fn network_sign_ups_are_limited_per_day() {
    let env = TestEnv::setup().var("SIGN_UP_DAILY_LIMIT", "2").start().await;
    let client = env.client();
    let sign_up = |number: u32, ip: &str| {
        let body = json!({ "email": format!("new{number}@example.com"), "password": PASSWORD });
        client.post("/api/v1/auth/register").json(&body).header("CF-Connecting-IP", ip).send()
    };
    for number in [1, 2] {
        let _ = sign_up(number, &format!("203.0.113.{number}")).await.expect_status(201);
    }
    let refused = sign_up(3, "203.0.113.3").await;
    refused.problem(ErrorCode::RateLimited);
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert_eq!(refused.header("ratelimit-policy"), Some("\"sign_ups_of_a_day\";q=2;w=86400"));
    let _ = sign_up(3, "203.0.114.3").await.expect_status(201);
}

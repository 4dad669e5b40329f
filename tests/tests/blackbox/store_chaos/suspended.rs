//! Tests of servers that accept connections and do not answer.

use std::time::Duration;

use edgechat_tests::{
    client::{PASSWORD, Phone, Reply, content},
    clock::now,
    test_env::TestEnv,
    wait::bounded_by,
};
use serde_json::json;
use shared::{api::chat::SentMessage, id::Id};

use super::{Store, load::serves, world_with};

const SUSPENDED_MS: i64 = 10_000;
/// The timeouts of a connection and of one statement together, and a margin for a busy machine.
const TIMEOUTS: Duration = Duration::from_secs(9);
/// The recovery bound.
const BACK: Duration = Duration::from_secs(10);

/// Sends every kind of request at once; each is answered within the timeouts of the stores. Another user signs in than the one whose
/// phone sends the rest: there may be more waves than a user has open sessions.
async fn everything(
    env: &TestEnv,
    phone: &Phone,
    other: &Phone,
    conversation: Id,
    wave: usize,
) -> [Reply; 6] {
    let nobody = env.client();
    let text = format!("wave-{wave}");
    let credentials = json!({ "email": other.email(), "password": PASSWORD });
    let newcomer = json!({ "email": format!("wave-{wave}@example.com"), "password": PASSWORD });
    let sent = tokio::join!(
        nobody.post("/api/v1/auth/login").json(&credentials).send(),
        nobody.post("/api/v1/auth/register").json(&newcomer).send(),
        phone.client.get("/api/v1/users/me").send(),
        phone.client.get("/api/v1/chat/conversations").send(),
        phone.client.get("/api/v1/usage/me").send(),
        phone.message(conversation, &content(&text)).key(&text).send(),
    );
    sent.into()
}

/// Sends waves of requests while a server is suspended and returns the replies.
async fn waves(store: Store) -> Vec<[Reply; 6]> {
    let (env, server) = world_with(store).await;
    let (phone, other) = (env.phone().await, env.phone().await);
    let conversation = phone.conversation().await;
    server.suspend().await;
    let (since, mut answered) = (now(), Vec::new());
    while now().millis_since(since) < SUSPENDED_MS {
        let wave = everything(&env, &phone, &other, conversation, answered.len());
        answered.push(bounded_by(TIMEOUTS, "every request to be answered", wave).await);
    }
    server.resume().await;
    serves(&env, "afterwards@example.com", BACK).await;

    // Turns of the outage are stored once.
    let turns: Vec<SentMessage> = answered
        .iter()
        .map(|replies| &replies[5])
        .filter(|said| said.status == 201)
        .map(Reply::json)
        .collect();
    for sent in &turns {
        phone.persisted(sent.turn_id).await;
    }
    let messages = phone.messages(conversation).await;
    assert_eq!(messages.len(), 2 * turns.len());
    assert_eq!(phone.usage().await.totals.requests, turns.len() as u64);
    answered
}

/// Asserts that each reply succeeds or reports a store as unavailable.
fn are_honest(answered: &[[Reply; 6]]) {
    for reply in answered.iter().flatten() {
        assert!([200, 201, 503, 504].contains(&reply.status), "{reply:?}");
        if reply.status == 503 {
            assert!(reply.header("retry-after").is_some(), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn suspended_postgresql_delays_no_request() {
    let answered = waves(Store::Postgres).await;
    are_honest(&answered);
    assert!(answered.iter().all(|replies| replies[0].status == 503), "sign-in needs the accounts store");
}

#[tokio::test]
async fn suspended_mongodb_delays_no_request() {
    let answered = waves(Store::Mongo).await;
    are_honest(&answered);
    for replies in &answered {
        let accounts: Vec<_> = replies[..3].iter().map(|reply| reply.status).collect();
        assert_eq!(accounts, [200, 201, 200], "accounts work without the conversations store");
    }
}

#[tokio::test]
async fn suspended_redis_fails_no_request() {
    for replies in waves(Store::Redis).await {
        let statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
        assert_eq!(statuses, [200, 201, 200, 200, 200, 201], "{replies:?}");
    }
}

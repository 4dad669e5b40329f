//! Tests of cache entries from before a Redis outage, which are not used after it.

use edgechat_tests::{
    client::Phone,
    servers::Server,
    test_env::TestEnv,
    wait::{BOUND, until},
};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;
use shared::api::{ErrorCode, account::Tokens, chat::Conversation, page::Page};

use super::{Store, world_with};

/// A kind of Redis outage. Either way Redis still has, on disk or in memory, what was cached before.
#[derive(Clone, Copy, Debug)]
enum Absence {
    Killed,
    Suspended,
}

impl Absence {
    async fn begins(self, redis: &mut Server) {
        match self {
            Self::Killed => redis.kill().await,
            Self::Suspended => redis.suspend().await,
        }
    }

    /// Ends the outage and waits until the origin uses Redis again.
    async fn ends(self, redis: &mut Server, env: &TestEnv) {
        match self {
            Self::Killed => redis.start().await,
            Self::Suspended => redis.resume().await,
        }
        until(BOUND, "Redis reported as connected", || async {
            let reply = env.client_of_origin().get("/api/v1/health/redis").send().await;
            (reply.status == 200).then_some(())
        })
        .await;
    }
}

/// A phone that sends to the origin directly, without the Worker's caches.
async fn at_the_origin(env: &TestEnv) -> Phone {
    env.client_of_origin().register().await
}

#[rstest]
#[tokio::test]
async fn session_ended_during_redis_outage_stays_ended(
    #[values(Absence::Killed, Absence::Suspended)] absence: Absence,
) {
    let (env, mut redis) = world_with(Store::Redis).await;
    let phone = at_the_origin(&env).await;
    let me = async || phone.client.get("/api/v1/users/me").send().await;
    let refresh = async |token: &str| {
        let body = json!({ "refresh_token": token });
        env.client_of_origin().post("/api/v1/auth/refresh").json(&body).send().await
    };
    let first = &phone.tokens.refresh_token;
    let second = refresh(first).await.expect_status(200).json::<Tokens>().refresh_token;
    let _ = refresh(&second).await.expect_status(200);
    let _ = me().await.expect_status(200);
    absence.begins(&mut redis).await;
    let _ = me().await.expect_status(200);
    // Reuse of a refresh token that was replaced twice ends the session.
    assert_eq!(refresh(first).await.status, 401);
    me().await.problem(ErrorCode::SessionEnded);
    absence.ends(&mut redis, &env).await;
    for _ in 0..3 {
        me().await.problem(ErrorCode::SessionEnded);
    }
}

#[rstest]
#[tokio::test]
async fn list_changed_during_redis_outage_is_current(
    #[values(Absence::Killed, Absence::Suspended)] absence: Absence,
) {
    let (env, mut redis) = world_with(Store::Redis).await;
    let phone = at_the_origin(&env).await;
    let conversation = phone.conversation().await;
    let listed = async || {
        let reply = phone.client.get("/api/v1/chat/conversations").send().await.expect_status(200);
        reply.json::<Page<Conversation>>().items[0].title.clone()
    };
    let path = format!("/api/v1/chat/conversations/{conversation}");
    let rename = async |title: &str| {
        let body = json!({ "title": title });
        let _ = phone.client.ask(Method::PATCH, &path).json(&body).send().await.expect_status(200);
    };
    rename("before").await;
    // The second list comes from the cache.
    assert_eq!((listed().await.as_deref(), listed().await.as_deref()), (Some("before"), Some("before")));
    absence.begins(&mut redis).await;
    rename("meanwhile").await;
    assert_eq!(listed().await.as_deref(), Some("meanwhile"));
    absence.ends(&mut redis, &env).await;
    for _ in 0..3 {
        assert_eq!(listed().await.as_deref(), Some("meanwhile"));
    }
    rename("afterwards").await;
    assert_eq!(listed().await.as_deref(), Some("afterwards"));
}

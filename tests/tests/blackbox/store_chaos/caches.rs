//! What Redis remembers from before it went is not believed when it is back.

use edgechat_tests::{
    client::Phone,
    servers::Server,
    wait::{BOUND, until},
    world::World,
};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;
use shared::api::{ErrorCode, account::Tokens, chat::Conversation, page::Page};

use super::{Store, world_with};

/// How Redis goes. Either way it has on its disk, or in its memory, what was cached before.
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

    /// Ends it, and waits until the origin uses Redis again.
    async fn ends(self, redis: &mut Server, world: &World) {
        match self {
            Self::Killed => redis.start().await,
            Self::Suspended => redis.resume().await,
        }
        until(BOUND, "redis to be seen again", || async {
            let reply = world.client_of_origin().get("/api/v1/health/redis").send().await;
            (reply.status == 200).then_some(())
        })
        .await;
    }
}

/// A phone at the origin's own door, where the Worker does not help.
async fn at_the_origin(world: &World) -> Phone {
    world.client_of_origin().register().await
}

#[rstest]
#[tokio::test]
async fn a_session_that_ended_meanwhile_stays_ended(
    #[values(Absence::Killed, Absence::Suspended)] absence: Absence,
) {
    let (world, mut redis) = world_with(Store::Redis).await;
    let phone = at_the_origin(&world).await;
    let me = async || phone.client.get("/api/v1/users/me").send().await;
    let refresh = async |token: &str| {
        let body = json!({ "refresh_token": token });
        world.client_of_origin().post("/api/v1/auth/refresh").json(&body).send().await
    };
    let first = &phone.tokens.refresh_token;
    let second = refresh(first).await.expect_status(200).json::<Tokens>().refresh_token;
    let _ = refresh(&second).await.expect_status(200);
    let _ = me().await.expect_status(200);
    absence.begins(&mut redis).await;
    let _ = me().await.expect_status(200);
    // Whoever shows a token that was replaced twice has stolen it, or was stolen from: the session ends.
    assert_eq!(refresh(first).await.status, 401);
    me().await.problem(ErrorCode::SessionEnded);
    absence.ends(&mut redis, &world).await;
    for _ in 0..3 {
        me().await.problem(ErrorCode::SessionEnded);
    }
}

#[rstest]
#[tokio::test]
async fn a_list_that_changed_meanwhile_is_not_the_old_one(
    #[values(Absence::Killed, Absence::Suspended)] absence: Absence,
) {
    let (world, mut redis) = world_with(Store::Redis).await;
    let phone = at_the_origin(&world).await;
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
    // The second reading comes from the cache.
    assert_eq!((listed().await.as_deref(), listed().await.as_deref()), (Some("before"), Some("before")));
    absence.begins(&mut redis).await;
    rename("meanwhile").await;
    assert_eq!(listed().await.as_deref(), Some("meanwhile"));
    absence.ends(&mut redis, &world).await;
    for _ in 0..3 {
        assert_eq!(listed().await.as_deref(), Some("meanwhile"));
    }
    rename("afterwards").await;
    assert_eq!(listed().await.as_deref(), Some("afterwards"));
}

//! Refresh tokens: used once, forgiven for ten seconds, and never again.

use serde_json::json;
use shared::time::DAY_MS;

use super::world::{Answer, Call, Member, World, problem};

async fn refresh(world: &World, token: &str) -> Answer {
    world.send(Call::post("/api/v1/auth/refresh").json(&json!({"refresh_token": token}))).await
}

async fn me(world: &World, access: &str) -> Answer {
    world.send(Call::get("/api/v1/auth/me").token(access)).await
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_for_the_next_pair() {
    let world = World::new().await;
    let first = world.register("ada").await;
    world.clock.advance(60_000);
    let answer = refresh(&world, &first.refresh).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    let second = Member::of(&answer.json());
    assert_eq!((second.id, second.session), (first.id, first.session));
    assert_ne!((&second.access, &second.refresh), (&first.access, &first.refresh));
    assert_eq!(me(&world, &second.access).await.status, 200);
    assert_eq!(me(&world, &first.access).await.status, 200);
}

#[tokio::test]
async fn a_lost_answer_can_be_asked_for_again_within_ten_seconds() {
    let world = World::new().await;
    let first = world.register("ada").await;
    let second = Member::of(&refresh(&world, &first.refresh).await.json());
    world.clock.advance(10_000);
    let again = refresh(&world, &first.refresh).await;
    assert_eq!(again.json()["refresh_expires_in"], 604_790);
    assert_eq!(Member::of(&again.json()).refresh, second.refresh);
    world.clock.advance(1);
    assert_eq!(refresh(&world, &first.refresh).await.problem(), problem(401, "session_ended"));
    // Whoever holds the newer token is out, too: one of the two is a thief.
    assert_eq!(refresh(&world, &second.refresh).await.problem(), problem(401, "session_ended"));
    assert_eq!(me(&world, &second.access).await.problem(), problem(401, "session_ended"));
}

#[tokio::test]
async fn a_token_before_the_last_ends_the_session_at_once() {
    let world = World::new().await;
    let first = world.register("ada").await;
    let other = world
        .send(
            Call::post("/api/v1/auth/login")
                .json(&json!({"email": "ada@example.com", "password": "correct horse"})),
        )
        .await;
    let second = Member::of(&refresh(&world, &first.refresh).await.json());
    let third = Member::of(&refresh(&world, &second.refresh).await.json());
    assert_eq!(refresh(&world, &first.refresh).await.problem(), problem(401, "session_ended"));
    assert_eq!(refresh(&world, &third.refresh).await.problem(), problem(401, "session_ended"));
    // The user's other session is not concerned.
    assert_eq!(me(&world, &Member::of(&other.json()).access).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn refreshes_at_once_get_the_same_successor() {
    let world = std::sync::Arc::new(World::new().await);
    let first = world.register("ada").await;
    let racing: Vec<_> = (0..16)
        .map(|_| {
            let (world, token) = (std::sync::Arc::clone(&world), first.refresh.clone());
            tokio::spawn(async move { Member::of(&refresh(&world, &token).await.json()) })
        })
        .collect();
    let mut successors = std::collections::BTreeSet::new();
    for racer in racing {
        let member = racer.await.unwrap();
        assert_eq!(me(&world, &member.access).await.status, 200);
        successors.insert(member.refresh);
    }
    assert_eq!(successors.len(), 1);
}

#[tokio::test]
async fn an_unused_token_expires_and_a_session_ends_after_thirty_days() {
    let world = World::new().await;
    let unused = world.register("ada").await;
    let mut used = world.register("bob").await;
    world.clock.advance(7 * DAY_MS);
    assert_eq!(refresh(&world, &unused.refresh).await.problem(), problem(401, "token_invalid"));
    assert_eq!(refresh(&world, &used.refresh).await.problem(), problem(401, "token_invalid"));
    used = world.register("eve").await;
    for _ in 0..4 {
        world.clock.advance(6 * DAY_MS);
        used = Member::of(&refresh(&world, &used.refresh).await.json());
    }
    world.clock.advance(5 * DAY_MS);
    let last = refresh(&world, &used.refresh).await;
    assert_eq!(last.json()["refresh_expires_in"], DAY_MS / 1_000);
    world.clock.advance(DAY_MS);
    let over = refresh(&world, &Member::of(&last.json()).refresh).await;
    assert_eq!(over.problem(), problem(401, "token_invalid"));
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused() {
    let world = World::new().await;
    let member = world.register("ada").await;
    for token in ["", "nonsense", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        assert_eq!(refresh(&world, token).await.problem(), problem(401, "token_invalid"), "{token}");
    }
    let too_long = refresh(&world, &member.access).await;
    assert_eq!(too_long.problem(), problem(422, "validation_failed"));
    assert_eq!(refresh(&world, &member.refresh).await.status, 200);
}

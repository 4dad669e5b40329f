//! Guests: their limits, how they become users, and how their conversations are moved.

use serde_json::{Value, json};
use shared::{api::chat::Conversation, id::Id};

use crate::clock::Clock as _;

use super::{
    provider::{CLIENT, Provider, google_claims, sign},
    test_env::{Call, Member, TestEnv, problem},
};

const GUEST: &str = "/api/v1/auth/guest";
const CONVERSATIONS: &str = "/api/v1/chat/conversations";

async fn guest(env: &TestEnv) -> Member {
    let answer = env.send(Call::post(GUEST)).await;
    assert_eq!(answer.status, 201, "{:?}", answer.body);
    assert_eq!(answer.json()["user"]["guest"], true);
    Member::of(&answer.json())
}

async fn conversations(env: &TestEnv, access: &str) -> Vec<Id> {
    let answer = env.send(Call::get(CONVERSATIONS).token(access)).await;
    let items = answer.json()["items"].as_array().unwrap().clone();
    items.iter().map(|item| Id::parse(item["id"].as_str().unwrap()).unwrap()).collect()
}

/// Returns the code that was sent last.
async fn code(env: &TestEnv, email: &str, purpose: &str) -> String {
    let body = json!({ "email": email, "purpose": purpose });
    assert_eq!(env.send(Call::post("/api/v1/auth/otp/send").json(&body)).await.status, 202);
    env.mailbox().await[0]["code"].as_str().unwrap().to_owned()
}

async fn login(env: &TestEnv, merge_guest_token: &str) -> super::test_env::Answer {
    let body = json!({
        "email": "ada@example.com",
        "password": "correct horse",
        "merge_guest_token": merge_guest_token,
    });
    env.send(Call::post("/api/v1/auth/login").json(&body)).await
}

#[tokio::test]
async fn guests_of_one_address_are_limited_by_hour_and_day() {
    let env = TestEnv::with(&[("GUEST_SIGN_UPS_PER_HOUR", "2"), ("GUEST_SIGN_UPS_PER_DAY", "3")]).await;
    let status = async |ip: &str| env.send(env.sign(Call::post(GUEST), ip)).await.status;
    let network = ["2001:db8:1:1::1", "2001:db8:1:1::2", "2001:db8:1:1:ffff::3"];
    for (ip, expected) in network.into_iter().zip([201, 201, 429]) {
        assert_eq!(status(ip).await, expected, "{ip}");
    }
    assert_eq!(status("2001:db8:1:2::1").await, 201, "another network");
    env.clock.advance(60 * 60 * 1_000);
    assert_eq!(status(network[0]).await, 201);
    let refused = env.send(env.sign(Call::post(GUEST), network[0])).await;
    assert_eq!(refused.problem(), problem(429, "rate_limited"));
    assert!(refused.header("retry-after").parse::<u32>().unwrap() > 60 * 60, "{:?}", refused.headers);
}

#[tokio::test]
async fn guest_with_a_verified_address_keeps_id_and_conversations() {
    let env = TestEnv::new().await;
    let guest = guest(&env).await;
    let conversation = env.open(&guest).await;
    let code = code(&env, "ada@example.com", "verify").await;
    let body = json!({ "email": "ada@example.com", "code": code, "purpose": "verify" });
    let verified = env.send(Call::post("/api/v1/auth/otp/verify").token(&guest.access).json(&body)).await;
    assert_eq!(verified.status, 200, "{:?}", verified.body);
    let user = &verified.json()["user"];
    assert_eq!((&user["id"], &user["guest"]), (&json!(guest.id), &json!(false)));
    let user = Member::of(&verified.json());
    assert_eq!(conversations(&env, &user.access).await, [conversation]);
    env.register("eve").await;
    let refused = login(&env, &user.access).await;
    assert_eq!(refused.problem(), problem(422, "validation_failed"), "a guest no more");
}

#[tokio::test]
async fn guest_who_links_google_is_a_user() {
    let (_provider, url) = Provider::start().await;
    let keys = format!("{url}/keys");
    let env = TestEnv::with(&[("GOOGLE_CLIENT_IDS", CLIENT), ("GOOGLE_JWKS_URL", &keys)]).await;
    let guest = guest(&env).await;
    let conversation = env.open(&guest).await;
    let ada = env.register("ada").await;
    let token = |subject, email| sign("first", &google_claims(&env, subject, Some(email)));
    let path = "/api/v1/auth/oidc/google";
    let link = |token: &str| Call::post(path).token(&guest.access).json(&json!({ "id_token": token }));
    let taken = env.send(link(&token("g-1", "ada@example.com"))).await;
    assert_eq!(taken.problem(), problem(409, "conflict"));
    let linked = env.send(link(&token("g-2", "guest@example.com"))).await;
    assert_eq!(linked.json()["user"]["email"], "guest@example.com");
    assert_eq!(linked.json()["user"]["guest"], false);
    let again =
        env.send(Call::post(path).json(&json!({ "id_token": token("g-2", "guest@example.com") }))).await;
    let again = Member::of(&again.json());
    assert_eq!((again.id, conversations(&env, &again.access).await), (guest.id, vec![conversation]));
    assert!(conversations(&env, &ada.access).await.is_empty());
}

#[tokio::test]
async fn sign_in_moves_conversations_of_the_guest_once() {
    let env = TestEnv::new().await;
    env.register("ada").await;
    let guest = guest(&env).await;
    let moved = [env.open(&guest).await, env.open(&guest).await];
    let before = Member::of(&login_only(&env).await);
    let own = env.open(&before).await;
    assert_eq!(conversations(&env, &before.access).await, [own]);

    let signed_in = login(&env, &guest.access).await;
    assert_eq!(signed_in.status, 200, "{:?}", signed_in.body);
    let ada = Member::of(&signed_in.json());
    let mut listed = conversations(&env, &ada.access).await;
    listed.sort_unstable();
    let mut expected = vec![moved[0], moved[1], own];
    expected.sort_unstable();
    assert_eq!(listed, expected);
    let refused = env.send(Call::get(CONVERSATIONS).token(&guest.access)).await;
    assert_eq!(refused.problem(), problem(401, "session_ended"));
    let refresh = json!({ "refresh_token": guest.refresh });
    assert_eq!(env.send(Call::post("/api/v1/auth/refresh").json(&refresh)).await.status, 401);
    assert_eq!(login(&env, &guest.access).await.problem(), problem(422, "validation_failed"));
    let trail = env.send(Call::get("/api/v1/users/me/events").token(&ada.access)).await.json();
    let kinds: Vec<_> = trail["items"].as_array().unwrap().iter().map(|event| &event["kind"]).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "guest_merged").count(), 1, "{kinds:?}");
    let other = env.register("eve").await;
    assert!(conversations(&env, &other.access).await.is_empty());
}

async fn login_only(env: &TestEnv) -> Value {
    let body = json!({ "email": "ada@example.com", "password": "correct horse" });
    env.send(Call::post("/api/v1/auth/login").json(&body)).await.json()
}

#[tokio::test]
async fn conversation_opened_during_the_merge_is_moved_by_the_second_job() {
    let env = TestEnv::new().await;
    env.register("ada").await;
    let guest = guest(&env).await;
    let ada = Member::of(&login(&env, &guest.access).await.json());
    // A request of the guest that had begun before.
    let late = Conversation {
        id: env.app.random.id(env.clock.now()),
        title: None,
        model: None,
        system: None,
        pinned: false,
        archived: false,
        head_id: None,
        message_count: 0,
        last_message_preview: None,
        last_message_at: None,
        created_at: env.clock.now(),
        updated_at: env.clock.now(),
        messages_deleted_at: None,
        deleted_at: None,
    };
    env.app.stores.chats.create_conversation(guest.id, late.clone()).await.unwrap();
    env.app.job_runner().run_due().await;
    env.clock.advance(3 * 60 * 1_000);
    env.app.job_runner().run_due().await;
    assert_eq!(conversations(&env, &ada.access).await, [late.id]);
}

#[tokio::test]
async fn token_that_is_no_guests_moves_nothing_and_costs_no_code() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let eve = env.register("eve").await;
    let conversation = env.open(&eve).await;
    let refused = problem(422, "validation_failed");
    for token in [eve.access.as_str(), eve.refresh.as_str(), "x", ""] {
        assert_eq!(login(&env, token).await.problem(), refused, "{token}");
    }
    assert_eq!(conversations(&env, &eve.access).await, [conversation]);
    assert!(conversations(&env, &ada.access).await.is_empty());
    let code = code(&env, "new@example.com", "login").await;
    let body = |token: &str, purpose: &str| {
        let email = "new@example.com";
        json!({ "email": email, "code": code, "purpose": purpose, "merge_guest_token": token })
    };
    let verify = async |body: Value| env.send(Call::post("/api/v1/auth/otp/verify").json(&body)).await;
    let guest = guest(&env).await;
    assert_eq!(verify(body(&eve.access, "login")).await.problem(), refused);
    assert_eq!(verify(body(&guest.access, "reset")).await.problem(), refused);
    assert_eq!(verify(body(&guest.access, "login")).await.status, 200, "the code was not used up");
}

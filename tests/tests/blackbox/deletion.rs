//! Deletion of accounts: sessions end and streams are cut at once, a sign-in undoes it, and in the end nothing is left anywhere.

use edgechat_tests::{
    client::{PASSWORD, Phone, Reply, turn_path},
    test_env::TestEnv,
};
use reqwest::Method;
use serde_json::{Value, json};
use shared::{
    api::{
        ErrorCode,
        account::{AccountEvent, Tokens, deletion::ScheduledDeletion},
        page::Page,
    },
    http::headers::USER_EVENTS,
};

const ME: &str = "/api/v1/users/me";
/// The origin's word in its log that an account is gone.
pub(super) const DELETED: &str = "an account was deleted";

/// Asks for the deletion of an account.
pub(super) async fn delete(phone: &Phone) -> Reply {
    let reply = phone.client.ask(Method::DELETE, ME).json(&json!({ "password": PASSWORD })).send().await;
    reply.expect_status(202)
}

async fn register(env: &TestEnv, email: &str) -> Reply {
    let body = json!({ "email": email, "password": PASSWORD });
    env.client().post("/api/v1/auth/register").json(&body).send().await
}

#[tokio::test]
async fn requested_deletion_cuts_streams_and_refuses_tokens_until_sign_in() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let tablet = phone.sign_in_again().await;
    let conversation = phone.conversation().await;
    let upcoming = env.provider.hand_over();
    let (mut stream, mut call) = tokio::join!(phone.stream(conversation, "Hello"), async {
        let mut call = upcoming.arrives().await;
        call.send_text("Once ").await.unwrap();
        call
    });
    let turn = stream.expect("turn.started").await.turn_id();
    assert_eq!(stream.delta().await, "Once ");

    let wrong = json!({ "password": "a wrong password" });
    let refused = tablet.client.ask(Method::DELETE, ME).json(&wrong).send().await;
    refused.problem(ErrorCode::InvalidCredentials);
    let reply = delete(&tablet).await;
    assert_eq!(reply.header(USER_EVENTS), None, "no client sees the events");
    let scheduled: ScheduledDeletion = reply.json();
    assert_eq!(stream.next().await, None, "the stream is cut, without a last word");
    // Its turn is stopped with the session that began it.
    call.gone().await;
    // Refused by the Worker itself.
    env.kill_origin().await;
    for phone in [&phone, &tablet] {
        phone.client.get(&turn_path(turn)).send().await.problem(ErrorCode::SessionEnded);
    }
    env.start_origin().await;
    register(&env, phone.email()).await.problem(ErrorCode::EmailTaken);

    let back = phone.sign_in_again().await;
    let events: Page<AccountEvent> =
        back.client.get("/api/v1/users/me/events").send().await.expect_status(200).json();
    let kinds: Vec<_> = events.items.iter().map(|event| event.kind.as_str()).collect();
    assert!(kinds.contains(&"deletion_requested") && kinds.contains(&"deletion_cancelled"), "{kinds:?}");
    let turn = back.persisted(turn).await;
    assert_eq!(turn.text, "Once ");
    assert!(scheduled.deletes_at > events.items[0].at);
}

#[tokio::test]
async fn deleted_account_leaves_nothing_and_its_address_is_free() {
    let mut env = TestEnv::setup().var("ACCOUNT_DELETION_GRACE_DAYS", "0").start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let persisted = phone.send_and_persist(conversation, "Hello").await;
    // A turn that the origin does not have when the account goes.
    let undelivered = env.say_without_origin(&phone, conversation, "And who hears this?").await;
    env.start_origin().await;
    let _ = delete(&phone).await;
    env.origin_log().wait_for(DELETED).await;
    for turn in [persisted.turn_id, undelivered.turn_id] {
        phone.client.get(&turn_path(turn)).send().await.problem(ErrorCode::SessionEnded);
    }

    let tokens: Tokens = register(&env, phone.email()).await.expect_status(201).json();
    assert_ne!(tokens.user.id, phone.tokens.user.id);
    let anew = env.client().with_token(&tokens.access_token);
    let list: Value = anew.get("/api/v1/chat/conversations").send().await.expect_status(200).value();
    assert_eq!(list["items"], json!([]));
    let login = json!({ "email": phone.email(), "password": PASSWORD });
    let tokens: Tokens =
        env.client().post("/api/v1/auth/login").json(&login).send().await.expect_status(200).json();
    assert_ne!(tokens.user.id, phone.tokens.user.id);

    env.kill_workerd().await;
    for table in ["turns", "checkpoints", "contexts", "queue"] {
        let rows = env.query_objects(&format!("SELECT CAST(count(*) AS TEXT) FROM {table}"));
        assert_eq!(rows, ["0"], "{table}");
    }
    let notices: Value = serde_json::from_str(&env.query_objects("SELECT notices FROM account")[0]).unwrap();
    let deleted = json!({ "ended": [], "ended_before": null, "plan": null, "has_consented": false, "is_deleted": true });
    assert_eq!(notices, deleted);
}

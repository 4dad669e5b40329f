//! Tests of the deletion of accounts: the proof, the grace time, the job's steps.

use serde_json::{Value, json};
use shared::{api::chat::Conversation, id::Id, time::DAY_MS};

use super::{
    deliveries::{call, delivery},
    test_env::{Answer, Call, Member, TestEnv, problem},
};
use crate::{clock::Clock as _, store::contract::down};

const ME: &str = "/api/v1/users/me";
const EMAIL: &str = "ada@example.com";

async fn delete(env: &TestEnv, member: &Member, body: &Value) -> Answer {
    env.send(Call::new("DELETE", ME).token(&member.access).json(body)).await
}

/// Asks for the deletion with the right password.
async fn request(env: &TestEnv, member: &Member) -> Answer {
    let answer = delete(env, member, &json!({"password": "correct horse"})).await;
    assert_eq!(answer.status, 202, "{:?}", answer.body);
    answer
}

async fn run_jobs(env: &TestEnv) {
    env.app.job_runner().run_due().await;
}

/// Has a code sent to an address. Returns what arrived last.
async fn send_code(env: &TestEnv, email: &str, purpose: &str) -> Option<Value> {
    let call = Call::post("/api/v1/auth/otp/send").json(&json!({"email": email, "purpose": purpose}));
    assert_eq!(env.send(call).await.status, 202);
    env.mailbox().await.into_iter().find(|mail| mail["purpose"] == purpose && mail["to"] == email)
}

/// Signs in by a code.
async fn sign_in_by_code(env: &TestEnv) -> Answer {
    let code = send_code(env, EMAIL, "login").await.unwrap()["code"].clone();
    let shown = json!({"email": EMAIL, "purpose": "login", "code": code});
    env.send(Call::post("/api/v1/auth/otp/verify").json(&shown)).await
}

async fn login(env: &TestEnv) -> Answer {
    let body = json!({"email": EMAIL, "password": "correct horse"});
    env.send(Call::post("/api/v1/auth/login").json(&body)).await
}

async fn register(env: &TestEnv) -> Answer {
    let body = json!({"email": EMAIL, "password": "correct horse"});
    env.send(Call::post("/api/v1/auth/register").json(&body)).await
}

async fn kinds(env: &TestEnv, member: &Member) -> Vec<Value> {
    let answer = env.send(Call::get(format!("{ME}/events")).token(&member.access)).await;
    answer.json()["items"].as_array().unwrap().iter().map(|event| event["kind"].clone()).collect()
}

async fn deliver(env: &TestEnv, member: &Member, conversation: Id, number: u64) -> Answer {
    let turn = delivery(env, member, conversation, number);
    env.send(env.sign(call(member, &turn), "203.0.113.7")).await
}

#[tokio::test]
async fn deletion_needs_password_of_the_account() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    for (body, field) in [
        (json!({}), "password"),
        (json!({"password": "correct horse", "code": "204861"}), "code"),
        (json!({"code": "2048"}), "code"),
    ] {
        let refused = delete(&env, &ada, &body).await;
        assert_eq!(refused.problem(), problem(422, "validation_failed"), "{body}");
        assert_eq!(refused.json()["errors"][0]["field"], field, "{body}");
    }
    let no_body = env.send(Call::new("DELETE", ME).token(&ada.access)).await;
    assert_eq!(no_body.problem(), problem(422, "validation_failed"));
    let wrong = json!({"password": "incorrect horse"});
    for _ in 0..11 {
        assert_eq!(delete(&env, &ada, &wrong).await.problem(), problem(401, "invalid_credentials"));
    }
    let right = json!({"password": "correct horse"});
    assert_eq!(delete(&env, &ada, &right).await.problem(), problem(429, "rate_limited"));
    env.clock.advance(15 * 60_000);
    let again = login(&env).await;
    assert_eq!(again.status, 200, "nothing was deleted");
    request(&env, &Member::of(&again.json())).await;
}

#[tokio::test]
async fn requested_deletion_ends_sessions_and_is_told() {
    let env = TestEnv::with(&[("APP_NAME", "Chatty")]).await;
    let ada = env.register("ada").await;
    let other = Member::of(&login(&env).await.json());
    let answer = request(&env, &ada).await;
    let deletes_at = env.clock.now().plus_millis(30 * DAY_MS).to_string();
    assert_eq!(answer.json(), json!({"deletes_at": deletes_at}));
    for member in [&ada, &other] {
        let me = env.send(Call::get(ME).token(&member.access)).await;
        assert_eq!(me.problem(), problem(401, "session_ended"));
        let refresh = Call::post("/api/v1/auth/refresh").json(&json!({"refresh_token": member.refresh}));
        assert_eq!(env.send(refresh).await.problem(), problem(401, "session_ended"));
    }
    let mails = env.mailbox().await;
    assert_eq!(mails.len(), 1);
    assert_eq!((&mails[0]["to"], &mails[0]["purpose"]), (&json!(EMAIL), &json!("deletion_requested")));
    let text = mails[0]["text"].as_str().unwrap();
    assert!(text.contains(&deletes_at) && text.contains("Chatty") && text.contains("sign in"), "{text}");
    assert_eq!(register(&env).await.problem(), problem(400, "email_taken"));
}

#[tokio::test]
async fn code_for_deletion_is_sent_to_own_address_and_only_deletes() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    assert_eq!(send_code(&env, "nobody@example.com", "delete").await, None);
    let login_code = send_code(&env, EMAIL, "login").await.unwrap()["code"].clone();
    let refused = delete(&env, &ada, &json!({"code": login_code})).await;
    assert_eq!(refused.problem(), problem(401, "code_invalid"));
    env.clock.advance(60_000);
    let mail = send_code(&env, EMAIL, "delete").await.unwrap();
    assert!(mail["text"].as_str().unwrap().contains("to delete your account"), "{mail}");
    let shown = json!({"email": EMAIL, "purpose": "delete", "code": mail["code"]});
    let refused = env.send(Call::post("/api/v1/auth/otp/verify").json(&shown)).await;
    assert_eq!(refused.problem(), problem(422, "validation_failed"));
    assert_eq!(refused.json()["errors"][0]["field"], "purpose");
    let eve = env.register("eve").await;
    let code = json!({"code": mail["code"]});
    assert_eq!(delete(&env, &eve, &code).await.problem(), problem(401, "code_invalid"));
    assert_eq!(delete(&env, &ada, &code).await.status, 202);
}

#[tokio::test]
async fn account_with_phone_alone_is_deleted_by_code() {
    let env = TestEnv::new().await;
    let phone = json!({"phone": "+491701234567"});
    let code_for = async |purpose: &str| {
        env.clock.advance(60_000);
        let mut body = phone.clone();
        body["purpose"] = json!(purpose);
        assert_eq!(env.send(Call::post("/api/v1/auth/otp/send").json(&body)).await.status, 202);
        env.mailbox().await.remove(0)["code"].clone()
    };
    let mut shown = phone.clone();
    shown["purpose"] = json!("login");
    shown["code"] = code_for("login").await;
    let member = Member::of(&env.send(Call::post("/api/v1/auth/otp/verify").json(&shown)).await.json());
    let needed = delete(&env, &member, &json!({})).await;
    assert_eq!((needed.status, &needed.json()["errors"][0]["field"]), (422, &json!("code")));
    let no_password = delete(&env, &member, &json!({"password": "correct horse"})).await;
    assert_eq!(no_password.problem(), problem(401, "invalid_credentials"));
    let code = code_for("delete").await;
    assert_eq!(delete(&env, &member, &json!({"code": code})).await.status, 202);
}

#[tokio::test]
async fn sign_in_within_grace_undoes_deletion() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    env.clock.advance(1);
    request(&env, &ada).await;
    env.clock.advance(30 * DAY_MS - 1);
    run_jobs(&env).await;
    let back = login(&env).await;
    assert_eq!(back.status, 200);
    let back = Member::of(&back.json());
    let kinds = kinds(&env, &back).await;
    assert_eq!(kinds[2..], [json!("deletion_requested"), json!("signed_up")]);
    assert!(kinds[..2].contains(&json!("signed_in")) && kinds[..2].contains(&json!("deletion_cancelled")));

    // The next request has a time of its own: the job of the first one finds nothing to do.
    request(&env, &back).await;
    env.clock.advance(DAY_MS);
    run_jobs(&env).await;
    let back = sign_in_by_code(&env).await;
    assert_eq!((back.status, &back.json()["user"]["id"]), (200, &json!(ada.id)));
    env.clock.advance(60 * DAY_MS);
    run_jobs(&env).await;
    let back = Member::of(&sign_in_by_code(&env).await.json());
    let path = format!("/api/v1/chat/conversations/{conversation}");
    assert_eq!(env.send(Call::get(path).token(&back.access)).await.status, 200);
}

#[tokio::test]
async fn deleted_account_is_gone_and_its_address_is_free() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    assert_eq!(deliver(&env, &ada, conversation, 0).await.json()["conversation_exists"], true);
    request(&env, &ada).await;
    env.clock.advance(30 * DAY_MS);
    run_jobs(&env).await;
    assert_eq!(login(&env).await.problem(), problem(401, "invalid_credentials"));
    assert!(env.app.stores.accounts.user(ada.id).await.unwrap().is_none());
    assert!(env.app.stores.chats.conversation(ada.id, conversation).await.unwrap().is_none());

    let anew = register(&env).await;
    assert_eq!(anew.status, 201);
    let anew = Member::of(&anew.json());
    assert_ne!(anew.id, ada.id);
    assert_eq!(kinds(&env, &anew).await, ["signed_up"]);
    let list = env.send(Call::get("/api/v1/chat/conversations").token(&anew.access)).await;
    assert_eq!(list.json()["items"], json!([]));
}

#[tokio::test]
async fn without_grace_time_nothing_is_left_and_late_delivery_is_absorbed() {
    let env = TestEnv::with(&[("ACCOUNT_DELETION_GRACE_DAYS", "0")]).await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    assert_eq!(deliver(&env, &ada, conversation, 0).await.status, 200);
    let answer = request(&env, &ada).await;
    assert_eq!(answer.json()["deletes_at"], env.clock.now().to_string());
    // Before any job ran.
    assert_eq!(login(&env).await.problem(), problem(401, "invalid_credentials"));
    assert_eq!(register(&env).await.status, 201);
    let mails = env.mailbox().await;
    assert_eq!((mails.len(), &mails[0]["to"]), (1, &json!(EMAIL)));
    assert!(env.app.stores.accounts.user(ada.id).await.unwrap().is_none());

    let late = deliver(&env, &ada, conversation, 1).await;
    assert_eq!((late.status, late.json()), (200, json!({"conversation_exists": false, "last_seq": 0})));
    let (accounts, chats) = (&env.app.stores.accounts, &env.app.stores.chats);
    assert_eq!(accounts.usage(ada.id, "2000-01-01".into(), "2100-01-01".into()).await.unwrap(), []);
    assert!(chats.conversation(ada.id, conversation).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_stored_after_deletion_goes_two_days_later() {
    let env = TestEnv::with(&[("ACCOUNT_DELETION_GRACE_DAYS", "0")]).await;
    let (ada, eve) = (env.register("ada").await, env.register("eve").await);
    env.open(&ada).await;
    let like = env.open(&eve).await;
    request(&env, &ada).await;
    run_jobs(&env).await;
    let (chats, now) = (&env.app.stores.chats, env.clock.now());
    let late = chats.conversation(eve.id, like).await.unwrap().unwrap();
    let late = Conversation { id: env.app.random.id(now), ..late };
    chats.create_conversation(ada.id, late.clone()).await.unwrap();
    env.clock.advance(2 * DAY_MS);
    run_jobs(&env).await;
    assert!(chats.conversation(ada.id, late.id).await.unwrap().is_none());
    assert_eq!(chats.changes(ada.id, 0, 10, now).await.unwrap(), []);
}

#[tokio::test]
async fn deletion_waits_for_a_store_that_is_away_for_as_long_as_it_takes() {
    let env = TestEnv::with(&[("ACCOUNT_DELETION_GRACE_DAYS", "0")]).await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    request(&env, &ada).await;
    let cut_off = env.on_stores(|stores| stores.chats = down::chats());
    // More attempts than any other job gets.
    for _ in 0..40 {
        run_jobs(&cut_off).await;
        env.clock.advance(60 * 60_000);
    }
    assert!(env.app.stores.accounts.user(ada.id).await.unwrap().is_some(), "its row goes last");
    assert!(env.app.stores.chats.conversation(ada.id, conversation).await.unwrap().is_some());
    run_jobs(&env).await;
    assert!(env.app.stores.accounts.user(ada.id).await.unwrap().is_none());
    assert!(env.app.stores.chats.conversation(ada.id, conversation).await.unwrap().is_none());
}

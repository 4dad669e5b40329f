//! Tests of suspended accounts: they are refused like wrong passwords and codes, everywhere, until they are resumed.

use serde_json::json;

use super::test_env::{Answer, Call, Member, TestEnv, problem};
use crate::{events::Announcements, store::accounts::suspensions::SuspensionOutcome};

fn login(email: &str, password: &str) -> Call {
    Call::post("/api/v1/auth/login").json(&json!({"email": email, "password": password}))
}

async fn suspended(env: &TestEnv, name: &str) -> Member {
    let member = env.register(name).await;
    env.clock.advance(1_000);
    let announcements = Announcements::default();
    let outcome = env.app.auth.suspend(member.id, &announcements).await.unwrap();
    assert_eq!((outcome, announcements.take().len()), (SuspensionOutcome::Changed, 1));
    member
}

async fn code(env: &TestEnv, purpose: &str) -> String {
    let body = json!({"email": "ada@example.com", "purpose": purpose});
    assert_eq!(env.send(Call::post("/api/v1/auth/otp/send").json(&body)).await.status, 202);
    env.mailbox().await[0]["code"].as_str().unwrap().to_owned()
}

async fn verify(env: &TestEnv, purpose: &str, code: &str) -> Answer {
    let body = json!({"email": "ada@example.com", "purpose": purpose, "code": code});
    env.send(Call::post("/api/v1/auth/otp/verify").json(&body)).await
}

#[tokio::test]
async fn suspended_account_is_refused_like_wrong_password() {
    let env = TestEnv::new().await;
    let ada = suspended(&env, "ada").await;
    let wrong = env.send(login("nobody@example.com", "correct horse")).await;
    assert_eq!(wrong.problem(), problem(401, "invalid_credentials"));
    for password in ["correct horse", "wrong horse"] {
        let refused = env.send(login("ada@example.com", password)).await;
        assert_eq!(refused.problem_body(), wrong.problem_body(), "{password}");
    }
    let form = "username=ada%40example.com&password=correct+horse".to_owned();
    let granted = Call::post("/api/v1/auth/token").bytes("application/x-www-form-urlencoded", form);
    assert_eq!(env.send(granted).await.json()["error"], "invalid_grant");
    assert_eq!(env.send(Call::get("/api/v1/users/me").token(&ada.access)).await.status, 401);
    let refresh = Call::post("/api/v1/auth/refresh").json(&json!({"refresh_token": ada.refresh}));
    assert_eq!(env.send(refresh).await.problem(), problem(401, "session_ended"));
}

#[tokio::test]
async fn suspended_account_has_no_codes_and_no_links() {
    let env = TestEnv::new().await;
    suspended(&env, "ada").await;
    let login_code = code(&env, "login").await;
    assert_eq!(verify(&env, "login", &login_code).await.problem(), problem(401, "code_invalid"));
    env.clock.advance(60_000);
    let reset_code = code(&env, "reset").await;
    assert_eq!(verify(&env, "reset", &reset_code).await.problem(), problem(401, "code_invalid"));
    let forgot = Call::post("/api/v1/auth/forgot-password").json(&json!({"email": "ada@example.com"}));
    assert_eq!(env.send(forgot).await.status, 202);
    assert!(env.mailbox().await.iter().all(|mail| mail["link"].is_null()));
}

#[tokio::test]
async fn resumed_account_signs_in_again_and_trail_tells_both() {
    let env = TestEnv::new().await;
    let ada = suspended(&env, "ada").await;
    env.clock.advance(1_000);
    assert_eq!(env.app.auth.resume(ada.id).await.unwrap(), SuspensionOutcome::Changed);
    assert_eq!(env.app.auth.resume(ada.id).await.unwrap(), SuspensionOutcome::Unchanged);
    env.clock.advance(1_000);
    let again = env.send(login("ada@example.com", "correct horse")).await;
    assert_eq!(again.status, 200);
    let events = Call::get("/api/v1/users/me/events").token(&Member::of(&again.json()).access);
    let events = env.send(events).await.json();
    let kinds: Vec<_> = events["items"].as_array().unwrap().iter().map(|event| &event["kind"]).collect();
    assert_eq!(kinds, ["signed_in", "resumed", "suspended", "signed_up"]);
}

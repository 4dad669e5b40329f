//! Tests of new passwords, and of hashes of earlier backends.

use serde_json::{Value, json};
use shared::{address::Address, id::Id};

use super::test_env::{Answer, Call, Member, TestEnv, problem};
use crate::{
    auth::tokens::TokenIssuer, random::SystemRandom, store::accounts::password_resets::NewPasswordReset,
};

const NEW: &str = "staple battery";
/// `bcrypt.using(rounds=4).hash("horse")` of passlib 1.7.4: shorter than any password that could be chosen here.
const BCRYPT: &str = "$2b$04$.pXshOJRKqCPvJr9254G/eD.75WYNYzVqzsnAo1tFkAhXhEetUdHq";

async fn sign_in(env: &TestEnv, password: &str) -> Answer {
    let body = json!({"email": "ada@example.com", "password": password});
    env.send(Call::post("/api/v1/auth/login").json(&body)).await
}

async fn change(env: &TestEnv, member: &Member, current: &str, new: &str) -> Answer {
    let body = json!({"current_password": current, "new_password": new});
    env.send(Call::post("/api/v1/auth/change-password").token(&member.access).json(&body)).await
}

async fn refresh(env: &TestEnv, token: &str) -> Answer {
    env.send(Call::post("/api/v1/auth/refresh").json(&json!({"refresh_token": token}))).await
}

async fn status_of(env: &TestEnv, member: &Member) -> u16 {
    env.send(Call::get("/api/v1/users/me").token(&member.access)).await.status
}

async fn hash(env: &TestEnv, member: &Member) -> String {
    env.app.stores.accounts.password_hash(member.id).await.unwrap().unwrap()
}

/// Stores a permission to reset a member's password, and returns its token.
async fn permission(env: &TestEnv, user_id: Id) -> String {
    let token = TokenIssuer::opaque(&SystemRandom);
    let permission = NewPasswordReset {
        token_hash: token.hash(),
        user_id,
        address: Address::email("ada@example.com"),
        expires_at: env.app.clock.now().plus_millis(30 * 60 * 1_000),
    };
    assert!(env.app.stores.accounts.create_password_reset(permission).await.unwrap());
    token.encode()
}

async fn reset(env: &TestEnv, token: &str, new: &str) -> Answer {
    let body = json!({"token": token, "new_password": new});
    env.send(Call::post("/api/v1/auth/reset-password").json(&body)).await
}

async fn purposes_of_mails(env: &TestEnv) -> Vec<Value> {
    env.mailbox().await.into_iter().map(|mail| mail["purpose"].clone()).collect()
}

#[tokio::test]
async fn changed_password_keeps_session_by_new_tokens_and_ends_others() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let other = Member::of(&sign_in(&env, "correct horse").await.json());
    env.clock.advance(1_000);
    let answer = change(&env, &ada, "correct horse", NEW).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    let next = Member::of(&answer.json());
    assert_eq!((next.id, next.session), (ada.id, ada.session));
    assert_eq!([status_of(&env, &ada).await, status_of(&env, &next).await], [200, 200]);
    assert_eq!(status_of(&env, &other).await, 401);
    for ended in [&ada.refresh, &other.refresh] {
        assert_eq!(refresh(&env, ended).await.status, 401);
    }
    assert_eq!(refresh(&env, &next.refresh).await.status, 200);
    let trail = env.app.stores.accounts.audit_events(ada.id, None, 1).await.unwrap();
    assert_eq!((trail[0].kind.as_str(), trail[0].session_id), ("password_changed", Some(ada.session)));
    assert_eq!([sign_in(&env, "correct horse").await.status, sign_in(&env, NEW).await.status], [401, 200]);
    assert_eq!(purposes_of_mails(&env).await, ["password_changed"]);
}

#[tokio::test]
async fn wrong_current_password_changes_nothing_and_is_limited() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    for _ in 0..11 {
        let refused = change(&env, &ada, "wrong horse", NEW).await;
        assert_eq!(refused.problem(), problem(401, "invalid_credentials"));
        assert_eq!(refused.json()["detail"], "The current password is wrong");
    }
    assert_eq!(change(&env, &ada, "correct horse", NEW).await.problem(), problem(429, "rate_limited"));
    assert_eq!(sign_in(&env, "correct horse").await.status, 200, "signing in has its own count");
    env.clock.advance(1_000);
    assert_eq!(change(&env, &ada, "correct horse", NEW).await.status, 200);
}

#[tokio::test]
async fn guessable_or_malformed_new_password_names_its_field() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let token = permission(&env, ada.id).await;
    for new in ["password123", "ada@example.com", "short", &"long horse ".repeat(12)] {
        for refused in [change(&env, &ada, "correct horse", new).await, reset(&env, &token, new).await] {
            assert_eq!(refused.problem(), problem(422, "validation_failed"), "{new}");
            assert_eq!(refused.json()["errors"][0]["field"], "new_password", "{new}");
        }
        let body = json!({"email": "eve@example.com", "password": new});
        let refused = env.send(Call::post("/api/v1/auth/register").json(&body)).await;
        if new != "ada@example.com" {
            assert_eq!(refused.json()["errors"][0]["field"], "password", "{new}");
        }
    }
    assert_eq!(sign_in(&env, "correct horse").await.status, 200);
    assert_eq!(reset(&env, &token, NEW).await.status, 204, "a refused password does not use the token");
}

#[tokio::test]
async fn reset_password_ends_all_sessions_and_works_once() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let eve = env.register("eve").await;
    let (token, other_token) = (permission(&env, ada.id).await, permission(&env, ada.id).await);
    env.clock.advance(1_000);
    assert_eq!(reset(&env, &token, NEW).await.status, 204);
    assert_eq!([status_of(&env, &ada).await, status_of(&env, &eve).await], [401, 200]);
    assert_eq!(refresh(&env, &ada.refresh).await.problem(), problem(401, "session_ended"));
    for token in [&token, &other_token, "", "no token", &"x".repeat(43)] {
        assert_eq!(
            reset(&env, token, "another staple").await.problem(),
            problem(401, "code_invalid"),
            "{token}"
        );
    }
    assert_eq!([sign_in(&env, "correct horse").await.status, sign_in(&env, NEW).await.status], [401, 200]);
    let signed_in = sign_in(&env, NEW).await.json();
    assert_eq!(signed_in["user"]["email_verified"], true, "the token was sent there");
    assert_eq!(purposes_of_mails(&env).await, ["password_changed"]);
}

#[tokio::test]
async fn reset_token_expires_after_30_minutes() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let token = permission(&env, ada.id).await;
    env.clock.advance(30 * 60 * 1_000);
    assert_eq!(reset(&env, &token, NEW).await.problem(), problem(401, "code_invalid"));
    assert_eq!(sign_in(&env, "correct horse").await.status, 200);
}

#[tokio::test]
async fn bcrypt_hash_signs_in_and_becomes_argon2id() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let stored = hash(&env, &ada).await;
    let accounts = &env.app.stores.accounts;
    assert!(accounts.replace_password_hash(ada.id, stored, BCRYPT.to_owned()).await.unwrap());
    assert_eq!(sign_in(&env, "correct horse").await.status, 401);
    assert_eq!(hash(&env, &ada).await, BCRYPT);
    assert_eq!(sign_in(&env, "horse").await.status, 200);
    let replaced = hash(&env, &ada).await;
    assert!(replaced.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{replaced}");
    assert_eq!(sign_in(&env, "horse").await.status, 200);
    assert_eq!(hash(&env, &ada).await, replaced);
}

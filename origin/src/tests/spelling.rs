//! Tests of text that a user types, which is compared in its normal form.

use serde_json::json;
use shared::api::account::AccountEventKind;

use super::test_env::{Answer, Call, TestEnv, problem};
use crate::{
    auth::{Requester, passwords::Passwords},
    jobs::notify::email_verification,
};

async fn register(env: &TestEnv, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    env.send(Call::post("/api/v1/auth/register").json(&body)).await
}

async fn sign_in(env: &TestEnv, email: &str, password: &str) -> u16 {
    let body = json!({"email": email, "password": password});
    let json = env.send(Call::post("/api/v1/auth/login").json(&body)).await.status;
    let form: String = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("grant_type", "password"), ("username", email), ("password", password)])
        .finish();
    let form =
        env.send(Call::post("/api/v1/auth/token").bytes("application/x-www-form-urlencoded", form)).await;
    assert_eq!(form.status == 200, json == 200, "{email} {password}");
    json
}

#[tokio::test]
async fn email_in_any_spelling_is_one_account() {
    let env = TestEnv::new().await;
    let answer = register(&env, "  Jose\u{301}@MU\u{308}LLER.example\u{a0}", "correct horse").await;
    assert_eq!((answer.status, &answer.json()["user"]["email"]), (201, &json!("josé@müller.example")));
    for spelled in ["josé@müller.example", " JOSÉ@xn--mller-kva.example ", "jose\u{301}@müller.example"] {
        assert_eq!(sign_in(&env, spelled, "correct horse").await, 200, "{spelled}");
        let again = register(&env, spelled, "correct horse").await;
        assert_eq!(again.problem(), problem(400, "email_taken"), "{spelled}");
    }
    for other in ["jose@müller.example", "josé@muller.example", "j osé@müller.example"] {
        assert_eq!(sign_in(&env, other, "correct horse").await, 401, "{other}");
    }
    let long = format!("{}@{}.example", "a".repeat(60), "b".repeat(63));
    assert_eq!(register(&env, &format!("   {long}{}", " ".repeat(200)), "correct horse").await.status, 201);
    assert_eq!(sign_in(&env, &format!("{long}{}", " ".repeat(300)), "correct horse").await, 200);
}

#[tokio::test]
async fn password_from_any_keyboard_is_accepted() {
    let env = TestEnv::new().await;
    assert_eq!(register(&env, "ada@example.com", "Cafe\u{301} au\u{a0}lait").await.status, 201);
    for spelled in ["Caf\u{e9} au lait", "Cafe\u{301} au\u{3000}lait"] {
        assert_eq!(sign_in(&env, "ada@example.com", spelled).await, 200, "{spelled}");
    }
    for other in ["Cafe au lait", "caf\u{e9} au lait", "Caf\u{e9} au lait ", " Caf\u{e9} au lait"] {
        assert_eq!(sign_in(&env, "ada@example.com", other).await, 401, "{other}");
    }
}

#[tokio::test]
async fn hash_of_unnormalized_password_is_replaced_at_sign_in() {
    let env = TestEnv::new().await;
    let (composed, decomposed) = ("Caf\u{e9} au lait", "Cafe\u{301} au lait");
    let ada = env.register("ada").await;
    let hash = async || {
        let known = env.app.stores.accounts.credential("ada@example.com".to_owned(), None).await;
        known.unwrap().unwrap().password_hash
    };
    let earlier = Passwords::hash_as_typed(decomposed);
    let accounts = &env.app.stores.accounts;
    assert!(accounts.replace_password_hash(ada.id, hash().await, earlier.clone()).await.unwrap());
    assert_eq!(sign_in(&env, "ada@example.com", composed).await, 401);
    assert_eq!(hash().await, earlier);
    assert_eq!(sign_in(&env, "ada@example.com", decomposed).await, 200);
    assert_ne!(hash().await, earlier);
    for spelled in [composed, decomposed] {
        assert_eq!(sign_in(&env, "ada@example.com", spelled).await, 200);
    }
}

#[tokio::test]
async fn unnormalized_stored_email_is_found() {
    let env = TestEnv::new().await;
    let ada = register(&env, "ada@example.com", "correct horse").await.json();
    let mut earlier: shared::api::account::User = serde_json::from_value(ada["user"].clone()).unwrap();
    earlier.id = env.app.random.id(earlier.created_at);
    earlier.email = Some("jose\u{301}@example.com".to_owned());
    let hash = Passwords::hash_as_typed("correct horse");
    let requester = Requester::operator();
    let opening = env.app.auth.prepare_session(earlier.id, &requester, None, earlier.created_at);
    let audit = env.app.auth.opening_event(&opening, AccountEventKind::SignedUp, &requester);
    let email = earlier.email.clone().unwrap();
    let job = email_verification(opening.session.id, earlier.id, email, earlier.created_at);
    env.app.stores.accounts.register(earlier, hash, opening.session, audit, job).await.unwrap();
    assert_eq!(sign_in(&env, "Jose\u{301}@example.com ", "correct horse").await, 200);
    let again = register(&env, "jose\u{301}@example.com", "correct horse").await;
    assert_eq!(again.problem(), problem(400, "email_taken"));
}

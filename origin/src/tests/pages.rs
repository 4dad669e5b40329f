//! Tests of the pages that links in mails open.

use serde_json::{Value, json};

use super::test_env::{Answer, Call, Member, TestEnv};

const FORM: &str = "application/x-www-form-urlencoded";
const DAY_MS: i64 = 86_400_000;

/// The path and query of the newest link with this purpose, with the token in it.
async fn link(env: &TestEnv, purpose: &str) -> (String, String) {
    env.app.job_runner().run_due().await;
    let mailbox = env.send(Call::get("/dev/mailbox")).await.json();
    let mails = mailbox["items"].as_array().unwrap();
    let mail = mails.iter().find(|mail| mail["purpose"] == purpose && mail["link"] != Value::Null).unwrap();
    let path = mail["link"].as_str().unwrap().strip_prefix("http://127.0.0.1:8787").unwrap().to_owned();
    (path, mail["token"].as_str().unwrap().to_owned())
}

async fn post(env: &TestEnv, path: &str, form: String) -> Answer {
    env.send(Call::post(path).bytes(FORM, form)).await
}

fn html(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(
        (answer.header("cache-control"), answer.header("referrer-policy")),
        ("no-store", "no-referrer")
    );
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    let html = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(!html.contains("<script") && !html.contains("://"), "{html}");
    html
}

async fn is_verified(env: &TestEnv, member: &Member) -> bool {
    env.send(Call::get("/api/v1/users/me").token(&member.access)).await.json()["email_verified"] == true
}

#[tokio::test]
async fn link_of_registration_confirms_address_by_its_form_alone() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let (path, token) = link(&env, "verify").await;
    env.clock.advance(1_000);
    for _ in 0..2 {
        let page = env.send(Call::get(&path)).await;
        assert_eq!(page.status, 200);
        assert!(html(&page).contains("ada@example.com") && html(&page).contains("method=\"post\""));
        assert!(!is_verified(&env, &ada).await, "opening a page changes nothing");
    }
    let confirmed = post(&env, "/verify-email", format!("token={token}")).await;
    assert_eq!(confirmed.status, 200);
    assert!(html(&confirmed).contains("is confirmed") && is_verified(&env, &ada).await);
    // Used again, it tells so and changes nothing.
    assert!(html(&env.send(Call::get(&path)).await).contains("is confirmed"));
    assert_eq!(post(&env, "/verify-email", format!("token={token}")).await.status, 200);
    let events = env.send(Call::get("/api/v1/users/me/events").token(&ada.access)).await.json();
    let kinds: Vec<_> = events["items"].as_array().unwrap().iter().map(|event| &event["kind"]).collect();
    assert_eq!(kinds, ["email_verified", "signed_up"]);
}

#[tokio::test]
async fn code_for_verification_comes_with_link_while_address_is_unconfirmed() {
    let env = TestEnv::new().await;
    env.register("ada").await;
    let send = json!({"email": "ada@example.com", "purpose": "verify"});
    for has_link in [true, false] {
        env.clock.advance(60_000);
        assert_eq!(env.send(Call::post("/api/v1/auth/otp/send").json(&send)).await.status, 202);
        let newest = env.mailbox().await[0].clone();
        assert_eq!((newest["code"].is_string(), newest["link"].is_string()), (true, has_link));
        if let Some(token) = newest["token"].as_str() {
            assert_eq!(post(&env, "/verify-email", format!("token={token}")).await.status, 200);
        }
    }
}

#[tokio::test]
async fn expired_forged_or_foreign_link_confirms_nothing() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let (path, token) = link(&env, "verify").await;
    // Another character within the proof.
    let other = |at, char| {
        if at != 40 {
            char
        } else if char == 'A' {
            'B'
        } else {
            'A'
        }
    };
    let forged: String = token.chars().enumerate().map(|(at, char)| other(at, char)).collect();
    for wrong in ["", "nonsense", forged.as_str(), "%3Cb%3E"] {
        let refused = post(&env, "/verify-email", format!("token={wrong}")).await;
        assert_eq!(refused.status, 410, "{wrong}");
        assert!(html(&refused).contains("not valid any more") && !html(&refused).contains("<b>"));
    }
    let as_json = Call::post("/verify-email").json(&json!({"token": token}));
    assert_eq!(env.send(as_json).await.status, 415);
    env.clock.advance(DAY_MS);
    assert_eq!(env.send(Call::get(&path)).await.status, 410);
    assert_eq!(post(&env, "/verify-email", format!("token={token}")).await.status, 410);
    let again = json!({"email": "ada@example.com", "password": "correct horse"});
    let again = Member::of(&env.send(Call::post("/api/v1/auth/login").json(&again)).await.json());
    assert_eq!(again.id, ada.id);
    assert!(!is_verified(&env, &again).await);
}

#[tokio::test]
async fn link_of_address_that_was_changed_confirms_nothing() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let (_, token) = link(&env, "verify").await;
    let send = json!({"email": "countess@example.com", "purpose": "verify"});
    assert_eq!(env.send(Call::post("/api/v1/auth/otp/send").json(&send)).await.status, 202);
    let code = env.mailbox().await[0]["code"].clone();
    let body = json!({"email": "countess@example.com", "purpose": "verify", "code": code});
    let changed = env.send(Call::post("/api/v1/auth/otp/verify").token(&ada.access).json(&body)).await;
    assert_eq!(changed.status, 200);
    assert_eq!(post(&env, "/verify-email", format!("token={token}")).await.status, 410);
}

#[tokio::test]
async fn page_sets_new_password_once() {
    let env = TestEnv::new().await;
    env.register("ada").await;
    let forgot = json!({"email": "ada@example.com"});
    assert_eq!(env.send(Call::post("/api/v1/auth/forgot-password").json(&forgot)).await.status, 202);
    let (path, token) = link(&env, "reset").await;
    let page = env.send(Call::get(&path)).await;
    assert_eq!(page.status, 200);
    assert!(html(&page).contains("name=\"new_password\"") && html(&page).contains("ada@example.com"));
    for (password, words) in [("short", "8 to 128 characters"), ("password123", "too easy to guess")] {
        let refused = post(&env, "/reset-password", format!("token={token}&new_password={password}")).await;
        assert_eq!(refused.status, 422, "{password}");
        assert!(html(&refused).contains(words) && html(&refused).contains("<form"), "{password}");
    }
    let form = format!("token={token}&new_password=staple+battery+horse");
    let set = post(&env, "/reset-password", form.clone()).await;
    assert_eq!(set.status, 200);
    assert!(html(&set).contains("is changed"));
    assert_eq!(post(&env, "/reset-password", form).await.status, 410);
    assert_eq!(env.send(Call::get(&path)).await.status, 410);
    let login = json!({"email": "ada@example.com", "password": "staple battery horse"});
    assert_eq!(env.send(Call::post("/api/v1/auth/login").json(&login)).await.status, 200);
}

#[tokio::test]
async fn guessed_links_are_delayed() {
    let env = TestEnv::new().await;
    for number in 0..=30 {
        assert_eq!(env.send(Call::get("/verify-email?token=x")).await.status, 410, "{number}");
    }
    let refused = env.send(Call::get("/verify-email?token=x")).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1"));
    assert!(html(&refused).contains("Too many attempts"));
}

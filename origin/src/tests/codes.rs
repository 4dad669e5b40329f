//! Tests of one-time codes and of links to reset a password.

use serde_json::{Value, json};

use super::test_env::{Answer, Call, Member, TestEnv, problem};

const PHONE: &str = "+491701234567";
const SEND: &str = "/api/v1/auth/otp/send";
const VERIFY: &str = "/api/v1/auth/otp/verify";

async fn send(env: &TestEnv, address: &Value, purpose: &str) -> Answer {
    let mut body = address.clone();
    body["purpose"] = json!(purpose);
    env.send(Call::post(SEND).json(&body)).await
}

fn shown(address: &Value, purpose: &str, code: &str) -> Call {
    let mut body = address.clone();
    body["purpose"] = json!(purpose);
    body["code"] = json!(code);
    Call::post(VERIFY).json(&body)
}

async fn verify(env: &TestEnv, address: &Value, purpose: &str, code: &str) -> Answer {
    env.send(shown(address, purpose, code)).await
}

/// Sends a code and returns it as it arrives.
async fn code(env: &TestEnv, address: &Value, purpose: &str) -> String {
    let sent = send(env, address, purpose).await;
    assert_eq!(sent.status, 202, "{:?}", sent.body);
    let newest = env.mailbox().await.remove(0);
    assert_eq!(newest["purpose"], purpose);
    newest["code"].as_str().unwrap().to_owned()
}

/// Returns a code that is another one.
fn wrong(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

fn phone() -> Value {
    json!({"phone": PHONE})
}

async fn login(env: &TestEnv, password: &str) -> u16 {
    let body = json!({"email": "ada@example.com", "password": password});
    env.send(Call::post("/api/v1/auth/login").json(&body)).await.status
}

#[tokio::test]
async fn code_of_unknown_phone_signs_up_and_then_in() {
    let env = TestEnv::new().await;
    let typed = json!({"phone": "+49 (170) 123-4567"});
    let sent = send(&env, &typed, "login").await;
    assert_eq!((sent.status, sent.json()), (202, json!({"expires_in": 300, "resend_in": 60})));
    let mail = env.mailbox().await.remove(0);
    assert_eq!((&mail["to"], &mail["channel"]), (&json!(PHONE), &json!("sms")));
    let mut body = typed.clone();
    body["device_name"] = json!("Ada's phone");
    body["purpose"] = json!("login");
    body["code"] = mail["code"].clone();
    let signed_up = env.send(Call::post(VERIFY).json(&body)).await;
    assert_eq!((signed_up.status, signed_up.header("cache-control")), (200, "no-store"));
    let user = signed_up.json()["user"].clone();
    assert_eq!(
        (&user["phone"], &user["phone_verified"], &user["email"]),
        (&json!(PHONE), &json!(true), &Value::Null)
    );

    env.clock.advance(60_000);
    let code = code(&env, &phone(), "login").await;
    let signed_in = verify(&env, &phone(), "login", &code).await;
    assert_eq!(signed_in.json()["user"], user);
    let me = env.send(Call::get("/api/v1/users/me").token(&Member::of(&signed_in.json()).access)).await;
    assert_eq!(me.json(), user);
}

#[tokio::test]
async fn code_works_once_for_its_address_and_purpose_until_it_expires() {
    let env = TestEnv::new().await;
    let refused = problem(401, "code_invalid");
    let first = code(&env, &phone(), "login").await;
    for (address, purpose) in [
        (phone(), "reset"),
        (json!({"phone": "+491701234568"}), "login"),
        (json!({"email": "ada@example.com"}), "login"),
    ] {
        assert_eq!(verify(&env, &address, purpose, &first).await.problem(), refused, "{address} {purpose}");
    }
    env.clock.advance(60_000);
    let second = code(&env, &phone(), "login").await;
    if first != second {
        assert_eq!(verify(&env, &phone(), "login", &first).await.problem(), refused, "a new one replaced it");
    }
    assert_eq!(verify(&env, &phone(), "login", &second).await.status, 200);
    assert_eq!(verify(&env, &phone(), "login", &second).await.problem(), refused, "it is used up");
    env.clock.advance(60_000);
    let third = code(&env, &phone(), "login").await;
    env.clock.advance(300_000);
    assert_eq!(verify(&env, &phone(), "login", &third).await.problem(), refused, "it has expired");
}

#[tokio::test]
async fn code_from_a_thousand_addresses_gets_five_guesses() {
    let env = TestEnv::new().await;
    let code = code(&env, &phone(), "login").await;
    let mut answers = Vec::new();
    for number in 0..1_000_u32 {
        let ip = format!("198.{}.{}.{}", 18 + number / 65_536, number / 256 % 256, number % 256);
        let call = shown(&phone(), "login", &wrong(&code));
        answers.push(env.send(env.sign(call, &ip)).await);
    }
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(401), count(429)), (11, 989));
    // The five guesses used the code up: it is refused also where it is right.
    env.clock.advance(1_000);
    assert_eq!(verify(&env, &phone(), "login", &code).await.problem(), problem(401, "code_invalid"));
}

#[tokio::test]
async fn sixth_guess_is_refused_though_it_is_right() {
    let env = TestEnv::new().await;
    for (wrong_guesses, status) in [(4, 200), (5, 401)] {
        let code = code(&env, &phone(), "login").await;
        for _ in 0..wrong_guesses {
            assert_eq!(verify(&env, &phone(), "login", &wrong(&code)).await.status, 401);
        }
        assert_eq!(verify(&env, &phone(), "login", &code).await.status, status, "after {wrong_guesses}");
        env.clock.advance(60_000);
    }
}

#[tokio::test]
async fn codes_to_one_address_are_limited_by_minute_and_hour() {
    let env = TestEnv::new().await;
    let limited = problem(429, "rate_limited");
    for number in 0..5 {
        assert_eq!(send(&env, &phone(), "login").await.status, 202, "{number}");
        let too_soon = send(&env, &phone(), "verify").await;
        assert_eq!((too_soon.problem(), too_soon.header("retry-after")), (limited.clone(), "60"));
        env.clock.advance(60_000);
    }
    assert_eq!(send(&env, &phone(), "login").await.problem(), limited);
    assert_eq!(send(&env, &json!({"phone": "+491701234568"}), "login").await.status, 202, "another address");
    env.clock.advance(55 * 60_000);
    assert_eq!(send(&env, &phone(), "login").await.status, 202);
}

#[tokio::test]
async fn malformed_address_or_code_names_its_field() {
    let env = TestEnv::new().await;
    for (body, field) in [
        (json!({"purpose": "login"}), "email"),
        (json!({"purpose": "login", "email": "ada@example.com", "phone": PHONE}), "phone"),
        (json!({"purpose": "login", "email": "ada"}), "email"),
        (json!({"purpose": "login", "phone": "0170 1234567"}), "phone"),
        (json!({"purpose": "other", "phone": PHONE}), "purpose"),
        (json!({"phone": PHONE}), "purpose"),
    ] {
        let refused = env.send(Call::post(SEND).json(&body)).await;
        assert_eq!(refused.problem(), problem(422, "validation_failed"), "{body}");
        assert_eq!(refused.json()["errors"][0]["field"], field, "{body}");
    }
    let refused = verify(&env, &phone(), "login", "12345").await;
    assert_eq!(refused.json()["errors"][0]["field"], "code");
}

#[tokio::test]
async fn sign_in_by_code_of_unverified_account_removes_password_and_sessions() {
    let env = TestEnv::new().await;
    let squatter = env.register("ada").await;
    let address = json!({"email": "ADA@example.com"});
    env.clock.advance(1_000);
    let code = code(&env, &address, "login").await;
    let owner = Member::of(&verify(&env, &address, "login", &code).await.json());
    assert_eq!(owner.id, squatter.id);
    let me = async |member: &Member| env.send(Call::get("/api/v1/users/me").token(&member.access)).await;
    assert_eq!(me(&squatter).await.problem(), problem(401, "session_ended"));
    assert_eq!(me(&owner).await.json()["email_verified"], true);
    assert_eq!(login(&env, "correct horse").await, 401);
}

#[tokio::test]
async fn verified_own_address_keeps_password_and_other_sessions() {
    let env = TestEnv::new().await;
    let (ada, address) = (env.register("ada").await, json!({"email": "ada@example.com"}));
    let code_of_ada = code(&env, &address, "verify").await;
    let refused = verify(&env, &address, "verify", &code_of_ada).await;
    assert_eq!(refused.problem(), problem(401, "token_missing"));
    let answer = env.send(shown(&address, "verify", &code_of_ada).token(&ada.access)).await;
    assert_eq!((answer.status, &answer.json()["user"]["email_verified"]), (200, &json!(true)));
    assert_eq!(Member::of(&answer.json()).session, ada.session);
    assert_eq!(login(&env, "correct horse").await, 200);
    env.clock.advance(60_000);
    let code = code(&env, &address, "login").await;
    assert_eq!(verify(&env, &address, "login", &code).await.status, 200);
    assert_eq!(login(&env, "correct horse").await, 200);
}

#[tokio::test]
async fn changed_address_is_told_to_the_old_one_and_somebody_elses_is_refused() {
    let env = TestEnv::new().await;
    let (ada, eve) = (env.register("ada").await, env.register("eve").await);
    let new = json!({"email": "new@example.com"});
    let code_of_new = code(&env, &new, "verify").await;
    let answer = env.send(shown(&new, "verify", &code_of_new).token(&ada.access)).await;
    assert_eq!(answer.json()["user"]["email"], "new@example.com");
    let mail = env.mailbox().await.remove(0);
    assert_eq!((&mail["to"], &mail["purpose"]), (&json!("ada@example.com"), &json!("email_changed")));
    assert_eq!(login(&env, "correct horse").await, 401, "the old address signs nobody in");

    env.clock.advance(60_000);
    let taken = code(&env, &new, "verify").await;
    let refused = env.send(shown(&new, "verify", &taken).token(&eve.access)).await;
    assert_eq!(refused.problem(), problem(400, "email_taken"));
}

#[tokio::test]
async fn code_for_reset_permits_a_new_password() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let address = json!({"email": "ada@example.com"});
    let code = code(&env, &address, "reset").await;
    let answer = verify(&env, &address, "reset", &code).await;
    let token = answer.json()["reset_token"].clone();
    assert_eq!((answer.status, answer.json()), (200, json!({"reset_token": token})));
    let body = json!({"token": token, "new_password": "staple battery"});
    assert_eq!(env.send(Call::post("/api/v1/auth/reset-password").json(&body)).await.status, 204);
    assert_eq!([login(&env, "correct horse").await, login(&env, "staple battery").await], [401, 200]);
    assert_eq!(env.send(Call::get("/api/v1/users/me").token(&ada.access)).await.status, 401);
}

#[tokio::test]
async fn code_for_reset_of_unknown_address_is_answered_alike_and_not_sent() {
    let env = TestEnv::new().await;
    let sent = send(&env, &json!({"email": "nobody@example.com"}), "reset").await;
    assert_eq!((sent.status, sent.json()), (202, json!({"expires_in": 300, "resend_in": 60})));
    assert_eq!(env.mailbox().await, Vec::<Value>::new());
}

#[tokio::test]
async fn link_resets_password_once_and_unknown_address_gets_none() {
    let env = TestEnv::with(&[("PUBLIC_URL", "https://chat.example")]).await;
    env.register("ada").await;
    let forgot = async |email: &str| {
        env.send(Call::post("/api/v1/auth/forgot-password").json(&json!({"email": email}))).await
    };
    let (known, unknown) = (forgot(" Ada@Example.com").await, forgot("nobody@example.com").await);
    assert_eq!((known.status, unknown.status), (202, 202));
    assert_eq!(known.body, unknown.body);
    let mails = env.mailbox().await;
    assert_eq!(mails.len(), 1);
    let (token, link) = (mails[0]["token"].as_str().unwrap(), mails[0]["link"].as_str().unwrap());
    assert_eq!(link, format!("https://chat.example/reset-password?token={token}"));
    let reset = async |new: &str| {
        let body = json!({"token": token, "new_password": new});
        env.send(Call::post("/api/v1/auth/reset-password").json(&body)).await
    };
    assert_eq!(reset("staple battery").await.status, 204);
    assert_eq!(reset("battery staple").await.problem(), problem(401, "code_invalid"));
    assert_eq!(login(&env, "staple battery").await, 200);
}

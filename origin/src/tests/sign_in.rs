//! Tests of sign-up and sign-in, and of their limits.

use serde_json::{Value, json};

use super::test_env::{Answer, Call, Member, TestEnv, problem};

const REGISTER: &str = "/api/v1/auth/register";
const LOGIN: &str = "/api/v1/auth/login";
const TOKEN: &str = "/api/v1/auth/token";
const FORM: &str = "application/x-www-form-urlencoded";

fn login(email: &str, password: &str) -> Call {
    Call::post(LOGIN).json(&json!({"email": email, "password": password}))
}

async fn grant(env: &TestEnv, form: &str) -> Answer {
    env.send(Call::post(TOKEN).bytes(FORM, form.to_owned())).await
}

#[tokio::test]
async fn registration_signs_in() {
    let env = TestEnv::new().await;
    let body = json!({"email": " Ada@Example.COM".trim(), "password": "correct horse", "display_name": "Ada", "later": 1});
    let answer = env.send(Call::post(REGISTER).json(&body)).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("cache-control"), "no-store");
    let tokens = answer.json();
    let user = json!({
        "id": tokens["user"]["id"], "email": "ada@example.com", "email_verified": false, "phone": null,
        "phone_verified": false, "display_name": "Ada", "avatar_url": null, "locale": null, "timezone": null,
        "plan": "basic", "created_at": "2026-11-21T09:30:00.007Z", "guest": false,
    });
    assert_eq!(tokens["user"], user);
    assert_eq!(
        (&tokens["token_type"], &tokens["expires_in"], &tokens["refresh_expires_in"]),
        (&json!("bearer"), &json!(900), &json!(604_800))
    );
    let member = Member::of(&tokens);
    for path in ["/api/v1/auth/me", "/api/v1/users/me"] {
        let me = env.send(Call::get(path).token(&member.access)).await;
        assert_eq!((me.status, me.json()), (200, user.clone()));
    }
}

#[tokio::test]
async fn email_in_any_case_registers_once() {
    let env = TestEnv::new().await;
    env.register("ada").await;
    let again = env
        .send(Call::post(REGISTER).json(&json!({"email": "ADA@example.com", "password": "another horse"})))
        .await;
    assert_eq!(again.problem(), problem(400, "email_taken"));
    assert_eq!(again.json()["detail"], "Email already registered");
}

#[tokio::test]
async fn wrong_password_and_unknown_email_get_same_response() {
    let env = TestEnv::new().await;
    let member = env.register("ada").await;
    let good = env.send(login("Ada@Example.com", "correct horse")).await;
    assert_eq!(good.status, 200);
    assert_ne!(Member::of(&good.json()).session, member.session);
    let wrong = env.send(login("ada@example.com", "wrong horse")).await;
    let unknown = env.send(login("eve@example.com", "correct horse")).await;
    assert_eq!(wrong.problem(), problem(401, "invalid_credentials"));
    assert_eq!(wrong.json()["detail"], "Invalid email or password");
    assert_eq!(wrong.problem_body(), unknown.problem_body());
}

#[tokio::test]
async fn invalid_field_is_named() {
    let env = TestEnv::new().await;
    for (body, field) in [
        (json!({"email": "ada@example.com"}), "password"),
        (json!({"email": "ada@example.com", "password": "short"}), "password"),
        (json!({"email": "ada", "password": "correct horse"}), "email"),
        (json!({"email": 7, "password": "correct horse"}), "email"),
        (
            json!({"email": "ada@example.com", "password": "correct horse", "display_name": ""}),
            "display_name",
        ),
    ] {
        let answer = env.send(Call::post(REGISTER).json(&body)).await;
        assert_eq!(answer.problem(), problem(422, "validation_failed"), "{body}");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{body}");
    }
}

/// PostgreSQL does not store one of these characters, and none is part of a name.
#[tokio::test]
async fn control_character_in_name_is_refused_and_field_named() {
    let env = TestEnv::new().await;
    env.register("ada").await;
    for character in ["\0", "\n", "\u{7f}", "\u{85}"] {
        let name = format!("a{character}b");
        let eve = json!({"email": "eve@example.com", "password": "correct horse"});
        let ada = json!({"email": "ada@example.com", "password": "correct horse"});
        for (path, mut body, field) in [
            (REGISTER, eve.clone(), "display_name"),
            (REGISTER, eve, "device_name"),
            (LOGIN, ada, "device_name"),
        ] {
            body[field] = json!(name);
            let answer = env.send(Call::post(path).json(&body)).await;
            assert_eq!(answer.problem(), problem(422, "validation_failed"), "{path} {body}");
            assert_eq!(answer.json()["errors"][0]["field"], field, "{path} {body}");
        }
    }
    // Fields that are only compared or hashed may have any.
    let answer = env.send(login("ada@example.com\0", "correct horse")).await;
    assert_eq!(answer.problem(), problem(401, "invalid_credentials"));
    let body = json!({"email": "bob@example.com", "password": "correct\0horse"});
    assert_eq!(env.send(Call::post(REGISTER).json(&body)).await.status, 201);
    assert_eq!(env.send(login("bob@example.com", "correct\0horse")).await.status, 200);
}

#[tokio::test]
async fn oauth_form_signs_in_and_refreshes() {
    let env = TestEnv::new().await;
    env.register("ada").await;
    let first = grant(&env, "grant_type=password&username=Ada%40example.com&password=correct+horse").await;
    assert_eq!((first.status, first.header("cache-control")), (200, "no-store"));
    let tokens = first.json();
    let names: Vec<_> = tokens.as_object().unwrap().keys().collect();
    assert_eq!(names, ["access_token", "expires_in", "refresh_token", "scope", "token_type"]);
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let second = grant(&env, &format!("grant_type=refresh_token&refresh_token={refresh}")).await;
    assert_eq!(second.status, 200);
    let access = second.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(env.send(Call::get("/api/v1/auth/me").token(&access)).await.status, 200);
}

#[tokio::test]
async fn oauth_form_fails_by_its_standard() {
    let env = TestEnv::new().await;
    env.register("ada").await;
    let long =
        format!("username=ada@example.com&password=correct horse battery&refresh_token={}", "x".repeat(257));
    for (form, error) in [
        (long.as_str(), "invalid_request"),
        ("", "invalid_request"),
        ("grant_type=password", "invalid_request"),
        ("grant_type=password&username=a", "invalid_request"),
        ("grant_type=refresh_token", "invalid_request"),
        ("grant_type=password&grant_type=password", "invalid_request"),
        ("grant_type=client_credentials", "unsupported_grant_type"),
        ("grant_type=password&username=ada@example.com&password=wrong", "invalid_grant"),
        ("grant_type=refresh_token&refresh_token=nonsense", "invalid_grant"),
    ] {
        let answer = grant(&env, form).await;
        assert_eq!((answer.status, answer.header("content-type")), (400, "application/json"), "{form}");
        assert_eq!(answer.json()["error"], error, "{form}");
        assert_ne!(answer.header("x-request-id"), "");
    }
    let as_json = env.send(Call::post(TOKEN).json(&json!({"grant_type": "password"}))).await;
    assert_eq!((as_json.status, &as_json.json()["error"]), (400, &json!("invalid_request")));
}

#[tokio::test]
async fn failures_from_one_address_are_delayed_ever_longer() {
    let env = TestEnv::new().await;
    env.register("ada").await;
    let try_in =
        |password: &'static str, ip: &'static str| env.send(env.sign(login("ada@example.com", password), ip));
    for _ in 0..6 {
        assert_eq!(try_in("wrong horse", "203.0.113.7").await.status, 401);
    }
    for wait_s in [1, 2, 4, 8] {
        let refused = try_in("correct horse", "203.0.113.7").await;
        assert_eq!(refused.problem(), problem(429, "rate_limited"));
        assert_eq!(refused.header("retry-after"), wait_s.to_string());
        assert_eq!(refused.header("ratelimit-policy"), "\"failures\";q=5;w=54000");
        env.clock.advance(wait_s * 1_000);
        assert_eq!(try_in("wrong horse", "203.0.113.7").await.status, 401);
    }
    // Another network is not affected, and the first one only for the delay. A success costs nothing.
    assert_eq!(try_in("correct horse", "203.0.114.8").await.status, 200);
    env.clock.advance(16_000);
    assert_eq!(try_in("correct horse", "203.0.113.7").await.status, 200);
    assert_eq!(try_in("correct horse", "203.0.113.7").await.status, 200);
}

#[tokio::test]
async fn address_sign_ups_are_limited_per_window() {
    let env = TestEnv::with(&[("RATE_LIMIT_REQUESTS", "2"), ("RATE_LIMIT_WINDOW_SECONDS", "30")]).await;
    let sign_up = |number: u32, ip: &'static str| {
        let body: Value = json!({"email": format!("user{number}@example.com"), "password": "correct horse"});
        env.send(env.sign(Call::post(REGISTER).json(&body), ip))
    };
    assert_eq!(sign_up(1, "2001:db8::1").await.status, 201);
    assert_eq!(sign_up(2, "2001:db8::2").await.status, 201);
    let refused = sign_up(3, "2001:db8::3").await;
    assert_eq!(refused.problem(), problem(429, "rate_limited"));
    assert_eq!(refused.header("retry-after"), "30");
    assert_eq!(sign_up(4, "2001:db8:0:1::1").await.status, 201);
    // Sign-ins have a separate count.
    let signed = env.sign(login("user1@example.com", "correct horse"), "2001:db8::1");
    assert_eq!(env.send(signed).await.status, 200);
    env.clock.advance(30_000);
    assert_eq!(sign_up(3, "2001:db8::3").await.status, 201);
}

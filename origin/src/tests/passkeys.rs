//! Passkeys: registrations, sign-ins and what is refused; and the files for apps.

use rstest::rstest;
use serde_json::{Value, json};

use super::{
    authenticator::{Authenticator, encode},
    test_env::{Answer, Call, Member, TestEnv, problem},
};
use crate::store::contract::down;

const PASSKEYS: &str = "/api/v1/auth/passkeys";
const SITE: &str = "https://app.example.com";
const VARS: [(&str, &str); 2] = [("PASSKEY_RP_ID", "example.com"), ("PASSKEY_ORIGINS", SITE)];

fn post(path: &str) -> Call {
    Call::post(format!("{PASSKEYS}{path}"))
}

async fn registration_options(env: &TestEnv, user: &Member) -> Value {
    let answer = env.send(post("/register/options").token(&user.access)).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{:?}", answer.body);
    answer.json()
}

fn registration(user: &Member, options: &Value, credential: &Value) -> Call {
    let body = json!({"challenge_id": options["challenge_id"], "credential": credential, "name": "Phone"});
    post("/register").token(&user.access).json(&body)
}

/// Registers a passkey of the user that the device keeps.
async fn register(env: &TestEnv, user: &Member, device: &mut Authenticator) -> Value {
    let options = registration_options(env, user).await;
    let credential = device.make(SITE, &options);
    let answer = env.send(registration(user, &options, &credential)).await;
    assert_eq!(answer.status, 201, "{:?}", answer.body);
    answer.json()
}

async fn login_options(env: &TestEnv) -> Value {
    let answer = env.send(post("/login/options")).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.json()
}

fn login(options: &Value, credential: &Value) -> Call {
    let body = json!({"challenge_id": options["challenge_id"], "credential": credential});
    post("/login").json(&body)
}

async fn sign_in(env: &TestEnv, device: &mut Authenticator) -> Answer {
    let options = login_options(env).await;
    let credential = device.sign(SITE, &options);
    env.send(login(&options, &credential)).await
}

fn refused() -> (u16, String) {
    problem(401, "invalid_credentials")
}

#[tokio::test]
async fn registered_passkey_signs_in_without_a_name() {
    let env = TestEnv::with(&VARS).await;
    let (ada, mut device) = (env.register("ada").await, Authenticator::new(1));
    env.clock.advance(1_000);
    let passkey = register(&env, &ada, &mut device).await;
    assert_eq!((&passkey["name"], &passkey["last_used_at"]), (&json!("Phone"), &Value::Null));
    env.clock.advance(1_000);
    let signed_in = sign_in(&env, &mut device).await;
    assert_eq!((signed_in.status, signed_in.header("cache-control")), (200, "no-store"));
    let session = Member::of(&signed_in.json());
    assert_eq!(session.id, ada.id);
    assert_ne!(session.session, ada.session);
    let me = env.send(Call::get("/api/v1/users/me").token(&session.access)).await;
    assert_eq!(me.status, 200);

    let listed = env.send(Call::get(PASSKEYS).token(&ada.access)).await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["id"], passkey["id"]);
    assert!(listed["items"][0]["last_used_at"].is_string());
    let options = registration_options(&env, &ada).await;
    let excluded = options["public_key"]["excludeCredentials"].as_array().unwrap().clone();
    assert_eq!(excluded.len(), 1, "the authenticator makes no second one");
    let events = env.send(Call::get("/api/v1/users/me/events").token(&ada.access)).await.json();
    let kinds: Vec<_> = events["items"].as_array().unwrap().iter().map(|event| &event["kind"]).collect();
    assert_eq!(kinds, ["signed_in", "passkey_added", "signed_up"]);
}

#[tokio::test]
async fn challenge_is_answered_once_within_five_minutes_by_whom_it_is_for() {
    let env = TestEnv::with(&VARS).await;
    let (ada, bob, mut device) =
        (env.register("ada").await, env.register("bob").await, Authenticator::new(1));
    let used = problem(401, "code_invalid");

    let options = registration_options(&env, &ada).await;
    let credential = device.make(SITE, &options);
    assert_eq!(env.send(registration(&bob, &options, &credential)).await.problem(), used, "it is Ada's");
    assert_eq!(env.send(login(&options, &sample())).await.problem(), used, "it is for a registration");
    assert_eq!(env.send(registration(&ada, &options, &credential)).await.status, 201);
    assert_eq!(env.send(registration(&ada, &options, &credential)).await.problem(), used, "it was answered");

    let options = login_options(&env).await;
    let signed = device.sign(SITE, &options);
    assert_eq!(env.send(login(&options, &signed)).await.status, 200);
    assert_eq!(env.send(login(&options, &signed)).await.problem(), used, "it was answered");
    let other = login_options(&env).await;
    assert_eq!(env.send(login(&other, &signed)).await.problem(), refused(), "it answers another one");

    let options = login_options(&env).await;
    let signed = device.sign(SITE, &options);
    env.clock.advance(300_000);
    assert_eq!(env.send(login(&options, &signed)).await.problem(), used, "it has expired");
}

/// A credential that has the shape of one.
fn sample() -> Value {
    json!({
        "id": "AA", "rawId": "AA", "type": "public-key", "clientExtensionResults": {},
        "response": {"clientDataJSON": "AA", "authenticatorData": "AA", "signature": "AA", "userHandle": "AA"},
    })
}

#[tokio::test]
async fn other_site_or_unverified_user_is_refused() {
    let env = TestEnv::with(&VARS).await;
    let (ada, mut device) = (env.register("ada").await, Authenticator::new(1));
    for (site, verifies_user, reason) in [
        ("https://other.example.com", true, "was made by a site or an app that is not in PASSKEY_ORIGINS"),
        (SITE, false, "has not verified the user"),
    ] {
        let options = registration_options(&env, &ada).await;
        let mut stranger = Authenticator { verifies_user, ..Authenticator::new(9) };
        let credential = stranger.make(site, &options);
        let answer = env.send(registration(&ada, &options, &credential)).await;
        assert_eq!(answer.problem(), problem(422, "validation_failed"));
        assert_eq!(answer.json()["errors"], json!([{"field": "credential", "message": reason}]));
    }

    register(&env, &ada, &mut device).await;
    let options = login_options(&env).await;
    let signed = device.sign("https://other.example.com", &options);
    assert_eq!(env.send(login(&options, &signed)).await.problem(), refused());
    let options = login_options(&env).await;
    let mut unverified = Authenticator { verifies_user: false, ..device.clone() };
    let signed = unverified.sign(SITE, &options);
    assert_eq!(env.send(login(&options, &signed)).await.problem(), refused());
    // A failure is noted after its answer.
    env.app.auth.flush().await;
    let events = env.send(Call::get("/api/v1/users/me/events").token(&ada.access)).await.json();
    let kinds = events["items"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap());
    assert_eq!(kinds.filter(|kind| *kind == "sign_in_failed").count(), 2);
}

#[tokio::test]
async fn copied_passkey_whose_count_does_not_rise_is_refused() {
    let env = TestEnv::with(&VARS).await;
    let (ada, mut device) = (env.register("ada").await, Authenticator::new(1));
    register(&env, &ada, &mut device).await;
    let mut copy = device.clone();
    assert_eq!(sign_in(&env, &mut device).await.status, 200);
    assert_eq!(sign_in(&env, &mut copy).await.problem(), refused());
    assert_eq!(sign_in(&env, &mut device).await.status, 200);
}

#[tokio::test]
async fn synchronised_passkey_does_not_count() {
    let env = TestEnv::with(&VARS).await;
    let (ada, mut phone) =
        (env.register("ada").await, Authenticator { count: None, ..Authenticator::new(1) });
    assert_eq!(register(&env, &ada, &mut phone).await["backed_up"], true);
    let mut laptop = phone.clone();
    for device in [&mut phone, &mut laptop] {
        assert_eq!(sign_in(&env, device).await.status, 200);
    }
    // One that is bound to its device from one day on is another one.
    let mut bound = Authenticator { count: Some(7), ..phone };
    assert_eq!(sign_in(&env, &mut bound).await.problem(), refused());
}

#[tokio::test]
async fn changed_signature_or_user_is_refused() {
    let env = TestEnv::with(&VARS).await;
    let (ada, bob, mut device) =
        (env.register("ada").await, env.register("bob").await, Authenticator::new(1));
    register(&env, &ada, &mut device).await;
    for (field, value) in [
        (
            "signature",
            json!(
                "MEUCIQDxV1kfR8jbKtRSYCYBBrB_FdXNaUYYDkZFEqGoLY4ZNwIgfZtL4u0i3fH4ZlPeqQ-5w2J3vH-2aXWmXzX0Rk8v0mA"
            ),
        ),
        ("userHandle", json!(encode(bob.id.as_bytes()))),
        ("userHandle", Value::Null),
    ] {
        let options = login_options(&env).await;
        let mut signed = device.sign(SITE, &options);
        signed["response"][field] = value;
        assert_eq!(env.send(login(&options, &signed)).await.problem(), refused(), "{field}");
    }
    let options = login_options(&env).await;
    let mut signed = device.sign(SITE, &options);
    (signed["rawId"], signed["id"]) = (json!("AAAA"), json!("AAAA"));
    let unknown = env.send(login(&options, &signed)).await;
    let options = login_options(&env).await;
    let mut signed = device.sign(SITE, &options);
    signed["response"]["signature"] = json!("AAAA");
    // The answer does not tell whether there is such a passkey.
    assert_eq!(unknown.problem_body(), env.send(login(&options, &signed)).await.problem_body());
}

#[tokio::test]
async fn passkey_is_named_and_removed_by_its_user_alone() {
    let env = TestEnv::with(&VARS).await;
    let (ada, bob, mut device) =
        (env.register("ada").await, env.register("bob").await, Authenticator::new(1));
    let passkey = register(&env, &ada, &mut device).await;
    let path = format!("{PASSKEYS}/{}", passkey["id"].as_str().unwrap());
    let rename = |user: &Member, name: &str| {
        Call::new("PATCH", path.clone()).token(&user.access).json(&json!({"name": name}))
    };
    let remove = |user: &Member| Call::new("DELETE", path.clone()).token(&user.access);
    let absent = problem(404, "not_found");
    assert_eq!(env.send(rename(&bob, "Mine")).await.problem(), absent);
    assert_eq!(env.send(remove(&bob)).await.problem(), absent);
    assert_eq!(env.send(rename(&ada, "")).await.problem(), problem(422, "validation_failed"));
    assert_eq!(env.send(rename(&ada, "Laptop")).await.json()["name"], "Laptop");
    assert_eq!(env.send(remove(&ada)).await.status, 204);
    assert_eq!(env.send(remove(&ada)).await.problem(), absent);
    assert_eq!(sign_in(&env, &mut device).await.problem(), refused());
}

#[tokio::test]
async fn last_way_in_is_not_removed() {
    // Codes go out, to an address that the user has.
    let env = TestEnv::with(&VARS).await;
    let phone = json!({"phone": "+491701234567", "purpose": "login"});
    env.send(Call::post("/api/v1/auth/otp/send").json(&phone)).await;
    env.app.job_runner().run_due().await;
    let mut shown = phone.clone();
    shown["code"] = env.send(Call::get("/dev/mailbox")).await.json()["items"][0]["code"].clone();
    let tokens = env.send(Call::post("/api/v1/auth/otp/verify").json(&shown)).await.json();
    let (grace, mut device) = (Member::of(&tokens), Authenticator::new(1));
    let passkey = register(&env, &grace, &mut device).await;
    let path = format!("{PASSKEYS}/{}", passkey["id"].as_str().unwrap());
    let remove = || Call::new("DELETE", path.clone()).token(&grace.access);

    // The same stores, where none are sent any more.
    let production = [
        ("EDGECHAT_ENV", "production"),
        ("EDGE_URL", "https://edge.example.com"),
        ("CORS_ORIGINS", SITE),
        VARS[0],
        VARS[1],
    ];
    let silent = env.configured(&production);
    let refused = silent.send(silent.sign(remove(), "203.0.113.7")).await;
    assert_eq!(refused.problem(), problem(409, "conflict"));
    assert_eq!(env.send(remove()).await.status, 204);
}

#[tokio::test]
async fn user_has_at_most_twenty_passkeys() {
    let env = TestEnv::with(&VARS).await;
    let ada = env.register("ada").await;
    // Asked for while there was room.
    let late = registration_options(&env, &ada).await;
    for number in 0..20 {
        register(&env, &ada, &mut Authenticator::new(number)).await;
    }
    let full = problem(409, "conflict");
    assert_eq!(env.send(post("/register/options").token(&ada.access)).await.problem(), full);
    let credential = Authenticator::new(21).make(SITE, &late);
    assert_eq!(env.send(registration(&ada, &late, &credential)).await.problem(), full);
}

#[tokio::test]
async fn attempts_from_one_address_are_limited() {
    let vars = [VARS[0], VARS[1], ("RATE_LIMIT_REQUESTS", "2")];
    let env = TestEnv::with(&vars).await;
    let ask = |ip| env.sign(post("/login/options"), ip);
    for _ in 0..4 {
        assert_eq!(env.send(ask("203.0.113.7")).await.status, 200);
    }
    assert_eq!(env.send(ask("203.0.113.7")).await.problem(), problem(429, "rate_limited"));
    let id = json!({"challenge_id": "019aa5d2-9000-7000-8000-9f8e7d6c5b4a"});
    let guess = env.sign(login(&id, &sample()), "203.0.113.7");
    assert_eq!(env.send(guess).await.problem(), problem(429, "rate_limited"));
    assert_eq!(env.send(ask("203.0.113.8")).await.status, 200);
}

#[tokio::test]
async fn passkeys_without_their_store_are_unavailable() {
    let env = TestEnv::with(&VARS).await;
    let (ada, mut device) = (env.register("ada").await, Authenticator::new(1));
    register(&env, &ada, &mut device).await;
    let options = login_options(&env).await;
    let signed = device.sign(SITE, &options);
    let down = env.on_stores(|stores| stores.ephemeral = down::ephemeral());
    let unavailable = problem(503, "store_unavailable");
    assert_eq!(down.send(post("/login/options")).await.problem(), unavailable);
    assert_eq!(down.send(login(&options, &signed)).await.problem(), unavailable);
    assert_eq!(env.send(login(&options, &signed)).await.status, 200, "the challenge is still there");
}

#[rstest]
#[case("POST", "/register/options")]
#[case("POST", "/register")]
#[case("POST", "/login/options")]
#[case("POST", "/login")]
#[case("GET", "")]
#[case("PATCH", "/019aa5d2-9000-7000-8000-9f8e7d6c5b4a")]
#[case("DELETE", "/019aa5d2-9000-7000-8000-9f8e7d6c5b4a")]
#[tokio::test]
async fn route_without_configuration_is_absent(#[case] method: &'static str, #[case] path: &str) {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let body = json!({
        "challenge_id": "019aa5d2-9000-7000-8000-9f8e7d6c5b4a", "credential": sample(), "name": "Phone",
    });
    let call = Call::new(method, format!("{PASSKEYS}{path}")).token(&ada.access).json(&body);
    assert_eq!(env.send(call).await.problem(), problem(404, "not_found"));
}

#[tokio::test]
async fn credential_of_another_shape_is_a_field_error() {
    let env = TestEnv::with(&VARS).await;
    let ada = env.register("ada").await;
    let options = registration_options(&env, &ada).await;
    for credential in [json!({}), json!({"id": "AA"}), sample()] {
        let answer = env.send(registration(&ada, &options, &credential)).await;
        assert_eq!(answer.problem(), problem(422, "validation_failed"));
        assert_eq!(answer.json()["errors"][0]["field"], "credential");
    }
    let credential = Authenticator::new(1).make(SITE, &options);
    let answer = env.send(registration(&ada, &options, &credential)).await;
    assert_eq!(answer.status, 201, "what was no credential has not used the challenge up");
}

#[tokio::test]
async fn apps_of_ios_and_android_are_listed_where_they_look() {
    let fingerprint = vec!["AB"; 32].join(":");
    let android = format!("com.example.chat:{fingerprint}");
    let vars = [("APPLE_APP_IDS", "A1B2C3D4E5.com.example.chat"), ("ANDROID_APPS", &android)];
    let (env, bare) = (TestEnv::with(&vars).await, TestEnv::new().await);
    let files = [
        (
            "/.well-known/apple-app-site-association",
            json!({"webcredentials": {"apps": ["A1B2C3D4E5.com.example.chat"]}}),
        ),
        (
            "/.well-known/assetlinks.json",
            json!([{
                "relation": [
                    "delegate_permission/common.handle_all_urls",
                    "delegate_permission/common.get_login_creds",
                ],
                "target": {
                    "namespace": "android_app",
                    "package_name": "com.example.chat",
                    "sha256_cert_fingerprints": [fingerprint],
                },
            }]),
        ),
    ];
    for (path, expected) in files {
        let answer = env.send(Call::get(path)).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
        assert_eq!(answer.json(), expected);
        assert_eq!(bare.send(Call::get(path)).await.problem(), problem(404, "not_found"));
    }
}

//! Sign-in with Google and Apple.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use ring::signature::{ECDSA_P256_SHA256_FIXED, KeyPair as _, UnparsedPublicKey};
use serde_json::{Value, json};
use sha2::Sha256;
use shared::time::DAY_MS;

use super::{
    id_tokens::signing_input,
    provider::{CLIENT, Provider, google_claims, public_key, sign, sign_as},
    test_env::{Answer, Call, Member, TestEnv, problem},
};
use crate::{clock::Clock as _, jobs::apple::schedule_revocations};

const GOOGLE: &str = "/api/v1/auth/oidc/google";
const APPLE: &str = "/api/v1/auth/oidc/apple";
/// A key that was made for this test.
const APPLE_KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgpsIyoQlz//gH8hf4sfgZaH1s+L3q2ymfAfCxfSenZMChRANCAATz7RECW8xsegHSHmFifIkEBcBufvYetNkQ/fAw0ptuBBkAS3ligLm8DTUUhI5f1x1hPVigMb6ChhURzb2bTsva";

async fn google() -> (TestEnv, Provider) {
    let (provider, url) = Provider::start().await;
    let keys = format!("{url}/keys");
    let env = TestEnv::with(&[("GOOGLE_CLIENT_IDS", CLIENT), ("GOOGLE_JWKS_URL", &keys)]).await;
    (env, provider)
}

async fn apple() -> (TestEnv, Provider) {
    let (provider, url) = Provider::start().await;
    let [keys, token, revoke] = ["keys", "token", "revoke"].map(|path| format!("{url}/{path}"));
    let env = TestEnv::with(&[
        ("APPLE_CLIENT_IDS", CLIENT),
        ("APPLE_JWKS_URL", &keys),
        ("APPLE_TOKEN_URL", &token),
        ("APPLE_REVOKE_URL", &revoke),
        ("APPLE_TEAM_ID", "A1B2C3D4E5"),
        ("APPLE_KEY_ID", "F6G7H8I9J0"),
        ("APPLE_PRIVATE_KEY", APPLE_KEY),
    ])
    .await;
    (env, provider)
}

async fn show(env: &TestEnv, path: &str, token: &str) -> Answer {
    env.send(Call::post(path).json(&json!({ "id_token": token }))).await
}

fn apple_claims(env: &TestEnv, subject: &str) -> Value {
    let mut claims = google_claims(env, subject, Some("hidden@privaterelay.appleid.com"));
    claims["iss"] = json!("https://appleid.apple.com");
    claims["email_verified"] = json!("true");
    claims
}

async fn kinds(env: &TestEnv, member: &Member) -> Vec<String> {
    let events = env.send(Call::get("/api/v1/users/me/events").token(&member.access)).await.json();
    events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn google_token_signs_up_and_then_in() {
    let (env, _provider) = google().await;
    let token = sign("first", &google_claims(&env, "g-1", Some("Ada@Example.com")));
    let signed_up = show(&env, GOOGLE, &token).await;
    assert_eq!(
        (signed_up.status, signed_up.header("cache-control")),
        (200, "no-store"),
        "{:?}",
        signed_up.body
    );
    let user = signed_up.json()["user"].clone();
    assert_eq!((&user["email"], &user["email_verified"]), (&json!("ada@example.com"), &json!(true)));
    assert_eq!((&user["display_name"], &user["guest"]), (&json!("Ada Lovelace"), &json!(false)));
    env.clock.advance(60_000);
    let other_address = sign("first", &google_claims(&env, "g-1", Some("new@example.com")));
    let signed_in = show(&env, GOOGLE, &other_address).await;
    assert_eq!(signed_in.json()["user"], user);
    let member = Member::of(&signed_in.json());
    assert_eq!(kinds(&env, &member).await, ["signed_in", "signed_up"]);
}

#[tokio::test]
async fn verified_address_links_to_its_account_and_proves_it() {
    let (env, _provider) = google().await;
    let ada = env.register("ada").await;
    let unverified = {
        let mut claims = google_claims(&env, "g-2", Some("ada@example.com"));
        claims["email_verified"] = json!(false);
        show(&env, GOOGLE, &sign("first", &claims)).await.json()["user"].clone()
    };
    assert_eq!(unverified["email"], Value::Null);
    assert_ne!(unverified["id"], json!(ada.id));
    let token = sign("first", &google_claims(&env, "g-1", Some("ada@example.com")));
    let linked = show(&env, GOOGLE, &token).await.json();
    assert_eq!((&linked["user"]["id"], &linked["user"]["email_verified"]), (&json!(ada.id), &json!(true)));
    // Whoever registered had never verified the address.
    let me = env.send(Call::get("/api/v1/users/me").token(&ada.access)).await;
    assert_eq!(me.problem(), problem(401, "session_ended"));
    let body = json!({ "email": "ada@example.com", "password": "correct horse" });
    assert_eq!(env.send(Call::post("/api/v1/auth/login").json(&body)).await.status, 401);
}

#[tokio::test]
async fn token_that_is_not_the_providers_is_refused() {
    let (env, _provider) = google().await;
    let claims = google_claims(&env, "g-1", Some("ada@example.com"));
    let good = sign("first", &claims);
    let header = json!({ "alg": "RS256", "kid": "first" });
    let hs256 = json!({ "alg": "HS256", "kid": "first" });
    let confused = |key: &[u8]| {
        let signed = signing_input(&hs256, &claims);
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    };
    let modulus = URL_SAFE_NO_PAD.decode(public_key("first")["n"].as_str().unwrap()).unwrap();
    let mut flipped = good.clone().into_bytes();
    let middle = good.find('.').unwrap() + 20;
    flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };
    let (input, signature) = good.rsplit_once('.').unwrap();
    let mut short = URL_SAFE_NO_PAD.decode(signature).unwrap();
    short.pop();
    let forged = [
        ("another key", sign_as("second", &header, &claims)),
        ("an unknown key", sign("second", &claims)),
        ("none", format!("{}.", signing_input(&json!({ "alg": "none", "kid": "first" }), &claims))),
        ("no signature", format!("{input}.")),
        ("a short signature", format!("{input}.{}", URL_SAFE_NO_PAD.encode(short))),
        ("the modulus as a secret", confused(&modulus)),
        ("the key as a secret", confused(public_key("first").to_string().as_bytes())),
        ("a changed claim", String::from_utf8(flipped).unwrap()),
        ("a key of its own", {
            let header = json!({ "alg": "RS256", "kid": "first", "jwk": public_key("second") });
            sign_as("second", &header, &claims)
        }),
    ];
    for (what, token) in forged {
        assert_eq!(show(&env, GOOGLE, &token).await.problem(), problem(401, "invalid_credentials"), "{what}");
    }
    let apples = sign("first", &apple_claims(&env, "g-1"));
    assert_eq!(show(&env, GOOGLE, &apples).await.json()["detail"], "The id token is of another issuer");
    assert_eq!(show(&env, GOOGLE, &good).await.status, 200);
    env.clock.advance(3_700_000);
    assert_eq!(show(&env, GOOGLE, &good).await.json()["detail"], "The id token has expired");
}

#[tokio::test]
async fn token_with_a_nonce_is_no_use_without_it() {
    let (env, _provider) = google().await;
    let mut claims = google_claims(&env, "g-1", None);
    // The SHA-256 of the nonce, as SDKs are given it.
    claims["nonce"] = json!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    let token = sign("first", &claims);
    for (nonce, status) in
        [(json!("abd"), 401), (Value::Null, 401), (claims["nonce"].clone(), 200), (json!("abc"), 200)]
    {
        let body = json!({ "id_token": token, "nonce": nonce });
        assert_eq!(env.send(Call::post(GOOGLE).json(&body)).await.status, status, "{nonce}");
    }
    let without = sign("first", &google_claims(&env, "g-1", None));
    let body = json!({ "id_token": without, "nonce": "abc" });
    assert_eq!(env.send(Call::post(GOOGLE).json(&body)).await.status, 401);
}

#[tokio::test]
async fn provider_that_is_not_configured_is_not_found() {
    let (env, _provider) = google().await;
    let token = sign("first", &apple_claims(&env, "a-1"));
    let answer = show(&env, APPLE, &token).await;
    assert_eq!(answer.problem(), problem(404, "not_found"));
    assert_eq!(answer.json()["detail"], "Sign-in with Apple is not configured");
}

#[tokio::test]
async fn replaced_key_is_fetched_and_made_up_ids_are_not() {
    let (env, provider) = google().await;
    let token = |kid: &str| sign(kid, &google_claims(&env, "g-1", None));
    assert_eq!(show(&env, GOOGLE, &token("first")).await.status, 200);
    provider.show(&["second"]);
    for _ in 0..5 {
        assert_eq!(show(&env, GOOGLE, &token("second")).await.status, 401, "asked less than 30 s ago");
    }
    assert_eq!(provider.fetches(), 1);
    env.clock.advance(30_000);
    assert_eq!(show(&env, GOOGLE, &token("second")).await.status, 200);
    assert_eq!(show(&env, GOOGLE, &token("first")).await.status, 401, "it was taken back");
    assert_eq!(provider.fetches(), 2);
}

#[tokio::test]
async fn keys_are_used_for_days_while_the_provider_is_down() {
    let (env, provider) = google().await;
    provider.set_down(true);
    let token = |kid: &str| sign(kid, &google_claims(&env, "g-1", None));
    let away = show(&env, GOOGLE, &token("first")).await;
    assert_eq!((away.problem(), away.header("retry-after")), (problem(503, "provider_unavailable"), "5"));
    env.clock.advance(5_000);
    provider.set_down(false);
    assert_eq!(show(&env, GOOGLE, &token("first")).await.status, 200);
    provider.set_down(true);
    env.clock.advance(3 * DAY_MS - 60_000);
    let first = token("first");
    assert_eq!(show(&env, GOOGLE, &first).await.status, 200);
    env.clock.advance(60_000);
    assert_eq!(show(&env, GOOGLE, &first).await.problem(), problem(503, "provider_unavailable"));
}

#[tokio::test]
async fn sign_ins_at_once_fetch_the_keys_once_and_make_one_account() {
    let (env, provider) = google().await;
    let token = sign("first", &google_claims(&env, "g-1", Some("ada@example.com")));
    let answers = futures(&env, &token, 8).await;
    let first = answers[0]["user"]["id"].clone();
    assert!(answers.iter().all(|answer| answer["user"]["id"] == first), "{answers:?}");
    assert_eq!(provider.fetches(), 1);
}

async fn futures(env: &TestEnv, token: &str, count: usize) -> Vec<Value> {
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (router, body) = (env.router(), json!({ "id_token": token }).to_string());
        running.spawn(async move {
            use http_body_util::BodyExt as _;
            use tower::ServiceExt as _;
            let peer = crate::http::signature::Peer(([127, 0, 0, 1], 4_711).into());
            let request = axum::http::Request::post(GOOGLE).header("content-type", "application/json");
            let request = request.extension(peer).body(axum::body::Body::from(body)).unwrap();
            let body = router.oneshot(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
            serde_json::from_slice::<Value>(&body).unwrap()
        });
    }
    running.join_all().await
}

#[tokio::test]
async fn signed_in_user_links_an_identity_and_goes_on() {
    let (env, _provider) = google().await;
    let (ada, eve) = (env.register("ada").await, env.register("eve").await);
    let token = sign("first", &google_claims(&env, "g-1", Some("ada@work.example")));
    let link = |member: &Member| Call::post(GOOGLE).token(&member.access).json(&json!({ "id_token": token }));
    env.clock.advance(1_000);
    let linked = env.send(link(&ada)).await;
    assert_eq!(linked.status, 200, "{:?}", linked.body);
    assert_eq!(linked.json()["user"]["email"], "ada@example.com");
    let linked = Member::of(&linked.json());
    assert_eq!((linked.id, linked.session), (ada.id, ada.session));
    assert_eq!(env.send(link(&eve)).await.problem(), problem(409, "conflict"));
    env.clock.advance(1_000);
    assert_eq!(Member::of(&show(&env, GOOGLE, &token).await.json()).id, ada.id);
    assert_eq!(kinds(&env, &linked).await, ["signed_in", "identity_linked", "signed_up"]);
    let both = json!({ "id_token": token, "merge_guest_token": eve.access });
    let refused = env.send(Call::post(GOOGLE).token(&ada.access).json(&both)).await;
    assert_eq!(refused.problem(), problem(422, "validation_failed"));
}

#[tokio::test]
async fn apple_code_is_exchanged_kept_sealed_and_revoked() {
    let (env, provider) = apple().await;
    let secret_token = "r3fr3sh.0.secret";
    let answer =
        json!({ "refresh_token": secret_token, "id_token": sign("first", &apple_claims(&env, "a-1")) });
    provider.answer(&[(503, json!({})), (400, json!({ "error": "invalid_client" })), (200, answer)]);
    let body = json!({
        "id_token": sign("first", &apple_claims(&env, "a-1")),
        "authorization_code": "c0de.secret",
        "display_name": "Ada",
    });
    let signed_up = env.send(Call::post(APPLE).json(&body)).await;
    assert_eq!(signed_up.status, 200, "{:?}", signed_up.body);
    assert_eq!(signed_up.json()["user"]["display_name"], "Ada");
    assert_eq!(signed_up.json()["user"]["email"], "hidden@privaterelay.appleid.com");
    let (runner, ada) = (env.app.job_runner(), Member::of(&signed_up.json()));
    let accounts = &env.app.stores.accounts;
    for calls in 1..=3 {
        runner.run_due().await;
        assert_eq!(provider.calls().len(), calls);
        env.clock.advance(60_000);
    }
    let tokens = accounts.identity_tokens(ada.id, shared::api::account::Provider::Apple).await.unwrap();
    assert_eq!(tokens.len(), 1);
    assert!(!tokens[0].sealed.windows(6).any(|part| part == b"secret"));

    provider.answer(&[(500, json!({})), (200, json!({}))]);
    for _ in 0..2 {
        schedule_revocations(&**accounts, &*env.app.random, ada.id, env.clock.now()).await.unwrap();
    }
    for _ in 0..3 {
        runner.run_due().await;
        env.clock.advance(60_000);
    }
    let calls = provider.calls();
    let paths: Vec<_> = calls.iter().map(|(path, _)| *path).collect();
    assert_eq!(paths, ["token", "token", "token", "revoke", "revoke"]);
    let (_, exchange) = &calls[2];
    assert_eq!(
        [&*exchange["client_id"], &*exchange["grant_type"], &*exchange["code"]],
        [CLIENT, "authorization_code", "c0de.secret"]
    );
    let (_, revocation) = &calls[4];
    assert_eq!([&*revocation["token"], &*revocation["token_type_hint"]], [secret_token, "refresh_token"]);
    assert_client_secret(&env, &exchange["client_secret"]);
}

/// Asserts that the secret is a JWT as Apple wants it, by the key of the configuration.
fn assert_client_secret(env: &TestEnv, secret: &str) {
    let (signed, signature) = secret.rsplit_once('.').unwrap();
    let key = env.app.config.oidc.apple_tokens.as_ref().unwrap().private_key.expose().public_key();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(signed.as_bytes(), &signature).unwrap();
    let part = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    assert_eq!(part(header), json!({ "alg": "ES256", "kid": "F6G7H8I9J0" }));
    let claims = part(claims);
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("A1B2C3D4E5"), &json!(CLIENT)));
    assert_eq!(claims["aud"], "https://appleid.apple.com");
    let (issued, expires) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
    assert!(issued <= env.clock.now().as_secs() && expires - issued == 300, "{claims}");
}

#[tokio::test]
async fn code_that_apple_refuses_or_that_expired_is_given_up() {
    for (answer, runs, calls) in
        [((400, json!({ "error": "invalid_grant" })), 3, 1), ((503, json!({})), 12, 5)]
    {
        let (env, provider) = apple().await;
        provider.answer(&[answer]);
        let body =
            json!({ "id_token": sign("first", &apple_claims(&env, "a-1")), "authorization_code": "c0de" });
        let signed_up = env.send(Call::post(APPLE).json(&body)).await;
        assert_eq!(signed_up.status, 200);
        let runner = env.app.job_runner();
        for _ in 0..runs {
            runner.run_due().await;
            env.clock.advance(60_000);
        }
        assert!((1..=calls).contains(&provider.calls().len()), "{:?}", provider.calls());
        let ada = Member::of(&signed_up.json());
        let apple = shared::api::account::Provider::Apple;
        assert!(env.app.stores.accounts.identity_tokens(ada.id, apple).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn code_of_another_user_is_not_kept() {
    let (env, provider) = apple().await;
    let other = json!({ "refresh_token": "r", "id_token": sign("first", &apple_claims(&env, "a-2")) });
    provider.answer(&[(200, other)]);
    let body = json!({ "id_token": sign("first", &apple_claims(&env, "a-1")), "authorization_code": "c0de" });
    let ada = Member::of(&env.send(Call::post(APPLE).json(&body)).await.json());
    env.app.job_runner().run_due().await;
    let apple = shared::api::account::Provider::Apple;
    assert!(env.app.stores.accounts.identity_tokens(ada.id, apple).await.unwrap().is_empty());
}

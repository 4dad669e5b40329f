//! Python: httpx and requests; openapi-spec-validator; and schemathesis, which sends requests made from the API's
//! description.

use edgechat_tests::{
    client::{PASSWORD, Phone},
    test_env::TestEnv,
    wait::{BOUND, until},
};
use serde_json::{Value, json};

use super::{
    authenticator::Authenticator,
    tools::{PROGRAM_BOUND, TOOL_BOUND, URL, document_file, kept, python, sources, url},
};

#[tokio::test]
async fn httpx_and_requests_do_the_main_job() {
    let env = TestEnv::start().await;
    python("Python").arg(sources("python").join("plain.py")).env(URL, url(&env)).run(PROGRAM_BOUND).await;
}

#[tokio::test]
async fn description_passes_openapi_spec_validator() {
    let file = document_file(&TestEnv::start().await, &kept("validator")).await;
    python("openapi-spec-validator")
        .args(["-m", "openapi_spec_validator"])
        .arg(file)
        .run(PROGRAM_BOUND)
        .await;
}

#[tokio::test]
async fn schemathesis_finds_nothing() {
    let android = format!("com.example.chat:{}", ["AB"; 32].join(":"));
    let setup = TestEnv::setup().var("PASSKEY_RP_ID", "localhost");
    let setup = setup.var("APPLE_APP_IDS", "A1B2C3D4E5.com.example.chat").var("ANDROID_APPS", android);
    let env = setup.start().await;
    let phone = env.phone().await;
    let (conversation, doomed) = (phone.conversation().await, phone.conversation().await);
    let sent = phone.send_and_persist(conversation, "Hello").await;
    let cut = phone.conversation().await;
    let doomed_message = phone.send_and_persist(cut, "Hello").await.assistant_message.id;
    let code_email = "code@example.com";
    let to_reset = env.phone().await;
    for (path, body) in [
        ("otp/send", json!({ "email": code_email, "purpose": "login" })),
        ("forgot-password", json!({ "email": to_reset.email() })),
    ] {
        let _ =
            env.client().post(&format!("/api/v1/auth/{path}")).json(&body).send().await.expect_status(202);
    }
    let code = from_mailbox(&env, "login", "code").await;
    let reset_token = from_mailbox(&env, "reset", "token").await;
    let mut passkeys = [Authenticator::new(1), Authenticator::new(2)];
    let [renamed, removed] =
        [register_passkey(&phone, &mut passkeys[0]).await, register_passkey(&phone, &mut passkeys[1]).await];
    let passkey_requests = json!({
        "register_passkey": registration(&phone, &mut Authenticator::new(3)).await,
        "login_by_passkey": login(&phone, &mut passkeys[0]).await,
    });
    let file = document_file(&env, &kept("schemathesis")).await;
    let config = sources("python").join("schemathesis.toml");
    let schemathesis = python("schemathesis").args(["-m", "schemathesis.cli", "--config-file"]).arg(config);
    let said = schemathesis
        .arg("run")
        .arg(file)
        .arg("--url")
        .arg(url(&env))
        .env("EDGECHAT_TOKEN", &phone.tokens.access_token)
        .env("EDGECHAT_LOGOUT_TOKEN", &env.phone().await.tokens.access_token)
        .env("EDGECHAT_LOGOUT_ALL_TOKEN", &env.phone().await.tokens.access_token)
        .env("EDGECHAT_CHANGE_PASSWORD_TOKEN", &env.phone().await.tokens.access_token)
        .env("EDGECHAT_DELETE_TOKEN", &env.phone().await.tokens.access_token)
        .env("EDGECHAT_EMAIL", phone.tokens.user.email.as_deref().expect("the e-mail of a registered user"))
        .env("EDGECHAT_PASSWORD", PASSWORD)
        .env("EDGECHAT_CODE_EMAIL", code_email)
        .env("EDGECHAT_CODE", code)
        .env("EDGECHAT_RESET_TOKEN", reset_token)
        .env("EDGECHAT_CONVERSATION", conversation.to_string())
        .env("EDGECHAT_DOOMED", doomed.to_string())
        .env("EDGECHAT_CUT", cut.to_string())
        .env("EDGECHAT_DOOMED_MESSAGE", doomed_message.to_string())
        .env("EDGECHAT_SESSION", phone.sign_in_again().await.tokens.session_id.to_string())
        .env("EDGECHAT_PASSKEY", renamed)
        .env("EDGECHAT_DOOMED_PASSKEY", removed)
        .env("EDGECHAT_PASSKEY_REQUESTS", passkey_requests.to_string())
        .env("EDGECHAT_TURN", sent.turn_id.to_string())
        .env(
            "EDGECHAT_MESSAGE",
            sent.user_message.as_ref().expect("the message that was sent").id.to_string(),
        )
        // The requests are the same in every run.
        .env("PYTHONHASHSEED", "0")
        .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
        .env("PYTHONPATH", sources("python"))
        .in_folder(kept("schemathesis"))
        .run(TOOL_BOUND)
        .await;
    for phase in ["Examples", "Coverage", "Fuzzing"] {
        assert!(said.contains(&format!("✅ {phase}")), "{said}");
    }
}

/// Returns a field of the message for a purpose, once it is in the mailbox.
async fn from_mailbox(env: &TestEnv, purpose: &str, field: &str) -> String {
    until(BOUND, "a message in the mailbox", || async {
        let mailbox: Value =
            env.client_of_origin().get("/dev/mailbox").send().await.expect_status(200).value();
        let messages = mailbox["items"].as_array()?;
        let message = messages.iter().find(|message| message["purpose"] == purpose)?;
        message[field].as_str().map(str::to_owned)
    })
    .await
}

/// The site whose passkeys the environment accepts.
const SITE: &str = "https://localhost";

/// Registers a passkey of this user and returns its id.
async fn register_passkey(phone: &Phone, authenticator: &mut Authenticator) -> String {
    let body = registration(phone, authenticator).await;
    let answer = phone.client.post("/api/v1/auth/passkeys/register").json(&body).send().await;
    answer.expect_status(201).value()["id"].as_str().expect("an id").to_owned()
}

/// Returns a request that registers a passkey.
async fn registration(phone: &Phone, authenticator: &mut Authenticator) -> Value {
    let options = passkey_options(phone, "register").await;
    json!({ "challenge_id": options["challenge_id"], "credential": authenticator.make(SITE, &options) })
}

/// Returns a request that signs in by a passkey.
async fn login(phone: &Phone, authenticator: &mut Authenticator) -> Value {
    let options = passkey_options(phone, "login").await;
    json!({ "challenge_id": options["challenge_id"], "credential": authenticator.sign(SITE, &options) })
}

async fn passkey_options(phone: &Phone, purpose: &str) -> Value {
    let path = format!("/api/v1/auth/passkeys/{purpose}/options");
    phone.client.post(&path).send().await.expect_status(200).value()
}

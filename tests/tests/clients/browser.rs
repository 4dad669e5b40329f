//! Chromium: the documentation, read and tried by a developer; passkeys, made and used by a user of a web app.

use edgechat_tests::{
    client::PASSWORD,
    program::Program,
    test_env::{Port, TestEnv},
};
use serde_json::json;

use super::tools::{PROGRAM_BOUND, URL, chromium, node, sources, url};

/// Node, running a program that drives Chromium.
fn in_browser(script: &str) -> Program {
    node("the browser", sources("node").join(script)).env("EDGECHAT_CHROMIUM_BIN", chromium())
}

#[tokio::test]
async fn documentation_signs_in_tries_an_operation_and_asks_no_other_host() {
    let env = TestEnv::start().await;
    let email = "ada@example.com";
    let body = json!({ "email": email, "password": PASSWORD });
    let _ = env.client().post("/api/v1/auth/register").json(&body).send().await.expect_status(201);
    let program = in_browser("documentation.mjs").env(URL, url(&env));
    program.env("EDGECHAT_EMAIL", email).env("EDGECHAT_PASSWORD", PASSWORD).run(PROGRAM_BOUND).await;
}

#[tokio::test]
async fn passkey_signs_in_from_its_own_site_and_from_no_other() {
    let (site, other_site) = (Port::reserve(), Port::reserve());
    let [site_url, other_url] = [&site, &other_site].map(|port| port.url().replace("127.0.0.1", "localhost"));
    let env = TestEnv::setup()
        .var("PASSKEY_RP_ID", "localhost")
        .var("PASSKEY_ORIGINS", &site_url)
        .var("CORS_ORIGINS", format!("{site_url},{other_url}"));
    let env = env.start().await;
    let program = in_browser("passkeys.mjs").env(URL, url(&env));
    let program = program.env("EDGECHAT_SITE", site_url).env("EDGECHAT_OTHER_SITE", other_url);
    program.env("EDGECHAT_TOKEN", env.phone().await.tokens.access_token).run(PROGRAM_BOUND).await;
}

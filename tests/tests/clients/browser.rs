//! Chromium: the documentation, read and tried by a developer.

use edgechat_tests::{client::PASSWORD, program::Program, test_env::TestEnv};
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

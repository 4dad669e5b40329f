//! Links of mails, opened by the Worker: pages and their forms; and what an operator's suspension means there.

use edgechat_tests::{
    client::{PASSWORD, Reply},
    test_env::TestEnv,
    wait::{BOUND, until},
};
use serde_json::{Value, json};
use shared::api::{ErrorCode, account::User};

const ME: &str = "/api/v1/users/me";
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

fn page(reply: &Reply) -> String {
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"), "{reply:?}");
    assert!(reply.header("content-security-policy").unwrap().starts_with("default-src 'none'"), "{reply:?}");
    assert_eq!(reply.header("referrer-policy"), Some("no-referrer"), "{reply:?}");
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{reply:?}");
    reply.text()
}

#[tokio::test]
async fn link_of_registration_confirms_the_address_by_its_form() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let token = until(BOUND, "the mail of the registration", || async {
        let mailbox: Value =
            env.client_of_origin().get("/dev/mailbox").send().await.expect_status(200).value();
        mailbox["items"].as_array()?.first()?["token"].as_str().map(str::to_owned)
    })
    .await;
    let path = format!("/verify-email?token={token}");
    let shown = env.client().get(&path).send().await.expect_status(200);
    assert!(page(&shown).contains(phone.email()));
    let is_verified =
        async || phone.client.get(ME).send().await.expect_status(200).json::<User>().email_verified;
    assert!(!is_verified().await);
    let form = env.client().post("/verify-email").header(FORM.0, FORM.1).body(format!("token={token}"));
    assert!(page(&form.send().await.expect_status(200)).contains("is confirmed"));
    assert!(is_verified().await);
    let refused = env.client().get("/reset-password?token=x").send().await.expect_status(410);
    assert!(page(&refused).contains("not valid any more"));
}

#[tokio::test]
async fn suspended_user_is_refused_like_an_unknown_one_until_resumed() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let email = phone.email().to_owned();
    let login = async |email: &str| {
        let body = json!({"email": email, "password": PASSWORD});
        env.client().post("/api/v1/auth/login").json(&body).send().await
    };
    let said = env.edgechat(&["users", "suspend", &email]).await;
    assert!(said.contains("is suspended and has no session; the Worker knows"), "{said}");
    phone.client.get(ME).send().await.problem(ErrorCode::SessionEnded);
    let unknown = login("nobody@example.com").await.problem(ErrorCode::InvalidCredentials);
    assert_eq!(login(&email).await.problem(ErrorCode::InvalidCredentials).detail, unknown.detail);
    let said = env.edgechat(&["users", "resume", &email]).await;
    assert!(said.contains("can sign in again"), "{said}");
    let _ = login(&email).await.expect_status(200);
}

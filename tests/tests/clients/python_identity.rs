//! Sign-in with Google and Apple, both played by a program in Python with PyJWT.

use edgechat_tests::test_env::{Port, TestEnv};
use rcgen::KeyPair;

use super::tools::{PROGRAM_BOUND, URL, python, sources, url};

const CLIENT: &str = "com.example.app";
const TEAM: &str = "A1B2C3D4E5";
const KEY: &str = "F6G7H8I9J0";

/// Each side reads what the other one signs, and the access of a deleted account is revoked at Apple.
#[tokio::test]
async fn pyjwt_and_the_origin_take_each_others_tokens() {
    let (port, key) = (Port::reserve(), KeyPair::generate().unwrap().serialize_pem());
    let listen = port.url();
    let setup = TestEnv::setup()
        .var("GOOGLE_CLIENT_IDS", CLIENT)
        .var("GOOGLE_JWKS_URL", format!("{listen}/google"))
        .var("APPLE_CLIENT_IDS", CLIENT)
        .var("APPLE_JWKS_URL", format!("{listen}/apple"))
        .var("APPLE_TOKEN_URL", format!("{listen}/token"))
        .var("APPLE_REVOKE_URL", format!("{listen}/revoke"))
        .var("APPLE_TEAM_ID", TEAM)
        .var("APPLE_KEY_ID", KEY)
        .var("APPLE_PRIVATE_KEY", &key)
        .var("ACCOUNT_DELETION_GRACE_DAYS", "0");
    let env = setup.start().await;
    python("Google and Apple")
        .arg(sources("python").join("identity_provider.py"))
        .env(URL, url(&env))
        .env("PROVIDER_LISTEN", listen)
        .env("CLIENT_ID", CLIENT)
        .env("CLIENT_KEY", key)
        .env("TEAM_ID", TEAM)
        .env("KEY_ID", KEY)
        .run(PROGRAM_BOUND)
        .await;
}

//! curl.

use edgechat_tests::{program::Program, test_env::TestEnv};

use super::tools::{PROGRAM_BOUND, URL, sources, url};

#[tokio::test]
async fn curl_does_the_main_job() {
    let env = TestEnv::start().await;
    let program = Program::new("curl", "bash").arg(sources("curl").join("plain.sh"));
    program.env(URL, url(&env)).run(PROGRAM_BOUND).await;
}

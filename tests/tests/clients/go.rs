//! Go's `net/http`.

use edgechat_tests::{program::Program, test_env::TestEnv};

use super::tools::{PROGRAM_BOUND, TOOL_BOUND, URL, kept, sources, url};

#[tokio::test]
async fn net_http_does_the_main_job() {
    let env = TestEnv::start().await;
    let program = kept("go").join("plain");
    let build = Program::new("the Go compiler", "go").args(["build", "-o"]).arg(&program).arg(".");
    // No other version of Go is installed, and no module.
    build
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=mod")
        .in_folder(sources("go"))
        .run(TOOL_BOUND)
        .await;
    Program::new("net/http", program).env(URL, url(&env)).run(PROGRAM_BOUND).await;
}

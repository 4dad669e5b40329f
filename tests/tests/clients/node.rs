//! Node: `fetch`, undici, axios and an EventSource; and the linters of the API's description.

use edgechat_tests::test_env::TestEnv;

use super::tools::{PROGRAM_BOUND, URL, document_file, kept, node, node_tool, sources, url};

#[tokio::test]
async fn fetch_undici_axios_and_event_source_do_the_main_job() {
    let env = TestEnv::start().await;
    node("Node", sources("node").join("plain.mjs")).env(URL, url(&env)).run(PROGRAM_BOUND).await;
}

#[tokio::test]
async fn description_passes_redocly_without_a_warning() {
    let file = document_file(&TestEnv::start().await, &kept("redocly")).await;
    let redocly = node_tool("@redocly/cli", "bin/cli.js").arg("lint").arg(file);
    let redocly = redocly.arg("--config").arg(sources("node").join("redocly.yaml"));
    let quiet = redocly.env("REDOCLY_TELEMETRY", "off").env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true");
    let said = quiet.args(["--format", "stylish", "--max-problems", "1000"]).run(PROGRAM_BOUND).await;
    // The exit code reports errors only.
    assert!(!said.contains("warning"), "{said}");
}

#[tokio::test]
async fn description_passes_spectral_without_a_warning() {
    let file = document_file(&TestEnv::start().await, &kept("spectral")).await;
    let spectral = node_tool("@stoplight/spectral-cli", "dist/index.js").arg("lint").arg(file);
    let spectral = spectral.arg("--ruleset").arg(sources("node").join("spectral.yaml"));
    spectral.args(["--fail-severity", "warn", "--display-only-failures"]).run(PROGRAM_BOUND).await;
}

//! curl.

use edgechat_tests::{program::Program, world::World};

use super::tools::{PROGRAM_BOUND, URL, sources, url};

#[tokio::test]
async fn curl_does_the_main_job() {
    let world = World::start().await;
    let program = Program::new("curl", "bash").arg(sources("curl").join("plain.sh"));
    program.env(URL, url(&world)).run(PROGRAM_BOUND).await;
}

//! Tests of two origins that start at once.

use edgechat_tests::{client::PASSWORD, servers::database::Bases, test_env::TestEnv};
use serde_json::json;

const TIMES: usize = 4;

#[tokio::test]
async fn concurrent_migrations_leave_both_origins_serving() {
    for time in 0..TIMES {
        let vars = Bases::of_the_run().fresh().await;
        let start = || TestEnv::setup().vars(vars.clone()).start();
        let (one, other) = tokio::join!(start(), start());
        for env in [&one, &other] {
            let ready = env.client_of_origin().get("/api/v1/health/ready").send().await;
            let _ = ready.expect_status(200);
        }
        let body = json!({ "email": format!("ada{time}@example.com"), "password": PASSWORD });
        let registered = one.client_of_origin().post("/api/v1/auth/register").json(&body).send().await;
        let _ = registered.expect_status(201);
        let login = other.client_of_origin().post("/api/v1/auth/login").json(&body).send().await;
        let _ = login.expect_status(200);
        let again = other.client_of_origin().post("/api/v1/auth/register").json(&body).send().await;
        let _ = again.expect_status(400);
    }
}

//! The durable baseline of the benchmark: its figures mean something only as long as it does a turn's work.

use edgechat_tests::bench;

#[tokio::test]
async fn turn_of_durable_baseline_is_stored_and_delivered() {
    bench::check_baseline().await;
}

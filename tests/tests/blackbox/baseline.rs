//! Tests of the benchmark's durable baseline: its figures are comparable only while it does the work of a turn.

use edgechat_tests::bench;

#[tokio::test]
async fn turn_of_durable_baseline_is_stored_and_delivered() {
    bench::check_baseline().await;
}

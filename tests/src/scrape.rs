//! The figures of an origin, as Prometheus reads them on its private port.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{client::Client, test_env::TestEnv};

/// The metrics of one scrape.
#[derive(Debug)]
pub struct Scrape(String);

impl Scrape {
    /// Reads the figures of the origin of an environment that has `METRICS_ADDR` set to a port of its choice.
    ///
    /// # Panics
    /// Panics when the origin serves none.
    pub async fn of(env: &TestEnv) -> Self {
        let lines = env.origin_log().lines();
        let mut events = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let last = events.rfind(|line| line["event"] == "serving metrics");
        let addr = last.and_then(|line| line["addr"].as_str().map(str::to_owned));
        let addr = addr.expect("the origin says where it serves metrics");
        let reply = Client::new(format!("http://{addr}")).get("/metrics").send().await;
        Self(reply.expect_status(200).text())
    }

    /// The value of a series that counts, such as `edgechat_deliveries_total{outcome="accepted"}`; zero when there is none
    /// yet.
    ///
    /// # Panics
    /// Panics when the value is no whole number.
    pub fn count(&self, series: &str) -> u64 {
        let line = self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().expect("a whole number"))
    }

    /// The names of all series, and of metrics that have none yet.
    pub fn names(&self) -> BTreeSet<&str> {
        let lines = self.0.lines().map(|line| line.strip_prefix("# TYPE ").unwrap_or(line));
        lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next()).collect()
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.0
    }
}

//! Changes while a turn runs: it is cancelled, or its conversation is renamed.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::{
    super::{
        report::Promise,
        wire::{Outcome, send},
    },
    PAUSE, RETRY_TIMEOUT, TurnRun,
};

impl TurnRun {
    /// Cancels the turn this long after its id is known.
    pub(in crate::soak) async fn cancel(&self, after_ms: u64) {
        let mut known = self.known.subscribe();
        let Ok(Ok(turn)) = timeout(RETRY_TIMEOUT, async {
            known.wait_for(Option::is_some).await.map(|known| known.as_ref().map(|(id, _)| id.clone()))
        })
        .await
        else {
            return;
        };
        sleep(Duration::from_millis(after_ms)).await;
        let path = format!("/api/v1/chat/turns/{}/cancel", turn.unwrap_or_default());
        let first = Instant::now();
        while first.elapsed() < RETRY_TIMEOUT {
            match send(self.wire.ask(Method::POST, &path), &self.run.findings.counts).await {
                Outcome::Whole(answer) if answer.status == 202 => {
                    if matches!(answer.body["status"].as_str(), Some("running" | "queued") | None) {
                        self.broken(
                            Promise::Outcome,
                            format!("a cancelled turn is reported as {}", answer.body["status"]),
                        );
                    }
                    return;
                }
                Outcome::Whole(answer) if !answer.is_transient() || answer.status == 500 => {
                    self.broken(
                        Promise::NotRefused,
                        format!("{} {} for a stop", answer.status, answer.code()),
                    );
                    return;
                }
                _ => sleep(PAUSE).await,
            }
        }
    }

    /// Renames the conversation after this time, which invalidates the user object's context. Servers may be down.
    pub(in crate::soak) async fn rename(&self, after_ms: u64) {
        sleep(Duration::from_millis(after_ms)).await;
        let path = format!("/api/v1/chat/conversations/{}", self.conversation);
        let title = json!({ "title": format!("renamed in turn {}", self.plan.number) });
        let request = self.wire.ask(Method::PATCH, &path).json(&title);
        if let Outcome::Whole(answer) = send(request, &self.run.findings.counts).await
            && answer.status != 200
            && !answer.is_transient()
        {
            self.broken(Promise::NotRefused, format!("{} {} for a new name", answer.status, answer.code()));
        }
    }
}

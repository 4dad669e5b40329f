//! How often somebody may try to sign up or in. Everything here fails open: a store that does not answer stops nobody.
//!
//! - From one address: `RATE_LIMIT_REQUESTS` sign-ups, and as many sign-ins, in `RATE_LIMIT_WINDOW_SECONDS` (100 in 60 s).
//! - From one address for one e-mail: 10 sign-ins that fail in 15 minutes. One that succeeds starts the count anew.

use shared::{
    api::{ApiError, ErrorCode},
    limits::{ip::client_key, window::FixedWindow},
    time::Timestamp,
};

use crate::{
    config::LimitsConfig,
    http::ClientIp,
    store::{Ephemeral, StoreResult},
};

const FAILURES: u32 = 10;
const FAILURES_WINDOW_MS: u32 = 15 * 60 * 1_000;

/// The limits of sign-up and sign-in.
pub struct Throttle {
    by_address: FixedWindow,
    by_email: FixedWindow,
}

impl Throttle {
    /// The limits of this configuration.
    pub fn new(limits: &LimitsConfig) -> Self {
        let window_ms = limits.rate_limit_window_s.saturating_mul(1_000);
        Self {
            by_address: FixedWindow::new(limits.rate_limit_requests, window_ms),
            by_email: FixedWindow::new(FAILURES, FAILURES_WINDOW_MS),
        }
    }

    /// Counts a sign-up from this address.
    pub async fn sign_up(
        &self,
        store: &dyn Ephemeral,
        ip: &ClientIp,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let key = format!("sign-up:{}", client_key(&ip.0));
        count(store, &key, self.by_address, "sign_up", now).await
    }

    /// Counts a sign-in from this address for this e-mail, as one that fails.
    pub async fn sign_in(
        &self,
        store: &dyn Ephemeral,
        ip: &ClientIp,
        email: &str,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let key = format!("sign-in:{}", client_key(&ip.0));
        count(store, &key, self.by_address, "sign_in", now).await?;
        count(store, &failures_key(ip, email), self.by_email, "sign_in_failures", now).await
    }

    /// Tells that a sign-in came to no decision, such as in an outage: it has not failed.
    pub async fn undecided(&self, store: &dyn Ephemeral, ip: &ClientIp, email: &str, now: Timestamp) {
        tolerate(store.take_back(&failures_key(ip, email), self.by_email, now).await);
    }

    /// Tells that the last sign-in succeeded.
    pub async fn signed_in(&self, store: &dyn Ephemeral, ip: &ClientIp, email: &str) {
        tolerate(store.forget(&failures_key(ip, email)).await);
    }
}

fn failures_key(ip: &ClientIp, email: &str) -> String {
    format!("sign-in-failures:{}:{email}", client_key(&ip.0))
}

async fn count(
    store: &dyn Ephemeral,
    key: &str,
    window: FixedWindow,
    policy: &'static str,
    now: Timestamp,
) -> Result<(), ApiError> {
    match tolerate(store.count(key, window, now).await) {
        Some(decision) if !decision.allowed => Err(ApiError::from(ErrorCode::RateLimited)
            .retry_after(decision.reset_s)
            .limited_by(window.limit_state(policy, &decision))),
        _ => Ok(()),
    }
}

/// What the store answered, if it did.
fn tolerate<T>(answer: StoreResult<T>) -> Option<T> {
    answer.inspect_err(|error| tracing::warn!(%error, "the throttle does not answer")).ok()
}

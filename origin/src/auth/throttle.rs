//! Limits of sign-ups and sign-ins. Everything here fails open: a store that does not answer blocks no request.
//!
//! - From one address: `RATE_LIMIT_REQUESTS` sign-ups, and as many sign-ins, in `RATE_LIMIT_WINDOW_SECONDS` (100 in 60 s).
//! - From one network (IPv4 /24, IPv6 /48): `SIGN_UP_DAILY_LIMIT` sign-ups a day (20).
//! - From one address for one e-mail: 10 sign-ins that fail in 15 minutes. One that succeeds starts the count anew.
//! - Codes and links, for one address: one a minute, 5 an hour; from one network (IPv4 /24, IPv6 /48): 100 a day.
//! - Wrong codes for one address, from anywhere: 50 a day, however many codes.
//! - For one e-mail, from anywhere: 50 sign-ins that fail a day, whether there is such an account or not. A device that signed in
//!   to the account before has a separate count of the same size, so that strangers cannot lock the user out.

use shared::{
    address::Address,
    id::Id,
    limits::{
        ip::{client_key, network},
        window::FixedWindow,
    },
    time::Timestamp,
};

use super::error::RateLimited;
use crate::{
    config::LimitsConfig,
    store::{Ephemeral, StoreResult},
};

const FAILURES: u32 = 10;
const FAILURES_WINDOW_MS: u32 = 15 * 60 * 1_000;
const DAILY_FAILURES: u32 = 50;
const DAY_MS: u32 = 24 * 60 * 60 * 1_000;

/// Codes that are sent to one address: one in this time.
const RESEND_MS: u32 = 60 * 1_000;
/// Codes that are sent to one address in an hour.
const HOURLY_MESSAGES: u32 = 5;
const HOUR_MS: u32 = 60 * 60 * 1_000;
/// Codes that are sent on request of one network in a day.
const DAILY_MESSAGES: u32 = 100;

/// The limits of sign-up and sign-in.
pub struct Throttle {
    by_address: FixedWindow,
    by_email: FixedWindow,
    guesses: FixedWindow,
    sign_ups: Option<FixedWindow>,
    resend: FixedWindow,
    hourly_messages: FixedWindow,
    daily_messages: FixedWindow,
}

/// The daily count of failures that a guess at a password belongs to.
#[derive(Clone, Debug)]
pub struct Guesser(String);

impl Guesser {
    /// An unknown device: all of them share one count for an account.
    pub fn stranger(email: &str) -> Self {
        Self(format!("guesses:{email}"))
    }

    /// A device in a network from which the account was signed in to before.
    pub fn in_known_network(user_id: Id, network: &str) -> Self {
        Self(format!("guesses-from:{user_id}:{network}"))
    }

    /// A device with a token of a session of the account.
    pub fn with_session(session_id: Id) -> Self {
        Self(format!("guesses-by:{session_id}"))
    }
}

/// The kind of a message that anybody can have sent to an address. Each is counted by itself.
#[derive(Clone, Copy, Debug)]
pub enum SentKind {
    /// A one-time code.
    Code,
    /// A link to reset a password.
    Link,
}

impl SentKind {
    fn key(self, count: &str, address: &Address) -> String {
        let kind = match self {
            Self::Code => "code",
            Self::Link => "link",
        };
        format!("{count}-{kind}:{}:{}", address.kind(), address.as_str())
    }
}

impl Throttle {
    /// The limits of this configuration.
    pub fn new(limits: &LimitsConfig) -> Self {
        let window_ms = limits.rate_limit_window_s.saturating_mul(1_000);
        Self {
            by_address: FixedWindow::new(limits.rate_limit_requests, window_ms),
            by_email: FixedWindow::new(FAILURES, FAILURES_WINDOW_MS),
            guesses: FixedWindow::new(DAILY_FAILURES, DAY_MS),
            sign_ups: limits.sign_up_daily_limit.map(|limit| FixedWindow::new(limit, DAY_MS)),
            resend: FixedWindow::new(1, RESEND_MS),
            hourly_messages: FixedWindow::new(HOURLY_MESSAGES, HOUR_MS),
            daily_messages: FixedWindow::new(DAILY_MESSAGES, DAY_MS),
        }
    }

    /// Counts a sign-up from this address and its network.
    pub async fn sign_up(&self, store: &dyn Ephemeral, ip: &str, now: Timestamp) -> Result<(), RateLimited> {
        let key = format!("sign-up:{}", client_key(ip));
        count(store, &key, self.by_address, "sign_up", now).await?;
        let Some(sign_ups) = self.sign_ups else { return Ok(()) };
        count(store, &sign_ups_key(ip), sign_ups, "sign_ups_of_a_day", now).await
    }

    /// Undoes the daily count of a sign-up without a decision, such as in an outage.
    pub async fn sign_up_undecided(&self, store: &dyn Ephemeral, ip: &str, now: Timestamp) {
        if let Some(sign_ups) = self.sign_ups {
            tolerate(store.undo_count(&sign_ups_key(ip), sign_ups, now).await);
        }
    }

    /// Counts a sign-in from this address for this e-mail, as one that fails.
    pub async fn sign_in(
        &self,
        store: &dyn Ephemeral,
        ip: &str,
        email: &str,
        now: Timestamp,
    ) -> Result<(), RateLimited> {
        let key = format!("sign-in:{}", client_key(ip));
        count(store, &key, self.by_address, "sign_in", now).await?;
        count(store, &failures_key(ip, email), self.by_email, "sign_in_failures", now).await
    }

    /// Counts the use of a permission to reset a password from this address.
    pub async fn reset(&self, store: &dyn Ephemeral, ip: &str, now: Timestamp) -> Result<(), RateLimited> {
        let key = format!("reset:{}", client_key(ip));
        count(store, &key, self.by_address, "password_reset", now).await
    }

    /// Undoes the counted failure of a sign-in without a decision, such as in an outage.
    pub async fn undecided(&self, store: &dyn Ephemeral, ip: &str, email: &str, now: Timestamp) {
        tolerate(store.undo_count(&failures_key(ip, email), self.by_email, now).await);
    }

    /// Resets the count of failures, after a sign-in that succeeded.
    pub async fn signed_in(&self, store: &dyn Ephemeral, ip: &str, email: &str) {
        tolerate(store.forget(&failures_key(ip, email)).await);
    }

    /// Counts a code or link that is to be sent to an address on request of an IP address.
    pub async fn send(
        &self,
        store: &dyn Ephemeral,
        ip: &str,
        kind: SentKind,
        address: &Address,
        now: Timestamp,
    ) -> Result<(), RateLimited> {
        count(store, &format!("send:{}", client_key(ip)), self.by_address, "messages", now).await?;
        count(store, &format!("sends:{}", network_key(ip)), self.daily_messages, "messages_of_a_day", now)
            .await?;
        count(store, &kind.key("resend", address), self.resend, "messages_of_a_minute", now).await?;
        count(store, &kind.key("hourly", address), self.hourly_messages, "messages_of_an_hour", now).await
    }

    /// Undoes the counts of an address of what could not be sent.
    pub async fn not_sent(&self, store: &dyn Ephemeral, kind: SentKind, address: &Address, now: Timestamp) {
        tolerate(store.undo_count(&kind.key("resend", address), self.resend, now).await);
        tolerate(store.undo_count(&kind.key("hourly", address), self.hourly_messages, now).await);
    }

    /// Returns the seconds from one message to an address to the next.
    pub const fn resend_s() -> u64 {
        (RESEND_MS / 1_000) as u64
    }

    /// Counts a guess at a code, as a wrong one, before it is checked.
    pub async fn guess_code(
        &self,
        store: &dyn Ephemeral,
        ip: &str,
        address: &Address,
        now: Timestamp,
    ) -> Result<(), RateLimited> {
        count(store, &format!("code:{}", client_key(ip)), self.by_address, "codes", now).await?;
        count(store, &code_guesses_key(address), self.guesses, "wrong_codes_of_a_day", now).await
    }

    /// Undoes the count of a guess at a code that was right, or was not checked.
    pub async fn code_not_wrong(&self, store: &dyn Ephemeral, address: &Address, now: Timestamp) {
        tolerate(store.undo_count(&code_guesses_key(address), self.guesses, now).await);
    }

    /// Counts a guess at a password, as a wrong one, before it is checked.
    pub async fn guess(
        &self,
        store: &dyn Ephemeral,
        guesser: &Guesser,
        now: Timestamp,
    ) -> Result<(), RateLimited> {
        count(store, &guesser.0, self.guesses, "sign_in_failures_of_a_day", now).await
    }

    /// Undoes the count of a guess that was right, or was not checked.
    pub async fn not_wrong(&self, store: &dyn Ephemeral, guesser: &Guesser, now: Timestamp) {
        tolerate(store.undo_count(&guesser.0, self.guesses, now).await);
    }
}

/// Addresses that cannot be read are one network.
fn network_key(ip: &str) -> String {
    network(ip).map_or_else(|| "unknown".to_owned(), |network| network.to_string())
}

fn sign_ups_key(ip: &str) -> String {
    format!("sign-ups:{}", network_key(ip))
}

fn code_guesses_key(address: &Address) -> String {
    format!("code-guesses:{}:{}", address.kind(), address.as_str())
}

fn failures_key(ip: &str, email: &str) -> String {
    format!("sign-in-failures:{}:{email}", client_key(ip))
}

async fn count(
    store: &dyn Ephemeral,
    key: &str,
    window: FixedWindow,
    policy: &'static str,
    now: Timestamp,
) -> Result<(), RateLimited> {
    match tolerate(store.count(key, window, now).await) {
        Some(decision) if !decision.allowed => {
            Err(RateLimited { retry_after_s: decision.reset_s, limit: window.limit_state(policy, &decision) })
        }
        _ => Ok(()),
    }
}

/// Returns the store's answer; `None` when it failed.
fn tolerate<T>(answer: StoreResult<T>) -> Option<T> {
    answer.inspect_err(|error| tracing::warn!(%error, "the throttle does not answer")).ok()
}

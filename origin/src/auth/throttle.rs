//! Limits of every way in. Everything here fails open: a store that does not answer blocks no request.
//!
//! **Requests**, counted before anything is looked up:
//! - From one address: `RATE_LIMIT_REQUESTS` of each [`Way`] in `RATE_LIMIT_WINDOW_SECONDS` (100 in 60 s).
//! - From one address: twice as many requests for sign-ins by a passkey, which take two each. From one user: as many for new ones.
//! - From one network (IPv4 /24, IPv6 /48): `SIGN_UP_DAILY_LIMIT` sign-ups a day (20).
//! - Codes and links, for one address: one a minute, 5 an hour; from one network: 100 a day.
//! - Guests from one address (IPv6: /64): 10 an hour (`GUEST_SIGN_UPS_PER_HOUR`) and 20 a day (`GUEST_SIGN_UPS_PER_DAY`).
//! - Exports, of one account: one at a time, 5 a day.
//!
//! **Wrong guesses**, each counted before it is checked, whether there is such an account or not. Some are free, each further one
//! doubles the delay until the next, and they are forgiven one by one:
//! - From one address, for all accounts: 30 % of `RATE_LIMIT_REQUESTS` are free. The delay stays below a minute, because many people may
//!   share an address.
//! - From one network, for one account: [`guesser::NETWORK`].
//! - From anywhere, for one account: [`guesser::ACCOUNT`], at most 47 in any 24 hours.
//!
//! A device that signed in to the account before has an [`guesser::ACCOUNT`] of its own in place of the last two, so that strangers cannot keep
//! its user out. It is known by a token of the account, or by a network in which a session of the account began; with a token it is
//! exempt from the limit of its address as well.

pub mod guesser;

use shared::{
    address::Address,
    api::error::LimitState,
    id::Id,
    limits::{
        failures::{FailureDecision, FailureDelay},
        ip::client_key,
        window::FixedWindow,
    },
    time::Timestamp,
};

pub use guesser::{CountedGuess, Guesser, Way};

use super::error::{LimitKind, RateLimited};
use crate::{
    config::LimitsConfig,
    store::{Ephemeral, StoreResult},
};
use guesser::network_key;

const SECOND_MS: u32 = 1_000;
const MINUTE_MS: u32 = 60 * SECOND_MS;
const HOUR_MS: u32 = 60 * MINUTE_MS;
const DAY_MS: u32 = 24 * HOUR_MS;

/// Of a hundred requests that one address may make, so many may be wrong guesses at no cost.
const FREE_PERCENT: u32 = 30;
/// Failed sign-ins of an account that are noted in its audit trail in a day.
const NOTED_FAILURES: u32 = 50;
/// Codes that are sent to one address: one in this time.
const RESEND_MS: u32 = MINUTE_MS;
/// Codes that are sent to one address in an hour.
const HOURLY_MESSAGES: u32 = 5;
/// Codes that are sent on request of one network in a day.
const DAILY_MESSAGES: u32 = 100;

/// Exports of an account in a day.
const DAILY_EXPORTS: u32 = 5;
/// The time after which an export that did not end counts as ended: longer than one may take.
const EXPORT_MS: u32 = 20 * MINUTE_MS;

/// The limits of the ways in.
pub struct Throttle {
    by_address: FixedWindow,
    failures_of_address: FailureDelay,
    by_passkey: FixedWindow,
    sign_ups: Option<FixedWindow>,
    hourly_guests: Option<FixedWindow>,
    daily_guests: Option<FixedWindow>,
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
        let window_ms = limits.rate_limit_window_s.saturating_mul(SECOND_MS);
        Self {
            by_address: FixedWindow::new(limits.rate_limit_requests, window_ms),
            failures_of_address: failures_of_address(limits.rate_limit_requests),
            by_passkey: FixedWindow::new(limits.rate_limit_requests.saturating_mul(2), window_ms),
            sign_ups: limits.sign_up_daily_limit.map(|limit| FixedWindow::new(limit, DAY_MS)),
            hourly_guests: limits.guest_hourly_limit.map(|limit| FixedWindow::new(limit, HOUR_MS)),
            daily_guests: limits.guest_daily_limit.map(|limit| FixedWindow::new(limit, DAY_MS)),
        }
    }

    /// Counts a request from this address.
    pub async fn request(
        &self,
        store: &dyn Ephemeral,
        way: Way,
        ip: &str,
        now: Timestamp,
    ) -> Result<(), RateLimited> {
        let key = format!("{}:{}", way.as_str(), client_key(ip));
        count(store, &key, self.by_address, way.as_str(), now).await
    }

    /// Counts a sign-up from this network.
    pub async fn sign_up(&self, store: &dyn Ephemeral, ip: &str, now: Timestamp) -> Result<(), RateLimited> {
        let Some(sign_ups) = self.sign_ups else { return Ok(()) };
        count(store, &sign_ups_key(ip), sign_ups, "sign_ups_of_a_day", now).await
    }

    /// Undoes the daily count of a sign-up without a decision, such as in an outage.
    pub async fn sign_up_undecided(&self, store: &dyn Ephemeral, ip: &str, now: Timestamp) {
        if let Some(sign_ups) = self.sign_ups {
            tolerate(store.undo_count(&sign_ups_key(ip), sign_ups, now).await);
        }
    }

    /// Counts a guest who begins at this address.
    pub async fn guest(&self, store: &dyn Ephemeral, ip: &str, now: Timestamp) -> Result<(), RateLimited> {
        let address = client_key(ip);
        count(store, &format!("guest:{address}"), self.by_address, "guest", now).await?;
        for (limit, policy) in
            [(self.hourly_guests, "guests_of_an_hour"), (self.daily_guests, "guests_of_a_day")]
        {
            if let Some(limit) = limit {
                count(store, &format!("{policy}:{address}"), limit, policy, now).await?;
            }
        }
        Ok(())
    }

    /// Counts a token of another provider that is shown from this address.
    pub async fn identity(&self, store: &dyn Ephemeral, ip: &str, now: Timestamp) -> Result<(), RateLimited> {
        count(store, &format!("identity:{}", client_key(ip)), self.by_address, "identity", now).await
    }

    /// Counts a guess as a wrong one, before it is checked. One that comes too early is counted nowhere.
    pub async fn begin_guess(
        &self,
        store: &dyn Ephemeral,
        guesser: Guesser,
        now: Timestamp,
    ) -> Result<CountedGuess, RateLimited> {
        if let Some(client) = &guesser.client {
            let rule = self.failures_of_address;
            let decision = tolerate(store.check_failures(client, rule, now).await);
            refuse_denied(decision, rule, "failures_of_an_address")?;
        }
        let mut counted = CountedGuess { guesser, states: Vec::new() };
        for (key, rule) in counted.guesser.counts.clone() {
            let decision = tolerate(store.count_failure(&key, rule, now).await);
            if let Err(limited) = refuse_denied(decision, rule, "failures") {
                self.undo_guess(store, counted, now).await;
                return Err(limited);
            }
            counted.states.push(decision.map(|decision| decision.state));
        }
        Ok(counted)
    }

    /// Ends a guess that was wrong.
    pub async fn end_wrong_guess(&self, store: &dyn Ephemeral, counted: CountedGuess, now: Timestamp) {
        if let Some(client) = counted.guesser.client {
            tolerate(store.count_failure(&client, self.failures_of_address, now).await);
        }
    }

    /// Counts a challenge for a sign-in by a passkey, or its answer, from this address.
    pub async fn passkey(&self, store: &dyn Ephemeral, ip: &str, now: Timestamp) -> Result<(), RateLimited> {
        let key = format!("passkey:{}", client_key(ip));
        count(store, &key, self.by_passkey, "passkeys", now).await
    }

    /// Counts a challenge for a user who registers a passkey.
    pub async fn new_passkey(
        &self,
        store: &dyn Ephemeral,
        user_id: Id,
        now: Timestamp,
    ) -> Result<(), RateLimited> {
        count(store, &format!("new-passkey:{user_id}"), self.by_address, "new_passkeys", now).await
    }

    /// Undoes the counts of a guess that was right, or was not checked.
    pub async fn undo_guess(&self, store: &dyn Ephemeral, counted: CountedGuess, now: Timestamp) {
        for ((key, rule), state) in counted.guesser.counts.into_iter().zip(counted.states) {
            if let Some(state) = state {
                tolerate(store.undo_failure(&key, rule, state, now).await);
            }
        }
    }

    /// Counts a failed sign-in that is to be noted in an audit trail. A store that does not answer leaves none out: guesses are
    /// limited before.
    pub async fn may_note(&self, store: &dyn Ephemeral, user_id: Id, now: Timestamp) -> bool {
        let key = format!("noted-failures:{user_id}");
        let counted = tolerate(store.count(&key, FixedWindow::new(NOTED_FAILURES, DAY_MS), now).await);
        counted.is_none_or(|decision| decision.allowed)
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
        count(store, &format!("sends:{}", network_key(ip)), DAILY, "messages_of_a_day", now).await?;
        count(store, &kind.key("resend", address), RESEND, "messages_of_a_minute", now).await?;
        count(store, &kind.key("hourly", address), HOURLY, "messages_of_an_hour", now).await
    }

    /// Undoes the counts of an address of what could not be sent.
    pub async fn not_sent(&self, store: &dyn Ephemeral, kind: SentKind, address: &Address, now: Timestamp) {
        tolerate(store.undo_count(&kind.key("resend", address), RESEND, now).await);
        tolerate(store.undo_count(&kind.key("hourly", address), HOURLY, now).await);
    }

    /// Counts an export of a user's data that begins.
    pub async fn begin_export(
        &self,
        store: &dyn Ephemeral,
        user_id: Id,
        now: Timestamp,
    ) -> Result<(), RateLimited> {
        count(store, &running_export_key(user_id), RUNNING_EXPORTS, "exports", now).await?;
        let counted = count(store, &exports_key(user_id), EXPORTS_OF_A_DAY, "exports_of_a_day", now).await;
        if counted.is_err() {
            self.end_export(store, user_id, now).await;
        }
        counted
    }

    /// Undoes the counts of an export that could not begin.
    pub async fn export_undecided(&self, store: &dyn Ephemeral, user_id: Id, now: Timestamp) {
        tolerate(store.undo_count(&exports_key(user_id), EXPORTS_OF_A_DAY, now).await);
        self.end_export(store, user_id, now).await;
    }

    /// Lets another export begin.
    pub async fn end_export(&self, store: &dyn Ephemeral, user_id: Id, now: Timestamp) {
        tolerate(store.undo_count(&running_export_key(user_id), RUNNING_EXPORTS, now).await);
    }

    /// Returns the seconds from one message to an address to the next.
    pub const fn resend_s() -> u64 {
        (RESEND_MS / SECOND_MS) as u64
    }
}

const RESEND: FixedWindow = FixedWindow::new(1, RESEND_MS);
const HOURLY: FixedWindow = FixedWindow::new(HOURLY_MESSAGES, HOUR_MS);
const DAILY: FixedWindow = FixedWindow::new(DAILY_MESSAGES, DAY_MS);
const RUNNING_EXPORTS: FixedWindow = FixedWindow::new(1, EXPORT_MS);
const EXPORTS_OF_A_DAY: FixedWindow = FixedWindow::new(DAILY_EXPORTS, DAY_MS);

fn failures_of_address(requests: u32) -> FailureDelay {
    let free = requests.saturating_mul(FREE_PERCENT) / 100;
    FailureDelay::new(free, SECOND_MS, MINUTE_MS, MINUTE_MS)
}

fn sign_ups_key(ip: &str) -> String {
    format!("sign-ups:{}", network_key(ip))
}

fn exports_key(user_id: Id) -> String {
    format!("exports:{user_id}")
}

fn running_export_key(user_id: Id) -> String {
    format!("running-export:{user_id}")
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
            let limit = window.limit_state(policy, &decision);
            Err(RateLimited { retry_after_s: decision.reset_s, kind: LimitKind::Requests, limit })
        }
        _ => Ok(()),
    }
}

/// Fails when a guess comes too early.
fn refuse_denied(
    decision: Option<FailureDecision>,
    rule: FailureDelay,
    policy: &'static str,
) -> Result<(), RateLimited> {
    match decision {
        Some(decision) if !decision.allowed => {
            let limit: LimitState = rule.limit_state(policy, &decision);
            Err(RateLimited { retry_after_s: limit.reset_s, kind: LimitKind::Failures, limit })
        }
        _ => Ok(()),
    }
}

/// Returns the store's answer; `None` when it failed.
fn tolerate<T>(answer: StoreResult<T>) -> Option<T> {
    answer.inspect_err(|error| tracing::warn!(%error, "the throttle does not answer")).ok()
}

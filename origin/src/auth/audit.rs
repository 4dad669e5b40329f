//! Events for the audit trail. Most are stored in the step that they note; a failed sign-in is noted after its answer, so that
//! the answer's time does not tell whether there is such an account.

use std::{sync::Arc, time::Duration};

use shared::{api::account::AccountEventKind, id::Id, limits::window::FixedWindow, time::Timestamp};
use tokio::{sync::Semaphore, time::timeout};
use tracing::Instrument as _;

use super::{Auth, Requester, sessions::named};
use crate::store::{Accounts, Ephemeral, accounts::audit::AuditEvent};

/// The most failed sign-ins of an account that are noted in a day.
const DAILY_FAILURES: u32 = 50;
const DAY_MS: u32 = 24 * 60 * 60 * 1_000;
/// The most events that wait to be noted. More are left out: the store is away or too slow then.
const MAX_WAITING: u32 = 512;
/// The time limit for those that wait when the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Notes events beside the requests that cause them.
pub(super) struct LateEvents(Arc<Semaphore>);

impl LateEvents {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_WAITING as usize)))
    }

    /// Notes a failed sign-in soon, up to so many a day and account.
    fn note(&self, accounts: Arc<dyn Accounts>, ephemeral: Arc<dyn Ephemeral>, event: AuditEvent) {
        let Ok(place) = Arc::clone(&self.0).try_acquire_owned() else {
            tracing::warn!("too many events wait to be noted; one is left out");
            return;
        };
        let noting = async move {
            let _place = place;
            if is_within_day(&*ephemeral, &event).await
                && let Err(error) = accounts.append_audit_event(event).await
            {
                tracing::warn!(%error, "a failed sign-in is not noted");
            }
        };
        tokio::spawn(noting.in_current_span());
    }

    /// Waits until nothing waits any more, for a bounded time.
    async fn flush(&self) {
        if timeout(FLUSH_TIMEOUT, self.0.acquire_many(MAX_WAITING)).await.is_err() {
            tracing::warn!("ending: some events were not noted in time");
        }
    }
}

/// Counts the event. A throttle that does not answer leaves none out: guesses are limited before.
async fn is_within_day(ephemeral: &dyn Ephemeral, event: &AuditEvent) -> bool {
    let key = format!("noted-failures:{}", event.user_id);
    let counted = ephemeral.count(&key, FixedWindow::new(DAILY_FAILURES, DAY_MS), event.at).await;
    counted.map_or(true, |decision| decision.allowed)
}

impl Auth {
    /// Returns the event that this happened to a user's account now.
    pub(super) fn audit_event(
        &self,
        user_id: Id,
        kind: AccountEventKind,
        session_id: Option<Id>,
        requester: &Requester,
        now: Timestamp,
    ) -> AuditEvent {
        AuditEvent {
            id: self.random.id(now),
            user_id,
            at: now,
            kind,
            session_id,
            ip: requester.address(),
            device_name: None,
            request_id: requester.request_id.clone(),
        }
    }

    /// Notes soon that somebody failed to sign in to this account.
    pub(super) fn note_failed_sign_in(
        &self,
        user_id: Id,
        requester: &Requester,
        device_name: Option<String>,
    ) {
        let now = self.clock.now();
        let event = self.audit_event(user_id, AccountEventKind::SignInFailed, None, requester, now);
        let event = AuditEvent { device_name: named(device_name), ..event };
        self.late_events.note(Arc::clone(&self.accounts), Arc::clone(&self.ephemeral), event);
    }

    /// Waits until everything is noted, for a bounded time: before the process ends.
    pub async fn flush(&self) {
        self.late_events.flush().await;
    }
}

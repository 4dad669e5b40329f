//! Events for the audit trail. Most are stored in the step that they note; a failed sign-in is noted after its answer, so that
//! the answer's time does not tell whether there is such an account.

use std::{sync::Arc, time::Duration};

use shared::{api::account::AccountEventKind, id::Id, time::Timestamp};
use tokio::{sync::Semaphore, time::timeout};
use tracing::Instrument as _;

use super::{Auth, Requester, sessions::named};
use crate::store::accounts::audit::AuditEvent;

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

    /// Runs this soon.
    fn spawn(&self, noting: impl Future<Output = ()> + Send + 'static) {
        let Ok(place) = Arc::clone(&self.0).try_acquire_owned() else {
            tracing::warn!("too many events wait to be noted; one is left out");
            return;
        };
        let noting = async move {
            noting.await;
            drop(place);
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

    /// Notes soon that somebody failed to sign in to this account, up to so many a day.
    pub(super) fn note_failed_sign_in(
        self: &Arc<Self>,
        user_id: Id,
        requester: &Requester,
        device_name: Option<String>,
    ) {
        let now = self.clock.now();
        let event = self.audit_event(user_id, AccountEventKind::SignInFailed, None, requester, now);
        let event = AuditEvent { device_name: named(device_name), ..event };
        let auth = Arc::clone(self);
        self.late_events.spawn(async move {
            if auth.throttle.may_note(&*auth.ephemeral, user_id, now).await
                && let Err(error) = auth.accounts.append_audit_event(event).await
            {
                tracing::warn!(%error, "a failed sign-in is not noted");
            }
        });
    }

    /// Waits until everything is noted, for a bounded time: before the process ends.
    pub async fn flush(&self) {
        self.late_events.flush().await;
    }
}

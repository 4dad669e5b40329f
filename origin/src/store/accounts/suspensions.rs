//! Users whom an operator has suspended. For those who try to get in there is no such account.

use async_trait::async_trait;
use shared::{api::internal::user_event::AddressedEvent, id::Id};

use super::audit::AuditEvent;
use crate::store::error::StoreResult;

/// The outcome of a suspension or of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuspensionOutcome {
    /// It is done.
    Changed,
    /// It had been done before, and nothing changed.
    Unchanged,
    /// There is no such user.
    NoUser,
}

/// Suspensions of users.
#[async_trait]
pub trait Suspensions: Send + Sync + 'static {
    /// Suspends a user at the time of the event, ends all their sessions, stores the event that tells of it where any was open, and
    /// notes it in the audit trail. No session of a suspended user begins: none is open after the return.
    async fn suspend(
        &self,
        user_id: Id,
        event: AddressedEvent,
        audit: AuditEvent,
    ) -> StoreResult<SuspensionOutcome>;

    /// Ends the suspension of a user, and notes it in the audit trail. Sessions that ended stay so.
    async fn resume(&self, user_id: Id, audit: AuditEvent) -> StoreResult<SuspensionOutcome>;
}

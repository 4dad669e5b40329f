//! The audit trail of accounts: what happened to an account that its user may want to know. It has no secrets.

use async_trait::async_trait;
use shared::{
    api::account::{AccountEvent, AccountEventKind},
    id::Id,
    time::Timestamp,
};

use super::TimePosition;
use crate::store::error::StoreResult;

/// An event of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// The event.
    pub id: Id,
    /// The user whose account it is.
    pub user_id: Id,
    /// The time at which it happened.
    pub at: Timestamp,
    /// Its kind.
    pub kind: AccountEventKind,
    /// The session that began or ended, or else the one in which it was done.
    pub session_id: Option<Id>,
    /// The address it was done from, where that is known.
    pub ip: Option<String>,
    /// The user's name of the device. Where it is `None`, the one of the session is stored, if that is on record.
    pub device_name: Option<String>,
    /// The id of the request, if it was one.
    pub request_id: Option<String>,
}

impl AuditEvent {
    /// Its place in the trail.
    pub fn position(&self) -> TimePosition {
        TimePosition { at: self.at, id: self.id }
    }
}

/// The event as its user sees it.
impl From<AuditEvent> for AccountEvent {
    fn from(event: AuditEvent) -> Self {
        let AuditEvent { id, at, kind, session_id, ip, device_name, request_id, user_id: _ } = event;
        Self { id, kind, at, session_id, ip, device_name, request_id }
    }
}

/// The audit trail of accounts. Other writes note their events in the same step; this trait has those that stand alone.
#[async_trait]
pub trait Audit: Send + Sync + 'static {
    /// Notes an event. Nothing happens when its id is there, or when there is no such user.
    async fn append_audit_event(&self, event: AuditEvent) -> StoreResult<()>;

    /// Returns the events of a user, newest first, up to `limit` of those that follow `after`.
    async fn audit_events(
        &self,
        user_id: Id,
        after: Option<TimePosition>,
        limit: u32,
    ) -> StoreResult<Vec<AuditEvent>>;

    /// Forgets the events of before this time, the oldest `limit` of them; without waiting for those that another call has in its
    /// hands. Returns how many went.
    async fn forget_audit_events(&self, before: Timestamp, limit: u32) -> StoreResult<u64>;
}

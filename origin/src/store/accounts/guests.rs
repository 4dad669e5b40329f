//! Guests: users whom nothing but their session identifies.

use async_trait::async_trait;
use shared::{
    api::{account::User, internal::user_event::AddressedEvent},
    id::Id,
};

use super::{audit::AuditEvent, jobs::NewJob, sessions::NewSession};
use crate::store::error::StoreResult;

/// The end of a guest whose conversations become somebody else's.
#[derive(Clone, Debug)]
pub struct GuestMerge {
    /// The guest.
    pub guest_id: Id,
    /// The user who gets the conversations.
    pub into: Id,
    /// The event that tells of the end of the guest's sessions.
    pub event: AddressedEvent,
    /// The jobs that move the conversations.
    pub jobs: Vec<NewJob>,
    /// The event that notes it in the audit trail of the user who gets them.
    pub audit: AuditEvent,
}

/// Guests.
#[async_trait]
pub trait Guests: Send + Sync + 'static {
    /// Creates a guest with their first session and the first event of their audit trail. Repeated with the same id, it changes
    /// nothing.
    async fn create_guest(&self, user: User, session: NewSession, audit: AuditEvent) -> StoreResult<()>;

    /// Marks a guest as merged into another user, ends their sessions with the event that tells of it, schedules the jobs, and
    /// notes it in the other user's audit trail. False, and nothing happens, when there is no such guest, they are merged into
    /// somebody else, they are a guest no more, or there is no such other user. Of any number of merges at once one succeeds.
    /// A repetition is true and changes nothing more.
    async fn merge_guest(&self, merge: GuestMerge) -> StoreResult<bool>;

    /// Returns the user whom a guest was merged into.
    async fn merged_into(&self, guest_id: Id) -> StoreResult<Option<Id>>;
}

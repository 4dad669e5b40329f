//! Deletions of accounts: asked for, undone by a sign-in, begun for good, done.

use async_trait::async_trait;
use shared::{api::internal::user_event::AddressedEvent, id::Id, time::Timestamp};

use super::{audit::AuditEvent, jobs::NewJob};
use crate::store::error::StoreResult;

/// The request to delete an account.
#[derive(Clone, Debug)]
pub struct DeletionRequest {
    /// The user.
    pub user_id: Id,
    /// The session that asks for it.
    pub session_id: Id,
    /// The time from which on the account is deleted for good.
    pub deletes_at: Timestamp,
    /// The event that tells of the end of all sessions of the user; its time is that of the request.
    pub event: AddressedEvent,
    /// The event that notes it in the audit trail.
    pub audit: AuditEvent,
    /// The job that deletes, due at `deletes_at`.
    pub job: NewJob,
    /// The job that tells the user, where they have an address.
    pub notice: Option<NewJob>,
}

/// Deletions of accounts.
///
/// Every statement that begins a session also undoes a deletion that was asked for and has not begun, and notes that in the audit trail
/// ([`super::sessions::NewSession::cancellation_event`]).
#[async_trait]
pub trait Deletions: Send + Sync + 'static {
    /// Notes that an account is to be deleted: ends all sessions of the user, stores the event that tells of it and the one of the
    /// audit trail, and schedules the jobs. Returns the time of the deletion: also that of an earlier request, and nothing changes
    /// then. `None`, and nothing happens, when there is no such user, or the session is not open.
    async fn request_deletion(&self, request: DeletionRequest) -> StoreResult<Option<Timestamp>>;

    /// Begins the deletion that was asked for with this time: the user has no address, no password and no permission to reset one
    /// from then on, and can sign in by no means. False, and nothing happens, when there is no such deletion: the user has signed
    /// in, or is gone. A repetition is true until they are gone. Of a begin and a sign-in at once one happens.
    async fn begin_deletion(&self, user_id: Id, deletes_at: Timestamp, now: Timestamp) -> StoreResult<bool>;

    /// Removes up to `limit` each of the sessions, the counted turns and the events of the audit trail of a user whose deletion has
    /// begun, so that no statement takes long. Returns how many went.
    async fn delete_user_rows(&self, user_id: Id, limit: u32) -> StoreResult<u64>;

    /// Removes a user whose deletion has begun, with all that is stored of them, and events for their user object that have not
    /// arrived; schedules the job in the same step. A repetition changes nothing more.
    async fn delete_user(&self, user_id: Id, job: NewJob) -> StoreResult<()>;
}

//! Users.

use async_trait::async_trait;
use shared::{
    api::{
        account::{Plan, UpdateProfile, User},
        internal::user_event::AddressedEvent,
    },
    id::Id,
};

use super::{audit::AuditEvent, jobs::NewJob, sessions::NewSession};
use crate::store::error::StoreResult;

/// The outcome of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// The account is there.
    Created,
    /// Another account has this e-mail.
    EmailTaken,
}

/// Users.
#[async_trait]
pub trait Users: Send + Sync + 'static {
    /// Creates a user with a password, a first session and a first event of their audit trail, and schedules a job: all of it or nothing. E-mails are
    /// unique as they are stored, in lower case. Repeated with the same user id, it is `Created` and changes nothing.
    async fn register(
        &self,
        user: User,
        password_hash: String,
        session: NewSession,
        audit: AuditEvent,
        job: NewJob,
    ) -> StoreResult<Registration>;

    /// Returns a user.
    async fn user(&self, id: Id) -> StoreResult<Option<User>>;

    /// Changes the named fields of a user's profile, and notes it in their audit trail where that changes anything. Returns the
    /// user as they are now; `None` when there is no such user.
    async fn update_profile(
        &self,
        id: Id,
        update: UpdateProfile,
        audit: AuditEvent,
    ) -> StoreResult<Option<User>>;

    /// Gives a user a plan, and stores the event that tells of it unless they have it already. False when there is no such user.
    async fn set_plan(&self, id: Id, plan: Plan, event: AddressedEvent) -> StoreResult<bool>;
}

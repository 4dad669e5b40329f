//! Permissions to set a new password without the current one.

use async_trait::async_trait;
use shared::{
    address::Address,
    api::{account::User, internal::user_event::AddressedEvent},
    id::Id,
    time::Timestamp,
};

use super::{audit::AuditEvent, jobs::NewJob, sessions::TokenHash};
use crate::store::error::StoreResult;

/// A permission to store.
#[derive(Clone, Debug)]
pub struct NewPasswordReset {
    /// The hash of its token.
    pub token_hash: TokenHash,
    /// The user who may set a password.
    pub user_id: Id,
    /// The address at which they get the token, or showed who they are.
    pub address: Address,
    /// The time at which it expires.
    pub expires_at: Timestamp,
}

/// The use of a permission.
#[derive(Clone, Debug)]
pub struct PasswordReset {
    /// The hash of its token.
    pub token_hash: TokenHash,
    /// The user whose it is, as [`PasswordResets::password_reset_user`] returned them.
    pub user_id: Id,
    /// The hash of the new password.
    pub password_hash: String,
    /// The event that tells of the end of all sessions of the user; its time is that of the use.
    pub event: AddressedEvent,
    /// The job that tells the user.
    pub job: NewJob,
    /// The event that notes it in the audit trail.
    pub audit: AuditEvent,
}

/// Permissions to set a new password.
#[async_trait]
pub trait PasswordResets: Send + Sync + 'static {
    /// Stores a permission. Repeated with the same token, it changes nothing. False when there is no such user, or they are suspended.
    async fn create_password_reset(&self, reset: NewPasswordReset) -> StoreResult<bool>;

    /// Returns the user who has a permission with this token that has not expired, and is not suspended.
    async fn password_reset_user(&self, token_hash: TokenHash, now: Timestamp) -> StoreResult<Option<User>>;

    /// Uses a permission: sets the password, ends all sessions of the user that began by then, stores the event that tells of it,
    /// the one of the audit trail and the job, removes all permissions of the user, and verifies the permission's address if it is still theirs. False, and
    /// nothing happens, when the permission is absent, used, expired or somebody else's, or the user is suspended. Of any number of uses at once one
    /// succeeds. A repetition of one that succeeded is false.
    async fn reset_password(&self, reset: PasswordReset) -> StoreResult<bool>;

    /// Forgets the permissions that expired before this time, the oldest `limit` of them. Returns how many went.
    async fn forget_password_resets(&self, expired_before: Timestamp, limit: u32) -> StoreResult<u64>;
}

//! Passwords, as hashes.

use async_trait::async_trait;
use shared::{
    api::{account::User, internal::user_event::AddressedEvent},
    id::Id,
    time::Timestamp,
};

use super::{audit::AuditEvent, jobs::NewJob, sessions::TokenHash};
use crate::store::error::StoreResult;

/// A password's hash with its user.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The user whose password it is.
    pub user: User,
    /// The password's hash in PHC form.
    pub password_hash: String,
    /// True when the user is suspended: no password is theirs.
    pub is_suspended: bool,
    /// True when a stored session of the user, also an ended one, started from the given network.
    pub is_known_network: bool,
}

/// The change of a password by a signed-in user.
#[derive(Clone, Debug)]
pub struct PasswordChange {
    /// The user.
    pub user_id: Id,
    /// The stored hash, of the password that the user knew.
    pub old_hash: String,
    /// The hash of the new password.
    pub new_hash: String,
    /// The session that stays, by a new refresh token alone.
    pub session_id: Id,
    /// The new refresh token.
    pub refresh_hash: TokenHash,
    /// The time at which that expires if it is not used.
    pub refresh_expires_at: Timestamp,
    /// The event that tells of the end of the user's other sessions; its time is that of the change.
    pub event: AddressedEvent,
    /// The job that tells the user.
    pub job: NewJob,
    /// The event that notes it in the audit trail.
    pub audit: AuditEvent,
}

/// Passwords of users.
#[async_trait]
pub trait Credentials: Send + Sync + 'static {
    /// The user with this e-mail (in lower case), their password's hash, and whether they know this network. No network is
    /// known to nobody.
    async fn credential(&self, email: String, network: Option<String>) -> StoreResult<Option<Credential>>;

    /// Returns the hash of a user's password; `None` when they have none.
    async fn password_hash(&self, user_id: Id) -> StoreResult<Option<String>>;

    /// Changes a password, ends the user's other sessions that began by then, stores the event that tells of it, the one of the
    /// audit trail and the job, and replaces all refresh tokens of the session by the new one. A repetition changes nothing more. False, and nothing happens,
    /// when the stored hash is neither `old_hash` nor, after a repetition, `new_hash`, or the session is not open.
    async fn change_password(&self, change: PasswordChange) -> StoreResult<bool>;

    /// Replaces the hash of a password by another one of the same password. False, and nothing happens, when the stored hash is
    /// neither `old` nor, after a repetition, `new`.
    async fn replace_password_hash(&self, user_id: Id, old: String, new: String) -> StoreResult<bool>;
}

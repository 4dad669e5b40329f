//! Passkeys of users.

use async_trait::async_trait;
use shared::{
    api::account::{Passkey, User},
    auth::ways_in::CodeChannels,
    id::Id,
    time::Timestamp,
};

use super::audit::AuditEvent;
use crate::store::error::StoreResult;

/// A passkey as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPasskey {
    /// The passkey.
    pub id: Id,
    /// Whose it is.
    pub user_id: Id,
    /// The id that its authenticator gave it.
    pub credential_id: Vec<u8>,
    /// The public key with what its registration said, as text.
    pub credential: String,
    /// The authenticator's count of uses, as of the last one; 0 where it does not count.
    pub sign_count: u32,
    /// True when it was synchronised or backed up at its last use.
    pub backed_up: bool,
    /// The user's name of it.
    pub name: Option<String>,
    /// The time of its registration.
    pub created_at: Timestamp,
    /// The time of its last use.
    pub last_used_at: Option<Timestamp>,
}

impl From<StoredPasskey> for Passkey {
    fn from(stored: StoredPasskey) -> Self {
        let StoredPasskey { id, name, backed_up, created_at, last_used_at, .. } = stored;
        Self { id, name, backed_up, created_at, last_used_at }
    }
}

/// The outcome of [`Passkeys::add_passkey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasskeyAddition {
    /// It is stored.
    Added,
    /// A passkey with this credential's id is there, of whomever.
    Taken,
    /// The user has as many as one may have.
    TooMany,
    /// There is no such user.
    NoUser,
}

/// A use of a passkey.
#[derive(Clone, Copy, Debug)]
pub struct PasskeyUse {
    /// The passkey.
    pub id: Id,
    /// The authenticator's count of uses, with this one.
    pub sign_count: u32,
    /// True when it is synchronised or backed up now.
    pub backed_up: bool,
    /// The time.
    pub at: Timestamp,
}

/// The outcome of [`Passkeys::remove_passkey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasskeyRemoval {
    /// It is gone.
    Removed,
    /// The user has none with this id.
    Absent,
    /// The user could not sign in without it.
    LastWayIn,
}

/// Passkeys of users.
#[async_trait]
pub trait Passkeys: Send + Sync + 'static {
    /// Stores a passkey unless its user has `most` already, and notes it in the audit trail. A guest is none any more. Of any number at once no more are
    /// stored than the user may have. A repetition changes nothing more.
    async fn add_passkey(
        &self,
        passkey: StoredPasskey,
        most: u32,
        audit: AuditEvent,
    ) -> StoreResult<PasskeyAddition>;

    /// Returns the passkeys of a user, the oldest first.
    async fn passkeys(&self, user_id: Id) -> StoreResult<Vec<StoredPasskey>>;

    /// Returns the passkey with this credential's id.
    async fn passkey_by_credential(&self, credential_id: Vec<u8>) -> StoreResult<Option<StoredPasskey>>;

    /// Records a use, and returns the user. `None`, and nothing happens, when the passkey is absent, or its count is not greater than
    /// the stored one where either is not 0: of any number of uses at once with one count, one is recorded. A repetition with the
    /// same count and time returns the same.
    async fn use_passkey(&self, used: PasskeyUse) -> StoreResult<Option<User>>;

    /// Names a passkey of this user. `None` when they have none with this id.
    async fn rename_passkey(&self, user_id: Id, id: Id, name: String) -> StoreResult<Option<StoredPasskey>>;

    /// Removes a passkey of this user and notes it in the audit trail, unless they could not sign in any more, where codes go out on
    /// these channels: of any number at once the last one stays. A repetition with the same event of the audit trail returns the
    /// same.
    async fn remove_passkey(
        &self,
        user_id: Id,
        id: Id,
        codes: CodeChannels,
        audit: AuditEvent,
    ) -> StoreResult<PasskeyRemoval>;
}

//! Passwords, as hashes.

use async_trait::async_trait;
use shared::{api::account::User, id::Id};

use crate::store::error::StoreResult;

/// A password's hash with its user.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The user whose password it is.
    pub user: User,
    /// The password's hash in PHC form.
    pub password_hash: String,
    /// True when a stored session of the user, also an ended one, started from the given network.
    pub is_known_network: bool,
}

/// Passwords of users.
#[async_trait]
pub trait Credentials: Send + Sync + 'static {
    /// The user with this e-mail (in lower case), their password's hash, and whether they know this network. No network is
    /// known to nobody.
    async fn credential(&self, email: String, network: Option<String>) -> StoreResult<Option<Credential>>;

    /// Replaces the hash of a password by another one of the same password. False, and nothing happens, when the stored hash
    /// is neither `old` nor, after a repetition, `new`.
    async fn replace_password_hash(&self, user_id: Id, old: String, new: String) -> StoreResult<bool>;
}

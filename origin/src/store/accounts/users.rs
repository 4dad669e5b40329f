//! Users.

use async_trait::async_trait;
use shared::{api::account::User, id::Id};

use super::sessions::NewSession;
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
    /// Creates a user with a password and a first session: all three or nothing. E-mails are unique as they are
    /// stored, in lower case. Repeated with the same user id, it is `Created` and changes nothing.
    async fn register(
        &self,
        user: User,
        password_hash: String,
        session: NewSession,
    ) -> StoreResult<Registration>;

    /// Returns a user; `None` when there is no such one.
    async fn user(&self, id: Id) -> StoreResult<Option<User>>;
}

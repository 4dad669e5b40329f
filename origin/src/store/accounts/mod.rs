//! The accounts port, one trait an entity: [`users`], [`addresses`], [`credentials`], [`password_resets`], [`passkeys`],
//! [`identities`], [`guests`], [`sessions`], [`suspensions`], [`deletions`], [`audit`], [`consents`], [`usage`], [`events`],
//! [`jobs`], [`token_keys`]. The types of a trait stand beside it, those of several in [`sign_ins`].
//!
//! Every method is one atomic promise: all of it happened when it returns `Ok`, and repeating a write changes nothing
//! more. Ids and times come from the caller. No text that is to be stored has the character U+0000: requests with one are
//! refused, because not every adapter can store it.

pub mod addresses;
pub mod audit;
pub mod consents;
pub mod credentials;
pub mod deletions;
pub mod events;
pub mod guests;
pub mod identities;
pub mod jobs;
pub mod passkeys;
pub mod password_resets;
pub mod sessions;
pub mod sign_ins;
pub mod suspensions;
pub mod token_keys;
pub mod usage;
pub mod users;

use async_trait::async_trait;
use shared::{id::Id, time::Timestamp};

pub use self::{
    addresses::Addresses, audit::Audit, consents::Consents, credentials::Credentials, deletions::Deletions,
    events::Events, guests::Guests, identities::Identities, jobs::Jobs, passkeys::Passkeys,
    password_resets::PasswordResets, sessions::Sessions, suspensions::Suspensions, token_keys::TokenKeys,
    usage::Usage, users::Users,
};
use super::error::StoreResult;

/// The accounts port: every entity in one store.
pub trait Accounts:
    Backend
    + Users
    + Addresses
    + Credentials
    + PasswordResets
    + Passkeys
    + Identities
    + Guests
    + Sessions
    + Suspensions
    + Audit
    + Consents
    + Usage
    + Deletions
    + Events
    + Jobs
    + TokenKeys
{
}

impl<T> Accounts for T where
    T: Backend
        + Users
        + Addresses
        + Credentials
        + PasswordResets
        + Passkeys
        + Identities
        + Guests
        + Sessions
        + Suspensions
        + Audit
        + Consents
        + Usage
        + Deletions
        + Events
        + Jobs
        + TokenKeys
{
}

/// A place in a list that is ordered by time, and by id within the same millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimePosition {
    /// The time of the item.
    pub at: Timestamp,
    /// Its id.
    pub id: Id,
}

/// The product behind a store.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Returns its name, such as `sqlite`.
    fn backend(&self) -> &'static str;

    /// Answers when the store does.
    async fn ping(&self) -> StoreResult<()>;
}

//! The accounts port, one trait an entity: [`users`], [`addresses`], [`credentials`], [`password_resets`], [`sessions`], [`usage`],
//! [`events`], [`jobs`]. The types of a trait stand beside it.
//!
//! Every method is one atomic promise: all of it happened when it returns `Ok`, and repeating a write changes nothing
//! more. Ids and times come from the caller. No text that is to be stored has the character U+0000: requests with one are
//! refused, because not every adapter can store it.

pub mod addresses;
pub mod credentials;
pub mod events;
pub mod jobs;
pub mod password_resets;
pub mod sessions;
pub mod usage;
pub mod users;

use async_trait::async_trait;

pub use self::{
    addresses::Addresses, credentials::Credentials, events::Events, jobs::Jobs,
    password_resets::PasswordResets, sessions::Sessions, usage::Usage, users::Users,
};
use super::error::StoreResult;

/// The accounts port: every entity in one store.
pub trait Accounts:
    Backend + Users + Addresses + Credentials + PasswordResets + Sessions + Usage + Events + Jobs
{
}

impl<T: Backend + Users + Addresses + Credentials + PasswordResets + Sessions + Usage + Events + Jobs>
    Accounts for T
{
}

/// The product behind a store.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Returns its name, such as `sqlite`.
    fn backend(&self) -> &'static str;

    /// Answers when the store does.
    async fn ping(&self) -> StoreResult<()>;
}

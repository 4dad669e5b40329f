//! Versions of documents that users have agreed to.

use async_trait::async_trait;
use shared::{auth::consents::AcceptedVersion, id::Id, time::Timestamp};

use super::audit::AuditEvent;
use crate::store::error::StoreResult;

/// The outcome of [`Consents::give_consent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentOutcome {
    /// It is on record since now.
    Given,
    /// It is on record since this time.
    Known(Timestamp),
    /// The user has as many as one may have.
    TooMany,
    /// There is no such user.
    NoUser,
}

/// Versions of documents that users have agreed to.
#[async_trait]
pub trait Consents: Send + Sync + 'static {
    /// Records that a user has agreed to a version, and notes it in their audit trail; nothing when it is on record, or when they
    /// have `most` already. Several at once may be more by their number.
    async fn give_consent(
        &self,
        user_id: Id,
        accepted: AcceptedVersion,
        most: u32,
        audit: AuditEvent,
    ) -> StoreResult<ConsentOutcome>;

    /// Returns all that a user has agreed to, sorted by document and version.
    async fn consents(&self, user_id: Id) -> StoreResult<Vec<AcceptedVersion>>;
}

//! Identities: accounts at other providers by which users sign in.

use async_trait::async_trait;
use shared::{
    api::account::{AccountEventKind, Provider, User},
    id::Id,
    time::Timestamp,
};

use super::{
    audit::AuditEvent,
    sessions::TokenHash,
    sign_ins::{ProvenSignIn, SignedIn},
};
use crate::store::error::StoreResult;

/// An account at a provider, proven by its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewIdentity {
    /// The provider.
    pub provider: Provider,
    /// The provider's id of the user.
    pub subject: String,
    /// The address that the provider named, verified or not.
    pub email: Option<String>,
}

/// The sign-in of somebody who has an account at a provider.
#[derive(Clone, Debug)]
pub struct IdentitySignIn {
    /// The account at the provider.
    pub identity: NewIdentity,
    /// Their e-mail address as the provider has verified it: whoever has it is them.
    pub verified_email: Option<String>,
    /// The user, the session and the events; the new user has the address, verified.
    pub proven: ProvenSignIn,
    /// The id of the event that notes that the identity was linked to a user who was there before.
    pub linked_audit_id: Id,
}

impl IdentitySignIn {
    /// Returns the event that notes in the audit trail that the identity was linked to this user.
    pub fn linked_event(&self, user_id: Id) -> AuditEvent {
        let kind = AccountEventKind::IdentityLinked;
        AuditEvent { id: self.linked_audit_id, user_id, kind, ..self.proven.audit.clone() }
    }

    /// Returns a user whose address is proven for the first time. Their phone number goes: it may be somebody else's.
    pub fn taken_over(&self, user: User) -> User {
        User { email_verified: true, phone: None, phone_verified: false, ..user }
    }
}

/// The link of an identity to a signed-in user.
#[derive(Clone, Debug)]
pub struct IdentityLink {
    /// The user.
    pub user_id: Id,
    /// The account at the provider.
    pub identity: NewIdentity,
    /// Their e-mail address as the provider has verified it, for a user who has none.
    pub verified_email: Option<String>,
    /// The session that goes on, by a new refresh token alone.
    pub session_id: Id,
    /// The new refresh token.
    pub refresh_hash: TokenHash,
    /// The time at which that expires if it is not used.
    pub refresh_expires_at: Timestamp,
    /// The event that notes it in the audit trail.
    pub audit: AuditEvent,
}

/// The outcome of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityLinkOutcome {
    /// The user has the identity, and is no guest any more.
    Linked(Box<User>),
    /// Somebody else has the identity; or the user is a guest, and somebody else has the address.
    Taken,
    /// There is no such user, or the session is not an open one of theirs.
    NoSession,
}

/// The provider's refresh token of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityToken {
    /// The client that the provider issued it to.
    pub client_id: String,
    /// The token, sealed for the user.
    pub sealed: Vec<u8>,
}

/// An identity as its user may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedIdentity {
    /// The provider's name.
    pub provider: String,
    /// The provider's address of the user at the time of the link.
    pub email: Option<String>,
    /// The time of the link.
    pub linked_at: Timestamp,
}

/// Identities of users.
#[async_trait]
pub trait Identities: Send + Sync + 'static {
    /// Signs in whoever has an identity. Where nobody has it, it is linked to whoever has the verified address: one who had not
    /// verified it gets it verified and loses their password, other identities and sessions, as in
    /// [`super::Addresses::sign_in_by_address`]. Where nobody has the address either, the user is created. Each is noted in the
    /// audit trail. `None`, and nothing happens, when the user is suspended. Repeated with the same session id, it changes nothing more. Of any number at once for one identity the first
    /// creates the user.
    async fn sign_in_by_identity(&self, sign_in: IdentitySignIn) -> StoreResult<Option<SignedIn>>;

    /// Links an identity to a signed-in user, and gives them the address if they have none and nobody else has it; replaces all
    /// refresh tokens of the session by the new one, and notes a new link in the audit trail. A repetition changes nothing more.
    async fn link_identity(&self, link: IdentityLink) -> StoreResult<IdentityLinkOutcome>;

    /// Keeps the provider's refresh token of an identity, in place of an earlier one. False when the identity is not this user's.
    async fn keep_identity_token(
        &self,
        user_id: Id,
        provider: Provider,
        subject: String,
        token: IdentityToken,
    ) -> StoreResult<bool>;

    /// Returns the identities of a user, the oldest first.
    async fn identities(&self, user_id: Id) -> StoreResult<Vec<LinkedIdentity>>;

    /// Returns the refresh tokens of a user's identities at a provider.
    async fn identity_tokens(&self, user_id: Id, provider: Provider) -> StoreResult<Vec<IdentityToken>>;
}

//! Addresses of users: who has one, and what it means that somebody showed that they get messages there.

use async_trait::async_trait;
use shared::{
    address::Address,
    api::{
        account::{AccountEventKind, User},
        internal::user_event::{AddressedEvent, UserEvent},
    },
    id::Id,
    time::Timestamp,
};

use super::{
    audit::AuditEvent,
    jobs::NewJob,
    sessions::{NewSession, TokenHash},
};
use crate::store::error::StoreResult;

/// Whoever has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressOwner {
    /// The user.
    pub user_id: Id,
    /// True when a stored session of the user, also an ended one, started from the given network.
    pub is_known_network: bool,
}

/// The sign-in of somebody who gets messages at an address.
#[derive(Clone, Debug)]
pub struct AddressSignIn {
    /// The address.
    pub address: Address,
    /// The user to create where nobody has the address; it has it, verified.
    pub new_user: User,
    /// The session to open. Its user is the new one; where somebody has the address, they take that one's place.
    pub session: NewSession,
    /// The id of the event that tells of the end of sessions of somebody who had never verified the address.
    pub event_id: Id,
    /// The event that notes in the audit trail that the new user signed up.
    pub audit: AuditEvent,
}

impl AddressSignIn {
    /// Returns the time of the sign-in.
    pub const fn at(&self) -> Timestamp {
        self.session.created_at
    }

    /// Returns the session, as one of the user who has the address.
    pub fn session_of(&self, user_id: Id) -> NewSession {
        NewSession { user_id, ..self.session.clone() }
    }

    /// Returns the event that notes in the audit trail that this user, who had the address, signed in.
    pub fn signed_in_event(&self, user_id: Id) -> AuditEvent {
        AuditEvent { user_id, kind: AccountEventKind::SignedIn, ..self.audit.clone() }
    }

    /// Returns the event that tells that the other sessions of this user ended.
    pub fn end_event(&self, user_id: Id) -> AddressedEvent {
        let event = UserEvent::UserSessionsEnded { except: Some(self.session.id) };
        AddressedEvent { id: self.event_id, user_id, at: self.at(), event }
    }

    /// Returns whether a user has verified the address.
    pub const fn is_verified_by(&self, user: &User) -> bool {
        match self.address {
            Address::Email(_) => user.email_verified,
            Address::Phone(_) => user.phone_verified,
        }
    }

    /// Returns a user who has verified the address. One who had not verified an e-mail address before loses their phone number: it may
    /// be somebody else's.
    pub fn verified(&self, mut user: User) -> User {
        if !self.is_verified_by(&user) && self.address.as_email().is_some() {
            (user.phone, user.phone_verified) = (None, false);
        }
        match self.address {
            Address::Email(_) => user.email_verified = true,
            Address::Phone(_) => user.phone_verified = true,
        }
        user
    }
}

/// The outcome of a sign-in by an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSignedIn {
    /// The user, with the address verified.
    pub user: User,
    /// True when they were created.
    pub is_new: bool,
    /// The event that tells of the end of other sessions, where that may have happened.
    pub event: Option<AddressedEvent>,
}

/// The change of a signed-in user's address to one where they get messages.
#[derive(Clone, Debug)]
pub struct AddressChange {
    /// The user.
    pub user_id: Id,
    /// The address.
    pub address: Address,
    /// The session that goes on, by a new refresh token alone.
    pub session_id: Id,
    /// The new refresh token.
    pub refresh_hash: TokenHash,
    /// The time at which that expires if it is not used.
    pub refresh_expires_at: Timestamp,
    /// The job that tells them at the address that was theirs before, where it was another one.
    pub job: Option<NewJob>,
    /// The event that notes it in the audit trail.
    pub audit: AuditEvent,
}

/// The outcome of a change of address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressChangeOutcome {
    /// The user has the address, verified.
    Changed(Box<User>),
    /// Somebody else has it.
    Taken,
    /// There is no such user, or the session is not an open one of theirs.
    NoSession,
}

/// Addresses of users.
#[async_trait]
pub trait Addresses: Send + Sync + 'static {
    /// Returns the user who has this address.
    async fn user_by_address(&self, address: Address) -> StoreResult<Option<User>>;

    /// Returns who has this address, and whether they know this network. No network is known to nobody.
    async fn address_owner(
        &self,
        address: Address,
        network: Option<String>,
    ) -> StoreResult<Option<AddressOwner>>;

    /// Signs in whoever gets messages at an address, and creates them where nobody has it; notes either in the audit trail. A user who had not verified it gets
    /// it verified and loses their password, phone number, passkeys, identities and other sessions, with the event that tells of it: whoever
    /// registered may have been somebody else. Undoes the deletion of the account if that was asked for. `None`, and nothing happens,
    /// when whoever has it is suspended. Repeated with the same session id, it changes nothing more. Of any number at once for one
    /// address the first creates the user.
    async fn sign_in_by_address(&self, sign_in: AddressSignIn) -> StoreResult<Option<AddressSignedIn>>;

    /// Verifies the e-mail address of a user, and notes it in the audit trail. A repetition changes nothing more. False, and nothing
    /// happens, when this is no user's address who has this id and is not suspended.
    async fn verify_email(&self, user_id: Id, email: String, audit: AuditEvent) -> StoreResult<bool>;

    /// Gives a signed-in user an address in place of the one they have, verified; replaces all refresh tokens of the session by
    /// the new one; schedules the job and notes it in the audit trail. A repetition changes nothing more.
    async fn change_address(&self, change: AddressChange) -> StoreResult<AddressChangeOutcome>;
}

//! Addresses of users: who has one, and what it means that somebody showed that they get messages there.

use async_trait::async_trait;
use shared::{address::Address, api::account::User, id::Id, time::Timestamp};

use super::{
    audit::AuditEvent,
    jobs::NewJob,
    sessions::TokenHash,
    sign_ins::{ProvenSignIn, SignedIn},
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
    /// The user, the session and the events; the new user has the address, verified.
    pub proven: ProvenSignIn,
}

impl AddressSignIn {
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
    async fn sign_in_by_address(&self, sign_in: AddressSignIn) -> StoreResult<Option<SignedIn>>;

    /// Verifies the e-mail address of a user, and notes it in the audit trail. A repetition changes nothing more. False, and nothing
    /// happens, when this is no user's address who has this id and is not suspended.
    async fn verify_email(&self, user_id: Id, email: String, audit: AuditEvent) -> StoreResult<bool>;

    /// Gives a signed-in user an address in place of the one they have, verified; replaces all refresh tokens of the session by
    /// the new one; schedules the job and notes it in the audit trail. A repetition changes nothing more.
    async fn change_address(&self, change: AddressChange) -> StoreResult<AddressChangeOutcome>;
}

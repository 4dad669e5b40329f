//! Sign-ins by a proof that may come first: of an address, or of an identity. They find a user or create one.

use shared::{
    api::{
        account::{AccountEventKind, User},
        internal::user_event::{AddressedEvent, UserEvent},
    },
    id::Id,
    time::Timestamp,
};

use super::{audit::AuditEvent, sessions::NewSession};

/// The part of a sign-in that is the same for every proof.
#[derive(Clone, Debug)]
pub struct ProvenSignIn {
    /// The user to create where nobody is known by the proof; they have what it proves, verified.
    pub new_user: User,
    /// The session to open. Its user is the new one; where somebody is known, they take that one's place.
    pub session: NewSession,
    /// The id of the event that tells of the end of sessions of somebody who had never verified the address.
    pub event_id: Id,
    /// The event that notes in the audit trail that the new user signed up.
    pub audit: AuditEvent,
}

impl ProvenSignIn {
    /// Returns the time of the sign-in.
    pub const fn at(&self) -> Timestamp {
        self.session.created_at
    }

    /// Returns the session, as one of this user.
    pub fn session_of(&self, user_id: Id) -> NewSession {
        NewSession { user_id, ..self.session.clone() }
    }

    /// Returns the event that notes in the audit trail that this user signed in.
    pub fn signed_in_event(&self, user_id: Id) -> AuditEvent {
        AuditEvent { user_id, kind: AccountEventKind::SignedIn, ..self.audit.clone() }
    }

    /// Returns the event that tells that the other sessions of this user ended.
    pub fn end_event(&self, user_id: Id) -> AddressedEvent {
        let event = UserEvent::UserSessionsEnded { except: Some(self.session.id) };
        AddressedEvent { id: self.event_id, user_id, at: self.at(), event }
    }

    /// Returns the outcome where the new user was created.
    pub fn signed_up(&self) -> SignedIn {
        SignedIn { user: self.new_user.clone(), is_new: true, event: None }
    }

    /// Returns the outcome where this user was known, with the event that tells of the end of their other sessions, if there is one. A
    /// repetition finds the user that it created.
    pub fn signed_in(&self, user: User, event: Option<AddressedEvent>) -> SignedIn {
        SignedIn { is_new: user.id == self.new_user.id, user, event }
    }
}

/// The outcome of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The user, with what was proven verified.
    pub user: User,
    /// True when they were created.
    pub is_new: bool,
    /// The event that tells of the end of other sessions, where that may have happened.
    pub event: Option<AddressedEvent>,
}

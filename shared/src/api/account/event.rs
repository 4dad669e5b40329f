//! The audit trail of an account, as its user sees it.

use serde::{Deserialize, Serialize};

use crate::{api::open::open_names, id::Id, time::Timestamp};

open_names! {
    /// The kind of an event of an account.
    pub enum AccountEventKind {
        /// The account was made, with its first session.
        SignedUp = "signed_up",
        /// A session began.
        SignedIn = "signed_in",
        /// Somebody tried to sign in with a wrong password.
        SignInFailed = "sign_in_failed",
        /// A session was ended.
        SessionEnded = "session_ended",
        /// All sessions were ended.
        SessionsEnded = "sessions_ended",
        /// A session was ended because a refresh token of it was used twice.
        RefreshTokenReused = "refresh_token_reused",
        /// The user chose another password, and all other sessions ended.
        PasswordChanged = "password_changed",
        /// A password was set by a link or a code, and all sessions ended.
        PasswordReset = "password_reset",
        /// The e-mail address was changed.
        EmailChanged = "email_changed",
        /// The e-mail address was confirmed by a link.
        EmailVerified = "email_verified",
        /// The phone number was changed.
        PhoneChanged = "phone_changed",
        /// The profile was changed.
        ProfileChanged = "profile_changed",
        /// The user agreed to a document.
        ConsentGiven = "consent_given",
        /// An operator suspended the account, and all sessions ended.
        Suspended = "suspended",
        /// An operator ended the suspension of the account.
        Resumed = "resumed",
        /// A passkey was registered.
        PasskeyAdded = "passkey_added",
        /// A passkey was removed.
        PasskeyRemoved = "passkey_removed",
        /// An account at another provider can be used to sign in from now on.
        IdentityLinked = "identity_linked",
        /// The conversations of a guest were moved to this account.
        GuestMerged = "guest_merged",
        /// The user asked for all their data.
        Exported = "exported",
        /// The user asked for the deletion of the account, and all sessions ended.
        DeletionRequested = "deletion_requested",
        /// The user signed in before the account was deleted, which undid that.
        DeletionCancelled = "deletion_cancelled",
    }
}

/// An event of the user's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountEvent {
    /// The event's id.
    pub id: Id,
    /// Its kind.
    pub kind: AccountEventKind,
    /// The time at which it happened.
    pub at: Timestamp,
    /// The session that began or ended, or else the one in which it was done; `null` where there was none.
    pub session_id: Option<Id>,
    /// The address that the request came from; `null` where an operator did it.
    pub ip: Option<String>,
    /// The user's name of that session's device, or the one that a failed sign-in gave.
    pub device_name: Option<String>,
    /// The id of the request, for questions about it; `null` where an operator did it.
    pub request_id: Option<String>,
}

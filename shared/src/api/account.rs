//! Users, and what signs them up and in.
//!
//! - [`passwords`]: the rules of passwords, and requests that change one
//! - [`codes`]: one-time codes
//! - [`session`]: sessions as their user sees them
//! - [`profile`]: changes of what users say about themselves
//! - [`event`]: the audit trail of an account
//! - [`consent`]: documents that users agree to
//! - [`passkey`]: passkeys, and requests that register or use one
//! - [`identity`]: accounts at other providers, and guests
//! - [`deletion`]: the deletion of an account
//! - [`export`]: all that is stored of a user, line by line

pub mod codes;
pub mod consent;
pub mod deletion;
pub mod event;
pub mod export;
pub mod identity;
pub mod passkey;
pub mod passwords;
pub mod profile;
pub mod session;

use garde::Validate;
use serde::{Deserialize, Serialize};

pub use self::{
    consent::{Consent, Consents, GiveConsent},
    event::{AccountEvent, AccountEventKind},
    identity::{AppleSignInRequest, GoogleSignInRequest, GuestRequest, Provider},
    passkey::{Passkey, PasskeyLogin, PasskeyOptions, Passkeys, RegisterPasskey, RenamePasskey},
    profile::{MAX_AVATAR_URL_BYTES, MAX_LOCALE_CHARS, MAX_TIMEZONE_CHARS, UpdateProfile},
    session::{Platform, Session},
};

use self::{
    identity::MAX_ACCESS_TOKEN_CHARS,
    passwords::{new_password_shape, password_length},
};
use super::open::open_names;
use crate::{id::Id, text::normalize_email, time::Timestamp};

/// The most characters of an e-mail address (RFC 5321).
pub const MAX_EMAIL_CHARS: usize = 254;
/// The most characters of a name of a user or a device.
pub const MAX_NAME_CHARS: usize = 100;
/// The most characters of a refresh token.
pub const MAX_REFRESH_TOKEN_CHARS: usize = 256;

open_names! {
    /// The plan that a user has paid for.
    #[derive(Default)]
    pub enum Plan {
        /// Free, with a daily limit.
        #[default]
        Basic = "basic",
        /// Paid.
        Pro = "pro",
    }
}

impl Plan {
    /// The plan that is served: one of a newer version is one that is paid for.
    #[must_use]
    pub const fn served_as(self) -> Self {
        match self {
            Self::Basic => Self::Basic,
            Self::Pro | Self::Unknown(_) => Self::Pro,
        }
    }
}

/// A user, as they see themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    /// The user's id.
    pub id: Id,
    /// The address they sign in with, in lower case.
    pub email: Option<String>,
    /// True once they showed that they read mail there.
    pub email_verified: bool,
    /// The number they sign in with (E.164).
    pub phone: Option<String>,
    /// True once they showed that they get messages there.
    pub phone_verified: bool,
    /// The name by which they want to be called.
    pub display_name: Option<String>,
    /// A picture.
    pub avatar_url: Option<String>,
    /// A BCP 47 language tag.
    pub locale: Option<String>,
    /// An IANA time zone name.
    pub timezone: Option<String>,
    /// The plan that they have paid for.
    pub plan: Plan,
    /// The time at which they registered.
    pub created_at: Timestamp,
    /// True while nothing but the session says who they are: an account of `auth/guest` to which no e-mail address, phone number or
    /// other way to sign in was added.
    #[serde(default)]
    pub guest: bool,
}

/// The answer to every sign-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tokens {
    /// A JWT for the `Authorization: Bearer` header.
    pub access_token: String,
    /// Exchanged once for the next pair at `auth/refresh`.
    pub refresh_token: String,
    /// Always `bearer`.
    #[cfg_attr(feature = "openapi", schema(example = "bearer"))]
    pub token_type: std::borrow::Cow<'static, str>,
    /// Seconds until the access token expires.
    pub expires_in: u64,
    /// Seconds until the refresh token expires when it is not used.
    pub refresh_expires_in: u64,
    /// The session both belong to.
    pub session_id: Id,
    /// The user who signed in.
    pub user: User,
}

/// `POST auth/register`.
#[derive(Clone, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegisterRequest {
    /// The address to sign in with; neither letter case nor spaces around it matter.
    #[garde(custom(email_shape))]
    #[cfg_attr(feature = "openapi", schema(example = "ada@example.com"))]
    pub email: String,
    /// 8 to 128 characters, and not among the first that anybody would guess.
    #[garde(custom(new_password_shape))]
    #[cfg_attr(feature = "openapi", schema(example = "correct horse battery"))]
    pub password: String,
    /// The name by which the user wants to be called: 1 to 100 characters, no control characters.
    #[serde(default)]
    #[garde(inner(length(chars, min = 1, max = MAX_NAME_CHARS), custom(no_controls)))]
    pub display_name: Option<String>,
    /// Names the session in the list of sessions: at most 100 characters, no control characters.
    #[serde(default)]
    #[garde(inner(length(chars, max = MAX_NAME_CHARS), custom(no_controls)))]
    pub device_name: Option<String>,
}

/// `POST auth/login`.
#[derive(Clone, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LoginRequest {
    /// The address they registered with.
    #[garde(custom(email_length))]
    #[cfg_attr(feature = "openapi", schema(example = "ada@example.com"))]
    pub email: String,
    /// Their password.
    #[garde(custom(password_length))]
    #[cfg_attr(feature = "openapi", schema(example = "correct horse battery"))]
    pub password: String,
    /// Names the session in the list of sessions: at most 100 characters, no control characters.
    #[serde(default)]
    #[garde(inner(length(chars, max = MAX_NAME_CHARS), custom(no_controls)))]
    pub device_name: Option<String>,
    /// An access token of a guest whose conversations are to be moved to this account. The guest's account ends then.
    #[serde(default)]
    #[garde(inner(length(chars, min = 1, max = MAX_ACCESS_TOKEN_CHARS)))]
    pub merge_guest_token: Option<String>,
}

/// `POST auth/refresh`.
#[derive(Clone, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefreshRequest {
    /// The refresh token of the last pair.
    #[garde(length(chars, max = MAX_REFRESH_TOKEN_CHARS))]
    pub refresh_token: String,
}

/// Checks an address for its shape (RFC 5321 lengths; one `@`; a dotted domain), in the form in which it is compared: whether mail
/// arrives, only mail can tell.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "garde calls custom rules like this")]
fn email_shape(value: &str, _context: &()) -> garde::Result {
    if is_email(value) { Ok(()) } else { Err(garde::Error::new("is not an e-mail address")) }
}

/// Returns whether a text has the shape of an address.
pub fn is_email(value: &str) -> bool {
    let value = normalize_email(value);
    let shaped = value.rsplit_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && local.len() <= 64
            && !local.contains('@')
            && domain.contains('.')
            && domain.split('.').all(|label| {
                !label.is_empty()
                    && label.chars().all(|c| c.is_alphanumeric() || c == '-')
                    && !label.starts_with('-')
            })
    });
    shaped && value.len() <= MAX_EMAIL_CHARS && !value.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// Checks that an address is no longer than any that can be registered, in the form in which it is compared.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "garde calls custom rules like this")]
fn email_length(value: &str, _context: &()) -> garde::Result {
    if is_possible_email(value) { Ok(()) } else { Err(garde::Error::new("is longer than 254 characters")) }
}

/// Returns whether a text is short enough for an address, in the form in which it is compared.
pub fn is_possible_email(value: &str) -> bool {
    normalize_email(value).chars().count() <= MAX_EMAIL_CHARS
}

/// Refuses a name with a control character: no line of a list can show one, and U+0000 cannot be stored everywhere.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "garde calls custom rules like this")]
fn no_controls(value: &str, _context: &()) -> garde::Result {
    if value.chars().any(char::is_control) {
        return Err(garde::Error::new("must not have control characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    #[rstest]
    #[case("ada@example.com", true)]
    #[case("a.d+a@mail.example.co", true)]
    #[case("ada@müller.example", true)]
    #[case("ada", false)]
    #[case("@example.com", false)]
    #[case("ada@example", false)]
    #[case("ada@exa mple.com", false)]
    #[case("ada@@example.com", false)]
    #[case("ada@example..com", false)]
    #[case("ada@-example.com", false)]
    #[case(" ada@example.com\u{a0}", true)]
    #[case("ada@mu\u{308}ller.example", true)]
    #[case("a da@example.com", false)]
    fn email_has_shape_or_is_refused(#[case] text: &str, #[case] good: bool) {
        assert_eq!(super::email_shape(text, &()).is_ok(), good);
    }

    #[test]
    fn email_of_254_characters_is_possible_and_longer_is_not() {
        assert!(super::is_possible_email(&format!("{}@example.com  ", "a".repeat(242))));
        assert!(!super::is_possible_email(&format!("{}@example.com", "a".repeat(243))));
    }
}

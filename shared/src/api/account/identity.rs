//! Sign-in by an account at Google or Apple, and accounts of guests.

use garde::Validate;
use serde::{Deserialize, Serialize};

use super::{MAX_NAME_CHARS, no_controls};

/// The most characters of an id token. Those of Google and Apple have about a thousand.
pub const MAX_ID_TOKEN_CHARS: usize = 8 * 1024;
/// The most characters of a nonce.
pub const MAX_NONCE_CHARS: usize = 256;
/// The most characters of an authorization code.
pub const MAX_AUTHORIZATION_CODE_CHARS: usize = 1_024;
/// The most characters of an access token.
pub const MAX_ACCESS_TOKEN_CHARS: usize = 8 * 1024;

/// A provider of identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Google.
    Google,
    /// Apple.
    Apple,
}

impl Provider {
    /// Returns its name in paths and in stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Apple => "apple",
        }
    }

    /// Returns its name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Google => "Google",
            Self::Apple => "Apple",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Google, Self::Apple].into_iter().find(|provider| provider.as_str() == text)
    }
}

/// `POST auth/oidc/google`.
#[derive(Clone, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GoogleSignInRequest {
    /// The id token that Google's SDK returned.
    #[garde(length(chars, min = 1, max = MAX_ID_TOKEN_CHARS))]
    pub id_token: String,
    /// The nonce that the app chose, where it chose one: the SDK was given this text, or its SHA-256 in hexadecimal.
    #[serde(default)]
    #[garde(inner(length(chars, min = 1, max = MAX_NONCE_CHARS)))]
    pub nonce: Option<String>,
    /// The name of somebody who is new here; by default the one that the token has. 1 to 100 characters, no control characters.
    #[serde(default)]
    #[garde(inner(length(chars, min = 1, max = MAX_NAME_CHARS), custom(no_controls)))]
    pub display_name: Option<String>,
    /// Names the session in the list of sessions: at most 100 characters, no control characters.
    #[serde(default)]
    #[garde(inner(length(chars, max = MAX_NAME_CHARS), custom(no_controls)))]
    pub device_name: Option<String>,
    /// An access token of a guest whose conversations are to be moved to this account. The guest's account ends then.
    #[serde(default)]
    #[garde(inner(length(chars, min = 1, max = MAX_ACCESS_TOKEN_CHARS)))]
    pub merge_guest_token: Option<String>,
}

/// `POST auth/oidc/apple`.
#[derive(Clone, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AppleSignInRequest {
    /// The identity token that Apple's SDK returned.
    #[garde(length(chars, min = 1, max = MAX_ID_TOKEN_CHARS))]
    pub id_token: String,
    /// The nonce that the app chose, where it chose one: the SDK was given this text, or its SHA-256 in hexadecimal.
    #[serde(default)]
    #[garde(inner(length(chars, min = 1, max = MAX_NONCE_CHARS)))]
    pub nonce: Option<String>,
    /// The authorization code that came with the token. It is what lets the server revoke the app's access when the account is
    /// deleted, which Apple requires.
    #[serde(default)]
    #[garde(inner(length(chars, min = 1, max = MAX_AUTHORIZATION_CODE_CHARS), custom(no_controls)))]
    pub authorization_code: Option<String>,
    /// The name of somebody who is new here, which Apple tells the app once. 1 to 100 characters, no control characters.
    #[serde(default)]
    #[garde(inner(length(chars, min = 1, max = MAX_NAME_CHARS), custom(no_controls)))]
    pub display_name: Option<String>,
    /// Names the session in the list of sessions: at most 100 characters, no control characters.
    #[serde(default)]
    #[garde(inner(length(chars, max = MAX_NAME_CHARS), custom(no_controls)))]
    pub device_name: Option<String>,
    /// An access token of a guest whose conversations are to be moved to this account. The guest's account ends then.
    #[serde(default)]
    #[garde(inner(length(chars, min = 1, max = MAX_ACCESS_TOKEN_CHARS)))]
    pub merge_guest_token: Option<String>,
}

/// `POST auth/guest`.
#[derive(Clone, Default, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GuestRequest {
    /// Names the session in the list of sessions: at most 100 characters, no control characters.
    #[serde(default)]
    #[garde(inner(length(chars, max = MAX_NAME_CHARS), custom(no_controls)))]
    pub device_name: Option<String>,
}

//! Passkeys (WebAuthn): keys in the user's device or password manager, with which they sign in without a name and a password.

use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{MAX_NAME_CHARS, no_controls};
use crate::{id::Id, time::Timestamp};

/// The most passkeys of a user.
pub const MAX_PASSKEYS: u32 = 20;

/// A passkey of the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Passkey {
    /// The passkey's id.
    pub id: Id,
    /// The user's name of it.
    pub name: Option<String>,
    /// True when it is synchronised or backed up, and so survives the loss of a device.
    pub backed_up: bool,
    /// The time of its registration.
    pub created_at: Timestamp,
    /// The time of the last sign-in with it; `null` before the first.
    pub last_used_at: Option<Timestamp>,
}

/// The passkeys of the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Passkeys {
    /// The oldest first.
    pub items: Vec<Passkey>,
}

/// The options for an authenticator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PasskeyOptions {
    /// Names the challenge; sent back with the credential.
    pub challenge_id: Id,
    /// Seconds until the challenge expires.
    #[cfg_attr(feature = "openapi", schema(example = 300))]
    pub expires_in: u64,
    /// The options as JSON of WebAuthn: a browser reads them by `PublicKeyCredential.parseCreationOptionsFromJSON` or
    /// `parseRequestOptionsFromJSON`, Android's Credential Manager takes them as they are.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub public_key: Map<String, Value>,
}

/// `POST auth/passkeys/register`.
#[derive(Clone, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegisterPasskey {
    /// The `challenge_id` of the options.
    #[garde(skip)]
    pub challenge_id: Id,
    /// The new credential as JSON of WebAuthn: a browser writes it by `credential.toJSON()`.
    #[garde(skip)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub credential: Map<String, Value>,
    /// The user's name of it: 1 to 100 characters, no control characters.
    #[serde(default)]
    #[garde(inner(length(chars, min = 1, max = MAX_NAME_CHARS), custom(no_controls)))]
    #[cfg_attr(feature = "openapi", schema(example = "Ada's phone"))]
    pub name: Option<String>,
}

/// `PATCH auth/passkeys/{id}`.
#[derive(Clone, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RenamePasskey {
    /// The user's name of it: 1 to 100 characters, no control characters.
    #[garde(length(chars, min = 1, max = MAX_NAME_CHARS), custom(no_controls))]
    #[cfg_attr(feature = "openapi", schema(example = "Ada's phone"))]
    pub name: String,
}

/// `POST auth/passkeys/login`.
#[derive(Clone, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PasskeyLogin {
    /// The `challenge_id` of the options.
    #[garde(skip)]
    pub challenge_id: Id,
    /// The signed credential as JSON of WebAuthn: a browser writes it by `credential.toJSON()`.
    #[garde(skip)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub credential: Map<String, Value>,
    /// Names the session in the list of sessions: at most 100 characters, no control characters.
    #[serde(default)]
    #[garde(inner(length(chars, max = MAX_NAME_CHARS), custom(no_controls)))]
    pub device_name: Option<String>,
}

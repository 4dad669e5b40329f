//! The deletion of an account by its user.

use garde::Validate;
use serde::{Deserialize, Serialize};

use super::{codes::code_shape, passwords::password_length};
use crate::time::Timestamp;

/// `DELETE users/me`. One of the fields is required, unless the account has neither a password nor an address.
#[derive(Clone, Default, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeleteAccountRequest {
    /// The password.
    #[serde(default)]
    #[garde(inner(custom(password_length)))]
    #[cfg_attr(feature = "openapi", schema(example = "correct horse battery"))]
    pub password: Option<String>,
    /// A one-time code that was sent for `delete` to an address of the account: six digits.
    #[serde(default)]
    #[garde(inner(custom(code_shape)))]
    pub code: Option<String>,
}

/// The answer to `DELETE users/me`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScheduledDeletion {
    /// The time from which on the account is deleted for ever. Signing in before undoes the deletion.
    pub deletes_at: Timestamp,
}

//! Passwords: their rules, and requests that change one.

use garde::Validate;
use serde::{Deserialize, Serialize};

use super::email_shape;
use crate::text::opaque_string;

/// The fewest characters of a password.
pub const MIN_PASSWORD_CHARS: usize = 8;
/// The most characters of a new password: enough for any passphrase, and a bound on what is hashed.
pub const MAX_PASSWORD_CHARS: usize = 128;
/// The most characters of a password at sign-in. Passwords of up to as many could be chosen before.
pub const MAX_TYPED_PASSWORD_CHARS: usize = 256;
/// The most characters of a token of a link.
pub const MAX_LINK_TOKEN_CHARS: usize = 256;

/// `POST auth/change-password`.
#[derive(Clone, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangePasswordRequest {
    /// The password that counts until now.
    #[garde(custom(password_length))]
    #[cfg_attr(feature = "openapi", schema(example = "correct horse battery"))]
    pub current_password: String,
    /// The password that counts from now on: 8 to 128 characters, and not among the first that anybody would guess.
    #[garde(custom(new_password_shape))]
    #[cfg_attr(feature = "openapi", schema(example = "staple battery horse"))]
    pub new_password: String,
}

/// `POST auth/forgot-password`.
#[derive(Clone, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ForgotPasswordRequest {
    /// The address of the account.
    #[garde(custom(email_shape))]
    #[cfg_attr(feature = "openapi", schema(example = "ada@example.com"))]
    pub email: String,
}

/// `POST auth/reset-password`.
#[derive(Clone, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResetPasswordRequest {
    /// The token of the link, or the `reset_token` of `auth/otp/verify`.
    #[garde(length(chars, max = MAX_LINK_TOKEN_CHARS))]
    pub token: String,
    /// The password that counts from now on: 8 to 128 characters, and not among the first that anybody would guess.
    #[garde(custom(new_password_shape))]
    #[cfg_attr(feature = "openapi", schema(example = "staple battery horse"))]
    pub new_password: String,
}

/// Checks the length of a new password, in the form in which it is hashed.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "garde calls custom rules like this")]
pub(super) fn new_password_shape(value: &str, _context: &()) -> garde::Result {
    let chars = opaque_string(value).chars().count();
    if chars < MIN_PASSWORD_CHARS {
        return Err(garde::Error::new(format!("is shorter than {MIN_PASSWORD_CHARS} characters")));
    }
    if chars > MAX_PASSWORD_CHARS {
        return Err(garde::Error::new(format!("is longer than {MAX_PASSWORD_CHARS} characters")));
    }
    Ok(())
}

/// Checks that a password is no longer than any that can have been chosen, in the form in which it is hashed.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "garde calls custom rules like this")]
pub(super) fn password_length(value: &str, _context: &()) -> garde::Result {
    if is_possible_password(value) {
        return Ok(());
    }
    Err(garde::Error::new(format!("is longer than {MAX_TYPED_PASSWORD_CHARS} characters")))
}

/// Returns whether a text is short enough for a password, in the form in which it is hashed.
pub fn is_possible_password(value: &str) -> bool {
    opaque_string(value).chars().count() <= MAX_TYPED_PASSWORD_CHARS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same password is as long in every spelling.
    #[test]
    fn length_of_new_password_is_that_of_what_is_hashed() {
        for (characters, is_good) in [(7, false), (8, true), (128, true), (129, false)] {
            let typed = "e\u{301}".repeat(characters);
            assert_eq!(new_password_shape(&typed, &()).is_ok(), is_good, "{characters}");
        }
    }

    #[test]
    fn password_of_earlier_length_is_accepted_at_sign_in() {
        for (characters, is_good) in [(0, true), (256, true), (257, false)] {
            let typed = "e\u{301}".repeat(characters);
            assert_eq!(password_length(&typed, &()).is_ok(), is_good, "{characters}");
        }
    }
}

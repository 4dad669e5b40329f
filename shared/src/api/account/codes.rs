//! One-time codes: sent to an address, and shown by whoever reads messages there.

use garde::Validate;
use serde::{Deserialize, Serialize};

use super::{MAX_NAME_CHARS, Tokens, email_shape, identity::MAX_ACCESS_TOKEN_CHARS, no_controls};
use crate::{
    address::{Address, normalize_phone},
    api::ApiError,
};

/// The most characters of a phone number as it is typed.
pub const MAX_PHONE_CHARS: usize = 40;
/// The digits of a code.
pub const CODE_DIGITS: usize = 6;

/// The purpose of a code. A code for one purpose is none for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CodePurpose {
    /// Signs in, and signs up where there is no account with the address.
    Login,
    /// Verifies the address, and makes it that of the signed-in user.
    Verify,
    /// Permits to set a new password.
    Reset,
    /// Permits to delete the account that has the address.
    Delete,
}

impl CodePurpose {
    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Verify => "verify",
            Self::Reset => "reset",
            Self::Delete => "delete",
        }
    }
}

/// The purpose of a code that `auth/otp/verify` takes. One for `delete` is shown to `DELETE users/me` itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum VerifiedPurpose {
    /// Signs in, and signs up where there is no account with the address.
    Login,
    /// Verifies the address, and makes it that of the signed-in user.
    Verify,
    /// Permits to set a new password.
    Reset,
}

impl From<VerifiedPurpose> for CodePurpose {
    fn from(purpose: VerifiedPurpose) -> Self {
        match purpose {
            VerifiedPurpose::Login => Self::Login,
            VerifiedPurpose::Verify => Self::Verify,
            VerifiedPurpose::Reset => Self::Reset,
        }
    }
}

/// `POST auth/otp/send`. One of `phone` and `email` is required.
#[derive(Clone, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SendCodeRequest {
    /// A phone number with `+` and country code (E.164); spaces and hyphens do not matter.
    #[serde(default)]
    #[garde(inner(custom(phone_shape)))]
    #[cfg_attr(feature = "openapi", schema(example = "+49 170 1234567"))]
    pub phone: Option<String>,
    /// An e-mail address.
    #[serde(default)]
    #[garde(inner(custom(email_shape)))]
    pub email: Option<String>,
    /// The purpose of the code.
    #[garde(skip)]
    pub purpose: CodePurpose,
}

/// The answer to `POST auth/otp/send`, whether there is an account or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SentCode {
    /// Seconds until the code expires.
    #[cfg_attr(feature = "openapi", schema(example = 300))]
    pub expires_in: u64,
    /// Seconds until another code can be sent to the address.
    #[cfg_attr(feature = "openapi", schema(example = 60))]
    pub resend_in: u64,
}

/// `POST auth/otp/verify`. One of `phone` and `email` is required, the one that the code was sent to.
#[derive(Clone, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VerifyCodeRequest {
    /// The phone number that the code was sent to.
    #[serde(default)]
    #[garde(inner(custom(phone_shape)))]
    #[cfg_attr(feature = "openapi", schema(example = "+49 170 1234567"))]
    pub phone: Option<String>,
    /// The e-mail address that the code was sent to.
    #[serde(default)]
    #[garde(inner(custom(email_shape)))]
    pub email: Option<String>,
    /// The code: six digits.
    #[garde(custom(code_shape))]
    #[cfg_attr(feature = "openapi", schema(example = "204861"))]
    pub code: String,
    /// The purpose that it was sent for.
    #[garde(skip)]
    pub purpose: VerifiedPurpose,
    /// Names the session in the list of sessions: at most 100 characters, no control characters.
    #[serde(default)]
    #[garde(inner(length(chars, max = MAX_NAME_CHARS), custom(no_controls)))]
    pub device_name: Option<String>,
    /// For `login`: an access token of a guest whose conversations are to be moved to this account. The guest's account ends then.
    #[serde(default)]
    #[garde(inner(length(chars, min = 1, max = MAX_ACCESS_TOKEN_CHARS)))]
    pub merge_guest_token: Option<String>,
}

/// The answer to `POST auth/otp/verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum VerifiedCode {
    /// The tokens of a session; for `login` and `verify`.
    Tokens(Box<Tokens>),
    /// A permission to set a new password; for `reset`.
    Reset {
        /// The token for `auth/reset-password`, valid for 30 minutes.
        reset_token: String,
    },
}

impl From<Tokens> for VerifiedCode {
    fn from(tokens: Tokens) -> Self {
        Self::Tokens(Box::new(tokens))
    }
}

impl SendCodeRequest {
    /// Returns the address of the request.
    ///
    /// # Errors
    ///
    /// Fails with a 422 that names the fields unless there is exactly one.
    pub fn address(&self) -> Result<Address, ApiError> {
        one_address(self.phone.as_deref(), self.email.as_deref())
    }
}

impl VerifyCodeRequest {
    /// Returns the address of the request.
    ///
    /// # Errors
    ///
    /// Fails with a 422 that names the fields unless there is exactly one.
    pub fn address(&self) -> Result<Address, ApiError> {
        one_address(self.phone.as_deref(), self.email.as_deref())
    }
}

fn one_address(phone: Option<&str>, email: Option<&str>) -> Result<Address, ApiError> {
    match (phone, email) {
        (Some(phone), None) => normalize_phone(phone)
            .map(Address::Phone)
            .map_err(|error| ApiError::invalid_field("phone", error.to_string())),
        (None, Some(email)) => Ok(Address::email(email)),
        (None, None) => Err(ApiError::invalid_field("email", "is required, or phone")),
        (Some(_), Some(_)) => Err(ApiError::invalid_field("phone", "must be absent where email is there")),
    }
}

/// Checks that a phone number is one of E.164.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "garde calls custom rules like this")]
fn phone_shape(value: &str, _context: &()) -> garde::Result {
    if value.chars().count() > MAX_PHONE_CHARS {
        return Err(garde::Error::new(format!("is longer than {MAX_PHONE_CHARS} characters")));
    }
    normalize_phone(value).map(|_| ()).map_err(garde::Error::new)
}

/// Checks that a code is six digits.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "garde calls custom rules like this")]
pub(super) fn code_shape(value: &str, _context: &()) -> garde::Result {
    if value.len() == CODE_DIGITS && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    Err(garde::Error::new(format!("must be {CODE_DIGITS} digits")))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn request(phone: Option<&str>, email: Option<&str>) -> SendCodeRequest {
        let (phone, email) = (phone.map(str::to_owned), email.map(str::to_owned));
        SendCodeRequest { phone, email, purpose: CodePurpose::Login }
    }

    #[test]
    fn address_is_the_one_field_that_is_there() {
        let address = request(Some("+49 170 1234567"), None).address().unwrap();
        assert_eq!(address, Address::Phone("+491701234567".to_owned()));
        let address = request(None, Some(" Ada@Example.com")).address().unwrap();
        assert_eq!(address, Address::Email("ada@example.com".to_owned()));
        for (phone, email) in [(None, None), (Some("+491701234567"), Some("ada@example.com"))] {
            assert!(request(phone, email).address().is_err());
        }
    }

    #[rstest]
    #[case::national("0170 1234567")]
    #[case::long(&format!("+{}", " ".repeat(40)))]
    fn malformed_phone_names_its_field(#[case] phone: &str) {
        let report = request(Some(phone), None).validate().unwrap_err();
        assert!(report.iter().all(|(path, _)| path.to_string() == "phone"), "{report}");
    }

    #[rstest]
    #[case("204861", true)]
    #[case("000000", true)]
    #[case("20486", false)]
    #[case("2048611", false)]
    #[case("20486a", false)]
    #[case("٢٠٤٨٦١", false)]
    #[case(" 204861", false)]
    fn code_is_six_digits(#[case] code: &str, #[case] is_good: bool) {
        assert_eq!(code_shape(code, &()).is_ok(), is_good);
    }
}

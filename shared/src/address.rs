//! The address at which somebody proves who they are by a message that they get there.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::normalize_email;

/// The fewest digits of a phone number with its country code.
const MIN_PHONE_DIGITS: usize = 7;
/// The most digits of a phone number with its country code (E.164, section 6).
const MAX_PHONE_DIGITS: usize = 15;

/// An e-mail address or a phone number, in the form in which it is stored and compared.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    /// An e-mail address.
    Email(String),
    /// A phone number in the form of E.164, such as `+491701234567`.
    Phone(String),
}

impl Address {
    /// Returns an e-mail address in its form.
    pub fn email(typed: &str) -> Self {
        Self::Email(normalize_email(typed))
    }

    /// Returns the e-mail address; `None` for a phone number.
    pub fn as_email(&self) -> Option<&str> {
        match self {
            Self::Email(email) => Some(email),
            Self::Phone(_) => None,
        }
    }

    /// Returns the phone number; `None` for an e-mail address.
    pub fn as_phone(&self) -> Option<&str> {
        match self {
            Self::Email(_) => None,
            Self::Phone(phone) => Some(phone),
        }
    }

    /// Returns the name of its kind: `email` or `phone`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Email(_) => "email",
            Self::Phone(_) => "phone",
        }
    }

    /// Returns its text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Email(text) | Self::Phone(text) => text,
        }
    }
}

/// Without the address: it is personal.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.kind())
    }
}

/// A phone number that is none of E.164.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhoneError {
    /// It does not begin with `+` and a country code: a national number is another one in every country.
    #[error("must begin with + and the country code, such as +49 170 1234567")]
    National,
    /// It has other characters than digits and the usual separators, or too few or too many digits.
    #[error("is not a phone number: 7 to 15 digits after the +")]
    Malformed,
}

/// Returns a phone number in the form of E.164. Spaces, hyphens, full stops, slashes and parentheses between its digits do not
/// matter.
///
/// # Errors
///
/// Fails with [`PhoneError`] when it is none.
pub fn normalize_phone(typed: &str) -> Result<String, PhoneError> {
    let Some(rest) = typed.trim().strip_prefix('+') else { return Err(PhoneError::National) };
    let digits: String =
        rest.chars().filter(|c| !matches!(c, ' ' | '\u{a0}' | '-' | '.' | '/' | '(' | ')')).collect();
    let is_malformed = !(MIN_PHONE_DIGITS..=MAX_PHONE_DIGITS).contains(&digits.len())
        || digits.starts_with('0')
        || !digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_malformed { Err(PhoneError::Malformed) } else { Ok(format!("+{digits}")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("+491701234567", Ok("+491701234567"))]
    #[case::separators(" +49 (170) 123-45.67 ", Ok("+491701234567"))]
    #[case::shortest("+1234567", Ok("+1234567"))]
    #[case::longest("+123456789012345", Ok("+123456789012345"))]
    #[case::too_short("+123456", Err(PhoneError::Malformed))]
    #[case::too_long("+1234567890123456", Err(PhoneError::Malformed))]
    #[case::national("0170 1234567", Err(PhoneError::National))]
    #[case::international_prefix("0049 170 1234567", Err(PhoneError::National))]
    #[case::trunk_zero_as_country("+0170 1234567", Err(PhoneError::Malformed))]
    #[case::letters("+49170CALLME", Err(PhoneError::Malformed))]
    #[case::other_digits("+٤٩١٧٠١٢٣٤٥", Err(PhoneError::Malformed))]
    #[case::extension("+49 170 1234567;ext=1", Err(PhoneError::Malformed))]
    #[case::second_plus("+49+1701234567", Err(PhoneError::Malformed))]
    #[case::empty("", Err(PhoneError::National))]
    fn phone_is_normalized_or_refused(#[case] typed: &str, #[case] expected: Result<&str, PhoneError>) {
        assert_eq!(normalize_phone(typed), expected.map(str::to_owned));
    }

    proptest! {
        #[test]
        fn normalized_phone_is_its_own_normal_form(typed in "\\+?[0-9 ()./-]{0,20}") {
            if let Ok(phone) = normalize_phone(&typed) {
                prop_assert_eq!(normalize_phone(&phone), Ok(phone));
            }
        }
    }
}

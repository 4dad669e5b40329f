//! The proof that somebody who wants to delete an account is its user: a token alone may be that of a stolen phone.

use crate::api::{ApiError, account::deletion::DeleteAccountRequest};

/// The ways by which the user of an account can show who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proofs {
    /// It has a password.
    pub password: bool,
    /// It has an address that gets codes.
    pub address: bool,
}

/// The proof that a request brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A password.
    Password(String),
    /// A one-time code.
    Code(String),
    /// None: the account has nothing that could be shown.
    NotNeeded,
}

/// Returns the proof to check before an account that has these is deleted. A password or a code is checked where one was sent, also
/// when the account has none: then it is wrong.
///
/// # Errors
///
/// Fails with a 422 that names the fields when both were sent, or none for an account that has something to show.
pub fn required_proof(request: DeleteAccountRequest, proofs: Proofs) -> Result<Proof, ApiError> {
    match (request.password, request.code) {
        (Some(_), Some(_)) => Err(ApiError::invalid_field("code", "must be absent where password is there")),
        (Some(password), None) => Ok(Proof::Password(password)),
        (None, Some(code)) => Ok(Proof::Code(code)),
        (None, None) => match proofs {
            Proofs { password: false, address: false } => Ok(Proof::NotNeeded),
            Proofs { password: true, .. } => Err(ApiError::invalid_field("password", "is required, or code")),
            Proofs { password: false, .. } => Err(ApiError::invalid_field("code", "is required")),
        },
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn request(password: Option<&str>, code: Option<&str>) -> DeleteAccountRequest {
        DeleteAccountRequest { password: password.map(str::to_owned), code: code.map(str::to_owned) }
    }

    /// A sentence of two letters: what the account has.
    fn proofs(has: &str) -> Proofs {
        Proofs { password: has.contains('p'), address: has.contains('a') }
    }

    #[rstest]
    #[case("", None)]
    #[case("p", Some("password"))]
    #[case("pa", Some("password"))]
    #[case("a", Some("code"))]
    fn empty_request_is_enough_where_nothing_can_be_shown(#[case] has: &str, #[case] missing: Option<&str>) {
        match required_proof(request(None, None), proofs(has)) {
            Ok(proof) => assert_eq!((proof, missing), (Proof::NotNeeded, None)),
            Err(error) => assert_eq!(Some(&*error.errors[0].field), missing),
        }
    }

    #[rstest]
    #[case("")]
    #[case("p")]
    #[case("a")]
    #[case("pa")]
    fn what_is_sent_is_checked_whatever_the_account_has(#[case] has: &str) {
        let password = required_proof(request(Some("horse"), None), proofs(has)).unwrap();
        assert_eq!(password, Proof::Password("horse".to_owned()));
        let code = required_proof(request(None, Some("204861")), proofs(has)).unwrap();
        assert_eq!(code, Proof::Code("204861".to_owned()));
        let both = required_proof(request(Some("horse"), Some("204861")), proofs(has)).unwrap_err();
        assert_eq!(both.errors[0].field, "code");
    }
}

//! The ways into an account: what its user can sign in with.

/// The ways in that a user has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaysIn {
    /// A password.
    pub has_password: bool,
    /// An e-mail address that codes can be sent to.
    pub has_reachable_email: bool,
    /// A phone number that codes can be sent to.
    pub has_reachable_phone: bool,
    /// The number of accounts at other providers.
    pub identities: u64,
    /// The number of passkeys.
    pub passkeys: u64,
}

/// The addresses that this server can send codes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeChannels {
    /// It sends mails.
    pub email: bool,
    /// It sends text messages.
    pub phone: bool,
}

impl WaysIn {
    /// Returns whether the user could still sign in with one passkey less.
    pub const fn may_remove_passkey(&self) -> bool {
        self.has_password
            || self.has_reachable_email
            || self.has_reachable_phone
            || self.identities > 0
            || self.passkeys > 1
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", 1, false)]
    #[case("", 2, true)]
    #[case("password", 1, true)]
    #[case("email", 1, true)]
    #[case("phone", 1, true)]
    #[case("identity", 1, true)]
    fn passkey_goes_while_another_way_in_stays(
        #[case] other: &str,
        #[case] passkeys: u64,
        #[case] expected: bool,
    ) {
        let ways = WaysIn {
            has_password: other == "password",
            has_reachable_email: other == "email",
            has_reachable_phone: other == "phone",
            identities: u64::from(other == "identity"),
            passkeys,
        };
        assert_eq!(ways.may_remove_passkey(), expected);
    }
}

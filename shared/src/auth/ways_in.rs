//! The ways into an account: what its user can sign in with.

/// What a user can sign in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaysIn {
    /// A password.
    pub has_password: bool,
    /// An e-mail address that codes can be sent to.
    pub has_reachable_email: bool,
    /// A phone number that codes can be sent to.
    pub has_reachable_phone: bool,
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
        self.has_password || self.has_reachable_email || self.has_reachable_phone || self.passkeys > 1
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(false, false, false, 1, false)]
    #[case(false, false, false, 2, true)]
    #[case(true, false, false, 1, true)]
    #[case(false, true, false, 1, true)]
    #[case(false, false, true, 1, true)]
    fn passkey_goes_while_another_way_in_stays(
        #[case] has_password: bool,
        #[case] has_reachable_email: bool,
        #[case] has_reachable_phone: bool,
        #[case] passkeys: u64,
        #[case] expected: bool,
    ) {
        let ways = WaysIn { has_password, has_reachable_email, has_reachable_phone, passkeys };
        assert_eq!(ways.may_remove_passkey(), expected);
    }
}

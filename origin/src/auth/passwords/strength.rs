//! The strength of new passwords: those that somebody guesses who knows the common ones and the user's own words are refused.

use zxcvbn::zxcvbn;

/// The fewest guesses that a new password has to withstand. An account gets 50 a day from strangers, so this is for the day that
/// its hash is stolen, and for common passwords with their usual variations.
const MIN_GUESSES: u64 = 1_000_000;

/// Returns whether a password is found among the first guesses: a common one, a word, a date, a pattern of the keyboard, one of
/// the user's own words, or a short combination of these. Takes up to 25 ms.
pub(super) fn is_guessable(password: &str, own_words: &[&str]) -> bool {
    zxcvbn(password, own_words).guesses() < MIN_GUESSES
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::common("password", true)]
    #[case::common_with_digit("password1", true)]
    #[case::common_with_substitutions("P@ssw0rd", true)]
    #[case::digits("12345678", true)]
    #[case::keyboard_row("qwertyuiop", true)]
    #[case::repetition("aaaaaaaaaaaa", true)]
    #[case::long_repetition("密码密码密码密码", true)]
    #[case::sequence("abcdefgh", true)]
    #[case::date("19.07.1984", true)]
    #[case::own_address("ada@example.com", true)]
    #[case::own_name_and_year("Lovelace1815", true)]
    #[case::two_words("correct horse", false)]
    #[case::four_words("correct horse battery staple", false)]
    #[case::random("x9!kQ2m#", false)]
    #[case::unicode("пароль-на-завтра", false)]
    #[case::longest(&"l1o0@$3ei!t7+".repeat(10), false)]
    fn password_is_guessable_as_expected(#[case] password: &str, #[case] expected: bool) {
        assert_eq!(is_guessable(password, &["ada@example.com", "ada", "Ada Lovelace", "Lovelace"]), expected);
    }
}

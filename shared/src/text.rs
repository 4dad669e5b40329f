//! Normalization of text that users type: equivalent spellings are one text.
//!
//! - [`opaque_string`]: a password (RFC 8265, section 4.2)
//! - [`normalize_email`]: the address of a user
//!
//! A name that a program makes (idempotency keys, cursors, ids, model aliases, tokens) is compared byte by byte.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization as _, is_nfc};

/// Returns a password in the form in which it is hashed, by the profile OpaqueString: every space beyond ASCII becomes a plain
/// space, and the rest is composed (NFC). Case and spaces at either end stay. Characters that the profile refuses (control
/// characters) are kept.
pub fn opaque_string(password: &str) -> Cow<'_, str> {
    if is_nfc(password) && !password.contains(is_wide_space) {
        return Cow::Borrowed(password);
    }
    let spaced = password.chars().map(|c| if is_wide_space(c) { ' ' } else { c });
    Cow::Owned(spaced.nfc().collect())
}

/// Returns true for the characters of the Unicode category Zs except the plain space.
const fn is_wide_space(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// Returns an address in the form in which it is stored and compared: without spaces around it, composed, in lower case, and
/// with its domain in Unicode (`xn--mller-kva.example` is `müller.example`, UTS 46).
pub fn normalize_email(email: &str) -> String {
    let lower = email.trim().nfc().collect::<String>().to_lowercase().nfc().collect::<String>();
    let Some((local, domain)) = lower.rsplit_once('@') else { return lower };
    match idna::domain_to_unicode(domain) {
        (readable, Ok(())) => format!("{local}@{readable}"),
        (_, Err(_)) => lower,
    }
}

/// Returns an address in the form in which it was stored before [`normalize_email`] composed letters and decoded domains;
/// `None` when that is the same.
pub fn earlier_email(email: &str) -> Option<String> {
    let earlier = email.trim().to_lowercase();
    (earlier != normalize_email(email)).then_some(earlier)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("correct horse", "correct horse")]
    #[case::decomposed("Cafe\u{301} au lait", "Caf\u{e9} au lait")]
    #[case::wide_spaces("correct\u{3000}horse\u{a0}battery", "correct horse battery")]
    #[case::spaces_at_the_ends_are_part_of_it("  correct horse ", "  correct horse ")]
    #[case::case_is_part_of_it("PASSWORD", "PASSWORD")]
    #[case::compatibility_letters_stay("ｐａｓｓ", "ｐａｓｓ")]
    #[case::an_angstrom_sign_is_its_letter("\u{212b}ngstrom", "\u{c5}ngstrom")]
    #[case::control_characters_stay("a\0b", "a\0b")]
    fn password_is_normalized_by_profile(#[case] typed: &str, #[case] compared: &str) {
        assert_eq!(opaque_string(typed), compared);
    }

    #[rstest]
    #[case(" Ada@Example.COM ", "ada@example.com")]
    #[case("\u{a0}ada@example.com\u{3000}\n", "ada@example.com")]
    #[case("jose\u{301}@example.com", "jos\u{e9}@example.com")]
    #[case("JOSE\u{301}@example.com", "jos\u{e9}@example.com")]
    #[case("ada@xn--mller-kva.example", "ada@m\u{fc}ller.example")]
    #[case("ada@MU\u{308}LLER.example", "ada@m\u{fc}ller.example")]
    #[case("ada@xn--invalid-.example", "ada@xn--invalid-.example")]
    #[case("not an address", "not an address")]
    #[case("", "")]
    fn email_is_normalized(#[case] typed: &str, #[case] compared: &str) {
        assert_eq!(normalize_email(typed), compared);
    }

    #[rstest]
    #[case(" Ada@Example.com", None)]
    #[case("jose\u{301}@example.com", Some("jose\u{301}@example.com"))]
    #[case("ada@xn--mller-kva.example", Some("ada@xn--mller-kva.example"))]
    fn earlier_email_is_returned_when_different(#[case] typed: &str, #[case] earlier: Option<&str>) {
        assert_eq!(earlier_email(typed).as_deref(), earlier);
    }

    proptest! {
        #[test]
        fn normalization_is_idempotent(typed in "\\PC{0,40}") {
            let password = opaque_string(&typed);
            prop_assert_eq!(&opaque_string(&password), &password);
            let spelled = opaque_string(&typed.nfd().collect::<String>()).into_owned();
            prop_assert_eq!(&spelled, &password);
            let email = normalize_email(&typed);
            prop_assert_eq!(&normalize_email(&email), &email);
        }
    }
}

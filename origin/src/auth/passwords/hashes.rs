//! Hashes of passwords: argon2id as the OWASP recommends it, and bcrypt as earlier backends wrote it, which is accepted and
//! never made.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use shared::text::opaque_string;

use super::{PasswordError, PasswordMatch};

const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// The bytes of a salt.
pub(super) const SALT_BYTES: usize = 16;

/// The prefixes of bcrypt hashes: `$2a$` and `$2b$` as passlib wrote them, `$2y$` as PHP did.
const BCRYPT_PREFIXES: [&str; 3] = ["$2a$", "$2b$", "$2y$"];
/// The highest cost of a bcrypt hash that is verified, about four seconds of a core. One of a higher cost matches nothing: a row
/// must not be able to occupy a core for hours.
const MAX_BCRYPT_COST: u32 = 16;

/// Hashes a password by argon2id with the parameters in use. What is hashed is the password as RFC 8265 compares it.
///
/// # Errors
///
/// Fails when the hash function refuses its parameters.
pub(super) fn hash(password: &str, salt: &[u8]) -> Result<String, PasswordError> {
    hash_bytes(opaque_string(password).as_bytes(), salt)
}

fn hash_bytes(password: &[u8], salt: &[u8]) -> Result<String, PasswordError> {
    let failed = |error: &dyn std::fmt::Display| PasswordError::Failed(error.to_string());
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params().map_err(|error| failed(&error))?);
    let hash = argon2.hash_password_with_salt(password, salt).map_err(|error| failed(&error))?;
    Ok(hash.to_string())
}

/// Hashes a password as it was typed, as was done before passwords were normalized.
#[cfg(test)]
pub(super) fn hash_as_typed(password: &str) -> String {
    hash_bytes(password.as_bytes(), &[7; SALT_BYTES]).unwrap()
}

/// Returns whether a typed password is the one behind a hash, and whether the hash is to be replaced.
pub(super) fn verify(password: &str, hash: &str) -> PasswordMatch {
    if BCRYPT_PREFIXES.iter().any(|prefix| hash.starts_with(prefix)) {
        return verify_bcrypt(password, hash);
    }
    let is_right = |text: &str| Argon2::default().verify_password(text.as_bytes(), hash).is_ok();
    let compared = opaque_string(password);
    if is_right(&compared) {
        if has_current_params(hash) { PasswordMatch::Right } else { PasswordMatch::RightOutdated }
    } else if *compared != *password && is_right(password) {
        // Made of the password as it was typed, before passwords were normalized.
        PasswordMatch::RightOutdated
    } else {
        PasswordMatch::Wrong
    }
}

/// Compares as bcrypt does: the password as it was typed, its first 72 bytes.
fn verify_bcrypt(password: &str, hash: &str) -> PasswordMatch {
    let cost = hash.parse::<bcrypt::HashParts>().map(|parts| parts.get_cost());
    if cost.is_ok_and(|cost| cost <= MAX_BCRYPT_COST) && bcrypt::verify(password, hash).is_ok_and(|same| same)
    {
        PasswordMatch::RightOutdated
    } else {
        PasswordMatch::Wrong
    }
}

fn params() -> argon2::Result<Params> {
    Params::new(MEMORY_KIB, PASSES, LANES, None)
}

/// Returns whether a hash was made by argon2id with the parameters in use.
fn has_current_params(hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    let used = Params::try_from(&hash).map(|used| (used.m_cost(), used.t_cost(), used.p_cost()));
    hash.algorithm.as_str() == Algorithm::Argon2id.as_str()
        && used.is_ok_and(|used| used == (MEMORY_KIB, PASSES, LANES))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const SALT: [u8; SALT_BYTES] = [7; SALT_BYTES];
    /// `bcrypt.using(rounds=4, ident=…).hash("pässword")` of passlib 1.7.4, once an identifier.
    const BCRYPT: [&str; 3] = [
        "$2a$04$F9SJNnd9Z/QNt7skkRgQ1uJVWUiH2ALQSirtET80gdlutBY41leQG",
        "$2b$04$TUQIS3Iz0C9JdqAEzPO.MOQMW6CQugZdbDfSq9VJdtha5Ixab3922",
        "$2y$04$g5Nz4GxhJ6d2tTmKMzacq.69/FcGYY.rmNeiA6LGjpvRiTICDzG9m",
    ];
    /// The same of 72 times `x`, followed by `yz`.
    const BCRYPT_LONG: &str = "$2b$04$05mL3kpB1oAs3pJAWB8gSO6ZaeEUM8so8bp87p5S/kooBIIOqoczO";

    #[rstest]
    #[case::right("correct horse", PasswordMatch::Right)]
    #[case::wrong("wrong horse", PasswordMatch::Wrong)]
    fn password_is_compared_with_its_hash(#[case] password: &str, #[case] expected: PasswordMatch) {
        let hash = hash("correct horse", &SALT).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(verify(password, &hash), expected);
    }

    #[test]
    fn spellings_of_one_password_match_its_hash() {
        let (composed, decomposed) = ("Caf\u{e9}\u{a0}au lait", "Cafe\u{301} au\u{3000}lait");
        let normalized = hash(decomposed, &SALT).unwrap();
        for password in [composed, decomposed] {
            assert_eq!(verify(password, &normalized), PasswordMatch::Right);
        }
        let as_typed = hash_bytes(decomposed.as_bytes(), &SALT).unwrap();
        assert_eq!(verify(decomposed, &as_typed), PasswordMatch::RightOutdated);
        assert_eq!(verify(composed, &as_typed), PasswordMatch::Wrong);
    }

    #[test]
    fn hash_with_lower_parameters_is_outdated() {
        let params = Params::new(4_096, 1, 1, None).unwrap();
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash = weak.hash_password_with_salt(b"correct horse", &SALT).unwrap().to_string();
        assert_eq!(verify("correct horse", &hash), PasswordMatch::RightOutdated);
        assert_eq!(verify("wrong horse", &hash), PasswordMatch::Wrong);
    }

    #[test]
    fn bcrypt_hash_matches_its_password_and_is_outdated() {
        for hash in BCRYPT {
            assert_eq!(verify("pässword", hash), PasswordMatch::RightOutdated, "{hash}");
            for password in ["passwörd", "pa\u{308}ssword", "pässword ", "pässword\0", ""] {
                assert_eq!(verify(password, hash), PasswordMatch::Wrong, "{hash} {password:?}");
            }
        }
        assert_eq!(verify(&("x".repeat(72) + "other"), BCRYPT_LONG), PasswordMatch::RightOutdated);
        assert_eq!(verify(&"x".repeat(71), BCRYPT_LONG), PasswordMatch::Wrong);
    }

    #[rstest]
    #[case::none("")]
    #[case::text("no hash at all")]
    #[case::cut_argon2("$argon2id$v=19$m=19456,t=2,p=1$")]
    #[case::cut_bcrypt("$2b$04$abc")]
    #[case::cost_of_hours("$2b$31$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW")]
    #[case::other_ident("$2x$04$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW")]
    fn malformed_hash_matches_nothing(#[case] hash: &str) {
        assert_eq!(verify("secret", hash), PasswordMatch::Wrong);
    }
}

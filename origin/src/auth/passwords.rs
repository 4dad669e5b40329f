//! Passwords: argon2id (m=19456 KiB, t=2, p=1, the OWASP recommendation) in PHC form, off the async threads, a few at
//! once. What is hashed is the password as RFC 8265 compares it, so that it is the same from every keyboard.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _},
};
use shared::text::opaque_string;
use tokio::sync::Semaphore;

use super::AuthError;
use crate::random::Random;

const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
/// The most passwords that wait to be hashed. More are refused: each takes tens of milliseconds of a core.
const MAX_WAITING: usize = 128;

/// The failure of a hash or a verification.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many passwords wait to be hashed.
    #[error("too many passwords wait to be hashed")]
    Overloaded,
    /// The hash function refused its input, or panicked.
    #[error("hashing a password failed: {0}")]
    Failed(String),
}

impl From<PasswordError> for AuthError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Overloaded => Self::Overloaded,
            PasswordError::Failed(_) => Self::Internal(error.to_string()),
        }
    }
}

/// The outcome of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordMatch {
    /// It is another password.
    Wrong,
    /// It is the password behind the hash.
    Right,
    /// It is the password behind the hash, which was made of it as it was typed, before passwords were normalized.
    RightAsTyped,
}

/// Hashes and verifies passwords.
pub struct Passwords {
    waiting: Arc<Semaphore>,
    running: Arc<Semaphore>,
    /// The hash of a password nobody has: unknown users cost as much as known ones.
    decoy: Arc<str>,
}

impl Passwords {
    /// Blocks for as long as one password takes.
    ///
    /// # Errors
    ///
    /// Fails when the hash function refuses its parameters.
    pub fn new(random: &dyn Random) -> Result<Self, PasswordError> {
        let mut secret = [0; 32];
        random.fill(&mut secret);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            running: Arc::new(Semaphore::new(cores)),
            decoy: hash(&secret, &salt(random))?.into(),
        })
    }

    /// Returns the PHC string of a new password.
    ///
    /// # Errors
    ///
    /// Fails with [`PasswordError::Overloaded`] when too many wait already.
    pub async fn hash(&self, password: String, random: &dyn Random) -> Result<String, PasswordError> {
        let salt = salt(random);
        self.run(move || hash(opaque_string(&password).as_bytes(), &salt)).await?
    }

    /// Verifies a password. Without a hash it is wrong, and takes as long.
    ///
    /// # Errors
    ///
    /// Fails with [`PasswordError::Overloaded`] when too many wait already.
    pub async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<PasswordMatch, PasswordError> {
        let known = hash.is_some();
        let hash = hash.map_or_else(|| Arc::clone(&self.decoy), Arc::from);
        let verify = move || {
            let is_right = |text: &str| Argon2::default().verify_password(text.as_bytes(), &*hash).is_ok();
            let compared = opaque_string(&password);
            if is_right(&compared) {
                PasswordMatch::Right
            } else if *compared != password && is_right(&password) {
                PasswordMatch::RightAsTyped
            } else {
                PasswordMatch::Wrong
            }
        };
        let outcome = self.run(verify).await?;
        Ok(if known { outcome } else { PasswordMatch::Wrong })
    }

    /// The PHC string that a password had before passwords were normalized.
    #[cfg(test)]
    pub(crate) fn hash_as_typed(password: &str) -> String {
        hash(password.as_bytes(), &salt(&crate::random::SystemRandom)).unwrap()
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _place = self.waiting.try_acquire().map_err(|_| PasswordError::Overloaded)?;
        let turn = Arc::clone(&self.running).acquire_owned().await;
        tokio::task::spawn_blocking(move || {
            // Held by the work itself: a client that goes away does not make room before its work is done.
            let _turn = turn;
            work()
        })
        .await
        .map_err(|error| PasswordError::Failed(error.to_string()))
    }
}

fn salt(random: &dyn Random) -> [u8; SALT_BYTES] {
    let mut salt = [0; SALT_BYTES];
    random.fill(&mut salt);
    salt
}

fn hash(password: &[u8], salt: &[u8]) -> Result<String, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| PasswordError::Failed(error.to_string()))?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(password, salt)
        .map(|hash| hash.to_string())
        .map_err(|error| PasswordError::Failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    #[tokio::test]
    async fn password_matches_its_hash() {
        let passwords = Passwords::new(&SystemRandom).unwrap();
        let hash = passwords.hash("correct horse".to_owned(), &SystemRandom).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let verify = |password: &str, hash: Option<&str>| {
            passwords.verify(password.to_owned(), hash.map(str::to_owned))
        };
        assert_eq!(verify("correct horse", Some(&hash)).await.unwrap(), PasswordMatch::Right);
        for (password, hash) in [
            ("wrong horse", Some(&*hash)),
            ("correct horse", None),
            ("correct horse", Some("no hash at all")),
        ] {
            assert_eq!(verify(password, hash).await.unwrap(), PasswordMatch::Wrong);
        }
        assert_ne!(hash, passwords.hash("correct horse".to_owned(), &SystemRandom).await.unwrap());
    }

    #[tokio::test]
    async fn password_is_the_same_in_every_spelling() {
        let passwords = Passwords::new(&SystemRandom).unwrap();
        let (composed, decomposed) = ("Caf\u{e9}\u{a0}au lait", "Cafe\u{301} au\u{3000}lait");
        let hash = passwords.hash(decomposed.to_owned(), &SystemRandom).await.unwrap();
        let verify =
            |password: &str, hash: &str| passwords.verify(password.to_owned(), Some(hash.to_owned()));
        for password in [composed, decomposed] {
            assert_eq!(verify(password, &hash).await.unwrap(), PasswordMatch::Right);
        }
        // An old one, which was hashed as it was typed.
        let earlier = super::hash(decomposed.as_bytes(), &salt(&SystemRandom)).unwrap();
        assert_eq!(verify(decomposed, &earlier).await.unwrap(), PasswordMatch::RightAsTyped);
        assert_eq!(verify(composed, &earlier).await.unwrap(), PasswordMatch::Wrong);
    }

    #[tokio::test]
    async fn too_many_at_once_are_refused() {
        let passwords = Passwords::new(&SystemRandom).unwrap();
        let _all = passwords.waiting.try_acquire_many(u32::try_from(MAX_WAITING).unwrap()).unwrap();
        let refused = passwords.verify("p".to_owned(), None).await.unwrap_err();
        assert!(matches!(refused, PasswordError::Overloaded));
    }
}

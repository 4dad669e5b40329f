//! Passwords, off the async threads, a few at once.
//!
//! - [`hashes`]: hashes, made and verified
//! - [`strength`]: how easily a password is guessed

mod hashes;
mod strength;

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tokio::sync::Semaphore;

use self::hashes::SALT_BYTES;
use super::AuthError;
use crate::random::Random;

/// The most passwords that wait to be hashed. More are refused: each takes tens of milliseconds of a core.
const MAX_WAITING: usize = 128;

/// The failure of a hash or a verification.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many passwords wait to be hashed.
    #[error("too many passwords wait to be hashed")]
    Overloaded,
    /// The password is among the first that anybody would guess.
    #[error("the password is too easy to guess")]
    Guessable,
    /// The hash function refused its input, or panicked.
    #[error("hashing a password failed: {0}")]
    Failed(String),
}

impl PasswordError {
    /// Returns the error of whoever typed a new password in this field.
    pub fn of_field(self, field: &'static str) -> AuthError {
        match self {
            Self::Guessable => AuthError::PasswordGuessable { field },
            Self::Overloaded | Self::Failed(_) => self.into(),
        }
    }
}

impl From<PasswordError> for AuthError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Overloaded => Self::Overloaded,
            PasswordError::Guessable | PasswordError::Failed(_) => Self::Internal(error.to_string()),
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
    /// It is the password behind the hash, which is to be replaced: it is bcrypt's, has other parameters than those in use, or was
    /// made before passwords were normalized.
    RightOutdated,
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
            decoy: hashes::hash(&URL_SAFE_NO_PAD.encode(secret), &salt(random))?.into(),
        })
    }

    /// Returns the PHC string of a password that somebody chose, whose own words are none.
    ///
    /// # Errors
    ///
    /// Fails with [`PasswordError::Guessable`], and with [`PasswordError::Overloaded`] when too many wait already.
    pub async fn hash_new(
        &self,
        password: String,
        own_words: Vec<String>,
        random: &dyn Random,
    ) -> Result<String, PasswordError> {
        let salt = salt(random);
        let hash = move || {
            let own_words: Vec<&str> = own_words.iter().map(String::as_str).collect();
            if strength::is_guessable(&password, &own_words) {
                return Err(PasswordError::Guessable);
            }
            hashes::hash(&password, &salt)
        };
        self.run(hash).await?
    }

    /// Returns the PHC string of a password that is in use already, however easily it is guessed.
    ///
    /// # Errors
    ///
    /// Fails with [`PasswordError::Overloaded`] when too many wait already.
    pub async fn rehash(&self, password: String, random: &dyn Random) -> Result<String, PasswordError> {
        let salt = salt(random);
        self.run(move || hashes::hash(&password, &salt)).await?
    }

    /// Verifies a password. Without a hash it is wrong, and takes as long as with one of ours. A bcrypt hash of an earlier backend
    /// takes as long as its cost says, until its user's first sign-in replaces it.
    ///
    /// # Errors
    ///
    /// Fails with [`PasswordError::Overloaded`] when too many wait already.
    pub async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<PasswordMatch, PasswordError> {
        let is_known = hash.is_some();
        let hash = hash.map_or_else(|| Arc::clone(&self.decoy), Arc::from);
        let outcome = self.run(move || hashes::verify(&password, &hash)).await?;
        Ok(if is_known { outcome } else { PasswordMatch::Wrong })
    }

    /// Returns the PHC string that a password had before passwords were normalized.
    #[cfg(test)]
    pub(crate) fn hash_as_typed(password: &str) -> String {
        hashes::hash_as_typed(password)
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

/// Returns the words of a user's own that make a bad password.
pub fn own_words(email: Option<&str>, display_name: Option<&str>) -> Vec<String> {
    let local = email.and_then(|email| email.split('@').next());
    let names = display_name.into_iter().flat_map(str::split_whitespace);
    email.into_iter().chain(local).chain(display_name).chain(names).map(str::to_owned).collect()
}

fn salt(random: &dyn Random) -> [u8; SALT_BYTES] {
    let mut salt = [0; SALT_BYTES];
    random.fill(&mut salt);
    salt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    #[tokio::test]
    async fn password_without_hash_is_wrong() {
        let passwords = Passwords::new(&SystemRandom).unwrap();
        let verified = passwords.verify("correct horse".to_owned(), None).await.unwrap();
        assert_eq!(verified, PasswordMatch::Wrong);
    }

    #[tokio::test]
    async fn hashes_of_one_password_differ_and_match_it() {
        let passwords = Passwords::new(&SystemRandom).unwrap();
        let typed = "correct horse".to_owned();
        let new = passwords.hash_new(typed.clone(), Vec::new(), &SystemRandom).await.unwrap();
        let again = passwords.rehash(typed.clone(), &SystemRandom).await.unwrap();
        assert_ne!(new, again);
        for hash in [new, again] {
            assert_eq!(passwords.verify(typed.clone(), Some(hash)).await.unwrap(), PasswordMatch::Right);
        }
    }

    #[tokio::test]
    async fn new_password_that_is_guessable_is_refused() {
        let passwords = Passwords::new(&SystemRandom).unwrap();
        let own = vec!["lovelace@example.com".to_owned()];
        let refused = passwords.hash_new("lovelace@example.com".to_owned(), own, &SystemRandom).await;
        assert!(matches!(refused, Err(PasswordError::Guessable)), "{refused:?}");
    }

    #[tokio::test]
    async fn verification_beyond_the_most_waiting_is_refused() {
        let passwords = Passwords::new(&SystemRandom).unwrap();
        let _all = passwords.waiting.try_acquire_many(u32::try_from(MAX_WAITING).unwrap()).unwrap();
        let refused = passwords.verify("p".to_owned(), None).await.unwrap_err();
        assert!(matches!(refused, PasswordError::Overloaded));
    }
}

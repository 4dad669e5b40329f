//! Passwords: argon2id (m=19456 KiB, t=2, p=1, the OWASP recommendation) in PHC form, off the async threads, a few at
//! once.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _},
};
use shared::api::ErrorCode;
use tokio::sync::Semaphore;

use crate::{ambient::Random, http::Failure};

const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
/// Passwords that may wait for their turn. More are refused: each takes tens of milliseconds of a core.
const MAX_WAITING: usize = 128;

/// The hash function refused its input.
#[derive(Debug, thiserror::Error)]
#[error("hashing a password failed: {0}")]
pub struct HashError(String);

/// Hashes and verifies passwords.
pub struct Passwords {
    waiting: Arc<Semaphore>,
    running: Arc<Semaphore>,
    /// The hash of a password nobody has: unknown users cost as much as known ones.
    decoy: Arc<str>,
}

impl Passwords {
    /// Blocks for as long as one password takes.
    pub fn new(random: &dyn Random) -> Result<Self, HashError> {
        let mut secret = [0; 32];
        random.fill(&mut secret);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            running: Arc::new(Semaphore::new(cores)),
            decoy: hash(&secret, &salt(random))?.into(),
        })
    }

    /// The PHC string of a new password.
    pub async fn hash(&self, password: String, random: &dyn Random) -> Result<String, Failure> {
        let salt = salt(random);
        self.run(move || hash(password.as_bytes(), &salt))
            .await?
            .map_err(|error| Failure::Internal(error.to_string()))
    }

    /// Whether this is the password behind the hash. Without a hash it is not, and takes as long.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Failure> {
        let known = hash.is_some();
        let hash = hash.map_or_else(|| Arc::clone(&self.decoy), Arc::from);
        let matches =
            self.run(move || Argon2::default().verify_password(password.as_bytes(), &*hash).is_ok()).await?;
        Ok(known && matches)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        let overloaded = |_| Failure::from(ErrorCode::Overloaded);
        let _place = self.waiting.try_acquire().map_err(overloaded)?;
        let turn = Arc::clone(&self.running).acquire_owned().await;
        tokio::task::spawn_blocking(move || {
            // Held by the work itself: a client that goes away does not make room before its work is done.
            let _turn = turn;
            work()
        })
        .await
        .map_err(|error| Failure::Internal(error.to_string()))
    }
}

fn salt(random: &dyn Random) -> [u8; SALT_BYTES] {
    let mut salt = [0; SALT_BYTES];
    random.fill(&mut salt);
    salt
}

fn hash(password: &[u8], salt: &[u8]) -> Result<String, HashError> {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| HashError(error.to_string()))?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(password, salt)
        .map(|hash| hash.to_string())
        .map_err(|error| HashError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient::SystemRandom;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash() {
        let passwords = Passwords::new(&SystemRandom).unwrap();
        let hash = passwords.hash("correct horse".to_owned(), &SystemRandom).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let verify = |password: &str, hash: Option<&str>| {
            passwords.verify(password.to_owned(), hash.map(str::to_owned))
        };
        assert!(verify("correct horse", Some(&hash)).await.unwrap());
        assert!(!verify("wrong horse", Some(&hash)).await.unwrap());
        assert!(!verify("correct horse", None).await.unwrap());
        assert!(!verify("correct horse", Some("no hash at all")).await.unwrap());
        assert_ne!(hash, passwords.hash("correct horse".to_owned(), &SystemRandom).await.unwrap());
    }

    #[tokio::test]
    async fn too_many_at_once_are_refused() {
        let passwords = Passwords::new(&SystemRandom).unwrap();
        let _all = passwords.waiting.try_acquire_many(u32::try_from(MAX_WAITING).unwrap()).unwrap();
        let refused = passwords.verify("p".to_owned(), None).await.unwrap_err();
        assert!(matches!(refused, Failure::Client(error) if error.code == ErrorCode::Overloaded));
    }
}

//! The keys of access tokens that follow one another.

use async_trait::async_trait;
use shared::{auth::native::SALT_BYTES, time::Timestamp};

use crate::store::error::StoreResult;

/// A key of access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenKey {
    /// Its place in the order of keys, from 1.
    pub number: u32,
    /// Its public half.
    pub public_key: [u8; 32],
    /// The salt from which its private half is derived, together with a secret; `None` when it has signed its last token.
    pub salt: Option<[u8; SALT_BYTES]>,
    /// The time since which it is here.
    pub published_at: Timestamp,
    /// The time from which it signs, until the next one does.
    pub signs_from: Timestamp,
}

/// The keys of access tokens.
#[async_trait]
pub trait TokenKeys: Send + Sync + 'static {
    /// Returns all keys by number.
    async fn token_keys(&self) -> StoreResult<Vec<TokenKey>>;

    /// Adds a key, forgets those with numbers below `keep_from`, and the salts of those before the one that it follows. False, and
    /// nothing happens, when another key has its number: of any number at once one is added. A repetition is true.
    async fn add_token_key(&self, key: TokenKey, keep_from: u32) -> StoreResult<bool>;
}

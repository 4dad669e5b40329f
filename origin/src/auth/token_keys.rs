//! The keys of access tokens as this process knows them: those of `JWT_SECRET`, and those in the accounts, read anew every few
//! seconds.
//!
//! Every origin reads the same list, so all change to a new key at the time that is stored with it, and none is started again. A
//! key that a token or a verifier names before this process has read it is looked up at once.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use shared::{
    auth::{
        key_ring::{KeyRing, RotatedKey},
        keys::Jwk,
        native::{SigningKey, SigningKeys, WeakSecret},
    },
    time::{SECOND_MS, Timestamp},
};
use tokio::sync::Mutex;

use super::AuthError;
use crate::{
    clock::Clock,
    config::{Config, Secret},
    random::Random,
    store::{Accounts, StoreError, StoreResult, accounts::token_keys::TokenKey},
};

/// The time between two readings of the accounts.
const FOLLOW_EVERY: Duration = Duration::from_secs(5);
/// The time for which a reading is new enough for a key that is not in it.
const FRESH: Duration = Duration::from_secs(1);
/// The fewest seconds from the publication of a key to its first token: two readings of every origin.
pub const MIN_LEAD_S: u32 = 10;
/// The usual number: a key set may be cached for five minutes, and as much for whoever is late.
pub const LEAD_S: u32 = 600;
/// The most: a day.
pub const MAX_LEAD_S: u32 = 86_400;

/// The keys.
pub struct TokenKeys {
    own: SigningKeys,
    secrets: Vec<Secret>,
    ring: RwLock<Arc<KeyRing>>,
    /// The last reading; locked while one is under way.
    last: Mutex<Option<Reading>>,
    accounts: Arc<dyn Accounts>,
    clock: Arc<dyn Clock>,
}

/// A reading of the accounts.
#[derive(Clone, Copy)]
struct Reading {
    /// The time at which it began, or failed.
    at: Duration,
    is_failed: bool,
}

/// The outcome of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// A key with this id is published, and signs from this time on.
    Published(String, Timestamp),
    /// There is a key that does not sign yet; it does from this time on.
    Pending(Timestamp),
}

impl TokenKeys {
    /// Makes keys that know those of `JWT_SECRET` alone until the accounts are read.
    pub fn new(config: &Config, accounts: Arc<dyn Accounts>, clock: Arc<dyn Clock>) -> Self {
        let own = config.signing_keys.clone();
        let ring = RwLock::new(Arc::new(KeyRing::new(own.clone(), Vec::new())));
        let secrets = config.jwt_secrets.clone();
        Self { own, secrets, ring, last: Mutex::default(), accounts, clock }
    }

    /// The keys as they were last read.
    pub fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the accounts.
    ///
    /// # Errors
    ///
    /// Fails when the store does; the keys stay as they were.
    pub async fn read(&self) -> StoreResult<Arc<KeyRing>> {
        let mut last = self.last.lock().await;
        self.read_locked(&mut last).await
    }

    /// Reads the accounts unless that was tried a moment ago, also by another caller that this one waited for. However many ask, the
    /// store is asked once a second.
    ///
    /// # Errors
    ///
    /// Fails when the store does; the keys stay as they were.
    pub async fn read_if_older(&self) -> StoreResult<Arc<KeyRing>> {
        let mut last = self.last.lock().await;
        match last.filter(|last| self.clock.elapsed().saturating_sub(last.at) < FRESH) {
            Some(Reading { is_failed: false, .. }) => Ok(self.ring()),
            Some(Reading { is_failed: true, .. }) => Err(StoreError::Unavailable(
                "the keys of access tokens could not be read just now".to_owned(),
            )),
            None => self.read_locked(&mut last).await,
        }
    }

    /// Reads the accounts again and again.
    pub async fn follow(&self) {
        loop {
            tokio::time::sleep(FOLLOW_EVERY).await;
            if let Err(error) = self.read().await {
                tracing::warn!(%error, "the keys of access tokens were not read; those that are known stay");
            }
        }
    }

    /// Publishes a new key, which signs after the lead; and forgets what nothing is verified with any more.
    ///
    /// # Errors
    ///
    /// Fails when the store does, and with [`AuthError::Internal`] when another rotation took its place at the same moment.
    pub async fn rotate(&self, lead_s: u32, random: &dyn Random) -> Result<Rotation, AuthError> {
        let (ring, now) = (self.read().await?, self.clock.now());
        let newest = ring.rotated().last();
        if let Some(pending) = newest.filter(|key| now < key.signs_from) {
            return Ok(Rotation::Pending(pending.signs_from));
        }
        let mut salt = [0; 32];
        random.fill(&mut salt);
        let secret = self.secrets.first().map_or("", Secret::expose);
        let weak = |WeakSecret| AuthError::Internal("JWT_SECRET is too short".to_owned());
        let jwk = SigningKey::from_salted_secret(secret, &salt).map_err(weak)?.jwk().clone();
        let public_key = jwk.public_key().unwrap_or_default();
        let signs_from = now.plus_millis(i64::from(lead_s.clamp(MIN_LEAD_S, MAX_LEAD_S)) * SECOND_MS);
        let number = newest.map_or(0, |key| key.number).saturating_add(1);
        let key = TokenKey { number, public_key, salt: Some(salt), published_at: now, signs_from };
        if !self.accounts.add_token_key(key, ring.keep_from(now)).await? {
            return Err(AuthError::Internal("another rotation was made at the same moment".to_owned()));
        }
        self.read().await?;
        Ok(Rotation::Published(jwk.kid, signs_from))
    }

    async fn read_locked(&self, last: &mut Option<Reading>) -> StoreResult<Arc<KeyRing>> {
        let began = self.clock.elapsed();
        let stored = self.accounts.token_keys().await;
        let at = if stored.is_ok() { began } else { self.clock.elapsed() };
        *last = Some(Reading { at, is_failed: stored.is_err() });
        let stored = stored?;
        let rotated = stored.into_iter().map(|key| self.open(key)).collect();
        let ring = Arc::new(KeyRing::new(self.own.clone(), rotated));
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&ring);
        Ok(ring)
    }

    /// Derives the private half of a key, if a secret of this process is the one that it was derived from.
    fn open(&self, key: TokenKey) -> RotatedKey {
        let TokenKey { number, public_key, salt, published_at, signs_from } = key;
        let public = Jwk::ed25519(&public_key);
        let derived = salt.iter().flat_map(|salt| {
            let secrets = self.secrets.iter();
            secrets.filter_map(|secret| SigningKey::from_salted_secret(secret.expose(), salt).ok())
        });
        let private = { derived }.find(|derived| *derived.jwk() == public);
        RotatedKey { number, public, private, published_at, signs_from }
    }
}

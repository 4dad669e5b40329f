//! The keys of access tokens over time: those of `JWT_SECRET`, and those that follow one another in the accounts.
//!
//! A rotated key is published as soon as it is stored, signs from a time on that is stored with it, and until the next one signs.
//! So everybody who knows the list knows which key signs, without another step. What a key signed is accepted until the last
//! access token of it has expired; a delivery (`api::internal`) is judged as of its turn's time, so its key is kept for longer.

use super::{
    claims::{Claims, LEEWAY_S},
    keys::{Jwk, JwkSet},
    native::{SigningKey, SigningKeys, Verifier},
    token::{TokenError, parse},
};
use crate::{
    api::internal::MAX_DELIVERY_AGE_MS,
    time::{DAY_MS, SECOND_MS, Timestamp},
};

/// The time for which tokens of a key are accepted after it has signed the last one: the longest life of an access token
/// (`ACCESS_TOKEN_EXPIRE_MINUTES` is at most a day), its leeway, and an hour for clocks and for origins that signed on.
pub const LAST_TOKEN_MS: i64 = DAY_MS + LEEWAY_S * SECOND_MS + 3_600 * SECOND_MS;

/// A key that is in the accounts.
#[derive(Clone, Debug)]
pub struct RotatedKey {
    /// Its place in the order of keys.
    pub number: u32,
    /// Its public half.
    pub public: Jwk,
    /// Its private half, for those who know the secret that it was derived from.
    pub private: Option<SigningKey>,
    /// The time since which it is published.
    pub published_at: Timestamp,
    /// The time from which it signs.
    pub signs_from: Timestamp,
}

/// The state of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It is published and does not sign yet.
    Next,
    /// It signs.
    Signing,
    /// It signs no more; tokens of it are accepted.
    Old,
    /// No token of it is accepted, but deliveries of turns from its time are.
    Kept,
}

/// The keys.
#[derive(Clone, Debug)]
pub struct KeyRing {
    own: SigningKeys,
    /// In the order of their numbers.
    rotated: Vec<RotatedKey>,
    verifier: Verifier,
}

impl KeyRing {
    /// Makes a ring of the keys of `JWT_SECRET`, which are always accepted, and of those in the accounts.
    pub fn new(own: SigningKeys, mut rotated: Vec<RotatedKey>) -> Self {
        rotated.sort_unstable_by_key(|key| key.number);
        let public = own.jwk_set().keys.iter().chain(rotated.iter().map(|key| &key.public));
        let verifier = Verifier::new(JwkSet { keys: public.cloned().collect() });
        Self { own, rotated, verifier }
    }

    /// The key that signs: the newest one whose time has come. Where that cannot be derived here, because `JWT_SECRET` is another
    /// one since, the first key of `JWT_SECRET` signs.
    pub fn signing(&self, now: Timestamp) -> &SigningKey {
        let rotated = self.rotated.iter().rfind(|key| key.signs_from <= now);
        rotated.and_then(|key| key.private.as_ref()).unwrap_or_else(|| self.own.signing())
    }

    /// The public halves of the keys whose tokens are accepted at this time.
    pub fn jwk_set(&self, now: Timestamp) -> JwkSet {
        let mut set = self.own.jwk_set().clone();
        let rotated = self.rotated.iter().filter(|key| self.is_accepted(key, now));
        set.keys.extend(rotated.map(|key| key.public.clone()));
        set
    }

    /// Returns whether a token names a key of this ring, or none at all, so that no other ring knows better.
    pub fn knows_key_of(&self, token: &str) -> bool {
        parse(token).map_or(true, |token| self.verifier.knows(&token.kid))
    }

    /// The claims of a token that is valid at `at`, and whose key was accepted then.
    ///
    /// # Errors
    /// Fails as [`Verifier::verify`].
    pub fn verify(&self, token: &str, at: Timestamp) -> Result<Claims, TokenError> {
        let verified = self.verifier.verified(token)?;
        let rotated = self.rotated.iter().find(|key| key.public.kid == verified.kid);
        if rotated.is_some_and(|key| !self.is_accepted(key, at)) {
            return Err(TokenError::Invalid("expired key"));
        }
        verified.into_claims_once_verified(at)
    }

    /// The claims of a token that was valid at some time, to tell whose it is; they let nobody in.
    ///
    /// # Errors
    /// Fails as [`Self::verify`], but for the times.
    pub fn verify_origin(&self, token: &str) -> Result<Claims, TokenError> {
        self.verifier.verify_origin(token)
    }

    /// The keys of `JWT_SECRET`.
    pub const fn own(&self) -> &SigningKeys {
        &self.own
    }

    /// The keys of the accounts, the oldest first.
    pub fn rotated(&self) -> &[RotatedKey] {
        &self.rotated
    }

    /// Returns the state of a key of the accounts, and the time until which its tokens are accepted, where that is known.
    pub fn state(&self, key: &RotatedKey, now: Timestamp) -> (KeyState, Option<Timestamp>) {
        let retires_at = self.retires_at(key);
        let accepted_until = retires_at.map(|at| at.plus_millis(LAST_TOKEN_MS));
        let state = match (retires_at, accepted_until) {
            (_, Some(until)) if until <= now => KeyState::Kept,
            (Some(at), _) if at <= now => KeyState::Old,
            _ if now < key.signs_from => KeyState::Next,
            _ => KeyState::Signing,
        };
        (state, accepted_until)
    }

    /// Returns the lowest number of a key that anything may still be verified with.
    pub fn keep_from(&self, now: Timestamp) -> u32 {
        let is_kept = |key: &&RotatedKey| {
            let retires_at = self.retires_at(key);
            retires_at.is_none_or(|at| now < at.plus_millis(LAST_TOKEN_MS + MAX_DELIVERY_AGE_MS))
        };
        self.rotated.iter().find(is_kept).map_or(0, |key| key.number)
    }

    fn is_accepted(&self, key: &RotatedKey, at: Timestamp) -> bool {
        self.retires_at(key).is_none_or(|retires_at| at < retires_at.plus_millis(LAST_TOKEN_MS))
    }

    /// Returns the time at which the next key signs.
    fn retires_at(&self, key: &RotatedKey) -> Option<Timestamp> {
        self.rotated.iter().find(|next| next.number > key.number).map(|next| next.signs_from)
    }
}

#[cfg(test)]
mod tests;

//! Small secrets that must be kept and read again, such as another provider's refresh token: encrypted and authenticated by
//! AES-256-GCM, for one user and purpose.
//!
//! The key comes from the secrets of `JWT_SECRET`. The first one seals and all open, so what is sealed is readable as long as its
//! secret is listed; after that it is lost.

use std::sync::Arc;

use hkdf::Hkdf;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::Sha256;
use shared::id::Id;

use crate::{config::Secret, random::Random};

/// Separates this key from others derived from the same secret (RFC 5869, section 3.2).
const KEY_INFO: &[u8] = b"edgechat sealed secret v1";
/// The first byte of what is sealed: the format.
const VERSION: u8 = 1;

/// A key cannot be derived, which a test rules out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("deriving the key of sealed secrets failed")]
pub struct SealerError;

/// Something was sealed for somebody else, by a secret that is gone, or was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed secret cannot be opened")]
pub struct Unreadable;

/// The purpose of a secret. What was sealed for one is unreadable for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An authorization code of Apple.
    AppleCode,
    /// A refresh token of Apple.
    AppleToken,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::AppleCode => "apple code",
            Self::AppleToken => "apple token",
        }
    }
}

/// Seals and opens secrets.
#[derive(Clone)]
pub struct Sealer {
    /// One for each secret, the secret in use first.
    keys: Arc<[LessSafeKey]>,
    random: Arc<dyn Random>,
}

impl Sealer {
    /// Derives a key from each secret of `JWT_SECRET`.
    ///
    /// # Errors
    ///
    /// Fails when the key is longer than HKDF can derive, which a test rules out.
    pub fn new(jwt_secrets: &[Secret], random: Arc<dyn Random>) -> Result<Self, SealerError> {
        let keys = jwt_secrets.iter().map(|secret| derive(secret.expose())).collect::<Result<_, _>>()?;
        Ok(Self { keys, random })
    }

    /// Seals a secret for a user and a purpose.
    ///
    /// # Errors
    ///
    /// Fails when there is no key, or the secret is longer than the cipher takes (64 GiB).
    pub fn seal(&self, user_id: Id, purpose: Purpose, secret: &str) -> Result<Vec<u8>, SealerError> {
        let key = self.keys.first().ok_or(SealerError)?;
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce);
        let mut sealed = secret.as_bytes().to_vec();
        let bound = Aad::from(associated(user_id, purpose));
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound, &mut sealed)
            .map_err(|_| SealerError)?;
        Ok([&[VERSION], nonce.as_slice(), &sealed].concat())
    }

    /// Opens what was sealed for this user and purpose.
    ///
    /// # Errors
    ///
    /// Fails when it was not, was changed, or its secret is gone.
    pub fn open(&self, user_id: Id, purpose: Purpose, sealed: &[u8]) -> Result<String, Unreadable> {
        let (&version, rest) = sealed.split_first().ok_or(Unreadable)?;
        let (nonce, encrypted) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Unreadable)?;
        if version != VERSION {
            return Err(Unreadable);
        }
        let open = |key: &LessSafeKey| {
            let mut opened = encrypted.to_vec();
            let bound = Aad::from(associated(user_id, purpose));
            let text = key.open_in_place(Nonce::assume_unique_for_key(*nonce), bound, &mut opened).ok()?;
            String::from_utf8(text.to_vec()).ok()
        };
        self.keys.iter().find_map(open).ok_or(Unreadable)
    }
}

fn derive(secret: &str) -> Result<LessSafeKey, SealerError> {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(None, secret.as_bytes()).expand(KEY_INFO, &mut key).map_err(|_| SealerError)?;
    UnboundKey::new(&AES_256_GCM, &key).map(LessSafeKey::new).map_err(|_| SealerError)
}

/// The data that a sealed secret is bound to. An id has a fixed length, so no two pairs are the same.
fn associated(user_id: Id, purpose: Purpose) -> Vec<u8> {
    [user_id.as_bytes().as_slice(), purpose.as_str().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    const OLD: &str = "0f9a3b7c5d1e8f2a4b6c0d9e7f3a5b1c";
    const NEW: &str = "f1e2d3c4b5a697887766554433221100";

    fn sealer(secrets: &[&str]) -> Sealer {
        let secrets: Vec<_> = secrets.iter().map(|secret| Secret::new(secret)).collect();
        Sealer::new(&secrets, Arc::new(SystemRandom)).unwrap()
    }

    fn id(number: u8) -> Id {
        Id::from_bytes([number; 16])
    }

    #[test]
    fn secret_is_opened_for_its_user_and_purpose_alone() {
        let sealer = sealer(&[OLD]);
        let sealed = sealer.seal(id(1), Purpose::AppleToken, "rt.0.secret").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_eq!(sealer.open(id(1), Purpose::AppleToken, &sealed).as_deref(), Ok("rt.0.secret"));
        assert_eq!(sealer.open(id(2), Purpose::AppleToken, &sealed), Err(Unreadable));
        assert_eq!(sealer.open(id(1), Purpose::AppleCode, &sealed), Err(Unreadable));
    }

    #[test]
    fn changed_or_cut_secret_is_unreadable() {
        let sealer = sealer(&[OLD]);
        let sealed = sealer.seal(id(1), Purpose::AppleToken, "rt.0.secret").unwrap();
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(sealer.open(id(1), Purpose::AppleToken, &changed), Err(Unreadable), "{place}");
            assert_eq!(sealer.open(id(1), Purpose::AppleToken, &sealed[..place]), Err(Unreadable));
        }
    }

    #[test]
    fn same_secret_is_sealed_differently_each_time() {
        let sealer = sealer(&[OLD]);
        let [one, other] = [(); 2].map(|()| sealer.seal(id(1), Purpose::AppleToken, "x").unwrap());
        assert_ne!(one, other);
    }

    #[test]
    fn secret_is_opened_while_its_key_is_listed() {
        let sealed = sealer(&[OLD]).seal(id(1), Purpose::AppleToken, "x").unwrap();
        assert!(sealer(&[NEW, OLD]).open(id(1), Purpose::AppleToken, &sealed).is_ok());
        assert_eq!(sealer(&[NEW]).open(id(1), Purpose::AppleToken, &sealed), Err(Unreadable));
    }
}

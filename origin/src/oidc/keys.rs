//! The public keys of a provider, copied: fetched by one request at a time, by the rules of `shared::auth::provider_keys`.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Client, StatusCode, header::CACHE_CONTROL};
use serde::Deserialize;
use serde_json::Value;
use shared::{
    api::account::Provider,
    auth::provider_keys::{KeyDecision, KeySetTimes, RETRY_MS, max_age_s},
    time::{SECOND_MS, Timestamp},
};
use tokio::sync::Mutex;

use crate::{
    detached::detached,
    http_client::{self, Timeouts},
};

const TIMEOUTS: Timeouts = Timeouts { connect: Duration::from_secs(3), total: Duration::from_secs(6) };
/// The longest key set that is read, in bytes. Those of Google and Apple have 1 to 4 KB.
const MAX_SET_BYTES: usize = 64 * 1024;
/// The most keys of a set that are used.
const MAX_KEYS: usize = 32;

/// An RSA public key, without leading zeros.
#[derive(Debug, PartialEq, Eq)]
pub struct RsaKey {
    /// The modulus.
    pub modulus: Vec<u8>,
    /// The exponent.
    pub exponent: Vec<u8>,
}

/// The reason why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The provider does not have it.
    Absent,
    /// The provider does not answer.
    Unavailable {
        /// Seconds after which it is asked again.
        retry_after_s: u64,
    },
}

/// The copy of a provider's keys.
pub struct ProviderKeys {
    provider: Provider,
    url: String,
    client: Client,
    copy: RwLock<KeySet>,
    /// Held by the one request that fetches.
    fetching: Mutex<()>,
}

#[derive(Clone, Default)]
struct KeySet {
    times: KeySetTimes,
    keys: BTreeMap<String, Arc<RsaKey>>,
}

impl ProviderKeys {
    /// Makes an empty copy of the keys at this address.
    ///
    /// # Errors
    ///
    /// Fails when TLS cannot be set up.
    pub fn new(provider: Provider, url: &str) -> reqwest::Result<Self> {
        let client = http_client::client(TIMEOUTS)?;
        Ok(Self {
            provider,
            url: url.to_owned(),
            client,
            copy: RwLock::default(),
            fetching: Mutex::default(),
        })
    }

    /// Returns the key of this id.
    ///
    /// # Errors
    ///
    /// Fails with a [`KeyError`].
    pub async fn key(self: &Arc<Self>, kid: &str, now: Timestamp) -> Result<Arc<RsaKey>, KeyError> {
        match self.decide(kid, now) {
            // The key is used meanwhile by all but the one that fetches.
            KeyDecision::Refresh if self.fetching.try_lock().is_err() => {}
            KeyDecision::Refresh | KeyDecision::Fetch => self.fetch_if_due(kid, now).await,
            KeyDecision::Use | KeyDecision::Absent | KeyDecision::Unavailable { .. } => {}
        }
        let known = self.read(|copy| copy.keys.get(kid).cloned());
        match (self.decide(kid, now), known) {
            (KeyDecision::Use | KeyDecision::Refresh, Some(key)) => Ok(key),
            (KeyDecision::Unavailable { retry_after_s }, _) => Err(KeyError::Unavailable { retry_after_s }),
            // A fetch that did not come to its end.
            (KeyDecision::Fetch, _) => {
                let retry_after_s = u64::try_from(RETRY_MS / SECOND_MS).unwrap_or(1);
                Err(KeyError::Unavailable { retry_after_s })
            }
            (KeyDecision::Absent | KeyDecision::Use | KeyDecision::Refresh, _) => Err(KeyError::Absent),
        }
    }

    /// Fetches the set, unless another request has done so while this one waited. It goes on when its client has gone.
    async fn fetch_if_due(self: &Arc<Self>, kid: &str, now: Timestamp) {
        let (keys, kid) = (Arc::clone(self), kid.to_owned());
        let fetched = detached(async move {
            let _fetching = keys.fetching.lock().await;
            if matches!(keys.decide(&kid, now), KeyDecision::Refresh | KeyDecision::Fetch) {
                keys.write(|copy| copy.times.asked(now));
                keys.fetch(now).await;
            }
        });
        if let Err(error) = fetched.await {
            tracing::error!(%error, "the fetch of a provider's keys panicked");
        }
    }

    async fn fetch(&self, now: Timestamp) {
        match self.call().await {
            Ok((keys, max_age_s)) => self.write(|copy| {
                copy.times.fetched(now, max_age_s);
                copy.keys = keys;
            }),
            Err(reason) => {
                tracing::warn!(
                    provider = self.provider.as_str(),
                    reason,
                    "a provider's keys cannot be fetched"
                );
            }
        }
    }

    async fn call(&self) -> Result<(BTreeMap<String, Arc<RsaKey>>, Option<u64>), String> {
        let answer = self.client.get(&self.url).send().await.map_err(http_client::reason)?;
        if answer.status() != StatusCode::OK {
            return Err(format!("it answered {}", answer.status().as_u16()));
        }
        let cache_control = answer.headers().get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
        let max_age_s = cache_control.and_then(max_age_s);
        let set = http_client::read_bounded(answer, MAX_SET_BYTES).await;
        let keys =
            read_set(&set.ok_or("its answer is too long or broke off")?).ok_or("its answer is no key set")?;
        if keys.is_empty() {
            return Err("its key set has no key for RS256".to_owned());
        }
        Ok((keys, max_age_s))
    }

    fn decide(&self, kid: &str, now: Timestamp) -> KeyDecision {
        self.read(|copy| copy.times.decide(copy.keys.contains_key(kid), now))
    }

    fn read<T>(&self, read: impl FnOnce(&KeySet) -> T) -> T {
        read(&self.copy.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, write: impl FnOnce(&mut KeySet)) {
        write(&mut self.copy.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A key set (RFC 7517, section 5).
#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    n: String,
    e: String,
}

/// Reads the keys for RS256 of a set. Others are passed over.
fn read_set(json: &[u8]) -> Option<BTreeMap<String, Arc<RsaKey>>> {
    let set: Jwks = serde_json::from_slice(json).ok()?;
    let keys = set.keys.into_iter().filter_map(|key| read_key(serde_json::from_value(key).ok()?));
    Some(keys.take(MAX_KEYS).collect())
}

fn read_key(key: Jwk) -> Option<(String, Arc<RsaKey>)> {
    let is_for_signatures = key.purpose.is_none_or(|purpose| purpose == "sig");
    let is_for_rs256 = key.kty == "RSA" && key.alg.is_none_or(|alg| alg == "RS256");
    if !is_for_signatures || !is_for_rs256 {
        return None;
    }
    let number = |text: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
    };
    Some((key.kid, Arc::new(RsaKey { modulus: number(&key.n)?, exponent: number(&key.e)? })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_for_rs256_are_read_and_others_passed_over() {
        let set = r#"{"keys": [
            {"kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256", "n": "AAEC", "e": "AQAB", "x5t": "new"},
            {"kty": "RSA", "kid": "2", "n": "Aw", "e": "AQAB"},
            {"kty": "RSA", "kid": "3", "use": "enc", "n": "Aw", "e": "AQAB"},
            {"kty": "RSA", "kid": "4", "alg": "RS512", "n": "Aw", "e": "AQAB"},
            {"kty": "oct", "kid": "5", "k": "Aw"},
            {"kty": "RSA", "kid": "6", "n": "=", "e": "AQAB"},
            {"kty": "RSA", "n": "Aw", "e": "AQAB"},
            7
        ]}"#;
        let keys = read_set(set.as_bytes()).unwrap();
        let key = |modulus: &[u8]| Arc::new(RsaKey { modulus: modulus.to_vec(), exponent: vec![1, 0, 1] });
        assert_eq!(keys, BTreeMap::from([("1".to_owned(), key(&[1, 2])), ("2".to_owned(), key(&[3]))]));
        for text in ["", "[]", "{}", r#"{"keys": {}}"#] {
            assert!(read_set(text.as_bytes()).is_none(), "{text}");
        }
    }
}

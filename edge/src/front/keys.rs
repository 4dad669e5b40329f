//! The origin's public keys, cached in the isolate. An outage of the origin does not sign anybody out: keys are used until the
//! origin answers again. [`shared::auth::key_cache`] decides when they are fetched.

use std::{cell::RefCell, time::Duration};

use shared::{
    api::{ApiError, ErrorCode},
    auth::{
        key_cache::{KeyCachePolicy, KeyLookup},
        keys::{JWKS_PATH, JwkSet},
    },
};
use worker::Delay;

use super::Front;
use crate::{
    origin::Call,
    platform::{self, HeaderLines, VerifyingKey},
    reply::Error,
};

/// The timeout of the origin.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The same while there is a cached key.
const REFRESH_TIMEOUT: Duration = Duration::from_millis(1_500);
/// The interval at which a request checks whether another request's fetch has ended.
const WAIT_MS: u64 = 20;
/// Seconds after which a client may try again when no keys are available.
const RETRY_S: u64 = 2;

#[derive(Default)]
struct Keys {
    policy: KeyCachePolicy,
    by_id: Vec<(String, VerifyingKey)>,
}

impl Keys {
    fn get(&self, kid: &str) -> Option<VerifyingKey> {
        self.by_id.iter().find(|(id, _)| id == kid).map(|(_, key)| key.clone())
    }
}

thread_local! {
    static KEYS: RefCell<Keys> = RefCell::default();
}

/// Returns the key of this id; `None` when the origin knows no such key.
///
/// # Errors
/// Fails with 503 `origin_unavailable` when the key is not cached and the origin does not answer.
pub(super) async fn find(front: &Front, kid: &str) -> Result<Option<VerifyingKey>, Error> {
    loop {
        let now = platform::now();
        let (lookup, known) = KEYS.with_borrow_mut(|keys| (keys.policy.decide(kid, now), keys.get(kid)));
        match lookup {
            KeyLookup::Known => return Ok(known),
            KeyLookup::Absent => return Ok(None),
            KeyLookup::Unavailable { retry_after_s } => return Err(unavailable(retry_after_s)),
            // A fetch belongs to the request that began it, so it cannot be awaited here.
            KeyLookup::Wait => Delay::from(Duration::from_millis(WAIT_MS)).await,
            KeyLookup::Refresh => return fetch_key(front, kid, known, REFRESH_TIMEOUT).await,
            KeyLookup::Fetch => return fetch_key(front, kid, known, TIMEOUT).await,
        }
    }
}

/// Fetches the set for this key. Should that fail, the cached key is returned.
async fn fetch_key(
    front: &Front,
    kid: &str,
    known: Option<VerifyingKey>,
    timeout: Duration,
) -> Result<Option<VerifyingKey>, Error> {
    let began = platform::now();
    match fetch(front, timeout).await {
        Ok(by_id) => Ok(KEYS.with_borrow_mut(|keys| {
            let found = by_id.iter().find(|(id, _)| id == kid).map(|(_, key)| key.clone());
            let ids: Vec<_> = by_id.iter().map(|(id, _)| id.as_str()).collect();
            if keys.policy.fetched(kid, &ids, began, platform::now()) {
                keys.by_id = by_id;
            }
            found
        })),
        Err(error) => {
            KEYS.with_borrow_mut(|keys| keys.policy.failed(began));
            front.scope.error("the origin's keys", &error);
            match known {
                Some(key) => Ok(Some(key)),
                None => Err(unavailable(RETRY_S)),
            }
        }
    }
}

async fn fetch(front: &Front, timeout: Duration) -> worker::Result<Vec<(String, VerifyingKey)>> {
    let call = Call {
        method: "GET",
        path_and_query: JWKS_PATH,
        body: &[],
        scope: &front.scope,
        client_ip: "",
        timeout,
    };
    let mut headers = HeaderLines::default();
    // Clients may keep the set for a while, and so may caches between here and the origin.
    headers.set("Cache-Control", "no-cache")?;
    let body = match front.origin.fetch(&call, headers).await? {
        (200, body) => body,
        (status, _) => return Err(worker::Error::RustError(format!("the origin answered {status}"))),
    };
    let set: JwkSet = serde_json::from_slice(&body)?;
    let mut by_id = Vec::with_capacity(set.keys.len());
    for jwk in &set.keys {
        if let Some(key) = jwk.public_key() {
            by_id.push((jwk.kid.clone(), VerifyingKey::import(key).await?));
        }
    }
    Ok(by_id)
}

fn unavailable(retry_after_s: u64) -> Error {
    ApiError::from(ErrorCode::OriginUnavailable).retry_after(retry_after_s).into()
}

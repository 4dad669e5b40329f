//! The origin's public keys, cached in the isolate. An origin that is down does not sign anybody out: keys go on being
//! used until the origin is back to say otherwise.

use std::cell::RefCell;

use shared::{
    api::{ApiError, ErrorCode},
    auth::keys::JwkSet,
    time::{SECOND_MS, Timestamp},
};
use worker::Headers;

use super::Front;
use crate::{
    origin::{self, Call},
    platform::{self, VerifyingKey},
    reply::Failure,
};

const PATH: &str = "/.well-known/jwks.json";
/// After this long the keys are fetched anew.
const FRESH_MS: i64 = 300 * SECOND_MS;
/// Keys are fetched at most this often, whatever ids tokens name.
const REFETCH_MS: i64 = 30 * SECOND_MS;
/// How long the origin may take.
const PATIENCE_MS: u64 = 5_000;
/// After how many seconds a client may try again when no keys can be had.
const RETRY_S: u64 = 2;

#[derive(Default)]
struct Keys {
    asked: Option<Timestamp>,
    fetched: Option<Timestamp>,
    by_id: Vec<(String, VerifyingKey)>,
}

thread_local! {
    static KEYS: RefCell<Keys> = RefCell::default();
}

/// The key of this id; `None` when the origin knows no such key.
pub(super) async fn find(front: &Front, kid: &str) -> Result<Option<VerifyingKey>, Failure> {
    let now = platform::now();
    let (known, due) = KEYS.with_borrow(|keys| {
        let known = keys.by_id.iter().find(|(id, _)| id == kid).map(|(_, key)| key.clone());
        let fresh = keys.fetched.is_some_and(|at| now.millis_since(at) < FRESH_MS);
        let asked_lately = keys.asked.is_some_and(|at| now.millis_since(at) < REFETCH_MS);
        let due = (known.is_none() || !fresh) && !(asked_lately && keys.fetched.is_some());
        (known, due)
    });
    if !due {
        return Ok(known);
    }
    KEYS.with_borrow_mut(|keys| keys.asked = Some(now));
    match (fetch(front).await, known) {
        (Ok(by_id), _) => {
            let found = by_id.iter().find(|(id, _)| id == kid).map(|(_, key)| key.clone());
            KEYS.with_borrow_mut(|keys| {
                keys.by_id = by_id;
                keys.fetched = Some(now);
            });
            Ok(found)
        }
        (Err(error), known) => {
            worker::console_error!("request {}: the origin's keys: {error}", front.request_id);
            match known {
                Some(key) => Ok(Some(key)),
                None => Err(ApiError::from(ErrorCode::OriginUnavailable).retry_after(RETRY_S).into()),
            }
        }
    }
}

async fn fetch(front: &Front) -> worker::Result<Vec<(String, VerifyingKey)>> {
    let call =
        Call { method: "GET", path_and_query: PATH, body: &[], request_id: &front.request_id, client_ip: "" };
    let answer = async {
        let mut response = origin::send(&front.config, &call, Headers::new()).await?;
        match response.status_code() {
            200 => response.bytes().await,
            status => Err(worker::Error::RustError(format!("the origin answered {status}"))),
        }
    };
    let body = platform::within(PATIENCE_MS, answer)
        .await
        .unwrap_or_else(|| Err(worker::Error::RustError("no answer in time".to_owned())))?;
    let set: JwkSet = serde_json::from_slice(&body)?;
    let mut by_id = Vec::with_capacity(set.keys.len());
    for jwk in &set.keys {
        if let Some(key) = jwk.public_key() {
            by_id.push((jwk.kid.clone(), VerifyingKey::import(key).await?));
        }
    }
    Ok(by_id)
}

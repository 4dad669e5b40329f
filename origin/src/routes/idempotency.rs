//! Requests that create an object and may be repeated under an idempotency key: the key names the created object.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use shared::{
    api::ErrorCode,
    auth::edge::sha256,
    id::Id,
    time::{DAY_MS, Timestamp},
};

use crate::{app::App, http::Error};

/// The lifetime of a key.
const KEY_MS: i64 = DAY_MS;

/// The id and time of the object that a request creates: the same for every repetition, so that a store creates it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reservation {
    /// The id of the created object.
    pub(super) id: Id,
    /// The time at which it was created first.
    pub(super) at: Timestamp,
    /// True when an earlier request had the same key.
    #[serde(skip)]
    pub(super) repeated: bool,
}

/// A reservation, with the fingerprint that distinguishes its request from another under the same key.
#[derive(Serialize, Deserialize)]
struct KeyRecord {
    /// The SHA-256 of the request as JSON, in base64url.
    fingerprint: String,
    #[serde(flatten)]
    reservation: Reservation,
}

/// The most times that a key is reused within a day, each after its object was deleted.
pub(super) const GENERATIONS: u32 = 16;

/// Reserves an id for the object that this request of the user creates; `what` names the kind of request. Nothing is created
/// yet: when the process dies before, a repetition creates the same. `generation` counts the deletions of the key's object: a
/// client that repeats the request then wants a new one, not the id of a deleted one.
///
/// # Errors
///
/// Fails with [`ErrorCode::IdempotencyKeyReused`] when the key was used for another request within a day.
pub(super) async fn reserve(
    app: &App,
    what: &str,
    generation: u32,
    user_id: Id,
    key: Option<String>,
    request: &(impl Serialize + Sync),
) -> Result<Reservation, Error> {
    let now = app.clock.now();
    let reservation = Reservation { id: app.random.id(now), at: now, repeated: false };
    let Some(key) = key else { return Ok(reservation) };
    let internal = |error: serde_json::Error| Error::Internal(error.to_string());
    let request = serde_json::to_vec(request).map_err(internal)?;
    let fingerprint = URL_SAFE_NO_PAD.encode(sha256(&request));
    let mine =
        serde_json::to_vec(&KeyRecord { fingerprint: fingerprint.clone(), reservation }).map_err(internal)?;
    let what = if generation == 0 { what.to_owned() } else { format!("{what}.{generation}") };
    let (key, until) = (format!("{what}:{user_id}:{key}"), now.plus_millis(KEY_MS));
    let first = app.stores.ephemeral.get_or_insert(&key, mine, until, now).await?;
    let first: KeyRecord = serde_json::from_slice(&first).map_err(internal)?;
    if first.fingerprint == fingerprint {
        Ok(Reservation { repeated: first.reservation.id != reservation.id, ..first.reservation })
    } else {
        Err(ErrorCode::IdempotencyKeyReused.into())
    }
}

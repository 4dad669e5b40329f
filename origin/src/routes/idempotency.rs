//! Requests that create something and may be sent again under an idempotency key: the key stands for what is created.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use shared::{
    api::ErrorCode,
    auth::edge::sha256,
    id::Id,
    time::{DAY_MS, Timestamp},
};

use crate::{app::App, http::Error};

/// For how long a key is remembered.
const KEY_MS: i64 = DAY_MS;

/// The id and time of what a request creates: the same for every repetition of it, so that a store creates it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reservation {
    /// The id of what is created.
    pub(super) id: Id,
    /// When it was created first.
    pub(super) at: Timestamp,
    /// Whether an earlier request with the same key stands for it.
    #[serde(skip)]
    pub(super) repeated: bool,
}

/// A reservation, with the fingerprint that tells its request from another under the same key.
#[derive(Serialize, Deserialize)]
struct KeyRecord {
    /// The SHA-256 of the request as JSON, in base64url.
    fingerprint: String,
    #[serde(flatten)]
    reservation: Reservation,
}

/// Times that a key starts anew within a day, each after what it stood for was deleted.
pub(super) const GENERATIONS: u32 = 16;

/// Reserves an id for what this request of the user creates; `what` names the kind of request. Nothing is created yet: a
/// process that dies before is followed by a repetition that creates the same. `generation` counts how often what the key
/// stood for was deleted: a client that sends the request again then wants it anew, not the id of something that is gone.
///
/// # Errors
///
/// Fails with [`ErrorCode::IdempotencyKeyReused`] when the key came with another request within a day.
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

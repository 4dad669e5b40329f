//! Requests that make something and may be sent again under an idempotency key: the key stands for what was made.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use shared::{
    api::ErrorCode,
    auth::edge::sha256,
    id::Id,
    time::{DAY_MS, Timestamp},
};

use crate::{app::App, http::Failure};

/// For how long a key is remembered.
const KEY_MS: i64 = DAY_MS;

/// What a request makes: the same for every repetition of it, so that a store which takes an id once takes it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Making {
    /// The id of what is made.
    pub(super) id: Id,
    /// When it was made first.
    pub(super) at: Timestamp,
    /// Whether an earlier request with the same key stands for it.
    #[serde(skip)]
    pub(super) repeated: bool,
}

/// A making, with what tells its request from another under the same key.
#[derive(Serialize, Deserialize)]
struct Remembered {
    /// The SHA-256 of the request as JSON, in base64url.
    fingerprint: String,
    #[serde(flatten)]
    making: Making,
}

/// Times that a key starts anew within a day, each after what it stood for was deleted.
pub(super) const GENERATIONS: u32 = 16;

/// Returns what this request of the user makes. `what` names the kind of request. Nothing is made yet: whoever dies before it
/// is, is followed by a repetition that makes the same. `generation` counts how often what the key stood for was deleted:
/// a client that sends the request again then wants it anew, not the id of something that is gone.
///
/// Errors: [`ErrorCode::IdempotencyKeyReused`] when the key came with another request within a day.
pub(super) async fn making(
    app: &App,
    what: &str,
    generation: u32,
    user_id: Id,
    key: Option<String>,
    request: &(impl Serialize + Sync),
) -> Result<Making, Failure> {
    let now = app.clock.now();
    let making = Making { id: app.random.id(now), at: now, repeated: false };
    let Some(key) = key else { return Ok(making) };
    let internal = |error: serde_json::Error| Failure::Internal(error.to_string());
    let request = serde_json::to_vec(request).map_err(internal)?;
    let fingerprint = URL_SAFE_NO_PAD.encode(sha256(&request));
    let mine =
        serde_json::to_vec(&Remembered { fingerprint: fingerprint.clone(), making }).map_err(internal)?;
    let what = if generation == 0 { what.to_owned() } else { format!("{what}.{generation}") };
    let (key, until) = (format!("{what}:{user_id}:{key}"), now.plus_millis(KEY_MS));
    let first = app.stores.ephemeral.remember(&key, mine, until, now).await?;
    let first: Remembered = serde_json::from_slice(&first).map_err(internal)?;
    if first.fingerprint == fingerprint {
        Ok(Making { repeated: first.making.id != making.id, ..first.making })
    } else {
        Err(ErrorCode::IdempotencyKeyReused.into())
    }
}

//! The platform: the clock, randomness, WebCrypto, outbound requests and bounded reading of their responses. The only place
//! that wires time and randomness; all other code takes them as arguments.
//!
//! - [`calls`]: HTTP calls whose loop is in JavaScript
//! - [`headers`]: headers in the form passed to JavaScript
//! - [`messages`]: requests and responses
//! - [`outlet`]: bodies of responses that are written incrementally
//! - [`ticker`]: the interval of an object

mod calls;
mod headers;
mod messages;
mod outlet;
mod ticker;

pub use calls::{CallEvent, CallHandle, HttpCall, ResponseHead};
pub use headers::HeaderLines;
pub use messages::{Handed, Incoming, dress, hand_over, own, own_with_body, send};
pub use outlet::Outlet;
pub use ticker::Ticker;

use std::{future::Future, pin::pin, time::Duration};

use futures_util::future::{Either, select};
use js_sys::{Array, Promise, Uint8Array};
use shared::{
    id::{Id, RANDOM_BYTES},
    time::Timestamp,
};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use worker::Delay;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = ["crypto"], js_name = getRandomValues)]
    fn get_random_values(bytes: &mut [u8]);

    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = importKey, catch)]
    fn import_key(
        format: &str,
        key: &Uint8Array,
        algorithm: &str,
        extractable: bool,
        usages: &Array,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = verify, catch)]
    fn verify(
        algorithm: &str,
        key: &JsValue,
        signature: &Uint8Array,
        data: &Uint8Array,
    ) -> Result<Promise, JsValue>;
}

/// The platform's name of the token's signature algorithm.
const ED25519: &str = "Ed25519";

/// Returns the current time, which the platform advances at I/O only.
pub fn now() -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "the platform counts whole milliseconds")]
    Timestamp::from_millis(js_sys::Date::now() as i64)
}

/// Returns random bytes from the platform's cryptographic generator.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    get_random_values(&mut bytes);
    bytes
}

/// Returns a new id of the time `now`.
pub fn new_id(now: Timestamp) -> Id {
    Id::new(now, random::<RANDOM_BYTES>())
}

/// A public key with which the platform verifies.
#[derive(Clone)]
pub struct VerifyingKey(JsValue);

impl VerifyingKey {
    /// Imports an Ed25519 public key into the platform.
    pub async fn import(key: [u8; 32]) -> worker::Result<Self> {
        let usages = Array::of1(&JsValue::from_str("verify"));
        let promise = import_key("raw", &Uint8Array::from(key.as_slice()), ED25519, false, &usages)?;
        Ok(Self(JsFuture::from(promise).await?))
    }

    /// Returns true when the signature over `message` is of this key.
    pub async fn verify(&self, signature: &[u8; 64], message: &[u8]) -> worker::Result<bool> {
        let promise =
            verify(ED25519, &self.0, &Uint8Array::from(signature.as_slice()), &Uint8Array::from(message))?;
        Ok(JsFuture::from(promise).await?.is_truthy())
    }
}

/// Aborts a request when it is dropped, so that an abandoned one does not continue.
pub struct AbortOnDrop(Option<web_sys::AbortController>);

impl AbortOnDrop {
    /// Creates a guard for a request that is begun with its signal.
    pub fn new() -> worker::Result<Self> {
        Ok(Self(Some(web_sys::AbortController::new()?)))
    }

    /// Returns the signal for the request.
    pub fn signal(&self) -> Option<web_sys::AbortSignal> {
        self.0.as_ref().map(web_sys::AbortController::signal)
    }

    /// Disarms the guard of a finished request.
    pub fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(controller) = &self.0 {
            controller.abort();
        }
    }
}

/// Returns true when the platform refused a call of a Durable Object because of overload; an immediate retry makes it worse.
pub fn is_overload(error: &worker::Error) -> bool {
    let worker::Error::UnknownJsError { original, .. } = error else { return false };
    js_sys::Reflect::get(original, &JsValue::from_str("overloaded"))
        .is_ok_and(|overloaded| overloaded.is_truthy())
}

/// A timer that is reset often. It may fire early, and the caller then checks and waits again: a timer of the platform costs
/// more than a check.
#[derive(Default)]
pub struct Timer(Option<(Timestamp, Delay)>);

impl Timer {
    /// Waits for so many milliseconds from `now` at most; without a number, for ever.
    pub async fn fired(&mut self, now: Timestamp, in_ms: Option<u64>) {
        let Some(in_ms) = in_ms else {
            return std::future::pending().await;
        };
        let at = now.plus_millis(i64::try_from(in_ms).unwrap_or(i64::MAX));
        // A due timer may fire before the clock reaches its time, and would fire again at once, since the clock does not advance.
        if !self.0.as_ref().is_some_and(|(set, _)| *set <= at && set.millis_since(now) > 0) {
            self.0 = Some((at, Delay::from(Duration::from_millis(in_ms))));
        }
        if let Some((_, delay)) = &mut self.0 {
            delay.await;
        }
        self.0 = None;
    }
}

/// Awaits a future; returns `None` after this time.
pub async fn timeout<F: Future>(timeout_ms: u64, waited: F) -> Option<F::Output> {
    let delay = Delay::from(Duration::from_millis(timeout_ms));
    match select(pin!(waited), pin!(delay)).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}

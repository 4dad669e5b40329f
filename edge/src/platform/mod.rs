//! The platform: the clock, randomness, WebCrypto, outbound requests and bounded reading of their answers. The one place that
//! wires time and chance; everything else takes them as arguments.
//!
//! - [`calls`]: HTTP calls whose loop is in JavaScript
//! - [`headers`]: headers, as they are handed to JavaScript
//! - [`messages`]: requests and responses
//! - [`outlet`]: bodies of responses that are written bit by bit
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

/// The current time. It stands still while code runs; it moves on I/O.
pub fn now() -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "the platform counts whole milliseconds")]
    Timestamp::from_millis(js_sys::Date::now() as i64)
}

/// Random bytes from the platform's cryptographic generator.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    get_random_values(&mut bytes);
    bytes
}

/// A new id of the time `now`.
pub fn new_id(now: Timestamp) -> Id {
    Id::new(now, random::<RANDOM_BYTES>())
}

/// A public key the platform verifies with.
#[derive(Clone)]
pub struct VerifyingKey(JsValue);

impl VerifyingKey {
    /// Hands an Ed25519 public key to the platform.
    pub async fn import(key: [u8; 32]) -> worker::Result<Self> {
        let usages = Array::of1(&JsValue::from_str("verify"));
        let promise = import_key("raw", &Uint8Array::from(key.as_slice()), ED25519, false, &usages)?;
        Ok(Self(JsFuture::from(promise).await?))
    }

    /// Whether this key made the signature over `message`.
    pub async fn verify(&self, signature: &[u8; 64], message: &[u8]) -> worker::Result<bool> {
        let promise =
            verify(ED25519, &self.0, &Uint8Array::from(signature.as_slice()), &Uint8Array::from(message))?;
        Ok(JsFuture::from(promise).await?.is_truthy())
    }
}

/// Cuts a request off when it is dropped, so that one that nobody waits for any more does not go on.
pub struct AbortOnDrop(Option<web_sys::AbortController>);

impl AbortOnDrop {
    /// Watches over a request that is begun with its signal.
    pub fn new() -> worker::Result<Self> {
        Ok(Self(Some(web_sys::AbortController::new()?)))
    }

    /// The signal of the request.
    pub fn signal(&self) -> Option<web_sys::AbortSignal> {
        self.0.as_ref().map(web_sys::AbortController::signal)
    }

    /// The request is over: there is nothing to cut off.
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

/// Whether the platform refused a call of a Durable Object because there are too many; to repeat it at once makes it worse.
pub fn is_overload(error: &worker::Error) -> bool {
    let worker::Error::UnknownJsError { original, .. } = error else { return false };
    js_sys::Reflect::get(original, &JsValue::from_str("overloaded"))
        .is_ok_and(|overloaded| overloaded.is_truthy())
}

/// A timer that is set again and again. It may fire early, and then whoever waits looks and waits anew: a timer of the
/// platform's costs more than a look.
#[derive(Default)]
pub struct Timer(Option<(Timestamp, Delay)>);

impl Timer {
    /// Waits for so many milliseconds from `now` at most; without a number, for ever.
    pub async fn fired(&mut self, now: Timestamp, in_ms: Option<u64>) {
        let Some(in_ms) = in_ms else {
            return std::future::pending().await;
        };
        let at = now.plus_millis(i64::try_from(in_ms).unwrap_or(i64::MAX));
        // One that is due may fire before the clock says so, and would fire again at once, while the clock stands still.
        if !self.0.as_ref().is_some_and(|(set, _)| *set <= at && set.millis_since(now) > 0) {
            self.0 = Some((at, Delay::from(Duration::from_millis(in_ms))));
        }
        if let Some((_, delay)) = &mut self.0 {
            delay.await;
        }
        self.0 = None;
    }
}

/// Waits for something, but not longer than this.
pub async fn timeout<F: Future>(timeout_ms: u64, waited: F) -> Option<F::Output> {
    let delay = Delay::from(Duration::from_millis(timeout_ms));
    match select(pin!(waited), pin!(delay)).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}

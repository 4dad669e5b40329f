//! The platform: the clock, randomness, WebCrypto, outbound requests and bounded reading of their answers. The one place that
//! wires time and chance; everything else takes them as arguments.

use std::{future::Future, pin::pin, time::Duration};

use futures_util::{
    StreamExt,
    future::{Either, select},
};
use js_sys::{Array, Promise, Uint8Array};
use shared::{
    id::{Id, RANDOM_BYTES},
    time::Timestamp,
};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use worker::{Date, Delay, Response};

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
    Timestamp::from_millis(i64::try_from(Date::now().as_millis()).unwrap_or(i64::MAX))
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

/// Reads at most `max_bytes` of a response's body; what is over is left.
pub async fn read_some(response: &mut Response, max_bytes: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What came before a cut is all there is to look at.
    let _ = read_into(&mut bytes, response, max_bytes).await;
    bytes
}

/// Reads a response's body, at most `max_bytes` of it; a body that is cut off is an error.
pub async fn read_whole(response: &mut Response, max_bytes: usize) -> worker::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    read_into(&mut bytes, response, max_bytes).await?;
    Ok(bytes)
}

async fn read_into(bytes: &mut Vec<u8>, response: &mut Response, max_bytes: usize) -> worker::Result<()> {
    let mut stream = response.stream()?;
    while bytes.len() < max_bytes {
        let Some(chunk) = stream.next().await else { break };
        bytes.extend_from_slice(&chunk?);
    }
    bytes.truncate(max_bytes);
    Ok(())
}

/// Makes a request of plain parts.
pub fn outbound(
    url: &str,
    method: &str,
    headers: &worker::Headers,
    body: Option<JsValue>,
) -> worker::Result<web_sys::Request> {
    let init = web_sys::RequestInit::new();
    init.set_method(method);
    init.set_headers(headers.as_ref());
    init.set_redirect(web_sys::RequestRedirect::Manual);
    if let Some(body) = body {
        init.set_body(&body);
    }
    Ok(web_sys::Request::new_with_str_and_init(url, &init)?)
}

/// Begins a request at once: it is on its way before anything is awaited. Its failure is nobody's surprise, also when it comes
/// before the answer is waited for.
pub fn begin_fetch(request: &web_sys::Request, signal: Option<&web_sys::AbortSignal>) -> JsFuture {
    #[wasm_bindgen]
    extern "C" {
        #[wasm_bindgen(js_name = fetch)]
        fn fetch(request: &web_sys::Request, init: &web_sys::RequestInit) -> Promise;
    }
    let init = web_sys::RequestInit::new();
    if let Some(signal) = signal {
        init.set_signal(Some(signal));
    }
    JsFuture::from(fetch(request, &init))
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

    /// The controller that cuts the request off from outside.
    pub fn controller(&self) -> Option<web_sys::AbortController> {
        self.0.clone()
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

/// The answer to a request that was begun.
pub async fn fetched(call: JsFuture) -> worker::Result<Response> {
    Ok(call.await?.dyn_into::<web_sys::Response>()?.into())
}

/// Whether the platform refused a call of a Durable Object because there are too many; to repeat it at once makes it worse.
pub fn is_overload(error: &worker::Error) -> bool {
    let worker::Error::UnknownJsError { original, .. } = error else { return false };
    js_sys::Reflect::get(original, &JsValue::from_str("overloaded"))
        .is_ok_and(|overloaded| overloaded.is_truthy())
}

/// A timer that is set again and again. It may fire early, and then whoever waits looks and sets it anew: a timer of the
/// platform's costs more than a look.
pub struct Timer {
    at: Timestamp,
    delay: Delay,
    has_fired: bool,
}

impl Timer {
    /// Makes a timer that fires in so many milliseconds.
    pub fn new(now: Timestamp, in_ms: u64) -> Self {
        let at = now.plus_millis(i64::try_from(in_ms).unwrap_or(i64::MAX));
        Self { at, delay: Delay::from(Duration::from_millis(in_ms)), has_fired: false }
    }

    /// Makes it fire in so many milliseconds at the latest.
    pub fn set(&mut self, now: Timestamp, in_ms: u64) {
        let left_ms = self.at.millis_since(now);
        // One that fired may have done so before the clock says so, and would fire again at once, while the clock stands still.
        if self.has_fired || left_ms <= 0 || u64::try_from(left_ms).is_ok_and(|left_ms| left_ms > in_ms) {
            *self = Self::new(now, in_ms);
        }
    }

    /// Waits until it fires.
    pub async fn fired(&mut self) {
        (&mut self.delay).await;
        self.has_fired = true;
    }
}

/// Waits for something, but not longer than this.
pub async fn within<F: Future>(timeout_ms: u64, waited: F) -> Option<F::Output> {
    let timeout = Delay::from(Duration::from_millis(timeout_ms));
    match select(pin!(waited), pin!(timeout)).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}

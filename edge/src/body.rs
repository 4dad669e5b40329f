//! Bodies of requests, read by the rules of `shared::http::body`: bounded in size, in time and in the memory of all of them in
//! the isolate.

use std::{cell::RefCell, ops::Deref};

use futures_util::{Stream, StreamExt};
use js_sys::Uint8Array;
use shared::{
    api::{ApiError, body::too_large},
    http::body::{
        BODY_SILENCE_MS, BODY_TIMEOUT_MS, ByteBudget, HELD_BODIES_BYTES, MAX_DRAINED_BYTES,
        check_content_coding, cut_off, too_slow,
    },
};
use wasm_bindgen_futures::JsFuture;
use worker::{ByteStream, Result as WorkerResult};

use crate::platform::{self, Incoming};

/// The largest body that is read in one piece, so that a stalled one takes no more memory than its length.
const MAX_PIECE_BYTES: usize = 64 * 1024;

thread_local! {
    static BUDGET: RefCell<ByteBudget> = const { RefCell::new(ByteBudget::new(HELD_BODIES_BYTES)) };
}

/// A received body. Its bytes count against the isolate's budget until it is dropped.
#[derive(Default)]
pub struct Body {
    bytes: Vec<u8>,
    held: Held,
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Bytes taken from the budget.
#[derive(Default)]
struct Held(usize);

impl Held {
    fn grow(&mut self, bytes: usize) -> Result<(), ApiError> {
        BUDGET.with_borrow_mut(|budget| budget.reserve(bytes))?;
        self.0 += bytes;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        BUDGET.with_borrow_mut(|budget| budget.release(self.0));
    }
}

/// The header with the length of a body.
pub const CONTENT_LENGTH: &str = "Content-Length";
/// The header with the compression of a body.
pub const CONTENT_ENCODING: &str = "Content-Encoding";

/// Returns true when a request has a body with a meaning: on GET and HEAD it has none (RFC 9110, section 9.3.1), and some HTTP
/// libraries send one all the same; others send `Content-Length: 0` without a body.
pub fn is_present(incoming: &Incoming) -> bool {
    !matches!(incoming.method.as_str(), "GET" | "HEAD")
        && match declared_length(incoming) {
            Some(length) => length > 0,
            None => incoming.request().body().is_some(),
        }
}

/// Returns the declared length of a request's body.
pub fn declared_length(incoming: &Incoming) -> Option<usize> {
    incoming.header(CONTENT_LENGTH)?.parse().ok()
}

/// Checks the headers of a body before any of it is read.
///
/// # Errors
/// Fails with 413 when it is declared to be larger than `max_bytes`, with 415 when it is compressed.
pub fn check_head(incoming: &Incoming, max_bytes: usize) -> Result<(), ApiError> {
    if !is_present(incoming) {
        return Ok(());
    }
    check_content_coding(incoming.header(CONTENT_ENCODING))?;
    match declared_length(incoming) {
        Some(length) if length > max_bytes => Err(too_large(max_bytes)),
        _ => Ok(()),
    }
}

/// Reads a body of at most `max_bytes`; an absent one is empty.
///
/// # Errors
/// Fails as [`check_head`]; with 413 when it is larger; with 400 when it breaks off or does not arrive in time; with 503 when
/// the isolate's budget is used up.
pub async fn read(incoming: &Incoming, max_bytes: usize) -> Result<Body, ApiError> {
    check_head(incoming, max_bytes)?;
    if !is_present(incoming) {
        return Ok(Body::default());
    }
    let mut body = Body::default();
    if let Some(length) = declared_length(incoming).filter(|length| *length <= MAX_PIECE_BYTES) {
        body.held.grow(length)?;
        let whole = incoming.request().array_buffer().map_err(|_| cut_off())?;
        let read = platform::timeout(BODY_SILENCE_MS, JsFuture::from(whole)).await.ok_or_else(too_slow)?;
        body.bytes = Uint8Array::new(&read.map_err(|_| cut_off())?).to_vec();
        return Ok(body);
    }
    platform::timeout(BODY_TIMEOUT_MS, read_pieces(incoming, body, max_bytes))
        .await
        .unwrap_or_else(|| Err(too_slow()))
}

async fn read_pieces(incoming: &Incoming, mut body: Body, max_bytes: usize) -> Result<Body, ApiError> {
    let mut pieces = pieces(incoming).map_err(|_| cut_off())?;
    loop {
        let piece = platform::timeout(BODY_SILENCE_MS, pieces.next()).await.ok_or_else(too_slow)?;
        let Some(piece) = piece.transpose().map_err(|_| cut_off())? else { return Ok(body) };
        if body.bytes.len() + piece.len() > max_bytes {
            drop(body);
            drain_pieces(pieces).await;
            return Err(too_large(max_bytes));
        }
        body.held.grow(piece.len())?;
        body.bytes.extend_from_slice(&piece);
    }
}

/// Reads and drops the rest of an unread body, up to a bound: a client that is refused while it still sends gets its
/// response.
pub async fn drain(incoming: &Incoming) {
    if is_present(incoming)
        && !incoming.request().body_used()
        && let Ok(pieces) = pieces(incoming)
    {
        drain_pieces(pieces).await;
    }
}

fn pieces(incoming: &Incoming) -> WorkerResult<ByteStream> {
    worker::Request::from(Clone::clone(incoming.request())).stream()
}

async fn drain_pieces(mut pieces: impl Stream<Item = WorkerResult<Vec<u8>>> + Unpin) {
    let rest = async {
        let mut left = MAX_DRAINED_BYTES;
        while let Some(Ok(piece)) = pieces.next().await {
            left = left.checked_sub(piece.len())?;
        }
        Some(())
    };
    // The response is sent in any case.
    let _ = platform::timeout(BODY_SILENCE_MS, rest).await;
}

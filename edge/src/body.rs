//! Bodies of requests, read by the rules of `shared::http::body`: bounded in size, in time and in how much of them the isolate
//! holds at once.

use std::{cell::RefCell, ops::Deref};

use futures_util::{Stream, StreamExt};
use shared::{
    api::ApiError,
    http::body::{
        BODY_SILENCE_MS, BODY_TIMEOUT_MS, ByteBudget, HELD_BODIES_BYTES, MAX_DRAINED_BYTES,
        check_content_coding, cut_off, too_large, too_slow,
    },
};
use worker::{Request, Result as WorkerResult};

use crate::platform;

/// The largest body that is read in one piece, so that a stall holds no more than its length says.
const MAX_PIECE_BYTES: usize = 64 * 1024;

thread_local! {
    static BUDGET: RefCell<ByteBudget> = const { RefCell::new(ByteBudget::new(HELD_BODIES_BYTES)) };
}

/// A body that was read. Its bytes count against the isolate's budget until it is dropped.
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

/// Bytes taken out of the budget.
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

/// Whether a request has a body that counts: on GET and HEAD it has no meaning (RFC 9110, section 9.3.1), and some HTTP
/// libraries send one all the same; others say `Content-Length: 0` where there is none.
pub fn is_present(request: &Request) -> bool {
    !matches!(request.inner().method().as_str(), "GET" | "HEAD")
        && request.inner().body().is_some()
        && declared_length(request) != Some(0)
}

/// The length that the request says its body has.
pub fn declared_length(request: &Request) -> Option<usize> {
    request.headers().get("Content-Length").ok().flatten()?.parse().ok()
}

/// Checks what the headers say of a body, before any of it is read.
///
/// Errors: 413 when it is declared to be larger than `max_bytes`, 415 when it is compressed.
pub fn check_head(request: &Request, max_bytes: usize) -> Result<(), ApiError> {
    if !is_present(request) {
        return Ok(());
    }
    check_content_coding(request.headers().get("Content-Encoding").ok().flatten().as_deref())?;
    match declared_length(request) {
        Some(length) if length > max_bytes => Err(too_large(max_bytes)),
        _ => Ok(()),
    }
}

/// Reads a body of at most `max_bytes`; an absent one is empty.
///
/// Errors: as [`check_head`]; 413 when it is larger; 400 when it breaks off or does not arrive in time; 503 when the isolate
/// holds too much already.
pub async fn read(request: &mut Request, max_bytes: usize) -> Result<Body, ApiError> {
    check_head(request, max_bytes)?;
    if !is_present(request) {
        return Ok(Body::default());
    }
    let mut body = Body::default();
    if let Some(length) = declared_length(request).filter(|length| *length <= MAX_PIECE_BYTES) {
        body.held.grow(length)?;
        let read = platform::within(BODY_SILENCE_MS, request.bytes()).await.ok_or_else(too_slow)?;
        body.bytes = read.map_err(|_| cut_off())?;
        return Ok(body);
    }
    platform::within(BODY_TIMEOUT_MS, read_pieces(request, body, max_bytes))
        .await
        .unwrap_or_else(|| Err(too_slow()))
}

async fn read_pieces(request: &mut Request, mut body: Body, max_bytes: usize) -> Result<Body, ApiError> {
    let mut pieces = request.stream().map_err(|_| cut_off())?;
    loop {
        let piece = platform::within(BODY_SILENCE_MS, pieces.next()).await.ok_or_else(too_slow)?;
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

/// Reads and drops what is left of a body that nobody reads, a bounded number of bytes of it: whoever is refused while it still
/// sends gets its answer.
pub async fn drain(request: &mut Request) {
    if is_present(request)
        && !request.inner().body_used()
        && let Ok(pieces) = request.stream()
    {
        drain_pieces(pieces).await;
    }
}

async fn drain_pieces(mut pieces: impl Stream<Item = WorkerResult<Vec<u8>>> + Unpin) {
    let rest = async {
        let mut left = MAX_DRAINED_BYTES;
        while let Some(Ok(piece)) = pieces.next().await {
            left = left.checked_sub(piece.len())?;
        }
        Some(())
    };
    // Whatever comes of it, the answer goes out.
    let _ = platform::within(BODY_SILENCE_MS, rest).await;
}

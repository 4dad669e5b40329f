//! The Worker, as the origin calls it: signed with the key that both share, and bounded in time and size.

use std::time::Duration;

use shared::{
    api::internal::user_event::{EVENTS_PATH, EventBatch, EventReceipt},
    auth::edge::{EdgeKeys, EdgeRequest, sha256},
    http::headers::{SIGNATURE, SIGNATURE_ERROR, X_REQUEST_ID},
    id::Id,
    time::Timestamp,
};

use crate::http_client::{self, Timeouts};

/// A front that delivers to slow objects answers within the whole time.
const TIMEOUTS: Timeouts = Timeouts { connect: Duration::from_secs(2), total: Duration::from_secs(10) };
/// The longest receipt that is read, in bytes.
const MAX_RECEIPT_BYTES: u64 = 16 * 1024;

/// Why events did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// No answer came.
    #[error("the Worker cannot be reached: {0}")]
    Unreachable(#[from] reqwest::Error),
    /// It took the request for one that is not the origin's: keys or clocks differ, or `EDGE_URL` is another Worker's.
    #[error("the Worker refused the signature: {0}")]
    SignatureRefused(String),
    /// It answered something else.
    #[error("the Worker answered {0}")]
    Status(u16),
    /// Its answer is no receipt.
    #[error("the Worker's answer is no receipt: {0}")]
    NoReceipt(String),
}

/// Calls the Worker at `EDGE_URL`.
#[derive(Clone, Debug)]
pub struct EdgeClient {
    url: String,
    path: String,
    keys: EdgeKeys,
    client: reqwest::Client,
}

impl EdgeClient {
    /// Makes a client of the Worker at this address, without a slash at its end.
    ///
    /// # Errors
    /// Fails when the TLS library cannot be set up.
    pub fn new(edge_url: &str, keys: EdgeKeys) -> Result<Self, reqwest::Error> {
        let url = format!("{edge_url}{EVENTS_PATH}");
        let path =
            url.splitn(4, '/').nth(3).map_or_else(|| EVENTS_PATH.to_owned(), |path| format!("/{path}"));
        let client = http_client::client(TIMEOUTS)?;
        Ok(Self { url, path, keys, client })
    }

    /// Posts events, and returns those that were stored.
    ///
    /// # Errors
    /// See [`EdgeError`].
    pub async fn post(
        &self,
        batch: &EventBatch,
        request_id: Id,
        now: Timestamp,
        nonce: Id,
    ) -> Result<EventReceipt, EdgeError> {
        let body = serde_json::to_vec(batch).map_err(|error| EdgeError::NoReceipt(error.to_string()))?;
        let request_id = request_id.to_string();
        let signed = EdgeRequest {
            method: "POST",
            path_and_query: &self.path,
            body_sha256: &sha256(&body),
            request_id: &request_id,
            client_ip: "",
        };
        let signature = self.keys.sign(&signed, now, &nonce.to_string());
        let request = self
            .client
            .post(&self.url)
            .header("Content-Type", "application/json")
            .header(X_REQUEST_ID, request_id)
            .header(SIGNATURE, signature)
            .body(body);
        receipt(request.send().await?).await
    }
}

async fn receipt(answer: reqwest::Response) -> Result<EventReceipt, EdgeError> {
    if let Some(reason) = answer.headers().get(SIGNATURE_ERROR) {
        return Err(EdgeError::SignatureRefused(String::from_utf8_lossy(reason.as_bytes()).into_owned()));
    }
    if answer.status() != reqwest::StatusCode::OK {
        return Err(EdgeError::Status(answer.status().as_u16()));
    }
    if answer.content_length().is_none_or(|length| length > MAX_RECEIPT_BYTES) {
        return Err(EdgeError::NoReceipt("its length is unknown or too large".to_owned()));
    }
    serde_json::from_slice(&answer.bytes().await?).map_err(|error| EdgeError::NoReceipt(error.to_string()))
}

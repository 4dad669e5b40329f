//! Requests to the origin: signed with the edge key, carrying the user's own token.

use js_sys::Uint8Array;
use shared::{
    auth::edge::{EdgeRequest, sha256},
    http::headers::{CLIENT_IP, SIGNATURE, X_REQUEST_ID},
};
use worker::{Headers, Response, Result};

use crate::{config::Config, platform};

/// What a request to the origin says beside its own headers.
pub struct Call<'a> {
    /// The method.
    pub method: &'a str,
    /// The path with its query.
    pub path_and_query: &'a str,
    /// The body; empty when there is none.
    pub body: &'a [u8],
    /// The id of the request this one serves.
    pub request_id: &'a str,
    /// The client's address; empty when nobody waits, as in a retry.
    pub client_ip: &'a str,
}

/// Sends a request to the origin and returns its response as it comes, body unread.
pub async fn send(config: &Config, call: &Call<'_>, headers: Headers) -> Result<Response> {
    let signed = EdgeRequest {
        method: call.method,
        path_and_query: call.path_and_query,
        body_sha256: &sha256(call.body),
        request_id: call.request_id,
        client_ip: call.client_ip,
    };
    let now = platform::now();
    let signature = config.edge_keys.sign(&signed, now, &nonce());
    headers.set(X_REQUEST_ID, call.request_id)?;
    headers.set(CLIENT_IP, call.client_ip)?;
    headers.set(SIGNATURE, &signature)?;
    let url = format!("{}{}", config.origin_url, call.path_and_query);
    let body = (!call.body.is_empty()).then(|| Uint8Array::from(call.body).into());
    let request = platform::outbound(&url, call.method, &headers, body)?;
    platform::fetched(platform::begin_fetch(&request, None)).await
}

/// 128 random bits in hex.
fn nonce() -> String {
    use std::fmt::Write;

    platform::random::<16>().iter().fold(String::with_capacity(32), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

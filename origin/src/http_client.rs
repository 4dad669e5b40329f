//! The one way to make HTTP clients: calls of the Worker, of the collector of traces, of the
//! gateway for SMS, and of providers of identities.

use std::time::Duration;

use reqwest::{Client, Response, redirect::Policy};

/// Bounds of time.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Making a connection.
    pub connect: Duration,
    /// A whole call, with its answer.
    pub total: Duration,
}

/// Makes a client that trusts whom the system trusts. It follows no redirect, and no proxy of the environment: a signature or a key
/// goes to the configured address and nowhere else.
///
/// # Errors
/// Fails when the TLS library cannot be set up.
pub fn client(timeouts: Timeouts) -> reqwest::Result<Client> {
    // Already installed, or it is now: both are fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .connect_timeout(timeouts.connect)
        .timeout(timeouts.total)
        .redirect(Policy::none())
        .no_proxy()
        .build()
}

/// Reads an answer of at most `max_bytes`. `None` when it is longer or breaks off.
pub async fn read_bounded(mut answer: Response, max_bytes: usize) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        if read.len() + chunk.len() > max_bytes {
            return None;
        }
        read.extend_from_slice(&chunk);
    }
    Some(read)
}

/// Returns the reason of a call without an answer, with the causes that the library leaves out and without the address, which may
/// hold a secret.
pub fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        reason = format!("{reason}: {error}");
        source = error.source();
    }
    reason
}

/// Reads an answer that matters to nobody to its end, so that its connection can be used again; gives up after `max_bytes`.
pub async fn discard(mut answer: Response, max_bytes: usize) {
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read > max_bytes {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::header::LOCATION, routing::get};
    use tokio::net::TcpListener;

    use super::*;

    const TIMEOUTS: Timeouts = Timeouts { connect: Duration::from_secs(5), total: Duration::from_secs(20) };

    #[tokio::test]
    async fn redirect_is_returned_and_not_followed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/", get(async || (axum::http::StatusCode::FOUND, [(LOCATION, "/elsewhere")])));
        let server =
            tokio::spawn(async { crate::server::serve(listener, router, std::future::pending()).await });
        let answer = client(TIMEOUTS).unwrap().get(url).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 302);
        discard(answer, 1024).await;
        server.abort();
    }
}

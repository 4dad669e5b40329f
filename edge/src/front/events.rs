//! Events for user objects: those in the origin's responses, and those that it posts.

use shared::{
    api::{
        ErrorCode,
        internal::user_event::{
            AddressedEvent, EventBatch, EventReceipt, MAX_BATCH_BYTES, MAX_BATCH_EVENTS, by_user,
        },
    },
    auth::edge::{RequestHead, SignatureError, sha256},
    http::headers::{SIGNATURE, SIGNATURE_ERROR},
};
use worker::Response;

use super::{Front, proxy};
use crate::{
    body,
    platform::{self, Incoming},
    reply::{self, Error},
    routes,
};

/// Delivers the events of a response. Should that fail, the origin posts those that matter longer than a cache lives; the client's
/// change is done either way.
pub(super) async fn deliver_from_answer(front: &Front, events: &str) {
    match serde_json::from_str::<Vec<AddressedEvent>>(events) {
        Ok(events) => {
            deliver(front, events).await;
        }
        Err(error) => front.scope.error("reading the events of an answer", &error),
    }
}

/// Accepts the events that the origin posts. Their signature authenticates the origin; a repeated one changes nothing more, so
/// its nonce is not stored.
///
/// # Errors
/// Fails with 404 without a signature, as for any client; with 403 when it is not the origin's; with 413 or 400 when the body is
/// not a batch.
pub(super) async fn receive(front: &Front, request: &Incoming, url: &str) -> Result<Response, Error> {
    let Some(signature) = request.header(SIGNATURE) else {
        return Err(ErrorCode::NotFound.into());
    };
    let head = RequestHead {
        method: &request.method,
        path_and_query: routes::path_and_query(url),
        request_id: front.scope.request_id(),
        client_ip: "",
    };
    let signed = match front.config.edge_keys.verify(&head, signature, platform::now()) {
        Ok(signed) => signed,
        Err(error) => return refused(front, error),
    };
    let body = body::read(request, MAX_BATCH_BYTES).await?;
    if sha256(&body) != signed.body_sha256 {
        return refused(front, SignatureError::OtherBody);
    }
    let batch = serde_json::from_slice::<EventBatch>(&body);
    let batch = batch.ok().filter(|batch| batch.events.len() <= MAX_BATCH_EVENTS);
    let batch = batch.ok_or(ErrorCode::InvalidRequest)?;
    Ok(reply::json(200, &deliver(front, batch.events).await)?)
}

/// Delivers events to their users' objects, and returns those that were stored.
async fn deliver(front: &Front, events: Vec<AddressedEvent>) -> EventReceipt {
    let mut receipt = EventReceipt::default();
    for (user, events) in by_user(events) {
        let scope = front.scope.with_user(user);
        let stored = async {
            let response = Response::from(proxy::to_user_of_events(front, user, events).await?);
            Ok::<EventReceipt, Error>({ response }.json().await?)
        };
        match stored.await {
            Ok(stored) => receipt.acknowledged.extend(stored.acknowledged),
            Err(Error::Internal(error)) => scope.error("delivering events", &error),
            // Logged where it was made.
            Err(Error::Client(_)) => {}
        }
    }
    receipt
}

/// Makes the response to an invalid signature, with its reason for the origin's log.
fn refused(front: &Front, error: SignatureError) -> Result<Response, Error> {
    front.scope.warn("the signature of events", &error);
    let response = reply::problem(&ErrorCode::Forbidden.into(), front.scope.request_id())?;
    response.headers().set(SIGNATURE_ERROR, &error.to_string())?;
    Ok(response)
}

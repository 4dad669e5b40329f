//! Events for user objects, from the request that caused them to the front: in a header of the response, when the Worker's
//! request asked for it. Events of other requests are stored, and posted to the Worker.

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderName, HeaderValue, request::Parts},
    middleware::Next,
    response::Response,
};
use shared::{api::internal::user_event::AddressedEvent, http::headers::USER_EVENTS};

use super::Error;
use crate::{app::App, events::Announcements};

/// Marks a request whose signature is the Worker's.
#[derive(Clone, Copy, Debug)]
pub struct FromWorker;

impl FromRequestParts<App> for Announcements {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Error> {
        let missing = || Error::Internal("the route is not behind the layer of events".to_owned());
        parts.extensions.get::<Self>().cloned().ok_or_else(missing)
    }
}

/// The layer, inside that of signatures.
pub async fn hand_over(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let announcements = Announcements::default();
    request.extensions_mut().insert(announcements.clone());
    let is_from_worker = request.extensions().get::<FromWorker>().is_some();
    let mut response = next.run(request).await;
    let announced = announcements.take();
    if announced.is_empty() {
        return response;
    }
    let (stored, others): (Vec<_>, Vec<_>) = announced.into_iter().partition(|one| one.is_stored);
    if is_from_worker {
        let events: Vec<_> = stored.iter().chain(&others).map(|one| one.event).collect();
        set_header(&mut response, &events);
    } else if !others.is_empty() {
        let events = others.into_iter().map(|one| one.event).collect();
        if let Err(error) = app.stores.accounts.append_events(events).await {
            tracing::warn!(%error, "events for the Worker are lost; its caches correct themselves later");
        }
    }
    app.events.wake();
    response
}

fn set_header(response: &mut Response, events: &[AddressedEvent]) {
    let value = serde_json::to_string(events).ok().and_then(|json| HeaderValue::try_from(json).ok());
    if let (Some(value), Ok(name)) = (value, HeaderName::try_from(USER_EVENTS)) {
        response.headers_mut().insert(name, value);
    } else {
        tracing::error!("events for the Worker do not fit into a header");
    }
}

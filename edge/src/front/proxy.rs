//! Forwarding to the user object or the origin. Bodies are streamed; only the headers listed here pass.

use std::time::Duration;

use shared::{
    api::{ApiError, ErrorCode, body::MAX_BODY_BYTES, internal::user_event::AddressedEvent},
    http::{body::is_json, headers::IDEMPOTENCY_KEY},
    id::Id,
    telemetry::TRACEPARENT,
    time::Timestamp,
};
use wasm_bindgen::JsValue;

use super::{Front, token::Verified};
use crate::{
    body,
    origin::{self, Call, Forwarded},
    platform::{self, Handed, HeaderLines, Incoming},
    reply::Error,
    routes::{UserRoute, method_for_origin, path_and_query},
    user::{HANDOVER, Handover, Identity},
};

/// The Durable Object namespace of the users.
const USERS: &str = "USERS";
/// Headers of a client that the origin sees. All others are dropped, including a client's claims about its address or identity.
const TO_ORIGIN: [&str; 9] = [
    "Authorization",
    "Accept",
    "Accept-Language",
    "Content-Type",
    IDEMPOTENCY_KEY,
    "If-Match",
    "If-None-Match",
    "Stripe-Signature",
    "User-Agent",
];
/// The timeout of the user object until the head of a response: it may call the origin twice before.
const USER_TIMEOUT_MS: u64 = 15_000;
/// The same for a message, whose response may be complete only after the ten minutes that a model may take.
const ANSWER_TIMEOUT_MS: u64 = 660_000;
/// The same for events: a client may wait for them.
const EVENTS_TIMEOUT_MS: u64 = 5_000;
/// The address of a request with events. A Durable Object ignores it.
const EVENTS_URL: &str = "https://user/events";
/// Seconds after which a client may try again when the user object's Worker was reset or is overloaded.
const USER_RETRY_S: u64 = 1;
/// The timeout of a silent origin: longer than any deadline of its stores, and no longer than the shortest default timeout of
/// mobile HTTP libraries.
const ORIGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Forwards a request to the user's object and streams its response back. The object ignores the client's own claims in the
/// headers: the verified identity is in the header that is set over them.
pub(super) async fn to_user(
    front: &Front,
    request: &Incoming,
    url: &str,
    verified: &Verified,
    route: UserRoute,
) -> Result<web_sys::Response, Error> {
    // No other route has a body there; an unexpected one is not validated.
    let has_body = matches!(route, UserRoute::Send(..) | UserRoute::Reset) && body::is_present(request);
    if has_body {
        body::check_head(request, MAX_BODY_BYTES)?;
        if !is_json(request.header("Content-Type")) {
            return Err(ErrorCode::UnsupportedMediaType.into());
        }
    }
    let timeout_ms = match route {
        UserRoute::Send(..) => ANSWER_TIMEOUT_MS,
        _ => USER_TIMEOUT_MS,
    };
    // The head of a response to HEAD is that to GET.
    let method = if request.method == "HEAD" { "GET" } else { &request.method };
    let handover = &handover(front, verified)?;
    let handed =
        Handed { method, url, request: Some(request.request()), has_body, header: (HANDOVER, handover) };
    fetch_user(front, verified.claims.sub, handed, timeout_ms).await
}

/// Delivers events to a user's object, and returns its answer.
pub(super) async fn to_user_of_events(
    front: &Front,
    user_id: Id,
    events: Vec<AddressedEvent>,
) -> Result<web_sys::Response, Error> {
    let request_id = front.scope.request_id().to_owned();
    let handover = Handover::Events { user_id, request_id, events };
    let handover = serde_json::to_string(&handover).map_err(worker::Error::from)?;
    let header = (HANDOVER, &*handover);
    let handed = Handed { method: "POST", url: EVENTS_URL, request: None, has_body: false, header };
    fetch_user(front, user_id, handed, EVENTS_TIMEOUT_MS).await
}

/// Returns the [`Handover`] of a request to the user object, as JSON.
fn handover(front: &Front, verified: &Verified) -> Result<String, Error> {
    let identity = Identity {
        user_id: verified.claims.sub,
        session_id: verified.claims.sid,
        plan: verified.claims.plan,
        client_ip: front.client_ip.clone(),
        token: verified.token.clone(),
        issued_at: Timestamp::from_secs(verified.claims.iat),
        verified_at: verified.at,
    };
    let request_id = front.scope.request_id().to_owned();
    let (dress, trace) = (front.dress.as_str().to_owned(), front.scope.trace());
    let handover = Handover::Request { identity, request_id, dress, trace };
    Ok(serde_json::to_string(&handover).map_err(worker::Error::from)?)
}

/// Calls the user's object. A call without a body is retried once when the object's Worker was reset meanwhile; with one, the
/// client decides whether to retry.
async fn fetch_user(
    front: &Front,
    user: Id,
    handed: Handed<'_>,
    timeout_ms: u64,
) -> Result<web_sys::Response, Error> {
    let (users, name) = (front.env.durable_object(USERS)?, user.to_string());
    let scope = front.scope.with_user(user);
    let mut may_repeat = !handed.has_body;
    loop {
        // A stub whose object was reset keeps failing: each call gets its own.
        let object: JsValue = users.get_by_name(&name)?.into_rpc();
        let why = match platform::timeout(timeout_ms, platform::hand_over(&object, handed)).await {
            Some(Ok(response)) => return Ok(response),
            Some(Err(error)) => {
                let overloaded = platform::is_overload(&error);
                if may_repeat && !overloaded {
                    may_repeat = false;
                    scope.warn("the user object failed and is called again", &error);
                    continue;
                }
                error.to_string()
            }
            None => format!("no answer in {timeout_ms} ms"),
        };
        scope.error("the user object", &why);
        return Err(ApiError::from(ErrorCode::Overloaded).retry_after(USER_RETRY_S).into());
    }
}

/// Forwards a request to the origin and streams its response back; returns the events of the response, too.
pub(super) async fn to_origin(
    front: &Front,
    request: &Incoming,
    url: &str,
    max_bytes: usize,
) -> Result<Forwarded, Error> {
    let body = body::read(request, max_bytes).await?;
    let mut headers = HeaderLines::default();
    for name in TO_ORIGIN {
        if let Some(value) = request.header(name) {
            headers.set(name, value)?;
        }
    }
    // Without traces of its own the front hands the client's on.
    if let Some(value) = request.header(TRACEPARENT).filter(|_| front.scope.trace().is_none()) {
        headers.set(TRACEPARENT, value)?;
    }
    let call = Call {
        method: method_for_origin(&request.method),
        path_and_query: path_and_query(url),
        body: &body,
        scope: &front.scope,
        client_ip: &front.client_ip,
        timeout: ORIGIN_TIMEOUT,
    };
    front.origin.forward(&call, headers).await.map_err(|error| {
        front.scope.error("the origin", &error);
        Error::Client(origin::unavailable())
    })
}

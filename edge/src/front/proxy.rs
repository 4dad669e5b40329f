//! On to the user object or the origin. Bodies stream through; only what is named here passes.

use std::time::Duration;

use shared::{
    api::{ApiError, ErrorCode, body::MAX_BODY_BYTES},
    http::{
        body::is_json,
        headers::{IDEMPOTENCY_KEY, X_REQUEST_ID},
    },
};
use worker::{Headers, Request, Response, Url};

use super::{Front, token::Verified};
use crate::{
    body,
    origin::{self, Call},
    platform,
    reply::Error,
    routes::{UserRoute, internal_path},
    user::{IDENTITY, Identity},
};

/// The Durable Object namespace of the users.
const USERS: &str = "USERS";
/// Headers of a client that the origin sees. All others end here: what a client says about its address or identity too.
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
/// Headers of a client that the user object sees.
const TO_USER: [&str; 5] = ["Accept", "Content-Type", IDEMPOTENCY_KEY, "Last-Event-ID", "Prefer"];
/// How long the user object may take to the head of an answer: it may ask the origin twice before it has one.
const USER_TIMEOUT_MS: u64 = 15_000;
/// The same for a message, whose answer may come in one piece after the ten minutes that a model may take.
const ANSWER_TIMEOUT_MS: u64 = 660_000;
/// After how many seconds a client may try again when the user object's Worker was reset or is overloaded.
const USER_RETRY_S: u64 = 1;
/// How long the origin may be silent: longer than any of its stores' deadlines, and no longer than the phone's HTTP libraries
/// with the least patience wait.
const ORIGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Hands a request to the user's object, and its answer back as it comes.
pub(super) async fn to_user(
    front: &Front,
    request: &Request,
    url: &Url,
    method: &str,
    verified: &Verified,
    route: UserRoute,
) -> Result<Response, Error> {
    let headers = passed(request, &TO_USER)?;
    let mut sent = None;
    // Nothing else has a body there: one that comes all the same is not asked what it is.
    if matches!(route, UserRoute::SendMessage(_) | UserRoute::Reset) && body::is_present(request) {
        body::check_head(request, MAX_BODY_BYTES)?;
        if !is_json(request.headers().get("Content-Type")?.as_deref()) {
            return Err(ErrorCode::UnsupportedMediaType.into());
        }
        if let Some(length) = body::declared_length(request) {
            headers.set("Content-Length", &length.to_string())?;
        }
        sent = request.inner().body().map(Into::into);
    }
    let timeout_ms = match route {
        UserRoute::SendMessage(_) => ANSWER_TIMEOUT_MS,
        _ => USER_TIMEOUT_MS,
    };
    // The head of an answer to HEAD is that to GET.
    let method = if method == "HEAD" { "GET" } else { method };
    fetch_user(front, url.as_str(), method, headers, sent, verified, timeout_ms).await
}

/// Tells the user's object what changed.
pub(super) async fn tell_user(
    front: &Front,
    mut url: Url,
    verified: &Verified,
    route: UserRoute,
) -> Result<(), Error> {
    let Some(path) = internal_path(route) else {
        return Ok(());
    };
    url.set_path(&path);
    fetch_user(front, url.as_str(), "POST", Headers::new(), None, verified, USER_TIMEOUT_MS).await?;
    Ok(())
}

/// Calls the user's object. A call without a body is repeated once when the object's Worker was reset under it; with one, the
/// client knows better than we whether to send it again.
async fn fetch_user(
    front: &Front,
    url: &str,
    method: &str,
    headers: Headers,
    body: Option<wasm_bindgen::JsValue>,
    verified: &Verified,
    timeout_ms: u64,
) -> Result<Response, Error> {
    let identity = Identity {
        user_id: verified.claims.sub,
        session_id: verified.claims.sid,
        plan: verified.claims.plan,
        client_ip: front.client_ip.clone(),
        token: verified.token.clone(),
        verified_at: verified.at,
    };
    headers.set(IDENTITY, &serde_json::to_string(&identity).map_err(worker::Error::from)?)?;
    headers.set(X_REQUEST_ID, front.scope.request_id())?;
    let users = front.env.durable_object(USERS)?;
    let id = users.id_from_name(&identity.user_id.to_string())?;
    let scope = front.scope.with_user(identity.user_id);
    let mut may_repeat = body.is_none();
    loop {
        let request = platform::outbound(url, method, &headers, body.clone())?;
        // A stub whose object was reset goes on failing: each call gets its own.
        let stub = id.get_stub()?;
        let why = match platform::within(timeout_ms, stub.fetch_with_request(request.into())).await {
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

/// Hands a request to the origin, and its answer back as it comes.
pub(super) async fn to_origin(
    front: &Front,
    request: &mut Request,
    url: &Url,
    method: &str,
    max_bytes: usize,
) -> Result<Response, Error> {
    let body = body::read(request, max_bytes).await?;
    let headers = passed(request, &TO_ORIGIN)?;
    let call = Call {
        method,
        path_and_query: path_and_query(url.as_str()),
        body: &body,
        request_id: front.scope.request_id(),
        client_ip: &front.client_ip,
        timeout: ORIGIN_TIMEOUT,
    };
    front.origin.forward(&call, headers).await.map_err(|error| {
        front.scope.error("the origin", &error);
        Error::Client(origin::unavailable())
    })
}

fn passed(request: &Request, names: &[&str]) -> worker::Result<Headers> {
    let headers = Headers::new();
    for name in names {
        if let Some(value) = request.headers().get(name)? {
            headers.set(name, &value)?;
        }
    }
    Ok(headers)
}

/// A URL without scheme and host.
fn path_and_query(url: &str) -> &str {
    url.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..))).unwrap_or("/")
}

//! The front: stateless, one request at a time. Request id, CORS, address limit, token; then to the user object or to the
//! origin.
//!
//! - [`token`]: access tokens
//! - [`ended`]: readers that have all events
//! - [`events`]: the origin's events for user objects
//! - [`keys`]: the origin's public keys, cached
//! - [`limit`]: the rate limit of an address
//! - [`proxy`]: forwarding to the user object or the origin

mod ended;
mod events;
mod keys;
mod limit;
mod proxy;
mod token;

use std::{borrow::Cow, rc::Rc};

use shared::{
    api::{
        ApiError, ErrorCode,
        routes::{max_body_bytes, takes_token},
    },
    http::{
        address, cors,
        headers::{IDEMPOTENCY_KEY, SIGNATURE, X_REQUEST_ID},
        request_id,
    },
    telemetry::TRACEPARENT,
};
use wasm_bindgen::JsValue;
use worker::{Context, Env, ResponseBuilder, Result, Url};

use crate::{
    body::{self, CONTENT_ENCODING, CONTENT_LENGTH},
    config::Config,
    log::Scope,
    origin::OriginClient,
    platform::{self, HeaderLines, Incoming},
    reply::{self, Error},
    routes::{self, Route, UserRoute},
    telemetry::{self, RequestSpan},
    user,
};

/// The state that every step of a request uses.
struct Front {
    env: Env,
    config: Rc<Config>,
    origin: OriginClient,
    scope: Scope,
    client_ip: String,
    /// The headers that every response carries.
    dress: HeaderLines,
    span: RequestSpan,
}

/// A response to a client.
struct Served {
    response: web_sys::Response,
    /// True when it carries [`Front::dress`]: the user object puts that on itself, and its answer is passed on as it is.
    is_dressed: bool,
}

impl From<web_sys::Response> for Served {
    fn from(response: web_sys::Response) -> Self {
        Self { response, is_dressed: false }
    }
}

impl From<worker::Response> for Served {
    fn from(response: worker::Response) -> Self {
        web_sys::Response::from(response).into()
    }
}

/// The headers of a request that are used here or by the origin.
const HEADERS: &[&str] = &[
    X_REQUEST_ID,
    "Origin",
    "Access-Control-Request-Method",
    "CF-Connecting-IP",
    "Authorization",
    "Accept",
    "Accept-Language",
    "Content-Type",
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    IDEMPOTENCY_KEY,
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    SIGNATURE,
    "Stripe-Signature",
    "User-Agent",
    TRACEPARENT,
];

/// Answers a request.
pub async fn handle(request: web_sys::Request, env: Env, context: &Context) -> Result<web_sys::Response> {
    let request = Incoming::new(request, HEADERS);
    let request_id = match request_id::accept(request.header(X_REQUEST_ID)) {
        Some(id) => id.to_owned(),
        None => platform::new_id(platform::now()).to_string(),
    };
    let origin = request.header("Origin");
    let config = match Config::of(&env) {
        Ok(config) => config,
        Err(error) => {
            Scope::new(&request_id).error("the configuration", &error);
            let problem = reply::problem(&ErrorCode::Internal.into(), &request_id)?;
            return Ok(finish(problem.into(), &dress(&request_id, &[])?));
        }
    };
    if cors::is_preflight(&request.method, origin, request.header("Access-Control-Request-Method")) {
        let answer = ResponseBuilder::new().with_status(204).empty();
        let allowed = &config.cors_allowed_headers;
        let headers = config.cors.preflight_headers(origin.unwrap_or_default(), allowed);
        return Ok(finish(answer.into(), &dress(&request_id, &headers)?));
    }
    let span = RequestSpan::begin(&config, &request);
    let front = Front {
        env,
        config: Rc::clone(&config),
        origin: OriginClient::new(Rc::clone(&config)),
        scope: Scope::new(&request_id).with_trace(span.context),
        client_ip: request.header("CF-Connecting-IP").unwrap_or_default().to_owned(),
        dress: dress(&request_id, &config.cors.response_headers(origin))?,
        span,
    };
    let served = front.serve(&request).await;
    if served.is_err() {
        body::drain(&request).await;
    }
    let mut served = reply::answer(served, &front.scope)?;
    if request.method == "HEAD" {
        served.response = head_of(&served.response)?;
    }
    front.span.end(served.response.status());
    telemetry::flush(&config, "front", |post| context.wait_until(post));
    Ok(finish(served, &front.dress))
}

impl Front {
    async fn serve(&self, request: &Incoming) -> Result<Served, Error> {
        let url = normalized(&request.url)?;
        let path = routes::path(&url);
        let route = routes::front(&request.method, path);
        // The origin may post many events from one address; any other sender is refused before that costs anything.
        if route == Route::Events {
            return Ok(events::receive(self, request, &url).await?.into());
        }
        limit::check(self).await?;
        match route {
            Route::User(UserRoute::Reset) if !self.config.fault_injection => Err(ErrorCode::NotFound.into()),
            Route::User(route) => {
                self.span.set_route(&request.method, route);
                let verified = token::verified(self, request).await?;
                self.serve_user(route, request, &url, &verified).await
            }
            Route::Origin(route) => {
                let claims = if takes_token(route, path) && request.header("Authorization").is_some() {
                    Some(token::verified(self, request).await?)
                } else {
                    None
                };
                let max_bytes = max_body_bytes(route, claims.is_some());
                let forwarded = proxy::to_origin(self, request, &url, max_bytes).await?;
                if let Some(events) = forwarded.events {
                    events::deliver_from_answer(self, &events).await;
                }
                Ok(forwarded.response.into())
            }
            Route::MethodNotAllowed(allowed) => {
                let response = reply::problem(&ErrorCode::MethodNotAllowed.into(), self.scope.request_id())?;
                response.headers().set("Allow", &allowed.to_string())?;
                Ok(response.into())
            }
            Route::Panic if self.config.fault_injection => provoke(),
            Route::Absent | Route::Events | Route::Panic => Err(ErrorCode::NotFound.into()),
        }
    }

    /// Forwards a request to the user's object, except for a reader of events that is known to have them all.
    async fn serve_user(
        &self,
        route: UserRoute,
        request: &Incoming,
        url: &str,
        verified: &token::Verified,
    ) -> Result<Served, Error> {
        let UserRoute::TurnEvents(turn) = route else {
            let response = proxy::to_user(self, request, url, verified, route).await?;
            return Ok(Served { response, is_dressed: true });
        };
        let (user, cursor) = (verified.claims.sub, user::event_cursor(request)?);
        if ended::is_complete(user, turn, cursor) {
            return Ok(user::no_content().into());
        }
        let response = proxy::to_user(self, request, url, verified, route).await?;
        if response.status() == 204 {
            ended::record(user, turn, cursor);
        }
        Ok(Served { response, is_dressed: true })
    }
}

/// Returns an address in the form that `fetch` would give it: the routed and signed address is the one that the origin sees.
fn normalized(url: &str) -> Result<Cow<'_, str>, ApiError> {
    if address::is_normalized(url) {
        return Ok(Cow::Borrowed(url));
    }
    let parsed = Url::parse(url)
        .map_err(|_| ApiError::new(ErrorCode::InvalidRequest, "The Host header or the path is malformed"))?;
    Ok(Cow::Owned(parsed.into()))
}

/// Makes the response to HEAD: that to GET without its body, of which nothing is read.
fn head_of(response: &web_sys::Response) -> Result<web_sys::Response> {
    let head = platform::own_with_body(response, &JsValue::NULL)?;
    if let Some(body) = response.body() {
        // Not awaited; a body that is neither read nor cancelled keeps its connection.
        let _ = body.cancel();
    }
    Ok(head)
}

/// Returns the headers that every response carries.
fn dress(request_id: &str, cors: &[(&'static str, &str)]) -> Result<HeaderLines> {
    let mut headers = HeaderLines::default();
    headers.set(X_REQUEST_ID, request_id)?;
    for (name, value) in cors {
        headers.set(name, value)?;
    }
    Ok(headers)
}

fn finish(served: Served, dress: &HeaderLines) -> web_sys::Response {
    if !served.is_dressed {
        platform::dress(&served.response, dress);
    }
    served.response
}

#[expect(clippy::panic, reason = "a test sees that a panic here leaves running turns alive")]
fn provoke() -> Result<Served, Error> {
    panic!("provoked by FAULT_INJECTION")
}

//! The front: stateless, one request at a time. Request id, CORS, address limit, token; then to the user object or to the
//! origin.
//!
//! - [`token`]: who asks
//! - [`ended`]: readers that have everything
//! - [`keys`]: the origin's public keys, cached
//! - [`limit`]: how often an address may ask
//! - [`proxy`]: on to the user object or the origin

mod ended;
mod keys;
mod limit;
mod proxy;
mod token;

use std::rc::Rc;

use shared::{
    api::{ApiError, ErrorCode},
    http::{body::max_bytes, cors, headers::X_REQUEST_ID, request_id},
};
use worker::{Env, Headers, Request, Response, ResponseBuilder, Result, Url};

use crate::{
    body,
    config::Config,
    log::Scope,
    origin::OriginClient,
    platform,
    reply::{self, Error},
    routes::{self, Route, UserRoute},
    user,
};

/// What every step of a request knows.
struct Front {
    env: Env,
    config: Rc<Config>,
    origin: OriginClient,
    scope: Scope,
    client_ip: String,
}

/// Answers a request.
pub async fn handle(mut request: Request, env: Env) -> Result<Response> {
    let named = request.headers().get(X_REQUEST_ID)?;
    let request_id = match request_id::accept(named.as_deref()) {
        Some(id) => id.to_owned(),
        None => platform::new_id(platform::now()).to_string(),
    };
    let config = match Config::of(&env) {
        Ok(config) => config,
        Err(error) => {
            Scope::new(&request_id).error("the configuration", &error);
            return finish(reply::problem(&ErrorCode::Internal.into(), &request_id)?, &request_id, &[]);
        }
    };
    let origin = request.headers().get("Origin")?;
    let asked = request.headers().get("Access-Control-Request-Method")?;
    // As it was sent: what the platform's enumeration does not know, it would call GET.
    let method = request.inner().method();
    if cors::is_preflight(&method, origin.as_deref(), asked.as_deref()) {
        let answer = ResponseBuilder::new().with_status(204).empty();
        return finish(
            answer,
            &request_id,
            &config
                .cors
                .preflight_headers(origin.as_deref().unwrap_or_default(), &config.cors_allowed_headers),
        );
    }
    let client_ip = request.headers().get("CF-Connecting-IP")?.unwrap_or_default();
    let front = Front {
        env,
        config: Rc::clone(&config),
        origin: OriginClient::new(Rc::clone(&config)),
        scope: Scope::new(&request_id),
        client_ip,
    };
    let served = front.serve(&mut request, &method).await;
    if served.is_err() {
        body::drain(&mut request).await;
    }
    let response = reply::answer(served, &front.scope)?;
    let response = if method == "HEAD" { reply::head_of(&response) } else { response };
    finish(response, &request_id, &config.cors.response_headers(origin.as_deref()))
}

impl Front {
    async fn serve(&self, request: &mut Request, method: &str) -> Result<Response, Error> {
        limit::check(self).await?;
        // Normalised as `fetch` would: what is routed and signed is what the origin sees.
        let url = request.url().map_err(|_| {
            ApiError::new(ErrorCode::InvalidRequest, "The Host header or the path is malformed")
        })?;
        let path = url.path().to_owned();
        match routes::front(method, &path) {
            Route::User(UserRoute::Reset) if !self.config.fault_injection => Err(ErrorCode::NotFound.into()),
            Route::User(route) => {
                let verified = token::verified(self, request).await?;
                self.serve_user(route, request, &url, method, &verified).await
            }
            Route::Origin { changes } => {
                let claims = if request.headers().has("Authorization")? && !routes::is_public(&path) {
                    Some(token::verified(self, request).await?)
                } else {
                    None
                };
                let max_bytes = max_bytes(&path, claims.is_some());
                let method = routes::method_for_origin(method);
                let response = proxy::to_origin(self, request, &url, method, max_bytes).await?;
                if let (Some(route), Some(claims)) = (changes, claims)
                    && (200..300).contains(&response.status_code())
                {
                    self.tell_user(url, &claims, route).await;
                }
                Ok(response)
            }
            Route::MethodNotAllowed(allowed) => {
                let response = reply::problem(&ErrorCode::MethodNotAllowed.into(), self.scope.request_id())?;
                response.headers().set("Allow", allowed)?;
                Ok(response)
            }
            Route::Panic if self.config.fault_injection => provoke(),
            Route::Absent | Route::Panic => Err(ErrorCode::NotFound.into()),
        }
    }

    /// Hands a request to the user's object, but for a reader of events that is known to have them all.
    async fn serve_user(
        &self,
        route: UserRoute,
        request: &Request,
        url: &Url,
        method: &str,
        verified: &token::Verified,
    ) -> Result<Response, Error> {
        let UserRoute::TurnEvents(turn) = route else {
            return proxy::to_user(self, request, url, method, verified, route).await;
        };
        let (user, cursor) = (verified.claims.sub, user::event_cursor(request)?);
        if ended::is_complete(user, turn, cursor) {
            return Ok(user::nothing_follows());
        }
        let response = proxy::to_user(self, request, url, method, verified, route).await?;
        if response.status_code() == 204 {
            ended::record(user, turn, cursor);
        }
        Ok(response)
    }

    /// Tells the user object what changed at the origin. Should that fail, its cache corrects itself later; the client's
    /// change is done either way.
    async fn tell_user(&self, url: Url, claims: &token::Verified, route: UserRoute) {
        if let Err(Error::Internal(error)) = proxy::tell_user(self, url, claims, route).await {
            let scope = self.scope.with_user(claims.claims.sub);
            scope.error("reporting a change to the user object", &error);
        }
    }
}

/// Puts on what every response carries. The headers of a response that was fetched cannot be changed, so they are copied.
fn finish(response: Response, request_id: &str, cors: &[(&'static str, &str)]) -> Result<Response> {
    let headers = Headers(web_sys::Headers::new_with_headers(&response.headers().0)?);
    headers.set(X_REQUEST_ID, request_id)?;
    for (name, value) in cors {
        if *name == "Vary" {
            headers.append(name, value)?;
        } else {
            headers.set(name, value)?;
        }
    }
    Ok(response.with_headers(headers))
}

#[expect(clippy::panic, reason = "a test sees that a panic here leaves running turns alive")]
fn provoke() -> Result<Response, Error> {
    panic!("provoked by FAULT_INJECTION")
}

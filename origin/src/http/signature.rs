//! Signatures of the Worker's requests. Only a signed request is trusted about the client's address; the user is
//! identified by their own token.

use std::net::{IpAddr, SocketAddr};

use axum::{
    body::Body,
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, request::Parts},
    middleware::Next,
    response::Response,
};
use shared::{
    api::{body::MAX_BODY_BYTES, routes::MAX_INTERNAL_BODY_BYTES},
    auth::edge::{EdgeKeys, MAX_SKEW_S, RequestHead, SignatureError, Signed, sha256},
    http::headers::{CLIENT_IP, SIGNATURE, X_REQUEST_ID},
    time::SECOND_MS,
};

use super::{Error, body, user_events::FromWorker};
use crate::{app::App, config::Environment};

/// The address of the other end of the connection; the server puts it into every request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// The address that a request is counted for: the client's, as the Worker saw it, or the connection's peer.
#[derive(Clone, Debug)]
pub struct ClientIp(pub String);

impl FromRequestParts<App> for ClientIp {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Error> {
        let missing = || Error::Internal("the route is not behind the signature layer".to_owned());
        parts.extensions.get::<Self>().cloned().ok_or_else(missing)
    }
}

/// The layer of routes that only the Worker may call.
pub async fn require(State(app): State<App>, request: Request, next: Next) -> Result<Response, Error> {
    if !request.headers().contains_key(SIGNATURE) {
        return Err(SignatureError::Missing.into());
    }
    Ok(next.run(verify(&app, request, MAX_INTERNAL_BODY_BYTES).await?).await)
}

/// The layer of all other routes: a signature must be right where there is one, and in production there must be one.
pub async fn accept(State(app): State<App>, mut request: Request, next: Next) -> Result<Response, Error> {
    if request.headers().contains_key(SIGNATURE) {
        return Ok(next.run(verify(&app, request, MAX_BODY_BYTES).await?).await);
    }
    if app.config.process.environment == Environment::Production {
        return Err(SignatureError::Missing.into());
    }
    body::check_coding(request.headers())?;
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip().to_canonical());
    request.extensions_mut().insert(ClientIp(peer.map_or_else(String::new, |ip: IpAddr| ip.to_string())));
    Ok(next.run(request).await)
}

/// Checks the signature over the head, the digest of the body and that the nonce is new.
async fn verify(app: &App, request: Request, body_limit: usize) -> Result<Request, Error> {
    body::check_coding(request.headers())?;
    let (mut parts, body) = request.into_parts();
    let signed = verify_head(app, &parts)?;
    let body = body::read(body, body_limit).await?;
    if sha256(&body) != signed.body_sha256 {
        return Err(SignatureError::OtherBody.into());
    }
    if !is_first(app, &signed).await {
        return Err(SignatureError::Replayed.into());
    }
    let client_ip = header(&parts.headers, CLIENT_IP).to_owned();
    parts.extensions.insert(ClientIp(client_ip));
    parts.extensions.insert(FromWorker);
    Ok(Request::from_parts(parts, Body::from(body)))
}

fn verify_head(app: &App, parts: &Parts) -> Result<Signed, Error> {
    let keys: &EdgeKeys = app.config.edge_keys.as_ref().ok_or(SignatureError::NoKeys)?;
    let head = RequestHead {
        method: parts.method.as_str(),
        path_and_query: parts.uri.path_and_query().map_or("/", |path_and_query| path_and_query.as_str()),
        request_id: header(&parts.headers, X_REQUEST_ID),
        client_ip: header(&parts.headers, CLIENT_IP),
    };
    Ok(keys.verify(&head, header(&parts.headers, SIGNATURE), app.clock.now())?)
}

/// Returns true when the nonce is new. A store that does not answer refuses no request: the signature itself is valid, and
/// for half a minute only.
async fn is_first(app: &App, signed: &Signed) -> bool {
    let key = format!("nonce:{}", signed.nonce);
    let until = signed.created.plus_millis((MAX_SKEW_S + 1) * SECOND_MS);
    app.stores.ephemeral.insert_nonce(&key, until, app.clock.now()).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "nonces cannot be checked");
        true
    })
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

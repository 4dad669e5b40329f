//! The requester behind a change of an account, from the request.

use axum::{
    extract::FromRequestParts,
    http::{header::USER_AGENT, request::Parts},
};
use shared::http::user_agent::platform;

use super::{ClientIp, Error, observe::RequestId};
use crate::{app::App, auth::Requester};

impl FromRequestParts<App> for Requester {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let ClientIp(ip) = ClientIp::from_request_parts(parts, app).await?;
        let user_agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        let request_id = parts.extensions.get::<RequestId>().map(|RequestId(id)| id.clone());
        Ok(Self { ip, platform: user_agent.and_then(platform), request_id })
    }
}

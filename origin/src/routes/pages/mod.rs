//! Pages that links in mails open, for people without the app at hand: plain HTML without scripts. Opening a page changes nothing, so
//! that programs that look at links in mails use up none; its form does.
//!
//! - `html`: the frame of a page
//! - `verify_email`: confirms an address
//! - `reset_password`: sets a new password

mod html;
mod reset_password;
mod verify_email;

use std::collections::HashMap;

use axum::{
    Router,
    extract::{FromRequest, Request},
    http::{Method, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse as _, Response},
    routing::get,
};
use shared::api::ErrorCode;

use self::html::Page;
use crate::{
    app::App,
    auth::AuthError,
    http::{
        Error,
        body::{has_media_type, read_request},
        error::status,
    },
};

const FORM: &str = "application/x-www-form-urlencoded";

/// The routes of the pages.
pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/verify-email", get(verify_email::show).post(verify_email::confirm))
        .route("/reset-password", get(reset_password::show).post(reset_password::set))
}

/// The fields of the address, or of the form that was sent.
struct Fields(HashMap<String, String>);

impl Fields {
    fn take(&mut self, name: &str) -> String {
        self.0.remove(name).unwrap_or_default()
    }
}

impl FromRequest<App> for Fields {
    type Rejection = Error;

    async fn from_request(request: Request, _: &App) -> Result<Self, Error> {
        let pairs = |text: &[u8]| form_urlencoded::parse(text).into_owned().collect();
        if request.method() != Method::POST {
            return Ok(Self(pairs(request.uri().query().unwrap_or_default().as_bytes())));
        }
        if !has_media_type(request.headers(), FORM) {
            return Err(ErrorCode::UnsupportedMediaType.into());
        }
        Ok(Self(pairs(&read_request(request).await?)))
    }
}

/// Returns the page that tells why something could not be done.
fn refusal(app: &App, error: AuthError) -> Response {
    let page = match &error {
        AuthError::CodeInvalid => Page::new("This link is not valid any more")
            .text("It was used, has expired, or is not complete. Ask for another one in the app."),
        AuthError::RateLimited(_) => {
            Page::new("Too many attempts").text("Wait a little, then open the link again.")
        }
        _ => Page::new("That did not work").text("Wait a little, then open the link again."),
    };
    let retry_after_s = match &error {
        AuthError::RateLimited(limited) => Some(limited.retry_after_s),
        _ => None,
    };
    let is_gone = matches!(error, AuthError::CodeInvalid);
    let error = Error::from(error);
    let code = if is_gone { StatusCode::GONE } else { status(error.to_api_error().code) };
    if let Some(reason) = error.reason() {
        tracing::warn!(%reason, "a page could not do its work");
    }
    let mut response = page.response(&app.config.process.app_name, code);
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response.into_response()
}

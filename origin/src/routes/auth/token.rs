//! `POST auth/token`: the OAuth2 form (RFC 6749), password and refresh_token grants.

use std::borrow::Cow;

use axum::{
    Json as Reply,
    extract::{FromRequest, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use garde::Validate;
use serde::{Deserialize, Serialize};
use shared::api::{
    ErrorCode,
    account::{MAX_REFRESH_TOKEN_CHARS, Tokens, is_possible_email, passwords::is_possible_password},
    body::parse_pairs,
};

use crate::{
    app::App,
    auth::{Requester, sign_in::SignIn},
    events::Announcements,
    http::{
        Error,
        auth::ShownBearer,
        body::{has_media_type, read_request},
    },
};

/// The form of a token request.
#[derive(Deserialize, Validate, utoipa::ToSchema)]
#[garde(allow_unvalidated)]
pub(in crate::routes) struct TokenForm {
    /// `password` or `refresh_token`; absent, it is `password`.
    #[schema(example = "password")]
    grant_type: Option<String>,
    /// The e-mail; with `password`.
    #[schema(example = "ada@example.com")]
    username: Option<String>,
    /// The password; with `password`.
    #[schema(example = "correct horse battery")]
    password: Option<String>,
    /// The refresh token; with `refresh_token`.
    #[garde(length(chars, max = MAX_REFRESH_TOKEN_CHARS))]
    refresh_token: Option<String>,
}

/// The answer of RFC 6749, section 5.1.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::routes) struct TokenAnswer {
    access_token: String,
    refresh_token: String,
    /// Always `bearer`.
    #[schema(example = "bearer")]
    token_type: &'static str,
    /// Seconds until the access token expires.
    expires_in: u64,
    /// Always `api`.
    #[schema(example = "api")]
    scope: &'static str,
}

/// The error of RFC 6749, section 5.2.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::routes) struct TokenProblem {
    /// `invalid_request`, `invalid_grant` or `unsupported_grant_type`.
    #[schema(example = "invalid_grant")]
    error: &'static str,
    /// One sentence for a developer.
    error_description: Cow<'static, str>,
}

/// Sign in by the OAuth2 form
///
/// Errors are those of RFC 6749. The limits are those of `auth/login`.
#[utoipa::path(
    post,
    path = "/api/v1/auth/token",
    operation_id = "oauth_token",
    tag = "auth",
    request_body(
        content = TokenForm,
        content_type = "application/x-www-form-urlencoded",
        example = json!({
            "grant_type": "password",
            "username": "ada@example.com",
            "password": "correct horse battery",
        }),
    ),
    responses(
        (status = 200, description = "The tokens", body = TokenAnswer),
        (status = 400, description = "`invalid_request`, `invalid_grant` or `unsupported_grant_type`", body = TokenProblem),
    ),
)]
pub(in crate::routes) async fn token(
    State(app): State<App>,
    requester: Requester,
    ShownBearer(shown_token): ShownBearer,
    announcements: Announcements,
    form: TokenForm,
) -> Result<Reply<TokenAnswer>, GrantError> {
    let tokens = match form.grant()? {
        Grant::Password { username: email, password } => {
            let attempt = SignIn { requester, shown_token, email, password, device_name: None };
            app.auth.sign_in(attempt, &announcements).await
        }
        Grant::Refresh { refresh_token } => {
            app.auth.refresh(&refresh_token, &requester, &announcements).await
        }
    };
    let tokens = tokens.map_err(Error::from)?;
    Ok(Reply(tokens.into()))
}

fn invalid_request(description: impl Into<Cow<'static, str>>) -> TokenProblem {
    TokenProblem { error: "invalid_request", error_description: description.into() }
}

enum Grant {
    Password { username: String, password: String },
    Refresh { refresh_token: String },
}

impl TokenForm {
    fn grant(self) -> Result<Grant, TokenProblem> {
        let fits = |field: Option<&String>, rule: fn(&str) -> bool| field.is_none_or(|text| rule(text));
        if !fits(self.username.as_ref(), is_possible_email)
            || !fits(self.password.as_ref(), is_possible_password)
        {
            return Err(invalid_request("username or password is too long"));
        }
        match self.grant_type.as_deref().unwrap_or("password") {
            "password" => {
                let username = self.username.ok_or_else(|| invalid_request("username: is required"))?;
                let password = self.password.ok_or_else(|| invalid_request("password: is required"))?;
                Ok(Grant::Password { username, password })
            }
            "refresh_token" => {
                let refresh_token =
                    self.refresh_token.ok_or_else(|| invalid_request("refresh_token: is required"))?;
                Ok(Grant::Refresh { refresh_token })
            }
            _ => Err(TokenProblem {
                error: "unsupported_grant_type",
                error_description: "grant_type must be one of password, refresh_token".into(),
            }),
        }
    }
}

impl FromRequest<App> for TokenForm {
    type Rejection = GrantError;

    async fn from_request(request: Request, _: &App) -> Result<Self, GrantError> {
        if !has_media_type(request.headers(), "application/x-www-form-urlencoded") {
            return Err(invalid_request("the body must be application/x-www-form-urlencoded").into());
        }
        let body = read_request(request).await.map_err(Error::from)?;
        parse_pairs(form_urlencoded::parse(&body)).map_err(|error| invalid_request(error.detail).into())
    }
}

impl From<Tokens> for TokenAnswer {
    fn from(tokens: Tokens) -> Self {
        Self {
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            token_type: "bearer",
            expires_in: tokens.expires_in,
            scope: "api",
        }
    }
}

/// The error of this route: RFC 6749's where it has one, else ours.
pub(in crate::routes) enum GrantError {
    OAuth(TokenProblem),
    Other(Error),
}

impl From<TokenProblem> for GrantError {
    fn from(problem: TokenProblem) -> Self {
        Self::OAuth(problem)
    }
}

impl From<Error> for GrantError {
    fn from(error: Error) -> Self {
        let description = match error.to_api_error().code {
            ErrorCode::InvalidCredentials => ErrorCode::InvalidCredentials.default_detail(),
            ErrorCode::TokenInvalid => "The refresh token is not valid",
            ErrorCode::SessionEnded => ErrorCode::SessionEnded.default_detail(),
            _ => return Self::Other(error),
        };
        Self::OAuth(TokenProblem { error: "invalid_grant", error_description: description.into() })
    }
}

impl IntoResponse for GrantError {
    fn into_response(self) -> Response {
        match self {
            Self::OAuth(problem) => (StatusCode::BAD_REQUEST, Reply(problem)).into_response(),
            Self::Other(error) => error.into_response(),
        }
    }
}

//! Every error a client can get: its code, its status, and the one body it is rendered as (RFC 9457).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The media type of an error body (RFC 9457).
pub const PROBLEM_CONTENT_TYPE: &str = "application/problem+json";

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $status:literal $code:literal $detail:literal;)+) => {
        /// The machine-readable name of an error. Clients branch on it, so a code is never renamed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl ErrorCode {
            /// All codes, in the order of their statuses.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The HTTP status that goes with the code.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// The code as it stands in a body.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// Reads what [`Self::as_str`] wrote.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == text)
            }

            /// The sentence a client gets when nothing more precise is known.
            pub const fn default_detail(self) -> &'static str {
                match self { $(Self::$variant => $detail,)+ }
            }
        }
    };
}

error_codes! {
    /// The body is not JSON.
    InvalidJson = 400 "invalid_json" "The body is not valid JSON";
    /// The request cannot be understood: a header, a parameter or the framing is wrong.
    InvalidRequest = 400 "invalid_request" "The request cannot be understood";
    /// An account with this e-mail exists.
    EmailTaken = 400 "email_taken" "Email already registered";
    /// No token was sent.
    TokenMissing = 401 "token_missing" "A bearer token is needed";
    /// The token is not one of ours, or was changed.
    TokenInvalid = 401 "token_invalid" "The token is not valid";
    /// The token was valid once.
    TokenExpired = 401 "token_expired" "The token has expired";
    /// The session was ended by its user, by a password change or by reuse of a refresh token.
    SessionEnded = 401 "session_ended" "The session has ended";
    /// E-mail and password do not belong together.
    InvalidCredentials = 401 "invalid_credentials" "Invalid email or password";
    /// The one-time code is wrong, used or too old.
    CodeInvalid = 401 "code_invalid" "The code is not valid";
    /// The user's plan does not include this.
    PlanRequired = 402 "plan_required" "Your plan does not include this";
    /// Known, but not allowed.
    Forbidden = 403 "forbidden" "Not allowed";
    /// The user is to agree to documents first; `errors` names them.
    ConsentRequired = 403 "consent_required" "Documents are to be agreed to first";
    /// Absent, or somebody else's: the body is the same.
    NotFound = 404 "not_found" "Not found";
    /// The path exists, the method does not.
    MethodNotAllowed = 405 "method_not_allowed" "Method not allowed";
    /// None of the media types the client accepts can be served.
    NotAcceptable = 406 "not_acceptable" "None of the accepted media types can be served";
    /// The request contradicts the state of the resource.
    Conflict = 409 "conflict" "The request conflicts with the current state";
    /// Another turn of this conversation is still running.
    TurnRunning = 409 "turn_running" "Another answer is still running in this conversation";
    /// The body is larger than the limit.
    PayloadTooLarge = 413 "payload_too_large" "The body is too large";
    /// The body's media type is not served here.
    UnsupportedMediaType = 415 "unsupported_media_type" "The body must be application/json";
    /// The body is JSON, but a field is wrong.
    ValidationFailed = 422 "validation_failed" "A field is not valid";
    /// The same idempotency key came with another request.
    IdempotencyKeyReused = 422 "idempotency_key_reused" "The idempotency key was used with another request";
    /// Too many requests in the window.
    RateLimited = 429 "rate_limited" "Too many requests";
    /// The plan's messages of the day are used up.
    DailyLimitReached = 429 "daily_limit_reached" "The daily message limit is reached";
    /// The plan's tokens are used up.
    BudgetExhausted = 429 "budget_exhausted" "The token budget is used up";
    /// Too many answers are running at once.
    TooManyTurns = 429 "too_many_turns" "Too many answers are running at once";
    /// A mistake on our side.
    Internal = 500 "internal" "Something went wrong on our side";
    /// The model provider failed.
    ProviderError = 502 "provider_error" "The model provider failed";
    /// The model provider refused the request.
    ProviderRefused = 502 "provider_refused" "The model provider refused the request";
    /// The model provider is busy or down.
    ProviderUnavailable = 503 "provider_unavailable" "The model provider is not available right now";
    /// The origin cannot be reached.
    OriginUnavailable = 503 "origin_unavailable" "The service is not available right now";
    /// A database of the origin cannot be reached.
    StoreUnavailable = 503 "store_unavailable" "The service is not available right now";
    /// More work than can be taken on right now.
    Overloaded = 503 "overloaded" "Too much is going on right now";
    /// The model provider did not answer in time.
    ProviderTimeout = 504 "provider_timeout" "The model provider did not answer in time";
}

/// The reason phrase of a status this API uses (RFC 9110), the `title` of a problem.
pub const fn status_title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Internal Server Error",
    }
}

/// One wrong field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// The path of the field within the body, such as `parts[0].mime_type`.
    pub field: String,
    /// One phrase for a developer about what is wrong with it.
    pub message: String,
}

/// The body of every error (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Always `about:blank`: the code tells more than a link would.
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// The status in words.
    pub title: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// The machine-readable name of the error.
    pub code: ErrorCode,
    /// One sentence for a person.
    pub detail: Cow<'static, str>,
    /// The id of the request, as in the `X-Request-ID` header.
    pub request_id: String,
    /// The wrong fields of a 422, or the missing documents of a `consent_required`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// The state of a limit, for the `RateLimit` and `RateLimit-Policy` headers
/// (draft-ietf-httpapi-ratelimit-headers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitState {
    /// The policy's name, such as `ip`.
    pub policy: &'static str,
    /// Requests allowed in a window.
    pub limit: u64,
    /// The window in seconds.
    pub window_s: u64,
    /// Requests left in this window.
    pub remaining: u64,
    /// Seconds until the window starts anew.
    pub reset_s: u64,
}

impl LimitState {
    /// The two headers that tell this state.
    pub fn headers(&self) -> [(&'static str, String); 2] {
        let Self { policy, limit, window_s, remaining, reset_s } = self;
        [
            ("RateLimit-Policy", format!("\"{policy}\";q={limit};w={window_s}")),
            ("RateLimit", format!("\"{policy}\";r={remaining};t={reset_s}")),
        ]
    }
}

/// An error on its way to a client: what each side's one renderer turns into a response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", code.as_str())]
pub struct ApiError {
    /// The code of the error.
    pub code: ErrorCode,
    /// One sentence for a person; nothing internal.
    pub detail: Cow<'static, str>,
    /// The wrong fields of a 422, or the missing documents of a `consent_required`.
    pub errors: Vec<FieldError>,
    /// After how many seconds a retry makes sense.
    pub retry_after_s: Option<u64>,
    /// The limit that was hit.
    pub limit: Option<LimitState>,
    /// The body's content coding is the reason (RFC 9110, section 12.5.3: only then does a 415 say which are accepted).
    pub refuses_coding: bool,
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> Self {
        Self::new(code, code.default_detail())
    }
}

impl ApiError {
    /// An error with a sentence of its own.
    pub fn new(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_s: None,
            limit: None,
            refuses_coding: false,
        }
    }

    /// A 415 for a body that is compressed.
    pub fn content_coding_refused() -> Self {
        let detail = "The body must be sent as it is, without Content-Encoding";
        Self { refuses_coding: true, ..Self::new(ErrorCode::UnsupportedMediaType, detail) }
    }

    /// A 422 that names its fields; the detail repeats the first.
    pub fn invalid_fields(errors: Vec<FieldError>) -> Self {
        let detail = errors.first().map_or_else(
            || Cow::Borrowed(ErrorCode::ValidationFailed.default_detail()),
            |first| Cow::Owned(format!("{}: {}", first.field, first.message)),
        );
        Self { errors, ..Self::new(ErrorCode::ValidationFailed, detail) }
    }

    /// A 422 for one field.
    pub fn invalid_field(field: &str, message: impl Into<String>) -> Self {
        Self::invalid_fields(vec![FieldError { field: field.to_owned(), message: message.into() }])
    }

    /// The same error with a `Retry-After` of so many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The same error with the limit that was hit.
    #[must_use]
    pub fn limited_by(mut self, limit: LimitState) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The body for the request with this id.
    pub fn problem(&self, request_id: &str) -> Problem {
        let status = self.code.status();
        Problem {
            kind: Cow::Borrowed("about:blank"),
            title: Cow::Borrowed(status_title(status)),
            status,
            code: self.code,
            detail: self.detail.clone(),
            request_id: request_id.to_owned(),
            errors: self.errors.clone(),
        }
    }

    /// The headers that go with the body beside `Content-Type` and `X-Request-ID`.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if self.code.status() == 401 {
            headers.push(("WWW-Authenticate", self.challenge()));
        }
        if self.refuses_coding {
            headers.push(("Accept-Encoding", "identity".to_owned()));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.push(("Retry-After", seconds.to_string()));
        }
        if let Some(limit) = &self.limit {
            headers.extend(limit.headers());
        }
        headers
    }

    /// The bearer challenge (RFC 6750, section 3): no error attribute when no token was sent.
    fn challenge(&self) -> String {
        match self.code {
            ErrorCode::TokenInvalid | ErrorCode::TokenExpired | ErrorCode::SessionEnded => {
                format!("Bearer error=\"invalid_token\", error_description=\"{}\"", self.detail)
            }
            _ => "Bearer".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_written_as_its_name() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            assert_eq!(ErrorCode::parse(code.as_str()), Some(*code));
            assert_ne!(status_title(code.status()), "", "{code:?}");
        }
    }

    #[test]
    fn limit_error_has_retry_after() {
        let limit = LimitState { policy: "ip", limit: 100, window_s: 60, remaining: 0, reset_s: 42 };
        let error = ApiError::from(ErrorCode::RateLimited).retry_after(42).limited_by(limit);
        assert_eq!(
            error.headers(),
            [
                ("Retry-After", "42".to_owned()),
                ("RateLimit-Policy", "\"ip\";q=100;w=60".to_owned()),
                ("RateLimit", "\"ip\";r=0;t=42".to_owned()),
            ]
        );
        let body = serde_json::to_value(error.problem("r1")).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "about:blank", "title": "Too Many Requests", "status": 429,
                "code": "rate_limited", "detail": "Too many requests", "request_id": "r1",
            })
        );
    }

    #[test]
    fn wrong_field_is_named_in_body_and_detail() {
        let error = ApiError::invalid_field("email", "is not an e-mail address");
        assert_eq!(error.detail, "email: is not an e-mail address");
        assert_eq!(error.problem("r").errors, error.errors);
    }
}

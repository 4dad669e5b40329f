//! `GET auth/verify`.

use axum::{Json, extract::State};
use serde::Serialize;
use shared::{api::account::Plan, id::Id, time::Timestamp};

use crate::{
    app::App,
    http::{CurrentUser, Error, MissingConsents},
};

/// A valid access token.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::routes) struct ValidToken {
    /// Always true: a token that is not valid gets a 401.
    valid: bool,
    /// The user.
    user_id: Id,
    /// The session.
    session_id: Id,
    /// The user's current plan.
    plan: Plan,
    /// The time at which the token expires.
    expires_at: Timestamp,
}

/// Check an access token
///
/// For other services: returns its user, its session and its expiry.
#[utoipa::path(
    get,
    path = "/api/v1/auth/verify",
    operation_id = "verify_token",
    tag = "auth",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The token lets its holder in", body = ValidToken),
    ),
)]
pub(in crate::routes) async fn verify(
    State(app): State<App>,
    CurrentUser { user, claims }: CurrentUser,
) -> Result<(MissingConsents, Json<ValidToken>), Error> {
    let missing = MissingConsents(app.auth.missing_consents(user.id).await?);
    let valid = ValidToken {
        valid: true,
        user_id: user.id,
        session_id: claims.sid,
        plan: user.plan,
        expires_at: claims.expires_at(),
    };
    Ok((missing, Json(valid)))
}

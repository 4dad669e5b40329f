//! Documents that the user agrees to.

use axum::{Json as Reply, extract::State, http::StatusCode};
use shared::api::account::{Consent, Consents, GiveConsent};

use crate::{
    app::App,
    auth::Requester,
    http::{CurrentUser, Error, Json},
};

/// List the documents that the user has agreed to, or is to
///
/// Each document once: those that this server requires (`CONSENTS_REQUIRED`), then the others. The user has agreed to what is
/// required when `version` is `current_version`.
#[utoipa::path(
    get,
    path = "/api/v1/users/me/consents",
    operation_id = "list_consents",
    tag = "users",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The documents", body = Consents),
    ),
)]
pub(super) async fn list(State(app): State<App>, current: CurrentUser) -> Result<Reply<Consents>, Error> {
    Ok(Reply(Consents { items: app.auth.consents(current.user.id).await? }))
}

/// Agree to a document
///
/// Record that the user has agreed to this version of a document, also one that this server does not require. The first time is
/// kept. A user agrees to at most 100 versions.
#[utoipa::path(
    post,
    path = "/api/v1/users/me/consents",
    operation_id = "give_consent",
    tag = "users",
    security(("bearer" = [])),
    request_body(content = GiveConsent, example = json!({"document": "terms", "version": "2026-10-01"})),
    responses(
        (status = 200, description = "The user had agreed to this version before", body = Consent),
        (status = 201, description = "The user has agreed to this version now", body = Consent),
        (status = 409, description = "`conflict`: the user has agreed to as many versions as one may"),
    ),
)]
pub(super) async fn give(
    State(app): State<App>,
    current: CurrentUser,
    requester: Requester,
    Json(request): Json<GiveConsent>,
) -> Result<(StatusCode, Reply<Consent>), Error> {
    let (consent, is_new) = app.auth.give_consent(&current.claims, request, &requester).await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Reply(consent)))
}

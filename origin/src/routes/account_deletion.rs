//! `DELETE users/me`.

use axum::{Json as Reply, extract::State, http::StatusCode};
use shared::api::account::deletion::{DeleteAccountRequest, ScheduledDeletion};

use crate::{
    app::App,
    auth::{Requester, deletion::AccountDeletion},
    events::Announcements,
    http::{CurrentUser, Error, body::OptionalJson},
};

/// Delete the account
///
/// Needs the password, or a one-time code that `auth/otp/send` sent for `delete` to the account's e-mail address or phone number. An
/// account that has neither a password nor an address needs no proof, and no body.
///
/// All sessions end at once: tokens are refused and streams are closed. The user is told by mail. The account is deleted for ever at
/// `deletes_at`, after `ACCOUNT_DELETION_GRACE_DAYS` (30); signing in before undoes that, by whatever means. Until then the address
/// stays taken; afterwards it can be registered again, for a new account with nothing of the old one.
///
/// Limited as `auth/change-password` and `auth/otp/verify` are.
#[utoipa::path(
    delete,
    path = "/api/v1/users/me",
    operation_id = "delete_user",
    tag = "users",
    security(("bearer" = [])),
    request_body(content = Option<DeleteAccountRequest>, example = json!({"password": "correct horse battery"})),
    responses(
        (status = 202, description = "All sessions have ended; the account will be deleted", body = ScheduledDeletion),
        (status = 401, description = "`invalid_credentials`: the password is wrong; `code_invalid`: the code is wrong, was used or has expired"),
    ),
)]
pub(super) async fn delete(
    State(app): State<App>,
    requester: Requester,
    current: CurrentUser,
    announcements: Announcements,
    OptionalJson(shown): OptionalJson<DeleteAccountRequest>,
) -> Result<(StatusCode, Reply<ScheduledDeletion>), Error> {
    let CurrentUser { user, claims } = current;
    let deletion = AccountDeletion { requester, claims, user, shown };
    let scheduled = app.auth.request_deletion(deletion, &announcements).await?;
    Ok((StatusCode::ACCEPTED, Reply(scheduled)))
}

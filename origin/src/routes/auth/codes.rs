//! `POST auth/otp/send` and `POST auth/otp/verify`.

use axum::{Json as Reply, extract::State, http::StatusCode};
use shared::{
    api::{
        ApiError,
        account::codes::{SendCodeRequest, SentCode, VerifiedCode, VerifiedPurpose, VerifyCodeRequest},
    },
    auth::TokenError,
};

use crate::{
    app::App,
    auth::{Requester, codes::ShownCode},
    events::Announcements,
    http::{ClientIp, Error, Json, auth::OptionalUser},
};

/// Send a one-time code
///
/// Six digits, to a phone number or an e-mail address, valid for 5 minutes (`OTP_EXPIRATION_MINUTES`) and 5 guesses. It replaces any
/// that was sent before for the same purpose. The answer does not tell whether there is an account; codes for `reset` and `delete` are
/// sent only to an address that an account has. Limited to one a minute and 5 an
/// hour for an address, to 100 a day from one network (IPv4 /24, IPv6 /48), and to 100 calls a minute from one address
/// (`RATE_LIMIT_REQUESTS`).
#[utoipa::path(
    post,
    path = "/api/v1/auth/otp/send",
    operation_id = "send_code",
    tag = "auth",
    request_body(
        content = SendCodeRequest,
        example = json!({"phone": "+49 170 1234567", "purpose": "login"}),
    ),
    responses((status = 202, description = "The code is on its way, if the address can get one", body = SentCode)),
)]
pub(in crate::routes) async fn send(
    State(app): State<App>,
    ClientIp(ip): ClientIp,
    Json(request): Json<SendCodeRequest>,
) -> Result<(StatusCode, Reply<SentCode>), Error> {
    let sent = app.auth.send_code(&ip, request.address()?, request.purpose).await?;
    Ok((StatusCode::ACCEPTED, Reply(sent)))
}

/// Show a one-time code
///
/// - `login` signs in, and signs up where nobody has the address. Where somebody registered with it and never verified it, the account
///   loses its password, its accounts at Google and Apple and its other sessions: they may be somebody else's. With
///   `merge_guest_token` the conversations of that guest are moved to the account.
/// - `verify` needs an access token, which may be a guest's. The address becomes the user's, in place of the one before, which is told by mail. The session
///   goes on with the returned tokens.
/// - `reset` returns a `reset_token` for `auth/reset-password`, valid for 30 minutes.
///
/// A code for `delete` is shown to `DELETE users/me` itself.
///
/// Wrong codes are delayed as wrong passwords are in `auth/login`: an address gets at most 50 guesses a day, whoever guesses, and a
/// device that signed in to its account before has a count of its own.
#[utoipa::path(
    post,
    path = "/api/v1/auth/otp/verify",
    operation_id = "verify_code",
    tag = "auth",
    security((), ("bearer" = [])),
    request_body(
        content = VerifyCodeRequest,
        example = json!({"phone": "+49 170 1234567", "code": "204861", "purpose": "login"}),
    ),
    responses(
        (status = 200, description = "The tokens, or the permission to set a new password", body = VerifiedCode),
        (status = 400, description = "`email_taken`: somebody else has the address"),
        (status = 401, description = "`code_invalid`: the code is wrong, was used or has expired"),
    ),
)]
pub(in crate::routes) async fn verify(
    State(app): State<App>,
    requester: Requester,
    OptionalUser(current): OptionalUser,
    announcements: Announcements,
    Json(request): Json<VerifyCodeRequest>,
) -> Result<Reply<VerifiedCode>, Error> {
    let address = request.address()?;
    let VerifyCodeRequest { code, purpose, device_name, merge_guest_token, .. } = request;
    if merge_guest_token.is_some() && purpose != VerifiedPurpose::Login {
        return Err(
            ApiError::invalid_field("merge_guest_token", "must be absent unless purpose is login").into()
        );
    }
    let guest = app.auth.guest_of(merge_guest_token.as_deref()).await?;
    let claims = current.as_ref().map(|current| current.claims.clone());
    let shown = ShownCode { requester: requester.clone(), claims, address, purpose: purpose.into(), code };
    let verified = match purpose {
        VerifiedPurpose::Login => {
            let tokens = app.auth.sign_in_by_code(shown, device_name, &announcements).await?;
            app.auth.merge_guest(guest, &tokens, &requester, &announcements).await?;
            tokens.into()
        }
        VerifiedPurpose::Verify => {
            let current = current.ok_or(TokenError::Missing)?;
            app.auth.verify_address(shown, current.user, &current.claims).await?.into()
        }
        VerifiedPurpose::Reset => {
            VerifiedCode::Reset { reset_token: app.auth.permit_reset_by_code(shown).await? }
        }
    };
    Ok(Reply(verified))
}

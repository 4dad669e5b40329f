//! `auth/passkeys`: passkeys of the signed-in user, and sign-ins by one. All are absent unless `PASSKEY_RP_ID` is set.

use axum::{Json as Reply, extract::State, http::StatusCode};
use shared::{
    api::{
        ErrorCode,
        account::{Passkey, PasskeyLogin, PasskeyOptions, Passkeys, RegisterPasskey, RenamePasskey, Tokens},
    },
    id::Id,
};

use crate::{
    app::App,
    auth::Requester,
    events::Announcements,
    http::{ClientIp, CurrentUser, Error, Json, PathId},
};

/// Begin to register a passkey
///
/// Give `public_key` to the authenticator: in a browser `navigator.credentials.create({publicKey:
/// PublicKeyCredential.parseCreationOptionsFromJSON(public_key)})`. The challenge is valid for 5 minutes and one
/// `auth/passkeys/register`. The passkey will be discoverable and verify its user.
#[utoipa::path(
    post,
    path = "/api/v1/auth/passkeys/register/options",
    operation_id = "begin_passkey_registration",
    tag = "auth",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The options", body = PasskeyOptions),
        (status = 404, description = "`not_found`: this server has no passkeys"),
        (status = 409, description = "`conflict`: the user has 20 passkeys"),
    ),
)]
pub(in crate::routes) async fn begin_registration(
    State(app): State<App>,
    current: CurrentUser,
) -> Result<Reply<PasskeyOptions>, Error> {
    Ok(Reply(app.auth.passkey_registration_options(&current.user).await?))
}

/// Register a passkey
///
/// Send what the authenticator has made of the options. A challenge is used up by this, whatever comes of it.
#[utoipa::path(
    post,
    path = "/api/v1/auth/passkeys/register",
    operation_id = "register_passkey",
    tag = "auth",
    security(("bearer" = [])),
    request_body(content = RegisterPasskey, example = json!({
        "challenge_id": "019aa5d2-9000-7000-8000-8e7d6c5b4a39",
        "credential": {
            "id": "lEi1s4Ymzr6CFr3Bpd2CVw",
            "rawId": "lEi1s4Ymzr6CFr3Bpd2CVw",
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {"clientDataJSON": "e30", "attestationObject": "oA", "transports": ["internal"]},
        },
        "name": "Ada's phone",
    })),
    responses(
        (status = 201, description = "The passkey", body = Passkey),
        (status = 401, description = "`code_invalid`: the challenge was used or has expired"),
        (status = 404, description = "`not_found`: this server has no passkeys"),
        (status = 409, description = "`conflict`: the passkey is registered already, or the user has 20"),
    ),
)]
pub(in crate::routes) async fn register(
    State(app): State<App>,
    current: CurrentUser,
    requester: Requester,
    Json(request): Json<RegisterPasskey>,
) -> Result<(StatusCode, Reply<Passkey>), Error> {
    let passkey = app.auth.register_passkey(request, &current.claims, &requester).await?;
    Ok((StatusCode::CREATED, Reply(passkey)))
}

/// Begin to sign in by a passkey
///
/// Give `public_key` to the authenticator: in a browser `navigator.credentials.get({publicKey:
/// PublicKeyCredential.parseRequestOptionsFromJSON(public_key)})`, with `mediation: "conditional"` where it is to offer itself in a
/// form. No account is named: the user chooses a passkey. The challenge is valid for 5 minutes and one `auth/passkeys/login`.
#[utoipa::path(
    post,
    path = "/api/v1/auth/passkeys/login/options",
    operation_id = "begin_passkey_login",
    tag = "auth",
    responses(
        (status = 200, description = "The options", body = PasskeyOptions),
        (status = 404, description = "`not_found`: this server has no passkeys"),
    ),
)]
pub(in crate::routes) async fn begin_login(
    State(app): State<App>,
    ClientIp(ip): ClientIp,
) -> Result<Reply<PasskeyOptions>, Error> {
    Ok(Reply(app.auth.passkey_login_options(&ip).await?))
}

/// Sign in by a passkey
///
/// Send what the authenticator has made of the options. Together with its options limited to 200 calls in a minute from one address
/// (twice `RATE_LIMIT_REQUESTS`). A passkey whose count of uses does not rise is refused, as it may be a copy; those that
/// synchronise do not count.
#[utoipa::path(
    post,
    path = "/api/v1/auth/passkeys/login",
    operation_id = "login_by_passkey",
    tag = "auth",
    request_body(content = PasskeyLogin, example = json!({
        "challenge_id": "019aa5d2-9000-7000-8000-9f8e7d6c5b4a",
        "credential": {
            "id": "lEi1s4Ymzr6CFr3Bpd2CVw",
            "rawId": "lEi1s4Ymzr6CFr3Bpd2CVw",
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": "e30",
                "authenticatorData": "oA",
                "signature": "MEU",
                "userHandle": "AZql0owAcACAAAwdLj9KWw",
            },
        },
        "device_name": "Ada's phone",
    })),
    responses(
        (status = 200, description = "The tokens", body = Tokens),
        (status = 401, description = "`invalid_credentials`: the passkey is not accepted; \
            `code_invalid`: the challenge was used or has expired"),
        (status = 404, description = "`not_found`: this server has no passkeys"),
    ),
)]
pub(in crate::routes) async fn login(
    State(app): State<App>,
    requester: Requester,
    announcements: Announcements,
    Json(request): Json<PasskeyLogin>,
) -> Result<Reply<Tokens>, Error> {
    Ok(Reply(app.auth.sign_in_by_passkey(request, &requester, &announcements).await?))
}

/// List the user's passkeys
///
/// All of them, at most 20, the oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/auth/passkeys",
    operation_id = "list_passkeys",
    tag = "auth",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The passkeys", body = Passkeys),
        (status = 404, description = "`not_found`: this server has no passkeys"),
    ),
)]
pub(in crate::routes) async fn list(
    State(app): State<App>,
    current: CurrentUser,
) -> Result<Reply<Passkeys>, Error> {
    Ok(Reply(Passkeys { items: app.auth.passkeys(current.user.id).await? }))
}

/// Name a passkey
///
/// The name is for the user alone; the authenticator keeps its own.
#[utoipa::path(
    patch,
    path = "/api/v1/auth/passkeys/{id}",
    operation_id = "rename_passkey",
    tag = "auth",
    security(("bearer" = [])),
    params(("id" = Id, Path, description = "The passkey")),
    request_body(content = RenamePasskey, example = json!({"name": "Ada's phone"})),
    responses((status = 200, description = "The passkey", body = Passkey)),
)]
pub(in crate::routes) async fn rename(
    State(app): State<App>,
    current: CurrentUser,
    PathId(id): PathId,
    Json(request): Json<RenamePasskey>,
) -> Result<Reply<Passkey>, Error> {
    let renamed = app.auth.rename_passkey(current.user.id, id, request.name).await?;
    renamed.map(Reply).ok_or_else(|| ErrorCode::NotFound.into())
}

/// Remove a passkey
///
/// Nobody signs in with it any more; sessions that began with it go on. The last one stays while the user could sign in by nothing
/// else: a password, or a code by a channel that this server has.
#[utoipa::path(
    delete,
    path = "/api/v1/auth/passkeys/{id}",
    operation_id = "remove_passkey",
    tag = "auth",
    security(("bearer" = [])),
    params(("id" = Id, Path, description = "The passkey")),
    responses(
        (status = 204, description = "The passkey is removed"),
        (status = 409, description = "`conflict`: it is the last way into the account"),
    ),
)]
pub(in crate::routes) async fn remove(
    State(app): State<App>,
    current: CurrentUser,
    requester: Requester,
    PathId(id): PathId,
) -> Result<StatusCode, Error> {
    let is_removed = app.auth.remove_passkey(&current.claims, id, &requester).await?;
    if is_removed { Ok(StatusCode::NO_CONTENT) } else { Err(ErrorCode::NotFound.into()) }
}

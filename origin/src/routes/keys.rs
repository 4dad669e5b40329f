//! The public keys of access tokens.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, header::CACHE_CONTROL},
};
use shared::auth::keys::JwkSet;

use crate::app::App;

/// Show the public keys of access tokens
///
/// A key set (RFC 7517). Tokens are signed with Ed25519 (`alg` is `EdDSA`, RFC 8037). While keys are being changed there are
/// several: the next key is here before it signs, and an old one as long as what it signed is accepted.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    operation_id = "list_keys",
    tag = "auth",
    responses((status = 200, description = "The keys", body = Object, example = json!({
        "keys": [{
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
            "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        }],
    }))),
)]
pub(super) async fn jwks(State(app): State<App>) -> ([(HeaderName, &'static str); 1], Json<JwkSet>) {
    ([(CACHE_CONTROL, "public, max-age=300")], Json(app.auth.tokens.jwk_set(app.clock.now()).await))
}

//! The files by which iOS and Android let apps use what belongs to this server's domain: passkeys, passwords, links.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, header::CACHE_CONTROL},
};
use serde_json::{Value, json};
use shared::api::ErrorCode;

use crate::{app::App, http::Error};

/// A file that other parties' servers fetch: whether it is there does not change from one minute to the next.
type File = ([(HeaderName, &'static str); 1], Json<Value>);

/// Show the apps for iOS
///
/// Apple's servers and devices look here which apps may use the passkeys and passwords of this domain (`APPLE_APP_IDS`).
#[utoipa::path(
    get,
    path = "/.well-known/apple-app-site-association",
    operation_id = "list_apple_apps",
    tag = "auth",
    responses(
        (status = 200, description = "The apps", body = Object, example = json!({
            "webcredentials": {"apps": ["A1B2C3D4E5.com.example.chat"]},
        })),
        (status = 404, description = "`not_found`: this server has no apps for iOS"),
    ),
)]
pub(super) async fn apple(State(app): State<App>) -> Result<File, Error> {
    let ids = &app.config.apps.apple_ids;
    file(ids.is_empty(), json!({"webcredentials": {"apps": ids}}))
}

/// Show the apps for Android
///
/// Digital Asset Links: Google's servers and devices look here which apps may use the passkeys and passwords of this domain
/// (`ANDROID_APPS`).
#[utoipa::path(
    get,
    path = "/.well-known/assetlinks.json",
    operation_id = "list_android_apps",
    tag = "auth",
    responses(
        (status = 200, description = "The apps", body = Vec<Object>, example = json!([{
            "relation": [
                "delegate_permission/common.handle_all_urls",
                "delegate_permission/common.get_login_creds",
            ],
            "target": {
                "namespace": "android_app",
                "package_name": "com.example.chat",
                "sha256_cert_fingerprints": [
                    "14:6D:E9:83:C5:73:06:50:D8:EE:B9:95:2F:34:FC:64:16:A0:83:42:E6:1D:BE:A8:8A:04:96:B2:3F:CF:44:E5",
                ],
            },
        }])),
        (status = 404, description = "`not_found`: this server has no apps for Android"),
    ),
)]
pub(super) async fn android(State(app): State<App>) -> Result<File, Error> {
    let apps = &app.config.apps.android;
    let statements: Vec<_> = apps
        .iter()
        .map(|app| {
            json!({
                "relation": [
                    "delegate_permission/common.handle_all_urls",
                    "delegate_permission/common.get_login_creds",
                ],
                "target": {
                    "namespace": "android_app",
                    "package_name": app.package,
                    "sha256_cert_fingerprints": [app.fingerprint_text()],
                },
            })
        })
        .collect();
    file(statements.is_empty(), statements.into())
}

fn file(is_absent: bool, content: Value) -> Result<File, Error> {
    if is_absent {
        return Err(ErrorCode::NotFound.into());
    }
    Ok(([(CACHE_CONTROL, "public, max-age=3600")], Json(content)))
}

//! The documentation: `/openapi.json`, Swagger UI at `/docs`, ReDoc at `/redoc`. Everything is served from here; no CDN.

use axum::{Json, Router, routing::get};
use utoipa::openapi::{
    Info, OpenApi, OpenApiBuilder,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use crate::app::App;

/// The document of all public routes.
pub(super) fn document(name: &str, open: OpenApi, public: OpenApi) -> OpenApi {
    let mut info = Info::new(format!("{name} API"), env!("CARGO_PKG_VERSION").to_owned());
    info.description =
        Some("Accounts, conversations and usage of a chat app. Errors are RFC 9457 problems.".to_owned());
    let mut document = OpenApiBuilder::new().info(info).build();
    document.merge(public);
    document.merge(open);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    document.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(bearer));
    document
}

/// The routes of the documentation.
pub(super) fn router(document: OpenApi) -> Router<App> {
    Router::new().route("/openapi.json", get(move || async move { Json(document) }))
}

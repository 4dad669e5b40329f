//! The documentation: `/openapi.json`, Swagger UI at `/docs`, ReDoc at `/redoc`. Everything is served from here: the pages'
//! content security policy lets a browser load nothing from any other host.

use axum::{
    Router,
    http::{
        HeaderName, HeaderValue,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    },
    middleware::map_response,
    response::Response,
    routing::get,
};
use bytes::Bytes;
use utoipa::openapi::{
    Info, OpenApi, OpenApiBuilder,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::app::App;

const REDOC_PAGE: &str = include_str!("../../assets/redoc/index.html");
/// ReDoc 2.5.4 (MIT), as it is in the npm package `redoc`; its licences lie beside it.
const REDOC_SCRIPT: &str = include_str!("../../assets/redoc/redoc.standalone.js");

/// Both pages style themselves; ReDoc searches in a worker it makes itself.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; worker-src blob:; \
                      frame-ancestors 'none'";

/// The document of all public routes.
pub(super) fn document(name: &str, parts: impl IntoIterator<Item = OpenApi>) -> OpenApi {
    let mut info = Info::new(format!("{name} API"), env!("CARGO_PKG_VERSION").to_owned());
    info.description =
        Some("Accounts, conversations and usage of a chat app. Errors are RFC 9457 problems.".to_owned());
    let mut document = OpenApiBuilder::new().info(info).build();
    for part in parts {
        document.merge(part);
    }
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    document.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(bearer));
    document
}

/// The routes of the documentation.
pub(super) fn router(document: &OpenApi) -> Result<Router<App>, serde_json::Error> {
    let json = Bytes::from(serde_json::to_vec(document)?);
    let swagger = SwaggerUi::new("/docs").config(Config::from("/openapi.json").validator_url("none"));
    let pages = Router::from(swagger)
        .route("/redoc", get(|| async { typed("text/html; charset=utf-8", REDOC_PAGE) }))
        .route(
            "/redoc/redoc.standalone.js",
            get(|| async { typed("text/javascript; charset=utf-8", REDOC_SCRIPT) }),
        )
        .layer(map_response(with_policy));
    Ok(pages.route("/openapi.json", get(move || async move { typed("application/json", json) })))
}

fn typed<B>(media_type: &'static str, body: B) -> ([(HeaderName, &'static str); 1], B) {
    ([(CONTENT_TYPE, media_type)], body)
}

async fn with_policy(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

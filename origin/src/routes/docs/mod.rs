//! The documentation: `/openapi.json`, Swagger UI at `/docs`, ReDoc at `/redoc`. Everything is served from here: the pages'
//! content security policy lets a browser load nothing from any other host.
//!
//! - [`document`]: the document, from the routes' own descriptions
//! - [`responses`]: the common responses of all routes beside their own
//! - [`schemas`]: bounds, examples, and the required fields of responses
//! - [`examples`]: examples of answers
//! - [`events`]: the events of a stream

mod document;
pub(super) mod events;
mod examples;
mod responses;
mod schemas;

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
use serde_json::Value;
use utoipa_swagger_ui::{Config, SwaggerUi};

pub(super) use self::document::document;
use crate::app::App;

const REDOC_PAGE: &str = include_str!("../../../assets/redoc/index.html");
/// ReDoc 2.5.4 (MIT), as it is in the npm package `redoc`; its licences lie beside it.
const REDOC_SCRIPT: &str = include_str!("../../../assets/redoc/redoc.standalone.js");

/// The one address that ReDoc's script asks another host for: a logo, which it leaves out where there is none.
const REDOC_LOGO: &str = "https://cdn.redoc.ly/redoc/logo-mini.svg";

/// Both pages style themselves; ReDoc searches in a worker it makes itself.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; worker-src blob:; \
                      frame-ancestors 'none'";

/// The routes of the documentation.
pub(super) fn router(document: &Value) -> Result<Router<App>, serde_json::Error> {
    let json = Bytes::from(serde_json::to_vec(document)?);
    let redoc = Bytes::from(REDOC_SCRIPT.replace(REDOC_LOGO, "data:,"));
    let swagger = SwaggerUi::new("/docs").config(Config::from("/openapi.json").validator_url("none"));
    let pages = Router::from(swagger)
        .route("/redoc", get(|| async { typed("text/html; charset=utf-8", REDOC_PAGE) }))
        .route(
            "/redoc/redoc.standalone.js",
            get(move || async move { typed("text/javascript; charset=utf-8", redoc) }),
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

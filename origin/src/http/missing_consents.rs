//! The word of an answer to the user object about documents that its user is to agree to.

use std::convert::Infallible;

use axum::{
    http::{HeaderName, HeaderValue},
    response::{IntoResponseParts, ResponseParts},
};
use shared::{
    auth::{consent_gate, consents::RequiredDocument},
    http::headers::MISSING_CONSENTS,
};

/// The documents, as a header of the response.
pub struct MissingConsents(pub Vec<RequiredDocument>);

impl IntoResponseParts for MissingConsents {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        // Names and versions of documents are ASCII by the rules of the configuration.
        let value = HeaderValue::try_from(consent_gate::to_header(&self.0));
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(MISSING_CONSENTS), value) {
            response.headers_mut().insert(name, value);
        }
        Ok(response)
    }
}

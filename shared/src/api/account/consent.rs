//! Documents that users agree to: terms, a privacy notice.

use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The most characters of the name of a document, and of a version.
pub const MAX_DOCUMENT_CHARS: usize = 32;
/// The most versions of documents that one user agrees to.
pub const MAX_CONSENTS: u32 = 100;

/// The documents that a user has agreed to, or is to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Consents {
    /// One item a document, those that are required first.
    pub items: Vec<Consent>,
}

/// A document, and the version of it that the user has agreed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Consent {
    /// The name of the document.
    pub document: String,
    /// The version that the user has agreed to: the current one, or else the one they agreed to last; `null` when none.
    pub version: Option<String>,
    /// The time at which they first agreed to that version.
    pub accepted_at: Option<Timestamp>,
    /// True when this server requires the document.
    pub required: bool,
    /// The version that this server requires; `null` when it requires none.
    pub current_version: Option<String>,
}

/// `POST users/me/consents`.
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GiveConsent {
    /// The name of the document: 1 to 32 small letters, digits, `_` and `-`.
    #[garde(custom(document_name))]
    #[cfg_attr(feature = "openapi", schema(example = "terms"))]
    pub document: String,
    /// The version that the user was shown: 1 to 32 letters, digits and `.`, `_`, `-`, `:`, `+`.
    #[garde(custom(document_version))]
    #[cfg_attr(feature = "openapi", schema(example = "2026-10-01"))]
    pub version: String,
}

/// Returns whether a text may name a document.
pub fn is_document(text: &str) -> bool {
    (1..=MAX_DOCUMENT_CHARS).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}

/// Returns whether a text may be a version of a document.
pub fn is_version(text: &str) -> bool {
    (1..=MAX_DOCUMENT_CHARS).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".:_+-".contains(&b))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "garde calls custom rules like this")]
fn document_name(value: &str, _context: &()) -> garde::Result {
    if is_document(value) {
        return Ok(());
    }
    Err(garde::Error::new("must have 1 to 32 small letters, digits, underscores and hyphens"))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "garde calls custom rules like this")]
fn document_version(value: &str, _context: &()) -> garde::Result {
    if is_version(value) {
        return Ok(());
    }
    Err(garde::Error::new("must have 1 to 32 letters, digits and characters of .:_+-"))
}

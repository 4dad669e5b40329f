//! Names of headers that more than one part knows.

/// The id of a request, on every request between the parts and on every response.
pub const X_REQUEST_ID: &str = "X-Request-ID";
/// The client's address, as the front saw it.
pub const CLIENT_IP: &str = "X-EdgeChat-Client-IP";
/// The front's signature: `auth::edge`.
pub const SIGNATURE: &str = "X-EdgeChat-Signature";
/// On the origin's refusal of a signature: the reason, for the Worker's log. Such a refusal is trouble between the parts and
/// never the user's fault, so the Worker answers 503 in its place.
pub const SIGNATURE_ERROR: &str = "X-EdgeChat-Signature-Error";
/// The client's name for a request that may be sent again.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// On an answer of the origin's to the user object: the required documents that the user has not agreed to, as
/// [`consent_gate`](crate::auth::consent_gate) writes them. No client sees it.
pub const MISSING_CONSENTS: &str = "X-EdgeChat-Missing-Consents";
/// On an answer of the origin's to the Worker: the events for user objects that its change means, a JSON array of
/// [`AddressedEvent`](crate::api::internal::user_event::AddressedEvent). No client sees it.
pub const USER_EVENTS: &str = "X-EdgeChat-User-Events";

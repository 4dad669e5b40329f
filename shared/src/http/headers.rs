//! Names of headers, and which ones of a client never pass the front.

/// The id of a request, on every request between the parts and on every response.
pub const X_REQUEST_ID: &str = "X-Request-ID";
/// The client's address, as the front saw it.
pub const CLIENT_IP: &str = "X-EdgeChat-Client-IP";
/// The front's signature: [`crate::auth::edge`].
pub const SIGNATURE: &str = "X-EdgeChat-Signature";
/// The client's name for a request that may be sent again.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// Headers by which a client could pretend to be a proxy or somebody else; the front drops them.
pub const INBOUND_DROPPED: &[&str] = &[
    "Forwarded",
    "Remote-User",
    "True-Client-IP",
    "Via",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Original-URL",
    "X-Real-IP",
    "X-Remote-User",
    "X-Rewrite-URL",
];

/// The beginnings of more such headers; the front drops these, too.
pub const INBOUND_DROPPED_PREFIXES: &[&str] = &["CF-", "X-EdgeChat-", "X-Forwarded-"];

/// Whether the front drops this header of a client. Letter case does not matter.
pub fn is_inbound_dropped(name: &str) -> bool {
    let begins_with =
        |prefix: &&str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    INBOUND_DROPPED.iter().any(|dropped| name.eq_ignore_ascii_case(dropped))
        || INBOUND_DROPPED_PREFIXES.iter().any(begins_with)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("x-forwarded-for", true)]
    #[case("X-Forwarded-Host", true)]
    #[case("forwarded", true)]
    #[case("cf-connecting-ip", true)]
    #[case("CF-Ray", true)]
    #[case(SIGNATURE, true)]
    #[case("x-edgechat-client-ip", true)]
    #[case("x-edgechat-anything", true)]
    #[case("X-REAL-IP", true)]
    #[case("authorization", false)]
    #[case("x-request-id", false)]
    #[case("idempotency-key", false)]
    #[case("cf", false)]
    #[case("x-forwardedé", false)]
    #[case("", false)]
    fn what_could_pretend_is_dropped(#[case] name: &str, #[case] dropped: bool) {
        assert_eq!(is_inbound_dropped(name), dropped);
    }
}

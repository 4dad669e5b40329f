//! CORS, access from browsers, as the Fetch standard defines it (<https://fetch.spec.whatwg.org/#http-cors-protocol>).
//!
//! Credentials (cookies) are only ever allowed to origins that are named, never together with `*`. Whatever depends on
//! the request's origin says so by `Vary: Origin`, also where no access is given, so that no cache mixes answers.

/// Methods a browser may use.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
/// Request headers a browser may send.
const REQUEST_HEADERS: &str = "Authorization, Content-Type, Accept, Accept-Language, Cache-Control, Idempotency-Key, \
                               If-Match, If-None-Match, Last-Event-ID, Prefer, X-Request-ID, X-Requested-With, \
                               traceparent, tracestate, baggage, sentry-trace";
/// Response headers a script may read beside the few that it always may.
const EXPOSED_HEADERS: &str = "X-Request-ID, Retry-After, RateLimit, RateLimit-Policy, Location, Preference-Applied, Allow, ETag, Deprecation, Link, \
     Date, WWW-Authenticate";
/// Seconds for which a browser may remember a preflight answer; browsers cap it themselves.
const MAX_AGE_S: &str = "86400";

/// A header and its value.
pub type HeaderPair<'a> = (&'static str, &'a str);

/// The origins that may call from a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsPolicy {
    /// All of them, without credentials.
    Any,
    /// These, with credentials; in the form browsers write them.
    Listed(Vec<String>),
}

/// An origin that may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowOrigin<'a> {
    /// The value of `Access-Control-Allow-Origin`.
    pub origin: &'a str,
    /// True when cookies may be sent along.
    pub credentials: bool,
}

/// The request headers a browser may send: those of this API and of tracing, and those that `more` names, separated by commas.
///
/// Errors: a sentence that names the entry that is no header's name.
pub fn request_headers(more: &str) -> Result<String, String> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    more.split(',').map(str::trim).filter(|name| !name.is_empty()).try_fold(
        REQUEST_HEADERS.to_owned(),
        |list, name| {
            // `*` would not count beside credentials, and never for Authorization.
            if name == "*" || !name.bytes().all(is_token) {
                return Err(format!("`{name}` is not the name of a header"));
            }
            Ok(format!("{list}, {name}"))
        },
    )
}

/// Returns whether a request is a CORS preflight, which is answered with [`CorsPolicy::preflight_headers`] and goes no further.
/// `request_method` is the header `Access-Control-Request-Method`.
pub fn is_preflight(method: &str, origin: Option<&str>, request_method: Option<&str>) -> bool {
    method == "OPTIONS" && origin.is_some() && request_method.is_some()
}

impl CorsPolicy {
    /// Reads `*`, a list separated by commas, or a JSON list of strings. An empty list allows nobody.
    ///
    /// Errors: a sentence that names the entry that is not an origin.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let entries: Vec<String> = if text.starts_with('[') {
            serde_json::from_str(text).map_err(|_| format!("`{text}` is not a JSON list of strings"))?
        } else {
            text.split(',').map(|entry| entry.trim().to_owned()).filter(|entry| !entry.is_empty()).collect()
        };
        if entries.iter().any(|entry| entry == "*") {
            return if entries.len() == 1 {
                Ok(Self::Any)
            } else {
                Err("`*` already allows every origin and cannot stand beside others".to_owned())
            };
        }
        let origins: Result<_, _> = entries
            .iter()
            .map(|entry| {
                normalize(entry)
                    .ok_or_else(|| format!("`{entry}` is not an origin such as `https://app.example.com`"))
            })
            .collect();
        origins.map(Self::Listed)
    }

    /// Returns the access of this origin, the value of the `Origin` header; `None` when it may not call.
    pub fn allow_origin<'a>(&self, origin: &'a str) -> Option<AllowOrigin<'a>> {
        match self {
            Self::Any => Some(AllowOrigin { origin: "*", credentials: false }),
            Self::Listed(origins) => origins
                .iter()
                .any(|allowed| allowed == origin)
                .then_some(AllowOrigin { origin, credentials: true }),
        }
    }

    /// The headers of every response but a preflight's, errors included. `Vary` adds to what the response has.
    pub fn response_headers<'a>(&self, origin: Option<&'a str>) -> Vec<HeaderPair<'a>> {
        // `*` is the same answer for everyone, so it is sent to everyone and needs no `Vary`.
        let origin = match self {
            Self::Any => Some(""),
            Self::Listed(_) => origin,
        };
        let mut headers = self.access_headers(origin);
        if !headers.is_empty() {
            headers.push(("Access-Control-Expose-Headers", EXPOSED_HEADERS));
        }
        self.vary(headers)
    }

    /// The headers of the answer to a preflight, a 204; without access when the origin may not call. `request_headers` are those
    /// a browser may send: [`request_headers`].
    pub fn preflight_headers<'a>(&self, origin: &'a str, request_headers: &'a str) -> Vec<HeaderPair<'a>> {
        let mut headers = self.access_headers(Some(origin));
        if !headers.is_empty() {
            headers.extend([
                ("Access-Control-Allow-Methods", METHODS),
                ("Access-Control-Allow-Headers", request_headers),
                ("Access-Control-Max-Age", MAX_AGE_S),
            ]);
        }
        self.vary(headers)
    }

    fn access_headers<'a>(&self, origin: Option<&'a str>) -> Vec<HeaderPair<'a>> {
        let Some(allowed) = origin.and_then(|origin| self.allow_origin(origin)) else {
            return Vec::new();
        };
        let mut headers = vec![("Access-Control-Allow-Origin", allowed.origin)];
        if allowed.credentials {
            headers.push(("Access-Control-Allow-Credentials", "true"));
        }
        headers
    }

    fn vary<'a>(&self, mut headers: Vec<HeaderPair<'a>>) -> Vec<HeaderPair<'a>> {
        if let Self::Listed(_) = self {
            headers.push(("Vary", "Origin"));
        }
        headers
    }
}

/// An origin the way browsers write it: lower case, no default port, no slash at the end. `None` when it is no origin.
fn normalize(entry: &str) -> Option<String> {
    let entry = entry.trim().to_ascii_lowercase();
    let origin = entry.strip_suffix('/').unwrap_or(&entry);
    let (scheme, authority) = origin.split_once("://")?;
    let scheme_is_plain = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let authority = match scheme {
        "https" => authority.strip_suffix(":443").unwrap_or(authority),
        "http" => authority.strip_suffix(":80").unwrap_or(authority),
        _ => authority,
    };
    let host_is_plain = !authority.is_empty()
        && authority
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']'));
    (scheme_is_plain && host_is_plain).then(|| format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn listed(origins: &[&str]) -> CorsPolicy {
        CorsPolicy::Listed(origins.iter().map(|&origin| origin.to_owned()).collect())
    }

    #[rstest]
    #[case("*", CorsPolicy::Any)]
    #[case(" * ", CorsPolicy::Any)]
    #[case(r#"["*"]"#, CorsPolicy::Any)]
    #[case("", listed(&[]))]
    #[case("[]", listed(&[]))]
    #[case("https://a.example", listed(&["https://a.example"]))]
    #[case("https://a.example, http://localhost:3000 ,", listed(&["https://a.example", "http://localhost:3000"]))]
    #[case(r#"["https://A.example/", "capacitor://localhost"]"#, listed(&["https://a.example", "capacitor://localhost"]))]
    #[case("https://a.example:443,http://[::1]:80", listed(&["https://a.example", "http://[::1]"]))]
    fn policy_is_read_in_each_notation(#[case] text: &str, #[case] expected: CorsPolicy) {
        assert_eq!(CorsPolicy::parse(text), Ok(expected));
    }

    #[rstest]
    #[case("*,https://a.example", "`*`")]
    #[case("a.example", "`a.example`")]
    #[case("https://a.example,null", "`null`")]
    #[case("https://a.example/app", "`https://a.example/app`")]
    #[case("https://*.example", "`https://*.example`")]
    #[case("https://", "`https://`")]
    #[case("://a.example", "`://a.example`")]
    #[case(r#"["https://a.example""#, "JSON list")]
    #[case("[1]", "JSON list")]
    fn invalid_origin_is_named(#[case] text: &str, #[case] expected: &str) {
        let error = CorsPolicy::parse(text).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn listed_origin_is_echoed_with_credentials() {
        let policy = listed(&["https://a.example"]);
        assert_eq!(
            policy.response_headers(Some("https://a.example")),
            [
                ("Access-Control-Allow-Origin", "https://a.example"),
                ("Access-Control-Allow-Credentials", "true"),
                ("Access-Control-Expose-Headers", EXPOSED_HEADERS),
                ("Vary", "Origin"),
            ]
        );
        assert_eq!(
            policy.preflight_headers("https://a.example", "Accept, X-Ours"),
            [
                ("Access-Control-Allow-Origin", "https://a.example"),
                ("Access-Control-Allow-Credentials", "true"),
                ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
                ("Access-Control-Allow-Headers", "Accept, X-Ours"),
                ("Access-Control-Max-Age", "86400"),
                ("Vary", "Origin"),
            ]
        );
    }

    #[rstest]
    #[case(Some("https://b.example"))]
    #[case(Some("https://a.example.evil"))]
    #[case(Some("http://a.example"))]
    #[case(Some("https://a.example:8443"))]
    #[case(Some("null"))]
    #[case(Some(""))]
    #[case(None)]
    fn other_origin_gets_vary_only(#[case] origin: Option<&str>) {
        let policy = listed(&["https://a.example"]);
        assert_eq!(policy.response_headers(origin), [("Vary", "Origin")]);
        assert_eq!(policy.preflight_headers(origin.unwrap_or_default(), "Accept"), [("Vary", "Origin")]);
    }

    #[test]
    fn wildcard_has_no_credentials() {
        for origin in [None, Some("null"), Some("https://a.example")] {
            let headers = CorsPolicy::Any.response_headers(origin);
            assert_eq!(
                headers,
                [("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", EXPOSED_HEADERS)]
            );
        }
        let preflight = CorsPolicy::Any.preflight_headers("https://a.example", "Accept");
        assert!(preflight.contains(&("Access-Control-Allow-Origin", "*")));
        assert!(preflight.iter().all(|(name, _)| *name != "Access-Control-Allow-Credentials"));
    }

    #[test]
    fn configured_headers_are_added_to_the_list() {
        assert_eq!(request_headers(" , "), Ok(REQUEST_HEADERS.to_owned()));
        assert_eq!(request_headers("X-Ours, x-more"), Ok(format!("{REQUEST_HEADERS}, X-Ours, x-more")));
        for wrong in ["*", "X Ours", "X-Ours:", "X\r\nEvil"] {
            assert!(request_headers(wrong).unwrap_err().contains("is not the name of a header"), "{wrong}");
        }
    }

    #[rstest]
    #[case("OPTIONS", Some("https://a.example"), Some("POST"), true)]
    #[case("OPTIONS", Some("https://a.example"), None, false)]
    #[case("OPTIONS", None, Some("POST"), false)]
    #[case("POST", Some("https://a.example"), Some("POST"), false)]
    fn preflight_is_recognized_by_its_headers(
        #[case] method: &str,
        #[case] origin: Option<&str>,
        #[case] request_method: Option<&str>,
        #[case] expected: bool,
    ) {
        assert_eq!(is_preflight(method, origin, request_method), expected);
    }
}

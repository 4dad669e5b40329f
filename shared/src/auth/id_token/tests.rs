//! A table of tokens, each with one thing wrong. The signatures are verified elsewhere.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const NOW_S: i64 = 1_795_253_400;
const GOOGLE: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];

fn header() -> Value {
    json!({"alg": "RS256", "kid": "key-1", "typ": "JWT"})
}

fn claims() -> Value {
    json!({
        "iss": "https://accounts.google.com",
        "azp": "android.apps.googleusercontent.com",
        "aud": "web.apps.googleusercontent.com",
        "sub": "110169484474386276334",
        "email": "Ada@Example.com",
        "email_verified": true,
        "name": " Ada Lovelace ",
        "nonce": "n-0S6_WzA2Mj",
        "iat": NOW_S - 10,
        "exp": NOW_S + 3_590,
    })
}

fn encode(json: &str) -> String {
    URL_SAFE_NO_PAD.encode(json)
}

fn token(header: &str, claims: &str) -> String {
    format!("{}.{}.{}", encode(header), encode(claims), encode("signature"))
}

/// Reads a token as of Google whose signature is right, for a request with this nonce.
fn read(token: &str, nonce: Option<&str>) -> Result<ProvenIdentity, IdTokenError> {
    let client_ids = ["web.apps.googleusercontent.com".to_owned(), "ios-client".to_owned()];
    let expected = Expected {
        issuers: &GOOGLE,
        client_ids: &client_ids,
        is_party_an_app: true,
        nonce,
        now: Timestamp::from_millis(NOW_S * 1_000 + 999),
    };
    parse(token)?.into_identity_once_verified(&expected)
}

fn read_claims(claims: &Value) -> Result<ProvenIdentity, IdTokenError> {
    read(&token(&header().to_string(), &claims.to_string()), Some("n-0S6_WzA2Mj"))
}

fn with(field: &str, value: Value) -> Value {
    let mut changed = claims();
    changed[field] = value;
    changed
}

fn without(field: &str) -> Value {
    let mut changed = claims();
    changed.as_object_mut().unwrap().remove(field);
    changed
}

#[test]
fn good_token_is_an_identity() {
    let identity = ProvenIdentity {
        subject: "110169484474386276334".to_owned(),
        client_id: "web.apps.googleusercontent.com".to_owned(),
        email: Some("ada@example.com".to_owned()),
        is_email_verified: true,
        name: Some("Ada Lovelace".to_owned()),
    };
    assert_eq!(read_claims(&claims()), Ok(identity));
}

#[rstest]
#[case::other_issuer("iss", json!("accounts.google.com"), true)]
#[case::azp_ours("azp", json!("ios-client"), true)]
#[case::expires_at_leeway("exp", json!(NOW_S - LEEWAY_S + 1), true)]
#[case::issued_at_leeway("iat", json!(NOW_S + LEEWAY_S), true)]
#[case::begins_at_leeway("nbf", json!(NOW_S + LEEWAY_S), true)]
#[case::verified_as_text("email_verified", json!("true"), true)]
#[case::issuer("iss", json!("https://accounts.google.com.evil.example"), false)]
#[case::issuer_of_apple("iss", json!("https://appleid.apple.com"), false)]
#[case::issuer_with_slash("iss", json!("https://accounts.google.com/"), false)]
#[case::issuer_in_capitals("iss", json!("https://ACCOUNTS.google.com"), false)]
#[case::issuers("iss", json!(["https://accounts.google.com"]), false)]
#[case::audience("aud", json!("other.apps.googleusercontent.com"), false)]
#[case::no_audience("aud", json!(""), false)]
#[case::audiences("aud", json!(["web.apps.googleusercontent.com"]), false)]
#[case::more_audiences("aud", json!(["web.apps.googleusercontent.com", "other"]), false)]
#[case::service_account("azp", json!("robot@project.iam.gserviceaccount.com"), false)]
#[case::service_account_id("azp", json!("102345678901234567890"), false)]
#[case::parties("azp", json!(["ios-client"]), false)]
#[case::expired("exp", json!(NOW_S - LEEWAY_S), false)]
#[case::expiry_text("exp", json!((NOW_S + 60).to_string()), false)]
#[case::expiry_fraction("exp", json!(1_795_253_500.5), false)]
#[case::expiry_large("exp", json!(1e30), false)]
#[case::issued_later("iat", json!(NOW_S + LEEWAY_S + 1), false)]
#[case::issued_null("iat", Value::Null, false)]
#[case::begins_later("nbf", json!(NOW_S + LEEWAY_S + 1), false)]
#[case::nonce("nonce", json!("n-0S6_WzA2Mk"), false)]
#[case::nonce_null("nonce", Value::Null, false)]
#[case::nonce_empty("nonce", json!(""), false)]
#[case::nonces("nonce", json!(["n-0S6_WzA2Mj"]), false)]
#[case::subject_empty("sub", json!(""), false)]
#[case::subject_number("sub", json!(110_169), false)]
#[case::subject_long("sub", json!("1".repeat(256)), false)]
#[case::subject_with_nul("sub", json!("1\u{0}"), false)]
#[case::subject_with_space("sub", json!("1 "), false)]
#[case::email_number("email", json!(7), false)]
#[case::verified_number("email_verified", json!(1), false)]
fn claim_decides(#[case] field: &str, #[case] value: Value, #[case] is_accepted: bool) {
    assert_eq!(read_claims(&with(field, value)).is_ok(), is_accepted);
}

#[rstest]
fn token_without_a_required_claim_is_refused(
    #[values("iss", "sub", "aud", "exp", "iat", "nonce")] field: &str,
) {
    assert!(read_claims(&without(field)).is_err());
}

#[rstest]
fn claim_that_comes_twice_is_refused(
    #[values("iss", "sub", "aud", "exp", "iat", "nonce", "azp", "email", "email_verified")] field: &str,
) {
    let claims = claims();
    let text = claims.to_string();
    let doubled = format!("{},\"{field}\":{}}}", text.strip_suffix('}').unwrap(), claims[field]);
    let token = token(&header().to_string(), &doubled);
    assert_eq!(read(&token, Some("n-0S6_WzA2Mj")), Err(IdTokenError::Malformed("claims")));
}

#[rstest]
#[case::unverified("email_verified", json!(false))]
#[case::unverified_as_text("email_verified", json!("false"))]
#[case::capitals("email_verified", json!("TRUE"))]
#[case::absent("email_verified", Value::Null)]
#[case::no_address("email", json!("ada"))]
#[case::address_with_nul("email", json!("a\u{0}da@example.com"))]
fn address_that_is_not_verified_is_none_to_link_by(#[case] field: &str, #[case] value: Value) {
    assert_eq!(read_claims(&with(field, value)).unwrap().verified_email(), None);
}

#[rstest]
#[case::none(None, None, true)]
#[case::same(Some("abc"), Some("abc"), true)]
#[case::hashed(Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"), Some("abc"), true)]
#[case::hash_as_nonce(
    Some("abc"),
    Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    false
)]
#[case::only_in_token(Some("abc"), None, false)]
#[case::only_in_request(None, Some("abc"), false)]
#[case::other(Some("abc"), Some("abd"), false)]
#[case::prefix(Some("abc"), Some("ab"), false)]
fn nonce_is_the_same_or_its_hash(
    #[case] of_token: Option<&str>,
    #[case] of_request: Option<&str>,
    #[case] is_accepted: bool,
) {
    assert_eq!(is_nonce(of_token, of_request), is_accepted);
}

#[rstest]
#[case::no_type(json!({"alg": "RS256", "kid": "key-1"}), true)]
#[case::more(json!({"alg": "RS256", "kid": "key-1", "new": 1}), true)]
#[case::none(json!({"alg": "none", "kid": "key-1"}), false)]
#[case::none_in_capitals(json!({"alg": "NONE", "kid": "key-1"}), false)]
#[case::symmetric(json!({"alg": "HS256", "kid": "key-1"}), false)]
#[case::elliptic(json!({"alg": "ES256", "kid": "key-1"}), false)]
#[case::other_hash(json!({"alg": "RS512", "kid": "key-1"}), false)]
#[case::other_padding(json!({"alg": "PS256", "kid": "key-1"}), false)]
#[case::lower_case(json!({"alg": "rs256", "kid": "key-1"}), false)]
#[case::algorithms(json!({"alg": ["RS256"], "kid": "key-1"}), false)]
#[case::no_algorithm(json!({"kid": "key-1"}), false)]
#[case::no_key(json!({"alg": "RS256"}), false)]
#[case::empty_key(json!({"alg": "RS256", "kid": ""}), false)]
#[case::long_key(json!({"alg": "RS256", "kid": "k".repeat(129)}), false)]
#[case::key_number(json!({"alg": "RS256", "kid": 1}), false)]
#[case::other_type(json!({"alg": "RS256", "kid": "key-1", "typ": "at+jwt"}), false)]
#[case::critical(json!({"alg": "RS256", "kid": "key-1", "crit": ["b64"]}), false)]
#[case::key_address(json!({"alg": "RS256", "kid": "key-1", "jku": "https://evil.example"}), false)]
#[case::own_key(json!({"alg": "RS256", "kid": "key-1", "jwk": {"kty": "RSA"}}), false)]
#[case::certificate_address(json!({"alg": "RS256", "kid": "key-1", "x5u": "https://evil.example"}), false)]
#[case::certificates(json!({"alg": "RS256", "kid": "key-1", "x5c": ["MII"]}), false)]
#[case::list(json!(["RS256", "key-1"]), false)]
fn header_decides(#[case] header: Value, #[case] is_accepted: bool) {
    let token = token(&header.to_string(), &claims().to_string());
    assert_eq!(read(&token, Some("n-0S6_WzA2Mj")).is_ok(), is_accepted);
}

#[test]
fn header_field_that_comes_twice_is_refused() {
    let header = r#"{"alg":"RS256","kid":"key-1","alg":"RS256"}"#;
    assert!(parse(&token(header, &claims().to_string())).is_err());
}

#[test]
fn token_of_another_shape_is_refused() {
    let good = token(&header().to_string(), &claims().to_string());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let padded = format!("{signed}=.{signature}");
    let spaced = format!("{signed}. {signature}");
    let long = token(&header().to_string(), &with("padding", json!("x".repeat(8 * 1024))).to_string());
    let list = token(&header().to_string(), "[\"https://accounts.google.com\"]");
    for text in ["", ".", "..", "a.b", signed, &format!("{good}.{signature}"), &padded, &spaced, &long, &list]
    {
        assert!(read(text, Some("n-0S6_WzA2Mj")).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC{0,200}", parts in prop::collection::vec("[A-Za-z0-9_-]{0,60}", 0..5)) {
        prop_assert!(read(&text, None).is_err());
        prop_assert!(read(&parts.join("."), None).is_err());
    }

    #[test]
    fn name_is_one_that_the_profile_takes(name in "\\PC{0,300}|[\\x00-\\x20]{0,9}") {
        if let Some(shown) = shown_name(&name) {
            prop_assert!((1..=MAX_NAME_CHARS).contains(&shown.chars().count()));
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }
}

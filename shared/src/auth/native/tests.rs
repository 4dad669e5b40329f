use jwt_compact::{AlgorithmExt as _, UntrustedToken};
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::{
    api::{account::Plan, error::ErrorCode},
    auth::{
        cases::{boundary_cases, token_cases},
        claims::{AUDIENCE, ISSUER, LEEWAY_S},
    },
    id::Id,
};

const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_007);
const SECRET: &str = "a secret of more than 32 characters";

fn key() -> SigningKey {
    SigningKey::from_secret(SECRET).unwrap()
}

fn claims() -> Claims {
    let now_s = NOW.as_secs();
    Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: Id::new(NOW, [1; 10]),
        sid: Id::new(NOW, [2; 10]),
        jti: Id::new(NOW, [3; 10]),
        iat: now_s,
        nbf: now_s,
        exp: now_s + 900,
        plan: Plan::Basic,
    }
}

#[rstest]
#[case(Plan::Basic)]
#[case(Plan::Pro)]
fn token_cases_have_their_outcome(#[case] plan: Plan) {
    let verifier = Verifier::new(key().jwk_set());
    let cases = token_cases(&key(), &Claims { plan, ..claims() }, NOW);
    for case in &cases {
        let outcome = verifier.verify(&case.token, NOW).map(|_| ()).map_err(TokenError::code);
        assert_eq!(outcome, case.expected, "{}", case.name);
        let later =
            verifier.verify(&case.token, NOW.plus_millis(15_000)).map(|_| ()).map_err(TokenError::code);
        assert_eq!(later, case.expected, "{} 15 s later", case.name);
    }
    let mut names: Vec<_> = cases.iter().map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "two cases have the same name");
    let mut tokens: Vec<_> = cases.iter().map(|case| case.token.as_str()).collect();
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), cases.len(), "two cases have the same token");
}

#[test]
fn boundary_cases_have_their_outcome_in_their_second() {
    let verifier = Verifier::new(key().jwk_set());
    let begin = Timestamp::from_secs(NOW.as_secs());
    for case in boundary_cases(&key(), &claims(), NOW) {
        for now in [begin, NOW, begin.plus_millis(999)] {
            let outcome = verifier.verify(&case.token, now).map(|_| ()).map_err(TokenError::code);
            assert_eq!(outcome, case.expected, "{} at {now}", case.name);
        }
    }
}

#[test]
fn signed_token_is_verified_here_and_by_library() {
    let token = key().sign(&claims());
    assert_eq!(Verifier::new(key().jwk_set()).verify(&token, NOW), Ok(claims()));

    let public = ed25519_dalek::VerifyingKey::from_bytes(&key().jwk().public_key().unwrap()).unwrap();
    let token = UntrustedToken::new(&token).unwrap();
    assert_eq!(token.header().key_id.as_deref(), Some(key().kid()));
    assert_eq!(token.header().token_type.as_deref(), Some(TOKEN_TYPE));
    let by_the_library = Ed25519.validator::<Claims>(&public).validate(&token);
    // The library takes the times out of the claims, so that only the rest is left to ours.
    assert!(matches!(by_the_library, Err(jwt_compact::ValidationError::MalformedClaims(_))));
    let by_the_library = Ed25519.validator::<serde_json::Value>(&public).validate(&token).unwrap();
    assert_eq!(by_the_library.claims().custom["sub"], claims().sub.to_string());
    assert_eq!(by_the_library.claims().expiration.unwrap().timestamp(), claims().exp);
}

#[rstest]
#[case(-LEEWAY_S * 1_000 - 1, Err(ErrorCode::TokenInvalid))]
#[case(-LEEWAY_S * 1_000, Ok(()))]
#[case(0, Ok(()))]
#[case(900_000 + LEEWAY_S * 1_000 - 1, Ok(()))]
#[case(900_000 + LEEWAY_S * 1_000, Err(ErrorCode::TokenExpired))]
fn validity_is_exact_to_the_millisecond(#[case] offset_ms: i64, #[case] expected: Result<(), ErrorCode>) {
    let issued_at = Timestamp::from_millis(NOW.as_secs() * 1_000);
    let token = key().sign(&claims());
    let outcome = Verifier::new(key().jwk_set()).verify(&token, issued_at.plus_millis(offset_ms));
    assert_eq!(outcome.map(|_| ()).map_err(TokenError::code), expected);
}

#[test]
fn secrets_determine_keys() {
    assert_eq!(key().jwk_set(), key().jwk_set());
    let other = SigningKey::from_secret("another secret of over 32 characters").unwrap();
    assert_ne!(other.kid(), key().kid());
    let both = JwkSet { keys: [other.jwk_set().keys, key().jwk_set().keys].concat() };
    assert_eq!(Verifier::new(both).verify(&key().sign(&claims()), NOW), Ok(claims()));
    assert!(Verifier::new(other.jwk_set()).verify(&key().sign(&claims()), NOW).is_err());
    assert!(Verifier::new(JwkSet::default()).verify(&key().sign(&claims()), NOW).is_err());
}

#[test]
fn short_secret_is_refused_and_none_is_printed() {
    assert_eq!(SigningKey::from_secret(&"é".repeat(31)).unwrap_err(), WeakSecret);
    assert!(SigningKey::from_secret(&"é".repeat(32)).is_ok());
    let shown = format!("{:?}", key());
    assert_eq!(shown, format!("SigningKey {{ kid: {:?}, .. }}", key().kid()));
}

#[test]
fn key_of_a_secret_never_changes() {
    assert_eq!(key().kid(), "i0wJFfmYMogjVn7HYIUrBRTdztCOTQZWZIZ5dDvj5kc");
    let salted = |salt: u8| SigningKey::from_salted_secret(SECRET, &[salt; SALT_BYTES]).unwrap();
    assert_eq!(salted(7).kid(), "gzeYqgJD5fPDKspuX56DvJny_qPc-2onHZ7dJNWNqdU");
    assert_ne!(salted(7).kid(), salted(8).kid());
    assert_eq!(SigningKey::from_salted_secret("short", &[7; SALT_BYTES]).unwrap_err(), WeakSecret);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn changed_token_is_refused(place in any::<prop::sample::Index>(), to in "[!-~]") {
        let token = key().sign(&claims());
        let mut changed = token.clone().into_bytes();
        let place = place.index(changed.len());
        changed[place] = to.as_bytes()[0];
        let changed = String::from_utf8(changed).unwrap();
        let outcome = Verifier::new(key().jwk_set()).verify(&changed, NOW);
        prop_assert_eq!(outcome.is_ok(), changed == token);
    }

    #[test]
    fn arbitrary_text_is_refused(text in ".{0,200}", parts in prop::collection::vec("[A-Za-z0-9_-]{0,90}", 0..5)) {
        let verifier = Verifier::new(key().jwk_set());
        prop_assert!(verifier.verify(&text, NOW).is_err());
        prop_assert!(verifier.verify(&parts.join("."), NOW).is_err());
    }
}

#[test]
fn list_of_secrets_first_signs_and_all_verify() {
    let (new, old) = ("a new secret of more than 32 characters", SECRET);
    let keys = SigningKeys::parse(&format!(" {new} , {old},{new}")).unwrap();
    assert_eq!(keys.signing().kid(), SigningKey::from_secret(new).unwrap().kid());
    let kids: Vec<_> = keys.jwk_set().keys.iter().map(|key| key.kid.as_str()).collect();
    assert_eq!(kids, [SigningKey::from_secret(new).unwrap().kid(), key().kid()]);
    let verifier = Verifier::new(keys.jwk_set().clone());
    for token in [key().sign(&claims()), keys.signing().sign(&claims())] {
        assert_eq!(verifier.verify(&token, NOW), Ok(claims()));
    }
    // A secret without a comma is the secret that it was before there were lists.
    let one = SigningKeys::parse(SECRET).unwrap();
    assert_eq!(one.jwk_set(), &key().jwk_set());
}

#[rstest]
#[case("", 1, 0)]
#[case("short", 1, 5)]
#[case("a secret of more than 32 characters,short", 2, 5)]
#[case("a secret of more than 32 characters,", 2, 0)]
fn list_of_secrets_with_a_short_one_is_refused(
    #[case] list: &str,
    #[case] position: usize,
    #[case] chars: usize,
) {
    assert_eq!(SigningKeys::parse(list).unwrap_err(), SecretsError { position, chars });
}

#[test]
fn expired_token_has_its_subject() {
    let verifier = Verifier::new(key().jwk_set());
    let token = key().sign(&claims());
    assert_eq!(verifier.verify(&token, NOW.plus_millis(86_400_000)), Err(TokenError::Expired));
    assert_eq!(verifier.verify_origin(&token), Ok(claims()));
    let stranger = SigningKey::from_secret("another secret of over 32 characters").unwrap().sign(&claims());
    assert!(verifier.verify_origin(&stranger).is_err());
    let other = key().sign(&Claims { aud: "other".to_owned(), ..claims() });
    assert_eq!(verifier.verify_origin(&other), Err(TokenError::Invalid("audience")));
}

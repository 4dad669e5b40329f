//! Access tokens signed by the harness with the key of every environment, not by an origin.

use shared::{
    api::account::Plan,
    auth::{
        claims::{AUDIENCE, Claims, ISSUER},
        native::{SigningKey, Verifier},
    },
    id::Id,
};

use crate::{client::Phone, clock::now, test_env::JWT_SECRET};

/// The lifetime of the token of an unknown user, in seconds: longer than any test.
const NOBODYS_S: i64 = 86_400;

/// Returns the key that the origin of every environment signs with.
pub fn signing_key() -> SigningKey {
    SigningKey::from_secret(JWT_SECRET).expect("the secret is long enough")
}

/// Returns the claims of this phone's access token.
pub fn claims_of(phone: &Phone) -> Claims {
    claims(&phone.tokens.access_token)
}

/// The claims of a valid token.
pub fn claims(token: &str) -> Claims {
    Verifier::new(signing_key().jwk_set()).verify(token, now()).expect("a token that is valid")
}

/// Returns a valid token of a user whom no origin knows.
pub fn of_nobody() -> String {
    let (now_s, id) = (now().as_secs(), Id::new(now(), [1; 10]));
    signing_key().sign(&Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: id,
        sid: id,
        jti: id,
        iat: now_s,
        nbf: now_s,
        exp: now_s + NOBODYS_S,
        plan: Plan::Basic,
    })
}

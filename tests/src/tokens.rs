//! Access tokens that no origin has issued: signed here with the key of every world.

use shared::{
    api::account::Plan,
    auth::{
        claims::{AUDIENCE, Claims, ISSUER},
        native::{SigningKey, Verifier},
    },
    id::Id,
};

use crate::{client::Phone, clock::now, world::JWT_SECRET};

/// How long the token of nobody is valid, in seconds: longer than any test runs.
const NOBODYS_S: i64 = 86_400;

/// The key that the origin of every world signs with.
pub fn signing_key() -> SigningKey {
    SigningKey::from_secret(JWT_SECRET).expect("the secret is long enough")
}

/// What the origin signed for this phone.
pub fn claims_of(phone: &Phone) -> Claims {
    claims(&phone.tokens.access_token)
}

/// The claims of a valid token.
pub fn claims(token: &str) -> Claims {
    Verifier::new(signing_key().jwk_set()).verify(token, now()).expect("a token that is valid")
}

/// A valid token of somebody whom no origin knows.
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
